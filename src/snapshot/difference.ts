// What differs between two snapshots, by their manifests alone: digests tell, no entry is read.
import type { Digest, Manifest, ManifestState } from "../model/snapshot.ts";
import { inSlices, type Work } from "../runtime/concurrency.ts";
import type { SnapshotLocator } from "./locator.ts";

const ENTRIES_AT_ONCE = 256; // which take about a millisecond

/** What happened to a state or entry, from the first to the second. */
export type DifferenceKind = "added" | "changed" | "removed";

/** An entry that differs. */
export interface EntryDifference {
  /** Path within the state. */
  readonly path: string;
  /** What happened to it. */
  readonly change: DifferenceKind;
}

/** A state that differs. */
export interface StateDifference {
  /** Its name. */
  readonly name: string;
  /** What happened to it. */
  readonly change: DifferenceKind;
  /** Its versions in the first and the second, where both have it and they differ. */
  readonly versions?: readonly [number, number];
  /** The entries that differ, in the order of the second; those that were removed come last. */
  readonly entries: readonly EntryDifference[];
}

/** What differs between two snapshots, or a snapshot and the program. */
export interface SnapshotDifference {
  /** Whether nothing differs: states, versions, paths and bytes. Labels, times and the order of states do not count. */
  readonly isEqual: boolean;
  /** The states that differ, in the order of the second; those that were removed come last. */
  readonly states: readonly StateDifference[];
}

/**
 * Tells what differs between two snapshots, by their manifests alone. Reads no entries, so damage in them is not seen.
 *
 * @param first A snapshot, or its manifest.
 * @param second Another one, or its manifest.
 * @returns What was added, changed and removed from the first to the second.
 * @throws {SnapshotError} `SNAPSHOT_NOT_FOUND`, `MANIFEST_INVALID` and other damage of a manifest.
 * @example
 * ```ts
 * import { differenceOf, StateStore } from "snapkeep";
 *
 * let step = 1;
 * const store = new StateStore("states").register("step", { saveState: (out) => out.json("step.json", step), loadState() {} });
 * const first = await store.saveState();
 * step = 2;
 * const { states } = await differenceOf(first, await store.saveState());
 * console.log(states); // [{ name: "step", change: "changed", entries: [{ path: "step.json", change: "changed" }] }]
 * ```
 */
export async function differenceOf(
  first: SnapshotLocator | Pick<Manifest, "states">,
  second: SnapshotLocator | Pick<Manifest, "states">,
): Promise<SnapshotDifference> {
  const [a, b] = await Promise.all([statesOf(first), statesOf(second)]);
  return await inSlices(comparingStates(a, b));
}

async function statesOf(snapshot: SnapshotLocator | Pick<Manifest, "states">): Promise<readonly ManifestState[]> {
  if (typeof snapshot === "object" && snapshot !== null) {
    if (hasStates(snapshot)) return snapshot.states;
    if ("manifest" in snapshot && typeof snapshot.manifest === "function") return (await snapshot.manifest()).states;
  }
  throw new TypeError("Cannot compare: give two snapshots, as located, or their manifests");
}

/** Tells whether a value can be a manifest: it has states, and these have entries. */
export function hasStates(value: unknown): value is Pick<Manifest, "states"> {
  const { states } = (value ?? {}) as { states?: unknown };
  return Array.isArray(states) &&
    states.every((state: Partial<ManifestState> | null | undefined) => Array.isArray(state?.entries));
}

/** Tells whether two manifests have the same states with the same entries, in the same order. */
export function* matchingStates(first: readonly ManifestState[], second: readonly ManifestState[]): Work<boolean> {
  const headsOf = (states: readonly ManifestState[]) =>
    JSON.stringify(states.map(({ name, version, entries }) => [name, version, entries.length]));
  if (headsOf(first) !== headsOf(second)) return false;
  for (const [index, { entries }] of first.entries()) {
    const others = second[index]?.entries ?? [];
    for (const [index, { path, sizeBytes, digest }] of entries.entries()) {
      if (index % ENTRIES_AT_ONCE === 0) yield;
      const other = others[index];
      if (other?.path !== path || other.sizeBytes !== sizeBytes || other.digest !== digest) return false;
    }
  }
  return true;
}

/** Tells what differs between the states of two manifests. */
export function* comparingStates(
  first: readonly ManifestState[],
  second: readonly ManifestState[],
): Work<SnapshotDifference> {
  const left = new Map(first.map((state) => [state.name, state]));
  const states: StateDifference[] = [];
  for (const state of second) {
    const before = left.get(state.name);
    left.delete(state.name);
    const entries = yield* comparingEntries(before, state);
    const versions = before === undefined || before.version === state.version
      ? {}
      : { versions: [before.version, state.version] as const };
    if (before !== undefined && entries.length === 0 && versions.versions === undefined) continue;
    states.push({ name: state.name, change: before === undefined ? "added" : "changed", ...versions, entries });
  }
  for (const state of left.values()) {
    states.push({ name: state.name, change: "removed", entries: yield* comparingEntries(state, undefined) });
  }
  return { isEqual: states.length === 0, states };
}

function* comparingEntries(
  before: ManifestState | undefined,
  after: ManifestState | undefined,
): Work<EntryDifference[]> {
  const left = new Map<string, Digest>();
  let count = 0;
  for (const { path, digest } of before?.entries ?? []) {
    if (count++ % ENTRIES_AT_ONCE === 0) yield;
    left.set(path, digest);
  }
  const found: EntryDifference[] = [];
  for (const { path, digest } of after?.entries ?? []) {
    if (count++ % ENTRIES_AT_ONCE === 0) yield;
    const old = left.get(path);
    left.delete(path);
    if (old !== digest) found.push({ path, change: old === undefined ? "added" : "changed" });
  }
  for (const path of left.keys()) {
    if (count++ % ENTRIES_AT_ONCE === 0) yield;
    found.push({ path, change: "removed" });
  }
  return found;
}
