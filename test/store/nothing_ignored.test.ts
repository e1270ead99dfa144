// Mistakes that would go by without a word: nothing registered, nothing written, damage that was passed over.
import { writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { type Backend, fileBackend, isSnapshotError, memoryBackend, StateStore, type StateWriter } from "snapkeep";
import { Faults, faultyFileSystem, nodeFileSystem } from "snapkeep/testing";
import { describe, expect, it, onTestFinished } from "vitest";
import { collectLogs } from "./logs.ts";
import { temporaryFolder } from "./places.ts";
import { Cell, rejection, saving } from "./states.ts";

interface SnapkeepWarning extends Error {
  readonly code?: string;
}

/** Collects the process warnings of the library until the test has finished. */
function collectProcessWarnings() {
  const warnings: SnapkeepWarning[] = [];
  const listen = (warning: Error) => void (warning.name === "SnapkeepWarning" && warnings.push(warning));
  process.on("warning", listen);
  onTestFinished(() => void process.off("warning", listen));
  return {
    /** Codes and messages so far; warnings are emitted a tick later. */
    async all(): Promise<string[]> {
      await new Promise((resolve) => setTimeout(resolve, 0));
      return warnings.map(({ code, message }) => `${code}: ${message}`);
    },
  };
}

describe("StateStore", () => {
  it.each<[string, (store: StateStore) => Promise<unknown>]>([
    ["save", (store) => store.saveState()],
    ["resume", (store) => store.resume()],
    ["stream", (store) => Promise.resolve(store.streamState().body.cancel())],
  ])("warns once when nothing is registered and it is to %s", async (action, run) => {
    const warnings = collectProcessWarnings();
    const backend = memoryBackend();
    for (let time = 0; time < 2; time++) await run(new StateStore(backend, { startFresh: true }));
    expect(await warnings.all()).toEqual([
      `NOTHING_REGISTERED: No state is registered in the store of "${
        backend.uri.slice(0, -1)
      }": there is nothing to ${action}; ` +
      "call store.register() first",
    ]);
  });

  it("warns through LogTape where it is configured, and of nothing when a state is registered", async () => {
    const [logs, warnings] = [await collectLogs(), collectProcessWarnings()];
    const store = new StateStore(memoryBackend());
    await store.saveState();
    await store.saveState();
    expect(logs.of("warning")).toEqual([expect.stringMatching(/^StateStore: No state is registered/)]);
    await new StateStore(memoryBackend()).register("cell", new Cell(1)).saveState();
    await new StateStore(memoryBackend()).list();
    expect(logs.of("warning")).toHaveLength(1);
    expect(await warnings.all()).toEqual([]);
  });

  it("warns once when it resumes from states that are not registered, until a save has left them out", async () => {
    const [warnings, backend] = [collectProcessWarnings(), memoryBackend()];
    const full = new StateStore(backend).register("kept", new Cell(1)).register("dropped", new Cell(2));
    const snapshot = await full.saveState();
    const store = () => new StateStore(backend).register("kept", new Cell(0));
    await store().loadState(snapshot);
    await store().resume({ only: ["kept"] });
    expect(await warnings.all()).toEqual([]);
    for (let time = 0; time < 2; time++) await store().resume();
    const [first, ...others] = await warnings.all();
    expect(others).toEqual([]);
    expect(first).toContain(`STATE_NOT_REGISTERED: "${snapshot}" has "dropped", which no state is registered for`);
    const next = store();
    await next.resume();
    await next.saveState();
    expect((await store().resume()).states?.ignored).toEqual([]);
  });

  it.each<[string, (out: StateWriter) => unknown]>([
    ["its data", () => ({ step: 1 })],
    ["text", () => JSON.stringify({ step: 1 })],
    ["a promise of its data", () => Promise.resolve([1, 2])],
    ["null", () => null],
    ["false", () => false],
    ["an array with data", () => [undefined, 1]],
    ["bytes", () => new Uint8Array(1)],
  ])("fails the save when a state writes nothing and returns %s", async (_name, save) => {
    const store = new StateStore(memoryBackend()).register("agent", saving(save as () => void));
    const error = await rejection(store.saveState());
    expect(isSnapshotError(error, "STATE_SAVE_FAILED")).toBe(true);
    expect(String(error)).toMatch(/Cannot save the state "agent": it wrote nothing.*out\.json\("state\.json", value\)/);
    expect(await store.list()).toEqual([]);
    const { body } = store.streamState();
    await expect(new Response(body).bytes()).rejects.toThrow(/it wrote nothing/);
  });

  it.each<[string, (out: StateWriter) => unknown]>([
    ["nothing", () => {}],
    ["a promise of nothing", () => Promise.resolve()],
    ["all of no writes", () => Promise.all([])],
    ["all of its writes", (out) => Promise.all([out.json("a", 1), out.write("b", "c")])],
    ["a number when it has written", (out) => out.json("a", 1) instanceof Promise ? 5 : 6],
    ["a number that it awaited its write for", (out) => out.json("a", 1).then(() => 5)],
  ])("saves a state that returns %s", async (_name, save) => {
    const store = new StateStore(memoryBackend()).register("agent", saving(save as () => void));
    await store.saveState();
  });

  it("refuses a migration that returns the new version instead of writing it", async () => {
    const backend = memoryBackend();
    const old = await new StateStore(backend).register("agent", new Cell(1)).saveState();
    const store = new StateStore(backend).register("agent", new Cell(2), {
      version: 2,
      migrate: { 1: async (from) => ({ value: await from.json("value.json") }) as unknown as void },
    });
    const error = await rejection(store.loadState(old));
    expect(isSnapshotError(error, "STATE_INCOMPATIBLE")).toBe(true);
    expect(String(error)).toMatch(/it wrote nothing/);
  });

  it("warns of damage that a resume passes over", async () => {
    const warnings = collectProcessWarnings();
    const folder = await temporaryFolder();
    const store = new StateStore(folder).register("cell", new Cell(1));
    await store.saveState();
    const damaged = await store.saveState();
    await writeFile(path.join(String(damaged), "cell", "value.json"), "2");
    const { tried } = await store.resume();
    expect(tried).toHaveLength(1);
    expect(await warnings.all()).toEqual([
      expect.stringContaining(`SNAPSHOT_DAMAGED: Not resumed from "${damaged}": Cannot trust`),
    ]);
    await store.resume();
    expect(await warnings.all()).toHaveLength(1);
  });

  it("warns of labels that cannot be read", async () => {
    const warnings = collectProcessWarnings();
    const folder = await temporaryFolder();
    const snapshot = await new StateStore(folder).register("cell", new Cell(1)).saveState();
    await snapshot.pin();
    await writeFile(path.join(folder, ".notes", `${snapshot.name}.json`), "junk");
    await snapshot.labels();
    expect(await warnings.all()).toEqual([
      expect.stringContaining(`NOTE_DAMAGED: The note of "${snapshot}" is damaged`),
    ]);
  });

  it("warns of room that could not be given back", async () => {
    const warnings = collectProcessWarnings();
    const folder = await temporaryFolder();
    const faults = new Faults({ at: 1, forever: true, only: ({ operation }) => operation === "removeFile" });
    const backend: Backend = fileBackend(folder, { fileSystem: faultyFileSystem(nodeFileSystem, faults) });
    const store = new StateStore(backend).register("s", saving((out) => out.write("a", "b")));
    const snapshot = await store.saveState().catch(() => undefined) ?? (await store.list())[0];
    await snapshot?.remove();
    expect(await warnings.all()).toContainEqual(expect.stringMatching(/^ROOM_NOT_FREED: Cannot (?:delete|remove) /));
  });
});
