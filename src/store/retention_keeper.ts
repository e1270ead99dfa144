// A keeper out of retention rules: gathers what the rules look at, plans, and lets the base class carry it out.
import { type PlanOptions, planRetention, readRules, type RetentionPlan } from "../rules/retention_plan.ts";
import type { RetentionFunction, RetentionRule, RetentionSnapshot } from "../rules/retention_rule.ts";
import { mapBounded } from "../words/bounded.ts";
import { isSnapshotError, reasonOf } from "../words/errors.ts";
import { loggerOf } from "../words/logging.ts";
import type { SnapshotFacts, SnapshotLocator } from "./locator.ts";
import type { StateStore, StateStoreOptions, StoreLocation } from "./state_store.ts";
import { StatesKeeper } from "./states_keeper.ts";
import { isUnreadable } from "./verification.ts";

/** A snapshot of a plan, with its address. */
export interface KeptSnapshot extends RetentionSnapshot {
  /** Its address. */
  readonly locator: SnapshotLocator;
}

/** How a {@link RetentionKeeper} plans. */
export interface RetentionKeeperOptions extends StateStoreOptions {
  /** IANA zone of all calendar rules. Default `UTC`. */
  readonly zone?: string;
  /** Splits the snapshots into groups that are planned apart, by a tag for instance. */
  readonly groupBy?: (snapshot: RetentionSnapshot) => string;
}

/**
 * Keeps what any of its rules keeps, and removes the rest.
 *
 * Whatever the rules say, it keeps pinned snapshots, the newest, the newest that is not in the future, and the one that its
 * store resumed from until a newer one is saved. Damaged snapshots are neither counted nor removed.
 *
 * @example The last 5, and one a day for a month
 * ```ts
 * import { keepDaily, keepLatest, RetentionKeeper, StateStore } from "snapkeep";
 *
 * const store = new StateStore("states");
 * const keeper = new RetentionKeeper(store, [keepLatest(5), keepDaily(30)], { zone: "Europe/Berlin" });
 * await store.saveState();
 * console.log(String(await keeper.plan()));
 * await keeper.cleanup();
 * ```
 */
export class RetentionKeeper extends StatesKeeper {
  readonly #rules: readonly RetentionRule[];
  readonly #options: Pick<PlanOptions<KeptSnapshot>, "zone" | "groupBy">;
  readonly #now: () => number;
  /** By address, of those that were there the last time: a committed manifest never changes, so it is read once. */
  #facts = new Map<string, SnapshotFacts>();

  /**
   * Makes a keeper.
   *
   * @param where A store, or what a store takes.
   * @param rules What to keep: the union of all rules.
   * @param options Zone, groups, and as of a store where no store is given.
   * @throws {TypeError} If no rule is on, or one is no rule.
   * @throws {RangeError} If there is no such zone.
   */
  constructor(
    where: StateStore | StoreLocation,
    rules: readonly (RetentionRule | RetentionFunction)[],
    options: RetentionKeeperOptions = {},
  ) {
    const { zone, groupBy, ...storeOptions } = options;
    super(where, storeOptions);
    this.#rules = readRules(rules);
    this.#options = { ...zone === undefined ? {} : { zone }, ...groupBy === undefined ? {} : { groupBy } };
    this.#now = options.now ?? Date.now;
    planRetention([], this.#rules, { ...this.#options, nowMs: 0 }); // refuses an unknown zone before anything is removed
  }

  /**
   * Decides what would be kept and removed, and removes nothing.
   *
   * @param now When it is; now unless given.
   * @returns Each snapshot with all reasons; `String(plan)` is a table.
   * @throws {SnapshotError} `STORAGE_FAILED`.
   */
  async plan(now?: Date): Promise<RetentionPlan<KeptSnapshot>> {
    const guards = new Map(this.store.resumedFrom === undefined ? [] : [[this.store.resumedFrom, "resumed from"]]);
    const gathered = await this.#gather(guards);
    return planRetention(gathered, this.#rules, {
      ...this.#options,
      nowMs: now?.getTime() ?? this.#now(),
      guards,
      mayRemoveNewest: !this.guardsNewest(),
    });
  }

  /** Selects what the plan removes. */
  protected override async selectRemovalStates(): Promise<readonly SnapshotLocator[]> {
    return (await this.plan()).removed.map(({ locator }) => locator);
  }

  /** What the rules look at. Names and pins are enough for some; then no snapshot is opened. */
  async #gather(guards: Map<string, string>): Promise<KeptSnapshot[]> {
    const locators = await this.snapshots();
    const needsFacts = this.#options.groupBy !== undefined || this.#rules.some((rule) => rule.needsFacts);
    const known = this.#facts;
    const facts = this.#facts = new Map<string, SnapshotFacts>();
    const noted = new Set<string>();
    for await (const name of this.store.backend.notes.list()) noted.add(name);
    const gathered = await mapBounded(locators, async (locator): Promise<KeptSnapshot[]> => {
      const { name } = locator;
      const note = noted.has(name) ? await locator.note() : undefined;
      if (note === "damaged") guards.set(name, "its note cannot be read");
      const labels = note === "damaged" ? undefined : note;
      if (!needsFacts) {
        // In whole milliseconds, as savedAt is: a name's microseconds only tell snapshots of one instant apart.
        return [{ locator, name, savedAtMs: Math.floor(this.store.timeOf(name)), pinned: labels?.pinned }];
      }
      try {
        const found = known.get(locator.uri) ?? await locator.facts();
        facts.set(locator.uri, found);
        return [{
          locator,
          name,
          ...found,
          ...labels === undefined
            ? {}
            : { tags: undefined, metrics: undefined, step: undefined, pinned: undefined, ...labels },
        }];
      } catch (error) {
        if (!isUnreadable(error) && !isSnapshotError(error, "SNAPSHOT_NOT_FOUND")) throw error;
        loggerOf("RetentionKeeper").warn("'{snapshot}' is neither counted nor removed: {reason}", {
          snapshot: String(locator),
          reason: reasonOf(error),
        });
        return [];
      }
    });
    return gathered.flat();
  }
}
