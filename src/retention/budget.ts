// Budgets: what goes when the rules keep more than there is room for. The oldest go, one by one, as if they had never been
// there, until what the rules keep of the rest is little enough. So it does not matter which of them a cleanup that was cut
// short had removed before: the next plan comes to the same end.
import type { Work } from "../runtime/concurrency.ts";
import type { RetentionSnapshot } from "../model/snapshot.ts";
import type { Reasons } from "./guards.ts";
import type { RetentionRule } from "./rule.ts";

/** What a budget is to work on. */
export interface Budgeting<T extends RetentionSnapshot> {
  /** The budgets. */
  readonly budgets: readonly RetentionRule[];
  /** All snapshots, oldest first. */
  readonly snapshots: readonly T[];
  /** Those that stay whatever the budget. */
  readonly guards: Reasons;
  /** What guards and rules keep of some snapshots. */
  readonly keepingOf: (snapshots: readonly T[]) => Work<Reasons>;
}

// The rules are asked anew for each snapshot that goes. Of more snapshots than this, so many would be asked about so often that
// a plan took seconds.
const MOST_ASKED = 1000;

/** What is kept under all budgets, and what would be kept without them, each with reasons. */
export function* keepingUnderBudgets<T extends RetentionSnapshot>(
  work: Budgeting<T>,
): Work<{ readonly kept: Reasons; readonly beyond: Reasons }> {
  const { budgets, snapshots, keepingOf } = work;
  const all = yield* keepingOf(snapshots);
  const sizes = new Map(snapshots.map(({ name, sizeBytes = 0 }) => [name, sizeBytes]));
  const broken = budgets.find((budget) => isBroken(budget, amountOf(all, sizes)));
  if (broken === undefined) return { kept: all, beyond: new Map() };
  const kept = snapshots.length > MOST_ASKED ? takeBack(work, all, sizes) : yield* cuttingOff(work, all, sizes);
  const gone = [...all.keys()].filter((name) => !kept.has(name));
  return { kept, beyond: new Map(gone.map((name) => [name, [`beyond ${broken.text}`]])) };
}

interface Amount {
  readonly sizeBytes: number;
  readonly count: number;
}

function amountOf(kept: Reasons, sizes: ReadonlyMap<string, number>): Amount {
  let sizeBytes = 0;
  for (const name of kept.keys()) sizeBytes += sizes.get(name) ?? 0;
  return { sizeBytes, count: kept.size };
}

function isBroken({ budgetBytes = Infinity, leastCount = 0 }: RetentionRule, { sizeBytes, count }: Amount): boolean {
  return sizeBytes > budgetBytes && count > leastCount;
}

/** What is kept and does not go: what is guarded, and what would make no room as far as is known. */
function isExempt({ name, sizeBytes }: RetentionSnapshot, guards: Reasons): boolean {
  return sizeBytes === undefined || guards.has(name);
}

/** Lets the oldest go until what the rules keep of the rest is within the budgets. */
function* cuttingOff<T extends RetentionSnapshot>(
  { budgets, snapshots, guards, keepingOf }: Budgeting<T>,
  all: Reasons,
  sizes: ReadonlyMap<string, number>,
): Work<Reasons> {
  let [left, kept] = [snapshots, all];
  while (true) {
    const amount = amountOf(kept, sizes);
    const broken = budgets.filter((budget) => isBroken(budget, amount));
    // Without those before it, which no rule keeps, the rules would keep the same.
    const oldest = left.findIndex((snapshot) => kept.has(snapshot.name) && !isExempt(snapshot, guards));
    if (broken.length === 0 || oldest === -1) return kept;
    const rest = left.filter((snapshot, index) =>
      index > oldest || kept.has(snapshot.name) && isExempt(snapshot, guards)
    );
    const next = yield* keepingOf(rest);
    // Several rules may let go at once what one snapshot held.
    if (broken.every(({ leastCount = 0 }) => next.size < leastCount)) return kept;
    [left, kept] = [rest, next];
  }
}

/** Takes back the oldest of what the rules keep of all. The same where what they keep of the newer does not hang on the older. */
function takeBack<T extends RetentionSnapshot>(
  { budgets, snapshots, guards }: Budgeting<T>,
  all: Reasons,
  sizes: ReadonlyMap<string, number>,
): Reasons {
  const kept = new Map(all);
  let { sizeBytes } = amountOf(all, sizes);
  for (const snapshot of snapshots) {
    const amount = { sizeBytes, count: kept.size };
    if (!budgets.some((budget) => isBroken(budget, amount))) break;
    if (isExempt(snapshot, guards) || !kept.delete(snapshot.name)) continue;
    sizeBytes -= snapshot.sizeBytes ?? 0;
  }
  return kept;
}
