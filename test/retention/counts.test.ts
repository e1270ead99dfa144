// What a count may be, and how a message shows one that may not.
import {
  atLeast,
  keepBest,
  keepDaily,
  keepEverySteps,
  keepHourly,
  keepLatest,
  keepMonthly,
  keepTagged,
  keepUnder,
  keepWeekly,
  keepWithin,
  keepYearly,
  LatestStatesKeeper,
  memoryBackend,
  planRetention,
  type RetentionRule,
  StateStore,
} from "snapkeep";
import { describe, expect, it } from "vitest";

const HOUR_MS = 3_600_000;
const counting: [string, (count: number) => RetentionRule][] = [
  ["keepLatest", keepLatest],
  ["keepHourly", keepHourly],
  ["keepDaily", keepDaily],
  ["keepWeekly", keepWeekly],
  ["keepMonthly", keepMonthly],
  ["keepYearly", keepYearly],
  ["keepBest", (count) => keepBest("loss", "min", count)],
  ["atLeast", (count) => atLeast(count, keepLatest(1))],
];

const hourly = Array.from({ length: 50 }, (_, index) => ({
  name: `s${String(index).padStart(3, "0")}`,
  savedAtMs: Date.UTC(2026, 0, 1) + index * HOUR_MS,
}));

describe.each(counting)("%s", (name, make) => {
  it("sets no limit when the count is Infinity", () => {
    const endless = planRetention(hourly, [make(Infinity)], { nowMs: Date.UTC(2027, 0, 1) });
    const large = planRetention(hourly, [make(1_000_000)], { nowMs: Date.UTC(2027, 0, 1) });
    expect(endless.kept).toEqual(large.kept);
    expect(make(Infinity).text).toContain("Infinity");
  });

  it("shows the count and its type when it is none", () => {
    const messageOf = (count: unknown) => {
      try {
        make(count as number);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
        return (error as Error).message;
      }
      return "";
    };
    expect(messageOf("7")).toContain('"7" is a string');
    expect(messageOf({ count: 3 })).toContain("{ count: 3 } is an object");
    expect(messageOf([7])).toContain("[ 7 ] is an array");
    expect(messageOf(7n)).toContain("7n is a bigint");
    expect(messageOf(Symbol("seven"))).toContain("Symbol(seven) is a symbol");
    expect(messageOf(null)).toContain("it is null");
    expect(messageOf(Object.create(null))).toContain("is an object");
    for (const count of [-1, 0.5, NaN, -Infinity]) {
      expect(messageOf(count)).toContain(`${name === "keepBest" ? "" : `${name}(`}`);
    }
    for (const count of [-1, 0.5, NaN, -Infinity]) expect(messageOf(count)).toContain(String(count));
  });
});

describe("other rules", () => {
  it.each([
    ["keepUnder", () => keepUnder({ bytes: 3 } as unknown as number), "{ bytes: 3 }"],
    ["keepEverySteps", () => keepEverySteps("10" as unknown as number), '"10"'],
    ["keepWithin", () => keepWithin({ days: 3 } as unknown as string), "{ days: 3 }"],
    ["keepWithin", () => keepWithin(["7d"] as unknown as string), "'7d'"],
    ["keepBest", () => keepBest("loss", Symbol("min") as unknown as "min", 3), "Symbol(min)"],
    ["keepBest", () => keepBest(5 as unknown as "loss", "min", 3), "the metric must be a string"],
    ["keepTagged", () => keepTagged(["best"] as unknown as string), "keepTagged([ 'best' ])"],
    ["keepTagged", () => keepTagged("best", undefined as unknown as string), "each tag must be a string"],
    ["planRetention", () => planRetention([], [{ keep: 3 } as unknown as RetentionRule], { nowMs: 0 }), "{ keep: 3 }"],
    ["planRetention", () => planRetention([], [1n as unknown as RetentionRule], { nowMs: 0 }), "1n"],
    ["StateStore", () => new StateStore(1n as unknown as string), "1n"],
  ])("%s shows what it was given when it cannot use it", (_name, make, shown) => {
    expect(make).toThrow(shown);
  });
});

describe("LatestStatesKeeper", () => {
  it.each([-1, Infinity, "3"])("refuses %j: a keeper that keeps all is none", (maxKeep) => {
    expect(() => new LatestStatesKeeper(memoryBackend(), maxKeep as number)).toThrow(RangeError);
  });
});
