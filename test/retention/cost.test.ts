// What a cleanup over many snapshots asks of the file system: counts and ratios, which a busy machine does not change.
import { rename } from "node:fs/promises";
import path from "node:path";
import { setImmediate } from "node:timers";
import {
  fileBackend,
  keepBest,
  keepHourly,
  keepLatest,
  type LayoutKind,
  RetentionKeeper,
  type SnapshotLocator,
  StateStore,
} from "snapkeep";
import { Faults, faultyFileSystem, type FileSystem, nodeFileSystem } from "snapkeep/testing";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "../store/places.ts";
import { saving } from "../store/states.ts";

const HOUR_MS = 3_600_000;
const RULES = [keepLatest(5), keepHourly(8760)];

/** The file system as it is once its clock has gone on: what changed just now proves nothing until then. */
const settled: FileSystem = {
  ...nodeFileSystem,
  async stat(at, followsLink) {
    return stamped(at, await nodeFileSystem.stat(at, followsLink));
  },
  statNow: (at, followsLink) => stamped(at, nodeFileSystem.statNow?.(at, followsLink)),
};
const stamps = new Map<string, string>();

function stamped(at: string, stat: Awaited<ReturnType<FileSystem["stat"]>>) {
  return stat && { ...stat, stamp: stamps.get(at) ?? `first ${at}` };
}

async function hourly(layout: LayoutKind, count: number, fileSystem: FileSystem) {
  const folder = await temporaryFolder();
  const faults = new Faults();
  const clock = { nowMs: Date.UTC(2026, 0, 1) };
  const backend = fileBackend(folder, { durability: "none", fileSystem: faultyFileSystem(fileSystem, faults) });
  const store = new StateStore(backend, { layout, now: () => clock.nowMs }).register(
    "run",
    saving((out) => out.json("run.json", clock.nowMs)),
  );
  const save = async (stepMs: number) => {
    clock.nowMs += stepMs;
    return await store.saveState({ labels: { metrics: { loss: clock.nowMs } } });
  };
  for (let index = 0; index < count; index++) await save(HOUR_MS);
  /** System calls of one kind during `work`. */
  const callsOf = async (work: () => Promise<unknown>) => {
    const before = faults.calls.length;
    await work();
    const calls = faults.calls.slice(before);
    return (operation: string) => calls.filter((call) => call.operation === operation).length;
  };
  return { folder, store, save, callsOf };
}

describe.each(["directory", "tar.gz"] as const)("cleanup over many snapshots (%s)", (layout) => {
  it("looks once at each known snapshot, and opens as few whatever there is, when it removes some", async () => {
    const counts = [];
    for (const count of [12, 60]) {
      const { store, save, callsOf } = await hourly(layout, count, settled);
      const keeper = new RetentionKeeper(store, RULES);
      await keeper.cleanup();
      for (let more = 0; more < 8; more++) await save(60_000);
      const calls = await callsOf(async () => expect((await keeper.cleanup()).length).toBe(4));
      counts.push({ count, stats: calls("stat"), opens: calls("open"), reads: calls("read") });
    }
    const [few, many] = counts as [typeof counts[0], typeof counts[0]];
    expect(many.opens).toBe(few.opens);
    expect(many.reads).toBe(few.reads);
    expect(many.stats - few.stats).toBe(many.count - few.count);
  });

  it("opens each snapshot once, and reads no more than a few pieces of it, when it is the first", async () => {
    const { store, callsOf } = await hourly(layout, 40, settled);
    const calls = await callsOf(() => new RetentionKeeper(store, RULES).cleanup());
    expect(calls("open")).toBe(40);
    expect(calls("read")).toBeLessThanOrEqual(80);
    expect(calls("stat")).toBeLessThanOrEqual(41);
  });

  it("opens few snapshots at once, since what never waits holds up the program together", async () => {
    let [open, most] = [0, 0];
    const { folder } = await hourly(layout, 40, nodeFileSystem);
    const counting: FileSystem = {
      ...nodeFileSystem,
      openNow(at, followsLink) {
        const file = (nodeFileSystem.openNow as NonNullable<FileSystem["openNow"]>)(at, followsLink);
        most = Math.max(most, ++open);
        const close = file.close.bind(file);
        return Object.assign(file, {
          close: async () => {
            open--;
            await close();
          },
        });
      },
    };
    await new RetentionKeeper(new StateStore(fileBackend(folder, { fileSystem: counting })), RULES).cleanup();
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(8);
  });

  it("reads a manifest again when its stamp changed, and goes by what it says now", async () => {
    const { folder, store, save, callsOf } = await hourly(layout, 0, settled);
    const saved: SnapshotLocator[] = [];
    for (let index = 0; index < 4; index++) saved.push(await save(HOUR_MS));
    const keeper = new RetentionKeeper(store, [keepLatest(1), keepBest("loss", "min", 1)]);
    const [best] = saved;
    await keeper.plan();
    // The best one becomes another: labels changed elsewhere, and brought back under its name.
    const other = new StateStore(path.join(folder, "other"), { layout });
    const copy = await other.importSnapshot(String(best));
    await copy.label({ metrics: { loss: 9e15 } });
    const exported = await copy.exportTo(path.join(folder, "other", "changed/"));
    await best?.remove();
    const fileName = path.basename(String(best));
    await rename(String(exported), path.join(folder, fileName));
    for (const at of [path.join(folder, fileName), path.join(folder, fileName, "manifest.json")]) {
      stamps.set(at, "changed");
    }
    const calls = await callsOf(async () => {
      expect((await keeper.cleanup()).map(({ name }) => name)).toEqual([best?.name, saved[2]?.name]);
    });
    expect(calls("open")).toBeGreaterThan(0);
    expect((await store.list()).map(({ name }) => name)).toEqual([saved[1]?.name, saved[3]?.name]);
  });

  it("believes no stamp of a snapshot that changed just now", async () => {
    const { store, callsOf } = await hourly(layout, 6, {
      ...nodeFileSystem,
      // A clock that runs in steps of the future: nothing has settled.
      statNow: (at, followsLink) => {
        const { stamp: _stamp, ...stat } = nodeFileSystem.statNow?.(at, followsLink) ?? {};
        return "kind" in stat ? stat : undefined;
      },
    });
    const keeper = new RetentionKeeper(store, RULES);
    await keeper.cleanup();
    const calls = await callsOf(() => keeper.cleanup());
    expect(calls("open")).toBe(6); // it compared the ends of their bytes
  });

  it("lets others have their turn while it reads", async () => {
    const { store } = await hourly(layout, 60, nodeFileSystem);
    let turns = 0;
    let isRunning = true;
    const count = () => {
      turns++;
      if (isRunning) setImmediate(count);
    };
    setImmediate(count);
    const slow = faultyFileSystem({
      ...nodeFileSystem,
      openNow: (at, followsLink) => {
        for (const sinceMs = performance.now(); performance.now() - sinceMs < 0.4;); // 60 of them hold 24 ms
        return nodeFileSystem.openNow?.(at, followsLink) as ReturnType<NonNullable<FileSystem["openNow"]>>;
      },
    }, new Faults());
    const { pathname } = new URL(store.backend.uri);
    const keeper = new RetentionKeeper(new StateStore(fileBackend(pathname, { fileSystem: slow })), RULES);
    await new Promise((resolve) => setImmediate(resolve));
    const before = turns;
    await keeper.cleanup();
    isRunning = false;
    expect(turns - before).toBeGreaterThanOrEqual(4);
  });
});

describe("cleanup on a slow storage", () => {
  it("goes through the thread pool when looking without waiting would hold up the program", async () => {
    const { folder } = await hourly("tar.gz", 40, nodeFileSystem);
    let looks = 0;
    const slow: FileSystem = {
      ...nodeFileSystem,
      statNow: (at, followsLink) => {
        looks++;
        for (const sinceMs = performance.now(); performance.now() - sinceMs < 10;);
        return nodeFileSystem.statNow?.(at, followsLink);
      },
    };
    const store = new StateStore(fileBackend(folder, { fileSystem: slow }));
    expect(await store.list()).toHaveLength(40);
    expect(looks).toBeLessThan(6);
  });
});
