// When the next round may begin: what is due stays due until it has succeeded, failures are followed by growing pauses, and the
// time since the last capture goes on from what an earlier run saved. Intervals are measured by a clock that is never set.
import type { IdleClock } from "../runtime/idle.ts";
import type { KnownSnapshot } from "../store/lineage.ts";
import type { StateStore } from "../store/state_store.ts";
import type { Round, RoundEvent } from "./round.ts";
import { dueInMsOf, isDue, type SaveCondition, type SaveMoment } from "./save_condition.ts";
import type { SaveReason } from "./save_event.ts";

const FIRST_PAUSE_MS = 1_000;
const MOST_PAUSE_MS = 60_000;

/** The schedule of one autosaver. */
export class Schedule {
  readonly #store: StateStore;
  readonly #condition: SaveCondition;
  readonly #clock: IdleClock;
  readonly #step: () => number | undefined;
  /** Why a save is due, until one has succeeded. */
  due: SaveReason | undefined;
  /** Attempts that did not save, in a row. */
  failuresInRow = 0;
  #round: Round | undefined;
  #captures = 0;
  #known: KnownSnapshot | undefined;
  #knownAtMs: number;
  #knownStep: number | undefined;
  #attemptedAtMs: number;
  #heldMs = 0;
  #retryAtMs = -Infinity;

  /**
   * Makes one; the first interval begins.
   *
   * @param store Knows what was loaded and saved.
   * @param condition When to save.
   * @param clock Never set.
   * @param step The step of now; may throw.
   */
  constructor(store: StateStore, condition: SaveCondition, clock: IdleClock, step: () => number | undefined) {
    this.#store = store;
    this.#condition = condition;
    this.#clock = clock;
    this.#step = step;
    this.#knownAtMs = this.#attemptedAtMs = clock.now();
  }

  /** The last snapshot of the program, and how many milliseconds and steps ago its states were captured. */
  get lastSaved(): {
    readonly known: KnownSnapshot | undefined;
    readonly ageMs: number;
    readonly step: number | undefined;
  } {
    this.#look();
    return { known: this.#known, ageMs: this.#clock.now() - this.#knownAtMs, step: this.#knownStep };
  }

  /** Milliseconds until a further attempt may begin. */
  get pauseMs(): number {
    return Math.max(0, this.#retryAtMs - this.#clock.now());
  }

  /** Asks the condition. */
  asksForSave(): boolean {
    return isDue(this.#condition, this.#moment());
  }

  /** In how many milliseconds the next attempt may begin, as far as that is known. */
  dueInMs(): number | undefined {
    const dueInMs = this.due === undefined ? dueInMsOf(this.#condition, this.#moment()) : 0;
    return dueInMs === undefined ? undefined : Math.max(dueInMs, this.pauseMs);
  }

  /** Notes that a round has begun. */
  began(round: Round): void {
    this.#round = round;
    this.#captures++;
    this.#attemptedAtMs = round.beganAtMs;
    this.due = undefined;
  }

  /** Notes what a round came to. */
  ended(round: Round, event: RoundEvent): void {
    this.#round = undefined;
    this.#captures++;
    this.#heldMs = event.heldMs;
    if (event.outcome !== "saved") return this.failed(round.reason);
    this.failuresInRow = 0;
    this.#retryAtMs = -Infinity;
    this.#look();
    this.#knownStep = round.step;
  }

  /** Notes a failure: the save stays due, and the next attempt waits. */
  failed(due: SaveReason | undefined): void {
    this.due ??= due;
    this.#retryAtMs = this.#clock.now() + Math.min(MOST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.failuresInRow);
    this.failuresInRow++;
  }

  /** Looks whether the program has loaded or saved a snapshot, here or by itself. */
  #look(): void {
    const known = this.#store.lastKnown;
    if (known === this.#known || known === undefined) return;
    this.#known = known;
    this.#knownAtMs = this.#clock.now() - Math.max(0, this.#store.now() - known.savedAt.getTime());
    this.#knownStep = known.step;
    this.#captures++;
  }

  #moment(): SaveMoment {
    this.#look();
    const nowMs = this.#clock.now();
    const round = this.#round;
    const step = this.#step;
    return {
      sinceCaptureMs: nowMs - (round?.beganAtMs ?? this.#knownAtMs),
      captures: this.#captures,
      hasCapture: round !== undefined || this.#known !== undefined,
      get step() {
        return step();
      },
      capturedStep: round?.step ?? this.#knownStep,
      heldMs: this.#heldMs,
      sinceAttemptMs: nowMs - this.#attemptedAtMs,
    };
  }
}
