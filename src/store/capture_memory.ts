// Where captured bytes wait to be written. Fresh memory is slow to touch for the first time (a GiB takes seconds), so the
// slabs of one save serve the next.

const SLAB_BYTES = 1024 * 1024;

interface Slab {
  readonly bytes: Uint8Array;
  users: number;
}

/** A copy of bytes, in pieces. */
export interface CapturedBytes {
  /** The bytes, in order. */
  readonly segments: readonly Uint8Array[];
  /** Gives the memory back for the next capture; nobody may read the segments any more. */
  release(): void;
}

/** Reusable memory for copies. */
export class CaptureMemory {
  #free: Slab[] = [];
  #current: Slab | undefined;
  #usedOfCurrent = 0;
  #inUse = 0;
  #peak = 0;

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

  /** Ends a save: keeps as much memory as it needed at once, for the next one, and forgets what it never gave back. */
  endSave(): void {
    if (this.#current !== undefined) this.#leave(this.#current);
    this.#current = undefined;
    this.#free.length = Math.min(this.#free.length, this.#peak);
    this.#inUse = 0;
    this.#peak = 0;
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
