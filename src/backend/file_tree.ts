// Walks over folders of the port: what lies below, and removing it. Links are never followed.
import { join } from "node:path";
import type { BlobInfo } from "../words/backend.ts";
import { mapBounded } from "../words/bounded.ts";
import { errnoOf } from "../words/errors.ts";
import type { FileSystem } from "./file_system.ts";

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

/** Removes a path and all below it; what has gone meanwhile is fine. */
export async function removeTree(files: FileSystem, path: string): Promise<void> {
  const stat = await files.stat(path);
  if (stat === undefined) return;
  if (stat.kind !== "folder") return await unlessGone(files.removeFile(path));
  const names = await unlessGone(files.readFolder(path));
  await mapBounded(names ?? [], (name) => removeTree(files, join(path, name)));
  await unlessGone(files.removeFolder(path));
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
