// What saving and loading have in common: the parts of one store.
import type { Backend } from "../model/backend.ts";
import type { Lineage } from "./lineage.ts";
import type { NameClaimer } from "./name_claimer.ts";
import type { Place } from "./place.ts";
import type { Registry } from "./registry.ts";
import type { StateAccess } from "./state_access.ts";

/** What saving and loading need of a store. */
export interface StoreParts {
  /** The store itself, whose states must not call it. */
  readonly store: object;
  /** Where the snapshots lie. */
  readonly backend: Backend;
  /** What lies there. */
  readonly place: Place;
  /** Gives names. */
  readonly names: NameClaimer;
  /** Says whether the program may save. */
  readonly lineage: Lineage;
  /** Names of its programs; the first is recorded in manifests. */
  readonly programs: readonly string[];
  /** Recorded in manifests. */
  readonly run: string;
  /** How many saves may wait. */
  readonly maxWaiting: number;
  /** The clock. */
  readonly now: () => number;
  /** The registered states. */
  readonly registry: Registry;
  /** Says when the states may be called. */
  readonly access: StateAccess;
}
