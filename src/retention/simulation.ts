// What rules come to over time: how many snapshots, how many bytes, how large a gap.
import { assertOptions, type OptionNames } from "../model/options.ts";
import { RetentionCalendar } from "./calendar.ts";
import { type Duration, durationText, milliseconds } from "../model/duration.ts";
import { atOnce } from "../runtime/concurrency.ts";
import { planning, readRules } from "./plan.ts";
import type { RetentionSnapshot } from "../model/snapshot.ts";
import type { RetentionFunction, RetentionRule } from "./rule.ts";

/** What a program is imagined to do. */
export interface SimulateRetentionOptions {
  /** How often it saves. */
  readonly every: Duration;
  /**
   * Size of a snapshot in bytes.
   *
   * @default 0
   */
  readonly sizeBytes?: number;
  /**
   * How long the program runs.
   *
   * @default "365d"
   */
  readonly horizon?: Duration;
  /**
   * IANA time zone of calendar rules.
   *
   * @default "UTC"
   */
  readonly zone?: string;
}

const SIMULATE_OPTIONS: OptionNames<SimulateRetentionOptions> = {
  every: true,
  sizeBytes: "a number",
  horizon: true,
  zone: "a string",
};

/** What there is at one moment. */
export interface SimulatedMoment {
  /** How long the program has run, such as `1d`. */
  readonly after: string;
  /** Snapshots that exist. */
  readonly snapshots: number;
  /** What they take up, in bytes. */
  readonly sizeBytes: number;
  /** Largest time between two neighbours, in milliseconds. */
  readonly largestGapMs: number;
  /** Time between the oldest and the newest, in milliseconds. */
  readonly reachMs: number;
}

const START_MS = Date.UTC(2026, 0, 1);
const MOMENTS: readonly Duration[] = ["1d", "30d", "365d"];

/**
 * Runs rules over an imagined program that saves regularly and cleans up after each save.
 *
 * @param rules The rules.
 * @param options How often, how large, how long.
 * @returns What exists after a day, a month of 30 days and a year, as far as the horizon goes, and at the horizon.
 * @throws {RangeError} If a duration is none, or the saves would be more than a million.
 * @example How much room a policy needs
 * ```ts
 * import { keepDaily, keepHourly, simulateRetention } from "snapkeep";
 *
 * const [day, month] = simulateRetention([keepHourly(24), keepDaily(30)], { every: "1h", sizeBytes: 2e9, horizon: "30d" });
 * console.log(day?.snapshots, month?.snapshots, month?.sizeBytes);
 * ```
 */
export function simulateRetention(
  rules: readonly (RetentionRule | RetentionFunction)[],
  options: SimulateRetentionOptions,
): SimulatedMoment[] {
  assertOptions("simulate", options, SIMULATE_OPTIONS);
  const on = readRules(rules);
  const everyMs = milliseconds(options.every);
  const horizonMs = milliseconds(options.horizon ?? "365d");
  const { sizeBytes = 0, zone = "UTC" } = options;
  if (!(everyMs > 0) || horizonMs / everyMs > 1e6) {
    throw new RangeError(`Cannot simulate a save every ${options.every}: at most a million saves`);
  }
  const momentsMs = [...new Set([...MOMENTS.map(milliseconds).filter((momentMs) => momentMs < horizonMs), horizonMs])];
  const calendar = new RetentionCalendar(zone);
  let survivors: RetentionSnapshot[] = [];
  const moments: SimulatedMoment[] = [];
  for (let elapsedMs = 0; elapsedMs <= horizonMs; elapsedMs += everyMs) {
    const nowMs = START_MS + elapsedMs;
    survivors.push({ name: new Date(nowMs).toISOString(), savedAtMs: nowMs, sizeBytes, step: elapsedMs / everyMs });
    survivors = atOnce(planning(calendar, survivors, on, { nowMs })).kept;
    while (momentsMs[0] !== undefined && elapsedMs + everyMs > momentsMs[0]) {
      moments.push(momentOf(survivors, momentsMs.shift() as number));
    }
  }
  return moments;
}

function momentOf(survivors: readonly RetentionSnapshot[], elapsedMs: number): SimulatedMoment {
  const times = survivors.map(({ savedAtMs }) => savedAtMs);
  return {
    after: durationText(elapsedMs),
    snapshots: survivors.length,
    sizeBytes: survivors.reduce((sum, snapshot) => sum + (snapshot.sizeBytes ?? 0), 0),
    largestGapMs: Math.max(0, ...times.slice(1).map((timeMs, index) => timeMs - (times[index] as number))),
    reachMs: times.length === 0 ? 0 : (times.at(-1) as number) - (times[0] as number),
  };
}
