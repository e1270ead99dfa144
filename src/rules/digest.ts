// SHA-256, the one hash of the format. The only file that knows which library computes it.
import { createHash } from "node:crypto";
import type { Digest } from "../words/snapshot.ts";

const MAX_UPDATE_BYTES = 1024 * 1024 * 1024;

/** A digest in the making. */
export class Digester {
  readonly #hash = createHash("sha256");
  #sizeBytes = 0;

  /** Takes the next bytes. */
  update(bytes: Uint8Array): this {
    // Node refuses more than 2 GiB at once.
    for (let start = 0; start < bytes.length; start += MAX_UPDATE_BYTES) {
      this.#hash.update(bytes.length <= MAX_UPDATE_BYTES ? bytes : bytes.subarray(start, start + MAX_UPDATE_BYTES));
    }
    this.#sizeBytes += bytes.length;
    return this;
  }

  /** How many bytes were taken. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** The digest of all bytes taken; ends the digester. */
  digest(): Digest {
    return `sha256:${this.#hash.digest("hex")}`;
  }
}

/** The digest of bytes that lie in memory. */
export function digestOf(bytes: Uint8Array): Digest {
  return new Digester().update(bytes).digest();
}
