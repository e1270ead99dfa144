// What a save does where another save or a load is under way, and where nothing has changed.
import { describe, expect, it } from "vitest";
import { StateStore, type StateStoreOptions } from "snapkeep";
import { places } from "./places.ts";
import { Cell, deferred, rejection, settle } from "./states.ts";

describe.each(places)("StateStore.saveState ($layout, $backend)", ({ make }) => {
  /** A store whose first save stays under way until it is let go on. */
  async function busy(options: StateStoreOptions = {}) {
    const goOn = deferred();
    const cell = new Cell(0);
    const store = (await make()).store(options).register("cell", {
      async saveState(out) {
        await out.json("value.json", cell.value);
        if (cell.saves++ === 0) await goOn.promise;
      },
      loadState: (from) => cell.loadState(from),
    });
    const first = store.saveState();
    return { store, cell, first, goOn: goOn.resolve };
  }

  it.each(["wait", "join", "skip"] as const)(
    "saves at once with ifBusy %s when nothing is under way",
    async (ifBusy) => {
      const store = (await make()).store().register("cell", new Cell(1));
      expect((await store.saveState({ ifBusy }))?.name).toBe((await store.latest())?.name);
    },
  );

  it("shares a waiting save among those that join it, and not the one that has captured already", async () => {
    const { store, cell, first, goOn } = await busy();
    cell.value = "later";
    const progress: string[] = [];
    const joined = ["a", "b", "c"].map((name) =>
      store.saveState({ ifBusy: "join", onProgress: ({ entries }) => void (entries === 1 && progress.push(name)) })
    );
    goOn();
    const [one, two, three] = await Promise.all(joined);
    expect([one, two, three].map(String)).toEqual([one, one, one].map(String));
    expect(String(one)).not.toBe(String(await first));
    expect(await store.list()).toHaveLength(2);
    expect(progress).toEqual(["a", "b", "c"]);
    await using reader = await one?.open();
    expect(await reader?.json("cell/value.json")).toBe("later");
  });

  it("joins only a save with equal layout and labels", async () => {
    const { store, first, goOn } = await busy();
    const labels = { tags: ["a"], metrics: { x: 1, y: 2 } };
    const all = [
      store.saveState({ labels }),
      store.saveState({ ifBusy: "join", labels: { metrics: { y: 2, x: 1 }, tags: ["a"] } }),
      store.saveState({ ifBusy: "join", labels: { tags: ["b"] } }),
      store.saveState({ ifBusy: "join" }),
      store.saveState({ ifBusy: "join", layout: "tar.gz" }),
      store.saveState({ ifBusy: "join", layout: "directory" }),
    ];
    goOn();
    const names = (await Promise.all([first, ...all])).map((snapshot) => snapshot?.name);
    expect(names[2]).toBe(names[1]);
    expect(new Set(names).size).toBe(5);
  });

  it("goes on for the others when one of those that share it aborts, and ends when all do", async () => {
    const { store, first, goOn } = await busy();
    const [a, b, c] = [new AbortController(), new AbortController(), new AbortController()];
    const one = store.saveState({ ifBusy: "join", signal: a.signal });
    const two = store.saveState({ ifBusy: "join", signal: b.signal });
    const alone = store.saveState({ ifBusy: "join", labels: { step: 1 }, signal: c.signal });
    a.abort(new Error("a"));
    c.abort(new Error("c"));
    expect(await rejection(one)).toMatchObject({ message: "a" });
    expect(await rejection(alone)).toMatchObject({ message: "c" });
    goOn();
    expect((await two)?.name).toBe((await store.latest())?.name);
    await first;
    expect(await store.list()).toHaveLength(2);
  });

  it("goes on for the others when the listener of one that shares it throws, and ends when all do", async () => {
    const { store, first, goOn } = await busy();
    const fail = (reason: string) => () => {
      throw new Error(reason);
    };
    const joined = store.saveState({ ifBusy: "join" });
    const failing = [
      store.saveState({ ifBusy: "join", onPhase: fail("phase") }),
      store.saveState({ ifBusy: "join", onProgress: fail("progress") }),
    ].map(rejection);
    const alone = rejection(store.saveState({ ifBusy: "join", labels: { step: 1 }, onPhase: fail("alone") }));
    goOn();
    expect((await Promise.all(failing)).map(String)).toEqual(["Error: phase", "Error: progress"]);
    await expect(joined).resolves.toBeDefined();
    expect(String(await alone)).toBe("Error: alone");
    await first;
    expect(await store.list()).toHaveLength(2);
  });

  it("rejects with the reason of an aborted signal, whatever ifBusy says", async () => {
    const { store, first, goOn } = await busy();
    const signal = AbortSignal.abort(new Error("before"));
    for (const ifBusy of ["wait", "join", "skip"] as const) {
      expect(String(await rejection(store.saveState({ ifBusy, signal })))).toBe("Error: before");
    }
    goOn();
    await first;
  });

  it("is not ended by the abort of a save that no other call shared, when it is called right after it", async () => {
    const { store, first, goOn } = await busy();
    const controller = new AbortController();
    const aborted = store.saveState({ signal: controller.signal });
    controller.abort(new Error("aborted"));
    const joined = store.saveState({ ifBusy: "join" });
    goOn();
    expect(await rejection(aborted)).toMatchObject({ message: "aborted" });
    await first;
    expect((await joined).name).toBe((await store.latest())?.name);
  });

  it("shares the failure as well", async () => {
    const { store, cell, first, goOn } = await busy();
    store.register("bad", { saveState: () => Promise.reject(new Error("no")), loadState() {} });
    const joined = [store.saveState({ ifBusy: "join" }), store.saveState({ ifBusy: "join" })];
    goOn();
    await first;
    for (const save of joined) expect(await rejection(save)).toMatchObject({ code: "STATE_SAVE_FAILED" });
    expect([cell.saves, (await store.list()).length]).toEqual([1, 1]);
  });

  it("resolves to undefined with ifBusy skip while a save or a load is under way", async () => {
    const { store, first, goOn } = await busy();
    expect(await store.saveState({ ifBusy: "skip" })).toBeUndefined();
    goOn();
    const snapshot = await first;
    const begun = deferred();
    const mayEnd = deferred();
    store.register("slow", {
      saveState() {},
      async loadState() {
        begun.resolve();
        await mayEnd.promise;
      },
    });
    const all = await store.saveState();
    const load = store.loadState(all);
    expect(await store.saveState({ ifBusy: "skip" })).toBeUndefined();
    await begun.promise;
    expect(await store.saveState({ ifBusy: "skip" })).toBeUndefined();
    mayEnd.resolve();
    await load;
    expect(await store.saveState({ ifBusy: "skip" })).toBeDefined();
    expect(await snapshot.exists()).toBe(true);
  });

  it("refuses one waiting save more than maxWaiting as SAVE_BACKLOG, whose message names join", async () => {
    const { store, first, goOn } = await busy({ maxWaiting: 2 });
    const waiting = [store.saveState(), store.saveState()];
    const error = await rejection(store.saveState());
    expect(error).toMatchObject({ code: "SAVE_BACKLOG", details: { waiting: 2 } });
    expect(String(error)).toContain('"join"');
    const joined = store.saveState({ ifBusy: "join" });
    goOn();
    await Promise.all([first, ...waiting, joined]);
    expect(await store.list()).toHaveLength(3);
  });

  it("lets a hundred saves wait unless told otherwise, and none with 0", async () => {
    const { store, first, goOn } = await busy();
    const waiting = Array.from({ length: 100 }, () => store.saveState().catch((error: unknown) => error));
    expect(await rejection(store.saveState())).toMatchObject({ code: "SAVE_BACKLOG", details: { waiting: 100 } });
    const none = await busy({ maxWaiting: 0 });
    expect(await rejection(none.store.saveState())).toMatchObject({ code: "SAVE_BACKLOG" });
    none.goOn();
    goOn();
    await Promise.all([first, none.first, ...waiting]);
  });

  it.each([-1, 1.5, NaN, "2"])("refuses %j as maxWaiting", async (maxWaiting) => {
    const place = await make();
    const shown = typeof maxWaiting === "string" ? `"${maxWaiting}"` : String(maxWaiting);
    expect(() => place.store({ maxWaiting: maxWaiting as number })).toThrow(new RegExp(`, but is ${shown}$`));
  });

  it("refuses words that ifBusy and ifUnchanged do not know", async () => {
    const store: StateStore = (await make()).store();
    expect(await rejection(store.saveState({ ifBusy: "drop" as "skip" }))).toBeInstanceOf(TypeError);
    expect(await rejection(store.saveState({ ifUnchanged: "drop" as "skip" }))).toBeInstanceOf(TypeError);
  });

  describe("with ifUnchanged skip", () => {
    const ifUnchanged = "skip" as const;

    it("publishes nothing when states, versions, digests and labels are those of the last snapshot", async () => {
      const place = await make();
      const cell = new Cell("same");
      const store = place.store().register("cell", cell);
      expect(await store.saveState({ ifUnchanged, labels: { step: 1 } })).toBeDefined();
      const before = await place.files();
      expect(await store.saveState({ ifUnchanged, labels: { step: 1 } })).toBeUndefined();
      await settle();
      expect(await place.files()).toEqual(before);
      expect(await store.saveState({ ifUnchanged, labels: { step: 2 } })).toBeDefined();
      cell.value = "other";
      expect(await store.saveState({ ifUnchanged, labels: { step: 2 } })).toBeDefined();
      store.unregister("cell");
      store.register("cell", cell, { version: 2 });
      expect(await store.saveState({ ifUnchanged, labels: { step: 2 } })).toBeDefined();
      expect(await store.saveState({ labels: { step: 2 } }), "without the option").toBeDefined();
      expect(await store.list()).toHaveLength(5);
    });

    it("saves what an earlier run had saved, and what is no longer the newest or has gone", async () => {
      const place = await make();
      const cell = new Cell("same");
      await place.store().register("cell", cell).saveState();
      const store = place.store().register("cell", cell);
      expect(await store.saveState({ ifUnchanged })).toBeDefined();
      await place.store().register("cell", cell).saveState();
      const mine = await store.saveState({ ifUnchanged });
      expect(mine).toBeDefined();
      await mine?.remove();
      expect(await store.saveState({ ifUnchanged })).toBeDefined();
      expect(await store.saveState({ ifUnchanged })).toBeUndefined();
    });

    it("leaves no pin of a snapshot that was not published", async () => {
      const store = (await make()).store().register("cell", new Cell("same"));
      await store.saveState({ ifUnchanged, labels: { pinned: true } });
      expect(await store.saveState({ ifUnchanged, labels: { pinned: true } })).toBeUndefined();
      const notes: string[] = [];
      for await (const name of store.backend.notes.list()) notes.push(name);
      expect(notes).toHaveLength(1);
    });
  });
});
