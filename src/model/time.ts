// Instants as callers give them: one type wherever an instant is meant. Fields that end in `Ms` are milliseconds since 1970.
import { show } from "./show.ts";

/** An instant: a `Date`, or milliseconds since 1970 as `Date.now()` returns them. */
export type Time = Date | number;

/**
 * An instant in milliseconds since 1970.
 *
 * @param action What the caller does, after "Cannot": `resume from the time`.
 * @param time What the caller gave; Dates of other realms count.
 * @returns The milliseconds, finite.
 * @throws {TypeError} If it is neither a Date nor a number.
 * @throws {RangeError} If it is an invalid Date, or not finite.
 */
export function timeMsOf(action: string, time: Time): number {
  const isDate = Object.prototype.toString.call(time) === "[object Date]";
  if (!isDate && typeof time !== "number") {
    throw new TypeError(`Cannot ${action} ${show(time)}: it must be a Date, or a number of milliseconds since 1970`);
  }
  const timeMs = Number(time);
  if (!Number.isFinite(timeMs)) throw new RangeError(`Cannot ${action} ${show(time)}: it is no instant`);
  return timeMs;
}
