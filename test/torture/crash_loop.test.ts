// Power fails at every call of every operation, and again while the next program recovers.
import { fileBackend, memoryBackend, StateStore } from "snapkeep";
import { describe, expect, it } from "vitest";
import { renderNote } from "../../src/manifest/labels.ts";
import { Cell } from "../store/states.ts";
import { amount, limitMs, report } from "./budget.ts";
import { CrashFileSystem } from "./crash_file_system.ts";
import { CrashLoop, type Effort } from "./crash_loop.ts";
import { crashOperations } from "./crash_operations.ts";

const wanted = amount("crash", "trees");
const [MANY, SOME] = [20_000, 3000];
const LEAST_TREES = 10; // of each operation
const efforts = {
  great: {
    killFirst: 8,
    samples: 40,
    goOnEvery: 5,
    crashAgainEvery: 40,
    nestedSamples: 5,
    killEvery: 5,
    exhaustiveUpTo: 4096,
  },
  small: {
    killFirst: 8,
    samples: 6,
    goOnEvery: 10,
    crashAgainEvery: 120,
    nestedSamples: 2,
    killEvery: 15,
    exhaustiveUpTo: 128,
  },
  taste: {
    killFirst: 1,
    samples: 2,
    goOnEvery: 10,
    crashAgainEvery: 120,
    nestedSamples: 1,
    killEvery: 60,
    exhaustiveUpTo: 4,
  },
};
const effort: Effort = wanted >= MANY ? efforts.great : wanted >= SOME ? efforts.small : efforts.taste;

describe("a crash at any call", () => {
  const loop = new CrashLoop(effort);
  const since = performance.now();

  const operations = Object.entries(crashOperations);
  operations.forEach(([name, operation], index) => {
    it(`of ${name} loses nothing, shows nothing in part, and is recovered from`, async () => {
      const began = performance.now();
      const before = loop.trees.size;
      // What an operation has too few trees for, those behind it make up for.
      const share = (wanted - before) / (operations.length - index);
      // Small operations have few trees in all: a round that finds hardly a new one is the last.
      for (let seed = 1; seed === 1 || loop.trees.size - before < share; seed++) {
        const [known, crashes] = [loop.trees.size, loop.crashes];
        await loop.run(name, operation, seed);
        if (loop.trees.size - known < (loop.crashes - crashes) / 50) break;
        if (wanted <= MANY && loop.trees.size - before > LEAST_TREES) break;
      }
      const found = loop.trees.size - before;
      if (wanted > MANY) report(`crash loop, ${name},`, began, `${found} distinct trees`);
      expect(found).toBeGreaterThan(LEAST_TREES);
    }, limitMs("crash", "trees", 5));
  });

  it(`was tried on ${wanted} trees`, () => {
    const { trees, crashes, recoveries } = loop;
    const counts = `${trees.size} distinct trees, ${crashes} crashes, ${recoveries} recoveries crashed again`;
    report("crash loop", since, counts);
    expect(trees.size).toBeGreaterThanOrEqual(wanted * 0.99);
  });
});

// Retention and resuming believe labels: those of a save that died must not pass to the next snapshot of its name.
describe("the labels of a save that died", () => {
  const stale = renderNote({ pinned: true, tags: ["stale"] });

  it.each([{}, { pinned: true }])(
    "do not pass to a save that takes its name, which has its own: %j",
    async (labels) => {
      const backend = fileBackend("/states", { fileSystem: new CrashFileSystem() });
      await backend.create();
      await backend.notes.put("2026-01-02.state", stale);
      const store = new StateStore(backend, { stateNameFormat: "%Y-%m-%d.state", now: () => Date.UTC(2026, 0, 2) });
      const saved = await store.register("cell", new Cell(1)).saveState({ labels });
      expect(saved.name).toBe("2026-01-02.state");
      expect(await saved.labels()).toEqual(labels);
    },
  );

  it.each([{}, { pinned: true }])("do not pass to an import of its name: %j", async (labels) => {
    const backend = fileBackend("/states", { fileSystem: new CrashFileSystem() });
    const source = await new StateStore(memoryBackend()).saveState({ labels });
    await backend.create();
    await backend.notes.put(source.name, stale);
    expect(await (await new StateStore(backend).importSnapshot(source)).labels()).toEqual(labels);
  });
});
