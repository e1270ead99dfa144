// Retention rules: pure functions from what there is to what each keeps, with the reason. No I/O, no clock, no memory.
// Calendar rules are restic's: newest first, each rule with a memory of its own, the oldest kept while the count remains.
import type { RetentionCalendar, RetentionCalendarUnit } from "./calendar.ts";
import { rankByMetric } from "../manifest/labels.ts";
import { show, showType } from "../model/show.ts";
import type { RetentionSnapshot } from "../model/snapshot.ts";
import { byName } from "../model/snapshot_name.ts";
import { type Duration, durationText, milliseconds } from "../model/duration.ts";

/** What rules receive beside the snapshots. */
export interface RetentionContext {
  /** Now, in milliseconds since 1970. */
  readonly nowMs: number;
  /** The one calendar of all rules. */
  readonly calendar: RetentionCalendar;
}

/** A snapshot that a rule keeps. */
export interface RetentionChoice {
  /** Its name. */
  readonly name: string;
  /** Why, in a few words, such as `day 2026-11-23`. */
  readonly reason: string;
}

/**
 * A rule as a function: receives all snapshots of a group, oldest first by name, and returns those it keeps.
 *
 * It must be pure, and should keep what it kept when it is given only what was kept.
 */
export type RetentionFunction = (
  snapshots: readonly RetentionSnapshot[],
  context: RetentionContext,
) => Iterable<RetentionChoice>;

/** A rule, made by one of the `keep...` functions. */
export interface RetentionRule {
  /** The rule in words, such as `keepDaily(7)`. */
  readonly text: string;
  /** Whether the rule does nothing, because its count is 0. */
  readonly isOff: boolean;
  /** Whether it looks at more than names, so that manifests must be read. */
  readonly needsFacts: boolean;
  /** What it keeps. */
  readonly keep: RetentionFunction;
  /** For a budget: most bytes that may remain, applied after all other rules. */
  readonly budgetBytes?: number;
  /** For a budget: how many must remain all the same. */
  readonly leastCount?: number;
}

type Options = Partial<Pick<RetentionRule, "isOff" | "needsFacts" | "budgetBytes" | "leastCount">>;

function rule(
  text: string,
  keep: RetentionFunction,
  { isOff = false, needsFacts = true, ...budget }: Options = {},
): RetentionRule {
  return { text, isOff, needsFacts, keep, ...budget };
}

function assertCount(text: string, count: number): void {
  if ((Number.isSafeInteger(count) || count === Infinity) && count >= 0) return;
  throw new RangeError(
    `Cannot use ${text}: the count must be a whole number from 0 on, or Infinity${unlessNumber(count)}`,
  );
}

/** What a message adds where a value that must be a number is of another type. */
export const unlessNumber = (value: unknown): string => typeof value === "number" ? "" : `, but ${showType(value)}`;

/** By time, oldest first; equal times by name. */
function byTime(snapshots: readonly RetentionSnapshot[]): readonly RetentionSnapshot[] {
  // Names nearly always order as times do, and looking is much cheaper than sorting.
  const isSorted = snapshots.every(({ savedAtMs }, index) =>
    index === 0 || (snapshots[index - 1] as RetentionSnapshot).savedAtMs <= savedAtMs
  );
  if (isSorted) return snapshots;
  return [...snapshots].sort((a, b) => a.savedAtMs - b.savedAtMs || byName(a, b));
}

const notPinned = (snapshots: readonly RetentionSnapshot[]): RetentionSnapshot[] =>
  snapshots.filter(({ pinned }) => !pinned);

/**
 * Keeps the newest, by name. Opens no snapshot.
 *
 * @param count How many, not counting pinned ones; 0 turns the rule off, `Infinity` sets no limit.
 * @returns The rule.
 * @throws {RangeError} If the count is neither a whole number from 0 on nor `Infinity`.
 */
export function keepLatest(count: number): RetentionRule {
  const text = `keepLatest(${show(count)})`;
  assertCount(text, count);
  const keep: RetentionFunction = (snapshots) =>
    notPinned(snapshots).reverse().slice(0, count).map(({ name }, index) => ({ name, reason: `latest ${index + 1}` }));
  return rule(text, keep, { isOff: count === 0, needsFacts: false });
}

/**
 * Keeps what was saved less than a duration before the newest snapshot that is not in the future; and what is in the future.
 *
 * So a program that was off for a month loses nothing when it starts again.
 *
 * @param duration Such as `"7d"`; a day is 24 hours.
 * @returns The rule.
 * @throws {RangeError} If it is no duration.
 */
export function keepWithin(duration: Duration): RetentionRule {
  const lengthMs = milliseconds(duration);
  const text = typeof duration === "string" ? duration : durationText(lengthMs);
  const keep: RetentionFunction = (snapshots, { nowMs }) => {
    let referenceMs = -Infinity;
    for (const { savedAtMs } of snapshots) if (savedAtMs <= nowMs && savedAtMs > referenceMs) referenceMs = savedAtMs;
    return snapshots
      .filter(({ savedAtMs }) => savedAtMs > nowMs || savedAtMs > referenceMs - lengthMs)
      .map(({ name }) => ({ name, reason: `within ${text}` }));
  };
  return rule(`keepWithin("${text}")`, keep, { isOff: lengthMs === 0 });
}

function keepBuckets(ruleName: string, unit: RetentionCalendarUnit, count: number): RetentionRule {
  const text = `${ruleName}(${show(count)})`;
  assertCount(text, count);
  const keep: RetentionFunction = (snapshots, { calendar }) => {
    const newestFirst = [...byTime(notPinned(snapshots))].reverse();
    const kept: RetentionChoice[] = [];
    const seen = new Set<string>(); // and not only the last: a clock set back by hours, or over midnight, alternates
    for (const [index, { name, savedAtMs }] of newestFirst.entries()) {
      if (kept.length === count) break;
      const bucket = calendar.bucket(unit, savedAtMs);
      const isOldest = index === newestFirst.length - 1;
      if (seen.has(bucket) && !isOldest) continue;
      kept.push({ name, reason: seen.has(bucket) ? `oldest ${unit} ${bucket}` : `${unit} ${bucket}` });
      seen.add(bucket);
    }
    return kept;
  };
  return rule(text, keep, { isOff: count === 0 });
}

/**
 * Keeps the newest of each hour, for the last hours in which there is one, and the oldest of all while the count remains.
 *
 * @param count How many, not counting pinned ones; 0 turns the rule off, `Infinity` sets no limit.
 * @returns The rule.
 * @throws {RangeError} If the count is neither a whole number from 0 on nor `Infinity`.
 */
export function keepHourly(count: number): RetentionRule {
  return keepBuckets("keepHourly", "hour", count);
}

/**
 * Keeps the newest of each day; else as {@link keepHourly}.
 *
 * @param count How many; 0 turns the rule off, `Infinity` sets no limit.
 * @returns The rule.
 * @throws {RangeError} If the count is neither a whole number from 0 on nor `Infinity`.
 */
export function keepDaily(count: number): RetentionRule {
  return keepBuckets("keepDaily", "day", count);
}

/**
 * Keeps the newest of each ISO week, which begins on Monday; else as {@link keepHourly}.
 *
 * @param count How many; 0 turns the rule off, `Infinity` sets no limit.
 * @returns The rule.
 * @throws {RangeError} If the count is neither a whole number from 0 on nor `Infinity`.
 */
export function keepWeekly(count: number): RetentionRule {
  return keepBuckets("keepWeekly", "week", count);
}

/**
 * Keeps the newest of each month; else as {@link keepHourly}.
 *
 * @param count How many; 0 turns the rule off, `Infinity` sets no limit.
 * @returns The rule.
 * @throws {RangeError} If the count is neither a whole number from 0 on nor `Infinity`.
 */
export function keepMonthly(count: number): RetentionRule {
  return keepBuckets("keepMonthly", "month", count);
}

/**
 * Keeps the newest of each year; else as {@link keepHourly}.
 *
 * @param count How many; 0 turns the rule off, `Infinity` sets no limit.
 * @returns The rule.
 * @throws {RangeError} If the count is neither a whole number from 0 on nor `Infinity`.
 */
export function keepYearly(count: number): RetentionRule {
  return keepBuckets("keepYearly", "year", count);
}

/**
 * Keeps the oldest, then repeatedly the next that is at least a duration later.
 *
 * @param duration Such as `"30d"`; a day is 24 hours.
 * @returns The rule.
 * @throws {RangeError} If it is no duration, or 0.
 */
export function keepEvery(duration: Duration): RetentionRule {
  const lengthMs = milliseconds(duration);
  const text = typeof duration === "string" ? duration : durationText(lengthMs);
  if (lengthMs === 0) throw new RangeError("Cannot keep a snapshot every 0 s: the duration must be longer");
  const keep: RetentionFunction = (snapshots) => {
    const kept: RetentionChoice[] = [];
    let lastMs = -Infinity;
    for (const { name, savedAtMs } of byTime(snapshots)) {
      if (savedAtMs - lastMs < lengthMs) continue;
      lastMs = savedAtMs;
      kept.push({ name, reason: `every ${text}` });
    }
    return kept;
  };
  return rule(`keepEvery("${text}")`, keep);
}

/**
 * Keeps, for each multiple of a number of steps, the snapshot whose step is closest to it; of equally close ones the newer.
 *
 * @param steps Such as 10,000.
 * @returns The rule.
 * @throws {RangeError} If it is not above 0.
 */
export function keepEverySteps(steps: number): RetentionRule {
  if (!(Number.isFinite(steps) && steps > 0)) {
    const reason = `it must be a number above 0${unlessNumber(steps)}`;
    throw new RangeError(`Cannot keep a snapshot every ${show(steps)} steps: ${reason}`);
  }
  const keep: RetentionFunction = (snapshots) => {
    const closest = new Map<number, { name: string; distance: number }>();
    for (const { name, step } of snapshots) {
      if (step === undefined || !Number.isFinite(step)) continue;
      const multiple = Math.round(step / steps);
      const distance = Math.abs(step - multiple * steps);
      const known = closest.get(multiple);
      if (known === undefined || distance <= known.distance) closest.set(multiple, { name, distance });
    }
    return [...closest].map(([multiple, { name }]) => ({ name, reason: `step ${multiple * steps}` }));
  };
  return rule(`keepEverySteps(${steps})`, keep);
}

/**
 * Keeps those with the best values of a metric; of equal ones the newer. Where there are too few, the newest of those
 * whose value is missing, NaN or infinite fill the rest.
 *
 * @param metric Name of the metric.
 * @param mode Whether the least or the greatest is best.
 * @param count How many, not counting pinned ones; 0 turns the rule off, `Infinity` sets no limit.
 * @returns The rule.
 * @throws {RangeError} If the count is neither a whole number from 0 on nor `Infinity`.
 * @throws {TypeError} If the mode is neither, or the metric is not a string.
 */
export function keepBest(metric: string, mode: "min" | "max", count: number): RetentionRule {
  const text = `keepBest(${show(metric)}, ${show(mode)}, ${show(count)})`;
  if (typeof metric !== "string") throw new TypeError(`Cannot use ${text}: the metric must be a string`);
  if (mode !== "min" && mode !== "max") throw new TypeError(`Cannot use ${text}: the mode must be "min" or "max"`);
  assertCount(text, count);
  const keep: RetentionFunction = (snapshots) =>
    rankByMetric(notPinned(snapshots), metric, mode).slice(0, count).map(({ name, metrics }, index) => {
      const isMeasured = Number.isFinite(metrics?.[metric] ?? NaN);
      return { name, reason: isMeasured ? `best ${metric} ${index + 1}` : `free slot of best ${metric}` };
    });
  return rule(text, keep, { isOff: count === 0 });
}

/**
 * Keeps those that carry a tag, or any of several.
 *
 * @param tags A tag, or several.
 * @returns The rule.
 * @throws {TypeError} If a tag is not a string.
 */
export function keepTagged(...tags: readonly string[]): RetentionRule {
  if (!tags.every((tag) => typeof tag === "string")) {
    const text = `keepTagged(${tags.map(show).join(", ")})`;
    throw new TypeError(`Cannot use ${text}: each tag must be a string, such as keepTagged("a", "b")`);
  }
  const keep: RetentionFunction = (snapshots) =>
    snapshots.flatMap(({ name, tags: own = [] }) => {
      const tag = own.find((candidate) => tags.includes(candidate));
      return tag === undefined ? [] : [{ name, reason: `tagged ${tag}` }];
    });
  return rule(`keepTagged(${tags.map((tag) => JSON.stringify(tag)).join(", ")})`, keep, { isOff: tags.length === 0 });
}

/**
 * Lets the oldest go, as if they had never been there, until what all other rules keep of the rest is at most a number of
 * bytes. Guarded and pinned snapshots count but stay. Alone it keeps everything under the budget. What has no known size counts
 * nothing, and goes only where no other rule keeps it.
 *
 * Of up to 1,000 snapshots it lets go as few as may be. Of more, it takes back the oldest of what the other rules keep of all,
 * which is the same where that does not hang on the oldest, as with `keepLatest`, `keepWithin` and `keepTagged`.
 *
 * @param bytes The budget.
 * @returns The rule.
 * @throws {RangeError} If it is negative or not finite.
 */
export function keepUnder(bytes: number): RetentionRule {
  if (!(Number.isFinite(bytes) && bytes >= 0)) {
    throw new RangeError(
      `Cannot keep under ${show(bytes)} bytes: it must be a number from 0 on${unlessNumber(bytes)}`,
    );
  }
  return rule(`keepUnder(${bytes})`, () => [], { budgetBytes: bytes, leastCount: 0 });
}

/**
 * Keeps what another rule keeps, and the newest up to a number; a budget does not go below the number.
 *
 * @param count How many at least.
 * @param given The other rule.
 * @returns The rule.
 * @throws {RangeError} If the count is neither a whole number from 0 on nor `Infinity`.
 * @throws {TypeError} If the other is no rule.
 */
export function atLeast(count: number, given: RetentionRule | RetentionFunction): RetentionRule {
  const inner = asRule(given);
  const text = `atLeast(${show(count)}, ${inner.text})`;
  assertCount(text, count);
  if (inner.budgetBytes !== undefined) return { ...inner, text, leastCount: Math.max(count, inner.leastCount ?? 0) };
  const keep: RetentionFunction = (snapshots, context) => {
    const kept = inner.isOff ? [] : [...inner.keep(snapshots, context)];
    const names = new Set(kept.map(({ name }) => name));
    for (const { name } of [...snapshots].reverse()) {
      if (names.size >= count) break;
      if (names.has(name)) continue;
      names.add(name);
      kept.push({ name, reason: `at least ${count}` });
    }
    return kept;
  };
  return rule(text, keep, { isOff: count === 0 && inner.isOff, needsFacts: inner.needsFacts });
}

/** A function as a rule; its result is checked: an unclear one would keep nothing, and all would be removed. */
function ownRule(given: RetentionFunction): RetentionRule {
  const text = given.name || "a function";
  return rule(text, (snapshots, context) => {
    const kept: unknown = given(snapshots, context);
    const isList = typeof kept === "object" && kept !== null && Symbol.iterator in kept;
    const all = isList ? [...kept as Iterable<unknown>] : [undefined];
    if (all.every(isKept)) return all;
    throw new TypeError(`Cannot plan retention: ${text} must return a list of { name, reason }, both strings`);
  });
}

function isKept(given: unknown): given is RetentionChoice {
  const { name, reason } = (given ?? {}) as Partial<RetentionChoice>;
  return typeof name === "string" && typeof reason === "string";
}

/** A rule out of what users give: one of ours, or a function of their own. */
export function asRule(given: RetentionRule | RetentionFunction): RetentionRule {
  if (typeof given === "function") return ownRule(given);
  if (
    typeof given === "object" && given !== null && typeof given.keep === "function" && typeof given.text === "string"
  ) return given;
  throw new TypeError(
    `Cannot use the retention rule ${show(given)}: expected a rule such as keepLatest(5), or a function`,
  );
}
