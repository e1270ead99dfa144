// pamiq-core's keeper: the latest N, found without a list, foreign folders only with an option.
import { mkdir, readdir, readFile, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { LatestStatesKeeper, memoryBackend, PeriodicSaveCondition, type SnapshotLocator, StateStore } from "snapkeep";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { collectLogs } from "../store/logs.ts";
import { changed, filePlaces, placeOn, places, temporaryFolder } from "../store/places.ts";
import { Cell, rejection } from "../store/states.ts";

const names = (locators: readonly SnapshotLocator[]) => locators.map(({ name }) => name);

async function saveMany(store: StateStore, count: number): Promise<string[]> {
  const saved = [];
  for (let index = 0; index < count; index++) saved.push((await store.saveState()).name);
  return saved;
}

describe.each(places)("LatestStatesKeeper ($layout, $backend)", ({ make, layout }) => {
  it("keeps the latest and removes the others, oldest first", async () => {
    const store = (await make()).store();
    const saved = await saveMany(store, 5);
    const keeper = new LatestStatesKeeper(store, 2);
    expect(names(await keeper.cleanup())).toEqual(saved.slice(0, 3));
    expect(names(await store.list())).toEqual(saved.slice(3));
    expect(await keeper.cleanup()).toEqual([]);
  });

  it("keeps as many as maxKeep says, over any course of saves and cleanups", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(3), fc.array(fc.boolean(), { maxLength: 8 }), async (maxKeep, steps) => {
        const place = placeOn(memoryBackend(), layout);
        const store = place.store();
        const keeper = new LatestStatesKeeper(store, maxKeep);
        let model: string[] = [];
        for (const isSave of steps) {
          if (isSave) {
            const snapshot = await store.saveState();
            keeper.append(snapshot);
            model.push(snapshot.name);
          } else {
            const kept = maxKeep === 0 ? [] : model.slice(-maxKeep);
            expect(names(await keeper.cleanup())).toEqual(model.filter((name) => !kept.includes(name)));
            model = kept;
          }
        }
        expect(names(await store.list())).toEqual(model);
      }),
      { numRuns: 25 },
    );
  });

  it("with a maximum of 0 keeps none", async () => {
    const store = (await make()).store();
    const saved = await saveMany(store, 2);
    expect(names(await new LatestStatesKeeper(store, 0).cleanup())).toEqual(saved);
    expect(await store.list()).toEqual([]);
  });

  it("with a maximum of 1 keeps the newest", async () => {
    const store = (await make()).store();
    const saved = await saveMany(store, 2);
    await new LatestStatesKeeper(store, 1).cleanup();
    expect(names(await store.list())).toEqual(saved.slice(1));
  });

  it("removes nothing as long as there are not more than the maximum", async () => {
    const store = (await make()).store();
    const keeper = new LatestStatesKeeper(store, 3);
    expect(await keeper.cleanup()).toEqual([]);
    await saveMany(store, 3);
    expect(await keeper.cleanup()).toEqual([]);
  });

  it.each([-1, 1.5, NaN, Infinity, 2 ** 53])("refuses a maximum of %d as a RangeError", async (maxKeep) => {
    const { backend } = await make();
    expect(() => new LatestStatesKeeper(backend, maxKeep)).toThrow(RangeError);
  });

  it("finds the snapshots of earlier runs and of other programs by itself", async () => {
    const place = await make();
    const [first] = await saveMany(place.store(), 1);
    const keeper = new LatestStatesKeeper(place.backend, 2);
    await keeper.cleanup();
    const others = await saveMany(place.store(), 2);
    expect(names(await keeper.cleanup())).toEqual([first]);
    expect(names(await place.store().list())).toEqual(others);
  });

  it("orders by name, so that a clock set back changes nothing", async () => {
    const place = await make();
    let nowMs = Date.parse("2026-01-01T00:00:00Z");
    const store = place.store({ now: () => nowMs });
    const saved = await saveMany(store, 2);
    nowMs = 0;
    saved.push(...await saveMany(store, 2));
    expect(names(await new LatestStatesKeeper(store, 2).cleanup())).toEqual(saved.slice(0, 2));
  });

  it("counts and removes only names that match its pattern", async () => {
    const place = await make();
    const stateNameFormat = "%Y-%m-%d_%H.%M%%%S,%f";
    const formats = { a: `a-${stateNameFormat}.state`, b: `b-${stateNameFormat}.state` };
    const stores = { a: place.store({ stateNameFormat: formats.a }), b: place.store({ stateNameFormat: formats.b }) };
    const saved = { a: await saveMany(stores.a, 3), b: await saveMany(stores.b, 3) };
    expect(names(await new LatestStatesKeeper(stores.a, 1, "b-*").cleanup())).toEqual([]);
    expect(names(await new LatestStatesKeeper(stores.a, 1, "{a,b}-*.state").cleanup())).toEqual(saved.a.slice(0, 2));
    expect(names(await new LatestStatesKeeper(stores.b, 1, "b-????-*").cleanup())).toEqual(saved.b.slice(0, 2));
  });

  it("counts all of its store without a pattern, and warns where its pattern matches none", async () => {
    const logs = await collectLogs();
    const store = (await make()).store({ stateNameFormat: "%Y-%m-%d_%H-%M-%S,%f" }).register("cell", new Cell(1));
    const saved = await saveMany(store, 3);
    expect(await new LatestStatesKeeper(store, 1, "*.state").cleanup()).toEqual([]);
    expect(logs.of("warning")).toEqual([
      "LatestStatesKeeper: None of 3 snapshots matches '*.state'; no cleanup removes them",
    ]);
    expect(names(await new LatestStatesKeeper(store, 1).cleanup())).toEqual(saved.slice(0, 2));
  });

  it("matches names without the suffix of archives, so that one pattern finds both layouts", async () => {
    const place = await make();
    const store = place.store();
    const saved = [
      (await store.saveState({ layout: "tar.gz" })).name,
      (await store.saveState({ layout: "directory" })).name,
      (await store.saveState({ layout: "tar.gz" })).name,
    ];
    expect(names(await new LatestStatesKeeper(store, 1, "*.state").cleanup())).toEqual(saved.slice(0, 2));
    expect(await new LatestStatesKeeper(store, 0, "*.tar.gz").cleanup()).toEqual([]);
  });

  it("never removes a keepsake it was not given, and warns once that it keeps it", async () => {
    const logs = await collectLogs();
    const place = await make();
    const newStore = (options = {}) => place.store(options).register("cell", new Cell(1));
    const keepsake = await newStore({ stateNameFormat: "best-%Y-%m-%d.state" }).saveState();
    await saveMany(newStore(), 2);
    const keeper = new LatestStatesKeeper(place.store(), 0);
    expect(await keeper.cleanup()).toHaveLength(2);
    await keeper.cleanup();
    expect(await keepsake.exists()).toBe(true);
    const warnings = logs.of("warning");
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/^LatestStatesKeeper: 1 snapshots match '\*\.state' .*best-/);
  });

  it("warns of nothing where all names are the store's own", async () => {
    const logs = await collectLogs();
    const store = (await make()).store().register("cell", new Cell(1));
    await saveMany(store, 2);
    await new LatestStatesKeeper(store, 1).cleanup();
    expect(logs.of("warning")).toEqual([]);
  });

  it("logs each removal as Removed: '...'", async () => {
    const logs = await collectLogs();
    const store = (await make()).store();
    await saveMany(store, 2);
    const [removed] = await new LatestStatesKeeper(store, 1).cleanup();
    expect(logs.of("info").at(-1)).toBe(`LatestStatesKeeper: Removed: '${String(removed)}'`);
  });

  it("skips snapshots that another program removed at the same time", async () => {
    const place = await make();
    const saved = await saveMany(place.store(), 4);
    const keepers = [1, 2].map(() => new LatestStatesKeeper(place.store(), 1));
    const removed = (await Promise.all(keepers.map((keeper) => keeper.cleanup()))).flat();
    expect(names(removed).sort()).toEqual(saved.slice(0, 3));
    expect(names(await place.store().list())).toEqual(saved.slice(3));
  });

  it("fails as CLEANUP_FAILED when a removal fails, having removed the others", async () => {
    const place = await make();
    const saved = await saveMany(place.store(), 4);
    const backend = changed(place.backend, {
      remove: (unit) =>
        unit.startsWith(saved[0] ?? "") ? Promise.reject(new Error("busy")) : place.backend.remove(unit),
    });
    const error = await rejection(new LatestStatesKeeper(backend, 1).cleanup());
    expect(error).toMatchObject({ code: "CLEANUP_FAILED", cause: expect.any(AggregateError) });
    expect(names(await place.store().list())).toEqual([saved[0], saved[3]]);
  });

  it("works with a save condition as pamiq-core's program does", async () => {
    let nowMs = 0;
    const store = (await make()).store({ now: () => nowMs }).register("cell", new Cell(1));
    const condition = new PeriodicSaveCondition(10, { now: () => nowMs });
    const keeper = new LatestStatesKeeper(store, 2);
    const saved: string[] = [];
    for (let second = 0; second < 60; second++) {
      nowMs += 1000;
      if (!condition.check()) continue;
      const snapshot = await store.saveState();
      saved.push(snapshot.name);
      keeper.append(snapshot);
      await keeper.cleanup();
    }
    expect(saved).toHaveLength(5);
    expect(names(await store.list())).toEqual(saved.slice(-2));
  });
});

describe.each(filePlaces)("LatestStatesKeeper on disk ($layout)", ({ layout }) => {
  it("makes a missing folder, with a warning, when it first looks", async () => {
    const logs = await collectLogs();
    const folder = path.join(await temporaryFolder(), "a", "states");
    const keeper = new LatestStatesKeeper(folder, 3);
    expect(await stat(folder).catch(() => "missing")).toBe("missing");
    expect(await keeper.cleanup()).toEqual([]);
    expect((await stat(folder)).isDirectory()).toBe(true);
    expect(logs.of("warning")).toEqual([
      expect.stringMatching(/^LatestStatesKeeper: '.*states' did not exist and was made$/),
    ]);
    await keeper.cleanup();
    expect(logs.of("warning")).toHaveLength(1);
  });

  it("takes a path or a file: URL as pamiq-core takes a path", async () => {
    const folder = path.join(await temporaryFolder(), "states");
    const saved = await saveMany(new StateStore(folder, { layout, durability: "none" }), 3);
    expect(names(await new LatestStatesKeeper(pathToFileURL(folder), 2).cleanup())).toEqual(saved.slice(0, 1));
    expect(names(await new LatestStatesKeeper(folder, 1).cleanup())).toEqual(saved.slice(1, 2));
  });

  describe("beside foreign folders, such as pamiq-core's own", () => {
    const foreignNames = ["2024-01-01", "2024-01-02", "2024-01-03"].map((day) => `${day}_00-00-00,000000.state`);

    async function withForeign(folderNames: readonly string[], mtimes: readonly number[] = []) {
      const folder = path.join(await temporaryFolder(), "states");
      const store = new StateStore(folder, { layout, durability: "none" });
      for (const [index, name] of folderNames.entries()) {
        await mkdir(path.join(folder, name), { recursive: true });
        await writeFile(path.join(folder, name, "model.pt"), "theirs");
        const seconds = mtimes[index];
        if (seconds !== undefined) await utimes(path.join(folder, name), seconds, seconds);
      }
      return { folder, store };
    }

    it("neither lists, counts nor removes them unless foreign is true", async () => {
      const { folder, store } = await withForeign(foreignNames);
      const saved = await saveMany(store, 2);
      expect(names(await new LatestStatesKeeper(store, 1).cleanup())).toEqual(saved.slice(0, 1));
      expect(await new LatestStatesKeeper(store, 0).cleanup()).toHaveLength(1);
      expect((await readdir(folder)).sort()).toEqual(foreignNames);
    });

    it("with { foreign: true } keeps the latest of them too, counted apart, by name", async () => {
      const { folder, store } = await withForeign(foreignNames, [3000, 2000, 1000]); // times that mislead
      const saved = await saveMany(store, 3);
      const removed = await new LatestStatesKeeper(store, 2, "*.state", { foreign: true }).cleanup();
      expect(names(removed)).toEqual([foreignNames[0], saved[0]]);
      expect(String(removed[0])).toBe(path.join(folder, foreignNames[0] ?? ""));
      expect((await readdir(folder)).sort().map((name) => name.replace(/\.tar\.gz$/, ""))).toEqual([
        ...foreignNames.slice(1),
        ...saved.slice(1),
      ]);
    });

    it("orders them by modification time where a name tells no time", async () => {
      const folderNames = ["c.state", "a.state", "b.state"];
      const { folder, store } = await withForeign(folderNames, [1000, 2000, 3000]);
      await new LatestStatesKeeper(store, 2, "*.state", { foreign: true }).cleanup();
      expect((await readdir(folder)).sort()).toEqual(["a.state", "b.state"]);
    });

    it("orders them all by modification time as soon as one name tells no time, so that the order is one", async () => {
      // By name 01 < 02, by time 02 < odd < 01: together these would go round in a circle.
      const folderNames = [foreignNames[0] ?? "", foreignNames[1] ?? "", "odd.state"];
      const { folder, store } = await withForeign(folderNames, [3000, 1000, 2000]);
      await new LatestStatesKeeper(store, 1, "*.state", { foreign: true }).cleanup();
      expect(await readdir(folder)).toEqual([foreignNames[0]]);
    });

    it("keeps one whose name is not portable, with a warning, and goes on", async () => {
      const logs = await collectLogs();
      const { folder, store } = await withForeign([...foreignNames, "a:b.state"]);
      await new LatestStatesKeeper(store, 0, "*.state", { foreign: true }).cleanup();
      expect(await readdir(folder)).toEqual(["a:b.state"]);
      expect(logs.of("warning").join()).toMatch(/'a:b\.state' is kept: /);
    });

    it("touches of them only folders that match the pattern", async () => {
      const { folder, store } = await withForeign([...foreignNames, "unrelated", ".git"]);
      await writeFile(path.join(folder, "note.state"), "a file");
      await new LatestStatesKeeper(store, 0, "*.state", { foreign: true }).cleanup();
      expect((await readdir(folder)).sort()).toEqual([".git", "note.state", "unrelated"]);
    });

    it("lets go what it took for foreign, once it is a snapshot: an unfinished copy", async () => {
      const { folder, store } = await withForeign([]);
      const origin = new StateStore(memoryBackend(), {
        layout: "directory",
        now: () => Date.parse("2024-01-01T00:00:00Z"),
      });
      const copied = await (await origin.saveState()).exportTo(`${folder}/`, { layout: "directory" });
      const manifest = path.join(String(copied), "manifest.json");
      const bytes = await readFile(manifest);
      await rm(manifest);
      await writeFile(path.join(String(copied), "arriving"), "x");
      const [newest] = await saveMany(store, 1);
      let isBusy = true;
      const { foreign } = store.backend;
      if (foreign === undefined) throw new Error("no foreign folders");
      const backend = changed(store.backend, {
        foreign: {
          list: () => foreign.list(),
          remove: (name) => isBusy ? Promise.reject(new Error("busy")) : foreign.remove(name),
        },
      });
      const keeper = new LatestStatesKeeper(placeOn(backend, layout).store(), 1, "*.state", { foreign: true });
      // It selects none of one. With another foreign folder it selects the older, which is busy.
      await mkdir(path.join(folder, foreignNames[2] ?? ""));
      expect(await rejection(keeper.cleanup())).toMatchObject({ code: "CLEANUP_FAILED" });
      isBusy = false;
      await writeFile(manifest, bytes);
      expect(names(await keeper.cleanup())).toEqual([copied.name]);
      expect(names(await store.list())).toEqual([newest]);
    });

    it("refuses { foreign: true } as a TypeError where there can be none", () => {
      expect(() => new LatestStatesKeeper(memoryBackend(), 1, "*.state", { foreign: true })).toThrow(TypeError);
    });

    it("never follows a link to a folder elsewhere", async () => {
      const { folder, store } = await withForeign(foreignNames);
      const elsewhere = await temporaryFolder();
      await writeFile(path.join(elsewhere, "precious"), "x");
      await symlink(elsewhere, path.join(folder, "2024-01-04_00-00-00,000000.state"));
      await new LatestStatesKeeper(store, 0, "*.state", { foreign: true }).cleanup();
      expect(await readdir(elsewhere)).toEqual(["precious"]);
    });
  });
});
