// pamiq-core's keeper: the latest N. It also is the only one that may remove foreign folders, and only with an option.
import { keepLatest, type RetentionRule, unlessNumber } from "./rule.ts";
import { pathOfUri, showAddress } from "../model/address.ts";
import { faultOfSnapshotName } from "../model/entry_path.ts";
import { byName } from "../model/snapshot_name.ts";
import { loggerOf } from "../runtime/logging.ts";
import { show } from "../model/show.ts";
import { assertOptions, type OptionNames } from "../model/options.ts";
import { locate } from "../snapshot/locate.ts";
import type { SnapshotLocator } from "../snapshot/locator.ts";
import { listSnapshots } from "../snapshot/listing.ts";
import type { StateStore } from "../store/state_store.ts";
import { type StateStoreOptions, STORE_OPTIONS, type StoreLocation } from "../store/store_options.ts";
import { RetentionKeeper } from "./retention_keeper.ts";
import { guardsIn } from "./states_keeper.ts";

type Matcher = (name: string) => boolean;

/** How a {@link LatestStatesKeeper} looks for snapshots. */
export interface LatestStatesKeeperOptions extends StateStoreOptions {
  /**
   * Whether folders that match the pattern but are not snapshots of snapkeep (such as those of pamiq-core) are kept
   * and removed too. They are counted separately, and ordered by name if all names have the format of the store,
   * else by modification time.
   *
   * @default false
   */
  readonly foreign?: boolean;
}

const LATEST_OPTIONS: OptionNames<LatestStatesKeeperOptions> = { ...STORE_OPTIONS, foreign: "true or false" };

// As a rule this is off, and a plan of nothing but that is refused; pamiq-core's keeper keeps none with a count of 0.
const KEEP_NONE: RetentionRule = { ...keepLatest(0), isOff: false };

/**
 * Keeps the latest snapshots and removes older ones (pamiq-core's `LatestStatesKeeper`).
 *
 * @example Keep the latest three
 * ```ts
 * import { LatestStatesKeeper, StateStore } from "snapkeep";
 *
 * const store = new StateStore("states");
 * const keeper = new LatestStatesKeeper(store, 3);
 * keeper.append(await store.saveState());
 * const removed = await keeper.cleanup();
 * console.log(`${removed.length} removed`);
 * ```
 */
export class LatestStatesKeeper extends RetentionKeeper {
  readonly #maxKeep: number;
  readonly #pattern: string;
  readonly #isForOwn: boolean;
  #matches: Matcher | undefined;
  readonly #withForeign: boolean;
  #hasLooked = false;

  /**
   * Makes a keeper.
   *
   * @param where A store, or what a store takes.
   * @param maxKeep How many to keep; 0 keeps none.
   * @param pattern Glob that the names of snapshots must match, without the suffix of archives; all of the store unless given, and
   *   of foreign folders `*.state`.
   * @param options Foreign folders, and as of a store where no store is given.
   * @throws {RangeError} If `maxKeep` is no whole number from 0 on.
   * @throws {TypeError} If foreign folders are asked for where there can be none.
   */
  constructor(
    where: StateStore | StoreLocation,
    maxKeep: number,
    pattern?: string,
    options: LatestStatesKeeperOptions = {},
  ) {
    assertOptions("make a keeper", options, LATEST_OPTIONS);
    const { foreign = false, ...storeOptions } = options;
    if (!Number.isSafeInteger(maxKeep) || maxKeep < 0) {
      const reason = `the number must be a whole number from 0 on${unlessNumber(maxKeep)}`;
      throw new RangeError(`Cannot keep the latest ${show(maxKeep)}: ${reason}`);
    }
    super(where, [maxKeep === 0 ? KEEP_NONE : keepLatest(maxKeep)], storeOptions);
    if (foreign && this.store.backend.foreign === undefined) {
      throw new TypeError(
        `Cannot look for foreign folders in ${showAddress(this.store.backend.uri)}: there can be none`,
      );
    }
    guardsIn(this).mayRemoveNewest = maxKeep === 0;
    this.#maxKeep = maxKeep;
    this.#pattern = pattern ?? "*.state";
    if (typeof this.#pattern !== "string" || this.#pattern === "") {
      throw new TypeError(`Cannot make a keeper: the pattern must be a glob such as "*.state", not ${show(pattern)}`);
    }
    this.#isForOwn = pattern !== undefined;
    this.#withForeign = foreign;
  }

  /** Selects all but the latest, and foreign folders likewise where asked for. */
  protected override async selectRemovalStates(): Promise<readonly SnapshotLocator[]> {
    const removals = await super.selectRemovalStates();
    return this.#withForeign ? [...removals, ...await this.#foreignRemovals()] : removals;
  }

  /** Those whose names match the pattern; makes a missing folder, with a warning, as pamiq-core does. */
  protected override async snapshots(): Promise<SnapshotLocator[]> {
    const matches = await this.#matcher();
    if (!this.#hasLooked) await this.#look(matches);
    return (await super.snapshots()).filter(({ name }) => !this.#isForOwn || matches(name));
  }

  /** The pattern, compiled by a package that is only loaded here. */
  async #matcher(): Promise<Matcher> {
    const { default: picomatch } = await import("picomatch");
    return this.#matches ??= picomatch(this.#pattern, { dot: false });
  }

  /** The first look says aloud what would otherwise be a keeper that keeps quiet and keeps everything. */
  async #look(matches: Matcher): Promise<void> {
    const { backend } = this.store;
    const log = loggerOf("LatestStatesKeeper");
    this.#hasLooked = true;
    if (await backend.create()) log.warn("'{uri}' did not exist and was made", { uri: pathOfUri(backend.uri) });
    const listed = new Set((await this.store.list()).map(({ name }) => name));
    if (this.#isForOwn && listed.size > 0 && ![...listed].some((name) => matches(name))) {
      const message = "None of {count} snapshots matches '{pattern}'; no cleanup removes them";
      log.warn(message, { count: listed.size, pattern: this.#pattern });
    }
    const others = (await listSnapshots(backend)).filter(({ name }) => matches(name) && !listed.has(name));
    if (others.length === 0) return;
    log.warn(
      "{count} snapshots match '{pattern}' but not the name format of the store, such as '{name}'; no cleanup removes them",
      {
        count: others.length,
        pattern: this.#pattern,
        name: others[0]?.name,
      },
    );
  }

  async #foreignRemovals(): Promise<SnapshotLocator[]> {
    const { backend } = this.store;
    const matches = await this.#matcher();
    const found: { name: string; modifiedAtMs: number }[] = [];
    for await (const folder of backend.foreign?.list() ?? []) {
      if (!matches(folder.name)) continue;
      const fault = faultOfSnapshotName(folder.name);
      if (fault === undefined) found.push(folder);
      else loggerOf("LatestStatesKeeper").warn("'{name}' is kept: {fault}", { name: folder.name, fault });
    }
    // One order for all: names beside times would contradict each other, and a wrong order here removes the wrong ones.
    const isTimed = found.every(({ name }) => this.store.isTimedName(name));
    found.sort((a, b) => (isTimed ? 0 : a.modifiedAtMs - b.modifiedAtMs) || byName(a, b));
    const removals = found.slice(0, Math.max(0, found.length - this.#maxKeep)).map(({ name }) => locate(backend, name));
    for (const locator of removals) guardsIn(this).foreign.add(locator);
    return removals;
  }
}
