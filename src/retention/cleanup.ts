// Carrying out what a keeper selects: the one place where retention removes snapshots, behind guards that no keeper can forget.
import { showAddress } from "../model/address.ts";
import { isSnapshotError, reasonOf, SnapshotError } from "../model/errors.ts";
import { byName } from "../model/snapshot_name.ts";
import { Pace } from "../runtime/concurrency.ts";
import { loggerOf } from "../runtime/logging.ts";
import type { SnapshotLocator } from "../snapshot/locator.ts";
import type { StateStore } from "../store/state_store.ts";
import { isProtected } from "./guards.ts";

/** What a cleanup guards. */
export interface CleanupGuards {
  /** Category of its log. */
  readonly className: string;
  /** Name of the newest that can be read; `undefined` where it may go. */
  readonly newest: string | undefined;
  /** Folders among what is selected that are no snapshots of ours. */
  readonly foreign: WeakSet<SnapshotLocator>;
  /** Aborts between two snapshots. */
  readonly signal: AbortSignal | undefined;
}

/**
 * Removes what is selected, oldest first, but for the newest, what is pinned or damaged, and what the store guards.
 *
 * @param store The store.
 * @param selected What is to go.
 * @param guards What to guard beside that.
 * @returns What was removed.
 * @throws {SnapshotError} `CLEANUP_FAILED` after all were tried; `PROGRAM_MISMATCH` before anything was removed.
 */
export async function cleanup(
  store: StateStore,
  selected: readonly SnapshotLocator[],
  { className, newest, foreign, signal }: CleanupGuards,
): Promise<SnapshotLocator[]> {
  const log = loggerOf(className);
  const removed: SnapshotLocator[] = [];
  const failures = new Map<string, unknown>();
  const pace = new Pace();
  /** Does it for each, as long as it does not fail. */
  const each = async (locators: readonly SnapshotLocator[], work: (locator: SnapshotLocator) => Promise<void>) => {
    for (const locator of locators) {
      if (pace.isDue) await pace.rest(); // no manifest of a prompt storage waits for anything
      signal?.throwIfAborted();
      try {
        await work(locator);
      } catch (error) {
        if (isSnapshotError(error, "PROGRAM_MISMATCH")) throw error;
        failures.set(String(locator), error);
        log.error("Cannot remove '{snapshot}': {error}", { snapshot: String(locator), error });
      }
    }
  };
  // All manifests are read before the first removal: one of another program means that this is the wrong place.
  const removable: SnapshotLocator[] = [];
  await each(selected.filter(({ name }) => name !== newest).sort(byName), async (locator) => {
    if (foreign.has(locator) || !await isProtected(store, locator, log)) removable.push(locator);
  });
  await each(removable, async (locator) => {
    if (store.guards.has(locator.name)) return;
    const remove = foreign.has(locator)
      ? store.backend.foreign?.remove(locator.name)
      : locator.remove({ keepPinned: true });
    if (!await remove) return;
    removed.push(locator);
    log.info("Removed: '{snapshot}'", { snapshot: String(locator) });
  });
  if (failures.size === 0) return removed;
  const errors = [...failures.values()];
  const failed = [...failures.keys()];
  const cause = new AggregateError(errors, errors.map(reasonOf).join("; "));
  const message = `Cannot remove ${failed.map(showAddress).join(", ")}: ${cause.message}`;
  throw new SnapshotError("CLEANUP_FAILED", message, { removed: removed.map(String), failed }, { cause });
}
