// One folder that holds units: where each lies, how it is removed, and what is swept out of it.
import { join } from "node:path";
import { mapBounded } from "../words/bounded.ts";
import { systemMs } from "../words/clock.ts";
import { errnoOf } from "../words/errors.ts";
import { loggerOf } from "../words/logging.ts";
import { isGroup, MANIFEST_PATH, type Unit } from "../words/unit.ts";
import type { Syncer } from "./durability.ts";
import type { FileStat, FileSystem } from "./file_system.ts";
import { removeTree, unlessGone } from "./file_tree.ts";
import { Heartbeat, STALE_AFTER_MS } from "./heartbeat.ts";
import { claimName, type HiddenKind, type HiddenName, parseHiddenName, tokenName } from "./hidden_name.ts";

/** A folder of units, the file system it is on, and how it is made durable. */
export interface FilePlace {
  /** Absolute path of the folder. */
  readonly root: string;
  /** The file system. */
  readonly files: FileSystem;
  /** Makes files and folders durable. */
  readonly sync: Syncer;
}

/** Path of a unit. */
export function pathOfUnit(place: FilePlace, unit: Unit): string {
  return join(place.root, isGroup(unit) ? unit.slice(0, -1) : unit);
}

/** Removes a path of the place: invisible at once, durably, then deleted. Resolves to `false` where it had gone. */
export async function removeToTrash(place: FilePlace, path: string): Promise<boolean> {
  const { files, root, sync } = place;
  const trashPath = join(root, tokenName("trash"));
  try {
    if (await unlessGone(files.rename(path, trashPath).then(() => true)) === undefined) return false;
  } catch (error) {
    // An overlay moves no folder of a lower layer, so that is deleted where it lies.
    if (errnoOf(error) !== "EXDEV" || !await uncommit(place, path)) throw error;
    await orLater(path, () => removeTree(files, path));
    return true;
  }
  await sync.folder(root);
  await orLater(trashPath, () => removeTree(files, trashPath));
  return true;
}

/** Takes a folder's manifest, durably: whatever is left of it from here on is no snapshot. Resolves to whether it is a folder. */
async function uncommit({ files, sync }: FilePlace, path: string): Promise<boolean> {
  if ((await files.stat(path))?.kind !== "folder") return false;
  if (await unlessGone(files.removeFile(join(path, MANIFEST_PATH)).then(() => true))) await sync.folder(path);
  return true;
}

async function orLater(path: string, deletion: () => Promise<void>): Promise<void> {
  try {
    await deletion();
  } catch (error) {
    loggerOf("FileBackend").warn("Cannot delete '{path}', it is left to the next sweep: {error}", { path, error });
  }
}

/** Removes what a dead writer left of a snapshot's name, so that it can be claimed again. */
export async function sweepName(place: FilePlace, name: string): Promise<void> {
  if (!await isStale(place, { fileName: claimName(name), kind: "claim" }, STALE_AFTER_MS)) return;
  const fileNames = await place.files.readFolder(place.root);
  await sweepPlace(place, fileNames.filter((fileName) => parseHiddenName(fileName)?.name === name), STALE_AFTER_MS);
}

async function emptyTrash(place: FilePlace, path: string): Promise<void> {
  // If the sync of its removal failed, no later one proves that it cannot come back; and a part must not, as a snapshot.
  await uncommit(place, path);
  await removeTree(place.files, path);
}

/** Whether something is as we make it; else somebody else gave it a name that looks like one of ours. */
function isOurs(kind: HiddenKind, stat: FileStat): boolean {
  switch (kind) {
    case "claim":
    case "lock":
      return stat.kind === "file" && stat.sizeBytes === 0;
    case "scratch":
      return stat.kind === "file";
    case "stage":
    case "work":
      return stat.kind === "folder";
    case "trash":
      return true; // whatever was removed
  }
}

/**
 * Whether something is ours and nobody touched it for so long; what this program touches lives, unless the limit is below zero.
 * A time that far in the future was written before the clock was set back, and is no sign of life either.
 */
async function isStale(
  { files, root }: FilePlace,
  { fileName, kind }: Pick<HiddenName, "fileName" | "kind">,
  olderThanMs: number,
): Promise<boolean> {
  const path = join(root, fileName);
  if (olderThanMs >= 0 && Heartbeat.isBeating(path)) return false;
  const stat = await files.stat(path);
  if (stat === undefined || !isOurs(kind, stat)) return false;
  return olderThanMs < 0 || Math.abs(systemMs() - stat.modifiedAtMs) > olderThanMs;
}

/** Removes what dead writers and unfinished removals left among these names of the place; see `Backend.sweep`. */
export async function sweepPlace(
  place: FilePlace,
  fileNames: readonly string[],
  olderThanMs: number,
): Promise<Unit[]> {
  const { files, root } = place;
  const hidden = fileNames.map(parseHiddenName).filter((name): name is HiddenName => name !== undefined);
  const isDead = (each: HiddenName) => isStale(place, each, olderThanMs);
  const claims = hidden.filter(({ kind }) => kind === "claim");
  const living = new Set<string>();
  await mapBounded(hidden, async (each) => {
    if ((each.kind === "claim" || each.kind === "stage") && !await isDead(each)) living.add(each.name);
  });
  // Whoever removed it may have died before this; deleting what a power loss brings back would leave a part of it.
  if (hidden.some(({ kind }) => kind === "trash")) await place.sync.folder(root);
  const swept: Unit[] = [];
  let failure: { readonly error: unknown } | undefined;
  for (const each of hidden) {
    const { fileName, kind, name, unit } = each;
    const path = join(root, fileName);
    if (kind === "trash") await orLater(path, () => emptyTrash(place, path));
    else if (kind === "claim" || living.has(name) || !await isDead(each)) continue;
    else {
      try {
        if (await removeToTrash(place, path) && kind === "stage") swept.push(unit);
      } catch (error) {
        failure ??= { error };
        living.add(name); // its claim stands as long as its stage does
      }
    }
  }
  // Claims last: while a claim stands, nobody else can take the name of a stage that is being removed. Looked at again, for
  // another sweep may have removed it meanwhile, and this one be that of a writer who lives.
  for (const each of claims) {
    if (living.has(each.name) || !await isDead(each)) continue;
    await unlessGone(files.removeFile(join(root, each.fileName))).catch((error) => failure ??= { error });
  }
  if (failure !== undefined) throw failure.error;
  return swept.sort();
}
