// Bugs that are planted into a copy of what was built: fuzzers that find none of them would find no other either.
import { cp, mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { root, scratch } from "../../tools/run.mjs";
import type { TARGETS } from "./targets.ts";

/** A bug, and which fuzzer must find it. */
export interface Planted {
  readonly name: string;
  readonly target: keyof typeof TARGETS;
  /** File below `dist/src`, what stands in it, and what is to stand there. */
  readonly edits: readonly (readonly [file: string, was: string, is: string])[];
  /** What the fault says, as far as it is known beforehand. */
  readonly says?: RegExp;
}

/** The bugs. */
export const PLANTED: readonly Planted[] = [
  {
    name: "the guard compares no checksum",
    target: "archive",
    edits: [["archive/tar_guard.js", "this.#number(148, 8, start) !== checksumOf(block)", "checksumOf(block) < 0"]],
  },
  {
    name: "digests of the table are not compared",
    target: "table",
    edits: [
      ["archive/table.js", "row.sizeBytes !== sizeBytes || row.digest !== digest", "row.sizeBytes !== sizeBytes"],
      ["snapshot/raw_snapshot.js", "if (digest !== entry.digest)", "if (false)"],
    ],
  },
  {
    name: "a table may have an entry twice",
    target: "table",
    edits: [["archive/table.js", "if (this.#entries.has(row.name))", "if (false)"]],
  },
  {
    name: "paths are compared without folding case",
    target: "paths",
    edits: [
      ["model/entry_path.js", "return path.toLowerCase();", "return path;"],
      ["model/entry_path.js", ".toLowerCase().toUpperCase().toLowerCase()", ""],
    ],
  },
  {
    name: "totals of the manifest are not compared",
    target: "manifest",
    edits: [["manifest/manifest.js", "totals.sizeBytes !== sizeBytes", "false"]],
  },
  {
    name: "bytes behind the end of gzip are dropped",
    target: "archive",
    edits: [["compression/gzip_codec.js", "!bytes.isZeroFrom(stream.bytesWritten)", "false"]],
  },
  {
    name: "a loop never ends",
    target: "archive",
    edits: [[
      "archive/tar_guard.js",
      "const kind = this.#metadataKind;",
      "while (bytes.length < 20);\nconst kind = this.#metadataKind;",
    ]],
    says: /hangs/,
  },
  {
    name: "a promise never settles",
    target: "archive",
    edits: [[
      "archive/tar_decoder.js",
      "const { name, type, size } = entry.header;",
      "const { name, type, size } = entry.header;\nif (name.length > 100) await new Promise(() => {});",
    ]],
    says: /hangs|within a case/,
  },
  {
    name: "memory is never given back",
    target: "manifest",
    edits: [[
      "manifest/manifest.js",
      "function* assertingDigest(bytes, uri) {",
      "const kept = [];\nfunction* assertingDigest(bytes, uri) {\nkept.push(new Uint8Array(2 ** 19).fill(1));",
    ]],
    says: /memory grew/,
  },
];

/** A copy of what was built, for one bug after the other. */
export class Orchard {
  /** Where it lies. */
  readonly place = path.join(scratch, `planted-${process.pid}`);

  async make(): Promise<void> {
    await mkdir(this.place, { recursive: true });
    await cp(path.join(root, "dist"), path.join(this.place, "dist"), { recursive: true });
    await cp(path.join(root, "package.json"), path.join(this.place, "package.json"));
    await symlink(path.join(root, "node_modules"), path.join(this.place, "node_modules"));
  }

  /** Runs something while a bug is in the copy. */
  async plant<T>(bug: Planted, run: () => Promise<T>): Promise<T> {
    const before = new Map<string, string>();
    try {
      for (const [name, was, is] of bug.edits) {
        const file = path.join(this.place, "dist", "src", name);
        const text = await readFile(file, "utf8");
        if (!before.has(file)) before.set(file, text);
        if (text.split(was).length !== 2) {
          throw new Error(`Cannot plant "${bug.name}": "${was}" stands not once in ${name}`);
        }
        await writeFile(file, text.replace(was, () => is));
      }
      return await run();
    } finally {
      for (const [file, text] of before) await writeFile(file, text);
    }
  }

  async remove(): Promise<void> {
    await rm(this.place, { recursive: true, force: true });
  }
}
