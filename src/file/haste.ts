// Looking at many files without waiting for the thread pool, as long as that does not hold up the program: where a storage is
// slow (a network, a disk that has to turn), waiting costs less than standing still.
import { monotonicMs } from "../runtime/clock.ts";

const FREE_MS = 20;
const FREE_MS_PER_LOOK = 0.5;

/** Counts what looks without waiting cost. */
export class Haste {
  #looks = 0;
  #spentMs = 0;

  /** Whether the storage answers so fast that waiting would take longer. */
  get pays(): boolean {
    return this.#spentMs <= FREE_MS + this.#looks * FREE_MS_PER_LOOK;
  }

  /** Looks, and measures it. */
  look<T>(at: () => T): T {
    const sinceMs = monotonicMs();
    try {
      return at();
    } finally {
      this.#looks++;
      this.#spentMs += monotonicMs() - sinceMs;
    }
  }
}
