// A keeper out of retention rules: gathers what the rules look at, plans, and lets the base class carry it out.
import { types } from "node:util";
import { RetentionCalendar } from "./calendar.ts";
import { planning, type PlanRetentionOptions, readRules, type RetentionPlan } from "./plan.ts";
import type { RetentionFunction, RetentionRule } from "./rule.ts";
import { withNote } from "../manifest/labels.ts";
import { inSlices, mapBounded } from "../runtime/concurrency.ts";
import { monotonicMs } from "../runtime/clock.ts";
import { loggerOf } from "../runtime/logging.ts";
import { assertOptions, type OptionNames } from "../model/options.ts";
import type { RetentionSnapshot, SnapshotFacts } from "../model/snapshot.ts";
import { commitsAtOnce, isAsListed } from "../snapshot/commit.ts";
import type { SnapshotLocator } from "../snapshot/locator.ts";
import type { StateStore } from "../store/state_store.ts";
import { type StateStoreOptions, STORE_OPTIONS, type StoreLocation } from "../store/store_options.ts";
import { readToDecide } from "./guards.ts";
import { guardsIn, StatesKeeper } from "./states_keeper.ts";

/** A snapshot of a plan, with its address. */
export interface KeptSnapshot extends RetentionSnapshot {
  /** Its address. */
  readonly locator: SnapshotLocator;
}

/** What there is, and what must be kept before any rule, with reasons. */
interface Found {
  readonly snapshots: readonly KeptSnapshot[];
  readonly guards: ReadonlyMap<string, string>;
}

// What was seen longer ago is seen again before anything is removed: the first cleanup reads all manifests.
const LONG_MS = 250;

/** How a {@link RetentionKeeper} plans. */
export interface RetentionKeeperOptions extends StateStoreOptions {
  /**
   * IANA time zone of all calendar rules.
   *
   * @default "UTC"
   */
  readonly zone?: string;
  /**
   * Splits the snapshots into groups, for instance by a tag; each has its own plan. Cost: reads all manifests.
   *
   * @default one group
   */
  readonly groupBy?: (snapshot: RetentionSnapshot) => string;
}

/** The options of a keeper. */
export const KEEPER_OPTIONS: OptionNames<RetentionKeeperOptions> = {
  ...STORE_OPTIONS,
  zone: "a string",
  groupBy: "a function",
};

/**
 * Keeps what any of its rules keeps, and removes the rest.
 *
 * Whatever the rules say, it keeps pinned snapshots, the newest, the newest that is not in the future, and the one that its
 * store resumed from until a newer one is saved. Snapshots whose manifest is damaged are neither counted nor removed. It is now
 * what the store's clock says.
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
  readonly #calendar: RetentionCalendar;
  readonly #options: Pick<PlanRetentionOptions<KeptSnapshot>, "groupBy">;
  readonly #needsFacts: boolean;
  readonly #now: () => number;
  /** By address, of those that were there the last time. */
  readonly #facts = new Map<string, SnapshotFacts>();

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
    assertOptions("make a keeper", options, KEEPER_OPTIONS);
    const { zone, groupBy, ...storeOptions } = options;
    super(where, storeOptions);
    this.#rules = readRules(rules);
    this.#calendar = new RetentionCalendar(zone ?? "UTC");
    this.#options = groupBy === undefined ? {} : { groupBy };
    this.#needsFacts = groupBy !== undefined || this.#rules.some((rule) => rule.needsFacts);
    this.#now = options.now ?? this.store.now;
  }

  /**
   * Decides what would be kept and removed, and removes nothing.
   *
   * Where all rules look at names only, as `keepLatest` does, it opens no snapshot, and so counts damaged ones;
   * {@link RetentionKeeper.cleanup} first looks at what would be kept, and plans again without those that cannot be read.
   *
   * @param now When it is; now by the store's clock unless given.
   * @returns Each snapshot with all reasons; `String(plan)` is a table.
   * @throws {TypeError} If `now` is no Date, or a function does not return what it must.
   * @throws {RangeError} If `now` is an invalid Date.
   * @throws {SnapshotError} `STORAGE_FAILED`.
   */
  async plan(now?: Date): Promise<RetentionPlan<KeptSnapshot>> {
    if (now !== undefined && !types.isDate(now)) throw new TypeError("Cannot plan retention: now must be a Date");
    return await this.#planOver(await this.#gather(), now?.getTime() ?? this.#now());
  }

  /** Selects what the plan removes, once all that it would keep was seen to be there. */
  protected override async selectRemovalStates(): Promise<readonly SnapshotLocator[]> {
    const nowMs = this.#now();
    // Where a glance tells, what is known is seen again at once; else only if anything is to be removed.
    const sinceMs = monotonicMs();
    const isGlance = this.store.backend.glance !== undefined;
    let { snapshots, guards } = await this.#gather(isGlance);
    const isCertain = isGlance && monotonicMs() - sinceMs < LONG_MS;
    let plan = await this.#planOver({ snapshots, guards }, nowMs);
    if (this.#needsFacts && !isCertain && plan.removed.length > 0) {
      ({ snapshots, guards } = await this.#gather(true));
      plan = await this.#planOver({ snapshots, guards }, nowMs);
    }
    const seen = new Set<string>();
    while (!this.#needsFacts && plan.removed.length > 0) {
      const unseen = plan.kept.filter(({ name }) => !seen.has(name));
      if (unseen.length === 0) break;
      const look = async (each: KeptSnapshot) => [each.name, await this.#look(each)] as const;
      const looked = new Map(await mapBounded(unseen, look, commitsAtOnce(this.store.backend)));
      for (const name of looked.keys()) seen.add(name);
      snapshots = snapshots.flatMap((each) => looked.has(each.name) ? looked.get(each.name) ?? [] : each);
      plan = await this.#planOver({ snapshots, guards }, nowMs);
    }
    return plan.removed.map(({ locator }) => locator);
  }

  async #planOver({ snapshots, guards }: Found, nowMs: number): Promise<RetentionPlan<KeptSnapshot>> {
    const keepNewest = !guardsIn(this).mayRemoveNewest;
    return await inSlices(
      planning(this.#calendar, snapshots, this.#rules, { ...this.#options, nowMs, guards, keepNewest }),
    );
  }

  /** What the rules look at. Names and pins are enough for some; then no snapshot is opened. */
  async #gather(isCertain = false): Promise<Found> {
    const guards = new Map(this.store.guards);
    const locators = await this.snapshots();
    const noted = new Set<string>();
    for await (const name of this.store.backend.notes.list()) noted.add(name);
    const here = new Set(locators.map(({ uri }) => uri));
    for (const uri of this.#facts.keys()) if (!here.has(uri)) this.#facts.delete(uri);
    const gathered = await mapBounded(locators, async (locator): Promise<KeptSnapshot | undefined> => {
      const { name } = locator;
      const note = noted.has(name) ? await locator.note() : undefined;
      if (note === "damaged") guards.set(name, "its note cannot be read");
      // In whole milliseconds, as savedAt is: a name's microseconds only tell snapshots of one instant apart.
      const facts = this.#needsFacts
        ? await this.#factsOf(locator, isCertain)
        : { savedAtMs: this.store.timeOf(name)?.getTime() ?? NaN };
      return facts && { locator, name, ...withNote(facts, note) };
    }, commitsAtOnce(this.store.backend));
    return { snapshots: gathered.filter((snapshot) => snapshot !== undefined), guards };
  }

  /** A snapshot of which only name and note were known: is it there, and was it pinned when it was saved? */
  async #look(snapshot: KeptSnapshot): Promise<KeptSnapshot | undefined> {
    const facts = await this.#factsOf(snapshot.locator);
    return facts && { ...snapshot, pinned: snapshot.pinned ?? facts.pinned };
  }

  /**
   * What the manifest says, read once. `undefined` where it cannot be read. Where it must be certain, it is seen whether the
   * snapshot is still the one that was read: another may have been imported in its place, with other labels.
   */
  #factsOf(
    locator: SnapshotLocator,
    isCertain = false,
  ): SnapshotFacts | undefined | Promise<SnapshotFacts | undefined> {
    const known = this.#facts.get(locator.uri);
    // Without a promise: of a thousand that are known, each would wait for several turns of the microtask queue.
    return known !== undefined && (!isCertain || isAsListed(locator, known)) ? known : this.#readFacts(locator, known);
  }

  async #readFacts(locator: SnapshotLocator, known: SnapshotFacts | undefined): Promise<SnapshotFacts | undefined> {
    const facts = await readToDecide(this.store, locator, () => locator.facts(known), (reason) => {
      const message = "'{snapshot}' is neither counted nor removed: {reason}";
      loggerOf("RetentionKeeper").warn(message, { snapshot: String(locator), reason });
    });
    if (facts !== undefined) this.#facts.set(locator.uri, facts);
    return facts;
  }
}
