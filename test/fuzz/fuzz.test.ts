// Seeded fuzzing: the same seeds in every run, as many as the time allows.
import process from "node:process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { howToRepeat, runCases } from "../../tools/fuzz/watchdog.mjs";
import { amount, report, runtime } from "../torture/budget.ts";
import { Orchard, PLANTED } from "./planted.ts";

const SECONDS = amount("fuzz", "seconds");
const SEED = amount("fuzz", "seed");
const CASES = amount("fuzz", "cases");
const PLANTED_BUGS = amount("fuzz", "planted");
const PLANTED_SECONDS = 240; // they are found in one or two, on a machine that does nothing else
const LEAST_CASES = Math.min(CASES, 20); // hundreds or thousands there

describe("whatever the bytes, they are refused as they must be, or mean the same to every reader", () => {
  const since = performance.now();
  const counts: string[] = [];

  it.each(["archive", "table", "manifest", "paths"])("%s", async (target) => {
    const task = { target, seed: SEED, cases: CASES, seconds: SECONDS };
    const { cases, verdicts, fault } = await runCases(runtime, task);
    expect(fault && { ...fault, again: howToRepeat(target, fault.seed, runtime) }).toBeUndefined();
    expect(cases).toBeGreaterThanOrEqual(LEAST_CASES);
    expect(Object.keys(verdicts).length).toBeGreaterThan(CASES > LEAST_CASES ? 1 : 0);
    counts.push(`${target} ${cases}`);
  }, (SECONDS + 120) * 1000);

  afterAll(() => report("fuzz", since, `cases: ${counts.join(", ")}`));
});

// On Windows links need a permission, and what is built is the same there.
const isElsewhere = process.platform === "win32";

describe.skipIf(isElsewhere)("a planted bug is found", () => {
  const orchard = new Orchard();
  const since = performance.now();
  const counts: string[] = [];
  beforeAll(() => orchard.make());
  afterAll(() => orchard.remove());

  PLANTED.forEach((bug, index) =>
    it.skipIf(index >= PLANTED_BUGS)(bug.name, async () => {
      const task = { target: bug.target, seed: SEED, cases: 2 ** 32, seconds: PLANTED_SECONDS };
      const { cases, fault } = await orchard.plant(bug, () => {
        return runCases(runtime, task, { place: orchard.place, caseSeconds: bug.says === undefined ? 20 : 4 });
      });
      expect(fault?.what).toMatch(bug.says ?? /./);
      if (bug.says === undefined) expect(fault?.what).not.toMatch(/hangs|memory grew/);
      counts.push(String(cases));
    }, (PLANTED_SECONDS + 60) * 1000)
  );

  afterAll(() => report("planted bugs", since, `${counts.length}, found within ${counts.join(", ")} cases`));
});
