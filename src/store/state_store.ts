// The front of the house: registers states, saves them all as one snapshot, loads one back. The way of a save is
// capture -> claim a name -> layout writes -> publish; the way of a load is open -> match -> verify -> loadState.
import { archiveKindOf, archiveLayoutOf, layoutOfKind } from "../layout/layouts.ts";
import type { ArchiveOptions } from "../layout/archive_layout.ts";
import { storableLabels } from "../manifest/labels.ts";
import { pathOfUri, showAddress } from "../model/address.ts";
import type { Backend } from "../model/backend.ts";
import { assertOptions, SIGNAL_OPTION } from "../model/options.ts";
import type { Layout } from "../model/snapshot.ts";
import { DEFAULT_NAME_FORMAT, SnapshotNameFormat } from "../model/snapshot_name.ts";
import type { PersistentState } from "../model/state.ts";
import type { LayoutKind } from "../model/unit.ts";
import { warnUser } from "../runtime/logging.ts";
import { inSlices } from "../runtime/concurrency.ts";
import { comparingStates, type SnapshotDifference } from "../snapshot/difference.ts";
import { locatorOf } from "../snapshot/locate.ts";
import type { SnapshotLocator } from "../snapshot/locator.ts";
import { assertVerifyOptions, type VerifyOptions, type VerifyReport } from "../snapshot/verification.ts";
import { programsOf, runOf } from "./identity.ts";
import { notePlace } from "./places_in_use.ts";
import { importInto, type ImportOptions } from "./importing.ts";
import { assertNotInside } from "./state_calls.ts";
import { type KnownSnapshot, Lineage } from "./lineage.ts";
import { Loader, type LoadReport } from "./loader.ts";
import { assertLoadOptions, LOAD_OPTIONS, type LoadOptions } from "./loading.ts";
import { NameClaimer } from "./name_claimer.ts";
import { Place } from "./place.ts";
import { type RegisterOptions, Registry } from "./registry.ts";
import { assertResumeOptions, type ResumeOptions, type ResumeReport } from "./resuming.ts";
import {
  assertSaveOptions,
  assertStreamOptions,
  type SaveOptions,
  type StateStream,
  type StreamOptions,
} from "./save_options.ts";
import { Saver } from "./saving.ts";
import { accessTo } from "./state_access.ts";
import { backendOf, countOf, type StateStoreOptions, STORE_OPTIONS, type StoreLocation } from "./store_options.ts";
import type { StoreParts } from "./store_parts.ts";
import { sweep, type SweepOptions } from "./sweeping.ts";
import { verifyAll } from "./verifying_all.ts";

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
  readonly #place: Place;
  readonly #names: NameClaimer;
  readonly #layout: LayoutKind;
  readonly #archive: ArchiveOptions;
  /** The clock, in milliseconds since 1970; keepers plan by it too. */
  readonly now: () => number;
  /** Names of the programs whose snapshots this store takes for its own; it records the first. */
  readonly programs: readonly string[];
  /** Id of this run, as recorded in each snapshot. */
  readonly run: string;
  readonly #registry = new Registry();
  readonly #lineage: Lineage;
  readonly #saver: Saver;
  readonly #loader: Loader;
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
    this.backend = backendOf(where, options.durability);
    notePlace(this.backend.uri);
    this.#format = new SnapshotNameFormat(options.stateNameFormat ?? DEFAULT_NAME_FORMAT);
    this.#place = new Place(this.backend, this.#format);
    this.#names = new NameClaimer(this.backend, this.#format);
    this.#layout = options.layout ?? "directory";
    this.#archive = options.archive ?? {};
    this.#layoutFor(options); // refuses unknown words before anything is saved
    this.now = options.now ?? Date.now;
    this.programs = programsOf(options.program);
    this.run = runOf(options.run);
    this.#lineage = new Lineage(pathOfUri(this.backend.uri), this.run, options.exclusive ?? false);
    const parts: StoreParts = {
      store: this,
      backend: this.backend,
      place: this.#place,
      names: this.#names,
      lineage: this.#lineage,
      programs: this.programs,
      run: this.run,
      maxWaiting: countOf(options.maxWaiting),
      now: this.now,
      registry: this.#registry,
      access: accessTo(this.backend.uri),
    };
    this.#saver = new Saver(parts);
    this.#loader = new Loader(parts);
    if (options.startFresh) this.startFresh();
  }

  /** Names of the registered states, in order of registration. */
  get stateNames(): readonly string[] {
    return this.#registry.all.map(({ name }) => name);
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
   * @throws {RangeError} If the version is not a whole number of at least 1, or a migration is from none before it.
   */
  register(name: string, state: PersistentState, options: RegisterOptions = {}): this {
    const registration = this.#registry.register(name, state, options);
    const { backend, programs, now } = this;
    try {
      state.onRegister?.({ name, formerly: registration.formerly, backend, programs, now });
    } catch (error) {
      this.#registry.unregister(name);
      throw error;
    }
    this.#lineage.registered(registration);
    return this;
  }

  /**
   * Removes a state from the store; snapshots that hold it do not change.
   *
   * @param name Name it was registered under.
   * @returns Whether there was one.
   */
  unregister(name: string): boolean {
    this.#lineage.unregistered(name);
    return this.#registry.unregister(name);
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
    assertSaveOptions(options);
    this.#warnIfEmpty("save");
    const layout = this.#layoutFor(options);
    assertNotInside(this, "save");
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
    assertStreamOptions(options);
    this.#warnIfEmpty("stream");
    const layout = archiveLayoutOf(options.layout ?? archiveKindOf(this.#layout), this.#archive);
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
    const layoutOf = (layout?: LayoutKind) => this.#layoutFor({ layout });
    const { name, locator } = await importInto(this.backend, this.#names, from, options, layoutOf);
    this.#lineage.imported(name);
    return locator;
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
    return await this.#loader.load(from, options);
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
    return await this.#loader.resume(options);
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
    const located = locatorOf(snapshot);
    if (located === undefined) throw new TypeError("Cannot compare with a stream: give the address of a snapshot");
    // The states are called before anything is awaited: what they hand over belongs to the instant of the call.
    const [now, manifest] = await Promise.all([this.#saver.digest(options), located.manifest()]);
    return await inSlices(comparingStates(manifest.states, now));
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

  /** Resolves once `hasBegun` is true. */
  get begun(): Promise<void> {
    return this.#lineage.begun;
  }

  /** The snapshot that this store saved last, or has loaded since without `only`. */
  get lastKnown(): KnownSnapshot | undefined {
    return this.#lineage.lastKnown;
  }

  /**
   * Names of the snapshots that retention must keep for this program, each with its reason: those being loaded, and those
   * loaded since the last save.
   */
  get guards(): ReadonlyMap<string, string> {
    return this.#lineage.guards;
  }

  /**
   * Returns the time that a name stands for, in whole milliseconds.
   *
   * @param name The name of a snapshot.
   * @returns The time; `undefined` if the name has another format than this store's.
   */
  timeOf(name: string): Date | undefined {
    const timeUs = this.#format.parse(name);
    return timeUs === undefined ? undefined : new Date(Math.floor(Number(timeUs) / 1000));
  }

  /**
   * Tells whether a name has this store's format, so that it counts among its snapshots.
   *
   * @param name The name of a snapshot.
   * @returns Whether it has; other names are keepsakes.
   */
  isTimedName(name: string): boolean {
    return this.#place.isTimed(name);
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
    return await this.#place.list(options);
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
    return await this.#place.snapshot(name);
  }

  /**
   * Verifies every committed snapshot at the place, keepsakes too, in each layout it lies in; and tells of folders that are named
   * like this store's snapshots and lack a manifest, which no store lists. Repairs and deletes nothing.
   *
   * A few are read at once, in bounded memory. Beyond what {@link SnapshotLocator.verify} finds, it tells where a name of this
   * store's format is not the one the snapshot was saved with, and where a name holds different states in two layouts. Where the
   * storage fails for one snapshot, that is a finding (`unreadable`), and the others are verified. What vanishes meanwhile, and
   * what is being saved, is left out. Reading begins with the first report that is asked for, and ends if the loop is left.
   *
   * @param options How thoroughly; aborting; progress, which names its snapshot by `uri`.
   * @returns One report per snapshot and layout, oldest first by name, each as soon as it is known.
   * @throws {TypeError} If an option does not exist or cannot be what it is, at the call.
   * @throws {SnapshotError} `STORAGE_FAILED` if the place cannot be listed, once the first report is asked for.
   * @example Scrub a place once in a while
   * ```ts
   * import { StateStore } from "snapkeep";
   *
   * const store = new StateStore("states");
   * await store.saveState();
   * for await (const { uri, findings } of store.verify({ mode: "quick" })) {
   *   for (const { step, problem, path } of findings) console.warn(`${uri}: ${step}, "${path}" is ${problem}`);
   * }
   * ```
   */
  verify(options: VerifyOptions = {}): AsyncIterableIterator<VerifyReport> {
    assertVerifyOptions(options);
    return verifyAll(this.#place, options);
  }

  /**
   * Removes what dead writers and unfinished removals left: stages without a recent heartbeat, scratch files, trash.
   *
   * Saving does it by itself, at first and every ten minutes. Safe beside this program's own writers, and beside others' as long as
   * their event loops stand still for no longer than `olderThanMs` less 5 seconds.
   *
   * @param options Maximum age of the heartbeat; whether to delete the files of running writers, too.
   * @returns Names of the snapshots that were never finished.
   * @throws {SnapshotError} `STORAGE_FAILED`.
   * @throws {RangeError} If `olderThanMs` is negative or no number.
   * @throws {TypeError} If both options are given.
   */
  async sweep(options: SweepOptions = {}): Promise<string[]> {
    return await sweep(this.backend, options);
  }

  /** Warns once where no state is registered: pamiq-core allows it, and it is nearly always a mistake. */
  #warnIfEmpty(action: string): void {
    if (this.#registry.all.length > 0 || this.#hasWarned) return;
    this.#hasWarned = true;
    const address = pathOfUri(this.backend.uri);
    const message = `No state is registered in the store of ${
      showAddress(address)
    }: there is nothing to ${action}; call store.register() first`;
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
}
