// Small calls of the file system without the thread pool: a trip there and back costs several times what such a call takes on a
// storage that answers from memory. Every few milliseconds one call takes the trip all the same, so that the event loop turns.
import { monotonicMs } from "../runtime/clock.ts";

const STRETCH_MS = 4;
// A disk that has to turn, a network or a virus scanner takes longer, and would hold the program up. So does the system when it
// runs another program meanwhile, or the collector: one call in fifty may.
const MOST_MS = 2;
const CALLS_PER_SLOW_ONE = 50;
const PAUSE_MS = 10_000;

/** Decides, call by call, whether the storage answers so promptly that waiting for the pool would take longer. */
export class Promptness {
  #turnedAtMs = -Infinity;
  #isTurning = false;
  #pausedUntilMs = -Infinity;
  #promptCalls = 0; // since the last slow one

  /**
   * Makes a call at once, or through the pool: if the event loop has not turned for 4 ms, or within 10 s after two calls of fifty took
   * longer than 2 ms.
   */
  async call<T>(now: () => T, throughPool: () => Promise<T>): Promise<T> {
    const sinceMs = monotonicMs();
    if (sinceMs < this.#pausedUntilMs) return await throughPool();
    if (sinceMs - this.#turnedAtMs >= STRETCH_MS) {
      // Many trips may end in one turn: only the first tells of it, or each would allow another stretch.
      const isFirst = !this.#isTurning;
      this.#isTurning = true;
      try {
        return await throughPool();
      } finally {
        if (isFirst) {
          this.#turnedAtMs = monotonicMs();
          this.#isTurning = false;
        }
      }
    }
    try {
      return now();
    } finally {
      this.#note(monotonicMs() - sinceMs);
    }
  }

  #note(tookMs: number): void {
    this.#promptCalls++;
    if (tookMs <= MOST_MS) return;
    if (this.#promptCalls < CALLS_PER_SLOW_ONE) this.#pausedUntilMs = monotonicMs() + PAUSE_MS;
    this.#promptCalls = 0;
  }
}
