// The places a modelled store lies at: each can be damaged beneath the store, and each can lose a program in the middle of a
// save. Where only the program dies, all that it did stays; where the machine does, what was not synced may be lost.
import { readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { type Backend, fileBackend, memoryBackend } from "snapkeep";
import { Faults, faultyBackend, faultyFileSystem, nodeFileSystem } from "snapkeep/testing";
import { fastFolder } from "../backend/temporary.ts";
import { CrashFileSystem, seeded, type Tree } from "../torture/crash_file_system.ts";

/** What is done to a file of a snapshot. */
export type Damage = "flip" | "truncate" | "remove";

/** What can be done to a place. */
export interface ModelPlace {
  /** The place, as a program that begins now sees it. */
  open(): Backend;
  /** Paths of the files of a unit, in order; one empty path for an archive. */
  filesOf(unit: string): Promise<string[]>;
  /** Damages one; `at`, from 0 to 1, is where. */
  damage(unit: string, file: string, how: Damage, at: number): Promise<void>;
  /** Runs something that dies at its `at`-th call; the place is then as the next program finds it. */
  dieAt(at: number, seed: number, run: (backend: Backend) => Promise<void>): Promise<void>;
}

const withoutSlash = (unit: string) => unit.replace(/\/$/, "");

function damaged(bytes: Uint8Array, how: Damage, at: number): Uint8Array | undefined {
  if (how === "remove") return undefined;
  const index = Math.min(Math.floor(at * bytes.length), bytes.length - 1);
  if (how === "truncate") return bytes.slice(0, index);
  const copy = bytes.slice();
  copy[index] = (copy[index] ?? 0) ^ (1 << Math.floor(at * 8_000) % 8);
  return copy;
}

/** A place in memory. What dies there dies by a backend that fails from some call on. */
export function memoryPlace(): ModelPlace {
  let backend = memoryBackend();
  const place: ModelPlace = {
    open: () => backend,
    async filesOf(unit) {
      const files: string[] = [];
      for await (const blob of backend.blobs(unit)) files.push(blob.path);
      return files.sort();
    },
    async damage(unit, file, how, at) {
      // Committed blobs cannot be changed: all is written anew, one blob differently.
      const next = memoryBackend();
      for await (const other of backend.list()) await copyUnit(backend, next, other, unit, file, how, at);
      for await (const name of backend.notes.list()) {
        await next.notes.put(name, await backend.notes.get(name) ?? new Uint8Array());
      }
      backend = next;
    },
    async dieAt(at, _seed, run) {
      await run(faultyBackend(backend, new Faults({ at, forever: true })));
    },
  };
  return place;
}

async function copyUnit(from: Backend, to: Backend, unit: string, ...change: [string, string, Damage, number]) {
  const [changedUnit, changedFile, how, at] = change;
  const stage = await to.stage(unit);
  const blobs: [string, Uint8Array][] = [];
  for await (const { path: file } of from.blobs(unit)) {
    const blob = await from.open(unit, file);
    const bytes = await blob?.read(0, blob.sizeBytes) ?? new Uint8Array();
    const isChanged = unit === changedUnit && file === changedFile;
    const next = isChanged ? damaged(bytes, how, at) : bytes;
    if (next !== undefined) blobs.push([file, next]);
  }
  const commit = blobs.find(([file]) => file === "manifest.json" || file === "");
  for (const [file, bytes] of blobs) if (file !== commit?.[0]) await stage.write(file, [bytes]);
  if (commit === undefined) await stage.abandon();
  else await stage.publish(commit[0], [commit[1]]);
}

/** A folder on the real file system. What dies there dies by a file system that fails from some call on. */
export async function filePlace(): Promise<ModelPlace> {
  const folder = path.join(await fastFolder(), "states");
  return {
    open: () => fileBackend(folder, { durability: "none" }),
    async filesOf(unit) {
      if (!unit.endsWith("/")) return [""];
      const names = await readdir(path.join(folder, unit), { recursive: true, withFileTypes: true });
      return names.filter((name) => name.isFile())
        .map((name) => path.relative(path.join(folder, unit), path.join(name.parentPath, name.name))).sort();
    },
    async damage(unit, file, how, at) {
      const target = path.join(folder, withoutSlash(unit), file);
      const bytes = damaged(await readFile(target), how, at);
      if (bytes === undefined) await rm(target);
      else if (how === "truncate") await truncate(target, bytes.length);
      else await writeFile(target, bytes);
    },
    async dieAt(at, _seed, run) {
      const fileSystem = faultyFileSystem(nodeFileSystem, new Faults({ at, forever: true }));
      await run(fileBackend(folder, { durability: "none", fileSystem }));
    },
  };
}

const ROOT = "/states";

/** A folder on the file system that forgets. What dies there dies with its machine. */
export function crashPlace(): ModelPlace {
  let files = new CrashFileSystem();
  const pathOf = (unit: string, file: string) =>
    [ROOT, withoutSlash(unit), file].filter((part) => part !== "").join("/");
  return {
    open: () => fileBackend(ROOT, { fileSystem: files }),
    async filesOf(unit) {
      const start = `${pathOf(unit, "")}/`;
      if (!unit.endsWith("/")) return [""];
      return [...files.tree()].filter(([name, bytes]) => name.startsWith(start) && bytes !== null)
        .map(([name]) => name.slice(start.length)).sort();
    },
    async damage(unit, file, how, at) {
      const tree = new Map(files.tree());
      const target = pathOf(unit, file);
      const bytes = damaged(tree.get(target) ?? new Uint8Array(), how, at);
      if (bytes === undefined) tree.delete(target);
      else tree.set(target, bytes);
      files = CrashFileSystem.of(tree);
    },
    async dieAt(at, seed, run) {
      let calls = 0;
      let left: Tree | undefined;
      files.onCall = () => {
        if (++calls === at) left = pick(files, seed);
      };
      await run(fileBackend(ROOT, { fileSystem: files }));
      files.onCall = undefined;
      left ??= pick(files, seed);
      files = CrashFileSystem.of(left);
    },
  };
}

/** One of the trees that may survive, drawn by a seed. */
function pick(files: CrashFileSystem, seed: number): Tree {
  const random = seeded(seed);
  const trees = [...files.survivors(random, 3, 8)];
  return trees[Math.floor(random() * trees.length)] ?? new Map();
}
