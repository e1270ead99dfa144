// The planner: guards first, then the union of what all rules keep, then the budget; and again, until nothing changes, so that
// carrying out a plan leaves nothing to do.
import { Calendar } from "./calendar.ts";
import {
  asRule,
  type RetentionContext,
  type RetentionFunction,
  type RetentionRule,
  type RetentionSnapshot,
} from "./retention_rule.ts";

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
export interface PlanOptions<T extends RetentionSnapshot = RetentionSnapshot> {
  /** Now, in milliseconds since 1970. */
  readonly nowMs: number;
  /** IANA zone of all calendar rules. Default `UTC`. */
  readonly zone?: string;
  /** Splits the snapshots into groups that are planned apart. */
  readonly groupBy?: (snapshot: T) => string;
  /** Reasons to keep a snapshot before any rule, by name; beside pins and the newest. */
  readonly guards?: ReadonlyMap<string, string>;
  /** Whether the newest is not guarded; only where none is to be kept. */
  readonly mayRemoveNewest?: boolean;
}

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
 * Reads rules; functions of one's own are rules too.
 *
 * @param given The rules.
 * @returns Those that are on.
 * @throws {TypeError} If there is none, all are off, or one is no rule.
 */
export function readRules(given: readonly (RetentionRule | RetentionFunction)[]): RetentionRule[] {
  if (!Array.isArray(given)) throw new TypeError("Cannot plan retention: the rules must be an array");
  const rules = given.map(asRule).filter(({ isOff }) => !isOff);
  if (rules.length === 0) {
    throw new TypeError("Cannot plan retention without a rule that is on: it would remove everything");
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
 * @throws {TypeError} If no rule is on.
 * @throws {RangeError} If there is no such zone.
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
  options: PlanOptions<T>,
): RetentionPlan<T> {
  return planWith(new Calendar(options.zone ?? "UTC"), snapshots, readRules(rules), options);
}

/** As {@link planRetention}, with rules that are on and a calendar made before: making one takes longer than a small plan. */
export function planWith<T extends RetentionSnapshot>(
  calendar: Calendar,
  snapshots: readonly T[],
  rules: readonly RetentionRule[],
  options: Omit<PlanOptions<T>, "zone">,
): RetentionPlan<T> {
  const context: RetentionContext = { nowMs: options.nowMs, calendar };
  const groups = new Map<string, T[]>();
  for (const snapshot of [...snapshots].sort((a, b) => a.name < b.name ? -1 : 1)) {
    const key = options.groupBy?.(snapshot) ?? "";
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [snapshot]);
    else group.push(snapshot);
  }
  const reasons = new Map<string, readonly string[]>();
  const kept = new Set<string>();
  for (const group of groups.values()) {
    let survivors: readonly T[] = group;
    let round: Round;
    do {
      round = planOnce(survivors, rules, context, options);
      for (const [name, why] of round.reasons) reasons.set(name, why);
      const { kept: names } = round;
      if (names.size === survivors.length) break;
      survivors = survivors.filter(({ name }) => names.has(name));
    } while (survivors.length > 0);
    for (const { name } of survivors) kept.add(name);
  }
  const decisions = [...groups.values()].flat().sort((a, b) => a.name < b.name ? -1 : 1).map((snapshot) => ({
    snapshot,
    isKept: kept.has(snapshot.name),
    reasons: reasons.get(snapshot.name) ?? [],
  }));
  return new RetentionPlan(decisions);
}

interface Round {
  readonly kept: ReadonlySet<string>;
  readonly reasons: ReadonlyMap<string, readonly string[]>;
}

function planOnce<T extends RetentionSnapshot>(
  snapshots: readonly T[],
  rules: readonly RetentionRule[],
  context: RetentionContext,
  options: Omit<PlanOptions<T>, "zone">,
): Round {
  const reasons = new Map<string, string[]>(snapshots.map(({ name }) => [name, []]));
  const add = (name: string, reason: string) => void reasons.get(name)?.push(reason);
  for (const { name, pinned } of snapshots) if (pinned) add(name, "pinned");
  for (const [name, reason] of options.guards ?? []) add(name, reason);
  if (!options.mayRemoveNewest) {
    const newest = snapshots.at(-1);
    const present = [...snapshots].reverse().find(({ savedAtMs }) => savedAtMs <= context.nowMs);
    if (newest !== undefined) add(newest.name, "newest");
    if (present !== undefined && present !== newest) add(present.name, "newest not in the future");
  }
  const guarded = new Set([...reasons].filter(([, why]) => why.length > 0).map(([name]) => name));
  const selecting = rules.filter(({ budgetBytes }) => budgetBytes === undefined);
  for (const { keep } of selecting) for (const { name, reason } of keep(snapshots, context)) add(name, reason);
  const budgets = rules.filter(({ budgetBytes }) => budgetBytes !== undefined);
  if (selecting.length === 0) {
    for (const { name } of snapshots) {
      if (!guarded.has(name)) add(name, "under the budget");
    }
  }
  const kept = new Set(snapshots.filter(({ name }) => (reasons.get(name) ?? []).length > 0).map(({ name }) => name));
  for (const budget of budgets) applyBudget(budget, snapshots, guarded, kept, reasons);
  return { kept, reasons };
}

/** Takes the oldest back until at most the budget remains. */
function applyBudget(
  { budgetBytes = Infinity, leastCount = 0, text }: RetentionRule,
  snapshots: readonly RetentionSnapshot[],
  guarded: ReadonlySet<string>,
  kept: Set<string>,
  reasons: Map<string, string[]>,
): void {
  let totalBytes = 0;
  for (const { name, sizeBytes } of snapshots) if (kept.has(name)) totalBytes += sizeBytes ?? 0;
  for (const { name, sizeBytes } of snapshots) {
    if (totalBytes <= budgetBytes || kept.size <= leastCount) return;
    if (sizeBytes === undefined || guarded.has(name) || !kept.delete(name)) continue;
    totalBytes -= sizeBytes;
    reasons.set(name, [`beyond ${text}`]);
  }
}
