// Loading an open snapshot into states: match, verify, migrate, and only then change anything.
import { memoryBackend } from "../backend/memory_backend.ts";
import { directoryLayout } from "../layout/directory_layout.ts";
import { sealing } from "../manifest/manifest.ts";
import { showAddress } from "../model/address.ts";
import { reasonOf, SnapshotError } from "../model/errors.ts";
import { inSlices } from "../runtime/concurrency.ts";
import { loggerOf, warnUser } from "../runtime/logging.ts";
import { assertOptions, nearest, type OptionNames } from "../model/options.ts";
import { show } from "../model/show.ts";
import type { StateReader } from "../model/state.ts";
import { WatchedReader } from "./awaited_reads.ts";
import { Capture } from "./capture.ts";
import { CaptureMemory } from "./capture_memory.ts";
import { callState } from "./state_calls.ts";
import type { ProgressOptions } from "../snapshot/progress.ts";
import type { Registration } from "./registry.ts";
import { SnapshotReader } from "../snapshot/snapshot_reader.ts";

/** How a snapshot is loaded. */
export interface LoadOptions extends ProgressOptions {
  /**
   * Names of the registered states to load.
   *
   * @default all
   */
  readonly only?: readonly string[];
  /**
   * Whether states that the snapshot lacks stay unchanged. If false, the load fails with `STATE_MISSING`.
   *
   * @default false
   */
  readonly allowMissing?: boolean;
  /**
   * Whether loaded states are restored if a later one fails. Cost: all states to be loaded are first saved in
   * memory.
   *
   * @default false
   */
  readonly rollback?: boolean;
  /**
   * Aborts the load as long as no state has changed.
   *
   * @default none
   */
  readonly signal?: AbortSignal;
}

/** The options of a load. */
export const LOAD_OPTIONS: OptionNames<LoadOptions> = {
  only: true,
  allowMissing: "true or false",
  rollback: "true or false",
  signal: "an AbortSignal",
  onProgress: "a function",
};

/** Throws a TypeError for options of a load, or of what loads, that do not exist or cannot be. */
export function assertLoadOptions<Options extends { readonly only?: unknown }>(
  action: string,
  options: Options,
  names: OptionNames<Options>,
): void {
  assertOptions(action, options, names);
  const { only = [] } = options;
  if (!Array.isArray(only)) throw new TypeError("Cannot load only some states: only must be an array of names");
}

/** Which states a load changed, and which not. */
export interface LoadedStates {
  /** States that were loaded, in order of registration. */
  readonly loaded: readonly string[];
  /** Registered states that the snapshot lacks; they are as they were. */
  readonly missing: readonly string[];
  /** States in the snapshot that are not registered. */
  readonly ignored: readonly string[];
}

const MOST_NAMES = 10;

interface Match {
  readonly registration: Registration;
  readonly from: StateReader;
}

/** The store that loads. */
export interface LoadingStore {
  /** The store itself, whose states must not call it. */
  readonly store: object;
  /** Whether the program goes on from what is loaded. */
  readonly resumes: boolean;
  /** Called with the names of states that a failed load or rollback may have left half-changed. */
  onTorn(names: readonly string[]): void;
}

/** Loads an open snapshot, and closes it. */
export async function loadStates(
  uri: string,
  reader: SnapshotReader,
  registrations: readonly Registration[],
  options: LoadOptions,
  caller: LoadingStore,
): Promise<LoadedStates> {
  try {
    const wanted = selectOnly(registrations, options.only);
    const known = new Set(registrations.flatMap(({ name, formerly }) => [name, ...formerly]));
    const ignored = reader.manifest.states.map(({ name }) => name).filter((name) => !known.has(name));
    const { matches, missing } = matchStates(uri, reader, wanted);
    if (missing.length > 0 && !options.allowMissing) {
      const formerly = ignored.length === 0 ? "its former name in formerly" : `{ formerly: ["${ignored[0]}"] }`;
      const remedy = `if it is new, pass allowMissing: true; if it was renamed, register it with ${formerly}; ` +
        "if another program saved the snapshot, use one folder per program";
      const also = ignored.length === 0 ? "" : `, and has ${namesOf(ignored)}, which no state is registered for`;
      const message = `Cannot load ${showAddress(uri)}: it lacks the registered state ${
        namesOf(missing)
      }${also}; ${remedy}`;
      throw new SnapshotError("STATE_MISSING", message, { uri, states: missing });
    }
    await reader.verifyAll({ signal: options.signal, onProgress: options.onProgress });
    const ready: Match[] = [];
    for (const match of matches) ready.push({ ...match, from: await migrated(uri, match, caller.store) });
    options.signal?.throwIfAborted();
    const loaded = await applyAll(uri, ready, registrations, options.rollback ?? false, caller);
    if (ignored.length > 0) {
      const isNext = caller.resumes && options.only === undefined;
      if (isNext) warnOfIgnored(uri, ignored);
      else loggerOf("StateStore").warn("'{uri}' has states that are not registered: {ignored}", { uri, ignored });
    }
    return { loaded, missing, ignored };
  } finally {
    await reader.close();
  }
}

/** A program that goes on from here saves without these states, and a keeper removes the last snapshot that has them. */
function warnOfIgnored(uri: string, ignored: readonly string[]): void {
  const message =
    `${showAddress(uri)} has ${namesOf(ignored)}, which no state is registered for: the program goes on without, and ` +
    "saves without; register what was left out or renamed by mistake before resume()";
  warnUser({ className: "StateStore", kind: "STATE_NOT_REGISTERED", address: uri, message });
}

/** Names for a message. */
function namesOf(names: readonly string[]): string {
  const shown = names.slice(0, MOST_NAMES).map((name) => `"${name}"`);
  if (names.length > MOST_NAMES) shown.push(`and ${names.length - MOST_NAMES} more`);
  return shown.join(", ");
}

function selectOnly(
  registrations: readonly Registration[],
  only: readonly string[] | undefined,
): readonly Registration[] {
  if (only === undefined) return registrations;
  const names = new Set(registrations.map(({ name }) => name));
  const unknown = only.find((name) => !names.has(name));
  if (unknown !== undefined) {
    const renamed = registrations.find(({ formerly }) => formerly.includes(unknown))?.name;
    const near = nearest(String(unknown), [...names]);
    const meant = near === undefined ? "" : `; did you mean "${near}"?`;
    const remedy = renamed === undefined ? meant : `; it is a former name of "${renamed}"`;
    throw new TypeError(`Cannot load only ${show(unknown)}: it is not registered${remedy}`);
  }
  const wanted = new Set(only);
  return registrations.filter(({ name }) => wanted.has(name));
}

/** Finds each state in the snapshot, under its name or a former one, in a version that can be loaded. */
function matchStates(
  uri: string,
  reader: SnapshotReader,
  registrations: readonly Registration[],
): { matches: Match[]; missing: string[] } {
  const matches: Match[] = [];
  const missing: string[] = [];
  for (const registration of registrations) {
    const { name, formerly, version, migrate } = registration;
    const from = [name, ...formerly].map((candidate) => reader.state(candidate)).find((found) => found !== undefined);
    if (from === undefined) {
      missing.push(name);
      continue;
    }
    for (let step = from.version; step < version; step++) {
      if (migrate.has(step)) continue;
      const reason = `it has version ${from.version}, and there is no migration from ${step} to ${step + 1}; ` +
        `register it with { migrate: { ${step}: ... } }`;
      throw incompatible(uri, name, from.version, version, reason);
    }
    if (from.version > version) {
      const reason = `it has version ${from.version}, this program knows ${version}; update the program`;
      throw incompatible(uri, name, from.version, version, reason);
    }
    matches.push({ registration, from });
  }
  return { matches, missing };
}

function incompatible(uri: string, state: string, found: number, supported: number, reason: string): SnapshotError {
  return new SnapshotError("STATE_INCOMPATIBLE", `Cannot load the state "${state}" of ${showAddress(uri)}: ${reason}`, {
    uri,
    state,
    found,
    supported,
  });
}

/** The state in the program's version: each migration reads what the one before wrote. */
async function migrated(uri: string, { registration, from }: Match, store: object): Promise<StateReader> {
  const { name, version, migrate } = registration;
  let current = from;
  for (let step = from.version; step < version; step++) {
    const source = new WatchedReader(current);
    const migration: Registration = {
      ...registration,
      version: step + 1,
      state: { saveState: (out) => migrate.get(step)?.(source, out), loadState() {} },
    };
    try {
      current = (await inMemory([migration], store, uri)).state(name) as StateReader;
      source.assertAwaited();
    } catch (cause) {
      const reason = source.reasonOf(cause);
      const message = `Cannot migrate the state "${name}" of ${showAddress(uri)} from version ${step}: ${reason}`;
      throw new SnapshotError("STATE_INCOMPATIBLE", message, {
        uri,
        state: name,
        found: from.version,
        supported: version,
      }, { cause });
    }
  }
  return current;
}

/** Saves states into memory, and opens what was saved. */
async function inMemory(
  registrations: readonly Registration[],
  store: object,
  uri = "memory",
): Promise<SnapshotReader> {
  const backend = memoryBackend();
  const unit = "memory.state/";
  const capture = new Capture(registrations, new CaptureMemory({ isReused: false }), { store });
  try {
    const savedAt = new Date();
    const facts = { name: "memory.state", savedAt, states: registrations, parent: null, labels: {} };
    const stage = await backend.stage(unit);
    const written = await directoryLayout.write(stage, capture.entries(), { savedAt, signal: capture.signal });
    await written.publish(await inSlices(sealing(facts, written.entries)));
  } catch (error) {
    throw capture.fail(error);
  } finally {
    capture.close();
  }
  return new SnapshotReader(uri, await directoryLayout.open(backend, unit), () => Promise.resolve(false));
}

async function applyAll(
  uri: string,
  matches: readonly Match[],
  registrations: readonly Registration[],
  isReversible: boolean,
  { store, onTorn }: LoadingStore,
): Promise<string[]> {
  const kept = matches.map(({ registration }) => registration).filter(({ state }) => state.undoLoad === undefined);
  const before = isReversible ? await inMemory(kept, store) : undefined;
  const loaded: string[] = [];
  const fail = async (name: string, cause: unknown, from?: WatchedReader): Promise<never> => {
    const message = `Cannot load the state "${name}" of ${showAddress(uri)}: ${
      from === undefined ? reasonOf(cause) : from.reasonOf(cause)
    }`;
    if (before === undefined) {
      onTorn([...new Set([...loaded, name])]);
      throw new SnapshotError("STATE_LOAD_FAILED", message, { uri, state: name, loaded }, { cause });
    }
    const failures = await putBack(before, matches.slice(0, loaded.length + 1), store);
    onTorn(failures.map(({ name }) => name));
    const stillLoaded = failures.length === 0 ? [] : loaded;
    const reason = failures.length === 0 ? cause : new AggregateError(
      [cause, ...failures.map(({ error }) => error)],
      "it failed, and so did putting states back",
    );
    const what = failures.length === 0 ? "; all states were put back" : "; some states could not be put back";
    throw new SnapshotError("STATE_LOAD_FAILED", message + what, { uri, state: name, loaded: stillLoaded }, {
      cause: reason,
    });
  };
  for (const { registration: { name, state }, from } of matches) {
    const watched = new WatchedReader(from);
    try {
      await callState(store, () => state.loadState(watched));
      watched.assertAwaited();
    } catch (cause) {
      return await fail(name, cause, watched);
    }
    loaded.push(name);
  }
  await tellLoaded(registrations, store, fail);
  return loaded;
}

/** Calls `onLoaded` of all states, after a load or where there was nothing to load. Stops at an error that `fail` throws. */
export async function tellLoaded(
  registrations: readonly Registration[],
  store: object,
  fail: (name: string, cause: unknown) => Promise<void>,
): Promise<void> {
  for (const { name, state } of registrations) {
    if (state.onLoaded === undefined) continue;
    await callState(store, () => state.onLoaded?.()).catch((cause: unknown) => fail(name, cause));
  }
}

/** Makes the error of a state that fails where there was nothing to load. */
export function failedAfresh(uri: string): (name: string, cause: unknown) => Promise<never> {
  return (name, cause) => {
    const message = `Cannot begin with the state "${name}" of ${showAddress(uri)}: ${reasonOf(cause)}`;
    throw new SnapshotError("STATE_LOAD_FAILED", message, { uri, state: name, loaded: [] }, { cause });
  };
}

/** Loads states as they were before, the last one first, as one may have changed what an earlier one holds; tries all. */
async function putBack(
  before: SnapshotReader,
  matches: readonly Match[],
  store: object,
): Promise<{ readonly name: string; readonly error: unknown }[]> {
  const failures: { readonly name: string; readonly error: unknown }[] = [];
  for (const { registration: { name, state } } of [...matches].reverse()) {
    try {
      await callState(
        store,
        () => state.undoLoad === undefined ? state.loadState(before.state(name) as StateReader) : state.undoLoad(),
      );
    } catch (error) {
      failures.push({ name, error });
    }
  }
  const failed = new Set(failures.map(({ name }) => name));
  const restored = matches.map(({ registration }) => registration).filter(({ name }) => !failed.has(name));
  await tellLoaded(restored, store, (name, error) => {
    failures.push({ name, error });
    return Promise.resolve();
  });
  return failures;
}
