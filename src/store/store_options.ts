// How a store is made: what its options are, and what they stand for.
import { type Durability, fileBackend } from "../file/file_backend.ts";
import { ARCHIVE_OPTIONS, type ArchiveOptions } from "../layout/archive_layout.ts";
import { type Backend, isBackend } from "../model/backend.ts";
import type { OptionNames } from "../model/options.ts";
import { show } from "../model/show.ts";
import type { LayoutKind } from "../model/unit.ts";

/** Where a store keeps its snapshots: a folder's path (a relative one is made absolute at once) or `file:` URL, or a backend. */
export type StoreLocation = string | URL | Backend;

/** How a `StateStore` names and arranges snapshots. */
export interface StateStoreOptions {
  /** Format of names, as strftime in UTC; fields from `%Y` on, coarse to fine. Default `%Y-%m-%d_%H-%M-%S,%f.state`. */
  readonly stateNameFormat?: string;
  /** How snapshots are arranged unless a save says otherwise. Default `directory`. */
  readonly layout?: LayoutKind;
  /** How archives are made: level, sizes of members. */
  readonly archive?: ArchiveOptions;
  /** For a folder: whether snapshots are to survive power loss (`full`, the default) or only the program (`none`). */
  readonly durability?: Durability;
  /** The clock, in milliseconds since 1970, perhaps with a fraction. Default `Date.now`. */
  readonly now?: () => number;
  /**
   * Name of the program, recorded in each snapshot; of several names the first is recorded, and snapshots of all are accepted.
   * `resume()` and keepers refuse snapshots of other programs with `PROGRAM_MISMATCH`. Default: none, which accepts all.
   */
  readonly program?: string | readonly string[];
  /** Id of this run of the program, recorded in each snapshot. Default: random. */
  readonly run?: string;
  /**
   * Whether a save is refused with `STORE_SHARED` if another run has saved to the place since this store looked last. Default
   * false: the store warns once.
   */
  readonly exclusive?: boolean;
  /** Calls `startFresh()` when the store is made. Default false. */
  readonly startFresh?: boolean;
  /** How many saves may wait for others to end; one more is refused with `SAVE_BACKLOG`. Default 100. */
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

/** The backend of a place. */
export function backendOf(where: StoreLocation, durability: Durability | undefined): Backend {
  if (typeof where === "string" || where instanceof URL) {
    return fileBackend(where, durability === undefined ? {} : { durability });
  }
  if (!isBackend(where)) {
    throw new TypeError(`Cannot make a store of ${show(where)}: a folder's path, a file: URL or a backend is wanted`);
  }
  if (durability === undefined) return where;
  throw new TypeError("Cannot set the durability of a backend that was made elsewhere");
}

/** How many saves may wait. */
export function countOf(maxWaiting = 100): number {
  if (Number.isSafeInteger(maxWaiting) && maxWaiting >= 0 || maxWaiting === Infinity) return maxWaiting;
  throw new RangeError(
    `Cannot make a store: maxWaiting must be a whole number from 0 on, but is ${String(maxWaiting)}`,
  );
}
