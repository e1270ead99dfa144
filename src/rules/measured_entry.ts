// Reading an entry's body once, and knowing afterwards what it was: size and digest, checked against what was declared.
import { SnapshotError } from "../words/errors.ts";
import type { EntrySource, WrittenEntry } from "../words/snapshot.ts";
import { Digester, digestOf } from "./digest.ts";

// Runtimes hash and write no more than 2 GiB at once, and block the event loop for as long as that takes.
const MAX_CHUNK_BYTES = 16 * 1024 * 1024;

/** An entry whose size and digest are taken while its body is read. */
export class MeasuredEntry {
  readonly #source: EntrySource;
  readonly #digester = new Digester();
  #whole: Pick<WrittenEntry, "sizeBytes" | "digest"> | undefined;

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
    if (
      Array.isArray(body) && body.length === 1 && body[0] instanceof Uint8Array && body[0].length <= MAX_CHUNK_BYTES
    ) {
      const [only] = body;
      this.#whole = { sizeBytes: only.length, digest: digestOf(only) };
      if (sizeBytes !== Infinity && only.length !== sizeBytes) throw this.#mismatch(sizeBytes, only.length);
      yield only;
      return;
    }
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
    const { sizeBytes, digest } = this.#whole ??
      { sizeBytes: this.#digester.sizeBytes, digest: this.#digester.digest() };
    return { state, path, sizeBytes, digest };
  }

  #mismatch(expectedBytes: number, actualBytes = this.#digester.sizeBytes): SnapshotError {
    return new SnapshotError(
      "ENTRY_SIZE_MISMATCH",
      `Cannot save "${this.path}": it was declared with ${expectedBytes} bytes and has ${
        actualBytes > expectedBytes ? "more" : actualBytes
      }`,
      { path: this.path, expectedBytes, actualBytes },
    );
  }
}
