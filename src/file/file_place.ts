// One folder that holds units: where each lies, how it is removed, and what is swept out of it.
import { join } from "node:path";
import { mapBounded } from "../runtime/concurrency.ts";
import { systemMs } from "../runtime/clock.ts";
import { showAddress } from "../model/address.ts";
import { errnoOf, reasonOf } from "../model/errors.ts";
import { warnUser } from "../runtime/logging.ts";
import { isGroup, MANIFEST_PATH, type Unit } from "../model/unit.ts";
import type { Syncer } from "./durability.ts";
import type { FileStat, FileSystem } from "./file_system.ts";
import { type InFolder, removeTree, unlessGone, unlocking } from "./file_tree.ts";
import { Heartbeat } from "./heartbeat.ts";
import { STALE_AFTER_MS } from "../model/backend.ts";
import { claimName, type HiddenKind, type HiddenName, makerOf, parseHiddenName, tokenName } from "./hidden_name.ts";
import { sweepLock, sweepLockOwner } from "./note_lock.ts";

// Between the claim of a name and its stage lie a few system calls.
const CLAIM_ALONE_MS = 10_000;

/** A folder of units, the file system it is on, and how it is made durable. */
export interface FilePlace {
  /** Absolute path of the folder. */
  readonly root: string;
  /** The file system. */
  readonly files: FileSystem;
  /** Makes files and folders durable. */
  readonly sync: Syncer;
  /** As `files.stat`, without a trip to the thread pool where the place was listed before and its storage answers at once. */
  look(path: string, followsLink?: boolean): Promise<FileStat | undefined>;
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
    if (errnoOf(error) !== "EXDEV" || !await uncommit(place, path, (call) => call())) throw error;
    await orLater(place, path, () => removeTree(files, path));
    return true;
  }
  await sync.folder(root);
  await orLater(place, trashPath, () => removeTree(files, trashPath, true));
  return true;
}

/** Takes a folder's manifest, durably: whatever is left of it from here on is no snapshot. Resolves to whether it is a folder. */
async function uncommit({ files, sync }: FilePlace, path: string, inFolder: InFolder): Promise<boolean> {
  if ((await files.stat(path))?.kind !== "folder") return false;
  const takeManifest = () => unlessGone(files.removeFile(join(path, MANIFEST_PATH)).then(() => true));
  if (await inFolder(takeManifest)) await sync.folder(path);
  return true;
}

/** Deletes something; where that fails, warns that its room is not free and leaves it to the next sweep. */
export async function orLater({ root }: FilePlace, path: string, deletion: () => Promise<void>): Promise<void> {
  try {
    await deletion();
  } catch (error) {
    const message = `Cannot delete ${showAddress(path)}: ${
      reasonOf(error)
    }; its room is not free until a sweep can delete it`;
    warnUser({ className: "FileBackend", kind: "ROOM_NOT_FREED", address: root, message });
  }
}

/** Removes what a dead writer left of a snapshot's name, so that it can be claimed again. */
export async function sweepName(place: FilePlace, name: string): Promise<void> {
  if (await staleSince(place, { fileName: claimName(name), kind: "claim" }, STALE_AFTER_MS) === undefined) return;
  const fileNames = await place.files.readFolder(place.root);
  await sweepPlace(place, fileNames.filter((fileName) => parseHiddenName(fileName)?.name === name), STALE_AFTER_MS);
}

async function emptyTrash(place: FilePlace, path: string): Promise<void> {
  // If the sync of its removal failed, no later one proves that it cannot come back; and a part must not, as a snapshot.
  await uncommit(place, path, unlocking(place.files, path));
  await removeTree(place.files, path, true);
}

/** Whether something is as we make it; else another program gave it a name that looks like one of ours. */
function isOurs(kind: Exclude<HiddenKind, "lock" | "lock-owner">, stat: FileStat): boolean {
  switch (kind) {
    case "claim":
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
 * The time of the last heartbeat of a file that is ours, if that is longer ago than allowed.
 * A time that far in the future was written before the clock was set back, and does not count either.
 */
async function staleSince(
  { files, root }: FilePlace,
  { fileName, kind }: { readonly fileName: string; readonly kind: Exclude<HiddenKind, "lock" | "lock-owner"> },
  limitMs: number,
): Promise<number | undefined> {
  const path = join(root, fileName);
  if (limitMs >= 0 && Heartbeat.isBeating(path)) return undefined;
  const stat = await files.stat(path);
  if (stat === undefined || !isOurs(kind, stat)) return undefined;
  return limitMs < 0 || Math.abs(systemMs() - stat.modifiedAtMs) > limitMs ? stat.modifiedAtMs : undefined;
}

/** How old a heartbeat may be; what this process writes is not swept within the ordinary limit. */
function limitOf(each: HiddenName, stages: readonly HiddenName[], olderThanMs: number): number {
  if (olderThanMs < 0) return olderThanMs;
  if (each.kind === "claim") {
    // A writer claims its name first, and makes its stage a moment later.
    if (stages.length === 0) return Math.max(olderThanMs, CLAIM_ALONE_MS);
    return Math.max(...stages.map((stage) => limitOf(stage, [], olderThanMs)));
  }
  switch (makerOf(each.token ?? "")) {
    case "this copy":
      return Heartbeat.isBeatingFor(each.fileName) ? Infinity : olderThanMs;
    case "this process": // another thread, or another copy of the library, whose heartbeats are not known here
      return Math.max(olderThanMs, STALE_AFTER_MS);
    case "another":
      return olderThanMs;
  }
}

/** Removes what dead writers and unfinished removals left among these names of the place; see `Backend.sweep`. */
export async function sweepPlace(
  place: FilePlace,
  fileNames: readonly string[],
  olderThanMs: number,
): Promise<Unit[]> {
  const { files, root } = place;
  const hidden = fileNames.map(parseHiddenName).filter((name): name is HiddenName => name !== undefined);
  const stages = new Map<string, HiddenName[]>();
  for (const each of hidden) {
    if (each.kind === "stage") stages.set(each.name, [...stages.get(each.name) ?? [], each]);
  }
  const deadSince = async (each: HiddenName) => {
    const { fileName, kind, name } = each;
    if (kind === "lock" || kind === "lock-owner") return undefined;
    return await staleSince(place, { fileName, kind }, limitOf(each, stages.get(name) ?? [], olderThanMs));
  };
  const claims = new Map<HiddenName, number>();
  const living = new Set<string>();
  await mapBounded(hidden, async (each) => {
    if (each.kind !== "claim" && each.kind !== "stage") return;
    const since = await deadSince(each);
    if (since === undefined) living.add(each.name);
    else if (each.kind === "claim") claims.set(each, since);
  });
  // The program that removed it may have died before this; deleting what a power loss brings back would leave a part of it.
  if (hidden.some(({ kind }) => kind === "trash")) await place.sync.folder(root);
  const swept: Unit[] = [];
  let failure: { readonly error: unknown } | undefined;
  for (const each of hidden) {
    const { fileName, kind, name, unit } = each;
    const path = join(root, fileName);
    try {
      if (kind === "trash") await orLater(place, path, () => emptyTrash(place, path));
      else if (kind === "lock") await sweepLock(place, name, olderThanMs);
      else if (kind === "lock-owner") await sweepLockOwner(place, name, olderThanMs);
      else if (kind === "claim" || living.has(name) || await deadSince(each) === undefined) continue;
      else if (await removeToTrash(place, path) && kind === "stage") swept.push(unit);
    } catch (error) {
      failure ??= { error };
      if (kind === "stage") living.add(name); // its claim stands as long as its stage does
    }
  }
  // Claims last: while a claim stands, no other writer can take the name of a stage that is being removed. Looked at again, for
  // another sweep may have removed it meanwhile, and this one be that of a writer who lives.
  for (const [each, since] of claims) {
    if (living.has(each.name) || await deadSince(each) !== since && olderThanMs >= 0) continue;
    await unlessGone(files.removeFile(join(root, each.fileName))).catch((error) => failure ??= { error });
  }
  if (failure !== undefined) throw failure.error;
  return swept.sort();
}
