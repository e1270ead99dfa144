// What the front can do, each with what must hold after it, however it ended.
import path from "node:path";
import { LatestStatesKeeper, locate, SnapshotLocator, StateStore, type VerifyReport } from "snapkeep";
import type { Scratch, Stage } from "snapkeep/backend";
import { expect } from "vitest";
import { fastFolder } from "../backend/temporary.ts";
import { Model, type World } from "./worlds.ts";
import { all } from "../backend/texts.ts";
import { TOLD_BY_OPENING } from "../../src/file/small_files.ts";
import { errnoOf } from "../../src/model/errors.ts";

// More than an archive keeps in memory of an entry whose size it does not know.
const OF_SCRATCH_BYTES = 2_300_000;

// What an operation needs beside its world.
const imported = new WeakMap<World, string>();
const streamed = new WeakMap<World, Uint8Array<ArrayBuffer>>();
const exported = new WeakMap<World, string>();
const dead = new WeakMap<World, (Stage | Scratch)[]>();

/** How an operation ended. */
export type Outcome = { readonly value: unknown } | { readonly error: unknown };

/** What is done while calls fail. */
export interface Operation {
  /** Brings the world to where the operation begins. */
  prepare?(world: World): Promise<void> | void;
  run(world: World): Promise<unknown>;
  /** What may change among the units: nothing, one more, or fewer. */
  readonly changes: "nothing" | "adds" | "removes";
  /** More to look at. */
  check?(world: World, outcome: Outcome): Promise<void> | void;
  /** Whether a full disk is tried at every call; else, as all other failures, at every place that makes a call. */
  readonly fillsDisk?: boolean;
  /** On an empty, missing place instead of one with two snapshots. */
  readonly isFirst?: boolean;
}

const oldest = async ({ store }: World) => (await new StateStore(store.backend).list())[0] as SnapshotLocator;
const locators = (world: World) => new StateStore(world.plain).list();

async function unitsOf(world: World): Promise<string[]> {
  const units: string[] = [];
  for await (const unit of world.plain.list()) units.push(unit);
  return units;
}

function load(layout: "directory" | "tar.gz"): Operation {
  const index = layout === "directory" ? 0 : 1;
  return {
    changes: "nothing",
    async run(world) {
      const [units, { backend }] = [await unitsOf(world), world.store];
      return await world.store.loadState(new SnapshotLocator(backend, [units[index] ?? ""]));
    },
    check({ model }, outcome) {
      // All or nothing: the model verifies in its loadState that what it was given belongs together.
      expect([model.loads, model.step]).toEqual("value" in outcome ? [1, index + 1] : [0, 3]);
    },
  };
}

function verify(layout: "directory" | "tar.gz"): Operation {
  return {
    changes: "nothing",
    async run(world) {
      const units = await unitsOf(world);
      const locator = new SnapshotLocator(world.store.backend, [units[layout === "directory" ? 0 : 1] ?? ""]);
      return await locator.verify();
    },
    check(_world, outcome) {
      // A storage that fails is no finding.
      if ("value" in outcome) expect(outcome.value).toMatchObject({ isWhole: true, findings: [] });
    },
  };
}

/** Everything the front can do, by name. */
export const operations: Record<string, Operation> = {
  "saving a directory": {
    changes: "adds",
    fillsDisk: true,
    run: ({ store }) => store.saveState(),
  },
  "saving an archive": {
    changes: "adds",
    fillsDisk: true,
    run: ({ store }) => store.saveState({ layout: "tar.gz" }),
  },
  "saving an archive through scratch": {
    changes: "adds",
    fillsDisk: true,
    prepare({ model }) {
      model.longLineBytes = OF_SCRATCH_BYTES;
    },
    run: ({ store }) => store.saveState({ layout: "tar.gz" }),
  },
  "saving the first directory at a place that is not there": {
    changes: "adds",
    fillsDisk: true,
    isFirst: true,
    run: ({ store }) => store.saveState(),
  },
  "saving the first archive at a place that is not there": {
    changes: "adds",
    fillsDisk: true,
    isFirst: true,
    run: ({ store }) => store.saveState({ layout: "tar.gz" }),
  },
  "loading a directory": load("directory"),
  "loading an archive": load("tar.gz"),
  "listing": {
    changes: "nothing",
    run: ({ store }) => store.list(),
    async check(world, outcome) {
      // Never a part of the list.
      if ("value" in outcome) expect((outcome.value as SnapshotLocator[]).map(({ name }) => name)).toHaveLength(2);
      expect(await unitsOf(world)).toHaveLength(2);
    },
  },
  "verifying a directory": verify("directory"),
  "verifying an archive": verify("tar.gz"),
  "verifying all": {
    changes: "nothing",
    run: ({ store }) => all(store.verify()),
    check({ faults }, outcome) {
      // Where the storage fails for one snapshot, that is reported as such, and never taken for damage.
      if (!("value" in outcome)) return;
      const reports = outcome.value as VerifyReport[];
      const struck = faults.injected.map(({ details }) => (details as { operation: string }).operation);
      // What was read is read, also where the file cannot be closed; and what cannot be looked at is listed, and opened.
      // What may be absent or not allowed when it is opened at once is opened a second time.
      const [only] = faults.injected;
      const isOpenedAgain = struck.length === 1 && /^(?:open|sizeBytes)$/.test(struck[0] ?? "") &&
        TOLD_BY_OPENING.has(errnoOf(only?.cause));
      const isStruck = !isOpenedAgain && struck.some((operation) => operation !== "close" && operation !== "stat");
      if (struck.every((operation) => operation === "close")) {
        expect(reports.map(({ isWhole }) => isWhole)).toEqual([true, true]);
      }
      for (const { problem } of reports.flatMap(({ findings }) => findings)) expect(problem).toBe("unreadable");
      if (isStruck && reports.length === 2) expect(reports.some(({ isWhole }) => !isWhole)).toBe(true);
    },
  },
  "looking at facts": {
    changes: "nothing",
    run: async (world) => (await oldest(world)).stat(),
    check(_world, outcome) {
      if ("value" in outcome) expect(outcome.value).toMatchObject({ entries: 4, states: 1 });
    },
  },
  "importing an archive": {
    changes: "adds",
    async prepare(world) {
      const source = (await locators(world))[1] as SnapshotLocator;
      const folder = await fastFolder();
      const file = await source.exportTo(path.join(folder, "copy.tar.gz"));
      await source.remove();
      imported.set(world, String(file));
    },
    run: (world) => world.store.importSnapshot(imported.get(world) ?? ""),
  },
  "importing a stream": {
    changes: "adds",
    async prepare(world) {
      const source = (await locators(world))[0] as SnapshotLocator;
      const bytes = new Uint8Array(await new Response(source.stream()).arrayBuffer());
      await source.remove();
      streamed.set(world, bytes);
    },
    run: (world) => world.store.importSnapshot(new Response(streamed.get(world)).body!),
  },
  "loading a stream": {
    changes: "nothing",
    async prepare(world) {
      const source = (await locators(world))[0] as SnapshotLocator;
      streamed.set(world, new Uint8Array(await new Response(source.stream()).arrayBuffer()));
    },
    run: (world) => world.store.loadState(new Response(streamed.get(world)).body!),
    check({ model }, outcome) {
      expect([model.loads, model.step]).toEqual("value" in outcome ? [1, 1] : [0, 3]);
    },
  },
  "streaming the states": {
    changes: "nothing",
    prepare({ model }) {
      model.longLineBytes = OF_SCRATCH_BYTES;
    },
    run: async ({ store }) => new Uint8Array(await new Response(store.streamState().body).arrayBuffer()),
    async check(_world, outcome) {
      if (!("value" in outcome)) return;
      const model = new Model();
      await new StateStore(await fastFolder()).register("model", model)
        .loadState(new Response(outcome.value as Uint8Array<ArrayBuffer>).body!);
      expect(model.step).toBe(3);
    },
  },
  "exporting to a file": {
    changes: "nothing",
    async run(world) {
      const target = path.join(await fastFolder(), "copy.tar.gz");
      exported.set(world, target);
      const [unit = ""] = await unitsOf(world);
      return await new SnapshotLocator(world.store.backend, [unit]).exportTo(target);
    },
    async check(world, outcome) {
      const copy = locate(exported.get(world) ?? "");
      expect(await copy.exists()).toBe("value" in outcome);
      if ("value" in outcome) expect(await copy.verify()).toMatchObject({ isWhole: true });
    },
  },
  "resuming": {
    changes: "nothing",
    run: ({ store }) => store.resume(),
    check({ model }, outcome) {
      // A storage out of reach is no damage: never an older snapshot instead, and never a fresh start.
      expect([model.loads, model.step]).toEqual("value" in outcome ? [1, 2] : [0, 3]);
      if ("value" in outcome) expect(outcome.value).toMatchObject({ outcome: "resumed", tried: [] });
    },
  },
  "labelling": {
    changes: "nothing",
    async prepare(world) {
      await (await locators(world))[0]?.label({ remark: "old", step: 1 });
    },
    run: async (world) => (await oldest(world)).label({ step: 2 }),
    async check(world, outcome) {
      const labels = await (await locators(world))[0]?.labels();
      const [before, after] = [{ remark: "old", step: 1 }, { remark: "old", step: 2 }];
      if ("value" in outcome) expect([outcome.value, labels]).toEqual([after, after]);
      else expect([before, after]).toContainEqual(labels);
    },
  },
  "cleaning up": {
    changes: "removes",
    async prepare(world) {
      await new StateStore(world.plain, { now: world.store.now, startFresh: true }).register("model", world.model)
        .saveState();
      await (await locators(world))[0]?.label({ remark: "goes with its snapshot" });
    },
    run: ({ store }) => new LatestStatesKeeper(store, 1).cleanup(),
    async check(world, outcome) {
      const left = (await locators(world)).map(({ name }) => name);
      expect(left.at(-1)).toBe("2026-01-02_03-04-08,000000.state"); // the newest
      if (!("value" in outcome)) return;
      const removed = (outcome.value as SnapshotLocator[]).map(({ name }) => name);
      expect(removed.filter((name) => left.includes(name))).toEqual([]);
      expect(removed.length + left.length).toBe(3);
      if (world.faults.injected.length === 0) expect(removed).toHaveLength(2);
    },
  },
  "removing": {
    changes: "removes",
    run: async (world) => (await oldest(world)).remove(),
    async check(world, outcome) {
      if ("value" in outcome) expect(await locators(world)).toHaveLength(1);
    },
  },
  "sweeping": {
    changes: "nothing",
    async prepare(world) {
      const { plain } = world;
      const writers: (Stage | Scratch)[] = [];
      for (const unit of ["dead.state/", "dead2.state.tar.gz"]) {
        const stage = await plain.stage(unit);
        if (unit.endsWith("/")) await stage.write("a/b", [new Uint8Array(10)]);
        writers.push(stage);
      }
      writers.push(await plain.scratch());
      dead.set(world, writers);
    },
    run: ({ store }) => store.sweep({ force: true }),
    async check(world, outcome) {
      if ("value" in outcome && world.faults.injected.length === 0) expect(await world.leftovers()).toEqual([]);
      for (const writer of dead.get(world) ?? []) await ("abandon" in writer ? writer.abandon() : writer.remove());
    },
  },
};
