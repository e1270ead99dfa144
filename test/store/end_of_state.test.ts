// When a state has ended: one definition, whatever the layout, the place, or whether what it wrote goes into a store, a stream or
// into memory.
import { memoryBackend, StateStore, type StateWriter } from "snapkeep";
import { describe, expect, it } from "vitest";
import { collectLogs } from "./logs.ts";
import { deferred, rejection, saving, streamOf } from "./states.ts";
import { places } from "./places.ts";

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

const endings: Record<string, { save: (out: StateWriter) => void | Promise<void>; paths: string[] }> = {
  "chains writes to a write": {
    save: (out) => void out.write("a", "1").then(() => out.write("b", "2")).then(() => out.json("c", 3)),
    paths: ["a", "b", "c"],
  },
  "chains a write to the last of several": {
    save: (out) => {
      void out.write("a", "1");
      void out.write("b", new Uint8Array(3_000_000)).then(() => out.write("c", "3"));
    },
    paths: ["a", "b", "c"],
  },
  "chains a write to a stream": {
    save: (out) => void out.write("a", streamOf(new Uint8Array(9))).then(() => out.write("b", "2")),
    paths: ["a", "b"],
  },
  "writes in the turn after its last write": {
    save: (out) => void out.write("a", "1").then(nextTurn).then(() => out.write("b", "2")),
    paths: ["a", "b"],
  },
  "writes in the turn after it has returned": {
    save: (out) => void nextTurn().then(() => out.write("a", "1")),
    paths: ["a"],
  },
  "goes on after an awaited write": {
    save: async (out) => {
      await out.write("a", "1");
      void nextTurn().then(() => out.write("b", "2"));
    },
    paths: ["a", "b"],
  },
};

describe.each(Object.entries(endings))("a state that %s", (_how, { save, paths }) => {
  const between = (store: StateStore) =>
    store.register("before", saving((out) => void out.write("x", "1")))
      .register("a", saving(save))
      .register("after", saving((out) => void out.write("x", "1")));
  const pathsOf = (manifest: { states: readonly { entries: readonly { path: string }[] }[] }) =>
    manifest.states.map(({ entries }) => entries.map(({ path }) => path));

  it.each(places)("is saved whole ($layout, $backend)", async ({ make }) => {
    const snapshot = await between((await make()).store()).saveState();
    expect(pathsOf(await snapshot.manifest())).toEqual([["x"], paths, ["x"]]);
    expect((await snapshot.verify()).findings).toEqual([]);
  });

  it("is streamed whole", async () => {
    const snapshot = await new StateStore(memoryBackend()).importSnapshot(
      between(new StateStore(memoryBackend())).streamState().body,
    );
    expect(pathsOf(await snapshot.manifest())).toEqual([["x"], paths, ["x"]]);
  });

  it("is migrated whole", async () => {
    const { backend } = new StateStore(memoryBackend());
    const snapshot = await new StateStore(backend).register("a", saving((out) => out.write("old", "1"))).saveState();
    let found: string[] = [];
    await new StateStore(backend).register("a", {
      saveState() {},
      loadState: (from) => void (found = from.entries.map(({ path }) => path)),
    }, { version: 2, migrate: { 1: (_from, to) => save(to) } }).loadState(snapshot);
    expect(found).toEqual(paths);
  });
});

describe.each(places)("StateWriter.write ($layout, $backend)", ({ make }) => {
  it("rejects, logs and fails the save when the state has ended and the save goes on", async () => {
    const logs = await collectLogs();
    const place = await make();
    const gate = deferred();
    let late: unknown;
    const store = place.store()
      .register(
        "a",
        saving((out) => {
          void (async () => {
            await out.write("x", "1");
            for (let turn = 0; turn < 10; turn++) await nextTurn();
            late = await rejection(out.write("y", "2"));
            gate.resolve();
          })();
        }),
      )
      .register(
        "b",
        saving(async (out) => {
          await gate.promise;
          await out.write("x", "1");
        }),
      );
    const error = await rejection(store.saveState());
    expect(error).toMatchObject({ code: "STATE_SAVE_FAILED", details: { state: "a" }, cause: { name: "TypeError" } });
    expect(late).toBe(error);
    expect(logs.of("error").join()).toContain('Cannot write to the state "a": its save has ended');
    expect(await store.list()).toEqual([]);
  });
});

describe("Capture", () => {
  it("writes the last entries of states beside each other in a directory", async () => {
    const backend = memoryBackend();
    let [open, most] = [0, 0];
    const stage = backend.stage.bind(backend);
    backend.stage = async (unit, options) => {
      const made = await stage(unit, options);
      const write = made.write.bind(made);
      made.write = async (...args) => {
        most = Math.max(most, ++open);
        for (let turn = 0; turn < 5; turn++) await nextTurn();
        open--;
        return await write(...args);
      };
      return made;
    };
    const store = new StateStore(backend);
    for (let index = 0; index < 8; index++) store.register(`s${index}`, saving((out) => void out.write("x", "1")));
    expect((await (await store.saveState()).manifest()).totals.entries).toBe(8);
    expect(most).toBe(8);
  });
});
