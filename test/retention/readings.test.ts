// Where a rule could be read in two ways, this is the reading that was decided; the test's name states it.
import {
  atLeast,
  keepBest,
  keepDaily,
  keepEvery,
  keepEverySteps,
  keepHourly,
  keepLatest,
  keepMonthly,
  keepTagged,
  keepUnder,
  keepWeekly,
  keepWithin,
  keepYearly,
  planRetention,
  type RetentionFunction,
  type RetentionRule,
} from "snapkeep";
import { describe, expect, it } from "vitest";
import { showType } from "../../src/model/show.ts";
import {
  at,
  DAY_MS,
  every,
  HOUR_MS,
  keptNames,
  ms,
  named,
  planOf,
  reasonsByName,
  row,
  type Rules,
  table,
} from "./samples.ts";

const pinned = true;
const none: RetentionFunction = () => [];

describe("pinned snapshots", () => {
  it("are left out of counting rules only: they take no slot of keepLatest, calendar rules and keepBest", () => {
    const days = ["2026-11-20T12:00Z", "2026-11-21T12:00Z", "2026-11-22T12:00Z", "2026-11-23T12:00Z"] as const;
    const snapshots = days.map((day, index) => at(day, { metrics: { loss: index }, pinned: index === 2 }));
    const kept = (...rules: Rules) => keptNames(snapshots, rules).map((name) => name.slice(8, 10));
    expect(kept(keepLatest(2))).toEqual(["21", "22", "23"]);
    expect(kept(keepDaily(2))).toEqual(["21", "22", "23"]);
    expect(kept(keepBest("loss", "max", 2))).toEqual(["21", "22", "23"]);
    expect(kept(keepLatest(1))).toEqual(["22", "23"]);
  });

  it("may serve as reference of keepWithin", () => {
    const snapshots = [at("2026-11-20T00:00Z"), at("2026-11-22T00:00Z"), at("2026-11-23T00:00Z", { pinned })];
    expect(keptNames(snapshots, [keepWithin("1d12h")]).map((name) => name.slice(8, 10))).toEqual(["22", "23"]);
  });

  it("may cover a slot of keepEvery", () => {
    // From 20 on, 22 is two days later and covers the slot, though it is pinned; 23 would have been next without it.
    const days = [20, 21, 22, 23, 24].map((day) => at(`2026-11-${day}T00:00Z`, { pinned: day === 22 }));
    expect(keptNames(days, [keepEvery("2d")]).map((name) => name.slice(8, 10))).toEqual(["20", "22", "24"]);
  });

  it("may be the closest to a multiple of keepEverySteps", () => {
    const snapshots = row({ step: 8 }, { step: 10, pinned }, { step: 11 }, { step: 20 });
    expect(reasonsByName(snapshots, [keepEverySteps(10)])).toMatchObject({ a: "", b: "pinned, step 10", c: "" });
  });

  it("count among the number of atLeast, which is how many remain", () => {
    expect(keptNames(row({}, {}, { pinned }, {}), [atLeast(2, none)])).toEqual(["c", "d"]);
  });

  it("are kept whatever the rules say, with the reason", () => {
    expect(reasonsByName(row({ pinned }, {}, {}), [none])).toEqual({ a: "pinned", b: "", c: "newest" });
  });
});

describe("the newest", () => {
  it("in order and the newest not in the future are both guarded", () => {
    const nowMs = ms("2026-11-23T12:00Z");
    const snapshots = [
      at("2026-11-22T00:00Z"),
      at("2026-11-23T00:00Z"),
      at("2027-01-01T00:00Z"),
      at("2028-01-01T00:00Z"),
    ];
    expect(planOf(snapshots, [none], { nowMs }).toString()).toBe([
      "keep    2028-01-01T00:00:00.000Z  newest",
      "remove  2027-01-01T00:00:00.000Z",
      "keep    2026-11-23T00:00:00.000Z  newest not in the future",
      "remove  2026-11-22T00:00:00.000Z",
      "2 kept, 2 to be removed",
    ].join("\n"));
  });

  it("of each group is guarded", () => {
    const snapshots = row({ tags: ["x"] }, { tags: ["x"] }, { tags: ["y"] }, { tags: ["y"] });
    const groupBy = ({ tags = [] }: { readonly tags?: readonly string[] | undefined }) => tags[0] ?? "";
    expect(keptNames(snapshots, [none], { groupBy })).toEqual(["b", "d"]);
  });

  it("is guarded no more where none is to be kept", () => {
    expect(keptNames(row({}, { pinned }, {}), [none], { keepNewest: false })).toEqual(["b"]);
  });
});

describe("a snapshot stamped after now", () => {
  const nowMs = ms("2026-11-23T12:00Z");
  const times = [
    "2030-01-01T00:00Z",
    "2026-11-23T12:00Z",
    "2026-11-22T13:00Z",
    "2026-11-22T12:00Z",
    "2026-11-01T00:00Z",
  ];

  it("counts and orders like any other", () => {
    expect(table(times, [keepLatest(2)], { nowMs })).toEqual([
      [times[0], "newest, latest 1"],
      [times[1], "newest not in the future, latest 2"],
      [times[2], "-"],
      [times[3], "-"],
      [times[4], "-"],
    ]);
    expect(table(times, [keepDaily(2)], { nowMs }).map(([, reasons]) => reasons)).toEqual([
      "newest, day 2030-01-01",
      "newest not in the future, day 2026-11-23",
      "-",
      "-",
      "-",
    ]);
  });

  it("is kept by keepWithin, and never is the reference", () => {
    // The reference is 23T12:00, so 22T12:00 is a whole day older and falls out.
    expect(table(times, [keepWithin("1d")], { nowMs }).map(([, reasons]) => reasons)).toEqual([
      "newest, within 1d",
      "newest not in the future, within 1d",
      "within 1d",
      "-",
      "-",
    ]);
    const future = ["2031-01-01T00:00Z", "2030-01-01T00:00Z"];
    expect(table(future, [keepWithin("1d")], { nowMs })).toEqual([
      [future[0], "newest, within 1d"],
      [future[1], "within 1d"],
    ]);
  });

  it("is not one whose stamp equals now", () => {
    expect(table(times, [none], { nowMs })[1]).toEqual([times[1], "newest not in the future"]);
    expect(table(times, [none], { nowMs: nowMs - 1 })[1]).toEqual([times[1], "-"]);
    // As reference it is the same: a millisecond earlier, it was the one before.
    expect(table(times, [keepWithin("1d")], { nowMs: nowMs - 1 })[3]?.[1]).toBe("within 1d");
  });
});

describe("keepWithin", () => {
  it("refers to the newest snapshot that is not in the future, so that a program that was off loses nothing", () => {
    const times = ["2026-10-03T00:00Z", "2026-10-02T00:00Z", "2026-10-01T00:00Z"];
    expect(table(times, [keepWithin("2d")], { nowMs: ms("2026-12-24T00:00Z") }).map(([, why]) => why)).toEqual([
      "newest, within 2d",
      "within 2d",
      "-",
    ]);
  });

  it("keeps what is less than the duration older, and not what is exactly as much older", () => {
    const reference = ms("2026-11-23T00:00Z");
    const kept = [0, 1, DAY_MS - 1, DAY_MS, DAY_MS + 1].map((age) => at(reference - age));
    expect(keptNames(kept, [keepWithin("1d")]).map((name) => reference - ms(name)).sort((a, b) => a - b)).toEqual([
      0,
      1,
      DAY_MS - 1,
    ]);
  });

  it("refers to the newest by time, where names and times disagree", () => {
    const snapshots = [
      named("a", { savedAtMs: 10 * DAY_MS }),
      named("b", { savedAtMs: 0 }),
      named("c", { savedAtMs: DAY_MS }),
    ];
    expect(keptNames(snapshots, [keepWithin("3d")], { nowMs: 20 * DAY_MS })).toEqual(["a", "c"]);
  });
});

describe("durations", () => {
  it("are exact: a day is 24 hours, also where the zone's day has 23 or 25", () => {
    const zone = "Europe/Berlin";
    const times = ["2026-10-26T00:00+01:00", "2026-10-25T00:30+02:00", "2026-10-25T00:00+02:00"];
    // From midnight to midnight it was 25 hours.
    expect(table(times, [keepWithin("1d")], { zone }).map(([, why]) => why)).toEqual(["newest, within 1d", "-", "-"]);
    expect(table(times, [keepWithin("25h")], { zone }).map(([, why]) => why)).toEqual([
      "newest, within 25h",
      "within 25h",
      "-",
    ]);
  });

  it.each(["1mo", "1M", "1y", "1 month"])("have no months or years: %s is a RangeError", (duration) => {
    expect(() => keepWithin(duration)).toThrow(RangeError);
    expect(() => keepEvery(duration)).toThrow(RangeError);
  });
});

describe("calendar rules", () => {
  it("take their buckets from savedAt in one zone", () => {
    // Names of one day, times of two in Berlin and of one in UTC.
    const snapshots = [
      named("x1", { savedAtMs: ms("2026-11-22T22:30Z") }),
      named("x2", { savedAtMs: ms("2026-11-22T22:45Z") }),
      named("x3", { savedAtMs: ms("2026-11-22T23:15Z") }),
    ];
    const rules = [keepDaily(5), keepMonthly(1)];
    expect(reasonsByName(snapshots, rules, { zone: "Europe/Berlin" })).toEqual({
      x1: "oldest day 2026-11-22",
      x2: "day 2026-11-22",
      x3: "newest, day 2026-11-23, month 2026-11",
    });
    expect(reasonsByName(snapshots, rules, { zone: "UTC" })).toEqual({
      x1: "oldest day 2026-11-22",
      x2: "",
      x3: "newest, day 2026-11-22, month 2026-11",
    });
  });

  it("take UTC without a zone, and refuse one there is none of", () => {
    const snapshots = [at("2026-11-22T23:30Z"), at("2026-11-22T00:30Z")];
    expect(reasonsByName(snapshots, [keepDaily(1)])).toEqual(reasonsByName(snapshots, [keepDaily(1)], { zone: "UTC" }));
    expect(() => planOf(snapshots, [keepDaily(1)], { zone: "Mars/Olympus" })).toThrow(RangeError);
    expect(() => planOf(snapshots, [keepDaily(1)], { zone: "Berlin" })).toThrow(
      /"Berlin": write it like "Europe\/Berlin"/,
    );
  });

  it("see one bucket in an hour that the clock repeats", () => {
    const times = [
      "2026-10-25T02:50+01:00",
      "2026-10-25T02:05+01:00",
      "2026-10-25T02:40+02:00",
      "2026-10-25T01:00+02:00",
    ];
    expect(table(times, [keepHourly(2)], { zone: "Europe/Berlin" })).toEqual([
      [times[0], "newest, hour 2026-10-25 02"],
      [times[1], "-"],
      [times[2], "-"],
      [times[3], "hour 2026-10-25 01"],
    ]);
  });

  it("see one bucket in hours and days that the clock repeats in turns", () => {
    // Troll sets its clock back by two hours: 01, 02, 01, 02, 03. Before 2011 St. John's set it back at 00:01, to 23:01 of the
    // day before: the 28th, the 29th for a minute, the 28th, the 29th.
    const hours = [
      "2026-10-25T01:30Z", // 01:30, the second time
      "2026-10-25T02:30Z", // 02:30, the second time
      "2026-10-24T23:30Z", // 01:30, the first time
      "2026-10-25T00:30Z", // 02:30, the first time
    ].sort().reverse();
    expect(table(hours, [keepHourly(2)], { zone: "Antarctica/Troll" }).map(([, why]) => why)).toEqual([
      "newest, hour 2026-10-25 02",
      "hour 2026-10-25 01",
      "-",
      "-",
    ]);
    const days = [
      "2006-10-29T12:00Z",
      "2006-10-29T03:00Z",
      "2006-10-29T02:30:30Z",
      "2006-10-29T01:00Z",
      "2006-10-28T01:00Z",
    ];
    expect(table(days, [keepDaily(3)], { zone: "America/St_Johns" }).map(([, why]) => why)).toEqual([
      "newest, day 2006-10-29",
      "day 2006-10-28",
      "-",
      "-",
      "day 2006-10-27",
    ]);
  });

  it("keep the oldest of all while their count remains, and say so", () => {
    const times = [
      "2026-11-23T12:00Z",
      "2026-11-23T06:00Z",
      "2026-11-22T12:00Z",
      "2026-11-22T06:00Z",
      "2026-11-22T03:00Z",
    ];
    expect(table(times, [keepDaily(3)]).map(([, why]) => why)).toEqual([
      "newest, day 2026-11-23",
      "-",
      "day 2026-11-22",
      "-",
      "oldest day 2026-11-22",
    ]);
    expect(table(times, [keepDaily(2)]).at(-1)?.[1]).toBe("-");
  });

  it("have a memory each, so that a week and a month of the same number are not mixed up", () => {
    // Daily at noon up to Saturday, 20 January 2024. Weeks 2024-W03, W02, W01 and 2023-W52 end on 20, 14, 7 January and
    // 31 December; months are 2024-01 and 2023-12. A map shared by all rules would lose 2024-W01 to the month 2024-01.
    const plan = planOf(every(DAY_MS, "2023-11-01T12:00Z", "2024-01-20T12:00Z"), [keepMonthly(2), keepWeekly(4)]);
    expect(
      plan.decisions.filter(({ isKept }) => isKept).map(({ snapshot, reasons }) => [
        snapshot.name.slice(0, 10),
        reasons.join(", "),
      ]),
    ).toEqual([
      ["2023-12-31", "month 2023-12, week 2023-W52"],
      ["2024-01-07", "week 2024-W01"],
      ["2024-01-14", "week 2024-W02"],
      ["2024-01-20", "newest, month 2024-01, week 2024-W03"],
    ]);
  });

  it("are not thinned by a far-future name, which later names share the day of but savedAt does not", () => {
    // A clock was wrong once; all later names follow it within microseconds, saved a day apart in truth.
    const snapshots = [
      named("2999-01-01_00-00-00,000000", { savedAtMs: ms("2999-01-01T00:00Z") }),
      ...[20, 21, 22, 23].map((day, index) =>
        named(`2999-01-01_00-00-00,00000${index + 1}`, { savedAtMs: ms(`2026-11-${day}T12:00Z`) })
      ),
    ];
    expect(Object.values(reasonsByName(snapshots, [keepDaily(4)], { nowMs: ms("2026-11-23T13:00Z") }))).toEqual([
      "day 2999-01-01",
      "",
      "day 2026-11-21",
      "day 2026-11-22",
      "newest, day 2026-11-23",
    ]);
  });
});

describe("equal times", () => {
  it("are ordered by name", () => {
    const savedAtMs = ms("2026-11-23T12:00Z");
    const snapshots = ["c", "a", "d", "b"].map((name) => named(name, { savedAtMs }));
    expect(reasonsByName(snapshots, [keepDaily(2)])).toEqual({
      a: "oldest day 2026-11-23",
      b: "",
      c: "",
      d: "newest, day 2026-11-23",
    });
    expect(reasonsByName(snapshots, [keepEvery("1h")])).toEqual({ a: "every 1h", b: "", c: "", d: "newest" });
    // Also where another name order forces the rule to sort by time.
    const mixed = [...snapshots, named("z", { savedAtMs: savedAtMs - DAY_MS })];
    expect(reasonsByName(mixed, [keepDaily(1)])).toMatchObject({ d: "day 2026-11-23", c: "", z: "newest" });
  });
});

describe("keepEverySteps", () => {
  it("takes the closest snapshot per multiple", () => {
    const snapshots = row({ step: 0 }, { step: 7 }, { step: 11 }, { step: 13 }, { step: 26 }, { step: 31 }, {
      step: 34,
    });
    expect(reasonsByName(snapshots, [keepEverySteps(10)])).toEqual({
      a: "step 0",
      b: "",
      c: "step 10",
      d: "",
      e: "", // 26 belongs to 30, and 31 is closer
      f: "step 30",
      g: "newest",
    });
  });

  it("takes the newer of two that are equally close", () => {
    expect(reasonsByName(row({ step: 9 }, { step: 11 }, { step: 19 }), [keepEverySteps(10)])).toEqual({
      a: "",
      b: "step 10",
      c: "newest, step 20",
    });
    expect(keptNames(row({ step: 10 }, { step: 10 }, {}), [keepEverySteps(10)])).toEqual(["b", "c"]);
  });

  it("passes over snapshots without a step, or with none that is finite", () => {
    const snapshots = row({}, { step: NaN }, { step: Infinity }, { step: -Infinity }, { step: -10 }, { step: 10 });
    expect(keptNames(snapshots, [keepEverySteps(10)])).toEqual(["e", "f"]);
  });
});

describe("keepBest", () => {
  const snapshots = row(
    { metrics: { loss: 3 } },
    { metrics: { loss: NaN } },
    { metrics: { loss: 1 } },
    { metrics: { loss: -Infinity } },
    { metrics: { loss: Infinity } },
    { metrics: { other: 0 } },
    {},
    { metrics: { loss: null } },
    { metrics: { loss: 2 } },
  );
  const reasons = (rule: RetentionRule) =>
    Object.fromEntries(Object.entries(reasonsByName(snapshots, [rule])).filter(([, why]) => why !== ""));

  it("lets NaN, infinite and missing metrics fill only free slots, newer first", () => {
    expect(reasons(keepBest("loss", "min", 2))).toEqual({ c: "best loss 1", i: "newest, best loss 2" });
    expect(reasons(keepBest("loss", "max", 2))).toEqual({ a: "best loss 1", i: "newest, best loss 2" });
    expect(reasons(keepBest("loss", "min", 5))).toEqual({
      a: "best loss 3",
      c: "best loss 1",
      g: "free slot of best loss",
      h: "free slot of best loss",
      i: "newest, best loss 2",
    });
    expect(keptNames(snapshots, [keepBest("loss", "max", 9)])).toHaveLength(9);
  });

  it("takes the newer of equal values", () => {
    const equal = row({ metrics: { loss: 1 } }, { metrics: { loss: 1 } }, { metrics: { loss: 0 } }, {
      metrics: { loss: 9 },
    });
    expect(reasonsByName(equal, [keepBest("loss", "min", 2)])).toMatchObject({
      a: "",
      b: "best loss 2",
      c: "best loss 1",
    });
    expect(reasonsByName(equal, [keepBest("loss", "max", 2)])).toMatchObject({
      a: "",
      b: "best loss 2",
      d: "newest, best loss 1",
    });
  });

  it("never evicts the newest", () => {
    expect(keptNames(row({ metrics: { loss: 1 } }, { metrics: { loss: 2 } }), [keepBest("loss", "min", 1)])).toEqual([
      "a",
      "b",
    ]);
  });

  it("looks at metrics of their own only, not at what every object has", () => {
    expect(reasonsByName(row({ metrics: {} }, {}, {}), [keepBest("constructor", "max", 1)])).toEqual({
      a: "",
      b: "",
      c: "newest, free slot of best constructor",
    });
  });
});

describe("keepTagged", () => {
  it("with several tags means any of them", () => {
    const snapshots = row({ tags: ["a", "b"] }, { tags: ["b"] }, { tags: ["c"] }, { tags: [] }, {});
    expect(reasonsByName(snapshots, [keepTagged("a")])).toMatchObject({ a: "tagged a", b: "", c: "", d: "" });
    expect(reasonsByName(snapshots, [keepTagged("b", "c")])).toEqual({
      a: "tagged b",
      b: "tagged b",
      c: "tagged c",
      d: "",
      e: "newest",
    });
  });
});

describe("rules that are off", () => {
  const off: Readonly<Record<string, RetentionRule>> = {
    "keepLatest(0)": keepLatest(0),
    "keepHourly(0)": keepHourly(0),
    "keepDaily(0)": keepDaily(0),
    "keepWeekly(0)": keepWeekly(0),
    "keepMonthly(0)": keepMonthly(0),
    "keepYearly(0)": keepYearly(0),
    'keepBest("loss", "min", 0)': keepBest("loss", "min", 0),
    'keepWithin("0s")': keepWithin("0s"),
    "keepTagged()": keepTagged(),
    "atLeast(0, keepLatest(0))": atLeast(0, keepLatest(0)),
  };

  it.each(Object.keys(off))("a count of 0 turns a rule off: %s beside another adds nothing", (name) => {
    const rule = off[name] as RetentionRule;
    const snapshots = row({ tags: ["a"], metrics: { loss: 1 } }, { metrics: { loss: 0 } }, {}, {});
    expect(rule.text).toBe(name);
    expect(keptNames(snapshots, [rule, keepLatest(1)])).toEqual(["d"]);
  });

  it.each(Object.keys(off))("all off is an error: %s alone is a TypeError, and removes nothing", (name) => {
    expect(() => planOf(row({}, {}), [off[name] as RetentionRule])).toThrow(TypeError);
  });

  it("no rule at all is an error, and all of several off too", () => {
    expect(() => planOf(row({}, {}), [])).toThrow(TypeError);
    expect(() => planOf(row({}, {}), Object.values(off))).toThrow(TypeError);
    expect(() => planOf([], [])).toThrow(TypeError);
  });

  it("atLeast is on as long as its own count is not 0", () => {
    expect(keptNames(row({}, {}, {}), [atLeast(2, keepLatest(0))])).toEqual(["b", "c"]);
  });
});

describe("what is no rule", () => {
  it.each([[undefined], [null], ["keepLatest"], [5], [{}], [{ text: "x" }], [{ keep: none }], [[]]])(
    "an unknown rule is an error: %j is a TypeError",
    (given) => {
      const rule = given as unknown as RetentionRule;
      expect(() => planOf(row({}), [keepLatest(1), rule])).toThrow(TypeError);
      expect(() => atLeast(1, rule)).toThrow(TypeError);
    },
  );

  it("rules that are no array are a TypeError", () => {
    const fault = (found: string) =>
      new TypeError(`Cannot plan retention: the rules must be an array, such as [keepLatest(5)], but ${found}`);
    const rule = keepLatest(1);
    expect(() => planOf([], rule as unknown as Rules)).toThrow(fault(showType(rule)));
    expect(() => planOf([], undefined as unknown as Rules)).toThrow(fault("it is undefined"));
  });

  it.each([-1, 1.5, NaN, -Infinity, 2 ** 53, "3"])("a count of %j is a RangeError", (given) => {
    const count = given as number;
    const make: Readonly<Record<string, (n: number) => RetentionRule>> = {
      keepLatest,
      keepHourly,
      keepDaily,
      keepWeekly,
      keepMonthly,
      keepYearly,
      keepBest: (n) => keepBest("loss", "min", n),
      atLeast: (n) => atLeast(n, keepLatest(1)),
    };
    for (const rule of Object.values(make)) expect(() => rule(count)).toThrow(RangeError);
  });

  it("other mistakes are refused where a rule is made", () => {
    for (const bad of [-1, NaN, Infinity]) {
      expect(() => keepUnder(bad)).toThrow(RangeError);
      expect(() => keepEverySteps(bad)).toThrow(RangeError);
      expect(() => keepWithin(bad)).toThrow(RangeError);
    }
    expect(() => keepEverySteps(0)).toThrow(RangeError);
    expect(() => keepEvery("0s")).toThrow(RangeError);
    expect(() => keepBest("loss", "least" as "min", 1)).toThrow(TypeError);
  });
});

describe("keepUnder", () => {
  const sized = (...sizes: (number | undefined)[]) => row(...sizes.map((sizeBytes) => ({ sizeBytes })));

  it("removes the oldest removable after all other rules until at most the budget remains", () => {
    const snapshots = sized(10, 10, 10, 10, 10);
    expect(reasonsByName(snapshots, [keepLatest(4), keepUnder(20)])).toEqual({
      a: "",
      b: "beyond keepUnder(20)",
      c: "beyond keepUnder(20)",
      d: "latest 2",
      e: "newest, latest 1",
    });
    expect(keptNames(snapshots, [keepUnder(29), keepLatest(4)])).toEqual(["d", "e"]);
    expect(keptNames(snapshots, [keepLatest(4), keepUnder(30)])).toEqual(["c", "d", "e"]);
    expect(keptNames(snapshots, [keepLatest(1), keepUnder(1000)])).toEqual(["e"]);
  });

  it("alone means: keep everything under the budget", () => {
    expect(reasonsByName(sized(10, 10, 10), [keepUnder(20)])).toEqual({
      a: "beyond keepUnder(20)",
      b: "under the budget",
      c: "newest",
    });
    expect(keptNames(sized(10, 10, 10), [keepUnder(30)])).toEqual(["a", "b", "c"]);
  });

  it("never removes anything of unknown size, which counts nothing", () => {
    expect(keptNames(sized(undefined, 10, undefined, 10, 10), [keepUnder(10)])).toEqual(["a", "c", "e"]);
    expect(keptNames(sized(undefined, undefined), [keepUnder(0)])).toEqual(["a", "b"]);
  });

  it("never removes what is pinned or guarded, which counts", () => {
    const snapshots = row({ sizeBytes: 30, pinned }, { sizeBytes: 10 }, { sizeBytes: 10 }, { sizeBytes: 10 });
    expect(keptNames(snapshots, [keepUnder(45)])).toEqual(["a", "d"]);
    expect(keptNames(snapshots, [keepUnder(0)])).toEqual(["a", "d"]);
    const guards = new Map([["b", "resumed from"]]);
    expect(keptNames(snapshots, [keepUnder(0)], { guards })).toEqual(["a", "b", "d"]);
  });

  it("removes what takes up nothing like any other, until the budget is met", () => {
    expect(keptNames(sized(0, 5, 0, 0), [keepUnder(0)])).toEqual(["c", "d"]);
    expect(keptNames(sized(0, 0), [keepUnder(0)])).toEqual(["a", "b"]);
  });

  it("removes past large ones to small ones, oldest first, and stops as soon as it may", () => {
    expect(keptNames(sized(1, 100, 1, 1), [keepUnder(4)])).toEqual(["c", "d"]);
  });

  it("with atLeast does not go below the number", () => {
    const snapshots = sized(10, 10, 10, 10);
    expect(keptNames(snapshots, [atLeast(3, keepUnder(10))])).toEqual(["b", "c", "d"]);
    expect(keptNames(snapshots, [keepLatest(2), atLeast(3, keepUnder(10))])).toEqual(["c", "d"]);
    expect(keptNames(snapshots, [atLeast(2, atLeast(3, keepUnder(10)))])).toEqual(["b", "c", "d"]);
  });

  it("with atLeast rather stays above the budget than go below the number, where one that goes takes others along", () => {
    // keepEvery has a, c, e, and the steps are of b, d, f. Without a, it begins with b, and has b, d, f as well.
    const steps = [undefined, 10, undefined, 20, undefined, 30];
    const snapshots = row(...steps.map((step) => ({ step, sizeBytes: 1 })));
    const rules = [keepEvery("2h"), keepEverySteps(10)];
    expect(keptNames(snapshots, [...rules, atLeast(3, keepUnder(4))])).toEqual(["b", "d", "f"]);
    expect(keptNames(snapshots, [...rules, atLeast(4, keepUnder(4))])).toEqual(["a", "b", "c", "d", "e", "f"]);
  });

  it("of several, the tightest counts", () => {
    expect(keptNames(sized(10, 10, 10, 10), [keepUnder(30), keepUnder(20)])).toEqual(["c", "d"]);
  });

  it("that takes a snapshot back leaves the plan nothing to do the second time, whatever hung on it", () => {
    // keepEvery hangs on the oldest: without a it begins with b, so c would be wanted no more.
    const snapshots = row({ sizeBytes: 1 }, { sizeBytes: 1 }, { sizeBytes: 1 }, { sizeBytes: 1 });
    const rules = [keepEvery("2h"), keepUnder(2)];
    const survivors = planOf(snapshots, rules).kept;
    expect(planOf(survivors, rules).removed).toEqual([]);
  });
});

describe("keepEvery", () => {
  it("keeps the oldest, then always the next that is at least the duration later", () => {
    const times = [
      "2026-11-23T00:00Z",
      "2026-11-22T13:00Z",
      "2026-11-22T12:00Z",
      "2026-11-21T11:59Z",
      "2026-11-21T01:00Z",
      "2026-11-21T00:00Z",
    ];
    // 21T00:00; 22T12:00 is 36 h later, 21T11:59 is not; 23T00:00 and 22T13:00 are less than 36 h after that.
    expect(table(times, [keepEvery("36h")])).toEqual([
      [times[0], "newest"],
      [times[1], "-"],
      [times[2], "every 36h"],
      [times[3], "-"],
      [times[4], "-"],
      [times[5], "every 36h"],
    ]);
  });

  it("takes what is exactly the duration later, and not what is a millisecond too early", () => {
    const times = [0, DAY_MS - 1, DAY_MS, 2 * DAY_MS - 1, 2 * DAY_MS, 5 * DAY_MS];
    const plan = planOf(times.map((timeMs) => at(timeMs)), [keepEvery("1d")]);
    expect(plan.kept.map(({ savedAtMs }) => savedAtMs)).toEqual([0, DAY_MS, 2 * DAY_MS, 5 * DAY_MS]);
  });
});

describe("atLeast", () => {
  it("adds the newest to what its rule keeps until the number is reached", () => {
    const times = ["2026-11-23T00:00Z", "2026-11-01T00:00Z", "2026-10-01T00:00Z", "2026-09-01T00:00Z"];
    expect(table(times, [atLeast(3, keepWithin("7d"))]).map(([, why]) => why)).toEqual([
      "newest, within 7d",
      "at least 3",
      "at least 3",
      "-",
    ]);
    expect(table(times, [atLeast(1, keepWithin("7d"))]).map(([, why]) => why)).toEqual([
      "newest, within 7d",
      "-",
      "-",
      "-",
    ]);
  });

  it("takes a function too", () => {
    expect(keptNames(row({}, {}, {}), [atLeast(2, none)])).toEqual(["b", "c"]);
  });
});

describe("functions as rules", () => {
  it("are plain functions over all snapshots of a group, oldest first, with now and the calendar", () => {
    const seen: unknown[] = [];
    const mondays: RetentionFunction = (snapshots, { nowMs, calendar }) => {
      seen.push(snapshots.map(({ name }) => name), nowMs, calendar.zone);
      return snapshots.filter(({ savedAtMs }) => new Date(savedAtMs).getUTCDay() === 1).map(({ name }) => ({
        name,
        reason: "Monday",
      }));
    };
    const snapshots = [at("2026-11-25T00:00Z"), at("2026-11-23T00:00Z"), at("2026-11-24T00:00Z")];
    const plan = planRetention(snapshots, [mondays], { nowMs: ms("2026-12-01T00:00Z"), zone: "Asia/Kathmandu" });
    expect(plan.kept.map(({ name }) => name.slice(0, 10))).toEqual(["2026-11-23", "2026-11-25"]);
    expect(seen.slice(0, 3)).toEqual([
      ["2026-11-23", "2026-11-24", "2026-11-25"].map((day) => `${day}T00:00:00.000Z`),
      ms("2026-12-01T00:00Z"),
      "Asia/Kathmandu",
    ]);
  });

  it("that name what is not there change nothing", () => {
    expect(keptNames(row({}, {}), [() => [{ name: "z", reason: "dreamt" }]])).toEqual(["b"]);
  });

  it.each([
    ["nothing", () => undefined],
    ["a promise", () => Promise.resolve([])],
    ["names", () => ["a"]],
    ["snapshots without a reason", () => row({})],
    ["what has no name", () => [{ reason: "mine" }]],
    ["a text", () => "a"],
    ["holes", () => [undefined]],
  ])("that return %s are a TypeError, for they would keep nothing", (_, returned) => {
    const mine = returned as unknown as RetentionFunction;
    expect(() => planOf(row({}, {}), [mine])).toThrow(TypeError);
    expect(() => planOf(row({}, {}), [keepLatest(2), atLeast(1, mine)])).toThrow(/must return a list of/);
  });

  it("may return any iterable", () => {
    const oldest: RetentionFunction = function* ([first]) {
      if (first !== undefined) yield { name: first.name, reason: "first" };
    };
    expect(reasonsByName(row({}, {}, {}), [oldest])).toEqual({ a: "first", b: "", c: "newest" });
  });

  it("that throw fail the plan: what a rule cannot decide is not removed", () => {
    const failing = () => {
      throw new Error("mine");
    };
    expect(() => planOf(row({}, {}), [keepLatest(1), failing])).toThrow("mine");
  });
});

describe("groups", () => {
  it("are planned apart, each by all rules", () => {
    const snapshots = Array.from(
      { length: 8 },
      (_, index) =>
        named(`s${index}`, { savedAtMs: index * HOUR_MS, tags: [index % 4 === 0 ? "evaluation" : "training"] }),
    );
    const groupBy = ({ tags = [] }: { readonly tags?: readonly string[] | undefined }) => tags[0] ?? "";
    expect(keptNames(snapshots, [keepLatest(2)], { groupBy })).toEqual(["s0", "s4", "s6", "s7"]);
    expect(keptNames(snapshots, [keepLatest(2)])).toEqual(["s6", "s7"]);
  });
});

describe("guards", () => {
  it("keep what they name, with their reason, before any rule", () => {
    const guards = new Map([["a", "resumed from"], ["gone", "resumed from"]]);
    expect(reasonsByName(row({}, {}, {}), [keepLatest(1)], { guards })).toEqual({
      a: "resumed from",
      b: "",
      c: "newest, latest 1",
    });
  });

  it("do not take a slot away from a rule", () => {
    const guards = new Map([["d", "resumed from"]]);
    expect(reasonsByName(row({}, {}, {}, {}), [keepLatest(2)], { guards })).toEqual({
      a: "",
      b: "",
      c: "latest 2",
      d: "resumed from, newest, latest 1",
    });
  });
});

describe("a plan", () => {
  it("tells each snapshot with all reasons, oldest first, and as a table, newest first", () => {
    const snapshots = row({ pinned, tags: ["x"] }, {}, { metrics: { loss: 1 } });
    const plan = planOf(snapshots, [keepLatest(1), keepTagged("x"), keepBest("loss", "min", 1)]);
    expect(plan.decisions).toEqual([
      { snapshot: snapshots[0], isKept: true, reasons: ["pinned", "tagged x"] },
      { snapshot: snapshots[1], isKept: false, reasons: [] },
      { snapshot: snapshots[2], isKept: true, reasons: ["newest", "latest 1", "best loss 1"] },
    ]);
    expect(plan.kept).toEqual([snapshots[0], snapshots[2]]);
    expect(plan.removed).toEqual([snapshots[1]]);
    expect(String(plan)).toBe(
      "keep    c  newest, latest 1, best loss 1\nremove  b\nkeep    a  pinned, tagged x\n2 kept, 1 to be removed",
    );
  });

  it.each([NaN, Infinity, undefined, "2026"])("made when it is %j is a RangeError", (nowMs) => {
    expect(() => planOf(row({}), [keepLatest(1)], { nowMs: nowMs as number })).toThrow(RangeError);
  });

  it("of nothing is empty", () => {
    const plan = planOf([], [
      keepLatest(1),
      keepDaily(1),
      keepWithin("1d"),
      keepEvery("1d"),
      keepUnder(0),
      keepBest("a", "min", 1),
    ]);
    expect(plan.decisions).toEqual([]);
    expect(String(plan)).toBe("0 kept, 0 to be removed");
  });

  it("leaves what it was given as it was", () => {
    const snapshots = Object.freeze(["c", "a", "b"].map((name) => Object.freeze(named(name))));
    planOf(snapshots, Object.freeze([keepLatest(1), keepDaily(1)]));
    expect(snapshots.map(({ name }) => name)).toEqual(["c", "a", "b"]);
  });
});

describe("removal", () => {
  it("goes oldest first, so that a half-done cleanup re-plans to the same end", () => {
    const snapshots = every(8 * HOUR_MS, "2026-11-01T00:00Z", "2026-11-23T00:00Z");
    const rules = [keepLatest(2), keepDaily(5), keepWeekly(2), keepEvery("5d"), keepWithin("20h")];
    const { kept, removed } = planOf(snapshots, rules);
    expect([...removed].sort((a, b) => a.savedAtMs - b.savedAtMs)).toEqual(removed);
    expect(removed.length).toBeGreaterThan(30);
    for (let done = 0; done <= removed.length; done++) {
      const left = snapshots.filter((snapshot) => !removed.slice(0, done).includes(snapshot));
      expect(planOf(left, rules).kept).toEqual(kept);
    }
  });

  it("half-done by a budget beside keepEvery re-plans to the same end", () => {
    const snapshots = row(...Array.from({ length: 5 }, () => ({ sizeBytes: 1 })));
    const rules = [keepEvery("2h"), keepUnder(2)];
    const { kept } = planOf(snapshots, rules); // c and e
    expect(planOf(snapshots.slice(1), rules).kept).toEqual(kept); // a has gone
    expect(planOf(snapshots.slice(2), rules).kept).toEqual(kept); // and b
  });

  it("half-done by a budget does so where it lets go more than it is looked for one by one", () => {
    const snapshots = every(HOUR_MS, "2020-01-01T00:00Z", "2020-05-01T00:00Z").map((each) => ({
      ...each,
      sizeBytes: 1,
    }));
    expect(snapshots.length).toBeGreaterThan(2000);
    const rules = [keepLatest(900), keepWithin("30d"), keepUnder(500)];
    const { kept, removed } = planOf(snapshots, rules);
    expect(kept).toEqual(snapshots.slice(-500));
    for (const done of [1, 1000, removed.length - 200]) {
      expect(planOf(snapshots.filter((each) => !removed.slice(0, done).includes(each)), rules).kept).toEqual(kept);
    }
  });
});
