// What no rule and no selection may remove, written once: for plans, which must say why a snapshot is kept, and for cleanups,
// which look again at what lies at the place before they remove anything.
import { isSnapshotError, reasonOf } from "../model/errors.ts";
import type { RetentionSnapshot } from "../model/snapshot.ts";
import type { loggerOf } from "../runtime/logging.ts";
import type { SnapshotLocator } from "../snapshot/locator.ts";
import { isUnreadable } from "../snapshot/verification.ts";
import { assertProgram } from "../store/identity.ts";
import type { StateStore } from "../store/state_store.ts";

/** Names of what is kept, with all reasons. */
export type Reasons = ReadonlyMap<string, readonly string[]>;

/** What a plan keeps before any rule or budget, beside what is given: pins and the newest. Pure. */
export function guardsOf(
  snapshots: readonly RetentionSnapshot[],
  nowMs: number,
  given: ReadonlyMap<string, string>,
  mayRemoveNewest: boolean,
): Reasons {
  const reasons = new Map<string, string[]>();
  const add = (name: string, reason: string) => void reasons.set(name, [...reasons.get(name) ?? [], reason]);
  for (const { name, pinned } of snapshots) if (pinned) add(name, "pinned");
  for (const [name, reason] of given) add(name, reason);
  if (mayRemoveNewest) return reasons;
  const newest = snapshots.at(-1);
  const present = [...snapshots].reverse().find(({ savedAtMs }) => savedAtMs <= nowMs);
  if (newest !== undefined) add(newest.name, "newest");
  if (present !== undefined && present !== newest) add(present.name, "newest not in the future");
  return reasons;
}

/**
 * Reads what a manifest says, for a decision about its snapshot.
 *
 * @param onDamage Called with the reason where it cannot be read.
 * @returns What was read; `undefined` where the snapshot has gone or cannot be read.
 * @throws {SnapshotError} `PROGRAM_MISMATCH` if another program than the store's saved it, or where the storage fails.
 */
export async function readToDecide<Read extends { readonly program?: string | undefined }>(
  store: StateStore,
  snapshot: SnapshotLocator,
  read: () => Promise<Read>,
  onDamage: (reason: string) => void,
): Promise<Read | undefined> {
  try {
    const found = await read();
    assertProgram("clean up beside", snapshot, store.programs, found.program);
    return found;
  } catch (error) {
    if (isUnreadable(error)) onDamage(reasonOf(error));
    else if (!isSnapshotError(error, "SNAPSHOT_NOT_FOUND")) throw error;
    return undefined;
  }
}

/** Tells whether a snapshot is pinned, or cannot be read, in any layout it lies in. */
export async function isProtected(
  store: StateStore,
  locator: SnapshotLocator,
  log: ReturnType<typeof loggerOf>,
): Promise<boolean> {
  const note = await locator.note();
  for (const snapshot of locator.alternatives()) {
    let damage: string | undefined;
    const manifest = await readToDecide(store, snapshot, () => snapshot.manifest(), (reason) => damage = reason);
    if (damage !== undefined) {
      log.warn("Spared: '{snapshot}' is damaged: {reason}", { snapshot: String(snapshot), reason: damage });
    }
    // A note replaces the labels of the manifest; a damaged one may have been a pin.
    const isPinned = manifest !== undefined && (note === "damaged" || (note ?? manifest.labels).pinned === true);
    if (isPinned) log.debug("Spared: '{snapshot}' is pinned", { snapshot: String(snapshot) });
    if (isPinned || damage !== undefined) return true;
  }
  return false;
}

/** Name of the newest snapshot by time that can be read; a keepsake, whose name tells no time, only where there is nothing else. */
export async function newestReadable(
  store: StateStore,
  snapshots: readonly SnapshotLocator[],
): Promise<string | undefined> {
  const newestFirst = [...snapshots].reverse();
  for (const isTimed of [true, false]) {
    for (const locator of newestFirst) {
      if (store.isTimedName(locator.name) !== isTimed) continue;
      const manifest = await readToDecide(store, locator, () => locator.manifest(), () => {});
      if (manifest !== undefined) return locator.name;
    }
  }
  return undefined;
}
