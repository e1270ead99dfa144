// The contract of keepers: one says what may go, and cleanup removes it.
import { showAddress } from "../model/address.ts";
import { assertMethods, assertOptions, SIGNAL_OPTION, type SignalOptions } from "../model/options.ts";
import type { SnapshotLocator } from "../snapshot/locator.ts";
import { byName } from "../model/snapshot_name.ts";
import { StateStore } from "../store/state_store.ts";
import { type StateStoreOptions, STORE_OPTIONS, type StoreLocation } from "../store/store_options.ts";
import { cleanup } from "./cleanup.ts";
import { newestReadable } from "./guards.ts";

/** What a keeper of ours removes that others may not. */
export interface KeeperGuards {
  /** Whether it may remove the newest. */
  mayRemoveNewest: boolean;
  /** Folders that are no snapshots of ours, and yet are to be removed. */
  readonly foreign: WeakSet<SnapshotLocator>;
}

/** The guards of a keeper. No method, for keepers of programs must not weaken them. */
export let guardsIn: (keeper: StatesKeeper) => KeeperGuards;

/** Where the snapshots lie that a keeper takes; `undefined` of a keeper that decides by itself what it takes. */
export let placeKeptBy: (keeper: StatesKeeper) => string | undefined;

/**
 * Decides which snapshots are kept (pamiq-core's `StatesKeeper`); subclasses say how.
 *
 * It keeps no list of its own: each cleanup looks at what is there, so it finds snapshots of earlier runs and of other
 * programs, and forgets none.
 *
 * @example Keep at most a gigabyte
 * ```ts
 * import { StatesKeeper, StateStore } from "snapkeep";
 *
 * class SizeKeeper extends StatesKeeper {
 *   protected async selectRemovalStates() {
 *     let roomBytes = 2 ** 30;
 *     const sized = (await this.snapshots()).reverse().map(async (s) => ({ s, bytes: (await s.stat()).storedBytes }));
 *     return (await Promise.all(sized)).filter(({ bytes }) => (roomBytes -= bytes) < 0).map(({ s }) => s);
 *   }
 * }
 *
 * const store = new StateStore("states");
 * await store.saveState();
 * await new SizeKeeper(store).cleanup();
 * ```
 */
export abstract class StatesKeeper {
  static {
    guardsIn = (keeper) => keeper.#guards;
    placeKeptBy = (keeper) => keeper.append === StatesKeeper.prototype.append ? keeper.store.backend.uri : undefined;
  }

  /** The store whose snapshots are kept. */
  protected readonly store: StateStore;
  readonly #appended = new Map<string, SnapshotLocator>();
  /** What the last look at the store listed. */
  #listed: readonly SnapshotLocator[] = [];
  #looksAgain = true;
  readonly #guards: KeeperGuards = { mayRemoveNewest: false, foreign: new WeakSet() };

  /**
   * Makes a keeper.
   *
   * @param where A store, or what a store takes.
   * @param options As of {@link StateStore}; only where no store is given.
   * @throws {TypeError} If there is no such option, or a store has its own.
   */
  constructor(where: StateStore | StoreLocation, options: StateStoreOptions = {}) {
    assertOptions("make a keeper", options, STORE_OPTIONS);
    const own = Object.entries(options).find(([name, value]) => name !== "now" && value !== undefined);
    if (where instanceof StateStore && own !== undefined) {
      throw new TypeError(`Cannot make a keeper: the store has its own "${own[0]}"; give the option to the StateStore`);
    }
    this.store = where instanceof StateStore ? where : new StateStore(where as StoreLocation, options);
  }

  /**
   * Entrusts a snapshot to the keeper. Those that the store lists need not be appended; a keepsake, once appended, is kept
   * and removed like any other.
   *
   * @param locator The snapshot.
   * @throws {TypeError} If it lies elsewhere.
   */
  append(locator: SnapshotLocator): void {
    assertMethods("keep a snapshot", locator, "a SnapshotLocator", "manifest", "labels");
    if (locator.backend.uri !== this.store.backend.uri) {
      throw new TypeError(
        `Cannot keep ${showAddress(locator)}: it lies elsewhere than ${showAddress(this.store.backend.uri)}`,
      );
    }
    this.#appended.set(locator.name, locator);
  }

  /**
   * Removes what {@link StatesKeeper.selectRemovalStates} selects, oldest first, but never the newest snapshot whose manifest can
   * be read, a pinned one, one that its store is loading or has loaded since its last save, or one whose manifest is damaged.
   *
   * What has gone meanwhile is skipped. A removal that fails does not hold up the others. Never call it before a save has
   * resolved; snapshots being saved are not seen.
   *
   * @param options `signal` aborts between two removals: rejects with its reason, and what was removed stays removed.
   * @returns What was removed.
   * @throws {SnapshotError} `CLEANUP_FAILED` after all were tried, with an AggregateError as cause. `PROGRAM_MISMATCH` if the
   *   store has a program and one of the manifests that were read is of another: nothing was removed.
   */
  async cleanup(options: SignalOptions = {}): Promise<SnapshotLocator[]> {
    assertOptions("clean up", options, SIGNAL_OPTION);
    const { mayRemoveNewest, foreign } = this.#guards;
    const selected = await this.selectRemovalStates();
    if (selected.length === 0) return [];
    const newest = mayRemoveNewest ? undefined : await newestReadable(this.store, await this.#among(selected));
    const className = this.constructor.name;
    return await cleanup(this.store, selected, { className, newest, foreign, signal: options.signal });
  }

  /** Selects the snapshots to remove, out of {@link StatesKeeper.snapshots}, in any order. */
  protected abstract selectRemovalStates(): readonly SnapshotLocator[] | Promise<readonly SnapshotLocator[]>;

  /**
   * The snapshots this keeper decides over: those the store lists, and those appended that still exist.
   *
   * @returns Their addresses, oldest first by name.
   */
  protected async snapshots(): Promise<SnapshotLocator[]> {
    if (this.#looksAgain) this.#listed = await this.store.list();
    const listed = new Map(this.#listed.map((locator) => [locator.name, locator]));
    for (const [name, locator] of this.#appended) {
      if (listed.has(name)) continue;
      if (await locator.exists()) listed.set(name, locator);
      else this.#appended.delete(name);
    }
    return [...listed.values()].sort(byName);
  }

  /** All snapshots there are; where all that is selected was listed, nothing that came since is among it. */
  async #among(selected: readonly SnapshotLocator[]): Promise<SnapshotLocator[]> {
    const listed = new Set(this.#listed);
    this.#looksAgain = !selected.every((locator) => listed.has(locator));
    return await this.snapshots().finally(() => this.#looksAgain = true);
  }
}
