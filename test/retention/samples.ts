// Snapshots to plan over, plans as tables to compare with tables worked out by hand, and arbitrary ones for the laws.
import fc from "fast-check";
import {
  atLeast,
  keepBest,
  keepDaily,
  keepEvery,
  keepEverySteps,
  keepHourly,
  keepLatest,
  keepMonthly,
  keepTagged,
  keepUnder,
  keepWeekly,
  keepWithin,
  keepYearly,
  planRetention,
  type PlanRetentionOptions,
  type RetentionFunction,
  type RetentionPlan,
  type RetentionRule,
  type RetentionSnapshot,
} from "snapkeep";

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;

type Facts = Omit<RetentionSnapshot, "name" | "savedAtMs">;

/** Milliseconds of a time as people write it: `2026-11-23T07:00Z`, `2026-10-25T02:30+02:00`. */
export function ms(time: string): number {
  const timeMs = Date.parse(time);
  if (Number.isNaN(timeMs)) throw new RangeError(`"${time}" is no time`);
  return timeMs;
}

/** A snapshot of an instant, named by it in UTC, so that names order as times do. */
export function at(time: string | number, facts: Facts = {}): RetentionSnapshot {
  const savedAtMs = typeof time === "string" ? ms(time) : time;
  return { name: new Date(savedAtMs).toISOString(), savedAtMs, ...facts };
}

/** A snapshot whose name is given, saved at any time. */
export function named(name: string, facts: Partial<RetentionSnapshot> = {}): RetentionSnapshot {
  return { name, savedAtMs: 0, ...facts };
}

/** Snapshots a, b, c ... saved an hour apart, with facts of each. */
export function row(...facts: readonly Facts[]): RetentionSnapshot[] {
  return facts.map((each, index) => named(String.fromCharCode(97 + index), { savedAtMs: index * HOUR_MS, ...each }));
}

export type Rules = readonly (RetentionRule | RetentionFunction)[];
export type Options = Partial<PlanRetentionOptions>;

/** A plan made after all snapshots, unless it says when. */
export function planOf(snapshots: readonly RetentionSnapshot[], rules: Rules, options: Options = {}): RetentionPlan {
  const nowMs = Math.max(0, ...snapshots.map(({ savedAtMs }) => savedAtMs)) + 60_000;
  return planRetention(snapshots, rules, { nowMs, ...options });
}

/** What is kept, by name, oldest first. */
export function keptNames(snapshots: readonly RetentionSnapshot[], rules: Rules, options: Options = {}): string[] {
  return planOf(snapshots, rules, options).kept.map(({ name }) => name);
}

/** All reasons by name; those of what is removed are empty, or say what took it back. */
export function reasonsByName(
  snapshots: readonly RetentionSnapshot[],
  rules: Rules,
  options: Options = {},
): Record<string, string> {
  const { decisions } = planOf(snapshots, rules, options);
  return Object.fromEntries(decisions.map(({ snapshot, reasons }) => [snapshot.name, reasons.join(", ")]));
}

/** The plan over instants as rows `[time as given, reasons]`, in the order given; `-` is removed. */
export function table(times: readonly string[], rules: Rules, options: Options = {}): [string, string][] {
  const plan = planOf(times.map((time) => at(time)), rules, options);
  const decisions = new Map(plan.decisions.map((decision) => [decision.snapshot.savedAtMs, decision]));
  return times.map((time) => {
    const decision = decisions.get(ms(time));
    return [time, decision?.isKept ? decision.reasons.join(", ") : "-"];
  });
}

/** Instants at even distances, both ends included. */
export function every(stepMs: number, from: string, to: string): RetentionSnapshot[] {
  const snapshots: RetentionSnapshot[] = [];
  for (let timeMs = ms(from); timeMs <= ms(to); timeMs += stepMs) snapshots.push(at(timeMs));
  return snapshots;
}

/** Now, in all arbitrary worlds. */
export const NOW_MS = ms("2026-11-23T08:00Z");

const metric = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: -3, max: 3 }) },
  fc.constantFrom(NaN, Infinity, -Infinity, null),
);
const facts: fc.Arbitrary<Facts> = fc.record({
  sizeBytes: fc.oneof({ weight: 5, arbitrary: fc.nat(50) }, fc.constant(undefined)),
  step: fc.option(fc.nat(60), { nil: undefined }),
  metrics: fc.option(fc.record({ loss: metric }, { requiredKeys: [] }), { nil: undefined }),
  tags: fc.option(fc.subarray(["a", "b", "c"]), { nil: undefined }),
  pinned: fc.oneof({ weight: 6, arbitrary: fc.constant(undefined) }, fc.constant(true), fc.constant(false)),
});
// Close together, far apart, at the same instant, and now and then in the future.
const savedAtMs = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 20 * 24 }).map((hours) => NOW_MS - hours * HOUR_MS) },
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 2000 }).map((days) => NOW_MS - days * DAY_MS) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 3000 }).map((minutes) => NOW_MS - minutes * 60_000) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 400 }).map((hours) => NOW_MS + hours * HOUR_MS) },
);

/** Any snapshots with different names, most of them named in the order of their times. */
export const anySnapshots: fc.Arbitrary<RetentionSnapshot[]> = fc.tuple(
  fc.array(fc.tuple(savedAtMs, facts), { maxLength: 30 }),
  fc.oneof({ weight: 3, arbitrary: fc.constant(true) }, fc.constant(false)),
).map(([found, isOrdered]) => {
  const ordered = isOrdered ? [...found].sort(([a], [b]) => a - b) : found;
  return ordered.map(([timeMs, each], index) =>
    named(`s${String(index).padStart(3, "0")}`, { savedAtMs: timeMs, ...each })
  );
});

const count = fc.integer({ min: 1, max: 6 });
const duration = fc.constantFrom("1h", "5h", "1d", "36h", "7d", "30d");

/** Rules by the number they are given. */
export const countingRules: Readonly<Record<string, (n: number) => RetentionRule>> = {
  keepLatest,
  keepHourly,
  keepDaily,
  keepWeekly,
  keepMonthly,
  keepYearly,
  "keepBest min": (n) => keepBest("loss", "min", n),
  "keepBest max": (n) => keepBest("loss", "max", n),
};

const simpleRule: fc.Arbitrary<RetentionRule> = fc.oneof(
  fc.tuple(fc.constantFrom(...Object.keys(countingRules)), count).map(([name, n]) =>
    (countingRules[name] ?? keepLatest)(n)
  ),
  duration.map(keepWithin),
  duration.map(keepEvery),
  fc.integer({ min: 1, max: 25 }).map(keepEverySteps),
  fc.subarray(["a", "b", "c"], { minLength: 1 }).map((tags) => keepTagged(...tags)),
);

/** Any rule of ours but a budget. */
export const anyRule: fc.Arbitrary<RetentionRule> = fc.oneof(
  { weight: 4, arbitrary: simpleRule },
  fc.tuple(count, simpleRule).map(([n, inner]) => atLeast(n, inner)),
);

/** Any budget. */
export const anyBudget: fc.Arbitrary<RetentionRule> = fc.oneof(
  { weight: 3, arbitrary: fc.nat(400).map(keepUnder) },
  fc.tuple(count, fc.nat(400)).map(([n, bytes]) => atLeast(n, keepUnder(bytes))),
);

/** One to four rules without a budget. */
export const anyRules: fc.Arbitrary<RetentionRule[]> = fc.array(anyRule, { minLength: 1, maxLength: 4 });

/** One to five rules, perhaps with budgets. */
export const anyRulesAndBudgets: fc.Arbitrary<RetentionRule[]> = fc.tuple(
  anyRules,
  fc.array(anyBudget, { maxLength: 1 }),
)
  .map((lists) => lists.flat());

/** Zones whose clocks go back within one hour, as most do. */
export const anyZone: fc.Arbitrary<string> = fc.constantFrom(
  "UTC",
  "Europe/Berlin",
  "America/New_York",
  "Asia/Kathmandu",
  "Australia/Lord_Howe",
);
