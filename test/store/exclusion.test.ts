// Loads exclude saves, streams and other loads of the same store; everything else goes on.
import { describe, expect, it } from "vitest";
import { LatestStatesKeeper, locate, memoryBackend, type PersistentState, StateStore } from "snapkeep";
import { StateAccess, type Turn } from "../../src/store/state_access.ts";
import { changed, placeOn, places } from "./places.ts";
import { Cell, deferred, rejection, saving, settle } from "./states.ts";
import { all } from "../backend/texts.ts";

/** A state that stops in the middle of its load until it is let go on. */
function slow(cell: Cell) {
  const begun = deferred();
  const goOn = deferred();
  const state: PersistentState = {
    saveState: (out) => cell.saveState(out),
    async loadState(from) {
      begun.resolve();
      await goOn.promise;
      await cell.loadState(from);
    },
  };
  return { state, begun: begun.promise, goOn: goOn.resolve };
}

describe.each(places)("StateStore ($layout, $backend)", ({ make }) => {
  /** Two snapshots whose two states have equal values each, and a store with states that are neither. */
  async function twoSnapshots() {
    const place = await make();
    const [a, b] = [new Cell("one"), new Cell("one")];
    const before = place.store().register("a", a).register("b", b);
    const first = await before.saveState();
    [a.value, b.value] = ["two", "two"];
    const second = await before.saveState();
    return { place, first, second };
  }

  it("loads one snapshot after the other when two loads are called at once", async () => {
    const { place, first, second } = await twoSnapshots();
    const log: string[] = [];
    const [a, b] = [new Cell("new", log), new Cell("new", log)];
    const store = place.store().register("a", a).register("b", b);
    await Promise.all([store.loadState(first), store.loadState(second)]);
    expect([a.value, b.value, ...log]).toEqual(["two", "two", "load a", "load b", "load a", "load b"]);
  });

  it("captures a save that is called during a load when the load has ended", async () => {
    const { place, first } = await twoSnapshots();
    const [a, b] = [new Cell("new"), new Cell("new")];
    const { state, begun, goOn } = slow(b);
    const store = place.store().register("a", a).register("b", state);
    const load = store.loadState(first);
    await begun;
    const save = store.saveState();
    await settle();
    expect([a.saves, b.saves]).toEqual([0, 0]);
    goOn();
    await load;
    await using reader = await (await save).open();
    expect([await reader.json("a/value.json"), await reader.json("b/value.json")]).toEqual(["one", "one"]);
  });

  it("makes a save wait when resume() was not awaited", async () => {
    const { place } = await twoSnapshots();
    const cell = new Cell("fresh");
    const store = place.store({ startFresh: false }).register("a", cell).register("b", new Cell("fresh"));
    const resume = store.resume();
    const snapshot = await store.saveState();
    await using reader = await snapshot.open();
    expect(await reader.json("a/value.json")).toBe("two");
    expect((await resume).outcome).toBe("resumed");
  });

  it("begins a load when the running save has captured every state, and before it is published", async () => {
    const { place, first } = await twoSnapshots();
    const publishing = deferred();
    const mayPublish = deferred();
    const backend = changed(place.backend, {
      stage: async (unit, options) => {
        const stage = await place.backend.stage(unit, options);
        return {
          unit,
          scratch: () => stage.scratch(),
          write: (path, source) => stage.write(path, source),
          abandon: () => stage.abandon(),
          async publish(path, source) {
            publishing.resolve();
            await mayPublish.promise;
            await stage.publish(path, source);
          },
        };
      },
    });
    const [a, b] = [new Cell("three"), new Cell("three")];
    const store = placeOn(backend, place.layout).store().register("a", a).register("b", b);
    const save = store.saveState();
    const load = store.loadState(first);
    expect([a.loads, b.loads]).toEqual([0, 0]);
    await publishing.promise;
    if (place.layout === "directory") await load; // an archive is published as it is made
    mayPublish.resolve();
    await Promise.all([save, load]);
    expect([a.value, b.value]).toEqual(["one", "one"]);
    await using reader = await (await save).open();
    expect([await reader.json("a/value.json"), await reader.json("b/value.json")]).toEqual(["three", "three"]);
  });

  it("waits with a load until a slow state has been captured", async () => {
    const { place, first } = await twoSnapshots();
    const goOn = deferred();
    const b = new Cell("three");
    const store = place.store().register("a", new Cell("three")).register("b", {
      async saveState(out) {
        await goOn.promise;
        await b.saveState(out);
      },
      loadState: (from) => b.loadState(from),
    });
    const save = store.saveState();
    const load = store.loadState(first);
    await settle();
    expect(b.loads).toBe(0);
    goOn.resolve();
    await using reader = await (await save).open();
    expect(await reader.json("b/value.json")).toBe("three");
    await load;
    expect(b.value).toBe("one");
  });

  it("calls the states for a stream when the running load has ended, though streamState returns at once", async () => {
    const { place, first } = await twoSnapshots();
    const [a, b] = [new Cell("new"), new Cell("new")];
    const { state, begun, goOn } = slow(b);
    const store = place.store().register("a", a).register("b", state);
    const load = store.loadState(first);
    await begun;
    const { body, name } = store.streamState();
    expect(name).toMatch(/\.state$/);
    await settle();
    expect([a.saves, b.saves]).toEqual([0, 0]);
    goOn();
    await load;
    const [c, d] = [new Cell(0), new Cell(0)];
    await new StateStore(memoryBackend()).register("a", c).register("b", d).loadState(body);
    expect([c.value, d.value]).toEqual(["one", "one"]);
  });

  it("loads its own stream", async () => {
    const { place } = await twoSnapshots();
    const cell = new Cell("mine");
    const store = place.store().register("a", cell);
    await store.loadState(store.streamState().body);
    expect([cell.value, cell.loads]).toEqual(["mine", 1]);
  });

  it("begins a load at once when the body of a stream that held it back is cancelled", async () => {
    const { place, first } = await twoSnapshots();
    const [a, b] = [new Cell("new"), new Cell("new")];
    const store = place.store().register("a", a).register("b", b);
    const { body } = store.streamState();
    const load = store.loadState(first);
    await settle();
    expect(a.loads).toBe(0);
    await body.cancel();
    await load;
    expect([a.value, b.value]).toEqual(["one", "one"]);
  });

  it.each([
    ["its signal has aborted", (store: StateStore) => {
      const abort = new AbortController();
      store.streamState({ signal: abort.signal });
      abort.abort();
    }],
    ["one of its states has failed", (store: StateStore) => {
      store.register("broken", { saveState: () => Promise.reject(new Error("broken")), loadState() {} });
      store.streamState();
      store.unregister("broken");
    }],
  ])("loadState does not wait for an unread stream when %s", async (_, begin) => {
    const { place, first } = await twoSnapshots();
    const [a, b] = [new Cell("new"), new Cell("new")];
    const store = place.store().register("a", a).register("b", b);
    begin(store);
    await store.loadState(first);
    expect([a.value, b.value]).toEqual(["one", "one"]);
  });

  it("never calls a state for a body that is cancelled while a load runs", async () => {
    const { place, first } = await twoSnapshots();
    const b = new Cell("new");
    const { state, begun, goOn } = slow(b);
    const store = place.store().register("b", state);
    const load = store.loadState(first);
    await begun;
    await store.streamState().body.cancel();
    goOn();
    await load;
    await store.saveState();
    expect(b.saves).toBe(1);
  });

  it("ends the wait of a load with the reason of its signal", async () => {
    const { place, first } = await twoSnapshots();
    const goOn = deferred();
    const cell = new Cell(1);
    const store = place.store().register("a", cell).register("slow", saving(() => goOn.promise));
    const save = store.saveState();
    const controller = new AbortController();
    const load = store.loadState(first, { signal: controller.signal, allowMissing: true });
    const resume = store.resume({ signal: controller.signal, allowMissing: true });
    const reason = new Error("no longer wanted");
    controller.abort(reason);
    expect(await rejection(load)).toBe(reason);
    expect(await rejection(resume)).toBe(reason);
    goOn.resolve();
    await save;
    await store.loadState(first, { allowMissing: true });
    expect([cell.value, cell.loads]).toEqual(["one", 1]);
  });

  it("lists, labels, verifies, sweeps, cleans up, imports and exports inside a loadState", async () => {
    const { place, first, second } = await twoSnapshots();
    const elsewhere = await new StateStore(memoryBackend(), { now: () => Date.UTC(2020, 1, 1) }).saveState();
    const store = place.store().register("a", {
      saveState: () => {},
      async loadState() {
        expect(await store.list()).toHaveLength(2);
        await first.label({ step: 1 });
        expect((await all(store.verify())).every(({ isWhole }) => isWhole)).toBe(true);
        await store.sweep();
        await store.importSnapshot(elsewhere);
        await store.importSnapshot(elsewhere.stream()).catch(() => {});
        expect(await new LatestStatesKeeper(store, 1).cleanup()).toHaveLength(1); // not the one that is being loaded
      },
    });
    await store.loadState(first);
    expect((await store.list()).map(String)).toEqual([first, second].map(String));
  });

  describe("called by one of its own states", () => {
    const calls: Record<string, (store: StateStore) => unknown> = {
      "saveState": (store) => store.saveState(),
      "saveState({ ifBusy: skip })": (store) => store.saveState({ ifBusy: "skip" }),
      "streamState": (store) => store.streamState().body,
      "loadState": async (store) => store.loadState((await store.latest()) ?? "none"),
      "resume": (store) => store.resume(),
    };
    const after = (wait: boolean) => wait ? "after an await" : "at once";
    describe.each(Object.entries(calls))("through %s", (_, call) => {
      it.each([false, true])(`is a TypeError in its saveState (after an await: %s)`, async (isLate) => {
        const store: StateStore = (await make()).store();
        let seen: unknown;
        store.register("a", {
          async saveState(out) {
            await out.json("a", 1);
            if (isLate) await settle();
            seen = await Promise.resolve().then(() => call(store)).catch((error: unknown) => error);
          },
          loadState: () => {},
        });
        await store.saveState();
        expect(seen, after(isLate)).toBeInstanceOf(TypeError);
        expect(String(seen)).toContain("its own store");
        await store.saveState();
      });

      it.each([false, true])(`is a TypeError in its loadState (after an await: %s)`, async (isLate) => {
        const store: StateStore = (await make()).store();
        let seen: unknown;
        store.register("a", {
          saveState: (out) => out.json("a", 1),
          async loadState() {
            if (isLate) await settle();
            seen = await Promise.resolve().then(() => call(store)).catch((error: unknown) => error);
          },
        });
        await store.loadState(await store.saveState());
        expect(seen, after(isLate)).toBeInstanceOf(TypeError);
      });

      it.each([false, true])(`is a TypeError when it is rolled back (after an await: %s)`, async (isLate) => {
        const store: StateStore = (await make()).store();
        const seen: unknown[] = [];
        store.register("a", {
          saveState: (out) => out.json("a", 1),
          async loadState() {
            if (isLate) await settle();
            seen.push(await Promise.resolve().then(() => call(store)).catch((error: unknown) => error));
          },
        }).register("b", {
          saveState: (out) => out.json("b", 1),
          loadState: () => {
            throw new Error("b fails");
          },
        });
        await rejection(store.loadState(await store.saveState(), { rollback: true }));
        expect(seen.map((error) => error instanceof TypeError), after(isLate)).toEqual([true, true]);
      });

      it("is a TypeError in its migration, and in the stream that it saves", async () => {
        const place = await make();
        await place.store().register("a", saving((out) => out.json("a", 1))).saveState();
        const store: StateStore = place.store();
        const seen: unknown[] = [];
        const attempt = async () => {
          await settle();
          seen.push(await Promise.resolve().then(() => call(store)).catch((error: unknown) => error));
        };
        store.register("a", {
          saveState: (out) =>
            out.write(
              "b",
              (async function* () {
                await attempt();
                yield new Uint8Array(1);
              })(),
            ),
          loadState: () => {},
        }, { version: 2, migrate: { 1: attempt } });
        await store.resume();
        await store.saveState();
        expect(seen).toEqual([expect.any(TypeError), expect.any(TypeError)]);
      });
    });

    it("through the state of another store is a TypeError as well", async () => {
      const store: StateStore = (await make()).store();
      const other = (await make()).store();
      let seen: unknown;
      other.register("b", saving(async () => void (seen = await store.saveState().catch((error: unknown) => error))));
      store.register("a", saving(async () => void await other.saveState()));
      await store.saveState();
      expect(seen).toBeInstanceOf(TypeError);
    });

    it("is allowed when its method has ended, and for another store", async () => {
      const store: StateStore = (await make()).store();
      const other = (await make()).store();
      const later = deferred<() => Promise<unknown>>();
      const goOn = deferred();
      let hasBegun = false;
      store.register(
        "a",
        saving(async () => {
          await other.saveState();
          if (hasBegun) return;
          hasBegun = true;
          void goOn.promise.then(() => {
            const save = store.saveState();
            later.resolve(() => save);
          });
        }),
      );
      await store.saveState();
      goOn.resolve();
      const saved = await later.promise;
      await saved();
      expect(await store.list()).toHaveLength(2);
    });
  });

  describe("when a load failed half-way", () => {
    class Failing extends Cell {
      isFailing = true;
      override async loadState(from: Parameters<Cell["loadState"]>[0]) {
        await super.loadState(from);
        if (this.isFailing) throw new Error("half");
      }
    }
    async function torn() {
      const { place, first } = await twoSnapshots();
      const [a, b] = [new Cell("new"), new Failing("new")];
      const store = place.store().register("a", a).register("b", b);
      expect(await rejection(store.loadState(first))).toMatchObject({ code: "STATE_LOAD_FAILED" });
      return { place, first, store, a, b };
    }

    it("refuses saves and streams as STATES_TORN, and says what to do", async () => {
      const { store, a, b } = await torn();
      const error = await rejection(store.saveState());
      expect(error).toMatchObject({ code: "STATES_TORN", details: { states: ["a", "b"] } });
      expect(String(error)).toMatch(/resume\(\).*startFresh\(\)/);
      expect(() => store.streamState()).toThrow(expect.objectContaining({ code: "STATES_TORN" }));
      expect([a.saves, b.saves]).toEqual([0, 0]);
    });

    it("saves again when every state was loaded whole, however many loads that takes", async () => {
      const { store, first, b } = await torn();
      b.isFailing = false;
      await store.loadState(first, { only: ["a"] });
      expect(await rejection(store.saveState())).toMatchObject({ code: "STATES_TORN", details: { states: ["b"] } });
      await store.loadState(first, { only: ["b"] });
      await store.saveState();
    });

    it("saves again after startFresh(), until a load fails again", async () => {
      const { store, first } = await torn();
      store.startFresh();
      await store.saveState();
      await rejection(store.loadState(first));
      expect(await rejection(store.saveState())).toMatchObject({ code: "STATES_TORN" });
    });

    it("saves at once when a rollback put all states back, and not when it failed", async () => {
      const { place, first } = await twoSnapshots();
      const [a, b] = [new Cell("new"), new Cell("new")];
      let failures = 1;
      const store = place.store().register("a", a).register("b", {
        saveState: (out) => b.saveState(out),
        async loadState(from) {
          if (failures-- > 0) throw new Error("half");
          await b.loadState(from);
        },
      });
      await rejection(store.loadState(first, { rollback: true }));
      await store.saveState();
      failures = 2;
      await rejection(store.loadState(first, { rollback: true }));
      expect(await rejection(store.saveState())).toMatchObject({ code: "STATES_TORN", details: { states: ["b"] } });
    });

    it("is not torn by a load that called no state", async () => {
      const { place, first } = await twoSnapshots();
      const store = place.store().register("a", new Cell("new")).register("c", new Cell("new"));
      expect(await rejection(store.loadState(first))).toMatchObject({ code: "STATE_MISSING" });
      expect(await rejection(store.loadState(locate(place.backend, "none.state")))).toMatchObject({
        code: "SNAPSHOT_NOT_FOUND",
      });
      await store.saveState();
    });

    it("fails the body of a stream that was called while the load ran", async () => {
      const { place, first } = await twoSnapshots();
      const b = new Failing("new");
      const { state, begun, goOn } = slow(b);
      const store = place.store().register("b", state);
      const load = store.loadState(first);
      await begun;
      const { body } = store.streamState();
      goOn();
      await rejection(load);
      expect(await rejection(body.getReader().read())).toMatchObject({ code: "STATES_TORN" });
    });
  });

  describe("retention", () => {
    it.each([
      [
        "by an address",
        (store: StateStore, name: string) => store.snapshot(name).then((it) => store.loadState(it ?? "")),
      ],
      [
        "with only",
        (store: StateStore, name: string) =>
          store.snapshot(name).then((it) => store.loadState(it ?? "", { only: ["a"] })),
      ],
      ["by name", (store: StateStore, name: string) => store.resume({ name })],
      ["by name with only", (store: StateStore, name: string) => store.resume({ name, only: ["a"] })],
    ])("spares a snapshot that is loaded %s, during the load and until a newer one is saved", async (_, load) => {
      const { place, first } = await twoSnapshots();
      const { state, begun, goOn } = slow(new Cell("new"));
      const store = place.store().register("a", state);
      const keeper = new LatestStatesKeeper(store, 1);
      const loading = load(store, first.name);
      await begun;
      expect(await keeper.cleanup()).toEqual([]);
      goOn();
      await loading;
      expect(await keeper.cleanup()).toEqual([]);
      await store.saveState();
      expect((await keeper.cleanup()).map(String)).toContain(String(first));
    });

    it("spares what a load that came after the capture of a save has loaded", async () => {
      const { place, first } = await twoSnapshots();
      const publishing = deferred();
      const mayPublish = deferred();
      const backend = changed(place.backend, {
        notes: place.backend.notes,
        stage: async (unit, options) => {
          const stage = await place.backend.stage(unit, options);
          return {
            unit,
            scratch: () => stage.scratch(),
            write: (path, source) => stage.write(path, source),
            abandon: () => stage.abandon(),
            async publish(path, source) {
              await stage.publish(path, source);
              publishing.resolve();
              await mayPublish.promise;
            },
          };
        },
      });
      const store = placeOn(backend, place.layout).store().register("a", new Cell(3));
      const save = store.saveState();
      await publishing.promise;
      await store.loadState(first);
      mayPublish.resolve();
      await save;
      expect(store.resumedFrom).toBe(first.name);
      await new LatestStatesKeeper(store, 1).cleanup();
      expect(await first.exists()).toBe(true);
      expect((await (await save).manifest()).parent).toBeNull();
    });
  });
});

describe("StateAccess", () => {
  const sync = (turn: Turn | Promise<Turn>): Turn => {
    if (turn instanceof Promise) throw new Error("it waits");
    return turn;
  };

  it("grants turns in the order of the calls", async () => {
    const access = new StateAccess(() => {});
    const order: string[] = [];
    const first = sync(access.enter("save"));
    const wait = async (name: string, purpose: "save" | "load" | "stream") => {
      const turn = await access.enter(purpose);
      order.push(name);
      await settle();
      turn.end();
    };
    const all = [wait("save 2", "save"), wait("load", "load"), wait("stream", "stream"), wait("save 3", "save")];
    first.end();
    await Promise.all(all);
    expect(order).toEqual(["save 2", "load", "stream", "save 3"]);
  });

  it("lets a stream pass a save that waits for another save", () => {
    const access = new StateAccess(() => {});
    const save = sync(access.enter("save"));
    void access.enter("save");
    sync(access.enter("stream")).end();
    save.end();
  });

  it("grants others what an aborted request held up", async () => {
    const access = new StateAccess(() => {});
    const stream = sync(access.enter("stream"));
    const controller = new AbortController();
    const load = Promise.resolve(access.enter("load", { signal: controller.signal }));
    const save = Promise.resolve(access.enter("save"));
    controller.abort(new Error("no"));
    await rejection(load);
    (await save).end();
    stream.end();
    sync(access.enter("load")).end();
  });

  it("names the stream that has held back a load for too long", async () => {
    const named = deferred<string>();
    const access = new StateAccess(named.resolve, 1);
    sync(access.enter("save")).captured();
    const stream = sync(access.enter("stream", { stream: "2026.state" }));
    const load = Promise.resolve(access.enter("load"));
    expect(await named.promise).toBe("2026.state");
    stream.captured();
    (await load).end();
  });
});
