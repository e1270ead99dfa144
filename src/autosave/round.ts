// One round: pause, capture, let the program go on, write, commit, then the keeper. Whatever happens, it ends in one event, and the
// pause ends.
import { isSnapshotError } from "../model/errors.ts";
import type { Labels } from "../model/snapshot.ts";
import type { IdleClock } from "../runtime/idle.ts";
import type { SnapshotLocator } from "../snapshot/locator.ts";
import type { HeldState, SavePhase } from "../store/capture.ts";
import type { SaveOptions } from "../store/save_options.ts";
import type { StateStore } from "../store/state_store.ts";
import type { Keeping } from "./keeping.ts";
import type { EndPause, Pauser } from "./pausing.ts";
import type { FailedEvent, SavedEvent, SaveReason, SkippedEvent } from "./save_event.ts";

/** What rounds need of an autosaver. */
export interface RoundParts {
  readonly store: StateStore;
  readonly clock: IdleClock;
  readonly pauser: Pauser | undefined;
  readonly keeping: Keeping;
  readonly layout: SaveOptions["layout"];
  readonly labels: () => Labels;
  /** The step of some labels. */
  readonly stepOf: (labels: Labels) => number | undefined;
  /** Aborts the save. */
  readonly signal: AbortSignal;
}

/** What a round ends in. */
export type RoundEvent = SavedEvent | FailedEvent | SkippedEvent;

/** A round that was begun. */
export interface Round {
  /** Why. */
  readonly reason: SaveReason;
  /** When it began, by the clock. */
  readonly beganAtMs: number;
  /** Whether the states have handed over their data. */
  readonly hasCaptured: boolean;
  /** The step it saves, once the states have handed over their data. */
  readonly step: number | undefined;
  /** Resolves when the program may go on. */
  readonly released: Promise<void>;
  /** Resolves to the event; never rejects. */
  readonly ended: Promise<RoundEvent>;
}

/**
 * Begins a round. Without a pause, the states are called before this returns, unless a save or load of the store runs.
 *
 * @param parts The autosaver's.
 * @param reason Why.
 * @param withinMs How long the program may take to pause, in all, and the round for its keeper.
 * @returns The round.
 */
export function beginRound(parts: RoundParts, reason: SaveReason, withinMs?: number): Round {
  const { store, clock, pauser, keeping, layout, signal } = parts;
  const beganAtMs = clock.now();
  const startedAt = new Date(store.now());
  let release = () => {};
  const released = new Promise<void>((resolve) => release = resolve);
  const progress = { hasCaptured: false, step: undefined as number | undefined };
  // The end of each phase that was reached.
  const marks: number[] = [beganAtMs];
  let states: readonly HeldState[] = [];
  let written = { entries: 0, sizeBytes: 0 };
  let heldMs = 0;
  let endPause: EndPause | undefined;
  let resumeFailure: { readonly error: unknown } | undefined;
  let going: Promise<void> | undefined;

  const goOn = () =>
    going ??= (async () => {
      try {
        await endPause?.();
      } catch (error) {
        resumeFailure = { error };
      }
      heldMs = clock.now() - beganAtMs;
      release();
    })();
  const onPhase = (reached: SavePhase) => {
    marks.push(clock.now());
    if (reached.phase === "written") written = reached;
    else {
      progress.hasCaptured = true;
      states = reached.states;
      void goOn();
    }
  };
  const facts = () => {
    const phaseMs = (index: number) => Math.max(0, (marks[index] ?? NaN) - (marks[index - 1] ?? NaN)) || 0;
    return {
      uri: store.backend.uri,
      reason,
      startedAt,
      phases: { pausedMs: phaseMs(1), capturedMs: phaseMs(2), writtenMs: phaseMs(3), syncedMs: phaseMs(4) },
      heldMs,
      states,
      step: progress.step,
      ...resumeFailure === undefined ? {} : { resumeError: resumeFailure.error },
    };
  };
  const clean = (snapshot?: SnapshotLocator) =>
    keeping.clean(snapshot, (withinMs ?? Infinity) - (clock.now() - beganAtMs));
  const attempt = async () => {
    try {
      endPause = await pauser?.take(withinMs);
    } catch (error) {
      return { outcome: "skipped", why: "not paused", error } as const;
    }
    return await save();
  };
  const save = async () => {
    try {
      marks.push(clock.now());
      const labels = parts.labels();
      progress.step = parts.stepOf(labels);
      const how = layout === undefined ? {} : { layout };
      const snapshot = await store.saveState({ labels, signal, onPhase, ...how }) as SnapshotLocator;
      marks.push(clock.now());
      return { outcome: "saved", snapshot, ...written } as const;
    } catch (error) {
      return { outcome: "failed", error, failuresInRow: 0 } as const;
    }
  };
  const run = async (): Promise<RoundEvent> => {
    const found = await (pauser === undefined ? save() : attempt());
    await goOn();
    if (found.outcome === "saved") return { ...found, ...await clean(found.snapshot), ...facts() };
    // The keeper may have something to remove; then the next attempt finds room.
    if (found.outcome === "failed" && isSnapshotError(found.error, "STORAGE_FULL")) await clean();
    return { ...found, ...facts() };
  };
  const ended = run();
  return {
    reason,
    beganAtMs,
    released,
    ended,
    get hasCaptured() {
      return progress.hasCaptured;
    },
    get step() {
      return progress.step;
    },
  };
}
