// The report of the last run that the next one gets, and the heartbeat behind it.
import { type Backend, fileBackend, memoryBackend, StateStore } from "snapkeep";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "../backend/temporary.ts";
import { Cell } from "../store/states.ts";
import { ManualClock } from "./manual_clock.ts";
import { makeWorld, settle, type WorldOptions } from "./world.ts";

/** The time in the note of a place. */
async function aliveAtMs(backend: Backend): Promise<number> {
  const note = await backend.notes.get("last-run");
  return note === undefined ? -Infinity : JSON.parse(new TextDecoder().decode(note)).aliveAtMs;
}

/** A run at a place, and the report that the next one gets. */
async function runs(backend: Backend, options: WorldOptions = {}) {
  const clock = new ManualClock();
  let step = 0;
  const world = makeWorld({ backend, clock, labels: () => ({ step }), store: { run: "one" }, ...options });
  /** Lives on, and waits until its last heartbeat is at the place. */
  const pass = async (seconds: number) => {
    for (let second = 0; second < seconds; second++) {
      step++;
      clock.pass(1000);
    }
    while (Date.UTC(2026, 0, 1) + clock.now() - await aliveAtMs(backend) > 10_000) await settle(1);
  };
  const next = async (more: { readonly program?: string } = {}) => {
    const store = new StateStore(backend, { run: "two", ...more }).register("cell", new Cell(0));
    return await store.resume();
  };
  return { ...world, clock, pass, next };
}

const places: [string, () => Promise<Backend>][] = [
  ["in memory", async () => memoryBackend()],
  ["in a folder", async () => fileBackend(path.join(await temporaryFolder(), "to be made"))],
];

describe.each(places)("resume(), %s,", (_, place) => {
  it("tells of no last run where there was none", async () => {
    const store = new StateStore(await place()).register("cell", new Cell(0));
    expect(await store.resume()).not.toHaveProperty("lastRun");
  });

  it("tells that the last run was cut off, when it was last alive, and the time and steps lost since the snapshot", async () => {
    const { pass, saver, next, clock } = await runs(await place());
    await pass(5);
    await saver.requestSave();
    const savedAtMs = Date.UTC(2026, 0, 1) + clock.now();
    await pass(32);
    const { outcome, lastRun } = await next();
    expect(outcome).toBe("resumed");
    expect(lastRun).toMatchObject({ run: "one", ended: "cut off" });
    const lostMs = lastRun?.lost.ms ?? NaN;
    expect(lastRun?.aliveAt.getTime()).toBe(savedAtMs + lostMs);
    expect(lostMs).toBeGreaterThan(20_000);
    expect(lostMs).toBeLessThanOrEqual(32_000);
    expect(lastRun?.lost.steps).toBeCloseTo(lostMs / 1000, -1);
    expect(lastRun?.sentence).toMatch(
      /^The last run was cut off; its last heartbeat was at 2026\S+Z; lost were \d+\.\d s \(\d+ steps\) after the snapshot ".*", and up to 10 s more\.$/,
    );
  });

  it("counts from the start of a run that was cut off before its first save", async () => {
    const { pass, next } = await runs(await place());
    await pass(25);
    const { outcome, lastRun } = await next();
    expect(outcome).toBe("fresh");
    expect(lastRun?.lost.ms).toBeGreaterThan(15_000);
    expect(lastRun?.sentence).toMatch(/after its start/);
  });

  it("tells that nothing was lost after a clean end with a last save", async () => {
    const { pass, saver, next } = await runs(await place());
    await pass(12);
    await saver.close();
    const { lastRun } = await next();
    expect(lastRun).toMatchObject({ ended: "clean", lost: { ms: 0, steps: 0 } });
    expect(lastRun?.sentence).toMatch(/^The last run ended cleanly at .*; nothing was lost\.$/);
  });

  it("tells what was lost after an end without a last save", async () => {
    const { pass, saver, next } = await runs(await place());
    await saver.requestSave();
    await pass(7);
    await saver[Symbol.asyncDispose]();
    const { lastRun } = await next();
    expect(lastRun).toMatchObject({ ended: "clean", lost: { steps: 7 } });
    expect(lastRun?.lost.ms).toBeGreaterThanOrEqual(7000);
  });

  it("keeps the sign of the last run until this one has begun", async () => {
    const backend = await place();
    const first = await runs(backend);
    await first.saver.requestSave();
    await first.pass(3);
    const waiting = makeWorld({ backend, store: { run: "two", startFresh: false } });
    waiting.clock.pass(60_000);
    await settle();
    expect((await waiting.store.resume()).lastRun?.run).toBe("one");
    waiting.clock.pass(1000);
    while (JSON.parse(new TextDecoder().decode(await backend.notes.get("last-run"))).run !== "two") await settle(1);
    expect((await first.next()).lastRun, "the run that asks").toBeUndefined();
  });

  it("tells nothing of another program's run, nor of its own", async () => {
    const { pass, next, store } = await runs(await place(), { store: { run: "one", program: "trader" } });
    await pass(1);
    expect((await next({ program: "other" })).lastRun).toBeUndefined();
    expect((await next({ program: "trader" })).lastRun?.run).toBe("one");
    expect((await store.resume()).lastRun).toBeUndefined();
  });

  it.each([
    ["no JSON", "{"],
    ["something else", '{"format":"other"}'],
    ["null", "null"],
    ["a time that is none", '{"format":"snapkeep-last-run","run":"x","startedAtMs":1e300,"aliveAtMs":0}'],
    ["a step that is a text", '{"format":"snapkeep-last-run","run":"x","startedAtMs":0,"aliveAtMs":0,"step":"7"}'],
    ["an end of its own", '{"format":"snapkeep-last-run","run":"x","startedAtMs":0,"aliveAtMs":0,"ended":"well"}'],
    ["a prototype", '{"format":"snapkeep-last-run","run":"x","startedAtMs":0,"aliveAtMs":0,"__proto__":{}}'],
    ["very much", `"${"x".repeat(70_000)}"`],
  ])("takes a note that says %s for none", async (_, text) => {
    const backend = await place();
    await backend.create();
    await backend.notes.put("last-run", new TextEncoder().encode(text));
    const store = new StateStore(backend).register("cell", new Cell(0));
    expect(await store.resume()).toEqual({ outcome: "fresh", tried: [] });
  });

  it("is not stopped by notes that cannot be read", async () => {
    const backend = await place();
    backend.notes.get = () => Promise.reject(new Error("no access"));
    const store = new StateStore(backend).register("cell", new Cell(0));
    expect((await store.resume()).outcome).toBe("fresh");
  });
});

describe("the heartbeat", () => {
  it("is one hidden file of the place, which no sweep and no keeper takes", async () => {
    const folder = await temporaryFolder();
    const { saver, store } = makeWorld({ backend: fileBackend(folder) });
    await saver.requestSave();
    const notes = () => readdir(path.join(folder, ".notes")).catch(() => []);
    await expect.poll(notes).toEqual(["last-run.json"]);
    for (const options of [{ olderThanMs: 0 }, { force: true }]) await store.sweep(options);
    expect((await readdir(folder)).filter((name) => name.startsWith("."))).toEqual([".notes"]);
    expect(await notes()).toEqual(["last-run.json"]);
  });

  it("is at the place once the first tick has resolved, without a wait for its sync", async () => {
    const backend = memoryBackend();
    const put = backend.notes.put;
    const isSynced: (boolean | undefined)[] = [];
    backend.notes.put = (name, note, options) => {
      isSynced.push(options?.sync);
      return options?.sync === false ? settle(5).then(() => put(name, note)) : new Promise(() => {});
    };
    const { saver } = makeWorld({ backend });
    await saver.tick();
    expect(await aliveAtMs(backend)).toBe(Date.UTC(2026, 0, 1) + 1000);
    await settle();
    expect(isSynced).toEqual([false, true]);
    saver[Symbol.asyncDispose] = () => Promise.resolve(); // its end waits for the sync
  });

  it("is written as soon as the program has begun, also where the autosaver was made before", async () => {
    const { saver, store, backend } = makeWorld({ store: { startFresh: false } });
    await saver.tick();
    await settle();
    expect(await aliveAtMs(backend)).toBe(-Infinity);
    await store.resume();
    await settle();
    expect(await aliveAtMs(backend)).toBe(Date.UTC(2026, 0, 1) + 1000);
  });

  it("holds a tick for a second at most, and only the first", async () => {
    const backend = memoryBackend();
    backend.notes.put = () => new Promise(() => {});
    const { saver, clock } = makeWorld({ backend });
    let hasTicked = false;
    const ticked = saver.tick().then(() => hasTicked = true);
    clock.pass(999);
    await settle();
    expect(hasTicked).toBe(false);
    clock.pass(1);
    await ticked;
    await saver.tick();
    saver[Symbol.asyncDispose] = () => Promise.resolve(); // its end waits for the storage
  });

  it("that cannot be written fails nothing", async () => {
    const { saver, clock, backend } = makeWorld({});
    backend.notes.put = () => Promise.reject(new Error("no room"));
    clock.pass(30_000);
    expect(await saver.requestSave()).toMatchObject({ outcome: "saved" });
    expect(await saver.close()).toMatchObject({ outcome: "saved" });
  });
});
