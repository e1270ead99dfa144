// What a restore has to do: the difference between what a snapshot has and what lies in the folder. Writes nothing.
import { join } from "node:path";
import { piecesOf, readSteady, targetOf } from "../../file/real_tree.ts";
import { Pace } from "../../runtime/concurrency.ts";
import { Digester, digestOf } from "../../runtime/digest.ts";
import type { SavedNode } from "./index.ts";
import { type FoundNode, parentOf } from "./scan.ts";

/** Files up to this size are read at once. */
export const SMALL_BYTES: number = 8 * 1024 * 1024;

/** What a restore would do. Paths are relative to the folder; those of folders end with a slash. */
export interface FolderPreview {
  /** What the snapshot has and the folder lacks. */
  readonly added: readonly string[];
  /** What the folder has otherwise: other bytes, another target, another executable bit, another kind. */
  readonly changed: readonly string[];
  /** What the folder has and the snapshot lacks. */
  readonly deleted: readonly string[];
}

/** One step of a restore; each is one rename, or makes one folder. */
export type Step =
  | { readonly do: "move out"; readonly path: string }
  | { readonly do: "make folder"; readonly path: string }
  | { readonly do: "move in"; readonly path: string };

/** What to do, in order, and what it comes to. */
export interface RestorePlan extends FolderPreview {
  /** The steps. */
  readonly steps: readonly Step[];
}

/**
 * Compares a snapshot with a folder.
 *
 * @param root The folder.
 * @param wanted What the snapshot has, parents first, without what is ignored.
 * @param found What lies there, parents first, without what is ignored; `undefined` where there is no folder.
 * @throws {TypeError} If what is ignored would have to go.
 */
export async function planRestore(
  root: string,
  wanted: ReadonlyMap<string, SavedNode>,
  found: ReadonlyMap<string, FoundNode> | undefined,
): Promise<RestorePlan> {
  const added: string[] = [];
  const changed: string[] = [];
  const deleted: string[] = [];
  const out: string[] = [];
  const folders: string[] = [];
  const files: string[] = [];
  const gone = new Set<string>();
  const pace = new Pace();
  for (const [path, node] of found ?? []) {
    if (pace.isDue) await pace.rest();
    const saved = wanted.get(path);
    const isSame = saved !== undefined && await isEqual(join(root, path), saved, node);
    if (isSame) continue;
    const shown = node.kind === "folder" ? `${path}/` : path;
    if (saved === undefined) (node.holdsKept ? [] : deleted).push(shown);
    if (gone.has(parentOf(path))) {
      gone.add(path); // it goes with its folder
      continue;
    }
    if (node.kind === "folder" && node.holdsKept) {
      if (saved === undefined) continue;
      throw new TypeError(
        `Cannot restore "${path}", a ${saved.kind}: in the folder of this name lies what is ignored; move it away`,
      );
    }
    gone.add(path);
    out.push(path);
  }
  for (const [path, node] of wanted) {
    const there = found?.get(path);
    if (there !== undefined && !gone.has(path)) continue;
    const shown = node.kind === "folder" ? `${path}/` : path;
    (there === undefined ? added : changed).push(shown);
    (node.kind === "folder" ? folders : files).push(path);
  }
  const steps: Step[] = [
    ...out.map((path) => ({ do: "move out", path }) as const),
    ...found === undefined ? [{ do: "make folder", path: "" } as const] : [],
    ...folders.map((path) => ({ do: "make folder", path }) as const),
    ...files.map((path) => ({ do: "move in", path }) as const),
  ];
  return { added, changed, deleted, steps };
}

async function isEqual(path: string, saved: SavedNode, { kind, ...found }: FoundNode): Promise<boolean> {
  if (kind !== saved.kind) return false;
  if (saved.kind === "folder") return true;
  if (saved.kind === "link") return targetOf(path) === saved.target;
  if (found.sizeBytes !== saved.entry.sizeBytes || found.isExecutable !== saved.isExecutable) return false;
  try {
    if (found.sizeBytes <= SMALL_BYTES) {
      const bytes = readSteady(path)?.bytes;
      return bytes !== undefined && digestOf(bytes) === saved.entry.digest;
    }
    const digester = new Digester();
    for await (const piece of piecesOf(path, { kind, ...found })) digester.update(piece);
    return digester.digest() === saved.entry.digest;
  } catch (error) {
    if (error instanceof TypeError) return false; // it changes while it is read
    throw error;
  }
}
