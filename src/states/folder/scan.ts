// What a folder holds: every path below it, sorted, parents first. Nothing is opened and no link is followed.
import { join } from "node:path";
import { lookAt, namesIn, type RealNode } from "../../file/real_tree.ts";
import { Pace } from "../../runtime/concurrency.ts";
import { addRulesOf, type IgnoreLists } from "./ignore.ts";
import type { StorePlaces } from "./store_places.ts";

/** A path below the folder. */
export interface FoundNode extends RealNode {
  /** The path. */
  readonly path: string;
  /** For folders, whether something below is ignored or excluded, which must stay where it is. */
  holdsKept: boolean;
}

/** Name of the folder in which a restore stages, within the folder; and beside it with the folder's name between. */
export const STAGING_NAME = ".snapkeep-restore";

/** Whether a file name is that of a folder in which restores stage. */
export function isStaging(name: string): boolean {
  return name.startsWith(".") && name.toLowerCase().endsWith(STAGING_NAME); // case does not count on some file systems
}

/** What to leave out. */
export interface ScanOptions {
  /** Rules of the folder; rules of its own files are added. */
  readonly lists: IgnoreLists;
  /** Names of files that hold rules. */
  readonly fileNames: readonly string[];
  /** Rules beside those. */
  readonly also?: IgnoreLists | undefined;
  /** Places of snapshots. */
  readonly places: StorePlaces;
  /** Called with the full path of each folder in which restores of folders below stage. */
  readonly onStaging?: (path: string) => void;
}

/** All paths below a folder that are neither ignored nor excluded. */
export async function scan(root: string, options: ScanOptions): Promise<Map<string, FoundNode>> {
  const { lists, fileNames, also, places, onStaging } = options;
  const found = new Map<string, FoundNode>();
  const pace = new Pace();
  const keep = (folder: string): void => {
    for (let path = folder; path !== ""; path = parentOf(path)) (found.get(path) as FoundNode).holdsKept = true;
  };
  const walk = async (folder: string): Promise<void> => {
    const names = namesIn(join(root, folder));
    addRulesOf(lists, root, folder, fileNames.filter((name) => names.includes(name)));
    for (const name of names) {
      if (pace.isDue) await pace.rest();
      const path = folder === "" ? name : `${folder}/${name}`;
      const node = lookAt(join(root, path));
      if (node === undefined) {
        if (name.includes("\ufffd")) {
          throw new TypeError(`Cannot save "${path}": its name is not valid UTF-8; rename or ignore it`);
        }
        continue; // it has gone meanwhile
      }
      const isFolder = node.kind === "folder";
      if (isFolder && isStaging(name)) onStaging?.(join(root, path));
      const isKept = places.has(path, node) || isStaging(name) ||
        lists.ignores(path, isFolder) || (also?.ignores(path, isFolder) ?? false);
      if (isKept) {
        keep(folder);
        continue;
      }
      found.set(path, { ...node, path, holdsKept: false });
      if (isFolder) await walk(path);
    }
  };
  await walk("");
  return found;
}

/** The folder of a path; `""` for the root. */
export function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}
