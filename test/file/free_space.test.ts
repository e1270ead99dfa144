// What surely does not fit is refused before anything is written; what may fit is never refused.
import { readdir } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { fileBackend, isSnapshotError, memoryBackend, StateStore } from "snapkeep";
import { Faults, faultyFileSystem, nodeFileSystem } from "snapkeep/testing";
import { describe, expect, it } from "vitest";
import { assertRoom, freeBytesOf, mayBeRoot } from "../../src/file/free_space.ts";
import { Files, rejection, streamOf } from "../store/states.ts";
import { temporaryFolder } from "../backend/temporary.ts";

const MIB = 2 ** 20;
const EXT4 = 0xef53;
const TMPFS = 0x01021994;
const BTRFS = 0x9123683e;

async function placeWith(freeBytes: () => Promise<number | undefined>) {
  const folder = path.join(await temporaryFolder(), "states");
  const faults = new Faults();
  const backend = fileBackend(folder, { fileSystem: faultyFileSystem({ ...nodeFileSystem, freeBytes }, faults) });
  return { folder, backend, faults, written: () => faults.calls.filter(({ operation }) => operation === "write") };
}

const files = { "a.bin": new Uint8Array(600_000), "b.bin": new Uint8Array(500_000), "small": "x" };

describe("a save to a disk that has not enough room", () => {
  it("fails before anything is written, gives back its claim, and the next one succeeds when there is room", async () => {
    let free = MIB;
    const { backend, folder, written } = await placeWith(async () => free);
    const store = new StateStore(backend).register("files", new Files(files));
    const error = await rejection(store.saveState());
    expect(error).toMatchObject({ code: "STORAGE_FULL", details: { errno: "ENOSPC" } });
    expect(String(error)).toMatch(/1100000 bytes at least, and 1048576 are free/);
    expect(written()).toEqual([]);
    expect(await readdir(folder)).toEqual([]);
    free = 1_100_000;
    expect((await (await store.saveState()).verify()).isWhole).toBe(true);
  });

  it("is refused at the entry, where a state tells its sizes one after the other", async () => {
    const { backend, folder, written } = await placeWith(async () => 3 * MIB);
    const store = new StateStore(backend).register("one by one", {
      async saveState(out) {
        await out.write("small.bin", new Uint8Array(1000));
        await out.write("large.bin", streamOf(new Uint8Array(10)), { sizeBytes: 4 * MIB });
      },
      loadState() {},
    });
    expect(await rejection(store.saveState())).toMatchObject({ code: "STORAGE_FULL" });
    expect(written().every(({ path: file }) => !file.endsWith("large.bin"))).toBe(true);
    expect(await readdir(folder)).toEqual([]);
  });

  it("is refused as an import and as an export, by what the manifest tells", async () => {
    const source = await new StateStore(memoryBackend()).register("files", new Files(files)).saveState();
    const { backend, written } = await placeWith(async () => MIB);
    expect(await rejection(new StateStore(backend).importSnapshot(source))).toMatchObject({ code: "STORAGE_FULL" });
    expect(written()).toEqual([]);
    const archive = await new StateStore(backend).importSnapshot(source, { layout: "tar.gz" });
    expect((await archive.verify()).isWhole).toBe(true);
  });
});

describe("a save that may fit", () => {
  it("is not refused as an archive: what is compressed may become next to nothing", async () => {
    const { backend } = await placeWith(async () => 50_000);
    const store = new StateStore(backend, { layout: "tar.gz" }).register("files", new Files(files));
    expect((await (await store.saveState()).verify()).isWhole).toBe(true);
  });

  it("is not refused for files that may lie within their inodes", async () => {
    const { backend } = await placeWith(async () => 0);
    const many = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [String(index), new Uint8Array(4095)]));
    const store = new StateStore(backend).register("many", new Files(many));
    expect((await (await store.saveState()).verify()).isWhole).toBe(true);
  });

  it.each<[string, () => Promise<number | undefined>]>([
    ["is not known", () => Promise.resolve(undefined)],
    ["cannot be asked for", () => Promise.reject(Object.assign(new Error("no"), { name: "NotCapable" }))],
    ["makes the port throw", () => {
      throw new Error("no");
    }],
  ])("is not refused where the free space %s", async (_, freeBytes) => {
    const { backend } = await placeWith(freeBytes);
    const store = new StateStore(backend).register("files", new Files(files));
    expect((await (await store.saveState()).verify()).isWhole).toBe(true);
  });

  it("is not refused where it fits to the byte", async () => {
    const fileSystem = { ...nodeFileSystem, freeBytes: async () => 10 };
    await assertRoom(fileSystem, "/", 10);
    expect(isSnapshotError(await rejection(assertRoom(fileSystem, "/", 11)), "STORAGE_FULL")).toBe(true);
  });
});

describe("the free space of a file system", () => {
  const stat = { type: EXT4, bsize: 4096, blocks: 1000, bfree: 100, bavail: 60 };

  it("is what this user may take, and for root what is kept back too", () => {
    expect(freeBytesOf(stat, false)).toBe(60 * 4096);
    expect(freeBytesOf(stat, true)).toBe(100 * 4096);
  });

  it("is unknown where files are compressed, or the numbers make no sense", () => {
    expect(freeBytesOf({ ...stat, type: BTRFS }, true)).toBeUndefined();
    expect(freeBytesOf({ ...stat, type: 0 }, true)).toBeUndefined();
    expect(freeBytesOf({ ...stat, bsize: 0 }, true)).toBeUndefined();
    expect(freeBytesOf({ ...stat, bfree: 2 ** 60 }, true)).toBeUndefined();
  });

  it("is unknown where there is no limit, as on a tmpfs without a size, and nothing where all is taken", () => {
    expect(freeBytesOf({ type: TMPFS, bsize: 4096, blocks: 0, bfree: 0, bavail: 0 }, true)).toBeUndefined();
    expect(freeBytesOf({ type: TMPFS, bsize: 4096, blocks: 1000, bfree: 0, bavail: 0 }, true)).toBe(0);
  });

  it("is the number of the real file system, or unknown", async () => {
    const free = await nodeFileSystem.freeBytes?.(await temporaryFolder());
    expect(free === undefined || free > 0).toBe(true);
    expect(mayBeRoot()).toBe(process.getuid?.() === 0);
  });
});
