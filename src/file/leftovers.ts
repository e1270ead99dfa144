// What writers that died have left in a folder, for a report. Removes nothing: `Backend.sweep` decides that by itself.
import { join } from "node:path";
import { mapBounded } from "../runtime/concurrency.ts";
import { systemMs } from "../runtime/clock.ts";
import type { FileSystem } from "./file_system.ts";
import { unlessGone } from "./file_tree.ts";
import { type HiddenKind, parseHiddenName } from "./hidden_name.ts";
import { nodeFileSystem } from "./node_file_system.ts";

/** A hidden file or folder of a writer, living or dead. */
export interface Leftover {
  /** Its file name. */
  readonly fileName: string;
  /** What it is. */
  readonly kind: HiddenKind;
  /** Name of the snapshot it belongs to, if it belongs to one. */
  readonly name: string;
  /** Time since its last heartbeat, in milliseconds. */
  readonly idleMs: number;
}

/**
 * Lists the hidden files and folders of writers in a folder. A living writer has some as well: its `idleMs` is small.
 *
 * @param folder Absolute path.
 * @param files The file system.
 * @returns What lies there, in order of file names; none where there is no folder.
 * @throws {SnapshotError} `STORAGE_FAILED`.
 */
export async function leftoversIn(folder: string, files: FileSystem = nodeFileSystem): Promise<Leftover[]> {
  const names = (await unlessGone(files.readFolder(folder)) ?? []).sort();
  const found = await mapBounded(names, async (fileName): Promise<Leftover | undefined> => {
    const hidden = parseHiddenName(fileName);
    const stat = hidden && await files.stat(join(folder, fileName));
    if (hidden === undefined || stat === undefined) return undefined;
    return { fileName, kind: hidden.kind, name: hidden.name, idleMs: Math.max(0, systemMs() - stat.modifiedAtMs) };
  });
  return found.filter((each) => each !== undefined);
}
