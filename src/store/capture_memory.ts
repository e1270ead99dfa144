// Where captured bytes wait to be written. Fresh memory is slow to touch for the first time (a GiB takes seconds), so the
// slabs of one save serve the next, unless none comes for a while.
import { Idle, type IdleClock } from "../runtime/idle.ts";

const SLAB_BYTES = 1024 * 1024;

interface Slab {
  readonly bytes: Uint8Array;
  users: number;
}

/** A copy of bytes, in pieces. */
export interface CapturedBytes {
  /** The bytes, in order. */
  readonly segments: readonly Uint8Array[];
  /** Gives the memory back for the next capture; the segments must not be read any more. */
  release(): void;
}

/** How memory is kept. */
export interface CaptureMemoryOptions {
  /** Whether other saves follow, for which it is worth keeping. Default yes. */
  readonly isReused?: boolean;
  /** What it waits with for the next save; the runtime's own timers unless given. */
  readonly clock?: IdleClock;
}

/** Reusable memory for copies. */
export class CaptureMemory {
  readonly #isReused: boolean;
  readonly #idle: Idle;
  #free: Slab[] = [];
  #current: Slab | undefined;
  #usedOfCurrent = 0;
  #inUse = 0;
  #peak = 0;

  constructor({ isReused = true, clock }: CaptureMemoryOptions = {}) {
    this.#isReused = isReused;
    this.#idle = new Idle(() => void (this.#free = []), clock);
  }

  /** Bytes that are kept for the next copy. */
  get keptBytes(): number {
    return this.#free.length * SLAB_BYTES;
  }

  /** Copies bytes, at once. */
  copy(bytes: Uint8Array): CapturedBytes {
    const slabs: Slab[] = [];
    const segments: Uint8Array[] = [];
    for (let done = 0; done < bytes.length;) {
      const slab = this.#slabWithRoom();
      const part = bytes.subarray(done, done + SLAB_BYTES - this.#usedOfCurrent);
      slab.bytes.set(part, this.#usedOfCurrent);
      segments.push(slab.bytes.subarray(this.#usedOfCurrent, this.#usedOfCurrent + part.length));
      slab.users++;
      slabs.push(slab);
      this.#usedOfCurrent += part.length;
      done += part.length;
    }
    return {
      segments,
      release: () => {
        for (const slab of slabs.splice(0)) this.#leave(slab);
      },
    };
  }

  /**
   * Ends a save: keeps as much memory as it needed at once, for the next one, and forgets what it never gave back. What no save has
   * needed for a while is given back as well.
   */
  endSave(): void {
    if (this.#current !== undefined) this.#leave(this.#current);
    this.#current = undefined;
    this.#free.length = this.#isReused ? Math.min(this.#free.length, this.#peak) : 0;
    this.#inUse = 0;
    this.#peak = 0;
    if (this.#isReused) this.#idle.used(); // of no memory too: it is the time between saves that tells how long to wait
  }

  #slabWithRoom(): Slab {
    if (this.#current !== undefined && this.#usedOfCurrent < SLAB_BYTES) return this.#current;
    if (this.#current !== undefined) this.#leave(this.#current);
    this.#current = this.#free.pop() ?? { bytes: new Uint8Array(SLAB_BYTES), users: 0 };
    this.#current.users = 1; // being current counts as a user
    this.#usedOfCurrent = 0;
    this.#inUse++;
    this.#peak = Math.max(this.#peak, this.#inUse);
    return this.#current;
  }

  #leave(slab: Slab): void {
    slab.users--;
    if (slab.users > 0) return;
    this.#inUse--;
    this.#free.push(slab);
  }
}
