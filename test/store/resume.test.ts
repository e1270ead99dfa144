// store.resume(): the newest snapshot that is whole, past damage only, and never a lie about it.
import { runInNewContext } from "node:vm";
import { cp, mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import {
  fileBackend,
  isSnapshotError,
  keepLatest,
  locate,
  memoryBackend,
  type ResumeOptions,
  RetentionKeeper,
  type SnapshotLocator,
  StateStore,
} from "snapkeep";
import {
  type FaultCall,
  Faults,
  faultyBackend,
  faultyFileSystem,
  forEachFault,
  nodeFileSystem,
} from "snapkeep/testing";
import { describe, expect, it } from "vitest";
import { noise as incompressible } from "../archive/samples.ts";
import { collectLogs } from "./logs.ts";
import { changed, filePlaces, type Place, places } from "./places.ts";
import { Cell, Files, rejection } from "./states.ts";
import { altered, damages, dataDamage, forge, losses } from "./altered.ts";
import { all } from "../backend/texts.ts";

const noise = (seed: number) =>
  Uint8Array.from({ length: 5000 }, (_, index) => ((index + 1) * (index + seed) * 2654435761) >>> 11);
const first = 1;

/** A place with some snapshots, each an hour after the one before; the state `model` holds what was saved when. */
async function history(make: () => Promise<Place>, count: number, labels: readonly object[] = []) {
  const place = await make();
  const clock = { nowMs: Date.parse("2026-11-23T00:00:00Z") };
  const now = () => clock.nowMs;
  const store = place.store({ now });
  const model = new Files();
  store.register("model", model);
  const saved: SnapshotLocator[] = [];
  for (let index = 0; index < count; index++) {
    model.files = new Map([["weights.bin", noise(index + first)]]);
    saved.push(await store.saveState({ labels: labels[index] ?? {} }));
    clock.nowMs += 3_600_000;
  }
  /** A program that starts, over the place or over what became of it. */
  const program = (backend = place.backend) => {
    const loaded = new Files();
    const fresh = new StateStore(backend, { layout: place.layout, now }).register("model", loaded);
    /** Which snapshot's content the state has: its index; or -1 when it was never loaded. */
    const content = () =>
      Array.from({ length: count }, (_, index) => index)
        .findIndex((index) => String(loaded.files.get("weights.bin")) === String(noise(index + first)));
    return { store: fresh, state: loaded, content };
  };
  return { place, clock, now, saved, program };
}

const name = (snapshot: SnapshotLocator | undefined) => snapshot?.name;
const at = (saved: readonly SnapshotLocator[], index: number) => saved[index] as SnapshotLocator;

describe.each(places)("StateStore.resume ($layout, $backend)", ({ make, layout }) => {
  it("is fresh where there is nothing, and calls no state", async () => {
    const { program } = await history(make, 0);
    const { store, state } = program();
    expect(await store.resume()).toEqual({ outcome: "fresh", tried: [] });
    expect(state.loads).toBe(0);
    for (
      const options of [{ tag: "a" }, { step: 5 }, { at: new Date(0) }, {
        best: { metric: "loss", mode: "min" },
      }] as const
    ) {
      expect(await store.resume(options)).toEqual({ outcome: "fresh", tried: [] });
    }
  });

  it("is fresh where a save was begun and never finished", async () => {
    const { place, program } = await history(make, 0);
    const stage = await place.backend.stage(
      layout !== "directory" ? "2026-01-01_00-00-00,000000.state.tar.gz" : "2026-01-01_00-00-00,000000.state/",
    );
    if (layout === "directory") await stage.write("model/weights.bin", [new Uint8Array(3)]);
    expect((await program().store.resume()).outcome).toBe("fresh");
    await stage.abandon();
  });

  describe("is refused, and not fresh, where nothing is listed and yet there is something:", () => {
    const choices: ResumeOptions[] = [{}, { tag: "a" }, { step: 5 }, { at: new Date() }, {
      best: { metric: "loss", mode: "min" },
    }];

    it("snapshots of another name format", async () => {
      const { place, program } = await history(make, 0);
      const other = place.store({ stateNameFormat: "run-%Y-%m-%d.state" }).register("model", new Files({ x: "1" }));
      const [first, second] = [await other.saveState(), await other.saveState()];
      for (const options of choices) {
        const { store, state } = program();
        expect(await rejection(store.resume(options))).toMatchObject({
          code: "RESUME_REFUSED",
          message: expect.stringContaining(`none named in the store's format: "${first.name}" and 1 more; `),
          details: { tried: [] },
        });
        expect(state.loads).toBe(0);
      }
      const { store } = program();
      expect(name((await store.resume({ name: second.name })).snapshot)).toBe(second.name);
      const formatted = place.store({ stateNameFormat: "run-%Y-%m-%d.state" }).register("model", new Files());
      expect(name((await formatted.resume()).snapshot)).toBe(second.name);
    });

    it("an unknown snapshot, if the storage fails at the second look", async () => {
      const { place, program } = await history(make, 0);
      const faults = new Faults({ at: 2, forever: true, only: ({ operation }) => operation === "list" });
      const { store } = program(faultyBackend(place.backend, faults));
      expect(await rejection(store.resume())).toMatchObject({ code: "RESUME_REFUSED" });
      expect(faults.injected.length).toBeGreaterThan(0);
    });
  });

  it("resumes from the newest, and tells what it changed", async () => {
    const { saved, program } = await history(make, 3);
    const { store, content } = program();
    store.register("other", new Cell("as it was"));
    const report = await store.resume({ allowMissing: true });
    expect(report).toMatchObject({
      outcome: "resumed",
      states: { loaded: ["model"], missing: ["other"], ignored: [] },
      tried: [],
    });
    expect(name(report.snapshot)).toBe(name(saved[2]));
    expect(content()).toBe(2);
  });

  it.each(Object.keys(damages[layout]))("goes back to an older one where %s", async (damage) => {
    const logs = await collectLogs();
    const { place, saved, program } = await history(make, 2);
    const { store, state, content } = program(
      altered(place.backend, { [at(saved, 1).name]: damages[layout][damage] ?? (() => undefined) }),
    );
    const report = await store.resume();
    expect(report.outcome).toBe("resumed");
    expect(name(report.snapshot)).toBe(name(saved[0]));
    expect(content()).toBe(0);
    expect(state.loads).toBe(1);
    expect(report.tried).toHaveLength(1);
    const [refusal] = report.tried;
    expect(name(refusal?.snapshot)).toBe(name(saved[1]));
    expect(isSnapshotError(refusal?.error)).toBe(true);
    expect(refusal?.error).toMatchObject({ message: refusal?.reason });
    expect(logs.of("warning")).toEqual([
      `StateStore: Not resumed from "${String(refusal?.snapshot)}": ${refusal?.reason}`,
    ]);
  });

  it("goes back past as many as are damaged, newest first, and tells each", async () => {
    const { place, saved, program } = await history(make, 5);
    const kinds = Object.values(damages[layout]);
    const alterations = Object.fromEntries(
      [1, 2, 3, 4].map((index) => [at(saved, index).name, kinds[index] ?? (() => undefined)]),
    );
    const { store, content } = program(altered(place.backend, alterations));
    const report = await store.resume();
    expect(report.tried.map(({ snapshot }) => snapshot.name)).toEqual([4, 3, 2, 1].map((index) => name(saved[index])));
    expect(content()).toBe(0);
  });

  it("is refused when there are snapshots and all are damaged: that is not fresh", async () => {
    const { place, saved, program } = await history(make, 2);
    const [damage = () => undefined] = Object.values(damages[layout]);
    const { store, state } = program(
      altered(place.backend, { [at(saved, 0).name]: damage, [at(saved, 1).name]: damage }),
    );
    const error = await rejection(store.resume());
    expect(error).toMatchObject({
      code: "RESUME_REFUSED",
      message: expect.stringContaining("none of its snapshots is whole"),
      details: {
        tried: [1, 0].map((index) => ({ snapshot: String(saved[index]), reason: expect.stringMatching(/^Cannot /) })),
      },
      cause: expect.objectContaining({ code: expect.any(String) }),
    });
    expect(state.loads).toBe(0);
  });

  describe("never goes back past what is incompatible with the code", () => {
    const future = "2099-01-01_00-00-00,000000.state";

    it("STATE_MISSING: the newest lacks a registered state", async () => {
      const { saved, program } = await history(make, 2);
      const { store, state } = program();
      store.register("added", new Cell(0));
      expect(await rejection(store.resume())).toMatchObject({
        code: "RESUME_REFUSED",
        message: expect.stringContaining('lacks the registered state "added"'),
        details: { tried: [{ snapshot: String(saved[1]) }] },
        cause: { code: "STATE_MISSING" },
      });
      expect(state.loads).toBe(0);
    });

    it("STATE_INCOMPATIBLE: the newest has a state newer than the code, or one without a migration", async () => {
      const { place, saved, now } = await history(make, 1);
      const newer = place.store({ now }).register("model", new Files(), { version: 3 });
      await newer.saveState();
      const old = new Files();
      expect(await rejection(place.store().register("model", old, { version: 2, migrate: { 1: () => {} } }).resume()))
        .toMatchObject({
          code: "RESUME_REFUSED",
          message: expect.stringContaining("update the program"),
          cause: { code: "STATE_INCOMPATIBLE" },
        });
      const next = new Files();
      expect(await rejection(place.store().register("model", next, { version: 4 }).resume())).toMatchObject({
        code: "RESUME_REFUSED",
        message: expect.stringContaining("no migration from 3 to 4"),
        cause: { code: "STATE_INCOMPATIBLE" },
      });
      expect([old.loads, next.loads]).toEqual([0, 0]);
      expect(await at(saved, 0).exists()).toBe(true);
    });

    it("FORMAT_UNSUPPORTED: the newest has a format of the future, which is no damage", async () => {
      const { place, program } = await history(make, 1);
      const unit = await forge(place.backend, layout, future, (manifest) => ({ ...manifest, formatVersion: 999 }));
      const choices: ResumeOptions[] = [{}, { tag: "a" }, { step: 5 }, { best: { metric: "loss", mode: "max" } }, {
        name: future,
      }];
      for (const options of choices) {
        const { store, state } = program();
        expect(await rejection(store.resume(options))).toMatchObject({
          code: "RESUME_REFUSED",
          message: expect.stringContaining("update snapkeep"),
          details: {
            tried: [{ snapshot: String(locate(place.backend, unit)), reason: expect.stringContaining("999") }],
          },
          cause: { code: "FORMAT_UNSUPPORTED" },
        });
        expect(state.loads).toBe(0);
      }
    });

    it("also where damage lies before it: both are reported", async () => {
      const { place, saved, program } = await history(make, 3);
      const [damage = () => undefined] = Object.values(damages[layout]);
      const { store } = program(altered(place.backend, { [at(saved, 2).name]: damage }));
      store.register("added", new Cell(0));
      expect(await rejection(store.resume())).toMatchObject({
        code: "RESUME_REFUSED",
        details: { tried: [{ snapshot: String(saved[2]) }, { snapshot: String(saved[1]) }] },
        cause: { code: "STATE_MISSING" },
      });
    });
  });

  it("is refused when the backend cannot be reached, whatever call fails first; never fresh, never an older one", async () => {
    const { place, saved, program } = await history(make, 2);
    const runs = await forEachFault(async (faults) => {
      const { store, state, content } = program(faultyBackend(place.backend, faults));
      const outcome = await store.resume().catch((error: unknown) => error);
      if (faults.injected.length === 0) {
        expect(outcome).toMatchObject({ outcome: "resumed", tried: [] });
        expect(content()).toBe(1);
        return;
      }
      expect(outcome).toMatchObject({ code: "RESUME_REFUSED" });
      expect(faults.isBeneath(outcome)).toBe(true);
      expect(state.loads).toBe(0);
      expect(faults.open).toEqual([]);
    }, { errno: "EIO", forever: true });
    expect(runs.length).toBeGreaterThan(2);
    expect(saved).toHaveLength(2);
  });

  it.each<[string, "list" | "open", ResumeOptions]>([
    ["snapshots are listed", "list", {}],
    ["labels are looked at", "open", { tag: "a" }],
  ])("leaves what is no failure of storage as it is: a mistake of a backend where %s", async (_, method, options) => {
    const { place, program } = await history(make, 2, [{ tags: ["a"] }, { tags: ["a"] }]);
    const mistake = new ReferenceError("a mistake");
    const fail = () => {
      throw mistake;
    };
    const backend = changed(place.backend, { [method]: fail });
    const { store, state } = program(backend);
    expect(await rejection(store.resume(options))).toBe(mistake);
    expect(state.loads).toBe(0);
  });

  it("is refused, and not an older one, where only one call fails", async () => {
    const { place, program } = await history(make, 2, [{ tags: ["a"] }, { tags: ["a"] }]);
    for (const options of [{}, { tag: "a" }]) {
      const runs = await forEachFault(async (faults) => {
        const { store, content } = program(faultyBackend(place.backend, faults));
        const outcome = await store.resume(options).catch((error: unknown) => error);
        if (isSnapshotError(outcome)) expect(outcome.code).toBe("RESUME_REFUSED");
        else expect(content()).toBe(1);
      }, { errno: "ETIMEDOUT" });
      expect(runs.length).toBeGreaterThan(2);
    }
  });

  it("is refused, and not an older one, where a call fails for a large entry, which is read apart", async () => {
    const large = (seed: number) => incompressible(700_000, seed);
    const place = await make();
    const clock = { nowMs: Date.parse("2026-11-23T00:00:00Z") };
    const now = () => clock.nowMs;
    for (const seed of [1, 2]) {
      const model = new Files();
      model.files = new Map([["weights.bin", large(seed)]]);
      await place.store({ now }).register("model", model).saveState();
      clock.nowMs += 3_600_000;
    }
    for (const forever of [false, true]) {
      const runs = await forEachFault(async (faults) => {
        const loaded = new Files();
        const backend = faultyBackend(place.backend, faults);
        const store = new StateStore(backend, { layout: place.layout, now }).register("model", loaded);
        const outcome = await store.resume().catch((error: unknown) => error);
        if (isSnapshotError(outcome)) expect(outcome.code).toBe("RESUME_REFUSED");
        else expect(String(loaded.files.get("weights.bin")) === String(large(2))).toBe(true);
      }, { errno: "EIO", forever });
      expect(runs.length).toBeGreaterThan(2);
    }
  });

  it("goes back past one that vanishes meanwhile", async () => {
    const { place, saved, program } = await history(make, 2);
    const vanishing = changed(place.backend, {
      open: async (unit, blobPath) => {
        if (unit.startsWith(at(saved, 1).name)) await at(saved, 1).remove();
        return await place.backend.open(unit, blobPath);
      },
    });
    const { store, content } = program(vanishing);
    const report = await store.resume();
    expect(name(report.snapshot)).toBe(name(saved[0]));
    expect(report.tried).toMatchObject([{ error: { code: "SNAPSHOT_NOT_FOUND" } }]);
    expect(content()).toBe(0);
  });

  it.each<[string, ResumeOptions]>([["the newest", {}], ["the newest of a tag", { tag: "good" }]])(
    "goes on to a newer one, for %s, where another program saved on and cleaned up meanwhile",
    async (_, options) => {
      const { place, clock, now, saved, program } = await history(make, 2, [{ tags: ["good"] }, { tags: ["good"] }]);
      let isDone = false;
      const overtaken = changed(place.backend, {
        open: async (unit, blobPath) => {
          if (!isDone && unit.startsWith(at(saved, 1).name)) {
            isDone = true;
            const other = place.store({ now }).register("model", new Files({ "weights.bin": noise(2 + first) }));
            for (let save = 0; save < 2; save++) {
              clock.nowMs += 3_600_000;
              await other.saveState({ labels: { tags: ["good"] } });
            }
            await at(saved, 1).remove();
          }
          return await place.backend.open(unit, blobPath);
        },
      });
      const report = await program(overtaken).store.resume(options);
      expect(name(report.snapshot)).toBe(name(await place.store().latest()));
      expect(report.tried).toMatchObject([{ error: { code: "SNAPSHOT_NOT_FOUND" } }]);
    },
  );

  it("is refused, and not fresh, where the only one vanishes meanwhile", async () => {
    const { place, saved, program } = await history(make, 1);
    const vanishing = changed(place.backend, {
      open: async (unit, blobPath) => {
        await at(saved, 0).remove();
        return await place.backend.open(unit, blobPath);
      },
    });
    expect(await rejection(program(vanishing).store.resume())).toMatchObject({ code: "RESUME_REFUSED" });
  });

  it("leaves a state's own failure as it is: STATE_LOAD_FAILED, and no older one is tried", async () => {
    const { place } = await history(make, 2);
    const mine = new Error("mine");
    let loads = 0;
    const failing = {
      saveState() {},
      loadState: () => {
        loads++;
        throw mine;
      },
    };
    expect(await rejection(place.store().register("model", failing).resume())).toMatchObject({
      code: "STATE_LOAD_FAILED",
      cause: mine,
      details: { state: "model", loaded: [] },
    });
    expect(loads).toBe(1);
  });

  it("is aborted by a signal, with its reason, before a state is touched", async () => {
    const { program } = await history(make, 1);
    const { store, state } = program();
    const reason = new Error("enough");
    expect(await rejection(store.resume({ signal: AbortSignal.abort(reason) }))).toBe(reason);
    expect(state.loads).toBe(0);
  });

  describe("by name", () => {
    it("resumes from this one", async () => {
      const { saved, program } = await history(make, 3);
      const { store, content } = program();
      expect(name((await store.resume({ name: at(saved, 1).name })).snapshot)).toBe(name(saved[1]));
      expect(content()).toBe(1);
    });

    it("finds a keepsake, which resume() passes over", async () => {
      const { place, program, now } = await history(make, 1);
      const keepsake = await place.store({ now, stateNameFormat: "best-%Y-%m-%d.state" }).register(
        "model",
        new Files({ x: "1" }),
      ).saveState();
      expect(name((await program().store.resume({ name: keepsake.name })).snapshot)).toBe(keepsake.name);
      expect(name((await program().store.resume()).snapshot)).not.toBe(keepsake.name);
    });

    it("is refused where there is none, also in an empty place", async () => {
      for (const count of [0, 2]) {
        const { program } = await history(make, count);
        expect(await rejection(program().store.resume({ name: "2020-01-01_00-00-00,000000.state" }))).toMatchObject({
          code: "RESUME_REFUSED",
          message: expect.stringContaining("no snapshot is the one that was asked for"),
          details: { tried: [] },
        });
      }
    });

    it("is refused where this one is damaged, though others are whole", async () => {
      const { place, saved, program } = await history(make, 2);
      const [damage = () => undefined] = Object.values(damages[layout]);
      const { store } = program(altered(place.backend, { [at(saved, 1).name]: damage }));
      expect(await rejection(store.resume({ name: at(saved, 1).name }))).toMatchObject({
        code: "RESUME_REFUSED",
        details: { tried: [{ snapshot: String(saved[1]) }] },
      });
    });
  });

  describe("by tag", () => {
    it("resumes from the newest that has it now, in a note or as saved", async () => {
      const { saved, program } = await history(make, 4, [{ tags: ["good"] }, { tags: ["good", "x"] }, {}, {
        tags: ["good"],
      }]);
      const chosen = async (tag: string) => name((await program().store.resume({ tag })).snapshot);
      expect(await chosen("good")).toBe(name(saved[3]));
      await saved[3]?.label({ tags: [] });
      expect(await chosen("good")).toBe(name(saved[1]));
      await saved[2]?.label({ tags: ["good"] });
      expect(await chosen("good")).toBe(name(saved[2]));
      await saved[2]?.label({ remark: "still good" });
      expect(await chosen("good")).toBe(name(saved[2]));
      expect(await chosen("x")).toBe(name(saved[1]));
    });

    it("goes back past damage to the next that has it", async () => {
      const { place, saved, program } = await history(make, 4, [{}, { tags: ["a"] }, {}, { tags: ["a"] }]);
      for (const damage of Object.values(damages[layout])) {
        const { store, content } = program(altered(place.backend, { [at(saved, 3).name]: damage }));
        const report = await store.resume({ tag: "a" });
        expect(name(report.snapshot)).toBe(name(saved[1]));
        expect(report.tried.map(({ snapshot }) => snapshot.name)).toEqual([name(saved[3])]);
        expect(content()).toBe(1);
      }
    });

    it("falls back to the labels as saved where a note is damaged, and warns", async () => {
      const logs = await collectLogs();
      const { place, saved, program } = await history(make, 2, [{ tags: ["a"] }, {}]);
      await place.backend.notes.put(at(saved, 0).name, new TextEncoder().encode("half"));
      expect(name((await program().store.resume({ tag: "a" })).snapshot)).toBe(name(saved[0]));
      expect(logs.of("warning")).toEqual([`StateStore: The note of "${String(saved[0])}" is damaged`]);
    });

    it("is refused where none has it", async () => {
      const { program } = await history(make, 2);
      const { store, state } = program();
      expect(await rejection(store.resume({ tag: "a" }))).toMatchObject({
        code: "RESUME_REFUSED",
        details: { tried: [] },
      });
      expect(state.loads).toBe(0);
    });
  });

  describe("by the best metric", () => {
    const labels = [4, 1, 1, NaN, Infinity, -Infinity, 9].map((loss) => ({ metrics: { loss } }));

    it("resumes from the least or the greatest, of equal ones the newer, never from NaN or an infinity", async () => {
      const { saved, program } = await history(make, 8, labels);
      const chosen = async (mode: "min" | "max") =>
        name((await program().store.resume({ best: { metric: "loss", mode } })).snapshot);
      expect(await chosen("min")).toBe(name(saved[2]));
      expect(await chosen("max")).toBe(name(saved[6]));
      await saved[0]?.label({ metrics: { loss: 0.5 } });
      expect(await chosen("min")).toBe(name(saved[0]));
    });

    it("goes on to the next best where the best is damaged", async () => {
      const { place, saved, program } = await history(make, 4, labels);
      const { store } = program(altered(place.backend, { [at(saved, 2).name]: dataDamage[layout] }));
      const report = await store.resume({ best: { metric: "loss", mode: "min" } });
      expect(name(report.snapshot)).toBe(name(saved[1]));
      expect(report.tried.map(({ snapshot }) => snapshot.name)).toEqual([name(saved[2])]);
    });

    it("is refused where none was measured", async () => {
      const { program } = await history(make, 2, [{ metrics: { loss: NaN } }, { metrics: { other: 1 } }]);
      expect(await rejection(program().store.resume({ best: { metric: "loss", mode: "max" } }))).toMatchObject({
        code: "RESUME_REFUSED",
      });
    });
  });

  it("by step resumes from the newest whose step is not beyond it", async () => {
    const { saved, program } = await history(make, 5, [{ step: 10 }, { step: 20 }, {}, { step: 30 }, { step: 15 }]);
    const chosen = async (step: number) => name((await program().store.resume({ step })).snapshot);
    expect(await chosen(10)).toBe(name(saved[0]));
    expect(await chosen(14)).toBe(name(saved[0]));
    expect(await chosen(1e9)).toBe(name(saved[4])); // went back to 15 once, and on from there
    await saved[4]?.label({ step: undefined });
    expect(await chosen(29)).toBe(name(saved[1]));
    expect(await chosen(30)).toBe(name(saved[3]));
    expect(await rejection(program().store.resume({ step: 9 }))).toMatchObject({ code: "RESUME_REFUSED" });
  });

  it("by time resumes from the newest that was not saved after it", async () => {
    const { saved, program } = await history(make, 3);
    const chosen = async (iso: string) => name((await program().store.resume({ at: new Date(iso) })).snapshot);
    expect(await chosen("2026-11-23T01:00:00.000Z")).toBe(name(saved[1]));
    expect(await chosen("2026-11-23T00:59:59.999Z")).toBe(name(saved[0]));
    expect(await chosen("2027-01-01T00:00:00Z")).toBe(name(saved[2]));
    const foreign = runInNewContext(`new Date("2026-11-24T00:00:00Z")`) as Date; // as under jest or in a frame
    expect(name((await program().store.resume({ at: foreign })).snapshot)).toBe(await chosen("2026-11-24T00:00:00Z"));
    expect(await rejection(program().store.resume({ at: new Date("2026-11-22T00:00:00Z") }))).toMatchObject({
      code: "RESUME_REFUSED",
    });
  });

  it("refuses several choices at once, and what is none, before anything is read", async () => {
    const { place } = await history(make, 1);
    const faults = new Faults();
    const store = new StateStore(faultyBackend(place.backend, faults));
    const best = { metric: "loss", mode: "min" } as const;
    const wrong: [ResumeOptions, unknown][] = [
      [{ name: "a", tag: "b" }, TypeError],
      [{ step: 1, at: new Date(0) }, TypeError],
      [{ best, tag: "b" }, TypeError],
      [{ step: 0, name: "" }, TypeError],
      [{ name: "a", tag: "b", best, step: 1, at: new Date(0) }, TypeError],
      [{ best: { metric: "loss", mode: "least" as "min" } }, TypeError],
      [{ best: "loss" as unknown as typeof best }, TypeError],
      [{ best: { mode: "min" } as typeof best }, TypeError],
      [{ step: "5" as unknown as number }, TypeError],
      [{ at: "2026-01-01" as unknown as Date }, TypeError],
      [{ step: NaN }, RangeError],
      [{ at: new Date(NaN) }, RangeError],
    ];
    for (const [options, type] of wrong) expect(await rejection(store.resume(options))).toBeInstanceOf(type);
    const mistaken = store.resume("latest" as unknown as ResumeOptions);
    expect(String(await rejection(mistaken))).toContain("give what to resume from as { name: ... }, or nothing");
    expect(faults.calls).toEqual([]);
  });

  it("is refused with what was asked for, in words", async () => {
    const { program } = await history(make, 1);
    const wanted: [ResumeOptions, string][] = [
      [{ name: "x.state" }, 'named "x.state"'],
      [{ tag: "a" }, 'with the tag "a"'],
      [{ best: { metric: "loss", mode: "max" } }, 'with a finite metric "loss"'],
      [{ step: 5 }, "with a step up to 5"],
      [{ at: new Date(0) }, "saved up to 1970-01-01T00:00:00.000Z"],
    ];
    for (const [options, told] of wanted) {
      expect(await rejection(program().store.resume(options))).toMatchObject({
        code: "RESUME_REFUSED",
        message: expect.stringContaining(`no snapshot is the one that was asked for, ${told}`),
      });
    }
  });

  describe("the parent", () => {
    const parentOf = async (snapshot: SnapshotLocator) => (await snapshot.manifest()).parent;

    it("is null in a fresh run, and the snapshot that the run resumed from in all it saves after", async () => {
      const { saved, program, clock } = await history(make, 2);
      expect(await parentOf(at(saved, 0))).toBeNull();
      expect(await parentOf(at(saved, 1))).toBeNull();
      const { store } = program();
      await store.resume({ name: at(saved, 0).name });
      expect(store.resumedFrom).toBe(name(saved[0]));
      const third = await store.saveState();
      expect(store.resumedFrom).toBeUndefined();
      clock.nowMs += 1;
      const fourth = await store.saveState();
      expect([await parentOf(third), await parentOf(fourth)]).toEqual([name(saved[0]), name(saved[0])]);
      const next = program().store;
      await next.resume();
      expect(await parentOf(await next.saveState())).toBe(fourth.name);
    });

    it("is that of a streamed snapshot too", async () => {
      const { saved, program } = await history(make, 1);
      const { store } = program();
      await store.resume();
      const elsewhere = await new StateStore(memoryBackend()).importSnapshot(store.streamState().body);
      expect(await parentOf(elsewhere)).toBe(name(saved[0]));
    });

    it("is not one that could not be loaded, nor one of which only a part was", async () => {
      const { saved, program } = await history(make, 2);
      const { store } = program();
      store.register("added", new Cell(0));
      await rejection(store.resume());
      await store.loadState(at(saved, 1), { only: ["model"] });
      expect(store.resumedFrom).toBeUndefined();
      expect(await parentOf(await store.saveState())).toBeNull();
    });
  });

  describe("only", () => {
    it("loads these states, and leaves the others as they are: a fork from another run", async () => {
      const { saved, program } = await history(make, 2);
      const { store, content } = program();
      const optimizer = new Cell("mine");
      store.register("optimizer", optimizer); // the other run has none
      expect(await store.loadState(at(saved, 0), { only: ["model"] })).toMatchObject({
        loaded: ["model"],
        missing: [],
        ignored: [],
      });
      expect(content()).toBe(0);
      expect([optimizer.value, optimizer.loads]).toEqual(["mine", 0]);
      expect((await store.resume({ only: ["model"] })).states?.loaded).toEqual(["model"]);
      expect(content()).toBe(1);
    });

    it("reports as ignored only states that are not registered, not those left out by only", async () => {
      const place = await make();
      const writer = place.store().register("a", new Cell(1)).register("b", new Cell(2)).register("c", new Cell(3));
      const snapshot = await writer.saveState();
      const store = place.store().register("a", new Cell(0)).register("b", new Cell(0));
      expect(await store.loadState(snapshot, { only: ["b"] })).toMatchObject({
        loaded: ["b"],
        missing: [],
        ignored: ["c"],
      });
    });

    it("fails as STATE_MISSING where the snapshot lacks one of these", async () => {
      const { saved, program } = await history(make, 1);
      const { store } = program();
      store.register("added", new Cell(0));
      expect(await rejection(store.loadState(at(saved, 0), { only: ["added"] }))).toMatchObject({
        code: "STATE_MISSING",
        details: { states: ["added"] },
      });
    });

    it("refuses what is no list of names as a TypeError", async () => {
      const { saved, program } = await history(make, 1);
      const only = "model" as unknown as string[];
      const error = new TypeError("Cannot load only some states: only must be an array of names");
      expect(await rejection(program().store.loadState(at(saved, 0), { only }))).toEqual(error);
    });

    it("refuses a name that is not registered as a TypeError", async () => {
      const { saved, program } = await history(make, 1);
      const { store, state } = program();
      expect(await rejection(store.loadState(at(saved, 0), { only: ["model", "modle"] }))).toBeInstanceOf(TypeError);
      expect(await rejection(store.resume({ only: ["modle"] }))).toBeInstanceOf(TypeError);
      expect(state.loads).toBe(0);
    });

    it("with nothing loads nothing", async () => {
      const { saved, program } = await history(make, 1);
      const { store, state } = program();
      expect((await store.loadState(at(saved, 0), { only: [] })).loaded).toEqual([]);
      expect(state.loads).toBe(0);
    });
  });
});

describe.each(places.filter(({ layout }) => layout !== "directory"))(
  "StateStore.resume from an archive ($backend)",
  ({ make }) => {
    it.each(Object.keys(losses))("uses it all the same where %s: all it holds is there and verified", async (loss) => {
      const { place, saved, program } = await history(make, 2);
      const { store, content } = program(
        altered(place.backend, { [at(saved, 1).name]: losses[loss] ?? (() => undefined) }),
      );
      expect(await store.resume()).toMatchObject({ outcome: "resumed", snapshot: { name: name(saved[1]) }, tried: [] });
      expect(content()).toBe(1);
    });
  },
);

describe.each(filePlaces)("StateStore.resume where a name lies in both layouts ($layout)", ({ make, layout }) => {
  /** The newest of two snapshots lies beside itself in the other layout. */
  async function both() {
    const world = await history(make, 2, [{}, { tags: ["a"] }]);
    const newest = at(world.saved, 1);
    const other = layout !== "directory" ? "directory" : "tar.gz";
    await newest.exportTo(`${world.place.folder}/`, { layout: other });
    const archive = `${newest.name}.tar.gz`;
    const unit = { "directory": `${newest.name}/`, "tar.gz": archive, "tar.zst": archive, "tar": archive };
    return { ...world, newest, unit };
  }

  it.each(["directory", "tar.gz"] as const)("uses the whole one when the %s is damaged", async (damaged) => {
    const { place, newest, unit, program } = await both();
    for (const damage of Object.values(damages[damaged])) {
      for (const options of [{}, { tag: "a" }, { name: newest.name }]) {
        const { store, content } = program(altered(place.backend, { [unit[damaged]]: damage }));
        const report = await store.resume(options);
        expect(name(report.snapshot)).toBe(newest.name);
        expect(content()).toBe(1);
        // The one that is read first may be the whole one; then there was nothing to refuse.
        expect(report.tried.length).toBe(report.snapshot?.layout === (await place.store().latest())?.layout ? 0 : 1);
        expect(report.snapshot?.layout).not.toBe(damaged);
      }
    }
  });

  it("is refused where the storage fails for one of them, whose labels are asked for: that is no damage", async () => {
    const { place, newest, unit, program } = await both();
    const first = unit[(await place.store().latest())?.layout ?? "directory"];
    const only = ({ operation, path: called }: FaultCall) => operation === "open" && called.startsWith(first);
    const faults = new Faults({ at: 1, only });
    const { store, state } = program(faultyBackend(place.backend, faults));
    expect(await rejection(store.resume({ tag: "a" }))).toMatchObject({ code: "RESUME_REFUSED" });
    expect([faults.injected.length, state.loads]).toEqual([1, 0]);
    expect(name((await store.resume({ tag: "a" })).snapshot)).toBe(newest.name);
  });

  it("goes back to an older one when both are damaged, and tells both", async () => {
    const { place, saved, newest, program } = await both();
    const garbage = () => new TextEncoder().encode("garbage");
    const { store, content } = program(altered(place.backend, { [newest.name]: garbage }));
    const report = await store.resume();
    expect(name(report.snapshot)).toBe(name(saved[0]));
    expect(content()).toBe(0);
    expect(report.tried.map(({ snapshot }) => snapshot.layout).sort()).toEqual(["directory", "tar.gz"]);
  });
});

describe.each(filePlaces)("StateStore.resume beside folders without a manifest ($layout)", ({ make }) => {
  it("passes over the newest that lost its manifest, and says so", async () => {
    const { saved, program, place } = await history(make, 2);
    const logs = await collectLogs();
    let whole = 0;
    if (place.layout === "directory") await rm(path.join(String(saved[1]), "manifest.json"));
    else {
      const folder = path.join(place.folder ?? "", "2026-12-01_00-00-00,000000.state");
      await mkdir(folder);
      await writeFile(path.join(folder, "weights.bin"), "");
      whole = 1;
    }
    const { store, content } = program();
    const { outcome, tried } = await store.resume();
    expect([outcome, content()]).toEqual(["resumed", whole]);
    expect(tried).toMatchObject([{ error: { code: "MANIFEST_MISSING" } }]);
    expect(logs.of("warning")).toHaveLength(1);
    expect(await program().store.resume({ step: 5 }).catch((error: unknown) => error)).toMatchObject({
      code: "RESUME_REFUSED",
      message: expect.stringContaining("has no manifest.json") as unknown,
    });
  });

  it("is refused, and not fresh, where they are named like its snapshots and there are no others", async () => {
    const { place, saved, program } = await history(make, 1);
    const folder = path.join(place.folder ?? "", "2026-11-22_00-00-00,000000.state");
    await mkdir(folder);
    await writeFile(path.join(folder, "weights.pt"), "theirs");
    expect((await program().store.resume()).outcome).toBe("resumed");
    await at(saved, 0).remove();
    const { store, state } = program();
    expect(await rejection(store.resume())).toMatchObject({
      code: "RESUME_REFUSED",
      message: expect.stringMatching(/no manifest\.json: "2026-11-22_00-00-00,000000\.state"; .*move them away/),
    });
    expect(state.loads).toBe(0);
    await rename(folder, path.join(place.folder ?? "", "theirs"));
    expect(await store.resume()).toEqual({ outcome: "fresh", tried: [] });
  });
});

describe.each(filePlaces)("StateStore.resume where a snapshot cannot be looked at ($layout)", ({ make, layout }) => {
  /** A backend on which no call that looks into this snapshot succeeds, as on a bad sector. */
  const spoilt = (place: Place, bad: SnapshotLocator) => {
    const only = ({ operation, path: target }: FaultCall) =>
      /^(open|stat|readFolder)$/.test(operation) &&
      target.startsWith(layout !== "directory" ? String(bad) : `${bad}${path.sep}`);
    const faults = new Faults({ at: 1, forever: true, only });
    return fileBackend(place.folder ?? "", { fileSystem: faultyFileSystem(nodeFileSystem, faults) });
  };

  it("resumes and saves on beside an old one, which verification finds and keepers spare", async () => {
    const { place, saved, program } = await history(make, 3);
    const backend = spoilt(place, at(saved, 0));
    const { store, content } = program(backend);
    expect((await store.resume()).outcome).toBe("resumed");
    expect(content()).toBe(2);
    expect((await store.saveState()).name > at(saved, 2).name).toBe(true);
    expect((await all(store.verify())).map(({ findings }) => findings.map(({ problem }) => problem))).toEqual([
      ["unreadable"],
      [],
      [],
      [],
    ]);
    const keeper = new RetentionKeeper(store, [keepLatest(1)]);
    expect(await rejection(keeper.cleanup())).toMatchObject({
      code: "CLEANUP_FAILED",
      details: { removed: { length: 2 }, failed: [String(at(saved, 0))] },
    });
    expect((await store.list())[0]?.name).toBe(at(saved, 0).name);
  });

  it("is refused where it is the newest: that is no damage", async () => {
    const { place, saved, program } = await history(make, 2);
    const { store, state } = program(spoilt(place, at(saved, 1)));
    expect(await rejection(store.resume())).toMatchObject({ code: "RESUME_REFUSED" });
    expect(state.loads).toBe(0);
  });

  it("is refused, and neither fresh nor an older one, where the newest is a link to a disk that is not mounted", async () => {
    const { place, saved, program } = await history(make, 2);
    const newest = String(at(saved, 1));
    await rename(newest, path.join(place.folder ?? "", ".disk"));
    await symlink(path.join(place.folder ?? "", ".disk"), newest);
    expect((await program().store.resume()).snapshot?.name).toBe(at(saved, 1).name);
    await rename(path.join(place.folder ?? "", ".disk"), path.join(place.folder ?? "", ".elsewhere"));
    expect(await rejection(program().store.resume())).toMatchObject({
      code: "RESUME_REFUSED",
      message: expect.stringContaining("leads nowhere"),
    });
  });

  it("is refused, and not fresh, where the whole place is such a link", async () => {
    const { place, program } = await history(make, 1);
    await rename(place.folder ?? "", `${place.folder}.elsewhere`);
    await symlink(`${place.folder}.not mounted`, place.folder ?? "");
    expect(await rejection(program().store.resume())).toMatchObject({
      code: "RESUME_REFUSED",
      message: expect.stringContaining("leads nowhere"),
    });
    await rename(`${place.folder}.elsewhere`, `${place.folder}.not mounted`);
    expect((await program().store.resume()).outcome).toBe("resumed");
  });
});

describe.each(filePlaces)("StateStore.resume from a copy under another name ($layout)", ({ make, layout }) => {
  it("guards the copy, which is what the run resumed from; its parent is the name it was saved with", async () => {
    const { place, saved, program, now } = await history(make, 2);
    const suffix = layout !== "directory" ? ".tar.gz" : "";
    const copy = "2026-11-22_00-00-00,000000.state";
    await cp(String(saved[0]), path.join(place.folder ?? "", copy + suffix), { recursive: true });
    const { store } = program();
    await store.resume({ name: copy });
    expect(store.resumedFrom).toBe(copy);
    const keeper = new RetentionKeeper(store, [keepLatest(1)], { now });
    expect((await keeper.cleanup()).map(({ name }) => name)).toEqual([name(saved[0])]);
    expect((await place.store().list()).map(({ name }) => name)).toEqual([copy, name(saved[1])]);
    const next = await store.saveState();
    expect((await next.manifest()).parent).toBe(name(saved[0]));
    expect((await keeper.cleanup()).map(({ name }) => name)).toEqual([copy, name(saved[1])]);
  });
});
