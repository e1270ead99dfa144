// Reading an entry's body once, and knowing afterwards what it was: size and digest, checked against what was declared.
import { SnapshotError } from "../words/errors.ts";
import type { EntrySource, WrittenEntry } from "../words/snapshot.ts";
import { Digester } from "./digest.ts";

// Runtimes hash and write no more than 2 GiB at once, and block the event loop for as long as that takes.
const MAX_CHUNK_BYTES = 16 * 1024 * 1024;

/** An entry whose size and digest are taken while its body is read. */
export class MeasuredEntry {
  readonly #source: EntrySource;
  readonly #digester = new Digester();

  constructor(source: EntrySource) {
    this.#source = source;
  }

  /** Path within the snapshot. */
  get path(): string {
    return `${this.#source.state}/${this.#source.path}`;
  }

  /** The body, once; fails as soon as it is longer than declared, or at its end if it was shorter. */
  async *chunks(): AsyncGenerator<Uint8Array, void> {
    const { body, sizeBytes = Infinity } = this.#source;
    for await (const chunk of body) {
      if (!(chunk instanceof Uint8Array)) {
        throw new TypeError(`Cannot save "${this.path}": a chunk of its stream is no Uint8Array`);
      }
      for (let start = 0; start < chunk.length; start += MAX_CHUNK_BYTES) {
        const piece = chunk.length <= MAX_CHUNK_BYTES ? chunk : chunk.subarray(start, start + MAX_CHUNK_BYTES);
        this.#digester.update(piece);
        if (this.#digester.sizeBytes > sizeBytes) throw this.#mismatch(sizeBytes);
        yield piece;
      }
    }
    if (sizeBytes !== Infinity && this.#digester.sizeBytes !== sizeBytes) throw this.#mismatch(sizeBytes);
  }

  /** What it was; to be called once, after the body was read to its end. Gives the source back. */
  finish(): WrittenEntry {
    const { state, path } = this.#source;
    this.#source.release();
    return { state, path, sizeBytes: this.#digester.sizeBytes, digest: this.#digester.digest() };
  }

  #mismatch(expectedBytes: number): SnapshotError {
    const actualBytes = this.#digester.sizeBytes;
    return new SnapshotError(
      "ENTRY_SIZE_MISMATCH",
      `Cannot save "${this.path}": it was declared with ${expectedBytes} bytes and has ${
        actualBytes > expectedBytes ? "more" : actualBytes
      }`,
      { path: this.path, expectedBytes, actualBytes },
    );
  }
}
