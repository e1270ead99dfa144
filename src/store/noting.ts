// The note that a name has when its snapshot becomes visible. Retention and resuming believe notes without opening snapshots,
// so a pin must be noted before there is anything to remove, and what a dead writer of the same name noted must be gone.
import { renderNote } from "../rules/manifest.ts";
import type { Backend } from "../words/backend.ts";
import { isSnapshotError } from "../words/errors.ts";
import { loggerOf } from "../words/logging.ts";
import type { Labels } from "../words/snapshot.ts";
import { isGroup, MANIFEST_PATH, UNIT_SUFFIXES } from "../words/unit.ts";

/** Publishes under a claimed name, noting a pin before; a failure takes that note back, and must not have given the claim up. */
export async function publishNoted<T>(
  backend: Backend,
  name: string,
  labels: Labels,
  publish: () => Promise<T>,
): Promise<T> {
  if (!await hasFreeNote(backend, name) || !labels.pinned) return await publish();
  try {
    await backend.notes.put(name, renderNote(labels));
    return await publish();
  } catch (error) {
    if (!isAnothers(error)) await dropNote(backend, name);
    throw error;
  }
}

/** Whether the note is ours to set: there is none, or only that of a snapshot that never came to be, which is removed. */
async function hasFreeNote(backend: Backend, name: string): Promise<boolean> {
  if (await backend.notes.get(name) === undefined) return true;
  if (await isThere(backend, name)) return false; // an export lands beside it: in two layouts it is one snapshot
  await backend.notes.remove(name);
  return true;
}

async function isThere(backend: Backend, name: string): Promise<boolean> {
  for (const suffix of UNIT_SUFFIXES) {
    const unit = name + suffix;
    const blob = await backend.open(unit, isGroup(unit) ? MANIFEST_PATH : "");
    await blob?.close();
    if (blob !== undefined) return true;
  }
  return false;
}

/** Whether there is a snapshot of the name all the same, or may be soon: the note may be its. */
function isAnothers(error: unknown): boolean {
  return (["COMMIT_UNCERTAIN", "SNAPSHOT_EXISTS", "STAGE_LOST"] as const).some((code) => isSnapshotError(error, code));
}

async function dropNote(backend: Backend, name: string): Promise<void> {
  try {
    await backend.notes.remove(name);
  } catch (error) {
    const message = "Cannot remove the note of '{name}', which was never saved: {error}";
    loggerOf("StateStore").warn(message, { name, error });
  }
}
