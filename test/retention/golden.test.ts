// Tables worked out by hand, newest first: what each rule keeps around the odd places of calendars, and why.
import {
  keepBest,
  keepDaily,
  keepHourly,
  keepLatest,
  keepMonthly,
  keepTagged,
  keepWeekly,
  keepWithin,
  keepYearly,
} from "snapkeep";
import { describe, expect, it } from "vitest";
import { at, DAY_MS, every, HOUR_MS, planOf, table } from "./samples.ts";

describe("year ends", () => {
  const times = ["2026-01-01T00:30Z", "2025-12-31T23:30Z", "2025-12-31T22:30Z", "2025-12-30T12:00Z"] as const;

  it("in UTC lie between 23:30 and 00:30", () => {
    expect(table(times, [keepYearly(2), keepMonthly(2), keepDaily(2)])).toEqual([
      [times[0], "newest, year 2026, month 2026-01, day 2026-01-01"],
      [times[1], "year 2025, month 2025-12, day 2025-12-31"],
      [times[2], "-"],
      [times[3], "-"],
    ]);
  });

  it("in Berlin an hour earlier: 23:30Z is New Year there", () => {
    // Local times: 01:30 and 00:30 on 1 January 2026, 23:30 on 31 December, 13:00 on 30 December.
    expect(table(times, [keepYearly(2)], { zone: "Europe/Berlin" })).toEqual([
      [times[0], "newest, year 2026"],
      [times[1], "-"],
      [times[2], "year 2025"],
      [times[3], "-"],
    ]);
  });

  it("in New York five hours later: all is still 2025, so a count is left for the oldest", () => {
    expect(table(times, [keepYearly(2)], { zone: "America/New_York" })).toEqual([
      [times[0], "newest, year 2025"],
      [times[1], "-"],
      [times[2], "-"],
      [times[3], "oldest year 2025"],
    ]);
  });

  it("belong to one ISO week, which is of the year of its Thursday", () => {
    // 31 December 2025 is a Wednesday; its week, Monday 29 to Sunday 4, has its Thursday in 2026.
    expect(table(["2026-01-04T12:00Z", "2025-12-29T12:00Z", "2025-12-28T12:00Z"], [keepWeekly(2)])).toEqual([
      ["2026-01-04T12:00Z", "newest, week 2026-W01"],
      ["2025-12-29T12:00Z", "-"],
      ["2025-12-28T12:00Z", "week 2025-W52"],
    ]);
  });
});

describe("ISO week 53", () => {
  it("of 2020 runs from 28 December to 3 January", () => {
    const times = [
      "2021-01-04T12:00Z",
      "2021-01-03T12:00Z",
      "2021-01-01T12:00Z",
      "2020-12-28T12:00Z",
      "2020-12-27T12:00Z",
      "2020-12-21T12:00Z",
    ];
    expect(table(times, [keepWeekly(3), keepYearly(2)])).toEqual([
      [times[0], "newest, week 2021-W01, year 2021"],
      [times[1], "week 2020-W53"],
      [times[2], "-"],
      [times[3], "year 2020"],
      [times[4], "week 2020-W52"],
      [times[5], "-"],
    ]);
  });

  it("of 2026 runs from 28 December to 3 January", () => {
    const times = [
      "2027-01-04T00:00Z",
      "2027-01-03T23:59Z",
      "2026-12-28T00:00Z",
      "2026-12-27T23:59Z",
      "2026-12-20T12:00Z",
    ];
    expect(table(times, [keepWeekly(4)])).toEqual([
      [times[0], "newest, week 2027-W01"],
      [times[1], "week 2026-W53"],
      [times[2], "-"],
      [times[3], "week 2026-W52"],
      [times[4], "week 2026-W51"],
    ]);
  });

  it("moves with the zone", () => {
    // In Kathmandu (+05:45), Monday 28 December begins at 18:15Z on Sunday.
    const times = ["2026-12-27T18:15Z", "2026-12-27T18:14Z"];
    expect(table(times, [keepWeekly(2)], { zone: "Asia/Kathmandu" })).toEqual([
      [times[0], "newest, week 2026-W53"],
      [times[1], "week 2026-W52"],
    ]);
    expect(table(times, [keepWeekly(1)])).toEqual([[times[0], "newest, week 2026-W52"], [times[1], "-"]]);
  });
});

describe("leap days", () => {
  it("are days of February", () => {
    const times = ["2024-03-01T12:00Z", "2024-02-29T18:00Z", "2024-02-29T12:00Z", "2024-02-28T12:00Z"];
    expect(table(times, [keepDaily(3), keepMonthly(2)])).toEqual([
      [times[0], "newest, day 2024-03-01, month 2024-03"],
      [times[1], "day 2024-02-29, month 2024-02"],
      [times[2], "-"],
      [times[3], "day 2024-02-28"],
    ]);
  });

  it("are none in 2100", () => {
    const times = ["2100-03-01T00:00Z", "2100-02-28T23:59Z", "2100-02-28T00:00Z"];
    expect(table(times, [keepDaily(2)])).toEqual([
      [times[0], "newest, day 2100-03-01"],
      [times[1], "day 2100-02-28"],
      [times[2], "-"],
    ]);
  });

  it("make a week no longer", () => {
    // Thursday 29 February 2024 is in week 9, Monday 26 February to Sunday 3 March.
    const times = ["2024-03-04T12:00Z", "2024-03-03T12:00Z", "2024-02-29T12:00Z", "2024-02-25T12:00Z"];
    expect(table(times, [keepWeekly(3)])).toEqual([
      [times[0], "newest, week 2024-W10"],
      [times[1], "week 2024-W09"],
      [times[2], "-"],
      [times[3], "week 2024-W08"],
    ]);
  });
});

describe("the clock's changes in Berlin", () => {
  const zone = "Europe/Berlin";

  it("in spring leave a day of 23 hours, which is a day", () => {
    // 29 March 2026: 01:59 is followed by 03:00. Midnight is 28T23:00Z, the next one 29T22:00Z.
    const hours = every(HOUR_MS, "2026-03-28T22:00Z", "2026-03-29T22:00Z");
    const kept = planOf(hours, [keepDaily(3)], { zone }).decisions.filter(({ isKept }) => isKept);
    expect(kept.map(({ snapshot, reasons }) => [snapshot.name.slice(5, 16), reasons.join(", ")])).toEqual([
      ["03-28T22:00", "day 2026-03-28"],
      ["03-29T21:00", "day 2026-03-29"],
      ["03-29T22:00", "newest, day 2026-03-30"],
    ]);
    // The day's 23 hours, each in an hour of its own, from 00 to 23 without 02.
    const day = every(HOUR_MS, "2026-03-28T23:00Z", "2026-03-29T21:00Z");
    const reasons = planOf(day, [keepHourly(24)], { zone }).decisions.map(({ reasons }) => reasons.at(-1));
    expect(reasons).toEqual(
      [0, 1, ...Array.from({ length: 21 }, (_, index) => index + 3)].map((hour) =>
        `hour 2026-03-29 ${String(hour).padStart(2, "0")}`
      ),
    );
  });

  it("in autumn leave a day of 25 hours, and one hour that is there twice and is one", () => {
    // 25 October 2026: 02:59 is followed by 02:00. Midnight is 24T22:00Z, the next one 25T23:00Z.
    const day = every(HOUR_MS, "2026-10-24T22:00Z", "2026-10-25T22:00Z");
    expect(day).toHaveLength(25);
    const daily = planOf(day, [keepDaily(2)], { zone });
    expect(daily.kept).toEqual([day[0], day[24]]);
    expect(daily.decisions[0]?.reasons).toEqual(["oldest day 2026-10-25"]);
    expect(daily.decisions[24]?.reasons).toEqual(["newest", "day 2026-10-25"]);
    // 24 hours have names, so 24 are kept; of the two 02:00 the newer.
    const hourly = planOf(day, [keepHourly(24)], { zone });
    expect(hourly.removed.map(({ name }) => name)).toEqual(["2026-10-25T00:00:00.000Z"]);
    // In UTC there are 25 hours.
    expect(planOf(day, [keepHourly(25)]).removed).toEqual([]);
  });

  it("do not move midnight for weeks and months", () => {
    const times = [
      "2026-10-26T00:00+01:00",
      "2026-10-25T23:59+01:00",
      "2026-10-19T00:00+02:00",
      "2026-10-18T23:59+02:00",
    ];
    expect(table(times, [keepWeekly(3)], { zone })).toEqual([
      [times[0], "newest, week 2026-W44"],
      [times[1], "week 2026-W43"],
      [times[2], "-"],
      [times[3], "week 2026-W42"],
    ]);
  });
});

describe("the clock's changes in New York", () => {
  const zone = "America/New_York";

  it("in spring leave a day of 23 hours", () => {
    // 8 March 2026: 01:59 is followed by 03:00. Midnight is 05:00Z, the next one 9T04:00Z.
    const times = ["2026-03-09T04:00Z", "2026-03-09T03:59Z", "2026-03-08T05:00Z", "2026-03-08T04:59Z"];
    expect(table(times, [keepDaily(3)], { zone })).toEqual([
      [times[0], "newest, day 2026-03-09"],
      [times[1], "day 2026-03-08"],
      [times[2], "-"],
      [times[3], "day 2026-03-07"],
    ]);
    expect(planOf(every(HOUR_MS, "2026-03-08T05:00Z", "2026-03-09T03:00Z"), [keepHourly(23)], { zone }).removed)
      .toEqual([]);
  });

  it("in autumn leave a day of 25 hours, with 01 there twice", () => {
    // 1 November 2026: 01:59 is followed by 01:00. Midnight is 04:00Z, the next one 2T05:00Z.
    const times = [
      "2026-11-02T05:00Z",
      "2026-11-02T04:59Z",
      "2026-11-01T06:30Z",
      "2026-11-01T05:30Z",
      "2026-11-01T03:59Z",
    ];
    expect(table(times, [keepDaily(3), keepHourly(3)], { zone })).toEqual([
      [times[0], "newest, day 2026-11-02, hour 2026-11-02 00"],
      [times[1], "day 2026-11-01, hour 2026-11-01 23"],
      [times[2], "hour 2026-11-01 01"],
      [times[3], "-"],
      [times[4], "day 2026-10-31"],
    ]);
  });
});

describe("a policy as people write it", () => {
  it("keeps the union, with all reasons", () => {
    // One a day at noon, from 1 October to Monday 23 November 2026. Days 23 to 17; weeks end on Sundays 22, 15 and 8, and W48
    // has only the 23rd; months end on 31 October.
    const plan = planOf(every(DAY_MS, "2026-10-01T12:00Z", "2026-11-23T12:00Z"), [
      keepLatest(2),
      keepDaily(4),
      keepWeekly(4),
      keepMonthly(3),
      keepWithin("36h"),
    ]);
    const kept = plan.decisions.filter(({ isKept }) => isKept);
    expect(kept.map(({ snapshot, reasons }) => [snapshot.name.slice(0, 10), reasons.join(", ")])).toEqual([
      ["2026-10-01", "oldest month 2026-10"],
      ["2026-10-31", "month 2026-10"],
      ["2026-11-08", "week 2026-W45"],
      ["2026-11-15", "week 2026-W46"],
      ["2026-11-20", "day 2026-11-20"],
      ["2026-11-21", "day 2026-11-21"],
      ["2026-11-22", "latest 2, day 2026-11-22, week 2026-W47, within 36h"],
      ["2026-11-23", "newest, latest 1, day 2026-11-23, week 2026-W48, month 2026-11, within 36h"],
    ]);
    expect(plan.removed).toHaveLength(54 - 8);
  });

  it("keeps the best, the tagged and the pinned of a training run beside the latest", () => {
    const losses = [5, 4, NaN, 2, 3, 2, 6, 7];
    const run = losses.map((loss, index) =>
      at(`2026-11-23T0${index}:00Z`, {
        metrics: { loss },
        ...index === 1 ? { tags: ["paper"] } : {},
        ...index === 5 ? { pinned: true } : {},
      })
    );
    const plan = planOf(run, [keepLatest(2), keepBest("loss", "min", 2), keepTagged("paper")]);
    // The pinned one is equally good as 03:00, but takes no slot; so 04:00 is second best.
    expect(plan.decisions.map(({ reasons }) => reasons.join(", "))).toEqual([
      "",
      "tagged paper",
      "",
      "best loss 1",
      "best loss 2",
      "pinned",
      "latest 2",
      "newest, latest 1",
    ]);
  });

  it("after a month off, keeps all it kept before", () => {
    const before = every(HOUR_MS, "2026-09-01T00:00Z", "2026-09-30T00:00Z");
    const rules = [keepLatest(3), keepHourly(24), keepDaily(7), keepWithin("2d")];
    const { kept } = planOf(before, rules, { nowMs: Date.parse("2026-09-30T00:00Z") });
    expect(planOf(kept, rules, { nowMs: Date.parse("2026-11-23T00:00Z") }).removed).toEqual([]);
  });
});
