// Durations as people write them. They are exact: a day is 24 hours; months and years have no length and are not offered.
import { show } from "./show.ts";

/** A span of time: milliseconds, or text such as `"90s"`, `"15m"`, `"36h"`, `"7d"`, `"2w"`, `"1d12h"`. */
export type Duration = number | string;

const UNITS_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;

/**
 * The length of a duration.
 *
 * @param duration Milliseconds, or text.
 * @returns Milliseconds, finite and not negative.
 * @throws {RangeError} If it is no duration.
 */
export function milliseconds(duration: Duration): number {
  if (typeof duration === "number") {
    if (Number.isFinite(duration) && duration >= 0) return duration;
  } else if (typeof duration === "string" && /^(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+$/.test(duration)) {
    let sum = 0;
    for (const [, count, unit] of duration.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdw])/g)) {
      sum += Number(count) * UNITS_MS[unit as keyof typeof UNITS_MS];
    }
    if (Number.isFinite(sum)) return sum;
  }
  throw new RangeError(`Cannot read the duration ${show(duration)}: write it like "90s", "15m", "36h", "7d" or "2w"`);
}

/**
 * A length as people write it, in the largest units that divide it.
 *
 * @param lengthMs Milliseconds.
 * @returns Text that {@link milliseconds} reads back, to the millisecond.
 */
export function durationText(lengthMs: number): string {
  let rest = Math.round(lengthMs); // in days and not weeks: "30d" says more than "4w2d"
  if (rest === 0) return "0s";
  let text = "";
  for (const unit of ["d", "h", "m", "s", "ms"] as const) {
    const count = Math.floor(rest / UNITS_MS[unit]);
    if (count === 0) continue;
    text += `${count}${unit}`;
    rest -= count * UNITS_MS[unit];
  }
  return text;
}
