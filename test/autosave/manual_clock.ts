// A clock that stands still until a test moves it.

interface Timer {
  readonly atMs: number;
  readonly callback: () => void;
}

export class ManualClock {
  #nowMs = 1000;
  #timers = new Set<Timer>();

  readonly now = (): number => this.#nowMs;

  readonly later = (callback: () => void, delayMs: number): () => void => {
    const timer = { atMs: this.#nowMs + delayMs, callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  };

  /** How many timers wait. */
  get waiting(): number {
    return this.#timers.size;
  }

  /** Moves on, calling each timer at its time. */
  pass(ms: number): void {
    const endMs = this.#nowMs + ms;
    while (true) {
      const [next] = [...this.#timers].sort((a, b) => a.atMs - b.atMs);
      if (next === undefined || next.atMs > endMs) break;
      this.#timers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.callback();
    }
    this.#nowMs = Math.max(this.#nowMs, endMs); // a callback may have moved it further
  }
}
