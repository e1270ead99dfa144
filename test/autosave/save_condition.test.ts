// Conditions as pure decisions over a moment.
import {
  allOf,
  anyOf,
  atFirst,
  atSteps,
  everySteps,
  not,
  PeriodicSaveCondition,
  type SaveCondition,
  type SaveMoment,
  withinBudget,
} from "snapkeep";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dueInMsOf, isDue } from "../../src/autosave/save_condition.ts";
import { ManualClock } from "./manual_clock.ts";
import { makeWorld } from "./world.ts";

const at = (moment: Partial<SaveMoment>): SaveMoment => ({
  sinceCaptureMs: 0,
  captures: 0,
  hasCapture: true,
  step: undefined,
  capturedStep: undefined,
  heldMs: 0,
  sinceAttemptMs: Infinity,
  ...moment,
});
const yes: SaveCondition = () => true;
const no: SaveCondition = { check: () => false };

describe("everySteps", () => {
  it("saves each multiple once, however the steps jump, and after every restart", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.array(fc.nat(60)), fc.nat(100), (count, jumps, start) => {
        const condition = everySteps(count);
        let step = start;
        let capturedStep: number | undefined = start === 0 ? undefined : start;
        for (const jump of jumps) {
          const before = step;
          step += jump;
          const passes = Math.floor(step / count) > Math.floor(before / count);
          expect(isDue(condition, at({ step, capturedStep }))).toBe(passes);
          if (passes) capturedStep = step;
        }
      }),
    );
  });

  it("is due after the program has gone back", () => {
    expect(isDue(everySteps(10), at({ step: 35, capturedStep: 70 }))).toBe(true);
  });

  it.each([0, -1, 1.5, NaN, Infinity, "10" as never])("refuses %s steps", (count) => {
    expect(() => everySteps(count)).toThrow(RangeError);
  });
});

describe("atSteps", () => {
  it("is due when one of the steps was reached or passed since the last capture", () => {
    const condition = atSteps([100, 0, 10]);
    const due = (step: number, capturedStep?: number) => isDue(condition, at({ step, capturedStep }));
    expect([due(0), due(0, 0), due(9, 0), due(10, 0), due(11, 10), due(150, 10), due(151, 150)]).toEqual([
      true,
      false,
      false,
      true,
      false,
      true,
      false,
    ]);
  });

  it.each([[[]], [["1"]], [[NaN]], [5], [undefined]])("refuses %j", (steps) => {
    expect(() => atSteps(steps as never)).toThrow(TypeError);
  });
});

describe("combined conditions", () => {
  it("are true as any, all and not say", () => {
    const table = [anyOf(yes, no), anyOf(no, no), allOf(yes, yes), allOf(yes, no), not(no), not(yes)];
    expect(table.map((condition) => isDue(condition, at({})))).toEqual([true, false, true, false, true, false]);
  });

  it("ask each of theirs every time, so that one with a memory misses nothing", () => {
    let looks = 0;
    const counting = () => (looks++, true);
    isDue(anyOf(yes, counting), at({}));
    isDue(allOf(no, counting), at({}));
    expect(looks).toBe(2);
  });

  it("tell when they become true if all of theirs can", () => {
    const [soon, late] = [new PeriodicSaveCondition(10), new PeriodicSaveCondition(60)];
    const moment = at({ sinceCaptureMs: 4000 });
    expect(dueInMsOf(anyOf(soon, late), moment)).toBeCloseTo(6000, -2);
    expect(dueInMsOf(allOf(soon, late), moment)).toBeCloseTo(56_000, -2);
    expect(dueInMsOf(anyOf(soon, yes), moment)).toBeUndefined();
    expect(dueInMsOf(anyOf(atFirst(), late), moment)).toBeCloseTo(56_000, -2);
    expect(dueInMsOf(atFirst(), at({ hasCapture: false }))).toBe(0);
  });

  it.each([
    ["any of none", () => anyOf()],
    ["all of none", () => allOf()],
    ["any of a number", () => anyOf(yes, 5 as never)],
    ["not of nothing", () => not(undefined as never)],
    ["all of an object without check", () => allOf({} as never)],
  ])("refuse %s", (_, make) => {
    expect(make).toThrow(TypeError);
  });
});

describe("withinBudget", () => {
  it("is true once the last attempt is paid for", () => {
    const condition = withinBudget(0.02);
    expect(isDue(condition, at({ heldMs: 0, sinceAttemptMs: 0 }))).toBe(true);
    expect(isDue(condition, at({ heldMs: 10, sinceAttemptMs: 499 }))).toBe(false);
    expect(isDue(condition, at({ heldMs: 10, sinceAttemptMs: 500 }))).toBe(true);
    expect(dueInMsOf(condition, at({ heldMs: 10, sinceAttemptMs: 100 }))).toBe(400);
  });

  it.each([0.001, 0.02, 0.5, 1])("holds the program for at most a share of %s while costs vary", (share) => {
    const costs = fc.array(fc.tuple(fc.integer({ min: 1, max: 1000 }), fc.constantFrom(1, 1, 1, 10)), {
      minLength: 1,
      maxLength: 300,
    });
    fc.assert(fc.property(costs, (rounds) => {
      const condition = withinBudget(share);
      let [nowMs, beganMs, heldMs, sumMs] = [0, 0, 0, 0];
      for (const [usualMs, times] of rounds) {
        const moment = at({ heldMs, sinceAttemptMs: nowMs - beganMs });
        nowMs += dueInMsOf(condition, moment) ?? NaN;
        expect(isDue(condition, at({ heldMs, sinceAttemptMs: nowMs - beganMs + 1e-6 }))).toBe(true);
        if (heldMs > 0) expect(sumMs / nowMs, "just before a round").toBeLessThanOrEqual(share + 1e-9);
        [beganMs, heldMs] = [nowMs, usualMs * times];
        [nowMs, sumMs] = [nowMs + heldMs, sumMs + heldMs];
      }
    }));
  });

  it("holds an autosaver to its share when one round costs ten times the usual", async () => {
    const clock = new ManualClock();
    const costs = [...Array<number>(20).fill(20), 200, ...Array<number>(20).fill(20)];
    const { saver, cell, events, until } = makeWorld({ clock, condition: withinBudget(0.02) });
    const { saveState } = cell;
    let heldMs = 0;
    cell.saveState = (out) => {
      const costMs = costs[events.length] ?? 20;
      heldMs += costMs;
      clock.pass(costMs);
      return saveState.call(cell, out);
    };
    const startMs = clock.now();
    for (let round = 0; round < costs.length; round++) {
      while (events.length === round && !saver.health().isSaving) clock.pass(1);
      if (round > 0) {
        const before = heldMs - (costs[round] ?? 0);
        expect(before / (clock.now() - startMs - (costs[round] ?? 0)), `before round ${round}`).toBeLessThanOrEqual(
          0.0201,
        );
      }
      await until(round + 1);
    }
    expect(heldMs / (clock.now() - startMs)).toBeGreaterThan(0.015);
  });

  it.each([0, -0.1, 1.1, NaN, "2%" as never])("refuses a share of %s", (share) => {
    expect(() => withinBudget(share)).toThrow(RangeError);
  });
});

describe("a periodic condition with a moment", () => {
  it("counts from the last capture, by its own clock", () => {
    let nowMs = 0;
    const condition = new PeriodicSaveCondition(10, { now: () => nowMs });
    const due = (moment: Partial<SaveMoment>) => condition.check(at(moment));
    expect(due({ hasCapture: false })).toBe(false);
    nowMs = 10_001;
    expect(due({ hasCapture: false })).toBe(true);
    expect(due({ hasCapture: false }), "until the next capture").toBe(true);
    expect(due({ captures: 1, sinceCaptureMs: 4000 })).toBe(false);
    nowMs += 6000;
    expect(due({ captures: 1, sinceCaptureMs: 4000 })).toBe(false);
    nowMs += 1;
    expect(due({ captures: 1 })).toBe(true);
  });
});
