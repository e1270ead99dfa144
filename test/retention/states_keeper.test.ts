// Retention carried out: what a keeper selects goes, behind guards, with failures apart from each other.
import { memoryBackend, type SnapshotLocator, StatesKeeper, StateStore } from "snapkeep";
import { describe, expect, it } from "vitest";
import { altered, damages } from "../store/altered.ts";
import { collectLogs } from "../store/logs.ts";
import { changed, placeOn, places } from "../store/places.ts";
import { Cell, Files, rejection } from "../store/states.ts";

/** Selects the given names. */
class Keeper extends StatesKeeper {
  select: (snapshots: SnapshotLocator[]) => readonly SnapshotLocator[] | Promise<readonly SnapshotLocator[]> = (all) =>
    all;
  seen: string[] = [];

  protected override async selectRemovalStates(): Promise<readonly SnapshotLocator[]> {
    const snapshots = await this.snapshots();
    this.seen = snapshots.map(({ name }) => name);
    return await this.select(snapshots);
  }
}

async function saveMany(store: StateStore, count: number): Promise<SnapshotLocator[]> {
  const saved = [];
  for (let index = 0; index < count; index++) saved.push(await store.saveState());
  return saved;
}

const names = (locators: readonly SnapshotLocator[]) => locators.map(({ name }) => name);

describe.each(places)("StatesKeeper ($layout, $backend)", ({ make, layout }) => {
  it("removes what is selected, returns it oldest first, and leaves the rest whole", async () => {
    const place = await make();
    const store = place.store().register("a", new Cell(1));
    const saved = await saveMany(store, 5);
    const keeper = new Keeper(store);
    keeper.select = (all) => [all[3], all[0], all[2]].filter((locator) => locator !== undefined);
    expect(names(await keeper.cleanup())).toEqual([saved[0], saved[2], saved[3]].map((locator) => locator?.name));
    expect(names(await store.list())).toEqual([saved[1], saved[4]].map((locator) => locator?.name));
    for (const locator of await store.list()) expect((await locator.verify()).isWhole).toBe(true);
    if (place.folder !== undefined) expect(await place.files()).toHaveLength(2);
  });

  it("decides over all that the store lists, oldest first, without anything being appended", async () => {
    const place = await make();
    const saved = await saveMany(place.store(), 3);
    const keeper = new Keeper(place.store()); // another run of the program
    keeper.select = () => [];
    expect(await keeper.cleanup()).toEqual([]);
    expect(keeper.seen).toEqual(names(saved));
  });

  it("spares what is pinned in two layouts also where the one that is read first has gone meanwhile", async () => {
    const { backend, folder, ...place } = await make();
    if (folder === undefined) return;
    const store = place.store().register("a", new Cell(1));
    const [pinned] = await saveMany(store, 2);
    await pinned?.exportTo(`${folder}/`, { layout: layout !== "directory" ? "directory" : "tar.gz" });
    await pinned?.pin();
    const keeper = new Keeper(backend);
    keeper.select = async (all) => {
      await all[0]?.alternatives()[0]?.remove();
      return all;
    };
    expect(await keeper.cleanup()).toEqual([]);
    expect(await (await store.snapshot(pinned?.name ?? ""))?.labels()).toEqual({ pinned: true });
  });

  it("never removes the newest, whatever is selected", async () => {
    const store = (await make()).store();
    const saved = await saveMany(store, 3);
    expect(names(await new Keeper(store).cleanup())).toEqual(names(saved.slice(0, 2)));
    expect(await new Keeper(store).cleanup()).toEqual([]);
    expect(names(await store.list())).toEqual(names(saved.slice(2)));
  });

  it("never removes the newest whole one in favour of damaged newer ones, which it spares too", async () => {
    const place = await make();
    const saved = await saveMany(place.store(), 4);
    const [damage = () => undefined] = Object.values(damages[layout]);
    const alterations = Object.fromEntries(saved.slice(2).map(({ name }) => [name, damage]));
    const keeper = new Keeper(new StateStore(altered(place.backend, alterations), { layout }));
    expect(names(await keeper.cleanup())).toEqual(names(saved.slice(0, 1)));
    expect(names(await place.store().list())).toEqual(names(saved.slice(1)));
    expect(await keeper.cleanup()).toEqual([]);
  });

  it("removes nothing where it is unknown whether the newest is complete", async () => {
    const place = await make();
    const saved = await saveMany(place.store(), 3);
    const newest = saved[2]?.name ?? "";
    const backend = changed(place.backend, {
      open: (unit, blobPath) =>
        unit.startsWith(newest) ? Promise.reject(new Error("out of reach")) : place.backend.open(unit, blobPath),
    });
    expect(String(await rejection(new Keeper(new StateStore(backend)).cleanup()))).toMatch(/out of reach/);
    expect(names(await place.store().list())).toEqual(names(saved));
  });

  it("opens nothing where nothing is selected", async () => {
    const place = await make();
    await saveMany(place.store(), 3);
    const backend = changed(place.backend, { open: () => Promise.reject(new Error("opened")) });
    const keeper = new Keeper(new StateStore(backend));
    keeper.select = () => [];
    expect(await keeper.cleanup()).toEqual([]);
  });

  it("skips what has gone meanwhile, and what is selected twice", async () => {
    const store = (await make()).store();
    const saved = await saveMany(store, 4);
    const keeper = new Keeper(store);
    keeper.select = async (all) => {
      await all[0]?.remove();
      return [...all.slice(0, 2), ...all.slice(0, 2)];
    };
    expect(names(await keeper.cleanup())).toEqual(names(saved.slice(1, 2)));
  });

  it("logs each removal as Removed: '...', in the category of its own class", async () => {
    const logs = await collectLogs();
    const store = (await make()).store();
    const saved = await saveMany(store, 3);
    await new Keeper(store).cleanup();
    expect(logs.of("info").filter((text) => text.includes("Removed"))).toEqual(
      saved.slice(0, 2).map((locator) => `Keeper: Removed: '${String(locator)}'`),
    );
    expect(logs.records.find(({ message }) => message.join("").includes("Removed"))?.category).toEqual([
      "snapkeep",
      "Keeper",
    ]);
  });

  it("tries all when some removals fail, then fails as CLEANUP_FAILED and tells both", async () => {
    const logs = await collectLogs();
    const place = await make();
    const saved = await saveMany(place.store(), 5);
    const stubborn = [saved[0]?.name ?? "", saved[2]?.name ?? ""];
    const backend = changed(place.backend, {
      remove: async (unit) => {
        if (stubborn.some((name) => unit.startsWith(name))) throw new Error(`busy ${unit}`);
        return await place.backend.remove(unit);
      },
    });
    const error = await rejection(new Keeper(placeOn(backend, layout).store()).cleanup());
    expect(error).toMatchObject({
      code: "CLEANUP_FAILED",
      details: { removed: [saved[1], saved[3]].map(String), failed: [saved[0], saved[2]].map(String) },
    });
    const { cause } = error as Error;
    expect(cause).toBeInstanceOf(AggregateError);
    expect((cause as AggregateError).errors.map(String)).toEqual([
      expect.stringMatching(/busy/),
      expect.stringMatching(/busy/),
    ]);
    expect(names(await place.store().list())).toEqual([...stubborn, saved[4]?.name]);
    expect(logs.of("error").filter((text) => text.startsWith("Keeper: Cannot remove"))).toHaveLength(2);
  });

  it("fails as CLEANUP_FAILED where one cannot be looked at for its pin, and removes the others", async () => {
    const place = await make();
    const saved = await saveMany(place.store(), 3);
    const backend = changed(place.backend, {
      open: (unit, blobPath) =>
        unit.startsWith(saved[0]?.name ?? "")
          ? Promise.reject(new Error("out of reach"))
          : place.backend.open(unit, blobPath),
    });
    expect(await rejection(new Keeper(placeOn(backend, layout).store()).cleanup())).toMatchObject({
      code: "CLEANUP_FAILED",
      message: expect.stringMatching(/out of reach/),
      details: { removed: [String(saved[1])], failed: [String(saved[0])] },
    });
    expect(names(await place.store().list())).toEqual([saved[0]?.name, saved[2]?.name]);
  });

  it("finishes the next time what failed before", async () => {
    const place = await make();
    const saved = await saveMany(place.store(), 3);
    let isBusy = true;
    const backend = changed(place.backend, {
      remove: (unit) => isBusy ? Promise.reject(new Error("busy")) : place.backend.remove(unit),
    });
    const keeper = new Keeper(placeOn(backend, layout).store());
    await rejection(keeper.cleanup());
    isBusy = false;
    expect(names(await keeper.cleanup())).toEqual(names(saved.slice(0, 2)));
  });

  it("passes on the failure of its own selection, and removes nothing", async () => {
    const store = (await make()).store();
    await saveMany(store, 2);
    const failure = new Error("cannot decide");
    const keeper = new Keeper(store);
    keeper.select = () => Promise.reject(failure);
    expect(await rejection(keeper.cleanup())).toBe(failure);
    expect(await store.list()).toHaveLength(2);
  });

  it("may decide by size, as a subclass of a program would", async () => {
    class SizeKeeper extends StatesKeeper {
      protected override async selectRemovalStates() {
        let roomBytes = 2500;
        const removals: SnapshotLocator[] = [];
        for (const snapshot of (await this.snapshots()).reverse()) {
          roomBytes -= (await snapshot.stat()).sizeBytes;
          if (roomBytes < 0) removals.push(snapshot);
        }
        return removals;
      }
    }
    const store = (await make()).store().register("a", new Files({ x: new Uint8Array(1000) }));
    const saved = await saveMany(store, 5);
    expect(names(await new SizeKeeper(store).cleanup())).toEqual(names(saved.slice(0, 3)));
  });

  describe("append", () => {
    it("entrusts a keepsake, which is then kept and removed like any other", async () => {
      const place = await make();
      const keepsake = await place.store({ stateNameFormat: "0best-%Y-%m-%d" }).saveState();
      const store = place.store();
      const [snapshot] = await saveMany(store, 1);
      const keeper = new Keeper(store);
      expect(await keeper.cleanup()).toEqual([]);
      expect(await keepsake.exists()).toBe(true);
      keeper.append(keepsake);
      expect(names(await keeper.cleanup())).toEqual([keepsake.name]);
      expect(keeper.seen).toEqual([keepsake.name, snapshot?.name]);
      expect(await keepsake.exists()).toBe(false);
      await keeper.cleanup();
      expect(keeper.seen).toEqual([snapshot?.name]);
    });

    it("of a keepsake whose name comes last does not cost the newest snapshot its guard", async () => {
      const place = await make();
      const keepsake = await place.store({ stateNameFormat: "zbest-%Y-%m-%d" }).saveState();
      const store = place.store();
      const saved = await saveMany(store, 2);
      const keeper = new Keeper(store);
      keeper.append(keepsake);
      expect(names(await keeper.cleanup())).toEqual([saved[0]?.name, keepsake.name]);
      expect(names(await store.list())).toEqual([saved[1]?.name]);
    });

    it("of a keepsake that is all there is guards it", async () => {
      const place = await make();
      const keepsake = await place.store({ stateNameFormat: "best-%Y-%m-%d" }).saveState();
      const keeper = new Keeper(place.store());
      keeper.append(keepsake);
      expect(await keeper.cleanup()).toEqual([]);
    });

    it("of what the store lists anyway counts it once", async () => {
      const store = (await make()).store();
      const saved = await saveMany(store, 3);
      const keeper = new Keeper(store);
      for (const locator of [...saved, ...saved]) keeper.append(locator);
      keeper.select = () => [];
      await keeper.cleanup();
      expect(keeper.seen).toEqual(names(saved));
    });

    it("refuses a snapshot that lies elsewhere as a TypeError", async () => {
      const elsewhere = await placeOn(memoryBackend()).store().saveState();
      const keeper = new Keeper((await make()).store());
      expect(() => keeper.append(elsewhere)).toThrow(TypeError);
    });
  });

  it("makes a store of its own out of what a store takes", async () => {
    const place = await make();
    const saved = await saveMany(place.store({ stateNameFormat: "%Y-%m-%d_%H-%M-%S.run" }), 2);
    expect(names(await new Keeper(place.backend, { stateNameFormat: "%Y-%m-%d_%H-%M-%S.run" }).cleanup())).toEqual(
      names(saved.slice(0, 1)),
    );
    if (place.folder === undefined) return;
    expect(names(await new Keeper(place.folder).cleanup())).toEqual([]);
  });

  it("sees no snapshot that is still being saved", async () => {
    const place = await make();
    const store = place.store();
    const saved = await saveMany(store, 2);
    let cleaned: SnapshotLocator[] = [];
    const keeper = new Keeper(place.store());
    store.register("a", {
      async saveState(out) {
        cleaned = await keeper.cleanup();
        await out.write("x", "1");
      },
      loadState() {},
    });
    const third = await store.saveState();
    expect(names(cleaned)).toEqual(names(saved.slice(0, 1)));
    expect(keeper.seen).toEqual(names(saved));
    expect((await third.verify()).isWhole).toBe(true);
  });
});
