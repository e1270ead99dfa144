// A state that fails while it is loaded: without rollback the error says what was loaded, with it nothing has changed.
import type { PersistentState, StateReader, StateWriter } from "snapkeep";
import { describe, expect, it } from "vitest";
import { places } from "./places.ts";
import { Cell, Files, rejection } from "./states.ts";

/** A JSON value that refuses to be loaded from a given one, after it has begun to change. */
class Picky implements PersistentState {
  value: unknown;
  saves = 0;
  readonly refused: unknown;

  constructor(value: unknown, refused: unknown) {
    this.value = value;
    this.refused = refused;
  }

  saveState(out: StateWriter): Promise<void> {
    this.saves++;
    return out.json("value.json", this.value);
  }

  async loadState(from: StateReader): Promise<void> {
    const value = await from.json("value.json");
    this.value = "half changed";
    if (value === this.refused) throw new Error(`refused ${String(value)}`);
    this.value = value;
  }
}

describe.each(places)("A loadState that fails ($layout, $backend)", ({ make }) => {
  /** A snapshot of four states, and a program whose third refuses it. */
  async function failing() {
    const place = await make();
    const snapshot = await place.store()
      .register("cell", new Cell({ saved: 1 }))
      .register("files", new Files({ "a/b.bin": new Uint8Array(200_000).fill(7), "c.txt": "saved" }))
      .register("picky", new Cell("poison"))
      .register("last", new Cell("saved"))
      .saveState();
    const states = {
      cell: new Cell({ mine: [1, 2] }),
      files: new Files({ "own.bin": new Uint8Array(100_000).fill(3) }),
      picky: new Picky("own", "poison"),
      last: new Cell("own"),
    };
    const store = place.store();
    for (const [name, state] of Object.entries(states)) store.register(name, state);
    return { place, snapshot, states, store };
  }

  it("without rollback says which states were loaded, and those after it are untouched", async () => {
    const { snapshot, states, store } = await failing();
    expect(await rejection(store.loadState(snapshot))).toMatchObject({
      code: "STATE_LOAD_FAILED",
      message: `Cannot load the state "picky" of "${snapshot}": refused poison`,
      details: { uri: String(snapshot), state: "picky", loaded: ["cell", "files"] },
      cause: { message: "refused poison" },
    });
    expect(states.cell.value).toEqual({ saved: 1 });
    expect(states.picky.value).toBe("half changed");
    expect(states.last.loads).toBe(0);
    expect(states.picky.saves).toBe(0);
  });

  it.each(["loadState", "resume"] as const)(
    "with { rollback: true } leaves all values as they were before (%s)",
    async (verb) => {
      const { snapshot, states, store } = await failing();
      const before = structuredClone([states.cell.value, states.files.files, states.picky.value, states.last.value]);
      const loading = verb === "resume"
        ? store.resume({ rollback: true })
        : store.loadState(snapshot, { rollback: true });
      expect(await rejection(loading)).toMatchObject({
        code: "STATE_LOAD_FAILED",
        message: expect.stringMatching(/refused poison; all states were put back$/),
        details: { state: "picky", loaded: [] },
        cause: { message: "refused poison" },
      });
      expect([states.cell.value, states.files.files, states.picky.value, states.last.value]).toEqual(before);
      expect(states.last.loads).toBe(0); // it was not reached, so it need not be put back
      expect(store.resumedFrom).toBeUndefined();
      expect((await (await store.saveState()).manifest()).parent).toBeNull();
    },
  );

  it("with rollback, where putting back fails too, puts back the others and says so, with both errors beneath", async () => {
    const { snapshot, states, store } = await failing();
    Object.assign(states.picky, { refused: "poison", value: "poison" }); // its own value is refused as well
    const error = await rejection(store.loadState(snapshot, { rollback: true }));
    expect(error).toMatchObject({
      code: "STATE_LOAD_FAILED",
      message: expect.stringMatching(/some states could not be put back$/),
      details: { state: "picky", loaded: ["cell", "files"] },
      cause: expect.any(AggregateError),
    });
    const { cause } = error as { cause: AggregateError };
    expect(cause.errors.map(({ message }: Error) => message)).toEqual(["refused poison", "refused poison"]);
    expect(states.cell.value).toEqual({ mine: [1, 2] });
    expect([...states.files.files.keys()]).toEqual(["own.bin"]);
    expect(states.last.value).toBe("own");
  });

  it("with rollback changes nothing where the states cannot be saved first", async () => {
    const { snapshot, states, store } = await failing();
    const mine = new Error("cannot save now");
    store.register("busy", { saveState: () => Promise.reject(mine), loadState() {} });
    expect(await rejection(store.loadState(snapshot, { rollback: true, allowMissing: true, only: ["cell", "picky"] })))
      .toMatchObject({ code: "STATE_LOAD_FAILED" }); // a state that is not to be loaded is not saved
    expect(states.cell.loads).toBe(2);
    states.cell.saveState = () => Promise.reject(mine);
    expect(await rejection(store.loadState(snapshot, { rollback: true, allowMissing: true }))).toMatchObject({
      code: "STATE_SAVE_FAILED",
      details: { state: "cell" },
      cause: mine,
    });
    expect(states.cell.loads).toBe(2);
    expect(states.files.loads).toBe(0);
  });

  it("with rollback loads as ever where nothing fails", async () => {
    const { snapshot, states, store } = await failing();
    Object.assign(states.picky, { refused: "something else" });
    expect((await store.loadState(snapshot, { rollback: true })).loaded).toEqual(["cell", "files", "picky", "last"]);
    expect([states.cell.value, states.picky.value, states.last.value]).toEqual([{ saved: 1 }, "poison", "saved"]);
    expect(states.cell.loads).toBe(1);
    expect(store.resumedFrom).toBe(snapshot.name);
  });

  it("with rollback puts back what a migrated state had", async () => {
    const { snapshot, states, place } = await failing();
    const store = place.store()
      .register("cell", states.cell, {
        version: 2,
        migrate: { 1: (from, to) => to.write("value.json", from.stream("value.json")) },
      })
      .register("picky", states.picky);
    expect(await rejection(store.loadState(snapshot, { rollback: true }))).toMatchObject({ details: { loaded: [] } });
    expect(states.cell.value).toEqual({ mine: [1, 2] });
    expect(states.picky.value).toBe("own");
  });
});
