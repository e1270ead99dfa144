// How a program is saved automatically: what the options are, and what is refused before anything begins.
import { layoutOfKind } from "../layout/layouts.ts";
import { storableLabels } from "../manifest/labels.ts";
import { showAddress } from "../model/address.ts";
import { assertOptions, type OptionNames } from "../model/options.ts";
import { show, showType } from "../model/show.ts";
import type { Labels } from "../model/snapshot.ts";
import { placeKeptBy, StatesKeeper } from "../retention/states_keeper.ts";
import type { SaveOptions } from "../store/save_options.ts";
import type { StateStore } from "../store/state_store.ts";
import type { AutosaveKeeper } from "./keeping.ts";
import type { Pause, PauseOptions } from "./pausing.ts";
import { assertCondition, type SaveCondition } from "./save_condition.ts";
import type { SaveEvent } from "./save_event.ts";
import type { EndSignal } from "./signals.ts";

/** How a program is saved automatically. */
export interface AutosaveOptions {
  /** When to save. */
  readonly condition: SaveCondition;
  /**
   * Applies retention after each save. A failure of it is reported in the event and does not fail the save. A round waits 30
   * seconds for it; then further rounds save, and it gets their snapshots when it has answered. Cost: a listing of the folder
   * after each save.
   *
   * @default none
   */
  readonly keeper?: AutosaveKeeper;
  /**
   * Pauses the program during the capture; for programs with concurrent parts. Cost: the program stands still until
   * all states are captured.
   *
   * @default none
   */
  readonly pause?: Pause | PauseOptions;
  /**
   * Signals on which to save once more and end: `true` for SIGTERM and SIGINT, or their names.
   *
   * @default false
   */
  readonly signals?: boolean | readonly EndSignal[];
  /**
   * How long the last save may take after a signal, in milliseconds.
   *
   * @default 8000
   */
  readonly graceMs?: number;
  /**
   * Layout of the snapshots.
   *
   * @default the layout of the store
   */
  readonly layout?: SaveOptions["layout"];
  /**
   * Labels of each snapshot, or a function that returns them. It is called at the capture, and when the step is
   * needed.
   *
   * @default none
   */
  readonly labels?: Labels | (() => Labels);
  /**
   * Called with the event of each round. Errors that it throws are logged.
   *
   * @default none
   */
  readonly onEvent?: (event: SaveEvent) => void;
}

const OPTIONS: OptionNames<AutosaveOptions> = {
  condition: true,
  keeper: true,
  pause: true,
  signals: true,
  graceMs: true,
  layout: true,
  labels: true,
  onEvent: "a function",
};
const PAUSE_OPTIONS: OptionNames<PauseOptions> = { pause: true, timeoutMs: true, attempts: true };

/** Throws for a store or options that cannot be what they are. */
export function assertAutosave(store: StateStore, options: AutosaveOptions): void {
  if (typeof store?.saveState !== "function" || store.backend === undefined) {
    throw new TypeError(`Cannot save by itself: give a StateStore, not ${show(store)}`);
  }
  assertOptions("save by itself", options, OPTIONS);
  const { condition, keeper, pause, labels, layout, graceMs } = options;
  assertCondition("save by itself", condition);
  if (layout !== undefined) layoutOfKind(layout);
  if (typeof pause === "object" && pause !== null) assertOptions("pause", pause, PAUSE_OPTIONS);
  if (keeper !== undefined && (typeof keeper?.append !== "function" || typeof keeper.cleanup !== "function")) {
    throw new TypeError(
      `Cannot save by itself: keeper must be a keeper, such as a LatestStatesKeeper, not ${show(keeper)}`,
    );
  }
  const kept = keeper instanceof StatesKeeper ? placeKeptBy(keeper) : undefined;
  if (kept !== undefined && kept !== store.backend.uri) {
    throw new TypeError(
      `Cannot save by itself: the keeper keeps the snapshots in ${showAddress(kept)}, but the store saves to ${
        showAddress(store.backend.uri)
      }; make the keeper with this store`,
    );
  }
  if (graceMs !== undefined && !(typeof graceMs === "number" && graceMs > 0 && graceMs <= 2 ** 31 - 1)) {
    throw new RangeError(`Cannot save within a grace of ${show(graceMs)} ms: it must be a number above 0`);
  }
  if (labels !== undefined && typeof labels !== "function") storableLabels(labelsOf(labels));
}

/** The labels of now. */
export function labelsOf(labels: Labels | (() => Labels)): Labels {
  const found: unknown = typeof labels === "function" ? labels() : labels;
  if (found instanceof Promise) found.catch(() => {}); // the error below is the only one that counts
  else if (typeof found === "object" && found !== null) return found;
  throw new TypeError(
    `Cannot label a snapshot: labels must return an object such as { step: 7 }, but ${showType(found)}`,
  );
}
