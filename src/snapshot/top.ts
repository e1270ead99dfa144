// What takes up the room in a snapshot, and what grew since another one: from manifests alone.
import { assertOptions, type OptionNames } from "../model/options.ts";
import { show, showType } from "../model/show.ts";
import type { Manifest } from "../model/snapshot.ts";
import { inSlices, sorting, type Work } from "../runtime/concurrency.ts";
import { hasStates } from "./difference.ts";

const PARTS_AT_ONCE = 256; // which take about a millisecond

/** What {@link largestParts} compares with, and how much it returns. */
export interface LargestPartsOptions {
  /** The manifest to compare with. @default none */
  readonly since?: Pick<Manifest, "states"> | undefined;
  /** How many entries; `Infinity` for all. @default 10 */
  readonly count?: number;
}

const OPTIONS: OptionNames<LargestPartsOptions> = { since: true, count: "a number" };

/** A state or an entry with its size. */
export interface SizedPart {
  /** Name of the state, or `<state>/<path>` of the entry. */
  readonly path: string;
  /** Size in bytes. */
  readonly sizeBytes: number;
  /** Bytes more than before, negative if it shrank; all bytes if it is new. Absent if nothing is compared. */
  readonly grownBytes?: number;
}

/** The largest parts of a snapshot. */
export interface LargestParts {
  /** Sum of all entries in bytes, and by how much it grew. */
  readonly total: SizedPart;
  /** All states, largest first. */
  readonly states: readonly SizedPart[];
  /** The largest entries, largest first. */
  readonly entries: readonly SizedPart[];
  /** The entries that grew most, most first; none if nothing is compared. */
  readonly grown: readonly SizedPart[];
}

/**
 * Returns the largest states and entries of a snapshot, and what grew since another one. Reads nothing.
 *
 * @param manifest The snapshot's manifest.
 * @param options What to compare with; how many entries.
 * @returns The parts.
 * @throws {TypeError} If an option does not exist or cannot be what it is.
 * @throws {RangeError} If `count` is neither a whole number from 0 on nor `Infinity`.
 * @example
 * ```ts
 * import { largestParts, StateStore } from "snapkeep";
 *
 * const store = new StateStore("states").register("run", {
 *   saveState: async (out) => {
 *     await out.json("run.json", { step: 1 });
 *     await out.write("weights.bin", new Uint8Array(1000));
 *   },
 *   loadState() {},
 * });
 * const { entries } = await largestParts(await (await store.saveState()).manifest());
 * console.log(entries[0]); // { path: "run/weights.bin", sizeBytes: 1000 }
 * ```
 */
export async function largestParts(
  manifest: Pick<Manifest, "states">,
  options: LargestPartsOptions = {},
): Promise<LargestParts> {
  assertOptions("list the largest entries", options, OPTIONS);
  const { since, count = 10 } = options;
  if (!((Number.isSafeInteger(count) || count === Infinity) && count >= 0)) {
    const reason = "count must be a whole number from 0 on, or Infinity";
    throw new RangeError(`Cannot list the largest ${show(count)} entries: ${reason}`);
  }
  for (const each of since === undefined ? [manifest] : [manifest, since]) {
    if (!hasStates(each)) {
      throw new TypeError(`Cannot list the largest entries: expected a manifest, but ${showType(each)}`);
    }
  }
  return await inSlices(rankingParts(manifest, since, count));
}

function* rankingParts(
  manifest: Pick<Manifest, "states">,
  since: Pick<Manifest, "states"> | undefined,
  count: number,
): Work<LargestParts> {
  const before = since && (yield* sizesOf(since));
  const sized = (path: string, sizeBytes: number): SizedPart =>
    before === undefined ? { path, sizeBytes } : { path, sizeBytes, grownBytes: sizeBytes - (before.get(path) ?? 0) };
  const sizes = yield* sizesOf(manifest);
  const [states, entries, grown]: [SizedPart[], SizedPart[], SizedPart[]] = [[], [], []];
  let seen = 0;
  for (const [path, sizeBytes] of sizes) {
    if (seen++ % PARTS_AT_ONCE === 0) yield;
    const part = sized(path, sizeBytes);
    if (path.includes("/")) {
      entries.push(part);
      if ((part.grownBytes ?? 0) > 0) grown.push(part);
    } else if (path !== "") states.push(part);
  }
  const largest = (a: SizedPart, b: SizedPart) => b.sizeBytes - a.sizeBytes || (a.path < b.path ? -1 : 1);
  const mostGrown = (a: SizedPart, b: SizedPart) => (b.grownBytes ?? 0) - (a.grownBytes ?? 0) || largest(a, b);
  return {
    total: sized("", sizes.get("") ?? 0),
    states: yield* sorting(states, largest),
    entries: (yield* sorting(entries, largest)).slice(0, count),
    grown: (yield* sorting(grown, mostGrown)).slice(0, count),
  };
}

/** Sizes of all entries and states, and of the whole under the empty path. */
function* sizesOf({ states }: Pick<Manifest, "states">): Work<ReadonlyMap<string, number>> {
  const sizes = new Map<string, number>();
  let total = 0;
  let seen = 0;
  for (const { name, entries } of states) {
    if (seen++ % PARTS_AT_ONCE === 0) yield;
    let sum = 0;
    for (const { path, sizeBytes } of entries) {
      if (seen++ % PARTS_AT_ONCE === 0) yield;
      sizes.set(`${name}/${path}`, sizeBytes);
      sum += sizeBytes;
    }
    sizes.set(name, sum);
    total += sum;
  }
  return sizes.set("", total);
}
