// A save every so often.
import { show } from "../model/show.ts";
import { durationText, milliseconds } from "../model/duration.ts";
import { assertOptions, type OptionNames } from "../model/options.ts";
import { warnUser } from "../runtime/logging.ts";
import type { SaveMoment } from "./save_condition.ts";

const OPTIONS: OptionNames<{ readonly now?: () => number }> = { now: "a function" };

/**
 * True once whenever more than an interval has passed (pamiq-core's `PeriodicSaveCondition`).
 *
 * False at the start; intervals missed meanwhile count once. Measured on a monotonic clock, so a change of the system's
 * time neither hastens nor delays it.
 *
 * An autosaver gives it the moment. Then the interval counts from the last capture, also if an earlier run made it, and it stays
 * true until the next one.
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
  #captures: number | undefined;

  /**
   * Starts the first interval.
   *
   * @param interval Least time between two saves: seconds, or text such as `"90s"`, `"5m"`, `"1h30m"`. A number that looks like
   *   milliseconds, such as 60000, causes one warning.
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
   * Asks whether a save is due; without a moment, it starts the next interval if so.
   *
   * @param moment What an autosaver knows of the program's saves.
   * @returns Whether more than the interval has passed: since the last capture of the moment, or else since it last said so, or since
   *   the start.
   */
  check(moment?: SaveMoment): boolean {
    const isDue = this.#elapsedMs(moment) > this.#intervalMs;
    if (isDue && moment === undefined) this.#lastMs = this.#now();
    return isDue;
  }

  /**
   * Tells when it will be true.
   *
   * @param moment As for {@link PeriodicSaveCondition.check}.
   * @returns In how many milliseconds the interval has passed; 0 if it has.
   */
  dueInMs(moment?: SaveMoment): number {
    return Math.max(0, this.#intervalMs - this.#elapsedMs(moment));
  }

  #elapsedMs(moment: SaveMoment | undefined): number {
    const nowMs = this.#now();
    // Measured from there on by its own clock, which may be another than the autosaver's.
    if (moment !== undefined && moment.captures !== this.#captures) {
      if (this.#captures !== undefined || moment.hasCapture) this.#lastMs = nowMs - moment.sinceCaptureMs;
      this.#captures = moment.captures;
    }
    return nowMs - this.#lastMs;
  }
}

function intervalMsOf(interval: number | string): number {
  if (typeof interval === "string") return milliseconds(interval);
  if (typeof interval === "number" && interval >= 0) {
    if (isLikeMilliseconds(interval)) warnOfUnit(interval);
    return interval * 1000;
  }
  const reason = 'the interval must be 0 or more seconds, or text such as "5m"';
  throw new RangeError(`Cannot save every ${show(interval)} s: ${reason}`);
}

const LONG_S = 5_000;
const HOUR_S = 3_600;
const WEEK_S = 7 * 24 * HOUR_S;

/** Whether a number of seconds was perhaps meant as milliseconds: more than an hour, and whole thousands, but not whole hours. */
function isLikeMilliseconds(seconds: number): boolean {
  return seconds >= LONG_S && seconds % 1000 === 0 && (seconds % HOUR_S !== 0 || seconds >= WEEK_S);
}

/** Everywhere else, a number is milliseconds: a program that means them saves a thousand times too seldom, in silence. */
function warnOfUnit(seconds: number): void {
  const [meant, taken] = [durationText(seconds), durationText(seconds * 1000)];
  warnUser({
    className: "PeriodicSaveCondition",
    kind: "INTERVAL_IN_SECONDS",
    address: `${seconds} s`,
    message:
      `A save is due every ${taken}, because ${seconds} is a number of seconds; write "${meant}" if milliseconds were meant, ` +
      `or else "${taken}"`,
  });
}
