// A locator is the same thing whatever the layout: it opens, tells, verifies, streams, exports, removes, and can be written
// down and found again.
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import {
  fileBackend,
  isSnapshotError,
  type LayoutKind,
  locate,
  memoryBackend,
  SnapshotLocator,
  StateStore,
} from "snapkeep";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { checkEstargz } from "../archive/estargz_checker.ts";
import { bytesOf, digests, INSTANT_MS, noise, sha256, storeOf, streamOf, TreeState } from "../archive/samples.ts";

const TREE = { "big.bin": noise(1_300_000), "folder/small.txt": "small", "größe/ü.txt": "ü", "empty": "" };
const NAME = "2026-02-03_04-05-06,789000.state";
const LAYOUTS: readonly LayoutKind[] = ["directory", "tar.gz"];
const SIZE_BYTES = 1_300_000 + 5 + 2;

let folder: string;

beforeEach(async () => {
  folder = path.join(await mkdtemp(path.join(tmpdir(), "snapkeep-locator-")), "a folder, 100% größe #1?");
  await mkdir(folder);
});

afterEach(async () => {
  await rm(path.dirname(folder), { recursive: true, force: true });
});

async function saved(layout: LayoutKind): Promise<SnapshotLocator> {
  const backend = fileBackend(path.join(folder, "states"), { durability: "none" });
  return await storeOf({ a: TREE }, { backend, layout }).saveState();
}

async function contentsOf(from: SnapshotLocator): Promise<Record<string, string>> {
  const state = new TreeState({});
  await new StateStore(memoryBackend()).register("a", state).loadState(from);
  return digests(state.loaded);
}

/** All that lies in a folder, with what it holds. */
async function snapshotOf(top: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(top, { recursive: true, withFileTypes: true })) {
    const full = path.join(entry.parentPath, entry.name);
    found[path.relative(top, full)] = entry.isFile() ? sha256(await readFile(full)) : "folder";
  }
  return found;
}

const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(() => "no error", (error: unknown) => isSnapshotError(error) ? error.code : error);

describe.each(LAYOUTS)("a locator of a snapshot as %s", (layout) => {
  it("tells where it is, written down and read again", async () => {
    const locator = await saved(layout);
    const fileName = NAME + (layout !== "directory" ? ".tar.gz" : "");
    expect([locator.name, locator.layout]).toEqual([NAME, layout]);
    expect(String(locator)).toBe(path.join(folder, "states", fileName));
    expect(new URL(locator.uri).href).toBe(pathToFileURL(path.join(folder, "states", fileName)).href);
    const found = [
      locate(String(locator)),
      locate(new URL(locator.uri)),
      locate(path.relative(process.cwd(), String(locator))),
      locate(locator.backend, fileName),
    ];
    for (const other of found) {
      expect([other.name, other.layout, String(other), other.uri]).toEqual([
        NAME,
        layout,
        String(locator),
        locator.uri,
      ]);
      expect(await other.exists()).toBe(true);
      expect(await contentsOf(other)).toEqual(digests(TREE));
    }
  });

  it("tells what it is", async () => {
    const locator = await saved(layout);
    const { storedBytes, ...facts } = await locator.stat();
    expect(facts).toEqual({
      name: NAME,
      layout,
      savedAt: new Date(INSTANT_MS),
      states: 1,
      entries: 4,
      sizeBytes: SIZE_BYTES,
    });
    expect(storedBytes).toBe(
      layout !== "directory"
        ? (await stat(String(locator))).size
        : SIZE_BYTES + (await stat(path.join(String(locator), "manifest.json"))).size,
    );
    expect(await locator.manifest()).toMatchObject({ name: NAME, totals: { entries: 4, sizeBytes: SIZE_BYTES } });
  });

  it("opens it", async () => {
    const reader = await (await saved(layout)).open();
    expect(reader.entries.map(({ path }) => path)).toEqual(Object.keys(TREE).map((name) => `a/${name}`));
    expect(await reader.text("a/folder/small.txt")).toBe("small");
    expect(await reader.text("a/größe/ü.txt")).toBe("ü");
    expect((await reader.bytes("a/empty")).length).toBe(0);
    expect(sha256(await reader.bytes("a/big.bin"))).toBe(sha256(TREE["big.bin"]));
    expect(sha256(await bytesOf(reader.stream("a/big.bin")))).toBe(sha256(TREE["big.bin"]));
    expect(reader.has("a/nothing")).toBe(false);
    expect(await codeOf(reader.bytes("a/nothing"))).toBe("ENTRY_NOT_FOUND");
    await reader.close();
    await reader.close();
  });

  it("opens it once and reads it from many places at once, in any order", async () => {
    const reader = await (await saved(layout)).open();
    const paths = Object.keys(TREE).flatMap((name) => [`a/${name}`, `a/${name}`]).reverse();
    const found = await Promise.all(paths.map((name) => reader.bytes(name)));
    expect(found.map(sha256)).toEqual(paths.map((name) => sha256(TREE[name.slice(2) as keyof typeof TREE])));
    await reader.close();
  });

  it("verifies it", async () => {
    const locator = await saved(layout);
    expect(await locator.verify()).toEqual({
      uri: String(locator),
      isWhole: true,
      findings: [],
      entries: 4,
      sizeBytes: SIZE_BYTES,
    });
    expect(await locator.verify({ mode: "quick" })).toMatchObject({ isWhole: true, findings: [] });
    await expect(locator.verify({ signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
  });

  it("streams it as one archive", async () => {
    const locator = await saved(layout);
    const bytes = await bytesOf(locator.stream());
    checkEstargz(bytes);
    const store = new StateStore(memoryBackend());
    expect(await contentsOf(await store.importSnapshot(streamOf(bytes)))).toEqual(digests(TREE));
    if (layout !== "directory") expect(sha256(bytes)).toBe(sha256(await readFile(String(locator))));
  });

  it("streams it without compression", async () => {
    const bytes = await bytesOf((await saved(layout)).stream({ layout: "tar" }));
    const state = new TreeState({});
    await new StateStore(memoryBackend()).register("a", state).loadState(streamOf(bytes));
    expect(digests(state.loaded)).toEqual(digests(TREE));
    expect(new TextDecoder().decode(bytes.subarray(257, 262))).toBe("ustar");
  });

  it("is released when its stream is cancelled", async () => {
    const locator = await saved(layout);
    const reader = locator.stream().getReader();
    await reader.read();
    await reader.cancel();
    expect(await locator.remove()).toBe(true);
    expect(await readdir(path.join(folder, "states"))).toEqual([]);
  });

  it("removes it, once", async () => {
    const locator = await saved(layout);
    expect(await locator.remove()).toBe(true);
    expect(await locator.exists()).toBe(false);
    expect(await locator.remove()).toBe(false);
    expect(await readdir(path.join(folder, "states"))).toEqual([]);
  });

  it("says that there is nothing where there is nothing", async () => {
    const locator = await saved(layout);
    await locator.remove();
    expect(await codeOf(locator.open())).toBe("SNAPSHOT_NOT_FOUND");
    expect(await codeOf(locator.stat())).toBe("SNAPSHOT_NOT_FOUND");
    expect(await codeOf(locator.verify())).toBe("SNAPSHOT_NOT_FOUND");
    expect(await codeOf(bytesOf(locator.stream()))).toBe("SNAPSHOT_NOT_FOUND");
    expect(await codeOf(locator.exportTo(path.join(folder, "copy.tar.gz")))).toBe("SNAPSHOT_NOT_FOUND");
    expect(await readdir(folder)).toEqual(["states"]);
  });
});

describe("exportTo", () => {
  const targets: readonly [string, LayoutKind][] = [
    ["copy", "directory"],
    ["copy.state", "directory"],
    ["copy.tar.gz", "tar.gz"],
    ["copy.tar", "tar"],
    ["copy.tgz", "tar.gz"],
    ["deep/er/copy.tar.gz", "tar.gz"],
    ["deep/er/copy", "directory"],
  ];
  it.each(LAYOUTS.flatMap((from) => targets.map(([target, to]) => ({ from, target, to }))))(
    "makes $target, $to, out of a snapshot as $from",
    async ({ from, target, to }) => {
      const locator = await saved(from);
      const before = await snapshotOf(path.join(folder, "states"));
      const copy = await locator.exportTo(path.join(folder, target));
      expect([String(copy), copy.layout]).toEqual([path.join(folder, target), to]);
      expect(await copy.verify()).toMatchObject({ isWhole: true, entries: 4 });
      expect(await contentsOf(copy)).toEqual(digests(TREE));
      expect(await copy.manifest()).toEqual(await locator.manifest());
      expect(await snapshotOf(path.join(folder, "states"))).toEqual(before);
      const beside = await readdir(path.dirname(path.join(folder, target)));
      expect(beside.filter((name) => name.startsWith("."))).toEqual([]);
    },
  );

  it("takes a URL, written as text too, and refuses one that leads to no folder", async () => {
    const locator = await saved("directory");
    for (const [name, url] of [["x #1.tar.gz", (at: URL) => at], ["y #1.tar.gz", (at: URL) => at.href]] as const) {
      const copy = await locator.exportTo(url(pathToFileURL(path.join(folder, name))));
      expect(String(copy)).toBe(path.join(folder, name));
      expect((await copy.verify()).isWhole).toBe(true);
    }
    for (const url of ["gs://bucket/x.tar.gz", "https://h/into/"]) {
      await expect(locator.exportTo(url)).rejects.toThrow(
        `"${url.replace(/\/$/, "")}" as a place: expected a path, or a URL of file: or s3:`,
      );
    }
  });

  it("makes of what ends with .tgz what ends with .tar.gz, which loads, imports and streams; no store lists it", async () => {
    const locator = await saved("tar.gz");
    const copy = await locator.exportTo(path.join(folder, "states", `${NAME}.tgz`));
    expect(sha256(await readFile(String(copy)))).toBe(sha256(await readFile(String(locator))));
    expect(sha256(await bytesOf(locate(String(copy)).stream()))).toBe(sha256(await readFile(String(locator))));
    const store = new StateStore(memoryBackend());
    expect(await contentsOf(await store.importSnapshot(String(copy)))).toEqual(digests(TREE));
    await locator.remove();
    expect(await new StateStore(path.join(folder, "states")).list()).toEqual([]);
    expect(await contentsOf(locate(String(copy)))).toEqual(digests(TREE));
    expect([await copy.remove(), await readdir(path.join(folder, "states"))]).toEqual([true, []]);
  });

  it("makes a plain tar of an archive, and an archive of that, which is the same again", async () => {
    const locator = await saved("tar.gz");
    const plain = await locator.exportTo(path.join(folder, "plain.tar"));
    expect((await readFile(String(plain))).subarray(257, 262).toString()).toBe("ustar");
    const back = await plain.exportTo(path.join(folder, "back.tar.gz"));
    expect(sha256(await readFile(String(back)))).toBe(sha256(await readFile(String(locator))));
  });

  it.each(LAYOUTS)("goes into a folder under its own name, out of a snapshot as %s", async (from) => {
    const locator = await saved(from);
    const into = path.join(folder, "backups") + "/";
    const made = [
      await locator.exportTo(`${into}one/`),
      await locator.exportTo(`${into}two/`, { layout: "tar.gz" }),
      await locator.exportTo(`${into}three/`, { layout: "tar" }),
      await locator.exportTo(new URL(`${pathToFileURL(`${into}four`).href}/`), { layout: "directory" }),
    ];
    expect(made.map(String)).toEqual([
      path.join(into, "one", from === "tar.gz" ? `${NAME}.tar.gz` : NAME),
      path.join(into, "two", `${NAME}.tar.gz`),
      path.join(into, "three", `${NAME}.tar`),
      path.join(into, "four", NAME),
    ]);
    for (const copy of made) expect(await copy.verify()).toMatchObject({ isWhole: true });
  });

  it.each(LAYOUTS)("overwrites nothing, out of a snapshot as %s", async (from) => {
    const locator = await saved(from);
    await writeFile(path.join(folder, "file.tar.gz"), "precious");
    await writeFile(path.join(folder, "file"), "precious");
    await mkdir(path.join(folder, "full"));
    await writeFile(path.join(folder, "full", "file"), "precious");
    await mkdir(path.join(folder, "folder.tar.gz"));
    await locator.exportTo(path.join(folder, "copy.tar.gz"));
    await locator.exportTo(path.join(folder, "copy"));
    const before = await snapshotOf(folder);
    for (const target of ["file.tar.gz", "file", "full", "folder.tar.gz", "copy.tar.gz", "copy"]) {
      expect([target, await codeOf(locator.exportTo(path.join(folder, target)))]).toEqual([target, "SNAPSHOT_EXISTS"]);
    }
    expect(await codeOf(locator.exportTo(String(locator)))).toBe("SNAPSHOT_EXISTS");
    expect(await snapshotOf(folder)).toEqual(before);
    const told = async (target: string) =>
      String(await locator.exportTo(path.join(folder, target)).catch((error: unknown) => error));
    expect(await told("full")).toMatch(
      /full": it is there .* no snapshot; end the name of a folder with "\/" to export into it/,
    );
    expect(await told("copy")).toMatch(/exists already/);
  });

  it("may stand beside other layouts of the same name", async () => {
    const locator = await saved("directory");
    const copy = await locator.exportTo(`${String(locator)}.tar.gz`);
    expect((await copy.verify()).isWhole && (await locator.verify()).isWhole).toBe(true);
  });

  const contradictions: readonly [string, object][] = [
    ["copy.tar.gz", { layout: "directory" }],
    ["copy.tar", { layout: "directory" }],
    ["copy.tgz", { layout: "directory" }],
    ["copy.tgz", { layout: "tar.zst" }],
    ["copy", { layout: "tar.gz" }],
    ["copy.tar.gz", { layout: "tar" }],
    ["copy.tar.gz", { layout: "tar.zst" }],
    ["copy.tar", { layout: "tar.gz" }],
    ["copy.tar.zst", { layout: "tar.gz" }],
    ["copy.tar.gz", { layout: "zip" }],
    ["into/", { layout: "zip" }],
    ["into/", { layout: "tar.bz2" }],
    ["into/", { layout: "archive" }],
  ];
  it.each(contradictions)("to %s with %o is a TypeError before anything is done", async (target, options) => {
    const locator = await saved("directory");
    const before = await snapshotOf(folder);
    const error = await codeOf(locator.exportTo(path.join(folder, target), options));
    expect(error).toBeInstanceOf(TypeError);
    expect(String(error)).toMatch(/^TypeError: Cannot (?:export to|use the layout) "/);
    expect(await snapshotOf(folder)).toEqual(before);
  });

  it.each(["today.zip", "today.tar.bz2", "today.tar.xz", "today.7z", "today.gz"])(
    "to %s makes a folder only when told so, for it is named like an archive that we do not write",
    async (target) => {
      const locator = await saved("directory");
      expect(await codeOf(locator.exportTo(path.join(folder, target)))).toEqual(
        expect.objectContaining({
          name: "TypeError",
          message: expect.stringMatching(/a file that is exported ends with \.tar\.gz, \.tar\.zst or \.tar;/),
        }),
      );
      expect(await readdir(folder)).toEqual(["states"]);
      const copy = await locator.exportTo(path.join(folder, target), { layout: "directory" });
      expect([String(copy), copy.layout]).toEqual([path.join(folder, target), "directory"]);
    },
  );

  it("to an archive's suffix in capitals makes nothing, not even a folder", async () => {
    const locator = await saved("directory");
    const target = path.join(folder, "today.TAR.GZ");
    expect(await codeOf(locator.exportTo(target))).toBeInstanceOf(TypeError);
    expect(await codeOf(locator.exportTo(target, { layout: "directory" }))).toBe("NAME_UNSAFE");
    expect(await readdir(folder)).toEqual(["states"]);
  });

  it("refuses names that are unsafe", async () => {
    const locator = await saved("directory");
    for (const name of ["CON.tar.gz", "trailing.", ".hidden", "manifest.json"]) {
      expect([name, await codeOf(locator.exportTo(path.join(folder, name)))]).toEqual([name, "NAME_UNSAFE"]);
    }
    expect(await readdir(folder)).toEqual(["states"]);
  });

  const damages: Record<string, [LayoutKind, (place: string) => Promise<void>]> = {
    "a payload of a directory": ["directory", async (place) => {
      const file = path.join(place, "a/folder/small.txt");
      await writeFile(file, "smalL");
    }],
    "a bit of a large file of a directory": ["directory", async (place) => {
      const bytes = await readFile(path.join(place, "a/big.bin"));
      bytes[9] = (bytes[9] as number) ^ 1;
      await writeFile(path.join(place, "a/big.bin"), bytes);
    }],
    "a missing file of a directory": ["directory", (place) => rm(path.join(place, "a/big.bin"))],
    "a cut file of a directory": ["directory", (place) => writeFile(path.join(place, "a/big.bin"), "cut")],
    "a payload of an archive": ["tar.gz", async (place) => {
      const bytes = await readFile(place);
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
      await writeFile(place, bytes);
    }],
  };
  it.each(
    Object.entries(damages).flatMap(([what, [layout, damage]]) => {
      return ["copy", "copy.tar.gz", "copy.tar"].map((target) => ({ what, layout, damage, target }));
    }),
  )("to $target out of one with $what fails and leaves nothing", async ({ layout, damage, target }) => {
    const locator = await saved(layout);
    await damage(String(locator));
    const before = await snapshotOf(folder);
    await mkdir(path.join(folder, "target"));
    const code = await codeOf(locator.exportTo(path.join(folder, "target", target)));
    expect(["SNAPSHOT_CORRUPT", "ARCHIVE_REJECTED"]).toContain(code);
    expect(await readdir(path.join(folder, "target"))).toEqual([]);
    await rm(path.join(folder, "target"), { recursive: true });
    expect(await snapshotOf(folder)).toEqual(before);
  });

  it("leaves a stream of a damaged snapshot that can never verify", async () => {
    const locator = await saved("directory");
    await writeFile(path.join(String(locator), "a/größe/ü.txt"), "xx");
    const reader = locator.stream({ layout: "tar.gz" }).getReader();
    const sent: Uint8Array[] = [];
    const read = async () => {
      for (let next = await reader.read(); !next.done; next = await reader.read()) sent.push(next.value);
    };
    expect(await codeOf(read())).toBe("SNAPSHOT_CORRUPT");
    const bytes = new Uint8Array(await new Blob(sent as BlobPart[]).arrayBuffer());
    expect(
      isSnapshotError(
        await new StateStore(memoryBackend()).importSnapshot(streamOf(bytes)).catch((error: unknown) => error),
      ),
    ).toBe(true);
  });
});

describe("locate", () => {
  it("tells the layout by the name", () => {
    const layouts = ["x.state", "x.state.tar.gz", "x.state.tar.zst", "x.state.tar", "x.tgz", "x.state/"].map((name) => {
      return locate(path.join(folder, name)).layout;
    });
    expect(layouts).toEqual(["directory", "tar.gz", "tar.zst", "tar", "tar.gz", "directory"]);
  });

  it("reads and makes nothing", async () => {
    locate(path.join(folder, "no/such/folder/x.state.tar.gz"));
    expect(await readdir(folder)).toEqual([]);
    expect(await locate(path.join(folder, "no/such/folder/x.state.tar.gz")).exists()).toBe(false);
  });

  it("refuses an unsafe name", () => {
    for (const name of ["CON.tar.gz", "a\u202eb.state", "x.state ", "..."]) {
      expect(() => locate(path.join(folder, name))).toThrow(expect.objectContaining({ code: "NAME_UNSAFE" }) as Error);
    }
  });

  it("is a locator also to another copy of the library", async () => {
    const locator = await saved("tar.gz");
    const state = new TreeState({});
    const stranger = Object.create(null, Object.getOwnPropertyDescriptors(locator)) as SnapshotLocator;
    Object.assign(stranger, { open: () => locator.open(), toString: () => String(locator) });
    await new StateStore(memoryBackend()).register("a", state).loadState(stranger);
    expect(digests(state.loaded)).toEqual(digests(TREE));
  });
});
