// Doing many small things at once, but not too many, and much work without holding up everybody else.
import { monotonicMs, setImmediate } from "./clock.ts";

// Well below the 10 ms that no stretch of work may hold up the program.
const STRETCH_MS = 4;

// When the last rest ended, and the one that has not; all paces share both.
let restedAtMs = -Infinity;
let resting: Promise<void> | undefined;

/**
 * Tells when work that awaits nothing slow has held the event loop long enough. Works that follow each other, or go on at the same time,
 * count as one: all paces count from the last rest of any. A new pace counts from then if that was just now.
 */
export class Pace {
  readonly #sinceMs = sinceRest();

  /** Lets everything else have its turn; all works that wait here share one, so each must look again whether it is due. */
  rest(): Promise<void> {
    return resting ??= turn().then(() => void (resting = undefined));
  }

  /** Whether the last turn was some milliseconds ago. */
  get isDue(): boolean {
    return monotonicMs() - Math.max(this.#sinceMs, restedAtMs) >= STRETCH_MS;
  }
}

function sinceRest(): number {
  const nowMs = monotonicMs();
  return nowMs - restedAtMs < 2 * STRETCH_MS ? restedAtMs : nowMs;
}

/** Work that can stop at each `yield`, which comes after no more than a millisecond. */
export type Work<T> = Generator<undefined, T, undefined>;

/** Does work in one go. */
export function atOnce<T>(work: Work<T>): T {
  for (let step = work.next();; step = work.next()) if (step.done) return step.value;
}

/** Does work in slices of a few milliseconds, with a turn for everything else between them; before it, if what came before took as long. */
export async function inSlices<T>(work: Work<T>): Promise<T> {
  const pace = new Pace();
  while (true) {
    if (pace.isDue) await pace.rest();
    const step = work.next();
    if (step.done) return step.value;
  }
}

const SORTED_AT_ONCE = 256; // which takes about a millisecond

/** Sorts into another array, as `toSorted` does. */
export function* sorting<T>(items: readonly T[], compare: (a: T, b: T) => number): Work<T[]> {
  if (items.length <= SORTED_AT_ONCE) return [...items].sort(compare);
  const middle = items.length >> 1;
  const left = yield* sorting(items.slice(0, middle), compare);
  const right = yield* sorting(items.slice(middle), compare);
  const sorted: T[] = [];
  let next = 0;
  for (const [index, item] of left.entries()) {
    if (index % SORTED_AT_ONCE === 0) yield;
    while (next < right.length && compare(right[next] as T, item) < 0) sorted.push(right[next++] as T);
    sorted.push(item);
  }
  return sorted.concat(right.slice(next));
}

/**
 * Runs `work` over all items, a bounded number at once. Lets others have their turn where the work never waits.
 *
 * @param items What to work on.
 * @param work Done once per item; its first failure fails the whole, when what was begun has ended, and no further is begun.
 * @param inFlight How many at once.
 * @returns The results in the order of the items.
 */
export async function mapBounded<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
  inFlight = 32,
): Promise<R[]> {
  const results: R[] = new Array(items.length);
  let next = 0;
  let failure: { readonly error: unknown } | undefined;
  const pace = new Pace();
  const run = async () => {
    while (next < items.length) {
      while (pace.isDue) await pace.rest();
      const index = next++;
      if (index >= items.length) return; // another took the last one meanwhile
      try {
        results[index] = await work(items[index] as T);
      } catch (error) {
        failure ??= { error };
        next = items.length;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(inFlight, items.length) }, run));
  if (failure !== undefined) throw failure.error;
  return results;
}

/**
 * Runs `work` over all items, a bounded number ahead of the consumer of the results.
 *
 * @param items What to work on.
 * @param work Done once per item that is reached; a failure ends the iteration in its place. The signal aborts when `signal`
 *   does, and when the iteration ends early.
 * @param inFlight How many at once.
 * @param signal Aborts what was begun.
 * @returns The results in the order of the items. It ends only when what was begun has ended.
 */
export async function* mapAhead<T, R>(
  items: readonly T[],
  work: (item: T, signal: AbortSignal) => Promise<R>,
  inFlight: number,
  signal?: AbortSignal,
): AsyncGenerator<R, void> {
  const stop = new AbortController();
  const onAbort = () => stop.abort(signal?.reason);
  signal?.addEventListener("abort", onAbort);
  if (signal?.aborted) onAbort();
  const begun: Promise<R>[] = [];
  let next = 0;
  try {
    while (true) {
      while (next < items.length && begun.length < inFlight) {
        const result = work(items[next++] as T, stop.signal);
        result.catch(() => {}); // told when it is its turn
        begun.push(result);
      }
      const first = begun.shift();
      if (first === undefined) return;
      yield await first;
    }
  } finally {
    signal?.removeEventListener("abort", onAbort);
    stop.abort();
    await Promise.allSettled(begun);
  }
}

/** A promise, and what resolves it; Node 20 lacks `Promise.withResolvers`. */
export function deferred<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  return { promise: new Promise<T>((fulfil) => resolve = fulfil), resolve: (value) => resolve(value) };
}

/** Lets everything else that waits in this program have its turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) =>
    setImmediate(() => {
      restedAtMs = monotonicMs();
      resolve();
    })
  );
}

/**
 * Waits for something, or until a signal says not to.
 *
 * @param awaited What to wait for.
 * @param signal Aborts waiting.
 * @returns What it resolves to.
 * @throws The signal's reason.
 */
export async function unlessAborted<T>(awaited: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await awaited;
  let giveUp = () => {};
  const aborted = new Promise<never>((_, reject) => giveUp = () => reject(signal.reason));
  signal.addEventListener("abort", giveUp);
  try {
    if (signal.aborted) giveUp();
    return await Promise.race([aborted, awaited]);
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}
