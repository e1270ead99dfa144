// When to save, as pure decisions: any `() => boolean` is a save condition.

import { assertOptions, type OptionNames } from "../words/options.ts";

const OPTIONS: OptionNames<{ readonly now?: () => number }> = { now: "a function" };

/** Decides whether it is time to save; called often, returns true when a save is due. */
export type SaveCondition = () => boolean;

/**
 * True once whenever more than an interval has passed (pamiq-core's `PeriodicSaveCondition`).
 *
 * False at the start; intervals missed meanwhile count once. Measured on a monotonic clock, so a change of the system's
 * time neither hastens nor delays it.
 *
 * @example Save at most every five minutes
 * ```ts
 * import { PeriodicSaveCondition } from "snapkeep";
 *
 * const condition = new PeriodicSaveCondition(5 * 60);
 * if (condition.check()) throw new Error("nothing is due at the start");
 * ```
 */
export class PeriodicSaveCondition {
  readonly #intervalMs: number;
  readonly #now: () => number;
  #lastMs: number;

  /**
   * Starts the first interval.
   *
   * @param intervalSeconds Least time between two saves, in seconds.
   * @param options Another monotonic clock, in milliseconds.
   * @throws {RangeError} If the interval is negative or NaN.
   */
  constructor(intervalSeconds: number, options: { readonly now?: () => number } = {}) {
    assertOptions("make a save condition", options, OPTIONS);
    if (!(intervalSeconds >= 0)) {
      throw new RangeError(`Cannot save every ${intervalSeconds} s: the interval must be 0 or more`);
    }
    this.#intervalMs = intervalSeconds * 1000;
    this.#now = options.now ?? (() => performance.now());
    this.#lastMs = this.#now();
  }

  /**
   * Asks whether a save is due, and starts the next interval if so.
   *
   * @returns Whether more than the interval has passed since it last said so, or since the start.
   */
  check(): boolean {
    const nowMs = this.#now();
    if (!(nowMs - this.#lastMs > this.#intervalMs)) return false;
    this.#lastMs = nowMs;
    return true;
  }
}
