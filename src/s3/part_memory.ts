// Where the bytes of parts wait to be sent. Fresh memory is slow to touch for the first time, so the memory of one upload serves the
// next, unless none comes for a while.
import { Idle } from "../runtime/idle.ts";

const LEAST_BYTES = 5 * 1024 * 1024;

/** Reusable memory for parts. */
export class PartMemory {
  readonly #idle = new Idle(() => void (this.#free.length = 0));
  readonly #free: Uint8Array<ArrayBuffer>[] = [];
  readonly #most: number;

  /** @param most How many parts are kept for the next upload. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Memory of a size, with anything in it; `undefined` if none is free. */
  take(sizeBytes: number): Uint8Array<ArrayBuffer> | undefined {
    const index = this.#free.findIndex(({ length }) => length === sizeBytes);
    return index < 0 ? undefined : this.#free.splice(index, 1)[0];
  }

  /** Gives memory back that nothing reads any more; little of it is not worth keeping. */
  give({ buffer }: Uint8Array<ArrayBuffer>): void {
    if (buffer.byteLength < LEAST_BYTES) return;
    if (this.#free.length >= this.#most) this.#free.shift(); // of another size, perhaps
    this.#free.push(new Uint8Array(buffer));
    this.#idle.used();
  }
}
