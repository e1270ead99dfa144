// The planner: guards first, then the union of what all rules keep, then the budget; and again, until nothing changes, so that
// carrying out a plan leaves nothing to do.
import { atOnce, type Work } from "../runtime/concurrency.ts";
import { assertOptions, type OptionNames } from "../model/options.ts";
import type { RetentionSnapshot } from "../model/snapshot.ts";
import { byName } from "../model/snapshot_name.ts";
import { show, showType } from "../model/show.ts";
import { RetentionCalendar } from "./calendar.ts";
import { keepingUnderBudgets } from "./budget.ts";
import { guardsOf, type Reasons } from "./guards.ts";
import { asRule, type RetentionContext, type RetentionFunction, type RetentionRule } from "./rule.ts";

/** What becomes of one snapshot. */
export interface RetentionDecision<T extends RetentionSnapshot = RetentionSnapshot> {
  /** The snapshot. */
  readonly snapshot: T;
  /** Whether it is kept. */
  readonly isKept: boolean;
  /** Why it is kept, all reasons; why not, where a rule took it back. */
  readonly reasons: readonly string[];
}

/** What a plan needs to know beside rules and snapshots. */
export interface PlanRetentionOptions<T extends RetentionSnapshot = RetentionSnapshot> {
  /** Now, in milliseconds since 1970. */
  readonly nowMs: number;
  /**
   * IANA time zone of all calendar rules.
   *
   * @default "UTC"
   */
  readonly zone?: string;
  /**
   * Splits the snapshots into groups; each has its own plan.
   *
   * @default one group
   */
  readonly groupBy?: (snapshot: T) => string;
  /**
   * Reasons to keep a snapshot before any rule, by name; in addition to pins and the newest.
   *
   * @default none
   */
  readonly guards?: ReadonlyMap<string, string>;
  /**
   * Keeps the newest snapshot, whatever the rules say.
   *
   * @default true
   */
  readonly keepNewest?: boolean;
}

const PLAN_OPTIONS: OptionNames<PlanRetentionOptions> = {
  nowMs: true,
  zone: "a string",
  groupBy: "a function",
  guards: "a Map",
  keepNewest: "true or false",
};

/** Which snapshots are kept and which removed, with reasons; carrying it out is another matter. */
export class RetentionPlan<T extends RetentionSnapshot = RetentionSnapshot> {
  /** What becomes of each, oldest first by name. */
  readonly decisions: readonly RetentionDecision<T>[];

  /** Made by {@link planRetention}. */
  constructor(decisions: readonly RetentionDecision<T>[]) {
    this.decisions = decisions;
  }

  /** Those that are kept, oldest first. */
  get kept(): T[] {
    return this.decisions.filter(({ isKept }) => isKept).map(({ snapshot }) => snapshot);
  }

  /** Those that are to be removed, oldest first. */
  get removed(): T[] {
    return this.decisions.filter(({ isKept }) => !isKept).map(({ snapshot }) => snapshot);
  }

  /** The plan as a table, newest first. */
  toString(): string {
    const rows = [...this.decisions].reverse().map(({ snapshot, isKept, reasons }) => {
      return `${isKept ? "keep  " : "remove"}  ${snapshot.name}  ${reasons.join(", ")}`.trimEnd();
    });
    return [...rows, `${this.kept.length} kept, ${this.removed.length} to be removed`].join("\n");
  }
}

/**
 * Reads rules; functions are rules too.
 *
 * @param given The rules.
 * @returns Those that are on.
 * @throws {TypeError} If there is none, all are off, or one is no rule.
 */
export function readRules(given: readonly (RetentionRule | RetentionFunction)[]): RetentionRule[] {
  if (!Array.isArray(given)) {
    throw new TypeError(
      `Cannot plan retention: the rules must be an array, such as [keepLatest(5)], but ${showType(given)}`,
    );
  }
  const rules = given.map(asRule).filter(({ isOff }) => !isOff);
  if (rules.length === 0) {
    throw new TypeError(
      "Cannot plan retention without a rule that keeps something: it would remove everything; give a rule such as keepLatest(5), " +
        "or use new LatestStatesKeeper(where, 0) to keep none",
    );
  }
  return rules;
}

/**
 * Decides which snapshots are kept. Pure: the same input gives the same plan, whatever its order.
 *
 * A snapshot is removed only if no guard and no rule keeps it. Carrying the plan out and planning again removes nothing.
 *
 * @param snapshots What there is.
 * @param rules At least one that is on.
 * @param options Now, zone, groups, guards.
 * @returns The plan.
 * @throws {TypeError} If no rule is on, or a function does not return what it must.
 * @throws {RangeError} If there is no such zone, or now is no time.
 * @example What would be kept
 * ```ts
 * import { keepDaily, keepLatest, planRetention } from "snapkeep";
 *
 * const days = [20, 21, 22].map((day) => ({ name: `day-${day}`, savedAtMs: Date.UTC(2026, 10, day) }));
 * const plan = planRetention(days, [keepLatest(1), keepDaily(2)], { nowMs: Date.UTC(2026, 10, 23) });
 * console.log(String(plan));
 * ```
 */
export function planRetention<T extends RetentionSnapshot>(
  snapshots: readonly T[],
  rules: readonly (RetentionRule | RetentionFunction)[],
  options: PlanRetentionOptions<T>,
): RetentionPlan<T> {
  assertOptions("plan retention", options, PLAN_OPTIONS as OptionNames<PlanRetentionOptions<T>>);
  return atOnce(planning(new RetentionCalendar(options.zone ?? "UTC"), snapshots, readRules(rules), options));
}

/** As {@link planRetention}, with rules that are on and a calendar made before: making one takes longer than a small plan. Can stop after each rule. */
export function* planning<T extends RetentionSnapshot>(
  calendar: RetentionCalendar,
  snapshots: readonly T[],
  rules: readonly RetentionRule[],
  options: Omit<PlanRetentionOptions<T>, "zone">,
): Work<RetentionPlan<T>> {
  const { nowMs } = options;
  if (!Number.isFinite(nowMs)) throw new RangeError(`Cannot plan retention: now is ${show(nowMs)}, but must be a time`);
  const context: RetentionContext = { nowMs, calendar };
  const groups = new Map<string, T[]>();
  for (const snapshot of [...snapshots].sort(byName)) {
    const key = options.groupBy?.(snapshot) ?? "";
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [snapshot]);
    else group.push(snapshot);
  }
  yield;
  const decisions: RetentionDecision<T>[] = [];
  for (const group of groups.values()) {
    for (const decision of yield* deciding(group, rules, context, options)) decisions.push(decision);
  }
  return new RetentionPlan(decisions.sort((a, b) => byName(a.snapshot, b.snapshot)));
}

/** Decides over one group, again and again until nothing changes: a function may keep less of the rest. */
function* deciding<T extends RetentionSnapshot>(
  group: readonly T[],
  rules: readonly RetentionRule[],
  context: RetentionContext,
  options: Omit<PlanRetentionOptions<T>, "zone">,
): Work<RetentionDecision<T>[]> {
  const budgets = rules.filter(({ budgetBytes }) => budgetBytes !== undefined);
  const selecting = rules.filter(({ budgetBytes }) => budgetBytes === undefined);
  const reasons = new Map<string, readonly string[]>();
  let survivors = group;
  let before: number;
  do {
    const guards = guardsOf(survivors, context.nowMs, options.guards ?? new Map(), options.keepNewest === false);
    const keepingOf = (snapshots: readonly T[]) => uniting(snapshots, guards, selecting, context);
    const { kept, beyond } = yield* keepingUnderBudgets({ budgets, snapshots: survivors, guards, keepingOf });
    for (const { name } of survivors) reasons.set(name, kept.get(name) ?? beyond.get(name) ?? []);
    before = survivors.length;
    survivors = survivors.filter(({ name }) => kept.has(name));
  } while (survivors.length < before);
  const kept = new Set(survivors);
  return group.map((snapshot) => ({
    snapshot,
    isKept: kept.has(snapshot),
    reasons: reasons.get(snapshot.name) ?? [],
  }));
}

/** What is kept of some snapshots by a guard or any of the rules; all of them, where no rule selects. */
function* uniting(
  snapshots: readonly RetentionSnapshot[],
  guards: Reasons,
  rules: readonly RetentionRule[],
  context: RetentionContext,
): Work<Reasons> {
  const names = new Set(snapshots.map(({ name }) => name));
  const kept = new Map<string, readonly string[]>();
  for (const [name, reasons] of guards) if (names.has(name)) kept.set(name, reasons);
  for (const { keep } of rules) {
    for (const { name, reason } of keep(snapshots, context)) {
      if (names.has(name)) kept.set(name, [...kept.get(name) ?? [], reason]);
    }
    yield;
  }
  if (rules.length === 0) { for (const name of names) if (!kept.has(name)) kept.set(name, ["under the budget"]); }
  return kept;
}
