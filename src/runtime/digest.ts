// SHA-256, the one hash of the format. The only file that knows which library computes it.
import * as crypto from "node:crypto";
import type { Digest } from "../model/snapshot.ts";
import type { Work } from "./concurrency.ts";

// Node refuses more than 2 GiB at once.
const MAX_UPDATE_BYTES = 1024 * 1024 * 1024;
// What takes about a millisecond.
const SLICE_BYTES = 512 * 1024;

/** A digest in the making. */
export class Digester {
  #hash: crypto.Hash | undefined; // made when it is needed: what is hashed in one call needs none
  #sizeBytes = 0;

  /** Takes the next bytes. */
  update(bytes: Uint8Array): this {
    const hash = this.#started();
    for (let start = 0; start < bytes.length; start += MAX_UPDATE_BYTES) {
      hash.update(bytes.length <= MAX_UPDATE_BYTES ? bytes : bytes.subarray(start, start + MAX_UPDATE_BYTES));
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
    return `sha256:${this.#started().digest("hex")}`;
  }

  #started(): crypto.Hash {
    return this.#hash ??= crypto.createHash("sha256");
  }
}

/** The digest of bytes that lie in memory. */
export function digestOf(bytes: Uint8Array): Digest {
  // In one call where the runtime has it: many entries are small, and making a hash costs more than hashing them.
  const inOneCall = typeof crypto.hash === "function" && bytes.length <= MAX_UPDATE_BYTES;
  return inOneCall ? `sha256:${crypto.hash("sha256", bytes, "hex")}` : new Digester().update(bytes).digest();
}

/** The digest of bytes in pieces, as work that can be done in slices. */
export function* digesting(pieces: Iterable<Uint8Array>): Work<Digest> {
  const digester = new Digester();
  for (const piece of pieces) {
    for (let start = 0; start < piece.length; start += SLICE_BYTES) {
      digester.update(piece.subarray(start, start + SLICE_BYTES));
      yield;
    }
  }
  return digester.digest();
}
