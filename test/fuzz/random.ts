// Chance that can be repeated: the same seed gives the same choices on every runtime.

/** A source of choices. */
export class Random {
  #word: number;

  constructor(seed: number) {
    this.#word = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0;
  }

  /** 32 bits. */
  word(): number {
    this.#word = (this.#word + 0x6d2b79f5) >>> 0;
    let value = Math.imul(this.#word ^ this.#word >>> 15, this.#word | 1);
    value ^= value + Math.imul(value ^ value >>> 7, value | 61);
    return (value ^ value >>> 14) >>> 0;
  }

  /** A whole number from 0 to below `limit`. */
  below(limit: number): number {
    return limit <= 1 ? 0 : this.word() % limit;
  }

  /** Whether something with this chance happens. */
  chance(probability: number): boolean {
    return this.word() < probability * 2 ** 32;
  }

  /** One of some. */
  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }

  bytes(count: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length: count }, () => this.word() & 255);
  }
}
