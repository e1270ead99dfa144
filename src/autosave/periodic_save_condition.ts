// When to save, as pure decisions.
import { show } from "../model/show.ts";
import { milliseconds } from "../retention/duration.ts";

import { assertOptions, type OptionNames } from "../model/options.ts";

const OPTIONS: OptionNames<{ readonly now?: () => number }> = { now: "a function" };

/**
 * Decides whether it is time to save: a function, or an object such as a {@link PeriodicSaveCondition}. Asked often, it returns
 * true when a save is due.
 */
export type SaveCondition = (() => boolean) | { check(): boolean };

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
   * @param interval Least time between two saves: seconds, or text such as `"90s"`, `"5m"`, `"1h30m"`.
   * @param options Another monotonic clock, in milliseconds.
   * @throws {RangeError} If the interval is negative or NaN, or no duration.
   */
  constructor(interval: number | string, options: { readonly now?: () => number } = {}) {
    assertOptions("make a save condition", options, OPTIONS);
    this.#intervalMs = intervalMsOf(interval);
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

function intervalMsOf(interval: number | string): number {
  if (typeof interval === "string") return milliseconds(interval);
  if (typeof interval === "number" && interval >= 0) return interval * 1000;
  const reason = 'the interval must be 0 or more seconds, or text such as "5m"';
  throw new RangeError(`Cannot save every ${show(interval)} s: ${reason}`);
}
