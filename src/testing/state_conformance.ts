// What a state owes its program as tests, free of any test framework. States are compared by what they save.
import { memoryBackend } from "../backend/memory_backend.ts";
import type { SnapshotLocator } from "../snapshot/locator.ts";
import { StateStore } from "../store/state_store.ts";
import { turn } from "../runtime/concurrency.ts";
import { iterate, toReadableStream } from "../runtime/bytes.ts";
import { assertOptions, type OptionNames } from "../model/options.ts";
import type { StandardSchema } from "../model/standard_schema.ts";
import type { EntryInfo, PersistentState, StateReader } from "../model/state.ts";
import type { ConformanceCase } from "./backend_conformance.ts";
import { check } from "./expectations.ts";
import { type Faults, forEachFault } from "./faults.ts";
import { faultyBackend } from "./faulty_backend.ts";

/** What is not demanded of a state. */
export interface StateConformanceOptions {
  /**
   * Whether a save holds the state at the instant of the call. Pass `false` for states that write streams, or write
   * after their first await.
   *
   * @default true
   */
  readonly isInstant?: boolean;
  /**
   * Whether a failed `loadState` leaves the state unchanged. Pass `false` for states that are loaded with
   * `rollback`, which must then be able to restore them.
   *
   * @default true
   */
  readonly isAtomic?: boolean;
}

const OPTIONS: OptionNames<StateConformanceOptions> = { isInstant: "true or false", isAtomic: "true or false" };

/** A state's reader with planned failures; a stream fails half-way through its first chunk. */
class FaultyReader implements StateReader {
  readonly name: string;
  readonly version: number;
  readonly entries: readonly EntryInfo[];
  readonly uri: string | undefined;
  readonly workFolder: StateReader["workFolder"];
  readonly #reader: StateReader;
  readonly #faults: Faults;

  constructor(reader: StateReader, faults: Faults) {
    this.uri = reader.uri;
    this.workFolder = reader.workFolder;
    this.name = reader.name;
    this.version = reader.version;
    this.entries = reader.entries;
    this.#reader = reader;
    this.#faults = faults;
  }

  has(path: string): boolean {
    return this.#reader.has(path);
  }

  bytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
    return this.#counted(path, () => this.#reader.bytes(path));
  }

  text(path: string): Promise<string> {
    return this.#counted(path, () => this.#reader.text(path));
  }

  json(path: string): Promise<unknown>;
  json<Output>(path: string, schema: StandardSchema<Output>): Promise<Output>;
  json(path: string, schema?: StandardSchema): Promise<unknown> {
    return this.#counted(path, () => this.#reader.json(path, schema as StandardSchema));
  }

  stream(path: string): ReadableStream<Uint8Array> {
    const stream = this.#reader.stream(path);
    try {
      this.#faults.count("read", path);
      return stream;
    } catch (error) {
      return toReadableStream(half(stream, error));
    }
  }

  #counted<T>(path: string, read: () => Promise<T>): Promise<T> {
    const counted = async () => {
      this.#faults.count("read", path);
      return await read();
    };
    const reading = counted();
    reading.catch(() => {}); // a state that does not await it is found out by what it saves, not by ending the process
    return reading;
  }
}

async function* half(stream: ReadableStream<Uint8Array>, error: unknown): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of iterate(stream)) {
    yield chunk.subarray(0, chunk.length >> 1);
    break;
  }
  throw error;
}

const storeOf = (state: PersistentState, backend = memoryBackend()): StateStore =>
  new StateStore(backend).register("state", state);

const saved = (state: PersistentState): Promise<SnapshotLocator> => storeOf(state).saveState();

/** Paths of the entries in which two snapshots of a state differ. */
async function differences(a: SnapshotLocator, b: SnapshotLocator): Promise<string[]> {
  const [ofA, ofB] = await Promise.all([a, b].map(async (snapshot) => {
    const { states } = await snapshot.manifest();
    return new Map(states.flatMap(({ entries }) => entries.map(({ path, digest }) => [path, digest] as const)));
  })) as [Map<string, string>, Map<string, string>];
  return [...new Set([...ofA.keys(), ...ofB.keys()])].filter((path) => ofA.get(path) !== ofB.get(path));
}

async function same(found: SnapshotLocator, wanted: SnapshotLocator, what: string): Promise<void> {
  const paths = (await differences(found, wanted)).map((path) => `"${path}"`).join(", ");
  check(paths === "", `${what}: ${paths} differs`);
}

/**
 * What a program relies on of its states as tests, for states of your own.
 *
 * That what is saved comes back to the byte, whatever the state held before; that a save changes nothing and, unless told
 * otherwise, holds one instant; that a load that fails at any of its reads fails, and leaves the state as it was or lets a
 * rollback put it back. The cases do not depend on each other and may run concurrently.
 *
 * States are compared by the bytes they save. So the same must save the same: one that writes the time of day, or whatever else
 * differs from save to save, needs a clock that the test can stop.
 *
 * @param make Makes a new state, as a program does when it starts; called several times per case, so it should be small.
 * @param change Changes all of a state that it saves; what it leaves alone is not seen to be half-loaded.
 * @param options What is not demanded.
 * @returns The cases, for any test runner.
 * @example A state that is loaded whole or not at all
 * ```ts
 * import type { StateReader, StateWriter } from "snapkeep";
 * import { stateConformance } from "snapkeep/testing";
 *
 * class Hero {
 *   items = ["sword"];
 *   map = new Uint8Array(100);
 *
 *   saveState(out: StateWriter) {
 *     void out.json("items.json", this.items);
 *     void out.write("map.bin", this.map);
 *   }
 *
 *   async loadState(from: StateReader) {
 *     const items = await from.json("items.json") as string[];
 *     const map = await from.bytes("map.bin"); // were items assigned before this, a case would fail
 *     Object.assign(this, { items, map });
 *   }
 * }
 *
 * const change = (hero: Hero) => hero.map.fill(hero.items.push("shield"));
 * for (const { run } of stateConformance(() => new Hero(), change)) await run(); // or: test(name, run)
 * ```
 */
export function stateConformance<State extends PersistentState>(
  make: () => State | Promise<State>,
  change: (state: State) => unknown,
  options: StateConformanceOptions = {},
): readonly ConformanceCase[] {
  assertOptions("test a state", options, OPTIONS);
  const { isInstant = true, isAtomic = true } = options;

  /** A changed state, and what it saved before and after. */
  const changed = async () => {
    const state = await make();
    const original = await saved(state);
    await change(state);
    const now = await saved(state);
    check((await differences(now, original)).length > 0, "the change that was given changes nothing that is saved");
    return { state, original, now };
  };

  const cases: Record<string, () => Promise<void>> = {
    "saved twice, it saves the same": async () => {
      const state = await make();
      await same(await saved(state), await saved(state), "the first save and the second");
    },

    "what is loaded is what was saved, whatever it was before": async () => {
      const { original, now } = await changed();
      const state = await make();
      for (const [snapshot, what] of [[now, "the changed state"], [original, "the one before"]] as const) {
        await storeOf(state).loadState(snapshot);
        await same(await saved(state), snapshot, `${what}, loaded and saved again`);
      }
    },

    ...isInstant && {
      "what changes right after the call of a save is not saved": async () => {
        const state = await make();
        const original = await saved(state);
        const saving = saved(state);
        const changing = change(state);
        const [snapshot] = await Promise.all([saving, changing]);
        await same(snapshot, original, "what was saved, and the state when the save was called");
      },
    },

    "a save that fails changes nothing": async () => {
      const isWriting = ({ operation }: { operation: string }) => operation === "write" || operation === "publish";
      await forEachFault(async (faults) => {
        const { state, now } = await changed();
        await storeOf(state, faultyBackend(memoryBackend(), faults)).saveState().catch(() => {});
        await turn(); // what it may still do
        await same(await saved(state), now, "the state before and after a save that failed");
      }, { only: isWriting });
    },

    [`a load that fails at any read ${isAtomic ? "changes nothing" : "can be rolled back"}`]: async () => {
      await forEachFault(async (faults) => {
        const { state, original, now } = await changed();
        const failing: PersistentState = {
          saveState: (out) => state.saveState(out),
          loadState: (from) => state.loadState(new FaultyReader(from, faults)),
        };
        const load = storeOf(failing).loadState(original, { rollback: !isAtomic });
        const error = await load.then(() => undefined, (error: unknown) => error);
        await turn(); // concurrent reads may still change it
        const [fault] = faults.injected;
        if (fault === undefined) return check(error === undefined, `a load without a failure fails: ${error}`);
        check(error !== undefined, `it counts as loaded though a read failed (${fault.message})`);
        await same(await saved(state), now, `the state before and after a load that failed (${fault.message})`);
      });
    },
  };
  return Object.entries(cases).map(([name, run]) => ({ name, run }));
}
