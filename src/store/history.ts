// The history of one entry, from manifests alone: digests tell when it changed, no entry is read.
import { isOutOfReach, isSnapshotError, reasonOf, SnapshotError } from "../model/errors.ts";
import { assertMethods, assertOptions, nearest, SIGNAL_OPTION, type SignalOptions } from "../model/options.ts";
import { show } from "../model/show.ts";
import type { ManifestEntry } from "../model/snapshot.ts";
import { mapBounded } from "../runtime/concurrency.ts";
import type { SnapshotLocator } from "../snapshot/locator.ts";
import type { StateStore } from "./state_store.ts";

// Candidates for the nearest path, where no snapshot has the entry.
const MOST_COMPARED = 1000;

/** One change of an entry. */
export interface EntryChange {
  /** The first snapshot that has the entry like this. */
  readonly snapshot: SnapshotLocator;
  /** When it was saved. */
  readonly savedAt: Date;
  /** What happened to the entry since the snapshot before. */
  readonly change: "added" | "changed" | "removed";
  /** Its size in bytes; 0 if it was removed. */
  readonly sizeBytes: number;
  /** Its digest; absent if it was removed. */
  readonly digest?: string;
}

/** When an entry changed. */
export interface EntryHistory {
  /** The entry, as `<state>/<path>`. */
  readonly path: string;
  /** Its changes, oldest first; none if no snapshot has the entry. */
  readonly changes: readonly EntryChange[];
  /** How many snapshots were compared. */
  readonly snapshots: number;
  /** Snapshots whose manifest cannot be read, with the reason. A change may have happened in them. */
  readonly skipped: readonly { readonly snapshot: string; readonly reason: string }[];
}

/**
 * Tells when an entry changed, from the oldest snapshot of a store to the newest. Reads manifests and no entry.
 *
 * @param store The store.
 * @param path The entry, as `<state>/<path>`.
 * @param options `signal` aborts.
 * @returns The changes, and the snapshots that could not be read.
 * @throws {TypeError} If `path` is not `<state>/<path>`.
 * @throws {SnapshotError} `ENTRY_NOT_FOUND` if there are snapshots and none has the entry; `STORAGE_FAILED`;
 *   `STORAGE_UNREACHABLE`, `STORAGE_FORBIDDEN` or `STORAGE_THROTTLED` if an object store does not answer.
 * @example
 * ```ts
 * import { historyOfEntry, StateStore } from "snapkeep";
 *
 * let step = 0;
 * const store = new StateStore("states").register("run", { saveState: (out) => out.json("run.json", step), loadState() {} });
 * for (step of [1, 1, 2]) await store.saveState();
 * const { changes } = await historyOfEntry(store, "run/run.json");
 * console.log(changes.map(({ change, savedAt }) => `${change} ${savedAt.toISOString()}`)); // added, then changed
 * ```
 */
export async function historyOfEntry(
  store: StateStore,
  path: string,
  options: SignalOptions = {},
): Promise<EntryHistory> {
  assertOptions("read the history", options, SIGNAL_OPTION);
  assertMethods("read the history", store, "a StateStore", "list", "saveState");
  const [, name, inner] = (typeof path === "string" ? /^([^/]+)\/(.+)$/s.exec(path) : null) ?? [];
  if (name === undefined || inner === undefined) {
    throw new TypeError(`Cannot read the history of ${show(path)}: an entry is written <state>/<path>`);
  }
  const { signal } = options;
  const listed = await store.list(signal === undefined ? {} : { signal });
  const paths = new Set<string>();
  const skipped: { snapshot: string; reason: string }[] = [];
  const looked = await mapBounded(listed, async (snapshot) => {
    signal?.throwIfAborted();
    try {
      const { savedAt, states } = await snapshot.manifest();
      for (const state of states) if (paths.size < MOST_COMPARED) addPaths(paths, state.name, state.entries);
      const entry = states.find((state) => state.name === name)?.entries.find((each) => each.path === inner);
      return { snapshot, savedAt: new Date(savedAt), entry };
    } catch (error) {
      if (isOutOfReach(error) || !isSnapshotError(error)) throw error;
      if (error.code !== "SNAPSHOT_NOT_FOUND") skipped.push({ snapshot: String(snapshot), reason: reasonOf(error) });
      return undefined;
    }
  });
  const seen = looked.filter((each) => each !== undefined);
  if (seen.length > 0 && seen.every(({ entry }) => entry === undefined)) {
    const near = nearest(path, [...paths]);
    const remedy = near === undefined ? "the snapshots have no entries" : `the nearest is "${near}"`;
    const message = `Cannot read the history of "${path}": no snapshot has such an entry; ${remedy}`;
    throw new SnapshotError("ENTRY_NOT_FOUND", message, { path });
  }
  skipped.sort((a, b) => a.snapshot < b.snapshot ? -1 : 1);
  return { path, changes: changesOf(seen), snapshots: seen.length, skipped };
}

interface Look {
  readonly snapshot: SnapshotLocator;
  readonly savedAt: Date;
  readonly entry: ManifestEntry | undefined;
}

function changesOf(looks: readonly Look[]): EntryChange[] {
  const changes: EntryChange[] = [];
  let before: ManifestEntry | undefined;
  for (const { snapshot, savedAt, entry } of looks) {
    if (entry?.digest !== before?.digest) {
      changes.push(
        entry === undefined ? { snapshot, savedAt, change: "removed", sizeBytes: 0 } : {
          snapshot,
          savedAt,
          change: before === undefined ? "added" : "changed",
          sizeBytes: entry.sizeBytes,
          digest: entry.digest,
        },
      );
    }
    before = entry;
  }
  return changes;
}

function addPaths(paths: Set<string>, state: string, entries: readonly ManifestEntry[]): void {
  for (const { path } of entries) {
    if (paths.size >= MOST_COMPARED) return;
    paths.add(`${state}/${path}`);
  }
}
