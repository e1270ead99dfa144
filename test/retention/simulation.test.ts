// simulateRetention: small policies whose course can be followed by hand.
import {
  keepDaily,
  keepEvery,
  keepHourly,
  keepLatest,
  keepMonthly,
  keepUnder,
  keepWeekly,
  simulateRetention,
} from "snapkeep";
import { describe, expect, it } from "vitest";
import { HOUR_MS } from "./samples.ts";

describe("simulateRetention", () => {
  it("tells what exists after a day, a month and a year", () => {
    const moment = { snapshots: 3, sizeBytes: 30, largestGapMs: 12 * HOUR_MS, reachMs: 24 * HOUR_MS };
    expect(simulateRetention([keepLatest(3)], { every: "12h", sizeBytes: 10 })).toEqual([
      { after: "1d", ...moment },
      { after: "30d", ...moment },
      { after: "365d", ...moment },
    ]);
  });

  it("cleans up after each save, as a program does", () => {
    // Saves at 0, 6, 12, ... hours from midnight. At 24 h: day two's 24, day one's 18, and 0 as the oldest, for a third is free:
    // gaps of 18 h and 6 h. At 48 h: 48, 42 and 18; the 6 and 12 that could stand for day one are long gone.
    expect(simulateRetention([keepDaily(3)], { every: "6h", sizeBytes: 100, horizon: "2d" })).toEqual([
      { after: "1d", snapshots: 3, sizeBytes: 300, largestGapMs: 18 * HOUR_MS, reachMs: 24 * HOUR_MS },
      { after: "2d", snapshots: 3, sizeBytes: 300, largestGapMs: 24 * HOUR_MS, reachMs: 30 * HOUR_MS },
    ]);
  });

  it("counts what is kept permanently", () => {
    // Every 12 h and the newest, which at these moments is one of them: 0, 12, 24; then 36 and 48 more.
    expect(simulateRetention([keepEvery("12h")], { every: "1h", horizon: "2d", sizeBytes: 1 })).toEqual([
      { after: "1d", snapshots: 3, sizeBytes: 3, largestGapMs: 12 * HOUR_MS, reachMs: 24 * HOUR_MS },
      { after: "2d", snapshots: 5, sizeBytes: 5, largestGapMs: 12 * HOUR_MS, reachMs: 48 * HOUR_MS },
    ]);
  });

  it("keeps within a budget", () => {
    expect(simulateRetention([keepUnder(250)], { every: "1h", sizeBytes: 100, horizon: "10h" })).toEqual([
      { after: "10h", snapshots: 2, sizeBytes: 200, largestGapMs: HOUR_MS, reachMs: HOUR_MS },
    ]);
  });

  it("looks at a moment between two saves after the first of them", () => {
    // Saves at 0, 7, 14 and 21 hours.
    expect(simulateRetention([keepLatest(10)], { every: "7h", horizon: "1d" })).toEqual([
      { after: "1d", snapshots: 4, sizeBytes: 0, largestGapMs: 7 * HOUR_MS, reachMs: 21 * HOUR_MS },
    ]);
  });

  it("tells the horizon last, and each moment once", () => {
    const after = (horizon: string | number) =>
      simulateRetention([keepLatest(1)], { every: "12h", horizon }).map((moment) => moment.after);
    expect(after("12h")).toEqual(["12h"]);
    expect(after("1d")).toEqual(["1d"]);
    expect(after("30d")).toEqual(["1d", "30d"]);
    expect(after("1w")).toEqual(["1d", "7d"]);
    expect(after("500d")).toEqual(["1d", "30d", "365d", "500d"]);
    expect(after(0)).toEqual(["0s"]);
    expect(simulateRetention([keepLatest(1)], { every: "1d" }).map((moment) => moment.after)).toEqual([
      "1d",
      "30d",
      "365d",
    ]);
  });

  it("one snapshot has no gap and no reach", () => {
    expect(simulateRetention([keepLatest(1)], { every: "1h", horizon: "5h", sizeBytes: 7 })).toEqual([
      { after: "5h", snapshots: 1, sizeBytes: 7, largestGapMs: 0, reachMs: 0 },
    ]);
  });

  it("takes its days from the zone", () => {
    // Saves at 0, 12 and 24 hours after midnight in UTC, which is 19:00 on New Year's Eve in New York. There, 12 and 24 lie in one
    // day, so 24 and 0 are kept; in UTC it is 24 and 12.
    const gap = (zone: string) =>
      simulateRetention([keepDaily(2)], { every: "12h", horizon: "1d", zone })[0]?.largestGapMs;
    expect(gap("UTC")).toBe(12 * HOUR_MS);
    expect(gap("America/New_York")).toBe(24 * HOUR_MS);
  });

  it("tells the room of a policy as people write it", () => {
    // After a year of hourly saves: 24 hours, 7 days, 4 weeks, 12 months. The last save is midnight of 1 January 2027, the newest
    // of its hour, day, week (W53) and month. Hours: 31 Dec 01:00 to 1 Jan 00:00. Days: 26 to 31 Dec at 23:00, the 31st being an hour
    // too. Weeks: W52, W51, W50 end on 27, 20, 13 Dec at 23:00; the 27th is a day too. Months: Nov to Feb end at 23:00; 31 Dec is
    // there already; 12 months are 2027-01 and 2026-12 to 2026-02. 24 + 5 + 2 + 10 = 41.
    const rules = [keepHourly(24), keepDaily(7), keepWeekly(4), keepMonthly(12)];
    expect(simulateRetention(rules, { every: "1h", sizeBytes: 2 }).at(-1)).toEqual({
      after: "365d",
      snapshots: 41,
      sizeBytes: 82,
      largestGapMs: 31 * 24 * HOUR_MS,
      reachMs: Date.parse("2027-01-01T00:00Z") - Date.parse("2026-02-28T23:00Z"),
    });
  });

  it.each(
    [
      ["no interval", { every: "0s" }],
      ["no interval", { every: 0 }],
      ["a negative interval", { every: -1 }],
      ["what is no duration", { every: "daily" }],
      ["a horizon that is no duration", { every: "1h", horizon: "1y" }],
      ["more than a million saves", { every: "1ms", horizon: "1d" }],
      ["an unknown zone", { every: "1h", zone: "Nowhere" }],
    ] as const,
  )("refuses %s as a RangeError: %j", (_, options) => {
    expect(() => simulateRetention([keepLatest(1)], options)).toThrow(RangeError);
  });

  it("refuses rules that are off as a TypeError", () => {
    expect(() => simulateRetention([], { every: "1h" })).toThrow(TypeError);
    expect(() => simulateRetention([keepLatest(0)], { every: "1h" })).toThrow(TypeError);
  });
});
