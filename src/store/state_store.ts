// The front of the house: registers states, saves them all as one snapshot, loads one back. The way of a save is
// capture -> claim a name -> layout writes -> publish; the way of a load is open -> match -> verify -> loadState.
import { type Durability, fileBackend, pathOfUri } from "../file/file_backend.ts";
import { STALE_AFTER_MS } from "../model/backend.ts";
import { ARCHIVE_OPTIONS, type ArchiveKind, type ArchiveOptions } from "../layout/archive_layout.ts";
import { LABEL_NAMES, storableLabels } from "../manifest/labels.ts";
import type { Backend } from "../model/backend.ts";
import { assertStateName, collisionKey } from "../model/entry_path.ts";
import { SnapshotError } from "../model/errors.ts";
import { loggerOf, warnUser } from "../runtime/logging.ts";
import { assertOptions, type OptionNames, SIGNAL_OPTION } from "../model/options.ts";
import { show } from "../model/show.ts";
import type { Labels, Layout } from "../model/snapshot.ts";
import { DEFAULT_NAME_FORMAT, SnapshotNameFormat } from "../model/snapshot_name.ts";
import { isReadableStream } from "../runtime/sources.ts";
import type { PersistentState } from "../model/state.ts";
import { type LayoutKind, splitUnit } from "../model/unit.ts";
import type { Registration, SavePhase, SaveProgress, StateMigration } from "./capture.ts";
import { leastBytesOf, openStream, writeCopy } from "../snapshot/copying.ts";
import { archiveLayoutOf, layoutOfKind } from "../layout/layouts.ts";
import { isLocator, locate, SnapshotLocator } from "../snapshot/locator.ts";
import type { SnapshotReader } from "../snapshot/snapshot_reader.ts";
import { listSnapshots } from "../snapshot/listing.ts";
import { assertLoadOptions, LOAD_OPTIONS, type LoadedStates, type LoadOptions, loadStates } from "./loading.ts";
import { NameClaimer } from "./name_claimer.ts";
import { assertProgram, programsOf, runOf } from "./identity.ts";
import { assertNotInside } from "./inside.ts";
import { lastRunOf } from "./last_run.ts";
import { Lineage } from "./lineage.ts";
import { assertResumeOptions, resumeFrom, type ResumeOptions, type ResumeReport, type Unlisted } from "./resuming.ts";
import { type KnownSnapshot, Saver } from "./saving.ts";
import { assertVerifyOptions, type VerifyOptions, type VerifyReport } from "../snapshot/verification.ts";
import { verifyAll } from "./verifying_all.ts";

/** Where a store keeps its snapshots: a folder's path (a relative one is made absolute at once) or `file:` URL, or a backend. */
export type StoreLocation = string | URL | Backend;

/** How a {@link StateStore} names and arranges snapshots. */
export interface StateStoreOptions {
  /**
   * Format of snapshot names, as strftime in UTC: fields from `%Y` on, coarse to fine.
   *
   * @default `%Y-%m-%d_%H-%M-%S,%f.state`
   */
  readonly stateNameFormat?: string;
  /**
   * Layout of new snapshots. Cost: `directory` syncs every file; archives compress, and sync twice.
   *
   * @default "directory"
   */
  readonly layout?: LayoutKind;
  /**
   * How archives are written.
   *
   * @default the defaults of `ArchiveOptions`
   */
  readonly archive?: ArchiveOptions;
  /**
   * Durability of a store in a folder; see `FileBackendOptions`. Cost: see there.
   *
   * @default "full"
   */
  readonly durability?: Durability;
  /**
   * Returns the current time in milliseconds since 1970; may have a fraction.
   *
   * @default Date.now
   */
  readonly now?: () => number;
  /**
   * Name of the program, recorded in each snapshot. Of several names, the first is recorded, and snapshots of all
   * are accepted. `resume()` and keepers reject snapshots of other programs with `PROGRAM_MISMATCH`.
   *
   * @default none: accepts all
   */
  readonly program?: string | readonly string[];
  /**
   * Id of this run of the program, recorded in each snapshot.
   *
   * @default random
   */
  readonly run?: string;
  /**
   * If true, a save fails with `STORE_SHARED` if another run has saved to the folder since this store last listed
   * it. If false, the store warns once.
   *
   * @default false
   */
  readonly exclusive?: boolean;
  /**
   * Calls {@link StateStore.startFresh} when the store is made.
   *
   * @default false
   */
  readonly startFresh?: boolean;
  /**
   * Maximum number of waiting saves; one more fails with `SAVE_BACKLOG`. Cost: each waiting save that is not joined
   * runs.
   *
   * @default 100
   */
  readonly maxWaiting?: number;
}

/** The options of a store. */
export const STORE_OPTIONS: OptionNames<StateStoreOptions> = {
  stateNameFormat: "a string",
  layout: true,
  archive: ARCHIVE_OPTIONS,
  durability: true,
  now: "a function",
  program: true,
  run: true,
  exclusive: "true or false",
  startFresh: "true or false",
  maxWaiting: true,
};

/** How a state is registered. */
export interface RegisterOptions {
  /**
   * Version of the data that the state writes, recorded and passed to `loadState`.
   *
   * @default 1
   */
  readonly version?: number;
  /**
   * Migrations by version: `migrate[1]` reads version 1 and writes version 2. Entries that it does not write are
   * dropped. Migrations run before any state changes. Cost: migrated entries are held in memory.
   *
   * @default none
   */
  readonly migrate?: Readonly<Record<number, StateMigration>>;
  /**
   * Former names of the state. They are tried in this order if the snapshot lacks the current name.
   *
   * @default none
   */
  readonly formerly?: readonly string[];
}

const REGISTER_OPTIONS: OptionNames<RegisterOptions> = { version: true, migrate: "an object", formerly: true };

/** How a snapshot is saved. */
export interface SaveOptions {
  /**
   * Layout of the snapshot.
   *
   * @default the layout of the store
   */
  readonly layout?: LayoutKind;
  /**
   * Labels of the snapshot.
   *
   * @default none
   */
  readonly labels?: Labels;
  /**
   * Aborts the save, also while it waits for another. Nothing becomes visible, and it rejects with the reason of the
   * signal. After the commit has begun it has no effect: the save resolves.
   *
   * @default none
   */
  readonly signal?: AbortSignal;
  /**
   * Called after each chunk and entry; the last call has the totals.
   *
   * @default none
   */
  readonly onProgress?: (progress: SaveProgress) => void;
  /**
   * Called once for each {@link SavePhase} that the save reaches, in order. An error that it throws fails the save.
   *
   * @default none
   */
  readonly onPhase?: (phase: SavePhase) => void;
  /**
   * What to do while a save or load of this store runs or waits. `wait` saves after it. `join` shares the outcome of
   * a waiting save with equal layout and labels, if there is one. `skip` resolves to `undefined`.
   *
   * @default "wait"
   */
  readonly ifBusy?: "wait" | "join" | "skip";
  /**
   * With `skip`, publishes nothing and resolves to `undefined` if states, versions, entries and labels equal those
   * of the last snapshot that this store saved, and that one is still the newest. Cost: the states are captured and
   * written all the same.
   *
   * @default none: always publishes
   */
  readonly ifUnchanged?: "skip";
}

/** How a snapshot is streamed. */
export interface StreamOptions extends Omit<SaveOptions, "layout" | "ifBusy" | "ifUnchanged"> {
  /**
   * Layout of the archive.
   *
   * @default the layout of the store if it is an archive, else `tar.gz`
   */
  readonly layout?: ArchiveKind;
}

const STREAM_OPTIONS: OptionNames<StreamOptions> = {
  layout: true,
  labels: LABEL_NAMES,
  signal: "an AbortSignal",
  onProgress: "a function",
  onPhase: "a function",
};
const SAVE_OPTIONS: OptionNames<SaveOptions> = { ...STREAM_OPTIONS, ifBusy: true, ifUnchanged: true };

/** A snapshot going out as one archive. */
export interface StateStream {
  /** Name of the snapshot. */
  readonly name: string;
  /** Name with the suffix of the archive. */
  readonly fileName: string;
  /** Media type, such as `application/gzip`. */
  readonly mediaType: string;
  /** The archive. */
  readonly body: ReadableStream<Uint8Array>;
}

/** How a snapshot is imported. */
export interface ImportOptions {
  /**
   * Layout of the imported snapshot.
   *
   * @default the layout of the source; for a plain tar that of the store
   */
  readonly layout?: LayoutKind;
  /**
   * Aborts the import; rejects with the reason of the signal.
   *
   * @default none
   */
  readonly signal?: AbortSignal;
}

const IMPORT_OPTIONS: OptionNames<ImportOptions> = { layout: true, signal: "an AbortSignal" };
const SWEEP_OPTIONS = { olderThanMs: true } as const;

/** What a load did. */
export interface LoadReport extends LoadedStates {
  /** Address of the snapshot that was loaded; absent where it came as a stream. */
  readonly snapshot?: SnapshotLocator;
  /** Its name, as it was saved. */
  readonly name: string;
}

/**
 * Saves the registered states as snapshots, and loads them back (pamiq-core's `StateStore`).
 *
 * A snapshot is complete or absent, whatever ends the program. Several stores, also of several programs, may use one
 * folder.
 *
 * @example Save and load
 * ```ts
 * import { StateStore } from "snapkeep";
 *
 * let weights = new Float32Array([1, 2, 3]);
 * const store = new StateStore("states").register("model", {
 *   saveState: (out) => out.write("weights.bin", weights),
 *   async loadState(from) {
 *     weights = new Float32Array((await from.bytes("weights.bin")).buffer);
 *   },
 * });
 * const snapshot = await store.saveState();
 * console.log(`saved ${snapshot}`);
 * await store.loadState(snapshot);
 * ```
 */
export class StateStore {
  /** Where the snapshots lie. */
  readonly backend: Backend;
  readonly #format: SnapshotNameFormat;
  readonly #names: NameClaimer;
  readonly #layout: LayoutKind;
  readonly #archive: ArchiveOptions;
  /** The clock, in milliseconds since 1970; keepers plan by it too. */
  readonly now: () => number;
  /** Names of the programs whose snapshots this store takes for its own; it records the first. */
  readonly programs: readonly string[];
  /** Id of this run, as recorded in each snapshot. */
  readonly run: string;
  readonly #states = new Map<string, Registration>();
  /** Names of the states by what file systems may take them for. */
  readonly #namesByKey = new Map<string, string>();
  readonly #log = loggerOf("StateStore");
  readonly #lineage: Lineage;
  readonly #saver: Saver;
  #hasWarned = false;

  /**
   * Makes a store. Reads and creates nothing; the first save creates a missing folder.
   *
   * @param where Folder or backend.
   * @param options Names, layout, durability, clock.
   * @throws {RangeError} If names of the format would not sort by time.
   * @throws {TypeError} If an option does not exist, `durability` is given beside a backend, or the place is `~` or begins with
   *   `~/`. A place that is a snapshot, or inside one, is refused by the first call that lists or writes.
   */
  constructor(where: StoreLocation, options: StateStoreOptions = {}) {
    assertOptions("make a store", options, STORE_OPTIONS);
    const { durability } = options;
    if (typeof where === "string" || where instanceof URL) {
      this.backend = fileBackend(where, durability === undefined ? {} : { durability });
    } else if (typeof where?.stage !== "function") {
      throw new TypeError(
        `Cannot make a store of ${show(where)}: expected a folder's path, a file: URL or a backend`,
      );
    } else if (durability === undefined) this.backend = where;
    else throw new TypeError("Cannot set the durability of a backend that was made elsewhere");
    this.#format = new SnapshotNameFormat(options.stateNameFormat ?? DEFAULT_NAME_FORMAT);
    this.#names = new NameClaimer(this.backend, this.#format);
    this.#layout = options.layout ?? "directory";
    this.#archive = options.archive ?? {};
    this.#layoutFor(options); // refuses unknown words before anything is saved
    this.now = options.now ?? Date.now;
    this.programs = programsOf(options.program);
    this.run = runOf(options.run);
    this.#lineage = new Lineage(pathOfUri(this.backend.uri), this.run, options.exclusive ?? false);
    this.#saver = new Saver({
      store: this,
      backend: this.backend,
      names: this.#names,
      lineage: this.#lineage,
      program: this.programs[0],
      run: this.run,
      maxWaiting: countOf(options.maxWaiting ?? 100),
      now: this.now,
      states: () => [...this.#states.values()],
      sweep: () => this.sweep(),
    });
    if (options.startFresh) this.startFresh();
  }

  /** Names of the registered states, in order of registration. */
  get stateNames(): readonly string[] {
    return [...this.#states.keys()];
  }

  /**
   * Registers an object under a name. Its snapshots' share is the folder of that name.
   *
   * @param name One path segment, safe and portable.
   * @param state The object.
   * @param options Version of what it writes, migrations from older ones, former names.
   * @returns The store, to go on.
   * @throws {SnapshotError} `STATE_ALREADY_REGISTERED` for the same name or one that file systems may confuse with it,
   *   `NAME_UNSAFE`.
   * @throws {TypeError} If the object lacks `saveState` or `loadState`.
   * @throws {RangeError} If the version must be a whole number from 1 on, or a migration is from none before it.
   */
  register(name: string, state: PersistentState, options: RegisterOptions = {}): this {
    assertStateName(name);
    assertOptions(`register "${name}"`, options, REGISTER_OPTIONS);
    const { version = 1, migrate = {}, formerly = [] } = options;
    if (!Array.isArray(formerly)) throw new TypeError(`Cannot register "${name}": formerly must be an array of names`);
    if (!(Number.isSafeInteger(version) && version >= 1)) {
      throw new RangeError(`Cannot register "${name}": the version ${show(version)} must be a whole number from 1 on`);
    }
    if (typeof state?.saveState !== "function" || typeof state.loadState !== "function") {
      throw new TypeError(`Cannot register "${name}": it needs the methods saveState and loadState`);
    }
    const key = collisionKey(name);
    const registered = this.#namesByKey.get(key);
    if (registered !== undefined) {
      const reason = registered === name ? "there is a state of this name" : `it collides with "${registered}"`;
      throw new SnapshotError("STATE_ALREADY_REGISTERED", `Cannot register "${name}": ${reason}`, {
        state: name,
        registered,
      });
    }
    const migrations = new Map(Object.entries(migrate).map(([from, migration]) => [Number(from), migration]));
    for (const [from, migration] of migrations) {
      const isFitting = Number.isSafeInteger(from) && from >= 1 && from < version && typeof migration === "function";
      if (!isFitting) {
        throw new RangeError(
          `Cannot register "${name}": "${from}" must be a version below it, with a function`,
        );
      }
    }
    formerly.forEach(assertStateName);
    this.#states.set(name, { name, state, version, migrate: migrations, formerly });
    this.#lineage.registered({ name, formerly });
    this.#namesByKey.set(key, name);
    return this;
  }

  /**
   * Removes a state from the store; snapshots that hold it do not change.
   *
   * @param name Name it was registered under.
   * @returns Whether there was one.
   */
  unregister(name: string): boolean {
    if (!this.#states.delete(name)) return false;
    this.#lineage.unregistered(name);
    return this.#namesByKey.delete(collisionKey(name));
  }

  /**
   * Allows saves of the current data of the states, whatever the folder holds: clears `RESUME_FIRST`, `STATES_TORN`,
   * `STATE_NOT_LOADED` and `STORE_SHARED`, until a later load fails or another run saves.
   *
   * The next save takes all snapshots in the folder for known. Nothing is read or removed.
   */
  startFresh(): void {
    this.#lineage.startFresh();
  }

  /**
   * Saves all registered states as one new snapshot.
   *
   * Calls all `saveState` methods before this call returns, unless another save of this store is running: then it starts after
   * that one. The name sorts after all names in the folder. When it resolves, the snapshot is visible and complete, and with
   * durability `full` it survives power loss. If it rejects, nothing became visible and older snapshots are unchanged, except
   * for `COMMIT_UNCERTAIN`.
   *
   * @param options Layout, labels, progress, signal.
   * @returns Address of the new snapshot.
   * @throws {SnapshotError} `STATE_SAVE_FAILED` with the state's error as cause, `ENTRY_PATH_UNSAFE`, `ENTRY_EXISTS`,
   *   `ENTRY_SIZE_MISMATCH`, `STORAGE_FULL`, `STORAGE_FAILED`, `STAGE_LOST`, `COMMIT_UNCERTAIN`, `NAMES_EXHAUSTED`.
   */
  saveState(options?: SaveOptions & { readonly ifBusy?: "wait" | "join"; readonly ifUnchanged?: never }): Promise<
    SnapshotLocator
  >;
  /**
   * Saves all registered states, unless the save is skipped.
   *
   * @param options As above.
   * @returns Address of the new snapshot; `undefined` if `ifBusy` or `ifUnchanged` left it out.
   */
  saveState(options: SaveOptions): Promise<SnapshotLocator | undefined>;
  async saveState(options: SaveOptions = {}): Promise<SnapshotLocator | undefined> {
    assertOptions("save", options, SAVE_OPTIONS);
    this.#warnIfEmpty("save");
    const layout = this.#layoutFor(options);
    assertNotInside(this, "save");
    assertWord("ifBusy", options.ifBusy, ["wait", "join", "skip"]);
    assertWord("ifUnchanged", options.ifUnchanged, ["skip"]);
    return await this.#saver.save({ layout, labels: storableLabels(options.labels ?? {}), options });
  }

  /**
   * Captures all registered states and returns them as a stream of one archive; stores nothing.
   *
   * Calls all `saveState` methods before this call returns, also while a save is running. If a state fails, or the stream is
   * cancelled, the part that was sent never verifies.
   *
   * @param options Layout (also `tar`, without compression), labels, progress, signal.
   * @returns The snapshot's name, and the archive with the data for an HTTP response.
   * @example Serve the states of a running program
   * ```ts
   * import { memoryBackend, StateStore } from "snapkeep";
   *
   * const store = new StateStore(memoryBackend());
   * const { body, mediaType, fileName } = store.streamState();
   * const headers = { "content-type": mediaType, "content-disposition": `attachment; filename="${fileName}"` };
   * const response = new Response(body, { headers });
   * if (response.body !== null) await store.loadState(response.body);
   * ```
   */
  streamState(options: StreamOptions = {}): StateStream {
    assertOptions("stream", options, STREAM_OPTIONS);
    this.#warnIfEmpty("stream");
    const layout = archiveLayoutOf(
      options.layout ?? (this.#layout === "directory" ? "tar.gz" : this.#layout),
      this.#archive,
    );
    assertNotInside(this, "stream");
    const labels = storableLabels(options.labels ?? {});
    options.signal?.throwIfAborted();
    const { name, body } = this.#saver.stream(layout, labels, options);
    return { name, fileName: name + layout.suffix, mediaType: layout.mediaType, body };
  }

  /**
   * Copies a snapshot into the store, under the name it was saved with: an archive, a directory, or a stream of an archive.
   *
   * Verifies everything first. Accepts archives that other tools made of a snapshot's folder.
   *
   * @param from Path, `file:` URL, locator or stream.
   * @param options Layout it is to have here. Default: that of the source; of a plain tar, the store's own.
   * @returns Its address in this store.
   * @throws {SnapshotError} `SNAPSHOT_EXISTS` if the name is taken, `ARCHIVE_REJECTED`, `MANIFEST_MISSING` and other damage,
   *   `NAMES_EXHAUSTED` if no name of this store could follow it; nothing became visible.
   */
  async importSnapshot(
    from: SnapshotLocator | string | URL | ReadableStream<Uint8Array>,
    options: ImportOptions = {},
  ): Promise<SnapshotLocator> {
    assertOptions("import", options, IMPORT_OPTIONS);
    this.#layoutFor(options); // refuses unknown words before anything is read
    options.signal?.throwIfAborted();
    const source = isReadableStream(from) ? undefined : isLocator(from) ? from : locate(from);
    const reader = source === undefined
      ? await openStream(this.backend, from as ReadableStream<Uint8Array>, options)
      : await source.open();
    try {
      const layout = this.#layoutFor({
        layout: options.layout ?? (reader.layout === "tar" ? undefined : reader.layout),
      });
      await reader.verifyAll({ signal: options.signal });
      this.#names.assertCanFollow(reader.manifest.name);
      const labels = await source?.labels() ?? reader.manifest.labels;
      const stage = await this.backend.stage(reader.manifest.name + layout.suffix, {
        leastBytes: leastBytesOf(reader, layout),
      });
      await writeCopy(reader, layout, { backend: this.backend, stage, labels, signal: options.signal });
      this.#lineage.imported(reader.manifest.name);
      return new SnapshotLocator(this.backend, [stage.unit]);
    } finally {
      await reader.close();
    }
  }

  /**
   * Loads a snapshot into all registered states.
   *
   * Verifies the whole snapshot and finds every state in it before any state changes. Then it calls each `loadState` once, in
   * order of registration.
   *
   * @param from A locator, the path or `file:` URL of a snapshot, or a stream of an archive, which is spooled and verified
   *   first.
   * @param options What may be missing.
   * @throws {TypeError} If the stream is being read, or was read or handed over before.
   * @returns Which states were loaded, missing and ignored.
   * @throws {SnapshotError} `SNAPSHOT_NOT_FOUND`, `STATE_MISSING`, `STATE_INCOMPATIBLE`, `SNAPSHOT_CORRUPT` and other damage: no
   *   state was touched.
   *   `STATE_LOAD_FAILED`: a `loadState` threw; its details say which states were loaded before.
   */
  async loadState(
    from: SnapshotLocator | string | URL | ReadableStream<Uint8Array>,
    options: LoadOptions = {},
  ): Promise<LoadReport> {
    assertLoadOptions("load", options, LOAD_OPTIONS);
    this.#warnIfEmpty("load");
    options.signal?.throwIfAborted();
    assertNotInside(this, "load");
    const snapshot = isReadableStream(from) ? undefined : isLocator(from) ? from : locate(from);
    // A stream is taken in before the turn: it may be one of this store, which must end before a load begins.
    const spooled = isReadableStream(from) ? await openStream(this.backend, from, options) : undefined;
    return await this.#exclusively(options, spooled, async () => {
      if (snapshot === undefined) {
        const reader = spooled as SnapshotReader;
        return await this.#load(reader, options, await this.#newestSince(reader.manifest.name));
      }
      return { snapshot, ...await this.#open(snapshot, options, await this.#newestSince(snapshot.name)) };
    }, snapshot?.name);
  }

  /** Keeps saves, streams and other loads away, and the snapshot from retention. */
  async #exclusively<T>(
    { signal }: { readonly signal?: AbortSignal },
    spooled: SnapshotReader | undefined,
    load: () => Promise<T>,
    name?: string,
  ): Promise<T> {
    const endGuard = name === undefined ? undefined : this.#lineage.beginLoad(name);
    try {
      const turn = await this.#saver.access.enter("load", { signal });
      try {
        return await load();
      } finally {
        turn.end();
      }
    } finally {
      endGuard?.();
      await spooled?.close();
    }
  }

  /** The newest name at the place, where it is later than a snapshot's; else that. */
  async #newestSince(name: string): Promise<string | undefined> {
    const after = this.isTimedName(name) ? name : undefined;
    const names = (await this.#names.list(after)).map((listed) => listed.name);
    return names.reduce((newest, other) => newest !== undefined && newest > other ? newest : other, after);
  }

  async #open(
    snapshot: SnapshotLocator,
    options: LoadOptions,
    newest: string | undefined,
    isResume = false,
  ): Promise<LoadedStates & { readonly name: string }> {
    const endGuard = this.#lineage.beginLoad(snapshot.name);
    try {
      return await this.#load(await snapshot.open(), options, newest, snapshot, isResume);
    } finally {
      endGuard();
    }
  }

  async #load(
    reader: SnapshotReader,
    options: LoadOptions,
    newest: string | undefined,
    snapshot?: SnapshotLocator,
    isResume = false,
  ): Promise<LoadedStates & { readonly name: string }> {
    let manifest;
    try {
      ({ manifest } = reader); // which may break its own rules, as is found only now
      if (isResume) assertProgram("resume from", String(snapshot), this.programs, manifest.program);
    } catch (error) {
      await reader.close();
      throw error;
    }
    const { name } = manifest;
    const registrations = [...this.#states.values()];
    const states = await loadStates(String(snapshot ?? name), reader, registrations, options, {
      store: this,
      onTorn: (torn) => this.#lineage.tore(torn),
    });
    this.#lineage.finishedLoad({
      savedAs: name, // lineage outlives the place, and copies under other names
      name: snapshot?.name ?? name, // keepers go by the name at the place
      states: manifest.states.map((state) => state.name),
      loaded: states.loaded,
      isFull: options.only === undefined,
      registered: new Set(registrations.map((registration) => registration.name)),
      newest,
    }, [...this.#states.values()]);
    const { savedAt, labels: { step }, totals: { sizeBytes } } = manifest;
    if (options.only === undefined) {
      this.#saver.lastKnown = { name: snapshot?.name ?? name, savedAt: new Date(savedAt), step, sizeBytes };
    }
    return { name, ...states };
  }

  /**
   * Loads the newest complete snapshot.
   *
   * Skips damaged snapshots; each is logged and reported with its reason. Any other obstacle (missing states, unknown versions,
   * storage out of reach) is an error, because an older snapshot, or none, would lose work silently.
   *
   * @param options Which snapshot, if not the newest; and options of {@link StateStore.loadState}.
   * @returns `resumed`, or `fresh` if there is no snapshot; with the snapshots that were tried before.
   * @throws {SnapshotError} `RESUME_REFUSED` if there are snapshots and none can be used, if the newest complete one is
   *   incompatible, if there are none but keepsakes or folders that are named like snapshots and have no manifest, or if the storage
   *   is out of reach; its details say what was tried. `STATE_LOAD_FAILED` if a `loadState` threw.
   * @example
   * ```ts
   * import { StateStore } from "snapkeep";
   *
   * const { outcome, snapshot, tried } = await new StateStore("states").resume();
   * console.log(outcome, String(snapshot ?? ""), tried.map(({ reason }) => reason));
   * ```
   */
  async resume(options: ResumeOptions = {}): Promise<ResumeReport> {
    assertResumeOptions(options);
    this.#warnIfEmpty("resume");
    options.signal?.throwIfAborted();
    assertNotInside(this, "resume");
    return await this.#exclusively(options, undefined, async () => {
      let newest: string | undefined;
      const report = await resumeFrom({
        uri: pathOfUri(this.backend.uri),
        list: async () => {
          const listed = await this.list();
          newest = listed.at(-1)?.name;
          return listed;
        },
        snapshot: (name: string) => this.snapshot(name),
        load: (snapshot: SnapshotLocator) => this.#open(snapshot, options, newest, true),
        unlisted: () => this.#unlisted(),
      }, options);
      if (report.outcome === "fresh") this.#lineage.resumedFresh();
      const lastRun = await lastRunOf(this.backend, this, report.outcome === "fresh" ? undefined : this.lastKnown);
      return { ...report, ...lastRun === undefined ? {} : { lastRun } };
    }, options.name);
  }

  /**
   * Name, at the place it lies, of the snapshot that this store loaded last without `only`, until it has saved a newer one.
   * The manifests of later snapshots have as `parent` the name it was saved with.
   */
  get resumedFrom(): string | undefined {
    return this.#lineage.resumedFrom;
  }

  /** Whether `resume()` or `loadState()` has fulfilled, `startFresh()` was called, or a snapshot was saved. */
  get hasBegun(): boolean {
    return this.#lineage.hasBegun;
  }

  /** The snapshot that this store saved last, or has loaded since without `only`. */
  get lastKnown(): KnownSnapshot | undefined {
    return this.#saver.lastKnown;
  }

  /**
   * Names of the snapshots that retention must keep for this program, each with its reason: those being loaded, and those
   * loaded since the last save.
   */
  get guards(): ReadonlyMap<string, string> {
    return this.#lineage.guards;
  }

  /**
   * Returns the time that a name stands for.
   *
   * @param name The name of a snapshot.
   * @returns Milliseconds since 1970; NaN where the name has another format than this store's.
   */
  timeOf(name: string): number {
    const timeUs = this.#format.parse(name);
    return timeUs === undefined ? NaN : Number(timeUs) / 1000;
  }

  /**
   * Tells whether a name has this store's format, so that it counts among its snapshots.
   *
   * @param name The name of a snapshot.
   * @returns Whether it has; other names are keepsakes.
   */
  isTimedName(name: string): boolean {
    return this.#format.parse(name) !== undefined;
  }

  /**
   * Returns all committed snapshots whose names have this store's format, in every layout.
   *
   * Opens none of them, so damaged ones are listed too. Does not list unfinished, foreign or otherwise named ones.
   *
   * @param options Aborts the listing.
   * @returns Their addresses, oldest first; none where the place does not exist.
   * @throws {SnapshotError} `STORAGE_FAILED`.
   */
  async list(options: { readonly signal?: AbortSignal } = {}): Promise<SnapshotLocator[]> {
    assertOptions("list snapshots", options, SIGNAL_OPTION);
    return (await listSnapshots(this.backend, options)).filter(({ name }) => this.isTimedName(name));
  }

  /**
   * Returns the newest committed snapshot, by name.
   *
   * @returns Its address, or `undefined` where there is none.
   * @throws {SnapshotError} `STORAGE_FAILED`.
   */
  async latest(): Promise<SnapshotLocator | undefined> {
    return (await this.list()).at(-1);
  }

  /**
   * Returns the committed snapshot of a name, in any layout; also a keepsake, whose name has another format.
   *
   * @param name The name, without the suffix of an archive.
   * @returns Its address, or `undefined` where there is none.
   * @throws {SnapshotError} `STORAGE_FAILED`.
   */
  async snapshot(name: string): Promise<SnapshotLocator | undefined> {
    return (await listSnapshots(this.backend)).find((locator) => locator.name === name);
  }

  /**
   * Verifies every committed snapshot at the place, keepsakes too, in each layout it lies in; and tells of folders that are named
   * like this store's snapshots and lack a manifest, which no store lists. Repairs and deletes nothing.
   *
   * A few are read at once, in bounded memory. Beyond what {@link SnapshotLocator.verify} finds, it tells where a name of this
   * store's format is not the one the snapshot was saved with, and where a name holds different states in two layouts. Where the
   * storage fails for one snapshot, that is a finding (`unreadable`), and the others are verified. What vanishes meanwhile, and
   * what is being saved, is left out.
   *
   * @param options How thoroughly; signal.
   * @returns One report per snapshot and layout, oldest first by name.
   * @throws {SnapshotError} `STORAGE_FAILED` if the place cannot be listed.
   * @example Scrub a place once in a while
   * ```ts
   * import { StateStore } from "snapkeep";
   *
   * const store = new StateStore("states");
   * await store.saveState();
   * for (const { uri, findings } of await store.verify({ mode: "quick" })) {
   *   for (const { step, problem, path } of findings) console.warn(`${uri}: ${step}, "${path}" is ${problem}`);
   * }
   * ```
   */
  async verify(options: VerifyOptions = {}): Promise<VerifyReport[]> {
    assertVerifyOptions(options);
    const snapshots = [...await listSnapshots(this.backend, options), ...await this.#bare()];
    return await verifyAll(
      snapshots.sort((a, b) => a.name < b.name ? -1 : 1),
      (name) => this.isTimedName(name),
      options,
    );
  }

  /**
   * Removes what dead writers and unfinished removals left: stages without a recent heartbeat, scratch files, trash.
   *
   * Saving does it by itself, at first and every ten minutes. Safe beside this program's own writers, and beside others' as long as
   * their event loops stand still for no longer than `olderThanMs` less 5 seconds.
   *
   * @param options How old the heartbeat of a writer may be, in milliseconds. Default: ten minutes. Below zero, it
   *   removes what living writers have, too.
   * @returns Names of the snapshots that were never finished.
   * @throws {SnapshotError} `STORAGE_FAILED`.
   * @throws {RangeError} If `olderThanMs` is no number.
   */
  async sweep(options: { readonly olderThanMs?: number } = {}): Promise<string[]> {
    assertOptions("sweep", options, SWEEP_OPTIONS);
    const { olderThanMs = STALE_AFTER_MS } = options;
    if (typeof olderThanMs !== "number" || Number.isNaN(olderThanMs)) {
      throw new RangeError(`Cannot sweep what is older than ${show(olderThanMs)} ms: it must be a number`);
    }
    const units = await this.backend.sweep(olderThanMs);
    const names = units.map((unit) => splitUnit(unit)?.name ?? unit);
    for (const name of names) this.#log.info("Swept: '{name}' was never finished", { name });
    return names;
  }

  /** Warns once where no state is registered: pamiq-core allows it, and it is nearly always a mistake. */
  #warnIfEmpty(action: string): void {
    if (this.#states.size > 0 || this.#hasWarned) return;
    this.#hasWarned = true;
    const address = pathOfUri(this.backend.uri);
    const message =
      `No state is registered in the store of "${address}": there is nothing to ${action}; call store.register() first`;
    warnUser({ className: "StateStore", kind: "NOTHING_REGISTERED", address, message });
  }

  #layoutFor({ layout = this.#layout }: { readonly layout?: LayoutKind | undefined }): Layout {
    if (layout === "tar") {
      throw new TypeError(
        'Cannot keep the layout "tar" in a store: it has no compression; export or stream it, or use "directory"',
      );
    }
    return layoutOfKind(layout, this.#archive);
  }

  /** What {@link StateStore.list} passes over and yet might be this program's: keepsakes, and folders named like a snapshot. */
  async #unlisted(): Promise<Unlisted> {
    const keepsakes = (await listSnapshots(this.backend)).filter(({ name }) => !this.isTimedName(name));
    return { keepsakes, bare: await this.#bare() };
  }

  /** Folders whose names have this store's format, and which lack a manifest. */
  async #bare(): Promise<SnapshotLocator[]> {
    const found: SnapshotLocator[] = [];
    for await (const { name } of this.backend.foreign?.list() ?? []) {
      if (this.isTimedName(name)) found.push(new SnapshotLocator(this.backend, [`${name}/`]));
    }
    return found;
  }
}

function countOf(maxWaiting: number): number {
  if (Number.isSafeInteger(maxWaiting) && maxWaiting >= 0 || maxWaiting === Infinity) return maxWaiting;
  throw new RangeError(
    `Cannot make a store: maxWaiting must be a whole number from 0 on, but is ${String(maxWaiting)}`,
  );
}

function assertWord(option: string, value: string | undefined, words: readonly string[]): void {
  if (value === undefined || words.includes(value)) return;
  const known = words.map((word) => `"${word}"`).join(", ");
  throw new TypeError(`Cannot save: ${option} must be one of ${known}, but is ${JSON.stringify(value)}`);
}
