// What a program may save over: it resumes first, or says that it begins afresh.
import { describe, expect, it } from "vitest";
import { LatestStatesKeeper, locate, memoryBackend, StateStore } from "snapkeep";
import { changed, placeOn, places } from "./places.ts";
import { Cell, rejection } from "./states.ts";
import { collectLogs } from "./logs.ts";
import { all } from "../backend/texts.ts";

describe.each(places)("a store that has loaded nothing ($layout, $backend)", ({ make }) => {
  /** A place with some snapshots of an earlier run. */
  async function history(count: number) {
    const place = await make();
    const cell = new Cell(0);
    const earlier = place.store({ run: "earlier" }).register("cell", cell);
    for (let index = 1; index <= count; index++) {
      cell.value = index;
      await earlier.saveState();
    }
    const program = (options: ConstructorParameters<typeof StateStore>[1] = {}) => {
      const cell = new Cell("fresh");
      return { cell, store: place.store({ startFresh: false, ...options }).register("cell", cell) };
    };
    return { place, earlier, program };
  }

  it("refuses to save where snapshots lie, tells how many and both ways out, and publishes nothing", async () => {
    const { place, program } = await history(3);
    const { store, cell } = program();
    const before = await place.files();
    const newest = (await store.latest())?.name;
    for (let attempt = 0; attempt < 2; attempt++) {
      const error = await rejection(store.saveState());
      expect(error).toMatchObject({ code: "RESUME_FIRST", details: { snapshots: 3, newest } });
      expect(String(error)).toMatch(/3 snapshots.*await store\.resume\(\).*startFresh\(\)/);
    }
    expect(cell.saves, "the states are called at the instant of the call").toBe(2);
    expect([await place.files(), (await store.list()).length]).toEqual([before, 3]);
  });

  it("keeps what an earlier run saved when resume() was forgotten and a keeper cleans up", async () => {
    const { program } = await history(3);
    const { store } = program();
    const keeper = new LatestStatesKeeper(store, 3);
    for (let attempt = 0; attempt < 3; attempt++) {
      await rejection(store.saveState());
      await keeper.cleanup();
    }
    expect(await store.list()).toHaveLength(3);
  });

  it.each<[string, (store: StateStore) => unknown]>([
    ["resume()", (store) => store.resume()],
    ["resume({ only })", (store) => store.resume({ only: ["cell"] })],
    ["loadState()", async (store) => store.loadState((await store.list())[0] ?? "")],
    ["loadState() of a stream", async (store) => store.loadState((await store.list())[0]?.stream() ?? "")],
    ["startFresh()", (store) => store.startFresh()],
  ])("saves after %s", async (_, first) => {
    const { program } = await history(2);
    const { store } = program();
    await first(store);
    await store.saveState();
    await store.saveState();
    expect(await store.list()).toHaveLength(4);
  });

  it("saves with the option startFresh, streams without, and is refused again when a later load fails", async () => {
    const { program } = await history(1);
    await program({ startFresh: true }).store.saveState();
    const { store } = program();
    await new StateStore(memoryBackend()).register("cell", new Cell(0)).loadState(store.streamState().body);
    const failing = program({ startFresh: true }).store;
    failing.register("other", { saveState() {}, loadState: () => Promise.reject(new Error("no")) });
    await rejection(failing.resume({ allowMissing: true }).then(() => failing.loadState(failing.streamState().body)));
    expect(await rejection(failing.saveState())).toMatchObject({ code: "STATES_TORN" });
  });

  it("does not save after a resume or a load that rejected", async () => {
    const { place, program } = await history(1);
    const { store } = program();
    store.register("more", new Cell(1));
    await rejection(store.resume());
    await rejection(store.loadState(locate(place.backend, "none.state")));
    expect(await rejection(store.saveState())).toMatchObject({ code: "RESUME_FIRST" });
  });

  it("saves to a place with no snapshot of its name format, and again beside its own", async () => {
    const { program } = await history(0);
    const { store } = program();
    await store.saveState();
    await store.saveState();
    const other = program({ stateNameFormat: "other-%Y%m%d%H%M%S%f.state" }).store;
    await other.saveState();
    expect(await store.list()).toHaveLength(2);
  });

  it("lists, verifies, labels, exports, imports and cleans up as ever", async () => {
    const { place, program } = await history(3);
    const { store } = program();
    const [first] = await store.list();
    await first?.label({ step: 1 });
    expect(await all(store.verify())).toHaveLength(3);
    const copy = await new StateStore(memoryBackend()).importSnapshot(first?.stream() ?? "");
    await first?.remove();
    await store.importSnapshot(copy);
    expect(await new LatestStatesKeeper(place.backend, 1).cleanup()).toHaveLength(2);
  });

  it("counts what it imported: a program that imports and does not load would save over it", async () => {
    const { program } = await history(0);
    const { store } = program();
    const source = new StateStore(memoryBackend()).register("cell", new Cell(9));
    await store.importSnapshot(await source.saveState());
    expect(await rejection(store.saveState())).toMatchObject({ code: "RESUME_FIRST", details: { snapshots: 1 } });
  });

  it("reports how many snapshots are newer than the one it resumed from", async () => {
    const { program } = await history(3);
    const { store } = program();
    const [oldest] = await store.list();
    expect(await store.resume({ name: oldest?.name ?? "" })).toMatchObject({ outcome: "resumed", newer: 2 });
    expect(await store.resume()).toMatchObject({ outcome: "resumed", newer: 0 });
  });

  it("saves although its own earlier save is uncertain", async () => {
    const place = await make();
    let failures = 1;
    const backend = changed(place.backend, {
      stage: async (unit, options) => {
        const stage = await place.backend.stage(unit, options);
        return {
          unit,
          scratch: () => stage.scratch(),
          write: (path, source) => stage.write(path, source),
          abandon: () => stage.abandon(),
          async publish(path, source) {
            await stage.publish(path, source);
            const { SnapshotError } = await import("snapkeep");
            if (failures-- > 0) throw new SnapshotError("COMMIT_UNCERTAIN", "Cannot sync", { uri: unit });
          },
        };
      },
    });
    const store = placeOn(backend, place.layout).store({ startFresh: false }).register("cell", new Cell(1));
    expect(await rejection(store.saveState())).toMatchObject({ code: "COMMIT_UNCERTAIN" });
    await store.saveState();
    expect(await store.list()).toHaveLength(2);
  });

  describe("and registers a state late", () => {
    async function late(formerly: readonly string[] = []) {
      const place = await make();
      const [a, b] = [new Cell("a"), new Cell("b")];
      await place.store().register("a", a).register("b", b).saveState();
      const store = place.store({ startFresh: false }).register("a", new Cell(0));
      await store.resume();
      const cell = new Cell(0);
      store.register(formerly.length > 0 ? "c" : "b", cell, { formerly });
      return { store, cell };
    }

    it.each([[[]], [["b"]]])("refuses to save it as STATE_NOT_LOADED (former names %j)", async (formerly) => {
      const { store, cell } = await late(formerly);
      const [name] = store.stateNames.slice(1);
      const error = await rejection(store.saveState());
      expect(error).toMatchObject({ code: "STATE_NOT_LOADED", details: { states: [name] } });
      expect(cell.saves).toBe(0);
      await store.loadState((await store.latest()) ?? "", { only: [name ?? ""] });
      expect(cell.value).toBe("b");
      await store.saveState();
    });

    it("saves when it was unregistered, or after startFresh()", async () => {
      const { store } = await late();
      store.unregister("b");
      await store.saveState();
      store.register("b", new Cell(0));
      expect(await rejection(store.saveState())).toMatchObject({ code: "STATE_NOT_LOADED" });
      store.startFresh();
      await store.saveState();
    });

    it("saves a state that the snapshot does not hold, and one that only or allowMissing left out", async () => {
      const place = await make();
      await place.store().register("a", new Cell("a")).register("b", new Cell("b")).saveState();
      const store = place.store({ startFresh: false }).register("a", new Cell(0)).register("b", new Cell(0));
      store.register("c", new Cell(0));
      await store.resume({ only: ["a"] });
      await store.saveState();
      await store.resume({ allowMissing: true });
      store.register("d", new Cell(0));
      await store.saveState();
    });
  });
});

describe.each(places)("whose snapshots ($layout, $backend)", ({ make }) => {
  it("records program and run in the manifest", async () => {
    const place = await make();
    const store = place.store({ program: ["trader", "trader-2"], run: "run 1" });
    expect(await (await store.saveState()).manifest()).toMatchObject({ program: "trader", run: "run 1" });
    const [one, two] = [place.store().run, place.store().run];
    expect([one.length > 0, one === two]).toEqual([true, false]);
    const unnamed = await (await place.store().saveState()).manifest();
    expect(["program" in unnamed, typeof unnamed.run]).toEqual([false, "string"]);
  });

  it.each([[""], ["a\nb"], ["\u202e"], [[]], [["ok", "\0"]], [7]])("refuses the program %j", async (program) => {
    const place = await make();
    expect(() => place.store({ program: program as string })).toThrow(TypeError);
    if (!Array.isArray(program)) expect(() => place.store({ run: program as string })).toThrow(TypeError);
  });

  it("refuses to resume from another program's snapshot, under that code, and not to load it by address", async () => {
    const place = await make();
    const theirs = await place.store({ program: "bot" }).register("cell", new Cell(1)).saveState();
    const cell = new Cell(0);
    const store = place.store({ program: "trader", startFresh: false }).register("cell", cell);
    const error = await rejection(store.resume());
    expect(error).toMatchObject({ code: "PROGRAM_MISMATCH", details: { expected: ["trader"], found: "bot" } });
    expect(String(error)).toMatch(/"bot".*"trader".*one folder per program/);
    expect(cell.loads).toBe(0);
    await store.loadState(theirs);
    expect(cell.value).toBe(1);
  });

  it("accepts its other names, snapshots without a name, and everything where it has none itself", async () => {
    const place = await make();
    await place.store({ program: "old name" }).register("cell", new Cell(1)).saveState();
    const resumed = async (program: string[] | undefined) =>
      (await place.store(program ? { program } : {}).register("cell", new Cell(0)).resume()).outcome;
    expect(await resumed(["new name", "old name"])).toBe("resumed");
    expect(await resumed(undefined)).toBe("resumed");
    await place.store().register("cell", new Cell(1)).saveState();
    expect(await resumed(["other"])).toBe("resumed");
  });

  it("removes nothing when a cleanup meets a snapshot of another program", async () => {
    const place = await make();
    const ours = place.store({ program: "trader" }).register("cell", new Cell(1));
    await ours.saveState();
    await place.store({ program: "bot" }).register("cell", new Cell(1)).saveState();
    await ours.saveState();
    await ours.saveState();
    for (const keeper of [new LatestStatesKeeper(ours, 1), new LatestStatesKeeper(ours, 0)]) {
      expect(await rejection(keeper.cleanup())).toMatchObject({ code: "PROGRAM_MISMATCH" });
    }
    expect(await ours.list()).toHaveLength(4);
    expect(await new LatestStatesKeeper(place.store(), 1).cleanup()).toHaveLength(3);
  });

  describe("when another run saves there", () => {
    async function two(options: ConstructorParameters<typeof StateStore>[1] = {}) {
      const place = await make();
      const logs = await collectLogs();
      const mine = place.store({ run: "mine", startFresh: false, ...options }).register("cell", new Cell(1));
      await mine.resume();
      const theirs = place.store({ run: "theirs" }).register("cell", new Cell(2));
      const warnings = () => logs.of("warning").filter((text) => text.includes('this run, "mine"'));
      return { place, mine, theirs, warnings };
    }

    it("warns once, with both runs", async () => {
      const { mine, theirs, warnings } = await two();
      await mine.saveState();
      expect(warnings()).toEqual([]);
      await theirs.saveState();
      await mine.saveState();
      expect(warnings()).toEqual([expect.stringMatching(/"theirs".*"mine"/)]);
      await theirs.saveState();
      await mine.saveState();
      expect(warnings()).toHaveLength(1);
    });

    it("refuses the save with exclusive, until resume() or startFresh()", async () => {
      const { mine, theirs, warnings } = await two({ exclusive: true });
      await mine.saveState();
      for (const way of [() => mine.resume(), () => Promise.resolve(mine.startFresh())]) {
        const stranger = await theirs.saveState();
        for (let attempt = 0; attempt < 2; attempt++) {
          expect(await rejection(mine.saveState())).toMatchObject({
            code: "STORE_SHARED",
            details: { snapshot: stranger.name, run: "mine", otherRun: "theirs" },
          });
        }
        await way();
        await mine.saveState();
      }
      expect(warnings()).toEqual([]);
    });

    it("counts what came between the load and the first save, and not what was there before", async () => {
      const place = await make();
      await place.store({ run: "earlier" }).register("cell", new Cell(2)).saveState();
      const mine = place.store({ startFresh: false, exclusive: true }).register("cell", new Cell(1));
      await mine.loadState((await mine.latest()) ?? "");
      await mine.saveState();
      await mine.loadState((await mine.list())[0] ?? "");
      await mine.saveState();
      await mine.loadState((await mine.list())[0] ?? "");
      await place.store({ run: "theirs" }).register("cell", new Cell(2)).saveState();
      expect(await rejection(mine.saveState())).toMatchObject({ code: "STORE_SHARED" });
    });

    it("says nothing of a second store with the same run, of its own imports, and of what has gone", async () => {
      const { place, mine, theirs, warnings } = await two({ exclusive: true });
      await mine.saveState();
      await place.store({ run: "mine" }).register("cell", new Cell(3)).saveState();
      await mine.saveState();
      const elsewhere = new StateStore(memoryBackend(), { now: () => Date.now() + 3_600_000, run: "far" });
      await mine.importSnapshot(await elsewhere.saveState());
      await mine.saveState();
      await (await theirs.saveState()).remove();
      await mine.saveState();
      expect(warnings()).toEqual([]);
    });
  });
});
