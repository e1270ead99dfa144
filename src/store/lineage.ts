// What a program may save over: it knows which snapshots the program has loaded, which states a failed load left half-changed,
// which were never loaded, and which snapshots another run has added since. It does no I/O.
import { showAddress } from "../model/address.ts";
import { SnapshotError } from "../model/errors.ts";
import { byName } from "../model/snapshot_name.ts";
import { warnUser } from "../runtime/logging.ts";

/** A snapshot that was found at the place. */
export interface ListedName {
  /** Its name. */
  readonly name: string;
  /** Reads the id of the run that saved it: `undefined` if it has none or cannot be read, `null` if it has gone. */
  run(): Promise<string | undefined | null>;
}

/** A snapshot that the program has saved itself, or has loaded with no state left out. */
export interface KnownSnapshot {
  /** Its name. */
  readonly name: string;
  /** When its states were captured. */
  readonly savedAt: Date;
  /** The label `step` it was saved with. */
  readonly step: number | undefined;
  /** Bytes of its entries. */
  readonly sizeBytes: number;
}

/** A load that has changed states. */
export interface FinishedLoad {
  /** Name of the snapshot, as it was saved. */
  readonly savedAs: string;
  /** The snapshot, under its name at the place it lies. */
  readonly known: KnownSnapshot;
  /** The states in it. */
  readonly states: readonly string[];
  /** Names of the registered states that were loaded. */
  readonly loaded: readonly string[];
  /** Whether the caller left no state out. */
  readonly isFull: boolean;
  /** Names of all states that were registered when it began. */
  readonly registered: ReadonlySet<string>;
  /** The newest name at the place when it began. */
  readonly newest: string | undefined;
}

/** A state as far as lineage goes. */
export interface NamedState {
  /** Its name. */
  readonly name: string;
  /** Names it had before. */
  readonly formerly: readonly string[];
}

/** Tells a store whether it may save. */
export class Lineage {
  readonly #uri: string;
  readonly #run: string;
  readonly #isExclusive: boolean;
  #isInLine = false;
  #begin = () => {};
  /** Resolves once {@link Lineage.hasBegun} is true. */
  readonly begun: Promise<void> = new Promise((resolve) => this.#begin = resolve);
  /** Whether the next listing is taken as known. */
  #acceptsListing = false;
  #lastKnown: KnownSnapshot | undefined;
  #hasWarned = false;
  #parent: string | null = null;
  /** The newest name that the program has seen at the place. */
  #newestKnown: string | undefined;
  readonly #ownNames = new Set<string>();
  readonly #importedNames = new Set<string>();
  readonly #torn = new Set<string>();
  readonly #neverLoaded = new Set<string>();
  /** States of the snapshots that were loaded, with the name of the snapshot. */
  #offered = new Map<string, string>();
  readonly #loading = new Map<string, number>();
  /** Names of the snapshots that were loaded and not saved over yet. */
  readonly #loaded = new Map<string, { readonly number: number; readonly isFull: boolean }>();
  #loads = 0;

  /**
   * Begins with nothing loaded.
   *
   * @param uri Address of the place, for messages.
   * @param run Id of this run.
   * @param isExclusive Whether a snapshot of another run refuses the save instead of warning.
   */
  constructor(uri: string, run: string, isExclusive: boolean) {
    this.#uri = uri;
    this.#run = run;
    this.#isExclusive = isExclusive;
  }

  /** Whether the program has loaded a snapshot, saved one, or said that it begins afresh. */
  get hasBegun(): boolean {
    return this.#isInLine;
  }

  /** The snapshot that was saved last, or has been loaded since with no state left out. */
  get lastKnown(): KnownSnapshot | undefined {
    return this.#lastKnown;
  }

  /** Name, as it was saved, of the snapshot that the program goes on from. */
  get parent(): string | null {
    return this.#parent;
  }

  /** Name of the snapshot that was loaded last, no state left out, until a newer one is saved. */
  get resumedFrom(): string | undefined {
    return [...this.#loaded].filter(([, { isFull }]) => isFull).at(-1)?.[0];
  }

  /** Names that retention must keep, each with its reason. */
  get guards(): ReadonlyMap<string, string> {
    return new Map([
      ...[...this.#loaded.keys()].map((name) => [name, "resumed from"] as const),
      ...[...this.#loading.keys()].map((name) => [name, "being loaded"] as const),
    ]);
  }

  /** The newest name whose followers must be looked at before a save; `undefined` for all names. */
  get listAfter(): string | undefined {
    return this.#isInLine && !this.#acceptsListing ? this.#newestKnown : undefined;
  }

  /** Allows saving whatever was never loaded, and whatever a failed load left. */
  startFresh(): void {
    this.#enterLine();
    this.#acceptsListing = true;
    this.#torn.clear();
    this.#neverLoaded.clear();
    this.#offered.clear();
  }

  /** Notes a registered state, which may be one that a load has passed over. */
  registered(state: NamedState): void {
    if ([state.name, ...state.formerly].some((name) => this.#offered.has(name))) this.#neverLoaded.add(state.name);
  }

  /** Forgets a state. */
  unregistered(name: string): void {
    this.#torn.delete(name);
    this.#neverLoaded.delete(name);
  }

  /** Guards a snapshot from retention while it is loaded; returns what ends that. */
  beginLoad(name: string): () => void {
    this.#loading.set(name, (this.#loading.get(name) ?? 0) + 1);
    return () => {
      const left = (this.#loading.get(name) ?? 1) - 1;
      if (left === 0) this.#loading.delete(name);
      else this.#loading.set(name, left);
    };
  }

  /** Notes states that were called by a load or a rollback that failed. */
  tore(names: readonly string[]): void {
    for (const name of names) this.#torn.add(name);
  }

  /** Notes a load that has fulfilled. `states` are those registered by now. */
  finishedLoad(load: FinishedLoad, states: readonly NamedState[]): void {
    const { name } = load.known;
    this.#saw(load.newest);
    if (load.isFull) this.#loaded.clear(); // nothing is left of what was loaded before
    this.#loaded.delete(name); // the one that was loaded last comes last
    this.#loaded.set(name, { number: ++this.#loads, isFull: load.isFull });
    if (load.isFull) {
      this.#lastKnown = load.known;
      this.#parent = load.savedAs;
      this.#offered = new Map();
      this.#neverLoaded.clear();
    }
    for (const state of load.states) this.#offered.set(state, name);
    for (const state of load.loaded) {
      this.#torn.delete(state);
      this.#neverLoaded.delete(state);
    }
    for (const state of states) if (!load.registered.has(state.name)) this.registered(state);
  }

  /** Notes a resume that found no snapshot. */
  resumedFresh(): void {
    this.#saw(undefined);
  }

  #enterLine(): void {
    this.#isInLine = true;
    this.#begin();
  }

  #saw(newest: string | undefined): void {
    this.#enterLine();
    this.#acceptsListing = false;
    if (newest !== undefined && newest > (this.#newestKnown ?? "")) this.#newestKnown = newest;
  }

  /** Notes a snapshot that the program brought itself. */
  imported(name: string): void {
    this.#importedNames.add(name);
  }

  /** Notes a name that a save has claimed: whatever comes of it is the program's own. */
  claimed(name: string): void {
    this.#ownNames.add(name);
  }

  /** What a save that captures now will have gone on from; to be given to {@link Lineage.saved}. */
  get captured(): number {
    return this.#loads;
  }

  /** Notes a snapshot that can be seen. A load that came after its capture goes on being guarded. */
  saved(known: KnownSnapshot, captured: number): void {
    const { name } = known;
    this.#lastKnown = known;
    this.#saw(name);
    for (const [loaded, { number }] of this.#loaded) if (number <= captured) this.#loaded.delete(loaded);
    for (const names of [this.#ownNames, this.#importedNames]) {
      for (const earlier of names) if (earlier <= name) names.delete(earlier);
    }
  }

  /**
   * Throws if the states must not be saved as they are.
   *
   * @param action What is to be done: `save`, `stream`.
   * @param states The registered states.
   * @throws {SnapshotError} `STATES_TORN`, `STATE_NOT_LOADED`.
   */
  assertWhole(action: string, states: readonly NamedState[]): void {
    const torn = states.map(({ name }) => name).filter((name) => this.#torn.has(name));
    if (torn.length > 0) {
      throw new SnapshotError(
        "STATES_TORN",
        `Cannot ${action} the states of ${showAddress(this.#uri)}: a load failed after it had called ${
          listOf(torn)
        }, so they may ` +
          "hold a mixture; load a whole snapshot with await store.resume() or store.loadState(), " +
          "or call store.startFresh() if they hold the right data",
        { uri: this.#uri, states: torn },
      );
    }
    const unloaded = states.map(({ name }) => name).filter((name) => this.#neverLoaded.has(name));
    const [first] = states.filter(({ name }) => this.#neverLoaded.has(name));
    if (first === undefined) return;
    const snapshot = [first.name, ...first.formerly].map((name) => this.#offered.get(name)).find((found) => found) ??
      "";
    throw new SnapshotError(
      "STATE_NOT_LOADED",
      `Cannot ${action} the states of ${showAddress(this.#uri)}: ${
        listOf(unloaded)
      } came after "${snapshot}" was loaded, ` +
        "which holds saved data for it; load it with await store.loadState(locator, { only: [...] }), register states " +
        "before resume(), unregister it, or call store.startFresh()",
      { uri: this.#uri, snapshot, states: unloaded },
    );
  }

  /**
   * Throws if the program must not add a snapshot to those that are listed; warns if another run has added one.
   *
   * @param listed The snapshots after {@link Lineage.listAfter}, in any order.
   * @throws {SnapshotError} `RESUME_FIRST`, `STORE_SHARED`.
   */
  async assertMayAdd(listed: readonly ListedName[]): Promise<void> {
    const newestFirst = [...listed].sort(byName).reverse();
    const [newest] = newestFirst;
    if (!this.#isInLine) {
      const others = newestFirst.filter(({ name }) => !this.#ownNames.has(name));
      if (others[0] !== undefined) throw this.#resumeFirst(others.length, others[0].name);
    } else if (this.#acceptsListing) {
      this.#acceptsListing = false;
      this.#newestKnown = newest?.name;
    }
    if (this.#hasWarned && !this.#isExclusive) return;
    for (const { name, run } of newestFirst) {
      if (this.#newestKnown !== undefined && name <= this.#newestKnown) break;
      if (this.#ownNames.has(name) || this.#importedNames.has(name)) continue;
      const otherRun = await run();
      if (otherRun === this.#run || otherRun === null) continue;
      this.#tellOfOtherRun(name, otherRun ?? "unknown");
      return;
    }
  }

  #resumeFirst(snapshots: number, newest: string): SnapshotError {
    const them = snapshots === 1 ? `1 snapshot, "${newest}"` : `${snapshots} snapshots, the newest "${newest}"`;
    return new SnapshotError(
      "RESUME_FIRST",
      `Cannot save to ${showAddress(this.#uri)}: it holds ${them}, and this program has loaded none; ` +
        "call await store.resume() before the first save, or store.startFresh() if it is to begin without them",
      { uri: this.#uri, snapshots, newest },
    );
  }

  #tellOfOtherRun(snapshot: string, otherRun: string): void {
    const what = `the run "${otherRun}" has saved "${snapshot}" there since this run, "${this.#run}", last looked`;
    const remedy = "call await store.resume() or store.startFresh(), and use one folder per program";
    if (this.#isExclusive) {
      throw new SnapshotError("STORE_SHARED", `Cannot save to ${showAddress(this.#uri)}: ${what}; ${remedy}`, {
        uri: this.#uri,
        snapshot,
        run: this.#run,
        otherRun,
      });
    }
    this.#hasWarned = true;
    warnUser({
      className: "StateStore",
      kind: "STORE_SHARED",
      address: this.#uri,
      message: `Two programs save to ${
        showAddress(this.#uri)
      }: ${what}; a restart resumes from the newest of both; ${remedy}`,
    });
  }
}

function listOf(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(", ");
}
