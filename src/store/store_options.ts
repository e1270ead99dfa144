// How a store is made: what its options are, and what they stand for.
import type { Durability } from "../file/file_backend.ts";
import { placeAt } from "../snapshot/place.ts";
import { ARCHIVE_OPTIONS, type ArchiveOptions } from "../layout/archive_layout.ts";
import type { PathOrUrl } from "../model/address.ts";
import { type Backend, isBackend } from "../model/backend.ts";
import type { OptionNames } from "../model/options.ts";
import { show } from "../model/show.ts";
import type { LayoutKind } from "../model/unit.ts";

/**
 * Where a store keeps its snapshots: a folder's path (a relative one is made absolute at once) or `file:` URL, an `s3:` URL, or a
 * backend.
 */
export type StoreLocation = PathOrUrl | Backend;

/** How a `StateStore` names and arranges snapshots. */
export interface StateStoreOptions {
  /**
   * Format of snapshot names, as strftime in UTC: fields from `%Y` on, coarse to fine.
   *
   * @default `%Y-%m-%d_%H-%M-%S,%f.state`
   */
  readonly stateNameFormat?: string;
  /**
   * Layout of new snapshots. Cost: `directory` syncs every file; archives compress, and sync twice.
   *
   * @default "directory"
   */
  readonly layout?: LayoutKind;
  /**
   * How archives are written.
   *
   * @default the defaults of `ArchiveOptions`
   */
  readonly archive?: ArchiveOptions;
  /**
   * Durability of a store in a folder; see `FileBackendOptions`. Cost: see there.
   *
   * @default "full"
   */
  readonly durability?: Durability;
  /**
   * Returns the current time in milliseconds since 1970; may have a fraction.
   *
   * @default Date.now
   */
  readonly now?: () => number;
  /**
   * Name of the program, recorded in each snapshot. Of several names, the first is recorded, and snapshots of all
   * are accepted. `resume()` and keepers reject snapshots of other programs with `PROGRAM_MISMATCH`.
   *
   * @default none: accepts all
   */
  readonly program?: string | readonly string[];
  /**
   * Id of this run of the program, recorded in each snapshot.
   *
   * @default random
   */
  readonly run?: string;
  /**
   * If true, a save fails with `STORE_SHARED` if another run has saved to the folder since this store last listed
   * it. If false, the store warns once.
   *
   * @default false
   */
  readonly exclusive?: boolean;
  /**
   * Calls {@link StateStore.startFresh} when the store is made.
   *
   * @default false
   */
  readonly startFresh?: boolean;
  /**
   * Maximum number of waiting saves; one more fails with `SAVE_BACKLOG`. Cost: each waiting save that is not joined
   * runs.
   *
   * @default 100
   */
  readonly maxWaiting?: number;
}

/** The options of a store. */
export const STORE_OPTIONS: OptionNames<StateStoreOptions> = {
  stateNameFormat: "a string",
  layout: true,
  archive: ARCHIVE_OPTIONS,
  durability: true,
  now: "a function",
  program: true,
  run: true,
  exclusive: "true or false",
  startFresh: "true or false",
  maxWaiting: true,
};

const BACKEND_METHODS = ["create", "stage", "list", "open", "blobs", "scratch", "remove", "sweep"] as const;

/** The backend of a place. */
export function backendOf(where: StoreLocation, durability: Durability | undefined): Backend {
  if (typeof where === "string" || where instanceof URL) {
    return placeAt(where, durability);
  }
  if (!isBackend(where)) {
    throw new TypeError(`Cannot make a store of ${show(where)}: expected a folder's path, a file: URL or a backend`);
  }
  const missing = BACKEND_METHODS.filter((method) => typeof where[method] !== "function");
  if (missing.length > 0) {
    throw new TypeError(
      `Cannot make a store of a backend without ${missing.map((method) => `${method}()`).join(", ")}; ` +
        "to wrap a backend, delegate each method: { ...backend } copies no methods of a class",
    );
  }
  if (durability === undefined) return where;
  throw new TypeError("Cannot set the durability of a backend that was made elsewhere");
}

/** How many saves may wait. */
export function countOf(maxWaiting = 100): number {
  if (Number.isSafeInteger(maxWaiting) && maxWaiting >= 0 || maxWaiting === Infinity) return maxWaiting;
  throw new RangeError(
    `Cannot make a store: maxWaiting must be a whole number from 0 on, but is ${show(maxWaiting)}`,
  );
}
