// A store behaves as a Map: whatever is done to it, in whatever order, on every backend and in both layouts.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { amount, report, runtime } from "../torture/budget.ts";
import { type Command, commands, perform } from "./commands.ts";
import { crashPlace, filePlace, memoryPlace, type ModelPlace } from "./places.ts";
import { World } from "./world.ts";

// The store is the same everywhere, so one runtime does the bulk of it.
const RUNS = amount("MODEL_RUNS", runtime === "node" ? 800 : 300);
const SEED = amount("SEED", 1);
const BUDGET_MINUTES = Math.max(1, RUNS / 700);

// Real files are the slowest by far.
const places: Record<string, { share: number; make: () => ModelPlace | Promise<ModelPlace> }> = {
  "in memory": { share: 0.4, make: memoryPlace },
  "on files": { share: 0.2, make: filePlace },
  "on a disk that forgets": { share: 0.4, make: crashPlace },
};

describe("a store", () => {
  for (const [name, { share, make }] of Object.entries(places)) {
    it(`${name} is what its model is`, async () => {
      const since = performance.now();
      const runs = Math.max(1, Math.round(RUNS * share));
      const done = new Map<string, number>();
      const run = async (steps: Command[]): Promise<void> => {
        const world = new World(await make());
        for (const step of steps) {
          await perform(world, step);
          done.set(step.do, (done.get(step.do) ?? 0) + 1);
        }
      };
      await fc.assert(fc.asyncProperty(fc.array(commands, { minLength: 1, maxLength: 24, size: "max" }), run), {
        numRuns: runs,
        seed: SEED,
      });
      const kinds = [...done].sort(([a], [b]) => a < b ? -1 : 1).map(([kind, count]) => `${count} ${kind}`);
      report(`model ${name}`, since, BUDGET_MINUTES * share, `${runs} runs, seed ${SEED}: ${kinds.join(", ")}`);
      if (runs > 50) expect(done.size, "every kind of step was taken").toBe(15);
    }, BUDGET_MINUTES * 20 * 60_000);
  }
});
