// Small files are read without waiting, in slices, as long as the storage answers at once.
import { mkdir, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileBackend, StateStore } from "snapkeep";
import { Faults, faultyFileSystem, nodeFileSystem } from "snapkeep/testing";
import { describe, expect, it } from "vitest";
import type { FileSystem, QuickFile } from "../../src/file/file_system.ts";
import { lendSmallFiles } from "../../src/file/small_files.ts";
import { temporaryFolder } from "../backend/temporary.ts";

const text = (bytes: Uint8Array | undefined) => bytes === undefined ? undefined : new TextDecoder().decode(bytes);

async function folderOf(count: number): Promise<string[]> {
  const folder = await temporaryFolder();
  const paths = Array.from({ length: count }, (_, index) => path.join(folder, `${index}.txt`));
  await Promise.all(paths.map((file, index) => writeFile(file, `content ${index}`)));
  return paths;
}

async function readAll(files: FileSystem, paths: readonly string[], mostBytes = 100): Promise<(string | undefined)[]> {
  const found: (string | undefined)[] = [];
  for await (const batch of lendSmallFiles(files, paths, mostBytes)) found.push(...batch.map(text));
  return found;
}

/** A file system whose quick calls take a while for some files. */
function slowFor(isSlow: (opened: number) => boolean): { files: FileSystem; opened: () => number } {
  let opened = 0;
  const openNow = (at: string): QuickFile => {
    if (isSlow(++opened)) { for (const sinceMs = performance.now(); performance.now() - sinceMs < 5;); }
    return nodeFileSystem.openNow?.(at) as QuickFile;
  };
  return { files: { ...nodeFileSystem, openNow }, opened: () => opened };
}

describe("lendSmallFiles", () => {
  it("reads files in order, an empty one too", async () => {
    const paths = await folderOf(700);
    await writeFile(paths[3] as string, "");
    const found = await readAll(nodeFileSystem, paths);
    // A machine that is busy may make the rest go through the pool, which is another test's.
    const read = found.slice(0, found.includes(undefined) ? found.indexOf(undefined) : undefined);
    expect(read).toEqual(paths.map((_, index) => index === 3 ? "" : `content ${index}`).slice(0, read.length));
    expect(found).toHaveLength(700);
  });

  it("leaves what is absent, large, a folder or a link to who opens it", async () => {
    const [first, large, link] = await folderOf(3) as [string, string, string];
    await writeFile(large, "x".repeat(101));
    const [folder, linked] = [`${link}.folder`, `${link}.link`];
    await mkdir(folder);
    await symlink(first, linked);
    expect(await readAll(nodeFileSystem, [`${first}.absent`, large, folder, linked])).toEqual(Array(4).fill(undefined));
  });

  it("goes to the pool for good once a file took longer than 2 ms", async () => {
    const { files, opened } = slowFor((count) => count === 1);
    const found = await readAll(files, await folderOf(40));
    expect(found.slice(1)).toEqual(Array(39).fill(undefined));
    expect(opened()).toBe(1);
  });

  it("makes the calls that opening a file makes, so that each can fail", async () => {
    const [file] = await folderOf(1) as [string];
    const faults = new Faults();
    await readAll(faultyFileSystem(nodeFileSystem, faults), [file]);
    expect(faults.calls.map(({ operation }) => operation)).toEqual(["open", "sizeBytes", "read", "close"]);
    expect(faults.open).toEqual([]);
    const failing = new Faults({ at: 1, only: ({ operation }) => operation === "read" });
    await expect(readAll(faultyFileSystem(nodeFileSystem, failing), [file])).rejects.toMatchObject({
      code: "STORAGE_FAILED",
    });
    expect(failing.open).toEqual([]);
  });
});

describe("a snapshot of many small entries on a storage that is slow", () => {
  it("is loaded, verified and exported as on a fast one", async () => {
    const { files, opened } = slowFor(() => true);
    const folder = await temporaryFolder();
    const entries = Object.fromEntries(Array.from({ length: 90 }, (_, index) => [`e${index}`, `content ${index}`]));
    const loaded: Record<string, string> = {};
    const store = new StateStore(fileBackend(folder, { fileSystem: files, durability: "none" })).register("state", {
      saveState(out) {
        for (const [name, content] of Object.entries(entries)) void out.write(name, content);
      },
      async loadState(from) {
        for (const { path: name } of from.entries) loaded[name] = await from.text(name);
      },
    });
    const snapshot = await store.saveState();
    await store.loadState(snapshot);
    expect(loaded).toEqual(entries);
    expect((await snapshot.verify()).isWhole).toBe(true);
    const copy = await snapshot.exportTo(`${folder}/copy.tar.gz`);
    expect((await copy.verify()).entries).toBe(90);
    expect(opened()).toBeLessThan(10);
  });
});
