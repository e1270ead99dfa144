// How long a save, a load and a copy of very many entries hold the program at a stretch. The limit leaves room for collectors and
// busy machines: without slices, stretches last some hundred milliseconds.
import { memoryBackend, StateStore } from "snapkeep";
import { describe, expect, it } from "vitest";
import { atOnce, inSlices, Pace } from "../../src/runtime/concurrency.ts";

const ENTRIES = 10_000;

/** Counts the turns of the event loop while work runs. */
async function turnsOf(work: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  let isRunning = true;
  const count = () => {
    turns++;
    if (isRunning) setImmediate(count);
  };
  setImmediate(count);
  await work();
  isRunning = false;
  return turns;
}

describe("work in slices", () => {
  it("gives the same as in one go, and lets others have their turn", async () => {
    function* work() {
      let sum = 0;
      for (let index = 0; index < 30; index++) {
        for (const sinceMs = performance.now(); performance.now() - sinceMs < 1;);
        sum += index;
        yield;
      }
      return sum;
    }
    expect(atOnce(work())).toBe(435);
    expect(await turnsOf(async () => expect(await inSlices(work())).toBe(435))).toBeGreaterThanOrEqual(4);
    expect(new Pace().isDue).toBe(false);
  });
});

describe.each(["directory", "tar.gz"] as const)("a snapshot of many small entries as %s", (layout) => {
  it("is saved, loaded, verified and copied in many turns", async () => {
    const store = new StateStore(memoryBackend(), { layout }).register("state", {
      saveState(out) {
        for (let index = 0; index < ENTRIES; index++) void out.write(`entry-${index}`, `${index}`);
      },
      loadState() {},
    });
    const saving = store.saveState();
    expect(await turnsOf(() => saving)).toBeGreaterThan(10);
    const snapshot = await saving;
    expect(await turnsOf(() => snapshot.manifest())).toBeGreaterThan(3);
    expect(await turnsOf(() => store.loadState(snapshot))).toBeGreaterThan(10);
    expect(await turnsOf(() => snapshot.verify())).toBeGreaterThan(10);
    const other = new StateStore(memoryBackend(), { layout });
    expect(await turnsOf(() => other.importSnapshot(snapshot))).toBeGreaterThan(10);
  });
});
