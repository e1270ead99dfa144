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
import type { Registration, SaveProgress, StateMigration } from "./capture.ts";
import { leastBytesOf, openStream, writeCopy } from "../snapshot/copying.ts";
import { archiveLayoutOf, layoutOfKind } from "../layout/layouts.ts";
import { isLocator, locate, SnapshotLocator } from "../snapshot/locator.ts";
import { differenceOfStates, type SnapshotDifference } from "../snapshot/difference.ts";
import type { SnapshotReader } from "../snapshot/snapshot_reader.ts";
import { listSnapshots } from "../snapshot/listing.ts";
import { assertLoadOptions, LOAD_OPTIONS, type LoadedStates, type LoadOptions, loadStates } from "./loading.ts";
import { NameClaimer } from "./name_claimer.ts";
import { assertProgram, programsOf, runOf } from "./identity.ts";
import { assertNotInside } from "./inside.ts";
import { Lineage } from "./lineage.ts";
import { assertResumeOptions, resumeFrom, type ResumeOptions, type ResumeReport, type Unlisted } from "./resuming.ts";
import { Saver } from "./saving.ts";
import { assertVerifyOptions, type VerifyOptions, type VerifyReport } from "../snapshot/verification.ts";
import { verifyAll } from "./verifying_all.ts";

/** Where a store keeps its snapshots: a folder's path (a relative one is made absolute at once) or `file:` URL, or a backend. */
export type StoreLocation = string | URL | Backend;

/** How a {@link StateStore} names and arranges snapshots. */
export interface StateStoreOptions {
  /** Format of names, as strftime in UTC; fields from `%Y` on, coarse to fine. Default `%Y-%m-%d_%H-%M-%S,%f.state`. */
  readonly stateNameFormat?: string;
  /** How snapshots are arranged unless a save says otherwise. Default `directory`. */
  readonly layout?: LayoutKind;
  /** How archives are made: level, sizes of members. */
  readonly archive?: ArchiveOptions;
  /** For a folder: whether snapshots are to survive power loss (`full`, the default) or only the program (`none`). */
  readonly durability?: Durability;
  /** The clock, in milliseconds since 1970, perhaps with a fraction. Default `Date.now`. */
  readonly now?: () => number;
  /**
   * Name of the program, recorded in each snapshot; of several names the first is recorded, and snapshots of all are accepted.
   * `resume()` and keepers refuse snapshots of other programs with `PROGRAM_MISMATCH`. Default: none, which accepts all.
   */
  readonly program?: string | readonly string[];
  /** Id of this run of the program, recorded in each snapshot. Default: random. */
  readonly run?: string;
  /**
   * Whether a save is refused with `STORE_SHARED` if another run has saved to the place since this store looked last. Default
   * false: the store warns once.
   */
  readonly exclusive?: boolean;
  /** Calls {@link StateStore.startFresh} when the store is made. Default false. */
  readonly startFresh?: boolean;
  /** How many saves may wait for others to end; one more is refused with `SAVE_BACKLOG`. Default 100. */
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
  /** Version of what the state writes; recorded, and told to `loadState`. Default 1. */
  readonly version?: number;
  /**
   * How to make the next version out of an older one: `migrate[1]` reads version 1 and writes version 2. What it does not write
   * is dropped; what it writes is held in memory. Run before any state is changed.
   */
  readonly migrate?: Readonly<Record<number, StateMigration>>;
  /** Names it was registered under before; looked for, in this order, where the snapshot lacks its name. */
  readonly formerly?: readonly string[];
}

const REGISTER_OPTIONS: OptionNames<RegisterOptions> = { version: true, migrate: "an object", formerly: true };

/** How a snapshot is saved. */
export interface SaveOptions {
  /** How it is arranged; the store's own unless given. */
  readonly layout?: LayoutKind;
  /** What to say about it. */
  readonly labels?: Labels;
  /**
   * Gives the save up, also while it waits for another; nothing becomes visible, and its reason is thrown. Once the commit has
   * begun it comes too late: the save resolves.
   */
  readonly signal?: AbortSignal;
  /** Told after every piece of data, and after every entry. */
  readonly onProgress?: (progress: SaveProgress) => void;
  /**
   * What to do while a save or load of this store runs or waits. `wait` (the default) saves after it. `join` shares the outcome
   * of a save that waits already with equal layout and labels, if there is one. `skip` resolves to `undefined`.
   */
  readonly ifBusy?: "wait" | "join" | "skip";
  /**
   * With `skip`, publishes nothing and resolves to `undefined` if states, versions, entries and labels equal those of the last
   * snapshot that this store saved, and that one is still the newest. The states are captured and written all the same.
   */
  readonly ifUnchanged?: "skip";
}

/** How a snapshot is streamed. */
export interface StreamOptions extends Omit<SaveOptions, "layout" | "ifBusy" | "ifUnchanged"> {
  /** Which archive. Default: the store's layout if that is an archive, else `tar.gz`. */
  readonly layout?: ArchiveKind;
}

const STREAM_OPTIONS: OptionNames<StreamOptions> = {
  layout: true,
  labels: LABEL_NAMES,
  signal: "an AbortSignal",
  onProgress: "a function",
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
  /** How it is arranged here. Default: as the source; a plain tar as the store says. */
  readonly layout?: LayoutKind;
  /** Gives up. */
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
 * A snapshot is absent or whole, never partial, whatever ends the program. Several stores, also of several programs, may
 * share one place.
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
   * Makes a store; nothing is read or made yet, and a missing folder is made by the first save.
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
        `Cannot make a store of ${show(where)}: a folder's path, a file: URL or a backend is wanted`,
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
   * @throws {RangeError} If the version is no whole number from 1 on, or a migration is from none before it.
   */
  register(name: string, state: PersistentState, options: RegisterOptions = {}): this {
    assertStateName(name);
    assertOptions(`register "${name}"`, options, REGISTER_OPTIONS);
    const { version = 1, migrate = {}, formerly = [] } = options;
    if (!Array.isArray(formerly)) throw new TypeError(`Cannot register "${name}": formerly is no list of names`);
    if (!(Number.isSafeInteger(version) && version >= 1)) {
      throw new RangeError(`Cannot register "${name}": the version ${show(version)} is no whole number from 1 on`);
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
          `Cannot register "${name}": "${from}" is no older version to migrate from, or has no function`,
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
   * Forgets a registered object; snapshots that hold it stay as they are.
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
   * Says that the program goes on from what its states hold now, whatever lies at the place: it ends `RESUME_FIRST`,
   * `STATES_TORN`, `STATE_NOT_LOADED` and `STORE_SHARED`, until a later load fails or another run saves.
   *
   * The next save takes all snapshots at the place for known. Nothing is read or removed.
   */
  startFresh(): void {
    this.#lineage.startFresh();
  }

  /**
   * Saves all registered states as one new snapshot.
   *
   * All `saveState` methods are called at once, before this call returns, unless another save of this store is running:
   * then this one starts after it. Its name is later than all names at the place. Once it resolves, the snapshot is visible
   * whole and (with durability `full`) survives power loss; if it rejects, nothing became visible and older snapshots are as
   * they were, but for `COMMIT_UNCERTAIN`.
   *
   * @param options Layout, labels, progress, giving up.
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
   * Saves all registered states as one archive that goes out as a stream; nothing stays in the store.
   *
   * All `saveState` methods are called at once, before this call returns, also while a save is running. If a state fails, or
   * the stream is cancelled, what was sent can never verify.
   *
   * @param options Layout (also `tar`, without compression), labels, progress, giving up.
   * @returns The snapshot's name, and the archive with what an HTTP response wants to know of it.
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
   * Everything is verified first. Archives that other tools made of a snapshot's folder are fine.
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
   * Nothing is changed before the whole snapshot was verified and every state was found in it; then each `loadState` is
   * called once, in order of registration.
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
    return { name, ...states };
  }

  /**
   * Goes on from the newest snapshot that is whole.
   *
   * Damaged snapshots are passed over, each with its reason recorded and logged; anything else that keeps the newest from
   * being loaded (states it lacks, versions the program does not know, storage out of reach) is an error, because going on from
   * something older, or from nothing, would lose work in silence.
   *
   * @param options Which one, if not the newest; and as of {@link StateStore.loadState}.
   * @returns `resumed`, or `fresh` where there is no snapshot at all; with all that were tried before.
   * @throws {SnapshotError} `RESUME_REFUSED` if there are snapshots and none can be used, if the newest whole one is
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
      return report;
    }, options.name);
  }

  /**
   * Tells what differs between a snapshot and the program now. Captures all registered states as a save does, and compares digests; writes
   * nothing, changes nothing, and reads no entry of the snapshot.
   *
   * @param snapshot A locator, or the path or `file:` URL of a snapshot.
   * @param options Aborts the comparison.
   * @returns What was added, changed and removed from the snapshot to the program. States are compared by the names they are registered
   *   under.
   * @throws {SnapshotError} `STATE_SAVE_FAILED` with the state's error as cause; `SNAPSHOT_NOT_FOUND`, `MANIFEST_INVALID`.
   * @example Is there anything to save?
   * ```ts
   * import { StateStore } from "snapkeep";
   *
   * let step = 1;
   * const store = new StateStore("states").register("step", { saveState: (out) => out.json("step.json", step), loadState() {} });
   * const snapshot = await store.saveState();
   * step = 2;
   * console.log((await store.compare(snapshot)).isEqual); // false
   * ```
   */
  async compare(
    snapshot: SnapshotLocator | string | URL,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<SnapshotDifference> {
    assertOptions("compare", options, SIGNAL_OPTION);
    this.#warnIfEmpty("compare");
    options.signal?.throwIfAborted();
    assertNotInside(this, "compare");
    const located = isLocator(snapshot) ? snapshot : locate(snapshot);
    // The states are called before anything is awaited: what they hand over belongs to the instant of the call.
    const [now, manifest] = await Promise.all([this.#saver.digest(options), located.manifest()]);
    return differenceOfStates(manifest.states, now);
  }

  /**
   * Name, at the place it lies, of the snapshot that this store loaded last without `only`, until it has saved a newer one.
   * The manifests of later snapshots have as `parent` the name it was saved with.
   */
  get resumedFrom(): string | undefined {
    return this.#lineage.resumedFrom;
  }

  /**
   * Names of the snapshots that retention must keep for this program, each with its reason: those being loaded, and those
   * loaded since the last save.
   */
  get guards(): ReadonlyMap<string, string> {
    return this.#lineage.guards;
  }

  /**
   * The time that a name stands for.
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
   * All committed snapshots whose names have this store's format, whatever their layout.
   *
   * Opens none of them, so a damaged one is listed too. What is being written, foreign or named otherwise is not listed.
   *
   * @param options Gives up.
   * @returns Their addresses, oldest first; none where the place does not exist.
   * @throws {SnapshotError} `STORAGE_FAILED`.
   */
  async list(options: { readonly signal?: AbortSignal } = {}): Promise<SnapshotLocator[]> {
    assertOptions("list snapshots", options, SIGNAL_OPTION);
    return (await listSnapshots(this.backend, options)).filter(({ name }) => this.isTimedName(name));
  }

  /**
   * The newest committed snapshot, by name.
   *
   * @returns Its address, or `undefined` where there is none.
   * @throws {SnapshotError} `STORAGE_FAILED`.
   */
  async latest(): Promise<SnapshotLocator | undefined> {
    return (await this.list()).at(-1);
  }

  /**
   * The committed snapshot of a name, in whatever layout; also a keepsake, whose name has another format.
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
   * @param options How thoroughly; giving up.
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
   * Removes what dead writers and unfinished removals left: stages without a sign of life, scratch files, trash.
   *
   * Saving does it by itself, at first and every ten minutes. Safe beside this program's own writers, and beside others' as long as
   * their event loops stand still for no longer than `olderThanMs` less 5 seconds.
   *
   * @param options How long a writer may give no sign of life, in milliseconds; ten minutes unless given. Below zero, it
   *   removes what living writers have, too.
   * @returns Names of the snapshots that were never finished.
   * @throws {SnapshotError} `STORAGE_FAILED`.
   * @throws {RangeError} If `olderThanMs` is no number.
   */
  async sweep(options: { readonly olderThanMs?: number } = {}): Promise<string[]> {
    assertOptions("sweep", options, SWEEP_OPTIONS);
    const { olderThanMs = STALE_AFTER_MS } = options;
    if (typeof olderThanMs !== "number" || Number.isNaN(olderThanMs)) {
      throw new RangeError(`Cannot sweep what is older than ${show(olderThanMs)} ms: it is no number`);
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
