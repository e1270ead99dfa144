// When a save is due; the clock is the test's own.
import { PeriodicSaveCondition } from "snapkeep";
import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { collectWarnings } from "../backend/warnings.ts";

function withClock(intervalSeconds: number | string) {
  let nowMs = 1000;
  const condition = new PeriodicSaveCondition(intervalSeconds, { now: () => nowMs });
  return { condition, pass: (ms: number) => void (nowMs += ms) };
}

describe("PeriodicSaveCondition", () => {
  afterEach(() => void vi.restoreAllMocks());

  it("is false at the start", () => {
    expect(withClock(10).condition.check()).toBe(false);
    expect(withClock(0).condition.check()).toBe(false);
  });

  it.each([["5m", 300_000], ["90s", 90_000], ["1h30m", 5_400_000], ["250ms", 250], [5, 5000], [Infinity, Infinity]])(
    "takes %j as an interval of %d ms",
    (interval, intervalMs) => {
      const { condition, pass } = withClock(interval);
      pass(Math.min(intervalMs, 1e12));
      expect(condition.check()).toBe(false);
      pass(1);
      expect(condition.check()).toBe(intervalMs < Infinity);
    },
  );

  it.each([
    ["", '""'],
    ["5", '"5"'],
    ["-5m", '"-5m"'],
    ["5 m", '"5 m"'],
    [{ minutes: 5 }, "{ minutes: 5 }"],
    [["5m"], "'5m'"],
    [
      null,
      "null",
    ],
    [undefined, "undefined"],
    [NaN, "NaN"],
    [-1, "-1"],
    [5n, "5n"],
    [true, "true"],
  ])(
    "refuses the interval %s and shows it",
    (interval, shown) => {
      expect(() => new PeriodicSaveCondition(interval as unknown as number)).toThrow(RangeError);
      expect(() => new PeriodicSaveCondition(interval as unknown as number)).toThrow(shown);
    },
  );

  it("warns of a number that was perhaps meant as milliseconds, and of no other", async () => {
    const messages = await collectWarnings();
    const seconds = [5, 60, 90, 1000, 3600, 5400, 18_000, 36_000, 86_400, 604_800, Infinity, 5000, 60_000, 900_000];
    for (const interval of seconds) withClock(interval);
    for (const interval of ["60000s", "16h40m", "1m"]) withClock(interval);
    await expect.poll(() => messages).toHaveLength(3);
    expect(messages.map((message) => /(\d+) is a number of seconds; (.*)/.exec(message)?.slice(1))).toEqual([
      ["5000", 'write "5s" if milliseconds were meant, or else "1h23m20s"'],
      ["60000", 'write "1m" if milliseconds were meant, or else "16h40m"'],
      ["900000", 'write "15m" if milliseconds were meant, or else "10d10h"'],
    ]);
  });

  it("is false as long as no more than the interval has passed", () => {
    const { condition, pass } = withClock(10);
    pass(9999);
    expect(condition.check()).toBe(false);
    pass(1);
    expect(condition.check()).toBe(false);
  });

  it("is true once when more than the interval has passed", () => {
    const { condition, pass } = withClock(10);
    pass(10_001);
    expect([condition.check(), condition.check(), condition.check()]).toEqual([true, false, false]);
  });

  it("starts the next interval when it was true, not when it was asked", () => {
    const { condition, pass } = withClock(10);
    pass(6000);
    expect(condition.check()).toBe(false);
    pass(6000);
    expect(condition.check()).toBe(true);
    pass(6000);
    expect(condition.check()).toBe(false);
    pass(6000);
    expect(condition.check()).toBe(true);
  });

  it("counts intervals that were missed as one", () => {
    const { condition, pass } = withClock(10);
    pass(95_000);
    expect([condition.check(), condition.check()]).toEqual([true, false]);
    pass(5001); // were the missed ones made up for, the next would be due by now
    expect(condition.check()).toBe(false);
    pass(5000);
    expect(condition.check()).toBe(true);
  });

  it("with an interval of 0 is true whenever time has passed", () => {
    const { condition, pass } = withClock(0);
    pass(0.001);
    expect([condition.check(), condition.check()]).toEqual([true, false]);
  });

  it("with an infinite interval is never true", () => {
    const { condition, pass } = withClock(Infinity);
    pass(1e15);
    expect(condition.check()).toBe(false);
  });

  it("is never true for a clock that goes back, until it has caught up", () => {
    const { condition, pass } = withClock(1);
    pass(-1_000_000);
    expect(condition.check()).toBe(false);
    pass(1_001_001);
    expect(condition.check()).toBe(true);
  });

  it("leaves more than the interval between any two times it is true, and misses none", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 50 }), fc.array(fc.nat(120), { maxLength: 60 }), (interval, steps) => {
        const { condition, pass } = withClock(interval / 1000);
        let sinceMs = 0;
        for (const step of steps) {
          pass(step);
          sinceMs += step;
          const isDue = condition.check();
          expect(isDue).toBe(sinceMs > interval);
          if (isDue) sinceMs = 0;
        }
      }),
    );
  });

  it.each([-1, -0.001, -Infinity, NaN])("refuses the interval %d as a RangeError", (interval) => {
    expect(() => new PeriodicSaveCondition(interval)).toThrow(RangeError);
  });

  it("measures on a monotonic clock of its own: a change of the system's time does nothing", () => {
    const now = vi.spyOn(Date, "now");
    const condition = new PeriodicSaveCondition(3600);
    now.mockReturnValue(Date.parse("2100-01-01T00:00:00Z"));
    expect(condition.check()).toBe(false);
    vi.spyOn(performance, "now").mockReturnValue(1e12);
    expect(condition.check()).toBe(true);
  });
});
