// The notes beside snapshots, which retention and resuming believe without opening snapshots. A pin must be noted before there is
// anything to remove, what a dead writer of the same name noted must be gone, and no change may undo another.
import { errnoOf, hasNoRoom, isSnapshotError, SnapshotError } from "../model/errors.ts";
import { parseNote, renderNote } from "../manifest/labels.ts";
import { showAddress, uriOfUnit } from "../model/address.ts";
import type { Backend } from "../model/backend.ts";
import { loggerOf } from "../runtime/logging.ts";
import type { Labels } from "../model/snapshot.ts";
import { commitPathOf, type Unit, UNIT_SUFFIXES } from "../model/unit.ts";

/**
 * Notes the pin of a snapshot that is to be published under a claimed name.
 *
 * @returns Whether there is a note that {@link dropPin} must take back if the snapshot is not published.
 */
export async function notePin(backend: Backend, name: string, labels: Labels): Promise<boolean> {
  if (!await hasFreeNote(backend, name) || !labels.pinned) return false;
  try {
    await backend.notes.put(name, renderNote(labels));
    return true;
  } catch (error) {
    await dropPin(backend, name, error);
    throw error;
  }
}

/** Takes back what {@link notePin} noted, where `error` ended the save; the name must still be claimed. */
export async function dropPin(backend: Backend, name: string, error: unknown): Promise<void> {
  if (isAnothers(error)) return;
  try {
    await backend.notes.remove(name);
  } catch (error) {
    const message = "Cannot remove the note of '{name}', which was never saved: {error}";
    loggerOf("StateStore").warn(message, { name, error });
  }
}

// Changes of notes that are under way in this program, by address; the last one of each.
const changing = new Map<string, Promise<unknown>>();

/** Changes the note of a snapshot that exists: no other program changes it while `change` reads and puts it. */
export async function changeNote<T>(backend: Backend, name: string, change: () => Promise<T>): Promise<T> {
  return await inTurn(backend, name, async () => {
    const unlock = await lockToChange(backend, name);
    try {
      if (await isThere(backend, name)) return await change();
      throw nothingToLabel(backend, name);
    } finally {
      await unlock?.();
    }
  });
}

/** The lock of a note; without a snapshot, where a folder may be missing as well, the error is that. */
async function lockToChange(backend: Backend, name: string): Promise<(() => Promise<void>) | undefined> {
  try {
    return await backend.notes.lock?.(name);
  } catch (error) {
    throw errnoOf(error) === "ENOENT" && !await isThere(backend, name) ? nothingToLabel(backend, name) : error;
  }
}

function nothingToLabel(backend: Backend, name: string): SnapshotError {
  const reason = "there is no such snapshot; store.list() has all";
  const message = `Cannot label ${showAddress(uriOfUnit(backend, name))}: ${reason}`;
  return new SnapshotError("SNAPSHOT_NOT_FOUND", message, { uri: backend.uri + name });
}

/** Within this program, what is done to one note waits for what was asked for before. */
async function inTurn<T>(backend: Backend, name: string, work: () => Promise<T>): Promise<T> {
  const address = backend.uri + name;
  const before = changing.get(address);
  const mine = (async () => {
    await before?.catch(() => {}); // its own caller gets the error
    return await work();
  })();
  changing.set(address, mine);
  try {
    return await mine;
  } finally {
    if (changing.get(address) === mine) changing.delete(address);
  }
}

/**
 * Removes what lies under a name, and its note unless the name lies in another layout as well. No program labels it meanwhile; where a
 * note that pins it came before, or one that cannot be read, it stays if it is to be spared. It then stays as well, without a wait,
 * where its labels are being changed: they may become a pin.
 */
export async function removeNoted(
  backend: Backend,
  name: string,
  units: readonly Unit[],
  { keepPinned = false }: { readonly keepPinned?: boolean } = {},
): Promise<boolean> {
  const spare = () => {
    loggerOf("StateStore").info("Spared for now: the labels of '{name}' are being changed", { name });
    return false;
  };
  if (keepPinned && changing.has(backend.uri + name)) return spare();
  return await inTurn(backend, name, async () => {
    const unlock = await lockToRemove(backend, name, !keepPinned);
    if (unlock === "held") return spare();
    try {
      return !(keepPinned && await mayBePinned(backend, name)) && await removeUnits(backend, name, units);
    } finally {
      await unlock?.();
    }
  });
}

/** The lock of a note, unless there is no place or no room for it: removing makes room, and tells what else is wrong. */
async function lockToRemove(
  backend: Backend,
  name: string,
  wait: boolean,
): Promise<(() => Promise<void>) | "held" | undefined> {
  if (backend.notes.lock === undefined) return undefined;
  try {
    return await backend.notes.lock(name, { wait }) ?? "held";
  } catch (error) {
    if (!hasNoRoom(error) && errnoOf(error) !== "ENOENT") throw error;
    return undefined;
  }
}

async function mayBePinned(backend: Backend, name: string): Promise<boolean> {
  const note = await backend.notes.get(name);
  if (note === undefined) return false;
  const labels = await parseNote(note);
  return labels === undefined || labels.pinned === true;
}

/** The note goes first: once the snapshot cannot be seen, another program may bring one of that name, with a note of its own. */
async function removeUnits(backend: Backend, name: string, units: readonly Unit[]): Promise<boolean> {
  const note = await isThere(backend, name, units) ? undefined : await backend.notes.get(name);
  if (note !== undefined) await backend.notes.remove(name);
  let removed = false;
  try {
    for (const unit of units) removed = await backend.remove(unit) || removed;
  } catch (error) {
    if (note !== undefined) await putBack(backend, name, note);
    throw error;
  }
  return removed;
}

/** Whether the note is ours to set: there is none, or only that of a snapshot that never came to be, which is removed. */
async function hasFreeNote(backend: Backend, name: string): Promise<boolean> {
  if (await backend.notes.get(name) === undefined) return true;
  if (await isThere(backend, name)) return false; // an export lands beside it: in two layouts it is one snapshot
  await backend.notes.remove(name);
  return true;
}

/** Whether the name lies there, in another unit than some. */
async function isThere(backend: Backend, name: string, except: readonly Unit[] = []): Promise<boolean> {
  for (const unit of UNIT_SUFFIXES.map((suffix) => name + suffix).filter((unit) => !except.includes(unit))) {
    const blob = await backend.open(unit, commitPathOf(unit));
    await blob?.close();
    if (blob !== undefined) return true;
  }
  return false;
}

/** Whether there is a snapshot of the name all the same, or may be soon: the note may be its. */
function isAnothers(error: unknown): boolean {
  return (["COMMIT_UNCERTAIN", "SNAPSHOT_EXISTS", "STAGE_LOST"] as const).some((code) => isSnapshotError(error, code));
}

/** Puts the note of a snapshot back whose removal failed, unless it cannot be seen any more. */
async function putBack(backend: Backend, name: string, note: Uint8Array): Promise<void> {
  try {
    if (await isThere(backend, name)) await backend.notes.put(name, note);
  } catch (error) {
    const message = "Cannot put the note of '{name}' back, which was not removed: {error}";
    loggerOf("StateStore").warn(message, { name, error });
  }
}
