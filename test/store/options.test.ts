// Options that do not exist, or cannot be what they are, are refused in every options object of the public interface.
import { readFileSync } from "node:fs";
import path from "node:path";
import { inspect } from "node:util";
import { runInNewContext } from "node:vm";
import {
  autosave,
  copySnapshots,
  differenceOf,
  diffSnapshots,
  fileBackend,
  historyOfEntry,
  keepLatest,
  largestParts,
  LatestStatesKeeper,
  locate,
  memoryBackend,
  PeriodicSaveCondition,
  planRetention,
  RetentionKeeper,
  simulateRetention,
  SnapshotError,
  SnapshotLocator,
  type SnapshotReader,
  StateStore,
  type StateWriter,
} from "snapkeep";
import { splitUnit, storageError } from "snapkeep/backend";
import { s3Backend } from "snapkeep/s3";
import {
  assertResumeEquivalent,
  backendConformance,
  Faults,
  faultyBackend,
  faultyFileSystem,
  forEachFault,
  nodeFileSystem,
  stateConformance,
} from "snapkeep/testing";
import { describe, expect, it } from "vitest";
import { root } from "../../tools/run.mjs";
import { isSnapshotError } from "../../src/model/errors.ts";
import { Cell, rejection } from "./states.ts";

// oxlint-disable-next-line typescript/no-explicit-any -- what JavaScript may pass
type Any = any;

interface World {
  readonly store: StateStore;
  readonly snapshot: SnapshotLocator;
}

async function newWorld(): Promise<World> {
  const store = new StateStore(memoryBackend()).register("cell", new Cell(1));
  return { store, snapshot: await store.saveState() };
}

/** The error of a save in which the state passes options to its writer. */
async function failureOf(save: (out: StateWriter) => void | Promise<void>): Promise<never> {
  const store = new StateStore(memoryBackend()).register("state", { saveState: save, loadState() {} });
  const error = await rejection(store.saveState());
  if (isSnapshotError(error, "STATE_SAVE_FAILED")) throw error.cause;
  throw error;
}

/** Every options object there is: a name, what takes it, and options that are needed beside. */
const TAKERS: readonly (readonly [type: string, take: (options: Any, world: World) => unknown])[] = [
  ["StateStoreOptions", (options) => new StateStore(memoryBackend(), options)],
  ["StateStoreOptions", (options) => new StateStore("states", options)],
  ["ArchiveOptions", (archive) => new StateStore(memoryBackend(), { archive })],
  ["ArchiveOptions", (archive, { snapshot }) => snapshot.exportTo("never/written.tar.gz", { archive })],
  ["ArchiveOptions", (archive, { snapshot }) => snapshot.stream({ archive })],
  ["RegisterOptions", (options, { store }) => store.register("other", new Cell(2), options)],
  ["SaveOptions", (options, { store }) => store.saveState(options)],
  ["StreamOptions", (options, { store }) => store.streamState(options)],
  ["ImportOptions", (options, { store, snapshot }) => store.importSnapshot(snapshot, options)],
  ["LoadOptions", (options, { store, snapshot }) => store.loadState(snapshot, options)],
  ["ResumeOptions", (options, { store }) => store.resume(options)],
  ["ResumeOptions.best", (best, { store }) => store.resume({ best: { metric: "loss", mode: "min", ...best } })],
  ["ListOptions", (options, { store }) => store.list(options)],
  ["VerifyOptions", (options, { store }) => store.verify(options)],
  ["VerifyOptions", (options, { snapshot }) => snapshot.verify(options)],
  ["SweepOptions", (options, { store }) => store.sweep(options)],
  ["Labels", (labels, { store }) => store.saveState({ labels })],
  ["Labels", (labels, { store }) => store.streamState({ labels })],
  ["Labels", (labels, { snapshot }) => snapshot.label(labels)],
  ["ExportOptions", (options, { snapshot }) => snapshot.exportTo("never/written", options)],
  ["ArchiveStreamOptions", (options, { snapshot }) => snapshot.stream(options)],
  ["SignalOptions", (options, { snapshot }) => snapshot.open(options)],
  ["SignalOptions", (options, { snapshot }) => snapshot.stat(options)],
  ["SignalOptions", (options, { snapshot }) => snapshot.manifest(options)],
  ["RemoveOptions", (options, { snapshot }) => snapshot.remove(options)],
  ["VerifyAllOptions", async (options, { snapshot }) => {
    const reader = await snapshot.open();
    try {
      await reader.verifyAll(options);
    } finally {
      await reader.close();
    }
  }],
  ["CopySnapshotsOptions", (options, { store, snapshot }) => copySnapshots([snapshot], store, options)],
  ["LargestPartsOptions", async (options, { snapshot }) => largestParts(await snapshot.manifest(), options)],
  ["DiffOptions", (options, { snapshot }) => diffSnapshots(snapshot, snapshot, options)],
  ["WriteOptions", (options) => failureOf((out) => out.write("a", "b", options))],
  ["WriteJsonOptions", (options) => failureOf((out) => out.json("a", "b", options))],
  ["LocateOptions", (options) => locate("https://example.org/x.state.tar.gz", options)],
  ["FileBackendOptions", (options) => fileBackend("states", options)],
  ["RetentionKeeperOptions", (options, { store }) => new RetentionKeeper(store, [keepLatest(1)], options)],
  ["RetentionKeeperOptions", (options) => new RetentionKeeper("states", [keepLatest(1)], options)],
  ["LatestStatesKeeperOptions", (options, { store }) => new LatestStatesKeeper(store, 1, "*", options)],
  ["PlanRetentionOptions", (options) => planRetention([], [keepLatest(1)], { nowMs: 0, ...options })],
  [
    "SimulateRetentionOptions",
    (options) => simulateRetention([keepLatest(1)], { every: "1d", horizon: "2d", ...options }),
  ],
  ["AutosaveOptions", (options, { store }) => autosave(store, { condition: () => false, ...options })],
  ["PauseOptions", (pause, { store }) => autosave(store, { condition: () => false, pause })],
  ["SaveConditionOptions", (options) => new PeriodicSaveCondition(1, options)],
  ["ConformanceOptions", (options) => backendConformance(memoryBackend, options)],
  ["StateConformanceOptions", (options) => stateConformance(() => new Cell(1), () => {}, options)],
  ["ResumeEquivalenceOptions", (options) => assertResumeEquivalent(async function* () {}, options)],
  ["FaultPlan", (plan) => new Faults(plan)],
  ["FaultPlan", (plan) => forEachFault(() => Promise.resolve(), plan)],
];

/** What a call throws or rejects with. */
async function refusal(take: (options: Any, world: World) => unknown, options: unknown): Promise<unknown> {
  const world = await newWorld();
  try {
    await take(options, world);
  } catch (error) {
    return error;
  }
  return undefined;
}

describe("options", () => {
  it("all of the public interface are in the table of this test", () => {
    const exported = ["mod.ts", "src/backend/mod.ts", "src/testing/mod.ts"].flatMap((file) => {
      const text = readFileSync(path.join(root, file), "utf8").replaceAll(/\/\*[^]*?\*\//g, "");
      return [...text.matchAll(/\b\w+(?:Options|Plan)\b/g)].map(([name]) => name);
    });
    const known = new Set(TAKERS.map(([type]) => type));
    // Of contracts, which backends of others need not look at; and a result.
    const others = ["LockOptions", "NoteOptions", "ProgressOptions", "RetentionPlan", "StageOptions"];
    expect([...new Set(exported)].filter((name) => !known.has(name)).sort()).toEqual(others.sort());
  });

  it.each(TAKERS.map(([type, take], index) => [type, index, take] as const))(
    "%s (%#) are refused with a TypeError when one does not exist, also if it is undefined",
    async (_type, _index, take) => {
      for (const value of [1, undefined]) {
        const error = await refusal(take, { nonsense: value });
        expect(error).toBeInstanceOf(TypeError);
        expect(String(error)).toMatch(/there is no option "(?:\w+\.)*nonsense"; did you mean "\w+"\?/);
      }
    },
  );

  it.each(TAKERS.map(([type, take], index) => [type, index, take] as const))(
    "%s (%#) are refused with a TypeError when they are no object",
    async (type, _index, take) => {
      if (
        ["AutosaveOptions", "PlanRetentionOptions", "SimulateRetentionOptions", "ResumeOptions.best"].includes(type)
      ) return; // spread here
      if (type === "PauseOptions") return; // a function is one as well
      for (const options of [null, 1, "tar.gz", [1]]) expect(await refusal(take, options)).toBeInstanceOf(TypeError);
    },
  );

  it.each<[string, (world: World) => unknown, RegExp]>([
    [
      "resume({ tags })",
      ({ store }) => store.resume({ tags: ["best"] } as Any),
      /no option "tags"; did you mean "tag"\?/,
    ],
    ["{ layouts }", () => new StateStore("s", { layouts: "directory" } as Any), /did you mean "layout"\?/],
    [
      "saveState({ tags })",
      ({ store }) => store.saveState({ tags: ["best"] } as Any),
      /no option "tags"; it belongs in \{ labels: \{ tags: \.\.\. \} \}/,
    ],
    ["{ allowmissing }", ({ store }) => store.resume({ allowmissing: true } as Any), /did you mean "allowMissing"\?/],
    [
      "{ versions }",
      ({ store }) => store.register("b", new Cell(1), { versions: 2 } as Any),
      /did you mean "version"\?/,
    ],
    ["{ level }", () => new StateStore("s", { level: 9 } as Any), /it belongs in \{ archive: \{ level: \.\.\. \} \}/],
    [
      "{ allow_missing }",
      ({ store }) => store.resume({ allow_missing: true } as Any),
      /did you mean "allowMissing"\?$/,
    ],
    [
      "a far name",
      ({ store, snapshot }) => store.loadState(snapshot, { strictness: 1 } as Any),
      /did you mean "\w+"\? It takes "only", "allowMissing", "rollback", "signal", "onProgress"$/,
    ],
    ["label({ tag })", ({ snapshot }) => snapshot.label({ tag: "a" } as Any), /no option "tag"; did you mean "tags"\?/],
  ])("%s names what was meant", async (_name, take, message) => {
    const error = await refusal((_options, world) => take(world), {});
    expect(error).toBeInstanceOf(TypeError);
    expect(String(error)).toMatch(message);
  });

  it.each<[string, (world: World) => unknown]>([
    ["signal", ({ store }) => store.saveState({ signal: {} } as Any)],
    ["signal", ({ store }) => store.saveState({ signal: new AbortController() } as Any)],
    ["signal", ({ store, snapshot }) => store.importSnapshot(snapshot, { signal: true } as Any)],
    ["signal", ({ store }) => store.resume({ signal: 1 } as Any)],
    ["signal", ({ store }) => store.list({ signal: "now" } as Any)],
    ["signal", ({ snapshot }) => snapshot.verify({ signal: {} } as Any)],
    ["onProgress", ({ store }) => store.saveState({ onProgress: true } as Any)],
    ["onProgress", ({ store }) => store.streamState({ onProgress: {} } as Any)],
    ["onProgress", ({ store, snapshot }) => store.loadState(snapshot, { onProgress: 1 } as Any)],
    ["onProgress", ({ store }) => store.resume({ onProgress: "yes" } as Any)],
    ["onProgress", ({ store, snapshot }) => store.importSnapshot(snapshot, { onProgress: [] } as Any)],
    ["onProgress", ({ store }) => store.verify({ onProgress: {} } as Any)],
    ["onProgress", ({ snapshot }) => snapshot.verify({ onProgress: 1 } as Any)],
    ["onProgress", ({ snapshot }) => snapshot.exportTo("never/written", { onProgress: 1 } as Any)],
    ["signal", ({ snapshot }) => snapshot.open({ signal: 1 } as Any)],
    ["signal", ({ snapshot }) => snapshot.stat({ signal: {} } as Any)],
    ["signal", ({ snapshot }) => snapshot.manifest({ signal: "now" } as Any)],
    ["force", ({ store }) => store.sweep({ force: 1 } as Any)],
    ["allowMissing", ({ store, snapshot }) => store.loadState(snapshot, { allowMissing: "yes" } as Any)],
    ["rollback", ({ store }) => store.resume({ rollback: 1 } as Any)],
    ["layout", ({ store }) => store.saveState({ layout: "tar" } as Any)],
    ["layout", ({ store }) => store.saveState({ layout: "tar.br" } as Any)],
    ["tag", ({ store }) => store.resume({ tag: ["best"] } as Any)],
    ["now", () => new StateStore("states", { now: 5 } as Any)],
    ["stateNameFormat", () => new StateStore("states", { stateNameFormat: 5 } as Any)],
    ["groupBy", () => planRetention([], [keepLatest(1)], { nowMs: 0, groupBy: "tag" } as Any)],
    ["foreign", () => new LatestStatesKeeper("states", 1, "*", { foreign: "yes" } as Any)],
    ["keepPinned", ({ snapshot }) => snapshot.remove({ keepPinned: 1 } as Any)],
    ["owned", () => failureOf((out) => out.write("a", "b", { owned: "yes" } as Any))],
    ["asJson", () => failureOf((out) => out.json("a", "b", { asJson: 1 } as Any))],
    ["migrate", ({ store }) => store.register("b", new Cell(1), { migrate: [() => {}] } as Any)],
    ["migrate", ({ store }) => store.register("b", new Cell(1), { migrate: new Map([[1, () => {}]]) } as Any)],
    ["step", ({ store }) => store.resume({ step: "5" } as Any)],
    ["at", ({ store }) => store.resume({ at: "2026-11-28" } as Any)],
    [
      "program must be a string without control characters, not empty, but is { name: 'a' }",
      () => new StateStore("s", { program: { name: "a" } } as Any),
    ],
  ])("a %s that cannot be one is a TypeError that says so, before any state is called (%#)", async (option, take) => {
    const error = await refusal((_options, world) => take(world), {});
    expect(error).toBeInstanceOf(TypeError);
    expect(String(error)).toContain(option);
  });

  it.each<[string, (world: World) => unknown, string]>([
    ["an AbortSignal", ({ store }) => store.saveState(new AbortController().signal as Any), "an AbortSignal"],
    [
      "a signal beside an address",
      ({ store, snapshot }) => store.loadState(snapshot, AbortSignal.abort() as Any),
      "an AbortSignal",
    ],
    ["a Map", ({ store }) => store.streamState(new Map([["layout", "tar.gz"]]) as Any), "a Map"],
    ["a Date", ({ store }) => store.resume(new Date() as Any), "a Date"],
    ["a state", ({ store }) => store.register("b", new Cell(1), new Cell(2) as Any), "a Cell"],
  ])("are refused when they are %s, whose contents would be ignored", async (_name, take, what) => {
    const error = await refusal((_options, world) => take(world), {});
    expect(error).toBeInstanceOf(TypeError);
    expect(String(error)).toMatch(new RegExp(`must be a plain object, but it is ${what}|there is no option`));
  });

  it("may be of another realm, without a prototype, or inherit from defaults", async () => {
    const { store } = await newWorld();
    const bare = Object.assign(Object.create(null) as object, { layout: "tar.gz" });
    const inheriting = Object.create({ layout: "tar.gz" }) as object;
    for (const options of [bare, inheriting, runInNewContext('({ layout: "tar.gz" })')] as Any[]) {
      expect(String(await store.saveState(options))).toMatch(/\.tar\.gz$/);
    }
  });

  it.each([{ level: "9" }, { level: 23 }, { chunkBytes: 1 }, { groupBytes: -1 }])(
    "of archives are refused when the store is made, also one of directories: %j",
    (archive) => {
      expect(() => new StateStore(memoryBackend(), { archive } as Any)).toThrow(RangeError);
    },
  );

  it("are refused before a state is called or anything is written", async () => {
    const cell = new Cell(1);
    const store = new StateStore(memoryBackend()).register("cell", cell);
    await rejection(store.saveState({ tags: [] } as Any));
    expect(() => store.streamState({ tags: [] } as Any)).toThrow(TypeError);
    expect(cell.saves).toBe(0);
    expect(await store.list()).toEqual([]);
  });

  it("of a migration are shown when they name no version, and when they are no functions", () => {
    const register = (migrate: unknown) => () =>
      new StateStore(memoryBackend()).register("b", new Cell(1), { version: 2, migrate } as Any);
    expect(register({ x: () => {} })).toThrow(/migrate \{ x: \[Function.*each key must be a version below 2/);
    expect(register({ 1: 5 })).toThrow("{ '1': 5 }");
  });

  it("that exist may be undefined, and a signal may be of another realm", async () => {
    const { store, snapshot } = await newWorld();
    const signal = Object.assign(new EventTarget(), { aborted: false, reason: undefined, throwIfAborted() {} });
    await store.saveState({ labels: undefined, signal: signal as Any, onProgress: undefined } as Any);
    await store.loadState(snapshot, { only: undefined } as Any);
    await snapshot.label({ pinned: undefined });
  });

  it("of a store are refused by a keeper that is given a store, which has its own", () => {
    const store = new StateStore(memoryBackend());
    const make = (options: object) => new LatestStatesKeeper(store, 1, undefined, options);
    expect(() => make({ layout: "tar.gz" })).toThrow(/the store has its own "layout"/);
    expect(() => make({ now: () => 0, durability: undefined })).not.toThrow();
  });
});

/** Functions that take something other than options. Those of a text take any text. */
const RECEIVERS: readonly (readonly [name: string, receive: (wrong: Any, world: World) => unknown])[] = [
  ["diffSnapshots", (wrong, { snapshot }) => diffSnapshots(wrong, snapshot)],
  ["diffSnapshots", (wrong, { snapshot }) => diffSnapshots(snapshot, wrong)],
  ["differenceOf", (wrong, { snapshot }) => differenceOf(wrong, snapshot)],
  ["differenceOf", (wrong, { snapshot }) => differenceOf(snapshot, wrong)],
  ["largestParts", (wrong) => largestParts(wrong)],
  ["largestParts", (wrong) => largestParts({ states: [] }, { since: wrong ?? null })],
  ["historyOfEntry", (wrong) => historyOfEntry(wrong, "cell/value.json")],
  ["copySnapshots", (wrong, { store }) => copySnapshots(wrong, store)],
  ["copySnapshots", (wrong, { store }) => copySnapshots([wrong], store)],
  ["copySnapshots", (wrong, { snapshot }) => copySnapshots([snapshot], wrong)],
  ["SnapshotLocator", (wrong) => new SnapshotLocator(memoryBackend(), wrong)],
  ["SnapshotLocator", (wrong) => new SnapshotLocator(memoryBackend(), [wrong])],
  ["splitUnit", (wrong) => splitUnit(noText(wrong))],
  ["SnapshotError", (wrong) => Promise.reject(new SnapshotError("SNAPSHOT_GONE", noText(wrong), { uri: "x" }))],
  ["storageError", (wrong) => Promise.reject(storageError(noText(wrong), "x", 0))],
  ["storageError", (wrong) => Promise.reject(storageError("open", noText(wrong), 0))],
  ["timeOf", (wrong, { store }) => store.timeOf(noText(wrong))],
  ["isTimedName", (wrong, { store }) => store.isTimedName(noText(wrong))],
  ["append", (wrong, { store }) => new LatestStatesKeeper(store, 1).append(wrong)],
  ["durability", (wrong) => fileBackend("x", { durability: wrong ?? 5 })],
  ["mode", (wrong) => fileBackend("x", { mode: typeof wrong === "number" ? "5" : wrong ?? null })],
  ["exportTo", (wrong, { snapshot }) => snapshot.exportTo(noText(wrong))],
  ["text", (wrong, world) => reading(world, (reader) => reader.text(noText(wrong)))],
  ["range", (wrong, world) => reading(world, (reader) => reader.range(noText(wrong), 0, 1))],
  ["json of a state", (wrong, world) => reading(world, (reader) => reader.state("cell")?.json(noText(wrong)))],
  ["has of a state", (wrong, world) => reading(world, async (reader) => reader.state("cell")?.has(noText(wrong)))],
  ["sweep of a memory backend", (wrong) => memoryBackend().sweep(noNumber(wrong))],
  ["sweep of a file backend", (wrong) => fileBackend("states").sweep(noNumber(wrong))],
  ["sweep of an S3 backend", (wrong) => s3Backend({ url: "s3://bucket/p" }).sweep(noNumber(wrong))],
  ["faultyBackend", (wrong) => faultyBackend(wrong, new Faults())],
  ["faultyBackend", (wrong) => faultyBackend(memoryBackend(), wrong)],
  ["faultyFileSystem", (wrong) => faultyFileSystem(wrong, new Faults())],
  ["faultyFileSystem", (wrong) => faultyFileSystem(nodeFileSystem, wrong)],
  ["forEachFault", (wrong) => forEachFault(wrong)],
  ["assertResumeEquivalent", (wrong) => assertResumeEquivalent(wrong)],
  ["assertResumeEquivalent", (wrong) => assertResumeEquivalent(() => wrong)],
];

const noNumber = (wrong: Any) => typeof wrong === "number" ? NaN : wrong;
const noText = (wrong: Any) => typeof wrong === "string" ? undefined as Any : wrong;

async function reading({ snapshot }: World, read: (reader: SnapshotReader) => Promise<unknown> | undefined) {
  const reader = await snapshot.open();
  try {
    return await read(reader);
  } finally {
    await reader.close();
  }
}

describe("an argument of the wrong kind", () => {
  it.each(RECEIVERS)("of %s is a TypeError of the library, which names it", async (_name, receive) => {
    const world = await newWorld();
    const silent = { toString: () => expect.fail("it was called") };
    const textless = [Symbol("x"), 5n, Object.create(null), silent];
    for (const wrong of [undefined, null, 5, true, "x", {}, [5], [null], { states: [5] }, new Map(), ...textless]) {
      const error = await rejection((async () => await receive(wrong, world))());
      const isName = isSnapshotError(error, "NAME_UNSAFE");
      expect(error instanceof TypeError || isName, inspect(wrong)).toBe(true);
      expect((error as Error).message, inspect(wrong)).toMatch(/^Cannot (?!read prop|destructure|convert)/);
    }
  });
});
