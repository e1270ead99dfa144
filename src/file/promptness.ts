// Small calls of the file system without the thread pool: a trip there and back costs several times what such a call takes on a
// storage that answers from memory.
import { monotonicMs } from "../runtime/clock.ts";
import { Pace } from "../runtime/concurrency.ts";

// A disk that has to turn, a network or a virus scanner takes longer, and would hold the program up. So does the system when it
// runs another program meanwhile, or the collector: one call in fifty may.
const MOST_MS = 2;
const CALLS_PER_SLOW_ONE = 50;
const PAUSE_MS = 10_000;

/** Decides, call by call, whether the storage answers so promptly that waiting for the pool would take longer. */
export class Promptness {
  readonly #pace = new Pace();
  #pausedUntilMs = -Infinity;
  #promptCalls = 0; // since the last slow one
  #syncs = 0; // under way

  /**
   * Makes a call without the pool, after a turn of the event loop if one is due; or through the pool, within 10 s after two calls of
   * fifty took longer than 2 ms.
   */
  call<T>(now: () => T, throughPool: () => Promise<T>): Promise<T> {
    return this.#call(now, throughPool, false);
  }

  /**
   * As {@link Promptness.call}, for what makes a file or folder, or opens one; through the pool also during a sync: a file system that commits
   * its journal makes the caller wait.
   */
  create<T>(now: () => T, throughPool: () => Promise<T>): Promise<T> {
    return this.#call(now, throughPool, true);
  }

  /** Makes a sync. */
  async sync(throughPool: () => Promise<void>): Promise<void> {
    this.#syncs++;
    try {
      await throughPool();
    } finally {
      this.#syncs--;
    }
  }

  async #call<T>(now: () => T, throughPool: () => Promise<T>, isCreating: boolean): Promise<T> {
    while (this.#isPrompt && this.#pace.isDue) await this.#pace.rest();
    if (!this.#isPrompt || (isCreating && this.#syncs > 0)) return await throughPool();
    const sinceMs = monotonicMs();
    try {
      return now();
    } finally {
      this.#note(monotonicMs() - sinceMs);
    }
  }

  get #isPrompt(): boolean {
    return monotonicMs() >= this.#pausedUntilMs;
  }

  #note(tookMs: number): void {
    this.#promptCalls++;
    if (tookMs <= MOST_MS) return;
    if (this.#promptCalls < CALLS_PER_SLOW_ONE) this.#pausedUntilMs = monotonicMs() + PAUSE_MS;
    this.#promptCalls = 0;
  }
}

/** The promptness of the file system of this machine. */
export const promptness: Promptness = new Promptness();
