// A clock that counts the time a program has run, over all its runs.
import { assertOptions } from "../model/options.ts";
import type { PersistentState, StateReader, StateWriter } from "../model/state.ts";
import { monotonicMs } from "../runtime/clock.ts";
import { invalidEntry, readJson, schemaOf } from "./reading.ts";

const PATH = "clock.json";

/** What a {@link ProgramClock} counts by. */
export interface ProgramClockOptions {
  /**
   * Returns milliseconds of a clock that is never set back.
   *
   * @default the monotonic clock of the runtime
   */
  readonly now?: () => number;
}

/**
 * A clock that counts how long a program has run, and can be paused, saved and restored.
 *
 * It starts at 0 and runs at once. The time between a save and the load of its snapshot does not count. A save reads the clock and
 * changes nothing. Whether the clock is paused belongs to the run and is not saved: a clock that was saved during a pause runs after a resume.
 *
 * @example Time of a simulation, across restarts
 * ```ts
 * import { StateStore } from "snapkeep";
 * import { ProgramClock } from "snapkeep/states";
 *
 * const clock = new ProgramClock();
 * const store = new StateStore("states").register("clock", clock);
 * await store.resume();
 * console.log(`${clock.now()} ms in all runs`);
 * ```
 */
export class ProgramClock implements PersistentState {
  readonly #source: () => number;
  #countedMs = 0;
  /** When the source stood where counting began; absent while the clock is paused. */
  #since: number | undefined;

  /**
   * Makes a clock that stands at 0 and runs.
   *
   * @param options What to count by.
   * @throws {TypeError} If an option does not exist or cannot be used.
   */
  constructor(options: ProgramClockOptions = {}) {
    assertOptions("make a ProgramClock", options, { now: "a function" });
    this.#source = options.now ?? monotonicMs;
    this.#since = this.#source();
  }

  /** Returns how long the program has run, in milliseconds, with fractions. */
  now(): number {
    return this.#since === undefined ? this.#countedMs : this.#countedMs + Math.max(0, this.#source() - this.#since);
  }

  /** Whether the clock is paused. */
  get isPaused(): boolean {
    return this.#since === undefined;
  }

  /** Stops counting. A paused clock stays paused. */
  pause(): void {
    this.#countedMs = this.now();
    this.#since = undefined;
  }

  /** Counts on from where the clock was paused. A running clock runs on. */
  resume(): void {
    this.#since ??= this.#source();
  }

  /** Saves how long the program has run. */
  saveState(out: StateWriter): Promise<void> {
    return out.json(PATH, { ms: this.now() });
  }

  /** Sets the clock to what was saved; a paused clock stays paused. */
  async loadState(from: StateReader): Promise<void> {
    const saved = await readJson(from, PATH, schemaOf((value) => value as { readonly ms?: unknown } | null));
    const ms = saved?.ms;
    if (typeof ms !== "number" || !(ms >= 0 && ms < Infinity)) {
      throw invalidEntry(from, PATH, "expected a number from 0 on", "$.ms");
    }
    this.#countedMs = ms;
    if (this.#since !== undefined) this.#since = this.#source();
  }
}
