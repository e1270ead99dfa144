// When to save, as pure decisions over a moment. A condition has no clock of its own but the moment's, and is asked often; what was
// due once stays due until a save has succeeded, so that a condition need not remember.
import { show, showType } from "../model/show.ts";

/** What a condition decides by: where the program is, and what its saves have cost. */
export interface SaveMoment {
  /**
   * Milliseconds since the states were captured last: by a save that runs or has succeeded, or by the snapshot that was loaded, also
   * if an earlier run saved it; since the autosaver's start if there is none.
   */
  readonly sinceCaptureMs: number;
  /** A number that is another one whenever the last capture is another one. */
  readonly captures: number;
  /** Whether there is such a capture: false until the first save of a program that resumed from nothing. */
  readonly hasCapture: boolean;
  /** The label `step`; without that label, how often `tick()` was called; `undefined` if neither tells. */
  readonly step: number | undefined;
  /** The step of the last capture. */
  readonly capturedStep: number | undefined;
  /** How long the last attempt to save held the program, in milliseconds. */
  readonly heldMs: number;
  /** Milliseconds since that attempt began. */
  readonly sinceAttemptMs: number;
}

/**
 * Decides whether it is time to save; called often, returns true when a save is due.
 *
 * `dueInMs` returns in how many milliseconds the condition becomes true if nothing else happens, or `undefined` if it cannot tell.
 * An autosaver's timer asks then, and `health()` tells it.
 */
export type SaveCondition =
  | ((moment: SaveMoment) => boolean)
  | { check(moment: SaveMoment): boolean; dueInMs?(moment: SaveMoment): number | undefined };

/** Throws a TypeError for what is no condition. */
export function assertCondition(action: string, condition: unknown): asserts condition is SaveCondition {
  if (typeof condition === "function") return;
  if (typeof (condition as { check?: unknown } | null | undefined)?.check === "function") return;
  const wanted = "a function that returns true or false, or an object with such a method check()";
  const example = 'for instance new PeriodicSaveCondition("5m")';
  throw new TypeError(`Cannot ${action}: a condition must be ${wanted}, but ${showType(condition)}; ${example}`);
}

/**
 * Asks a condition.
 *
 * @throws {TypeError} If it returns neither true nor false: a promise, for instance, would always count as true.
 */
export function isDue(condition: SaveCondition, moment: SaveMoment): boolean {
  const answer: unknown = typeof condition === "function" ? condition(moment) : condition.check(moment);
  if (typeof answer === "boolean") return answer;
  if (answer instanceof Promise) answer.catch(() => {}); // the error below is the only one that counts
  throw new TypeError(
    `Cannot tell whether a save is due: the condition must return true or false, not ${show(answer)}`,
  );
}

/** In how many milliseconds a condition becomes true, if it can tell. */
export function dueInMsOf(condition: SaveCondition, moment: SaveMoment): number | undefined {
  const dueInMs: unknown = typeof condition === "function" ? undefined : condition.dueInMs?.(moment);
  return typeof dueInMs === "number" && !Number.isNaN(dueInMs) ? Math.max(0, dueInMs) : undefined;
}

/**
 * True when the program has reached or passed a further multiple of `count` steps since the last capture, or has gone back.
 *
 * @param count Steps between two saves.
 * @returns The condition. As it is asked, it throws a TypeError if no step is known: give `labels` a step, or call `tick()`.
 * @throws {RangeError} If `count` is not a whole number from 1 on.
 * @example Save every 100 steps, and at least every five minutes
 * ```ts
 * import { anyOf, autosave, everySteps, memoryBackend, PeriodicSaveCondition, StateStore } from "snapkeep";
 *
 * const store = new StateStore(memoryBackend(), { startFresh: true });
 * const saver = autosave(store, { condition: anyOf(everySteps(100), new PeriodicSaveCondition("5m")) });
 * for (let step = 0; step < 250; step++) await saver.tick();
 * await saver[Symbol.asyncDispose]();
 * if ((await store.list()).length !== 2) throw new Error("it saves after steps 100 and 200");
 * ```
 */
export function everySteps(count: number): SaveCondition {
  if (!(Number.isSafeInteger(count) && count >= 1)) {
    throw new RangeError(`Cannot save every ${show(count)} steps: it must be a whole number from 1 on`);
  }
  return (moment) => Math.floor(stepOf(moment) / count) !== Math.floor((moment.capturedStep ?? 0) / count);
}

/**
 * True when the program has reached or passed one of some steps since the last capture.
 *
 * @param steps The steps, in any order.
 * @returns The condition. As it is asked, it throws a TypeError if no step is known, as that of {@link everySteps}.
 * @throws {TypeError} If it is not an array of numbers.
 */
export function atSteps(steps: readonly number[]): SaveCondition {
  if (!Array.isArray(steps) || steps.length === 0 || !steps.every((step) => Number.isFinite(step))) {
    throw new TypeError(`Cannot save at the steps ${show(steps)}: give an array of numbers, such as [100, 1000]`);
  }
  const wanted = [...steps];
  return (moment) => {
    const [after, upTo] = [moment.capturedStep ?? -Infinity, stepOf(moment)];
    return wanted.some((step) => after < step && step <= upTo);
  };
}

/**
 * True as long as the program has neither loaded nor saved a snapshot.
 *
 * @returns The condition.
 */
export function atFirst(): SaveCondition {
  return { check: (moment) => !moment.hasCapture, dueInMs: (moment) => moment.hasCapture ? Infinity : 0 };
}

/**
 * True when one of its conditions is. All are asked each time.
 *
 * @param conditions At least one.
 * @returns The condition.
 * @throws {TypeError} If there is none, or one is no condition.
 */
export function anyOf(...conditions: readonly SaveCondition[]): SaveCondition {
  return combined("any", conditions, (answers) => answers.includes(true), Math.min);
}

/**
 * True when all of its conditions are. All are asked each time.
 *
 * @param conditions At least one.
 * @returns The condition.
 * @throws {TypeError} If there is none, or one is no condition.
 */
export function allOf(...conditions: readonly SaveCondition[]): SaveCondition {
  return combined("all", conditions, (answers) => !answers.includes(false), Math.max);
}

/**
 * True when a condition is false.
 *
 * @param condition The condition.
 * @returns The opposite condition.
 * @throws {TypeError} If it is no condition.
 */
export function not(condition: SaveCondition): SaveCondition {
  assertCondition("negate a condition", condition);
  return (moment) => !isDue(condition, moment);
}

/**
 * True when a save that holds the program as long as the last attempt did keeps all saves within a share of the time. It stretches
 * the interval of another condition while saves are slow.
 *
 * An attempt holds the program from its begin until it goes on: while it pauses, and while the states hand over their data.
 *
 * @param share From above 0 to 1: 0.02 for at most 2 % of the time.
 * @returns The condition.
 * @throws {RangeError} If the share is out of range.
 * @example Save every ten seconds, less often if that would hold the program for more than 2 % of the time
 * ```ts
 * import { allOf, PeriodicSaveCondition, withinBudget } from "snapkeep";
 *
 * const condition = allOf(new PeriodicSaveCondition("10s"), withinBudget(0.02));
 * ```
 */
export function withinBudget(share: number): SaveCondition {
  if (!(typeof share === "number" && share > 0 && share <= 1)) {
    throw new RangeError(`Cannot save within a budget of ${show(share)}: the share must be from above 0 to 1`);
  }
  const dueInMs = ({ heldMs, sinceAttemptMs }: SaveMoment) => Math.max(0, heldMs / share - sinceAttemptMs);
  return { check: (moment) => dueInMs(moment) === 0, dueInMs };
}

function combined(
  what: string,
  conditions: readonly SaveCondition[],
  decide: (answers: readonly boolean[]) => boolean,
  choose: (...timesMs: number[]) => number,
): SaveCondition {
  if (conditions.length === 0) throw new TypeError(`Cannot combine conditions: ${what}Of needs at least one`);
  for (const condition of conditions) assertCondition("combine conditions", condition);
  return {
    check: (moment) => decide(conditions.map((condition) => isDue(condition, moment))),
    dueInMs(moment) {
      const known = conditions.map((condition) => dueInMsOf(condition, moment));
      return known.some((dueInMs) => dueInMs === undefined) ? undefined : choose(...known as number[]);
    },
  };
}

function stepOf({ step }: SaveMoment): number {
  if (step !== undefined) return step;
  throw new TypeError(
    "Cannot tell whether a save is due: no step is known; give autosave() labels with a step, or call tick() at each step",
  );
}
