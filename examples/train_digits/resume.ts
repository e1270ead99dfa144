// Going on where an earlier run stopped.
import {
  isSnapshotError,
  type SnapshotError,
  type SnapshotErrorCode,
  type SnapshotLocator,
  type StateStore,
} from "snapkeep";

/** What a bad disk may do to a snapshot, or another program that cleans up. All else is no reason to look further back. */
const DAMAGE: readonly SnapshotErrorCode[] = [
  "SNAPSHOT_CORRUPT",
  "ARCHIVE_REJECTED",
  "MANIFEST_INVALID",
  "MANIFEST_MISSING",
  "SNAPSHOT_NOT_FOUND",
  "SNAPSHOT_GONE",
];

/**
 * Loads the newest whole snapshot.
 *
 * A damaged one cannot leave the states half loaded: all of it is verified before any state is touched.
 *
 * @param store Where to look; its states are loaded.
 * @param onDamage Told of snapshots that had to be passed over.
 * @returns The snapshot, or `undefined` where there is none: then the states are as they were.
 */
export async function resume(
  store: StateStore,
  onDamage: (snapshot: SnapshotLocator, error: SnapshotError) => Promise<void>,
): Promise<SnapshotLocator | undefined> {
  for (const snapshot of (await store.list()).reverse()) {
    try {
      await store.loadState(snapshot);
      return snapshot;
    } catch (error) {
      if (!isSnapshotError(error) || !DAMAGE.includes(error.code)) throw error;
      await onDamage(snapshot, error);
    }
  }
  return undefined;
}
