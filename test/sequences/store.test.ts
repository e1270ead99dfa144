// A store behaves as a Map: whatever is done to it, in whatever order, on every backend and in both layouts.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { amount, limitMs, report } from "../torture/budget.ts";
import { type Command, commands, perform } from "./commands.ts";
import { crashPlace, filePlace, memoryPlace, type ModelPlace } from "./places.ts";
import { World } from "./world.ts";

const RUNS = amount("model", "runs");
const SEED = amount("model", "seed");

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
      report(`model ${name}`, since, `${runs} runs, seed ${SEED}: ${kinds.join(", ")}`);
      if (runs > 50) expect(done.size, "every kind of step was taken").toBe(15);
    }, limitMs("model", "runs", 20));
  }
});
