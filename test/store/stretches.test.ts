// Whether a save, a load and a copy of very many entries let others have their turn. Nothing here measures time: the tests count turns
// of the event loop, looks at the clock, and the places where work can stop. A busy machine changes none of these for the worse.
import { performance } from "node:perf_hooks";
import { memoryBackend, StateStore, type StateWriter } from "snapkeep";
import { describe, expect, it, vi } from "vitest";
import { Capture } from "../../src/store/capture.ts";
import { CaptureMemory } from "../../src/store/capture_memory.ts";
import { Registry } from "../../src/store/registry.ts";
import { comparingContent } from "../../src/store/saving.ts";
import { comparingStates } from "../../src/snapshot/difference.ts";
import type { Digest } from "../../src/model/snapshot.ts";
import { concatenating } from "../../src/runtime/bytes.ts";
import { atOnce, inSlices, Pace, type Work } from "../../src/runtime/concurrency.ts";

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

/** How often work can stop. */
function stopsOf(work: Work<unknown>): number {
  let stops = 0;
  while (!work.next().done) stops++;
  return stops;
}

function manyEntries(layout: "directory" | "tar.gz"): StateStore {
  return new StateStore(memoryBackend(), { layout }).register("state", {
    saveState(out) {
      for (let index = 0; index < ENTRIES; index++) void out.write(`entry-${index}`, `${index}`);
    },
    loadState() {},
  });
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
  });

  it("counts short works that follow each other as one", async () => {
    const clock = vi.spyOn(performance, "now");
    try {
      let nowMs = performance.now();
      clock.mockImplementation(() => nowMs);
      await new Pace().rest();
      nowMs += 3;
      expect(new Pace().isDue).toBe(false);
      nowMs += 2;
      expect(new Pace().isDue).toBe(true);
      nowMs += 100; // the program did something else meanwhile
      expect(new Pace().isDue).toBe(false);
    } finally {
      clock.mockRestore();
    }
  });
});

describe("work on very many entries", () => {
  const entries = (digit: string) =>
    Array.from({ length: ENTRIES }, (_, index) => {
      return { path: `entry-${index}`, sizeBytes: 1, digest: `sha256:${digit.repeat(64)}` as Digest };
    });
  const states = (digit: string) => [{ name: "state", version: 1, entries: entries(digit) }];
  const empty = [{ name: "state", version: 1, entries: [] }];

  it("can stop after each few hundred entries when states are compared", () => {
    const most = ENTRIES / 256;
    expect(stopsOf(comparingStates(states("0"), states("0")))).toBeGreaterThanOrEqual(Math.floor(2 * most));
    expect(stopsOf(comparingStates(states("0"), states("1")))).toBeGreaterThanOrEqual(Math.floor(2 * most));
    expect(stopsOf(comparingStates(states("0"), empty))).toBeGreaterThanOrEqual(Math.floor(2 * most));
    const labels = { tags: [] };
    const [first, second] = [{ states: states("0"), labels }, { states: states("0"), labels }];
    expect(atOnce(comparingContent(first, second))).toBe(true);
    expect(atOnce(comparingContent(first, { states: states("1"), labels }))).toBe(false);
    expect(stopsOf(comparingContent(first, second))).toBeGreaterThanOrEqual(Math.floor(most));
  });

  it("can stop within one large piece when bytes are copied", () => {
    const sizeBytes = 8 * 1024 * 1024 + 1;
    expect(stopsOf(concatenating([new Uint8Array(sizeBytes)], sizeBytes))).toBe(9);
  });

  it("looks at the sizes of waiting entries only as a layout asks for them", async () => {
    const state = {
      saveState(out: StateWriter) {
        for (const path of ["a", "b"]) void out.write(path, "x");
      },
      loadState() {},
    };
    const registry = new Registry();
    registry.register("state", state, {});
    const capture = new Capture(registry.all, new CaptureMemory());
    expect([...capture.pendingSizes()]).toEqual([1, 1]);
    const sizes = capture.pendingSizes();
    await capture.entries().next(); // which takes both
    expect([...sizes]).toEqual([]);
    capture.fail(new Error("the test has ended"));
    capture.close();
  });

  it("looks at the clock for each entry of an archive, in each pass of a verification", async () => {
    const snapshot = await manyEntries("tar.gz").saveState();
    await snapshot.verify(); // what is loaded at the first use is loaded
    const clock = vi.spyOn(performance, "now");
    try {
      await snapshot.verify();
      expect(clock.mock.calls.length).toBeGreaterThanOrEqual(6 * ENTRIES); // it is 5 where one pass looks at none
      clock.mockClear();
      await using reader = await snapshot.open();
      await reader.verifyAll();
      expect(clock.mock.calls.length).toBeGreaterThanOrEqual(2 * ENTRIES); // sorting by size, and reading
    } finally {
      clock.mockRestore();
    }
  });
});

describe.each(["directory", "tar.gz"] as const)("a snapshot of many small entries as %s", (layout) => {
  it("is saved, loaded, verified and copied in many turns", async () => {
    const store = manyEntries(layout);
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
