// All that lies at a place, in one look: what each manifest and note says, what is damaged, and what is not a snapshot. Reads no
// entry and removes nothing.
import { isOutOfReach, isSnapshotError, reasonOf } from "../model/errors.ts";
import type { Labels, Manifest } from "../model/snapshot.ts";
import type { LayoutKind } from "../model/unit.ts";
import { mapBounded } from "../runtime/concurrency.ts";
import { listSnapshots } from "../snapshot/listing.ts";
import type { SnapshotLocator } from "../snapshot/locator.ts";
import type { StateStore } from "./state_store.ts";

/** What a survey takes from a manifest. */
export type SurveyedManifest = Pick<Manifest, "name" | "savedAt" | "program" | "run" | "parent" | "totals">;

/** One snapshot of a place. */
export interface SurveyedSnapshot {
  /** Its address. */
  readonly locator: SnapshotLocator;
  /** Whether its name has the format of the store. Other snapshots are keepsakes. */
  readonly isTimed: boolean;
  /** The layouts it lies in; the one that is read comes first. */
  readonly layouts: readonly LayoutKind[];
  /** What its manifest says; `undefined` if it cannot be read. */
  readonly manifest: SurveyedManifest | undefined;
  /** Why the manifest cannot be read. */
  readonly damage: string | undefined;
  /** Its labels now: those of the note, else those it was saved with. */
  readonly labels: Labels;
  /** Whether its note is damaged, so that labels which were changed after the save are lost. */
  readonly hasDamagedNote: boolean;
}

/** All that lies at a place. */
export interface Survey {
  /** Committed snapshots, oldest first by name; those whose name has another format come last. */
  readonly snapshots: readonly SurveyedSnapshot[];
  /** Folders that are named like snapshots of the store and have no manifest. */
  readonly partial: readonly string[];
  /** Other folders that are not snapshots. */
  readonly foreign: readonly string[];
}

/**
 * Surveys the place of a store. A snapshot that is removed meanwhile is left out.
 *
 * @param store The store.
 * @param options `signal` aborts.
 * @returns What lies there.
 * @throws {SnapshotError} `STORAGE_FAILED` if the place cannot be listed; `STORAGE_UNREACHABLE`, `STORAGE_FORBIDDEN` or
 *   `STORAGE_THROTTLED` if an object store does not answer, which is no damage.
 */
export async function surveyOf(store: StateStore, { signal }: { signal?: AbortSignal } = {}): Promise<Survey> {
  const { backend } = store;
  const noted = new Set<string>();
  for await (const name of backend.notes.list()) noted.add(name);
  const listed = await listSnapshots(backend, signal === undefined ? {} : { signal });
  const looked = await mapBounded(listed, async (locator) => {
    signal?.throwIfAborted();
    return await lookAt(locator, store.isTimedName(locator.name), noted.has(locator.name));
  });
  const snapshots = looked.filter((each) => each !== undefined);
  const folders: string[] = [];
  for await (const { name } of backend.foreign?.list() ?? []) folders.push(name);
  return {
    snapshots: [...snapshots.filter(({ isTimed }) => isTimed), ...snapshots.filter(({ isTimed }) => !isTimed)],
    partial: folders.filter((name) => store.isTimedName(name)),
    foreign: folders.filter((name) => !store.isTimedName(name)),
  };
}

async function lookAt(
  locator: SnapshotLocator,
  isTimed: boolean,
  hasNote: boolean,
): Promise<SurveyedSnapshot | undefined> {
  const layouts = locator.alternatives().map(({ layout }) => layout);
  const note = hasNote ? await noteOf(locator) : undefined;
  const labels = note === "damaged" ? undefined : note;
  const known = { locator, isTimed, layouts, hasDamagedNote: note === "damaged" };
  try {
    const { name, savedAt, program, run, parent, totals, labels: saved } = await locator.manifest();
    const manifest = {
      name,
      savedAt,
      ...program === undefined ? {} : { program },
      ...run === undefined ? {} : { run },
      parent,
      totals,
    };
    return { ...known, manifest, damage: undefined, labels: labels ?? saved };
  } catch (error) {
    if (isSnapshotError(error, "SNAPSHOT_NOT_FOUND")) return undefined;
    if (isOutOfReach(error) || !isSnapshotError(error)) throw error;
    return { ...known, manifest: undefined, damage: reasonOf(error), labels: labels ?? {} };
  }
}

async function noteOf(locator: SnapshotLocator): Promise<Labels | "damaged" | undefined> {
  try {
    return await locator.note();
  } catch (error) {
    if (isOutOfReach(error)) throw error;
    return "damaged";
  }
}
