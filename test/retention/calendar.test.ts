// Calendar buckets, compared with a slow implementation and with known dates.
import fc from "fast-check";
import type { RetentionCalendarUnit } from "snapkeep";
import { describe, expect, it } from "vitest";
import { RetentionCalendar } from "../../src/retention/calendar.ts";
import { DAY_MS, HOUR_MS, ms } from "./samples.ts";
import { slowBucket } from "./slow_calendar.ts";

const units: readonly RetentionCalendarUnit[] = ["hour", "day", "week", "month", "year"];

// Zones and instants at which their clocks were changed; some by half an hour, by two hours, by a day, by seconds, at one
// minute past midnight.
const transitions: Readonly<Record<string, readonly string[]>> = {
  "UTC": ["1970-01-01T00:00Z"],
  "Europe/Berlin": ["2026-03-29T01:00Z", "2026-10-25T01:00Z", "1945-05-24T00:00Z", "1893-03-31T23:06:32Z"],
  "America/New_York": ["2026-03-08T07:00Z", "2026-11-01T06:00Z", "1974-01-06T07:00Z", "1883-11-18T17:00Z"],
  "Australia/Lord_Howe": ["2026-04-04T15:00Z", "2026-10-03T15:30Z"],
  "Asia/Kathmandu": ["1985-12-31T18:30Z", "2026-06-01T18:15Z"],
  "America/St_Johns": ["2006-10-29T02:31Z", "2006-04-02T03:31Z"],
  "Antarctica/Troll": ["2026-10-25T01:00Z", "2026-03-29T01:00Z"],
  "Pacific/Apia": ["2011-12-30T10:00Z", "2010-09-26T11:00Z"],
  "Pacific/Kwajalein": ["1993-08-21T12:00Z", "1969-09-30T13:00Z"],
  "Africa/Monrovia": ["1972-01-07T00:44:30Z"],
  "Africa/Casablanca": ["2026-02-15T02:00Z", "2026-03-22T02:00Z"],
  "America/Sao_Paulo": ["2018-02-18T02:00Z", "2018-11-04T03:00Z"],
  "America/Caracas": ["2007-12-09T07:00Z", "2016-05-01T07:00Z"],
  "Asia/Tehran": ["2022-03-21T20:30Z", "2022-09-21T19:30Z"],
  "Pacific/Chatham": ["2026-04-04T14:00Z", "2026-09-26T14:00Z"],
  "Asia/Pyongyang": ["2015-08-14T15:30Z", "2018-05-04T15:00Z"],
};

describe("calendar buckets", () => {
  it.each(Object.keys(transitions))("are those of Intl at any instant in %s", (zone) => {
    const calendar = new RetentionCalendar(zone);
    const around = (transitions[zone] ?? []).flatMap((time) =>
      Array.from({ length: 141 }, (_, index) => ms(time) + (index - 70) * 7 * 60_000 + (index % 2) * -1)
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.integer({ min: ms("1850-01-01T00:00Z"), max: ms("2150-01-01T00:00Z") }),
          fc.constantFrom(...around),
        ),
        fc.constantFrom(...units),
        (timeMs, unit) => {
          expect(calendar.bucket(unit, timeMs)).toBe(slowBucket(zone, unit, timeMs));
        },
      ),
      { numRuns: 400 },
    );
    for (const timeMs of around) expect(calendar.bucket("hour", timeMs)).toBe(slowBucket(zone, "hour", timeMs));
  });

  it("do not depend on what was asked before", () => {
    const times = Array.from({ length: 60 }, (_, index) => ms("2026-10-24T12:00Z") + index * HOUR_MS / 2);
    const warm = new RetentionCalendar("Europe/Berlin");
    for (const timeMs of [...times].reverse()) warm.bucket("hour", timeMs);
    for (const timeMs of times) {
      expect(warm.bucket("hour", timeMs)).toBe(new RetentionCalendar("Europe/Berlin").bucket("hour", timeMs));
    }
  });

  it.each(
    [
      ["2020-12-27T12:00Z", "2020-W52"],
      ["2020-12-28T12:00Z", "2020-W53"],
      ["2021-01-03T12:00Z", "2020-W53"],
      ["2021-01-04T12:00Z", "2021-W01"],
      ["2024-12-29T12:00Z", "2024-W52"],
      ["2024-12-30T12:00Z", "2025-W01"],
      ["2026-01-01T12:00Z", "2026-W01"],
      ["2026-12-28T12:00Z", "2026-W53"],
      ["2027-01-03T12:00Z", "2026-W53"],
      ["2027-01-04T12:00Z", "2027-W01"],
      ["1970-01-01T00:00Z", "1970-W01"],
      ["1969-12-29T00:00Z", "1970-W01"],
      ["1969-12-28T23:59Z", "1969-W52"],
      ["1969-12-22T00:00Z", "1969-W52"],
      ["1969-12-21T23:59Z", "1969-W51"],
      ["1961-01-01T12:00Z", "1960-W52"],
    ] as const,
  )("put %s into the ISO week %s", (time, week) => {
    expect(new RetentionCalendar("UTC").bucket("week", ms(time))).toBe(week);
  });

  it("begin a week on Monday at midnight of the zone", () => {
    const calendar = new RetentionCalendar("America/New_York");
    expect(calendar.bucket("week", ms("2026-11-23T04:59Z"))).toBe("2026-W47");
    expect(calendar.bucket("week", ms("2026-11-23T05:00Z"))).toBe("2026-W48");
  });

  it.each(
    [
      ["Europe/Berlin", "2026-03-29", 23],
      ["Europe/Berlin", "2026-10-25", 25],
      ["America/New_York", "2026-03-08", 23],
      ["America/New_York", "2026-11-01", 25],
      ["Australia/Lord_Howe", "2026-04-05", 24.5],
      ["Australia/Lord_Howe", "2026-10-04", 23.5],
      ["Antarctica/Troll", "2026-10-25", 26],
      ["Pacific/Apia", "2011-12-30", 0],
      ["UTC", "2026-10-25", 24],
    ] as const,
  )("give %s on %s a day of %d hours", (zone, day, hours) => {
    const calendar = new RetentionCalendar(zone);
    const halfHours = Array.from({ length: 200 }, (_, index) => ms(`${day}T00:00Z`) + (index - 76) * HOUR_MS / 2);
    expect(halfHours.filter((timeMs) => calendar.bucket("day", timeMs) === day).length / 2).toBe(hours);
  });

  it("make one hour of two that the clock shows twice", () => {
    const calendar = new RetentionCalendar("Europe/Berlin");
    expect(calendar.bucket("hour", ms("2026-10-25T02:10+02:00"))).toBe("2026-10-25 02");
    expect(calendar.bucket("hour", ms("2026-10-25T02:10+01:00"))).toBe("2026-10-25 02");
    expect(ms("2026-10-25T02:10+01:00") - ms("2026-10-25T02:10+02:00")).toBe(HOUR_MS);
  });

  it("are whole at the ends of what names and clocks can say", () => {
    const calendar = new RetentionCalendar("Asia/Tokyo");
    const last = ms("9999-12-31T20:00Z"); // there, the year 10000 has begun
    expect(units.map((unit) => calendar.bucket(unit, last))).toEqual([
      "+010000-01-01 05",
      "+010000-01-01",
      "9999-W52", // a Saturday
      "+010000-01",
      "+010000",
    ]);
    const early = new Date(0).setUTCFullYear(33, 3, 3);
    expect(units.map((unit) => new RetentionCalendar("Etc/GMT").bucket(unit, early))).toEqual([
      "0033-04-03 00",
      "0033-04-03",
      "0033-W13", // a Sunday, in the proleptic Gregorian calendar
      "0033-04",
      "0033",
    ]);
  });

  it("refuse an unknown zone as a RangeError", () => {
    expect(() => new RetentionCalendar("Europe/Atlantis")).toThrow(RangeError);
    expect(() => new RetentionCalendar("")).toThrow(RangeError);
  });

  it("change with midnight and not 24 hours after the last change", () => {
    const calendar = new RetentionCalendar("Europe/Berlin");
    const midnight = ms("2026-10-26T00:00+01:00");
    expect(calendar.bucket("day", midnight - 1)).toBe("2026-10-25");
    expect(calendar.bucket("day", midnight)).toBe("2026-10-26");
    expect(midnight - ms("2026-10-25T00:00+02:00")).toBe(DAY_MS + HOUR_MS);
  });
});
