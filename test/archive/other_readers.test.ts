// Readers by other authors, or as they could write them: containerd's Go library, and a reader in Python made from docs/format.md
// alone. Both read what we write with every option, and each is compared with what the states handed over.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import * as zlib from "node:zlib";
import { type ArchiveOptions, fileBackend } from "snapkeep";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../../tools/run.mjs";
import { amount } from "../torture/budget.ts";
import { filesOf, noise, pattern, sha256, type States, storeOf } from "./samples.ts";

const exec = promisify(execFile);

async function works(command: string, ...args: string[]): Promise<boolean> {
  return await exec(command, args).then(() => true, () => false);
}

const GO_PATH = "/usr/share/gocode"; // where Debian's packages of Go libraries lie
const LIBRARY = `${GO_PATH}/src/github.com/containerd/stargz-snapshotter/estargz`;
const hasGo = existsSync(LIBRARY) && await works("go", "version");
const hasPython = await works("python3", "-c", "import sys; assert sys.version_info >= (3, 9)");
const hasZstd = typeof zlib.zstdCompress === "function";
if (!hasGo) {
  console.warn("skipped containerd's reader: golang or golang-github-containerd-stargz-snapshotter-dev is missing");
}
if (!hasPython) console.warn("skipped the reader in Python: python3 is not installed");

const script = path.join(root, "tools/interop/read_snapshot.py");
const CHUNK_BYTES = 2 * 1024 * 1024;
const states: States = {
  "model": {
    "large.bin": noise(3.5 * CHUNK_BYTES),
    "exactly two chunks": pattern(2 * CHUNK_BYTES),
    "empty": "",
    "behind an empty one": "small",
    "512": pattern(512),
    ...Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`small/${index}.bin`, noise(index * 9, index)])),
    ...Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`none/${index}`, ""])),
  },
  "Zustände": {
    "größe.txt": "ß",
    [`${"データ/".repeat(20)}${"重み".repeat(20)}.bin`]: noise(700),
    "🦊/🦊": "",
    [`${"deep/".repeat(40)}${"n".repeat(100)}`]: "a path of its own header",
    "last, and empty": "",
  },
  "idle": {},
};

const archives: readonly { how: string; hasGroups: boolean; layout: "tar.gz" | "tar.zst"; archive: ArchiveOptions }[] =
  [
    { how: "as they are made", hasGroups: true, layout: "tar.gz", archive: {} },
    { how: "without groups", hasGroups: false, layout: "tar.gz", archive: { groupBytes: 0 } },
    { how: "in tiny chunks", hasGroups: false, layout: "tar.gz", archive: { groupBytes: 0, chunkBytes: 5000 } },
    { how: "hardly compressed", hasGroups: false, layout: "tar.gz", archive: { groupBytes: 0, level: 0 } },
    { how: "with zstd", hasGroups: true, layout: "tar.zst", archive: {} },
    { how: "with zstd, without groups", hasGroups: false, layout: "tar.zst", archive: { groupBytes: 0 } },
  ];

const OPTIONS_TRIED = amount("readers", "options");

type Row = readonly [path: string, sizeBytes: number, sha256: string];

let folder: string;
let files: Row[];
const inOrder = (rows: Iterable<Row>) => [...rows].sort(([a], [b]) => (a < b ? -1 : 1));
const rowsOf = (stdout: string) => inOrder(stdout.split("\n").filter(Boolean).map((line) => JSON.parse(line) as Row));

async function made(of: States, options: Omit<(typeof archives)[number], "how" | "hasGroups">): Promise<string> {
  const backend = fileBackend(await mkdtemp(path.join(folder, "states")), { durability: "none" });
  return String(await storeOf(of, { backend, ...options }).saveState());
}

/** What a reader prints. */
async function read(command: string, ...args: string[]): Promise<Row[]> {
  return rowsOf((await exec(command, args, { maxBuffer: 64 * CHUNK_BYTES })).stdout);
}

const python = (...args: string[]) => read("python3", script, ...args);

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "snapkeep-readers-"));
  files = inOrder([...filesOf(states)].map(([name, bytes]) => [name, bytes.length, sha256(bytes)] as const));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe.skipIf(!hasGo)("containerd's library reads and verifies archives", () => {
  let reader: string;

  beforeAll(async () => {
    reader = path.join(folder, "estargz_reader");
    const env = { ...process.env, GO111MODULE: "off", GOPATH: GO_PATH, GOFLAGS: "" };
    const source = path.join(root, "tools/interop/estargz_reader.go");
    await exec("go", ["build", "-o", reader, source], { env });
  }, 600_000);

  for (const [index, { how, hasGroups, layout, archive }] of archives.entries()) {
    it.skipIf(index >= OPTIONS_TRIED || layout === "tar.zst" && !hasZstd)(how, async (context) => {
      const name = await made(states, { layout, archive });
      const found = await read(reader, name, ...hasGroups ? ["groups"] : []).catch(
        (error: Error & { code?: number }) => {
          if (error.code === 3) return context.skip("Debian's version of it knows no groups");
          throw error;
        },
      );
      expect(found.filter(([name]) => name !== "manifest.json")).toEqual(files);
      expect(found.length).toBe(files.length + 1);
    });
  }

  it("and refuses the wrong ones", async () => {
    const name = await made(states, { layout: "tar.gz", archive: { groupBytes: 0, level: 0 } });
    const bytes = await readFile(name);
    bytes[2 * CHUNK_BYTES] = (bytes[2 * CHUNK_BYTES] as number) ^ 1;
    await writeFile(`${name}.damaged`, bytes);
    await expect(read(reader, `${name}.damaged`)).rejects.toThrow();
  });
});

describe.skipIf(!hasPython)("a reader made from docs/format.md alone reads", () => {
  for (const [index, { how, layout, archive }] of archives.entries()) {
    if (layout !== "tar.gz") continue;
    it.skipIf(index >= OPTIONS_TRIED)(`archives ${how}, by their table and in sequence`, async () => {
      const name = await made(states, { layout, archive });
      expect(await python("--by", "table", name)).toEqual(files);
      expect(await python("--by", "sequence", name)).toEqual(files);
    });
  }

  it("directories, and archives that are not compressed", async () => {
    const saved = await storeOf(states, { layout: "directory" }).saveState();
    const target = path.join(folder, "as directory");
    await saved.exportTo(target);
    expect(await python(target)).toEqual(files);
    await saved.exportTo(`${target}.tar`);
    expect(await python(`${target}.tar`)).toEqual(files);
    await exec("tar", ["czf", `${target}.tar.gz`, "-C", target, "."]);
    expect(await python(`${target}.tar.gz`)).toEqual(files);
  });

  it("one entry, and a part of it", async () => {
    const name = await made(states, { layout: "tar.gz", archive: {} });
    const options = { encoding: "buffer", maxBuffer: 64 * CHUNK_BYTES } as const;
    const wanted = filesOf(states).get("model/large.bin") as Uint8Array;
    const whole = await exec("python3", [script, "--entry", "model/large.bin", name], options);
    expect(sha256(whole.stdout)).toBe(sha256(wanted));
    const [start, end] = [CHUNK_BYTES - 10, 2 * CHUNK_BYTES + 7];
    const part = await exec(
      "python3",
      [script, "--entry", "model/large.bin", "--range", `${start}:${end}`, name],
      options,
    );
    expect(sha256(part.stdout)).toBe(sha256(wanted.subarray(start, end)));
  });

  it("and refuses what is damaged, wherever it is", async () => {
    // Without compression, whose own checks would find most of it.
    const saved = await storeOf({ a: { "one": noise(3000), "two": "2", "größe": "" } }).saveState();
    const name = path.join(folder, "to be damaged.tar");
    await saved.exportTo(name);
    const bytes = await readFile(name);
    expect((await python(name)).length).toBe(3);
    const names: string[] = [];
    for (let at = 0; at < bytes.length; at += 131) {
      const damaged = Uint8Array.from(bytes);
      damaged[at] = (bytes[at] as number) ^ 4;
      names.push(path.join(folder, `damaged at ${at}.tar`));
      await writeFile(names.at(-1) as string, damaged);
    }
    const error = await python(...names).catch((error: { stderr?: string; stdout?: string }) => error);
    expect(error).toMatchObject({ stdout: "" });
    for (const damaged of names) {
      expect(error).toMatchObject({ stderr: expect.stringContaining(`Cannot read ${damaged}`) });
    }
  });
});
