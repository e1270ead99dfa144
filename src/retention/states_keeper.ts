// Carrying out retention: a keeper says what may go, and cleanup removes it, behind guards that no keeper can forget.
import { pathOfUri } from "../model/address.ts";
import { isSnapshotError, reasonOf, SnapshotError } from "../model/errors.ts";
import { loggerOf } from "../runtime/logging.ts";
import { assertOptions } from "../model/options.ts";
import { assertProgram } from "../store/identity.ts";
import type { SnapshotLocator } from "../snapshot/locator.ts";
import { isUnreadable } from "../snapshot/verification.ts";
import { StateStore, type StateStoreOptions, STORE_OPTIONS, type StoreLocation } from "../store/state_store.ts";

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
  /** The store whose snapshots are kept. */
  protected readonly store: StateStore;
  readonly #appended = new Map<string, SnapshotLocator>();
  /** What the last look at the store listed. */
  #listed: readonly SnapshotLocator[] = [];
  #looksAgain = true;

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
    if (locator.backend.uri !== this.store.backend.uri) {
      throw new TypeError(`Cannot keep "${locator}": it lies elsewhere than "${pathOfUri(this.store.backend.uri)}"`);
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
   * @returns What was removed.
   * @throws {SnapshotError} `CLEANUP_FAILED` after all were tried, with an AggregateError as cause. `PROGRAM_MISMATCH` if the
   *   store has a program and one of the manifests that were read is of another: nothing was removed.
   */
  async cleanup(): Promise<SnapshotLocator[]> {
    const selected = [...await this.selectRemovalStates()].sort((a, b) => a.name < b.name ? -1 : 1);
    if (selected.length === 0) return [];
    const newest = this.guardsNewest() ? await this.#newest(selected) : undefined;
    return await this.#removeAll(selected.filter(({ name }) => name !== newest));
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
    return [...listed.values()].sort((a, b) => a.name < b.name ? -1 : 1);
  }

  /** Whether cleanup must spare the newest snapshot; true unless a subclass is told to keep none. */
  protected guardsNewest(): boolean {
    return true;
  }

  /** Whether a snapshot that was selected must be spared after all: it is pinned, or cannot be read. */
  protected async isProtected(locator: SnapshotLocator): Promise<boolean> {
    const log = loggerOf(this.constructor.name);
    const note = await locator.note();
    for (const snapshot of locator.alternatives()) {
      try {
        const { labels, program } = await snapshot.manifest();
        this.assertProgram(snapshot, program);
        // A note replaces the labels of the manifest; a damaged one may have been a pin.
        if (note !== "damaged" && !(note ?? labels).pinned) continue;
        log.debug("Spared: '{snapshot}' is pinned", { snapshot: String(snapshot) });
        return true;
      } catch (error) {
        if (isSnapshotError(error, "SNAPSHOT_NOT_FOUND")) continue; // it has gone, as its removal will find
        if (!isUnreadable(error)) throw error;
        log.warn("Spared: '{snapshot}' is damaged: {reason}", { snapshot: String(snapshot), reason: reasonOf(error) });
        return true;
      }
    }
    return false;
  }

  /** Throws `PROGRAM_MISMATCH` if a snapshot is of another program than the store's. */
  protected assertProgram(locator: SnapshotLocator, program: string | undefined): void {
    assertProgram("clean up beside", String(locator), this.store.programs, program);
  }

  /** Removes one snapshot; resolves to `false` where it had gone, or was pinned meanwhile. */
  protected remove(locator: SnapshotLocator): Promise<boolean> {
    return locator.remove({ keepPinned: true });
  }

  /** The newest by time that can be read; a keepsake, whose name tells no time, only where there is nothing else. */
  async #newest(selected: readonly SnapshotLocator[]): Promise<string | undefined> {
    // Where all that is selected was listed, nothing that came since is among it.
    const listed = new Set(this.#listed);
    this.#looksAgain = !selected.every((locator) => listed.has(locator));
    const newestFirst = (await this.snapshots().finally(() => this.#looksAgain = true)).reverse();
    const rank = ({ name }: SnapshotLocator) => this.store.isTimedName(name) ? 0 : 1;
    for (const locator of newestFirst.sort((a, b) => rank(a) - rank(b))) {
      try {
        this.assertProgram(locator, (await locator.manifest()).program);
        return locator.name;
      } catch (error) {
        if (!isUnreadable(error) && !isSnapshotError(error, "SNAPSHOT_NOT_FOUND")) throw error;
      }
    }
    return undefined;
  }

  async #removeAll(locators: readonly SnapshotLocator[]): Promise<SnapshotLocator[]> {
    const log = loggerOf(this.constructor.name);
    const removed: SnapshotLocator[] = [];
    const failures = new Map<string, unknown>();
    /** Does it for each, as long as it does not fail. */
    const each = async (locators: readonly SnapshotLocator[], work: (locator: SnapshotLocator) => Promise<void>) => {
      for (const locator of locators) {
        try {
          await work(locator);
        } catch (error) {
          if (isSnapshotError(error, "PROGRAM_MISMATCH")) throw error;
          failures.set(String(locator), error);
          log.error("Cannot remove '{snapshot}': {error}", { snapshot: String(locator), error });
        }
      }
    };
    // All manifests are read before the first removal: one of another program means that this is the wrong place.
    const removable: SnapshotLocator[] = [];
    await each(locators, async (locator) => void (await this.isProtected(locator) || removable.push(locator)));
    await each(removable, async (locator) => {
      if (this.store.guards.has(locator.name) || !await this.remove(locator)) return;
      removed.push(locator);
      log.info("Removed: '{snapshot}'", { snapshot: String(locator) });
    });
    if (failures.size === 0) return removed;
    const errors = [...failures.values()];
    const failed = [...failures.keys()];
    const cause = new AggregateError(errors, errors.map(reasonOf).join("; "));
    const message = `Cannot remove ${failed.map((uri) => `"${uri}"`).join(", ")}: ${cause.message}`;
    throw new SnapshotError("CLEANUP_FAILED", message, { removed: removed.map(String), failed }, { cause });
  }
}
