// In what order the images are learned, and how far in it the training is. Without this state a resumed run would start
// a new pass over the data and see some images twice and others never.
import type { PersistentState, StateReader, StateWriter } from "snapkeep";
import type { Random } from "./random.ts";

/** Passes over the data (epochs), each in a new random order. */
export class DataOrder implements PersistentState {
  readonly #random: Random;
  readonly #order: Uint16Array;
  #taken = 0;

  constructor(count: number, random: Random) {
    this.#random = random;
    this.#order = Uint16Array.from({ length: count }, (_, index) => index);
  }

  /** Images taken so far, over all epochs. */
  get taken(): number {
    return this.#taken;
  }

  /** Epochs that are complete. */
  get epochs(): number {
    return Math.floor(this.#taken / this.#order.length);
  }

  /**
   * Takes the images that come next, fewer at the end of an epoch.
   *
   * @param size How many.
   * @returns Their indexes; valid until the next call.
   */
  nextBatch(size: number): Uint16Array {
    const position = this.#taken % this.#order.length;
    if (position === 0) this.#shuffle();
    const batch = this.#order.subarray(position, position + size);
    this.#taken += batch.length;
    return batch;
  }

  saveState(out: StateWriter): void {
    // Nothing needs to be awaited: the store waits for every write by itself.
    void out.write("order.bin", this.#order);
    void out.json("taken.json", this.#taken);
  }

  async loadState(from: StateReader): Promise<void> {
    const order = new Uint16Array((await from.bytes("order.bin")).buffer);
    if (order.length !== this.#order.length) {
      throw new RangeError(`Cannot go on with ${this.#order.length} images: there were ${order.length} before`);
    }
    this.#order.set(order);
    this.#taken = await from.json("taken.json") as number;
  }

  /** Fisher and Yates. */
  #shuffle(): void {
    for (let last = this.#order.length - 1; last > 0; last--) {
      const other = this.#random.below(last + 1);
      const index = this.#order[last] ?? 0;
      this.#order[last] = this.#order[other] ?? 0;
      this.#order[other] = index;
    }
  }
}
