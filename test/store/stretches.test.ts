// Whether a save, a load and a copy of very many entries let others have their turn. Nothing here measures time: the tests count turns
// of the event loop, looks at the clock, and the places where work can stop. A busy machine changes none of these for the worse.
import { performance } from "node:perf_hooks";
import {
  copySnapshots,
  diffSnapshots,
  keepHourly,
  keepLatest,
  keepUnder,
  largestParts,
  memoryBackend,
  RetentionKeeper,
  type RetentionRule,
  SnapshotLocator,
  StateStore,
  type StateWriter,
  type VerifyReport,
} from "snapkeep";
import { describe, expect, it, vi } from "vitest";
import { Capture } from "../../src/store/capture.ts";
import { CaptureMemory } from "../../src/store/capture_memory.ts";
import { Registry } from "../../src/store/registry.ts";
import { RetentionCalendar } from "../../src/retention/calendar.ts";
import { planning } from "../../src/retention/plan.ts";
import { comparingContent } from "../../src/store/saving.ts";
import { layoutOfKind } from "../../src/layout/layouts.ts";
import { writeCopy } from "../../src/snapshot/copying.ts";
import { comparingStates } from "../../src/snapshot/difference.ts";
import { rawOf } from "../../src/snapshot/snapshot_reader.ts";
import type { Digest } from "../../src/model/snapshot.ts";
import { findingInTable } from "../../src/archive/table.ts";
import { TarGuard } from "../../src/archive/tar_guard.ts";
import type { FileSystem } from "../../src/file/file_system.ts";
import { removeTree } from "../../src/file/file_tree.ts";
import { Promptness } from "../../src/file/promptness.ts";
import { concatenating, lookingForText } from "../../src/runtime/bytes.ts";
import { atOnce, inSlices, Pace, sorting, type Work } from "../../src/runtime/concurrency.ts";
import { Digester } from "../../src/runtime/digest.ts";
import { concatenated, END, file } from "../archive/tar_maker.ts";
import { all } from "../backend/texts.ts";

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

/** Runs work by a clock that stands still but for what the work lets pass. */
async function byClock(work: (pass: (ms: number) => void) => unknown): Promise<void> {
  let nowMs = performance.now();
  const clock = vi.spyOn(performance, "now").mockImplementation(() => nowMs);
  try {
    await work((ms) => void (nowMs += ms));
  } finally {
    clock.mockRestore();
    await new Pace().rest(); // further paces count from the true time again
  }
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

  it("counts works that go on at the same time as one", async () => {
    const [first, second] = [new Pace(), new Pace()];
    const rests = [first.rest(), second.rest()];
    expect(rests[1]).toBe(rests[0]);
    await rests[0];
    await byClock(async (pass) => {
      pass(5);
      expect(second.isDue).toBe(true);
      await first.rest();
      expect(second.isDue).toBe(false);
    });
  });

  it("gives others their turn between small calls of the file system, and makes all of them without the thread pool", async () => {
    await byClock(async (pass) => {
      await new Pace().rest();
      const promptness = new Promptness();
      const made: number[] = [];
      const call = (index: number) =>
        promptness.call(() => (pass(1.5), made.push(index)), () => Promise.reject(new Error("a trip")));
      const calls = Promise.all([0, 1, 2, 3, 4].map(call));
      expect(made).toEqual([0, 1, 2]); // which took more than 4 ms
      await calls;
      expect(made).toEqual([0, 1, 2, 3, 4]);
    });
  });

  it("has not begun when what came before it held the event loop as long as a slice", async () => {
    await byClock(async (pass) => {
      await new Pace().rest();
      pass(5);
      let hasTurned = false;
      setImmediate(() => hasTurned = true);
      function* work() {
        const hadTurned = hasTurned;
        yield;
        return hadTurned;
      }
      expect(await inSlices(work())).toBe(true);
    });
  });

  it("counts short works that follow each other as one", async () => {
    await byClock(async (pass) => {
      await new Pace().rest();
      pass(3);
      expect(new Pace().isDue).toBe(false);
      pass(2);
      expect(new Pace().isDue).toBe(true);
      pass(100); // the program did something else meanwhile
      expect(new Pace().isDue).toBe(false);
    });
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

  it("can stop after each few hundred items when they are sorted, as an array sorts them", () => {
    const items = Array.from({ length: ENTRIES }, (_, index) => ({ index, rank: index * 7919 % 100 }));
    const byRank = (a: { rank: number }, b: { rank: number }) => a.rank - b.rank;
    expect(atOnce(sorting(items, byRank))).toEqual([...items].sort(byRank));
    expect(atOnce(sorting(items.slice(0, 3), byRank))).toEqual(items.slice(0, 3).sort(byRank));
    expect(stopsOf(sorting(items, byRank))).toBeGreaterThanOrEqual(ENTRIES / 256);
  });

  it("looks at the clock when the largest entries are looked for", async () => {
    const clock = vi.spyOn(performance, "now");
    try {
      await largestParts({ states: states("0") }, { since: { states: states("1") } });
      expect(clock.mock.calls.length).toBeGreaterThanOrEqual(4 * Math.floor(ENTRIES / 256)); // sizes, before and now, and two passes
    } finally {
      clock.mockRestore();
    }
  });

  it("can stop while an entry is looked for in a manifest or a table, or has no name like it", async () => {
    const text = "-".repeat(8 * 1024 * 1024);
    const bytes = new TextEncoder().encode(`${text}needle`);
    expect(stopsOf(lookingForText(bytes, "needle"))).toBe(8);
    expect(atOnce(lookingForText(bytes, "needle"))).toBe(text.length);
    expect(atOnce(lookingForText(bytes, "needle", 0, bytes.length - 1))).toBe(-1);
    expect(atOnce(lookingForText(bytes.subarray(6 + 1), "needle"))).toBe(text.length - 7);
    expect(atOnce(lookingForText(bytes, "-needle"))).toBe(text.length - 1);
    expect(stopsOf(findingInTable(bytes, "none", 0))).toBe(9);
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

describe("a cleanup of many snapshots", () => {
  it("lets others have their turn between the manifests that it reads before it removes anything", async () => {
    let savedAtMs = Date.UTC(2026, 0, 1);
    const store = new StateStore(memoryBackend(), { now: () => savedAtMs += 1000 });
    for (let index = 0; index < 2; index++) await store.saveState();
    const keeper = new RetentionKeeper(store, [keepLatest(1)]);
    await keeper.cleanup(); // what is loaded at the first use is loaded
    for (let index = 0; index < 20; index++) await store.saveState();
    const real = SnapshotLocator.prototype.manifest;
    const manifest = vi.spyOn(SnapshotLocator.prototype, "manifest");
    try {
      await byClock(async (pass) => {
        manifest.mockImplementation(function (this: SnapshotLocator) {
          pass(20); // so long that no work after it counts from the last rest
          return real.call(this);
        });
        let removed = 0;
        expect(await turnsOf(async () => removed = (await keeper.cleanup()).length)).toBeGreaterThanOrEqual(19);
        expect(removed).toBe(20);
      });
    } finally {
      manifest.mockRestore();
      await new Pace().rest(); // further paces count from the true time again
    }
  });

  it("can stop after each rule of its plan, also where a budget asks the rules again and again", () => {
    const snapshots = Array.from({ length: 100 }, (_, index) => {
      return { name: `s${1000 + index}`, savedAtMs: index * 3_600_000, sizeBytes: 1 };
    });
    const stopsOfPlan = (...rules: RetentionRule[]) =>
      stopsOf(planning(new RetentionCalendar("UTC"), snapshots, rules, { nowMs: 1e9 }));
    expect(stopsOfPlan(keepLatest(200), keepHourly(200))).toBeGreaterThanOrEqual(2);
    expect(stopsOfPlan(keepLatest(200), keepHourly(200), keepUnder(10))).toBeGreaterThanOrEqual(2 * 90);
  });
});

describe("a tar", () => {
  it("lets others have their turn while one chunk of it is checked", async () => {
    const files = Array.from({ length: 300 }, (_, index) => file(`${index}.txt`, "text"));
    const tar = concatenated(...files, END);
    async function* source() {
      yield tar;
    }
    const clock = vi.spyOn(performance, "now");
    let nowMs = performance.now();
    try {
      clock.mockImplementation(() => nowMs += 5); // each look at it finds that a slice has passed
      const turns = await turnsOf(() => all(new TarGuard("the tar").check(source())));
      expect(turns).toBeGreaterThanOrEqual(Math.floor(tar.length / (32 * 1024)));
    } finally {
      clock.mockRestore();
      await new Pace().rest(); // further paces count from the true time again
    }
  });
});

describe("two copies of one snapshot", () => {
  /** The length of the longest JSON that is rendered while work runs. */
  async function longestRendered(work: () => Promise<unknown>): Promise<number> {
    const rendering = vi.spyOn(JSON, "stringify");
    try {
      await work();
      return Math.max(0, ...rendering.mock.results.map(({ value }) => String(value).length));
    } finally {
      rendering.mockRestore();
    }
  }

  it("are compared without rendering their manifests when one is to be copied onto the other", async () => {
    const snapshot = await manyEntries("tar.gz").saveState();
    const target = new StateStore(memoryBackend());
    await all(copySnapshots([snapshot], target));
    const outcomes: string[] = [];
    const copying = async () => {
      for await (const { outcome } of copySnapshots([snapshot], target)) outcomes.push(outcome);
    };
    expect(await longestRendered(copying)).toBeLessThan(ENTRIES);
    expect(outcomes).toEqual(["present"]);
  });

  it("are compared without rendering their manifests when a store verifies both layouts", async () => {
    const store = manyEntries("tar.gz");
    const { backend } = store;
    const snapshot = await store.saveState();
    await using reader = await snapshot.open();
    const stage = await backend.stage(`${snapshot.name}/`, { allowOtherLayouts: true });
    await writeCopy(rawOf(reader), layoutOfKind("directory"), { backend, stage, labels: {} });
    const reports: VerifyReport[] = [];
    const verifying = async () => void reports.push(...await all(store.verify({ mode: "quick" })));
    expect(await longestRendered(verifying)).toBeLessThan(ENTRIES);
    expect(reports.map(({ isWhole }) => isWhole)).toEqual([true, true]);
  });
});

describe("an entry of many chunks that lie in memory", () => {
  it("lets others have their turn between its chunks while it is read", async () => {
    const bytes = new Uint8Array(40 * 1024 * 1024);
    const store = new StateStore(memoryBackend()).register("state", {
      saveState: (out) => out.write("bytes", bytes),
      loadState() {},
    });
    await using reader = await (await store.saveState()).open();
    const real = Digester.prototype.update;
    const update = vi.spyOn(Digester.prototype, "update");
    try {
      await byClock(async (pass) => {
        update.mockImplementation(function (this: Digester, chunk) {
          pass(5); // as long as a stretch may be
          return real.call(this, chunk);
        });
        const reading = async () => {
          for await (const _ of reader.stream("state/bytes"));
        };
        expect(await turnsOf(reading)).toBeGreaterThanOrEqual(19);
      });
    } finally {
      update.mockRestore();
    }
  });
});

describe("a folder of many folders", () => {
  it("is removed with a bounded number of calls at once", async () => {
    let [calls, most, removed] = [0, 0, 0];
    const counted = async <T>(result: T): Promise<T> => {
      most = Math.max(most, ++calls);
      await new Promise((resolve) => setImmediate(resolve));
      calls--;
      return result;
    };
    const depthOf = (file: string) => file.split(/[/\\]/).length;
    const names = Array.from({ length: 12 }, (_, index) => `${index}`);
    const files = {
      stat: (file: string) => counted({ kind: depthOf(file) < 4 ? "folder" : "file", sizeBytes: 0 }),
      readFolder: () => counted(names),
      removeFile: () => counted(void removed++),
      removeFolder: () => counted(undefined),
    } as unknown as FileSystem;
    await removeTree(files, "root");
    expect(removed).toBe(12 ** 3);
    expect(most).toBeLessThanOrEqual(128);
    expect(most).toBeGreaterThan(1);
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
    const reader = await snapshot.open();
    const missing = reader.bytes("state/entry-none");
    expect(await turnsOf(() => missing.catch(() => {}))).toBeGreaterThan(3);
    await expect(missing).rejects.toThrow("there is no such entry");
    await reader.close();
    const asked = await snapshot.open();
    expect(await turnsOf(() => asked.readManifest())).toBeGreaterThan(3);
    const parse = vi.spyOn(JSON, "parse");
    expect(asked.entries).toHaveLength(ENTRIES);
    expect(asked.entries).toBe(asked.entries);
    expect([asked.manifest.totals.entries, asked.state("state")?.entries.length]).toEqual([ENTRIES, ENTRIES]);
    expect([asked.has("state/entry-1"), asked.has("state/entry-none")]).toEqual([true, false]);
    expect(() => asked.stream("state/entry-none")).toThrow("there is no such entry");
    expect(parse).not.toHaveBeenCalled();
    parse.mockRestore();
    await asked.close();
    const many = await snapshot.open();
    const reading = async () => {
      for (let index = 0; index < 40; index++) await many.bytes(`state/entry-${index}`);
    };
    expect(await turnsOf(reading)).toBeGreaterThan(3);
    await many.close();
    expect(await turnsOf(() => diffSnapshots(snapshot, snapshot))).toBeGreaterThan(6);
    const tar = new StateStore(memoryBackend(), { layout });
    expect(await turnsOf(() => tar.importSnapshot(snapshot.stream({ layout: "tar" })))).toBeGreaterThan(10);
    const other = new StateStore(memoryBackend(), { layout });
    expect(await turnsOf(() => other.importSnapshot(snapshot))).toBeGreaterThan(10);
  });
});
