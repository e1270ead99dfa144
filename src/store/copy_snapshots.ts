// Copying snapshots into a store: only what it lacks, so that a copy that was interrupted is done by calling again.
import { isSnapshotError, SnapshotError } from "../model/errors.ts";
import { assertMethods, assertOptions, type OptionNames, SIGNAL_OPTION, type SignalOptions } from "../model/options.ts";
import { showType } from "../model/show.ts";
import type { Labels, Manifest } from "../model/snapshot.ts";
import { inSlices } from "../runtime/concurrency.ts";
import { matchingStates } from "../snapshot/difference.ts";
import type { SnapshotLocator } from "../snapshot/locator.ts";
import type { ProgressOptions } from "../snapshot/progress.ts";
import type { StateStore } from "./state_store.ts";

/** How snapshots are copied. */
export interface CopySnapshotsOptions extends SignalOptions, ProgressOptions {}

const COPY_OPTIONS: OptionNames<CopySnapshotsOptions> = { ...SIGNAL_OPTION, onProgress: "a function" };

/** What became of one snapshot. */
export interface CopiedSnapshot {
  /** The snapshot that was to be copied. */
  readonly source: SnapshotLocator;
  /** Its copy; `undefined` if copying failed. */
  readonly copy: SnapshotLocator | undefined;
  /** `copied`, or `labeled` if only labels were missing, or `present` if nothing was, or `failed`. */
  readonly outcome: "copied" | "labeled" | "present" | "failed";
  /** Why it failed. */
  readonly error?: unknown;
}

/**
 * Copies snapshots into a store, under the names they were saved with, with their labels. A snapshot that the store has is not
 * copied again; labels that the source has otherwise are set there. Labels that only the store has stay, a pin among them.
 *
 * Each snapshot is verified, and is visible completely or not at all. If one fails, the others are copied nevertheless.
 *
 * @param sources The snapshots, in the order they are copied in.
 * @param target The store.
 * @param options Aborts, with progress of each snapshot.
 * @returns What became of each, as soon as it is known.
 * @throws {TypeError} If an argument or an option is not what it must be, at the call.
 * @throws The reason of the signal. What was copied before stays; the same call again copies the rest.
 * @example Keep a second copy elsewhere
 * ```ts
 * import { copySnapshots, StateStore } from "snapkeep";
 *
 * const store = new StateStore("states");
 * await store.saveState({ labels: { tags: ["good"] } });
 * const elsewhere = new StateStore("backup");
 * for await (const { source, outcome } of copySnapshots(await store.list(), elsewhere)) {
 *   console.log(source.name, outcome);
 * }
 * ```
 */
export function copySnapshots(
  sources: readonly SnapshotLocator[],
  target: StateStore,
  options: CopySnapshotsOptions = {},
): AsyncIterableIterator<CopiedSnapshot> {
  assertOptions("copy", options, COPY_OPTIONS);
  if (!Array.isArray(sources)) {
    throw new TypeError(`Cannot copy: expected an array of SnapshotLocators, but ${showType(sources)}`);
  }
  for (const source of sources) assertMethods("copy", source, "SnapshotLocators", "manifest", "labels");
  assertMethods("copy", target, "a StateStore to copy to", "snapshot", "importSnapshot");
  return copyAll(sources, target, options);
}

async function* copyAll(
  sources: readonly SnapshotLocator[],
  target: StateStore,
  options: CopySnapshotsOptions,
): AsyncGenerator<CopiedSnapshot, void> {
  for (const source of sources) {
    options.signal?.throwIfAborted();
    yield await copyOne(source, target, options);
  }
}

async function copyOne(
  source: SnapshotLocator,
  target: StateStore,
  { signal, onProgress }: CopySnapshotsOptions,
): Promise<CopiedSnapshot> {
  try {
    const manifest = await source.manifest({ signal });
    const there = await target.snapshot(manifest.name);
    if (there === undefined) {
      const copy = await target.importSnapshot(source, {
        ...signal === undefined ? {} : { signal },
        onProgress,
      });
      return { source, copy, outcome: "copied" };
    }
    if (!await isSame(manifest, await there.manifest({ signal }))) {
      const message = `Cannot copy "${source}": "${there}" is another snapshot of the same name; rename or remove one`;
      throw new SnapshotError("SNAPSHOT_EXISTS", message, { name: manifest.name, uri: String(there) });
    }
    const missing = missingLabels(await source.labels(), await there.labels());
    if (Object.keys(missing).length === 0) return { source, copy: there, outcome: "present" };
    await there.label(missing);
    return { source, copy: there, outcome: "labeled" };
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason;
    if (!isSnapshotError(error)) throw error;
    return { source, copy: undefined, outcome: "failed", error };
  }
}

async function isSame(a: Manifest, b: Manifest): Promise<boolean> {
  return a.savedAt === b.savedAt && a.run === b.run && await inSlices(matchingStates(a.states, b.states));
}

function missingLabels(wanted: Labels, present: Labels): Labels {
  const entries = Object.entries(wanted).filter(([label, value]) =>
    JSON.stringify(value) !== JSON.stringify(present[label as keyof Labels])
  );
  return Object.fromEntries(entries) as Labels;
}
