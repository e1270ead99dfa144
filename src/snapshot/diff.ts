// What differs between two snapshots, with sizes, and with the places within JSON entries.
import { assertMethods, assertOptions, type OptionNames, SIGNAL_OPTION, type SignalOptions } from "../model/options.ts";
import { inSlices, Pace, type Work } from "../runtime/concurrency.ts";
import type { JsonValue, Manifest } from "../model/snapshot.ts";
import { differenceOf, type EntryDifference, type StateDifference } from "./difference.ts";
import { jsonChanges, type JsonDifference } from "./json_changes.ts";
import type { SnapshotLocator } from "./locator.ts";
import { rawOf, type SnapshotReader } from "./snapshot_reader.ts";

/** How two snapshots are compared. */
export interface DiffOptions extends SignalOptions {
  /**
   * Whether JSON entries that changed are read, to tell where. Cost: reads them.
   *
   * @default true
   */
  readonly json?: boolean;
}

const DIFF_OPTIONS: OptionNames<DiffOptions> = { ...SIGNAL_OPTION, json: "true or false" };

// A text of JSON is read whole, twice. Entries without the ending are only read if they are small.
const MOST_JSON_BYTES = 64 * 1024 * 1024;
const MOST_SNIFFED_BYTES = 1024 * 1024;

/** An entry that differs, with its sizes. */
export interface EntryDiff extends EntryDifference {
  /** Its size in the first snapshot in bytes; absent if it was added. */
  readonly beforeBytes?: number;
  /** Its size in the second snapshot in bytes; absent if it was removed. */
  readonly afterBytes?: number;
  /** Where its JSON values differ; absent if it is not JSON in both, is too large, or was not read. */
  readonly json?: JsonDifference;
}

/** A state that differs, with sizes. */
export interface StateDiff extends Omit<StateDifference, "entries"> {
  /** Sum of its entries in the first snapshot in bytes. */
  readonly beforeBytes: number;
  /** Sum of its entries in the second snapshot in bytes. */
  readonly afterBytes: number;
  /** The entries that differ. */
  readonly entries: readonly EntryDiff[];
}

/** What differs between two snapshots. */
export interface SnapshotDiff {
  /** Whether nothing differs. */
  readonly isEqual: boolean;
  /** The states that differ, as {@link differenceOf} finds them. */
  readonly states: readonly StateDiff[];
}

/**
 * Tells what differs between two snapshots: what {@link differenceOf} finds, with sizes, and for JSON entries the places that differ.
 * Reads manifests, and those JSON entries; what it reads is verified.
 *
 * @param first The older snapshot.
 * @param second The newer one.
 * @param options `json` whether to read JSON entries; `signal` aborts.
 * @returns The differences.
 * @throws {SnapshotError} `SNAPSHOT_NOT_FOUND`, `MANIFEST_INVALID`, `SNAPSHOT_CORRUPT` and other damage.
 * @example
 * ```ts
 * import { diffSnapshots, StateStore } from "snapkeep";
 *
 * let step = 1;
 * const store = new StateStore("states").register("run", { saveState: (out) => out.json("run.json", { step }), loadState() {} });
 * const first = await store.saveState();
 * step = 2;
 * const { states } = await diffSnapshots(first, await store.saveState());
 * console.log(states[0]?.entries[0]?.json?.changes); // [{ path: "$.step", change: "changed", before: 1, after: 2 }]
 * ```
 */
export async function diffSnapshots(
  first: SnapshotLocator,
  second: SnapshotLocator,
  options: DiffOptions = {},
): Promise<SnapshotDiff> {
  assertOptions("compare snapshots", options, DIFF_OPTIONS);
  for (const each of [first, second]) assertMethods("compare snapshots", each, "two SnapshotLocators", "open");
  const { json = true, signal } = options;
  const before = await first.open({ signal });
  try {
    const after = await second.open({ signal });
    try {
      const { isEqual, states } = await differenceOf(
        await rawOf(before).sealed.read(),
        await rawOf(after).sealed.read(),
      );
      const diffs: StateDiff[] = [];
      const [old, young] = [await rawOf(before).sealed.index(), await rawOf(after).sealed.index()];
      const [beforeBytes, afterBytes] = [
        await inSlices(summing(before.manifest)),
        await inSlices(summing(after.manifest)),
      ];
      const pace = new Pace();
      for (const state of states) {
        const entries: EntryDiff[] = [];
        for (const entry of state.entries) {
          if (pace.isDue) await pace.rest();
          signal?.throwIfAborted();
          const path = `${state.name}/${entry.path}`;
          const sizes = [old.get(path)?.sizeBytes, young.get(path)?.sizeBytes] as const;
          const changes = json && entry.change === "changed"
            ? await compareJson(path, sizes, before, after)
            : undefined;
          entries.push({
            ...entry,
            ...sizes[0] === undefined ? {} : { beforeBytes: sizes[0] },
            ...sizes[1] === undefined ? {} : { afterBytes: sizes[1] },
            ...changes === undefined ? {} : { json: changes },
          });
        }
        const { name } = state;
        diffs.push({
          ...state,
          beforeBytes: beforeBytes.get(name) ?? 0,
          afterBytes: afterBytes.get(name) ?? 0,
          entries,
        });
      }
      return { isEqual, states: diffs };
    } finally {
      await after.close();
    }
  } finally {
    await before.close();
  }
}

/** The bytes of each state. */
function* summing({ states }: Manifest): Work<ReadonlyMap<string, number>> {
  const sums = new Map<string, number>();
  for (const { name, entries } of states) {
    let sum = 0;
    for (const { sizeBytes } of entries) sum += sizeBytes;
    sums.set(name, sum);
    yield;
  }
  return sums;
}

async function compareJson(
  path: string,
  [beforeBytes = 0, afterBytes = 0]: readonly [number | undefined, number | undefined],
  before: SnapshotReader,
  after: SnapshotReader,
): Promise<JsonDifference | undefined> {
  if (Math.max(beforeBytes, afterBytes) > (path.endsWith(".json") ? MOST_JSON_BYTES : MOST_SNIFFED_BYTES)) {
    return undefined;
  }
  const [old, young] = [parsed(await before.bytes(path)), parsed(await after.bytes(path))];
  return old === undefined || young === undefined ? undefined : jsonChanges(old, young);
}

/** The JSON value of bytes; `undefined` if they are not JSON. */
function parsed(bytes: Uint8Array): JsonValue | undefined {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as JsonValue;
  } catch {
    return undefined;
  }
}
