// Giving back what nothing has used for a while.
import { clearTimeout, monotonicMs, setTimeout } from "./clock.ts";

const IDLE_MS = 60_000;
const SAME_USE_MS = 1_000;
const MOST_MS = 2 ** 31 - 1; // of a timer

/** What an {@link Idle} waits with. */
export interface IdleClock {
  /** Milliseconds of a clock that is never set. */
  now(): number;
  /** Calls back later, without keeping the program alive; returns how not to. */
  later(callback: () => void, delayMs: number): () => void;
}

/** The runtime's own timers. */
export const runtimeClock: IdleClock = {
  now: monotonicMs,
  later(callback, delayMs) {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/**
 * Calls back once there was no use for a while: a minute, or twice the time that usually lies between two uses if that is longer.
 * Uses within a second count as one.
 */
export class Idle {
  readonly #onIdle: () => void;
  readonly #clock: IdleClock;
  #usedAtMs = -Infinity;
  #usualMs = 0;
  #cancel: (() => void) | undefined;

  constructor(onIdle: () => void, clock: IdleClock = runtimeClock) {
    this.#onIdle = onIdle;
    this.#clock = clock;
  }

  /** Tells of a use. Costs a look at the clock. */
  used(): void {
    const nowMs = this.#clock.now();
    const gapMs = nowMs - this.#usedAtMs;
    if (gapMs >= SAME_USE_MS && gapMs < Infinity) this.#usualMs = gapMs;
    this.#usedAtMs = nowMs;
    this.#cancel ??= this.#wait(this.#idleMs);
  }

  /** Waits no more. */
  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  get #idleMs(): number {
    return Math.max(IDLE_MS, 2 * this.#usualMs);
  }

  #wait(delayMs: number): () => void {
    return this.#clock.later(() => {
      const restMs = this.#usedAtMs + this.#idleMs - this.#clock.now();
      this.#cancel = restMs > 0 ? this.#wait(restMs) : undefined;
      if (restMs <= 0) this.#onIdle();
    }, Math.min(delayMs, MOST_MS));
  }
}
