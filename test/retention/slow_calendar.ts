// The calendar again, slowly and by another way: asks Intl for every instant, and counts ISO weeks from the day of the year.
import type { RetentionCalendarUnit } from "snapkeep";

const formats = new Map<string, Intl.DateTimeFormat>();

/** The bucket of an instant in the years 1000 to 9999. */
export function slowBucket(zone: string, unit: RetentionCalendarUnit, timeMs: number): string {
  let format = formats.get(zone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "medium" });
    formats.set(zone, format);
  }
  const text = format.format(timeMs); // 2026-11-23 07:08:09
  const [, year = "", month = "", day = "", hour = ""] = /^(\d{4})-(\d\d)-(\d\d)\D+(\d\d)/.exec(text) ?? [];
  if (hour === "") throw new RangeError(`"${text}" is no time`);
  const buckets = {
    hour: () => `${year}-${month}-${day} ${hour}`,
    day: () => `${year}-${month}-${day}`,
    week: () => isoWeek(Number(year), Number(month), Number(day)),
    month: () => `${year}-${month}`,
    year: () => year,
  };
  return buckets[unit]();
}

const isLeap = (year: number): boolean => year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);

/** Sakamoto's day of the week, Sunday 0. */
function weekday(year: number, month: number, day: number): number {
  const shift = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4][month - 1] ?? 0;
  const y = month < 3 ? year - 1 : year;
  return (y + Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400) + shift + day) % 7;
}

/** A year has 53 weeks if it begins or ends on a Thursday. */
function weeksOf(year: number): number {
  return weekday(year, 1, 1) === 4 || weekday(year, 12, 31) === 4 ? 53 : 52;
}

function isoWeek(year: number, month: number, day: number): string {
  const lengths = [31, isLeap(year) ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
  const dayOfYear = lengths.slice(0, month - 1).reduce((sum, length) => sum + length, day);
  const isoDay = weekday(year, month, day) || 7;
  const week = Math.floor((dayOfYear - isoDay + 10) / 7);
  const [isoYear, isoNumber] = week < 1
    ? [year - 1, weeksOf(year - 1)]
    : week > weeksOf(year)
    ? [year + 1, 1]
    : [year, week];
  return `${isoYear}-W${String(isoNumber).padStart(2, "0")}`;
}
