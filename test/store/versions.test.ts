// Versions of states: older ones are migrated before anything is changed, newer ones say what to update.
import {
  isSnapshotError,
  locate,
  type RegisterOptions,
  type StateMigration,
  type StateReader,
  StateStore,
  type StateWriter,
} from "snapkeep";
import { describe, expect, it } from "vitest";
import { places, temporaryFolder } from "./places.ts";
import { Cell, Files, rejection } from "./states.ts";
import { forge } from "./altered.ts";

const future = "2099-01-01_00-00-00,000000.state";

/** A migration that notes what it was given, and writes a JSON value made of the one before. */
const chained = (log: string[], step: number): StateMigration => async (from, to) => {
  const value = await from.json("value.json");
  log.push(`${from.name} ${from.version} -> ${to.name}: ${JSON.stringify(value)}`);
  await to.json("value.json", [...(Array.isArray(value) ? value : [value]), step]);
};

describe.each(places)("Versions and migrations ($layout, $backend)", ({ make, layout }) => {
  it("run in a chain, each reading what the one before wrote, and loadState sees the last", async () => {
    const place = await make();
    const snapshot = await place.store().register("model", new Cell("v1")).saveState();
    const log: string[] = [];
    let version: unknown;
    const model = new Cell(0);
    const told = {
      saveState() {},
      loadState: async (from: Parameters<Cell["loadState"]>[0]) => {
        version = from.version;
        await model.loadState(from);
      },
    };
    const migrate = { 3: chained(log, 3), 1: chained(log, 1), 2: chained(log, 2) };
    await place.store().register("model", told, { version: 4, migrate }).loadState(snapshot);
    expect(log).toEqual(['model 1 -> model: "v1"', 'model 2 -> model: ["v1",1]', 'model 3 -> model: ["v1",1,2]']);
    expect(model.value).toEqual(["v1", 1, 2, 3]);
    expect(version).toBe(4);
  });

  it("begin at the version the snapshot has, and do nothing where it is the program's", async () => {
    const place = await make();
    const log: string[] = [];
    const migrate = { 1: chained(log, 1), 2: chained(log, 2) };
    const options: RegisterOptions = { version: 3, migrate };
    const second = await place.store().register("model", new Cell("v2"), { version: 2 }).saveState();
    const third = await place.store().register("model", new Cell("v3"), { version: 3 }).saveState();
    const model = new Cell(0);
    const store = place.store().register("model", model, options);
    await store.loadState(second);
    expect(model.value).toEqual(["v2", 2]);
    await store.loadState(third);
    expect(model.value).toBe("v3");
    expect(log).toHaveLength(1);
  });

  it("drop what a migration does not write, and read entries in every way", async () => {
    const place = await make();
    const bytes = Uint8Array.from({ length: 300_000 }, (_, index) => index * 31);
    const snapshot = await place.store().register(
      "model",
      new Files({ "a.txt": "text", "big.bin": bytes, "c": "gone" }),
    )
      .saveState();
    const model = new Files();
    const migrate = {
      1: (async (from, to) => {
        expect(from.entries.map(({ path }) => path)).toEqual(["a.txt", "big.bin", "c"]);
        expect([from.has("c"), from.has("d")]).toEqual([true, false]);
        await to.write("renamed.txt", `${await from.text("a.txt")}!`);
        await to.write("big.bin", from.stream("big.bin"));
      }) satisfies StateMigration,
    };
    await place.store().register("model", model, { version: 2, migrate }).loadState(snapshot);
    expect(model.files).toEqual(new Files({ "renamed.txt": "text!", "big.bin": bytes }).files);
  });

  it("leave the snapshot as it was: the next program migrates it again", async () => {
    const place = await make();
    const snapshot = await place.store().register("model", new Cell(1)).saveState();
    for (let run = 0; run < 2; run++) {
      const model = new Cell(0);
      await place.store().register("model", model, { version: 2, migrate: { 1: chained([], 1) } }).resume();
      expect(model.value).toEqual([1, 1]);
    }
    expect(await snapshot.verify()).toMatchObject({ isWhole: true });
    expect((await snapshot.manifest()).states[0]?.version).toBe(1);
  });

  it("are recorded as registered by the next save", async () => {
    const place = await make();
    await place.store().register("model", new Cell(1)).saveState();
    const store = place.store().register("model", new Cell(0), { version: 2, migrate: { 1: chained([], 1) } });
    await store.resume();
    const { states, parent } = await (await store.saveState()).manifest();
    expect(states.map(({ name, version }) => [name, version])).toEqual([["model", 2]]);
    expect(parent).not.toBeNull();
  });

  it("fail as STATE_INCOMPATIBLE when one does not await what it reads, which would be lost", async () => {
    const place = await make();
    const snapshot = await place.store().register("model", new Cell({ a: 1 })).saveState();
    const model = new Cell(0);
    const migrate = {
      1(from: StateReader, out: StateWriter) {
        const { a = 0 } = from.json("value.json") as { a?: number };
        return out.json("value.json", { a, b: 2 });
      },
    };
    const error = await rejection(place.store().register("model", model, { version: 2, migrate }).loadState(snapshot));
    expect(error).toMatchObject({
      code: "STATE_INCOMPATIBLE",
      message: expect.stringContaining('await from.json("value.json")'),
    });
    expect(model.loads).toBe(0);
  });

  it("may write streams that they read, and await none", async () => {
    const place = await make();
    const snapshot = await place.store().register("model", new Cell({ a: 1 })).saveState();
    const model = new Cell(0);
    const migrate = {
      1: (from: StateReader, out: StateWriter) => void out.write("value.json", from.stream("value.json")),
    };
    await place.store().register("model", model, { version: 2, migrate }).loadState(snapshot);
    expect(model.value).toEqual({ a: 1 });
  });

  it("fail as STATE_INCOMPATIBLE where one is missing in the chain, before any was run", async () => {
    const place = await make();
    const snapshot = await place.store().register("before", new Cell(1)).register("model", new Cell(1)).saveState();
    const log: string[] = [];
    const cells = [new Cell(0), new Cell(0)] as const;
    const store = place.store().register("before", cells[0], { version: 2, migrate: { 1: chained(log, 1) } })
      .register("model", cells[1], { version: 4, migrate: { 1: chained(log, 1), 3: chained(log, 3) } });
    expect(await rejection(store.loadState(snapshot))).toMatchObject({
      code: "STATE_INCOMPATIBLE",
      message:
        `Cannot load the state "model" of "${snapshot}": it has version 1, and there is no migration from 2 to 3; ` +
        "register it with { migrate: { 2: ... } }",
      details: { uri: String(snapshot), state: "model", found: 1, supported: 4 },
    });
    expect(log).toEqual([]);
    expect(cells.map(({ loads }) => loads)).toEqual([0, 0]);
  });

  it("fail as STATE_INCOMPATIBLE where the snapshot is newer than the code, and say to update the program", async () => {
    const place = await make();
    const snapshot = await place.store().register("model", new Cell(1), { version: 7 }).saveState();
    const model = new Cell(0);
    const store = place.store().register("model", model, { version: 2, migrate: { 1: chained([], 1) } });
    expect(await rejection(store.loadState(snapshot))).toMatchObject({
      code: "STATE_INCOMPATIBLE",
      message:
        `Cannot load the state "model" of "${snapshot}": it has version 7, this program knows 2; update the program`,
      details: { state: "model", found: 7, supported: 2 },
    });
    expect(model.loads).toBe(0);
  });

  it.each(
    [
      ["throws", () => {
        throw new Error("mine");
      }],
      ["rejects", () => Promise.reject(new Error("mine"))],
      [
        "writes a body that fails",
        (_from, to) => to.write("x", new ReadableStream({ pull: (controller) => controller.error(new Error("mine")) })),
      ],
    ] as const satisfies readonly (readonly [string, StateMigration])[],
  )("that %s: STATE_INCOMPATIBLE with its error beneath, and nothing was touched", async (_, failing) => {
    const place = await make();
    const snapshot = await place.store().register("before", new Cell(1)).register("model", new Cell(1)).saveState();
    const cells = [new Cell("kept"), new Cell("kept")] as const;
    const store = place.store().register("before", cells[0])
      .register("model", cells[1], { version: 3, migrate: { 1: chained([], 1), 2: failing } });
    const error = await rejection(store.loadState(snapshot));
    expect(error).toMatchObject({
      code: "STATE_INCOMPATIBLE",
      message: expect.stringMatching(/^Cannot migrate the state "model" of ".*" from version 2: /),
      details: { state: "model", found: 1, supported: 3 },
    });
    let cause: unknown = error;
    while (isSnapshotError(cause)) cause = cause.cause;
    expect(cause).toMatchObject({ message: "mine" });
    expect(cells.map(({ value, loads }) => [value, loads])).toEqual([["kept", 0], ["kept", 0]]);
    expect(store.resumedFrom).toBeUndefined();
  });

  it("that read what is not there fail the same way", async () => {
    const place = await make();
    const snapshot = await place.store().register("model", new Cell(1)).saveState();
    const store = place.store().register("model", new Cell(0), {
      version: 2,
      migrate: { 1: async (from, to) => to.json("x", await from.json("other.json")) },
    });
    expect(await rejection(store.loadState(snapshot))).toMatchObject({ code: "STATE_INCOMPATIBLE" });
  });

  it("do not run for a damaged snapshot: everything is verified before", async () => {
    const place = await make();
    await forge(place.backend, layout, future, (manifest) => ({
      ...manifest,
      states: manifest.states.map((state) => ({
        ...state,
        entries: state.entries.map((entry) => ({ ...entry, digest: `sha256:${"0".repeat(64)}` })),
      })),
    }));
    const log: string[] = [];
    const store = place.store().register("model", new Cell(0), { version: 2, migrate: { 1: chained(log, 1) } });
    expect(await rejection(store.resume())).toMatchObject({ code: "RESUME_REFUSED" });
    expect(log).toEqual([]);
  });

  describe("former names", () => {
    it("are looked for, in their order, where the snapshot lacks the name", async () => {
      const place = await make();
      const old = await place.store().register("oldest", new Cell("oldest")).register("old", new Cell("old"))
        .saveState();
      const oldest = await place.store().register("oldest", new Cell("oldest")).saveState();
      const renamed = await place.store().register("model", new Cell("new")).register("old", new Cell("old"))
        .saveState();
      const model = new Cell(0);
      const store = place.store().register("model", model, { formerly: ["old", "oldest"] });
      const load = async (snapshot: typeof old) => [await store.loadState(snapshot), model.value] as const;
      expect(await load(old)).toMatchObject([{ loaded: ["model"], missing: [], ignored: [] }, "old"]);
      expect(await load(oldest)).toMatchObject([{ loaded: ["model"] }, "oldest"]);
      expect(await load(renamed)).toMatchObject([{ loaded: ["model"] }, "new"]);
    });

    it("go together with migrations", async () => {
      const place = await make();
      const snapshot = await place.store().register("old", new Cell(1)).saveState();
      const log: string[] = [];
      const model = new Cell(0);
      await place.store().register("model", model, { version: 2, formerly: ["old"], migrate: { 1: chained(log, 1) } })
        .loadState(snapshot);
      expect(model.value).toEqual([1, 1]);
      expect(log).toEqual(["old 1 -> model: 1"]);
    });

    it("missing like the name itself are STATE_MISSING, which tells the name of now", async () => {
      const place = await make();
      const snapshot = await place.store().register("other", new Cell(1)).saveState();
      const store = place.store().register("model", new Cell(0), { formerly: ["old"] });
      expect(await rejection(store.loadState(snapshot))).toMatchObject({
        code: "STATE_MISSING",
        details: { states: ["model"] },
      });
    });

    it("are what `only` means too", async () => {
      const place = await make();
      const snapshot = await place.store().register("old", new Cell(1)).saveState();
      const model = new Cell(0);
      const store = place.store().register("model", model, { formerly: ["old"] });
      await store.loadState(snapshot, { only: ["model"] });
      expect(model.value).toBe(1);
    });
  });

  describe("a snapshot by a newer library with the same format", () => {
    const extended = (place: Awaited<ReturnType<typeof make>>) =>
      forge(place.backend, layout, future, (manifest) => ({
        ...manifest,
        library: { name: "snapkeep", version: "99.0.0", build: "x" },
        lineage: { branch: "main" },
        labels: { tags: ["a"], mood: "good" },
        states: manifest.states.map((state) => ({
          ...state,
          schema: "s",
          entries: state.entries.map((entry) => ({ ...entry, mediaType: "application/json" })),
        })),
      }));

    it("loads, verifies, and keeps its unknown fields", async () => {
      const place = await make();
      await extended(place);
      const model = new Cell(0);
      expect(await place.store().register("model", model).resume()).toMatchObject({ outcome: "resumed", tried: [] });
      expect(model.value).toBe(1);
      const snapshot = await place.store().latest();
      expect(await snapshot?.verify()).toMatchObject({ isWhole: true });
      const copy = await snapshot?.exportTo(`${await temporaryFolder()}/copy.state`);
      expect(await copy?.manifest()).toEqual(await snapshot?.manifest());
      expect(await copy?.manifest()).toMatchObject({ lineage: { branch: "main" }, labels: { mood: "good" } });
    });

    it("can be pinned, and keeps the labels it has", async () => {
      const place = await make();
      await extended(place);
      const snapshot = await place.store().latest();
      await snapshot?.pin();
      expect(await snapshot?.labels()).toMatchObject({ tags: ["a"], mood: "good", pinned: true });
    });

    it("with a newer format is FORMAT_UNSUPPORTED, which says what to update", async () => {
      const place = await make();
      const unit = await forge(place.backend, layout, future, (manifest) => ({ ...manifest, formatVersion: 999 }));
      const model = new Cell(0);
      const store = place.store().register("model", model);
      expect(await rejection(store.loadState(locate(place.backend, unit)))).toMatchObject({
        code: "FORMAT_UNSUPPORTED",
        message: expect.stringContaining("update snapkeep"),
        details: { found: "999" },
      });
      expect(model.loads).toBe(0);
    });
  });
});

describe("StateStore.register", () => {
  const store = new StateStore("unused");
  const state = new Cell(0);
  const migration: StateMigration = () => {};

  it.each([0, -1, 1.5, NaN, Infinity, "2"])("refuses the version %j as a RangeError", (version) => {
    expect(() => store.register("model", state, { version: version as number })).toThrow(RangeError);
  });

  it.each([
    [{ 2: migration }],
    [{ 3: migration }],
    [{ 0: migration }],
    [{ "-1": migration }],
    [{ "1.5": migration }],
    [{ one: migration }],
    [{ 1: "no function" }],
  ])("refuses a migration that is from no older version as a RangeError: %j", (migrate) => {
    expect(() => store.register("model", state, { version: 2, migrate: migrate as Record<number, StateMigration> }))
      .toThrow(RangeError);
  });

  it("refuses former names that no state can have", () => {
    expect(() => store.register("model", state, { formerly: ["../up"] })).toThrow(
      expect.objectContaining({ code: "NAME_UNSAFE" }),
    );
  });

  it("registers nothing when it refuses", () => {
    expect(store.stateNames).toEqual([]);
  });
});
