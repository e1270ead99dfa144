// Calls of one store that overlap at random moments. The two states are always changed together, so a snapshot in which they
// differ was captured or loaded in the middle of something.
import fc from "fast-check";
import path from "node:path";
import { setImmediate } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import {
  isSnapshotError,
  keepLatest,
  LatestStatesKeeper,
  type LayoutKind,
  memoryBackend,
  type PersistentState,
  RetentionKeeper,
  type SnapshotLocator,
  type StateReader,
  StateStore,
  type StateWriter,
} from "snapkeep";
import { fastFolder } from "../backend/temporary.ts";
import { amount, limitMs, report } from "../torture/budget.ts";
import { filePlace, memoryPlace, type ModelPlace } from "./places.ts";

type Call =
  | { do: "change"; value: number }
  | { do: "save"; layout: LayoutKind; ifBusy: "wait" | "join" | "skip"; abortAfter: number | undefined }
  | { do: "stream"; reads: "all" | "some" | "none" }
  | { do: "load"; index: number; only: readonly ("alpha" | "beta")[] | undefined }
  | { do: "load stream" }
  | { do: "resume" }
  | { do: "label"; index: number; pinned: boolean }
  | { do: "cleanup"; keeper: "latest" | "rules"; keep: number }
  | { do: "sweep" }
  | { do: "export"; index: number; layout: LayoutKind };

interface Step {
  /** How many turns of the event loop pass before the next call; the calls themselves are not awaited. */
  readonly turns: number;
  readonly call: Call;
}

const layout = fc.constantFrom<LayoutKind>("directory", "tar.gz");
const index = fc.nat(5);
const call: fc.Arbitrary<Call> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("change" as const), value: fc.nat(200) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("save" as const),
      layout,
      ifBusy: fc.constantFrom("wait", "join", "skip"),
      abortAfter: fc.option(fc.nat(5), { nil: undefined, freq: 5 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("stream" as const), reads: fc.constantFrom("all", "all", "some", "none") }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("load" as const),
      index,
      only: fc.constantFrom(undefined, undefined, undefined, ["alpha", "beta"] as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("load stream" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("resume" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("label" as const), index, pinned: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("cleanup" as const),
      keeper: fc.constantFrom("latest", "rules"),
      keep: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("sweep" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("export" as const), index, layout }) },
);
const steps = fc.array(fc.record({ turns: fc.constantFrom(0, 0, 1, 2, 5, 9), call }), {
  minLength: 4,
  maxLength: 30,
  size: "max",
});

/** A state that takes its time in both directions. */
class Slow implements PersistentState {
  value = 0;

  async saveState(out: StateWriter): Promise<void> {
    void out.json("at once.json", this.value);
    await setImmediate();
    await out.json("later.json", this.value);
  }

  async loadState(from: StateReader): Promise<void> {
    const value = await from.json("at once.json") as number;
    await setImmediate();
    this.value = value;
  }
}

// What may become of a call whose snapshot another call removes, or that is aborted.
const GONE = ["SNAPSHOT_GONE", "SNAPSHOT_NOT_FOUND"];

class Run {
  readonly alpha = new Slow();
  readonly beta = new Slow();
  readonly store: StateStore;
  readonly #calls: Promise<unknown>[] = [];
  hasSaved = false;
  /** Loads that were called and have not ended: a program does not change what is being loaded. */
  #loads = 0;

  constructor(place: ModelPlace) {
    this.store = new StateStore(place.open()).register("alpha", this.alpha).register("beta", this.beta);
  }

  async perform(all: readonly Step[]): Promise<void> {
    for (const { turns, call } of all) {
      this.#calls.push(this.#do(call));
      for (let turn = 0; turn < turns; turn++) await setImmediate();
    }
    await Promise.all(this.#calls);
    expect(this.alpha.value, "the states after all loads").toBe(this.beta.value);
    const listed = await this.store.list();
    if (this.hasSaved) expect(listed.length, "snapshots that are left").toBeGreaterThan(0);
    for (const snapshot of listed) await this.#check(snapshot);
  }

  /** Verifies a snapshot; none may hold a mixture. */
  async #check(snapshot: SnapshotLocator): Promise<void> {
    expect(await snapshot.verify()).toMatchObject({ isWhole: true });
    await using reader = await snapshot.open();
    const values = [await reader.json("alpha/at once.json"), await reader.json("beta/at once.json")];
    expect(values[0], `a mixture in ${snapshot}`).toBe(values[1]);
  }

  async #pick(index: number): Promise<SnapshotLocator | undefined> {
    const listed = await this.store.list();
    return listed[index % Math.max(1, listed.length)];
  }

  /** Does one call; a snapshot that vanishes under it is the one thing that may go wrong. */
  async #do(call: Call): Promise<void> {
    const isLoad = ["load", "load stream", "resume"].includes(call.do);
    if (isLoad) this.#loads++;
    try {
      await this.#attempt(call);
    } catch (error) {
      if (isSnapshotError(error) && GONE.includes(error.code)) return;
      if (isSnapshotError(error, "RESUME_REFUSED") && error.details.tried.length > 0) return;
      throw error;
    } finally {
      if (isLoad) this.#loads--;
    }
  }

  async #attempt(call: Call): Promise<void> {
    const { store } = this;
    switch (call.do) {
      case "change":
        if (this.#loads > 0) return;
        this.alpha.value = call.value;
        this.beta.value = call.value;
        return;
      case "save": {
        const abort = new AbortController();
        const reason = new Error("aborted");
        const save = store.saveState({ layout: call.layout, ifBusy: call.ifBusy, signal: abort.signal }).then(
          (snapshot) => snapshot !== undefined && (this.hasSaved = true),
          (error: unknown) => error,
        );
        if (call.abortAfter !== undefined) {
          for (let turn = 0; turn < call.abortAfter; turn++) await setImmediate();
          abort.abort(reason);
        }
        const outcome = await save;
        if (typeof outcome !== "boolean" && outcome !== reason) throw outcome;
        return;
      }
      case "stream": {
        const { body } = store.streamState();
        if (call.reads === "none") return await body.cancel();
        if (call.reads === "some") {
          const reader = body.getReader();
          await reader.read();
          return await reader.cancel();
        }
        await this.#check(await new StateStore(memoryBackend()).importSnapshot(body));
        return;
      }
      case "load": {
        const snapshot = await this.#pick(call.index);
        if (snapshot !== undefined) await store.loadState(snapshot, call.only === undefined ? {} : { only: call.only });
        return;
      }
      case "load stream":
        await store.loadState(store.streamState().body);
        return;
      case "resume":
        await store.resume();
        return;
      case "label":
        await (await this.#pick(call.index))?.label({ pinned: call.pinned });
        return;
      case "cleanup":
        await (call.keeper === "latest"
          ? new LatestStatesKeeper(store, call.keep)
          : new RetentionKeeper(store, [keepLatest(call.keep)])).cleanup();
        return;
      case "sweep":
        await store.sweep({ olderThanMs: 0 });
        return;
      case "export": {
        const target = path.join(await fastFolder(), "copy");
        const copy = await (await this.#pick(call.index))?.exportTo(
          call.layout === "directory" ? target : `${target}.tar.gz`,
        );
        if (copy !== undefined) await this.#check(copy);
      }
    }
  }
}

const places: Record<string, { share: number; make: () => ModelPlace | Promise<ModelPlace> }> = {
  "in memory": { share: 0.7, make: memoryPlace },
  "on files": { share: 0.3, make: filePlace },
};

describe("calls that overlap", () => {
  for (const [name, { share, make }] of Object.entries(places)) {
    it(`tear no snapshot and lose none ${name}`, async () => {
      const since = performance.now();
      const numRuns = Math.max(1, Math.round(amount("overlap", "runs") * share));
      const seed = amount("overlap", "seed");
      let done = 0;
      const property = fc.asyncProperty(steps, async (all) => {
        await new Run(await make()).perform(all);
        done += all.length;
      });
      await fc.assert(property, { numRuns, seed });
      report(`overlap ${name}`, since, `${numRuns} runs, ${done} calls, seed ${seed}`);
    }, limitMs("overlap", "runs", 10));
  }
});
