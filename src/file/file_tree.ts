// Walks over folders of the port: what lies below, and removing it. Links are never followed.
import { join } from "node:path";
import type { BlobInfo } from "../model/backend.ts";
import { mapBounded } from "../runtime/concurrency.ts";
import { errnoOf, isNotAllowed } from "../model/errors.ts";
import type { FileStat, FileSystem } from "./file_system.ts";
import { Haste } from "./haste.ts";

// Calls that end in the same turn of the event loop hold it up together.
const FOLDERS_AT_ONCE = 8;
const FILES_AT_ONCE = 16;
// Some ten names; thousands where a file system counts names in place of bytes.
const SMALL_FOLDER_BYTES = 4096;

/** What a runtime puts for bytes of a name that are not UTF-8; under such a name it finds nothing again. */
const REPLACED = "\u{FFFD}";

/** All that lies below a folder and is no folder itself, with paths relative to it. */
export async function* walkTree(files: FileSystem, root: string, below = ""): AsyncGenerator<BlobInfo> {
  const names = (await files.readFolder(join(root, below))).sort();
  const stats = await mapBounded(names, (name) => files.stat(join(root, below, name)));
  for (const [index, name] of names.entries()) {
    const stat = stats[index];
    const path = below === "" ? name : `${below}/${name}`;
    if (stat?.kind === "folder") yield* walkTree(files, root, path);
    else if (stat !== undefined) yield { path, sizeBytes: stat.sizeBytes, isRegular: stat.kind === "file" };
    else if (name.includes(REPLACED)) yield { path, sizeBytes: 0, isRegular: false };
  }
}

/** Runs a call within a folder; where rights are given back, once more after that if it was not allowed. */
export type InFolder = <T>(call: () => Promise<T>) => Promise<T>;

/** Gives its owner all rights on a folder before a call within it runs again, which was not allowed. */
export function unlocking(files: FileSystem, folder: string): InFolder {
  let unlocked: Promise<boolean> | undefined;
  return async (call) => {
    try {
      return await call();
    } catch (error) {
      if (!isNotAllowed(error)) throw error;
      unlocked ??= (async () => await files.unlockFolder?.(folder).then(() => true, () => false) ?? false)();
      if (!await unlocked) throw error;
      return await call();
    }
  };
}

/**
 * Removes a path and all below it; what has gone meanwhile is fine. With `givesRights`, which is meant for trash only, folders that
 * were made read-only are changed so that they can be emptied.
 */
export async function removeTree(files: FileSystem, path: string, givesRights = false): Promise<void> {
  const haste = new Haste(); // a trip to the thread pool to look at a file takes longer than to look
  const look = async (path: string) => {
    if (files.statNow === undefined || !haste.pays) return await files.stat(path);
    return haste.look(() => files.statNow?.(path));
  };
  const root = await look(path);
  if (root?.kind === "folder") {
    await removeFolder({ files, look, givesRights }, path, root, (call) => call(), FOLDERS_AT_ONCE);
  } else if (root !== undefined) await removeName(files, path);
}

/** How a tree is removed. */
interface Removal {
  readonly files: FileSystem;
  readonly look: (path: string) => Promise<FileStat | undefined>;
  readonly givesRights: boolean;
}

/** Removes a folder: first its files, then the folders in it, `atOnce` of them at once and those below one after the other. */
async function removeFolder(
  removal: Removal,
  path: string,
  { sizeBytes }: FileStat,
  inParent: InFolder,
  atOnce: number,
): Promise<void> {
  const { files, look, givesRights } = removal;
  const inFolder: InFolder = givesRights ? unlocking(files, path) : (call) => call();
  const names = await inFolder(() =>
    unlessGone(files.readFolder(path, sizeBytes > 0 && sizeBytes <= SMALL_FOLDER_BYTES))
  );
  const folders: [path: string, stat: FileStat][] = [];
  await mapBounded(names ?? [], async (name) => {
    const child = join(path, name);
    const stat = await inFolder(() => look(child));
    if (stat?.kind === "folder") folders.push([child, stat]);
    else if (stat !== undefined) await inFolder(() => removeName(files, child));
  }, FILES_AT_ONCE);
  await mapBounded(folders, ([folder, stat]) => removeFolder(removal, folder, stat, inFolder, 1), atOnce);
  await inParent(() => unlessGone(files.removeFolder(path)));
}

/** Removes a file's name; resolves to whether it was there. */
export async function removeName(files: FileSystem, path: string): Promise<boolean> {
  return await unlessGone(files.removeFile(path).then(() => true)) ?? false;
}

/** Lets an operation fail because its path is not there. */
export async function unlessGone<T>(operation: Promise<T>): Promise<T | undefined> {
  try {
    return await operation;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
