// Reading an entry's body once, and knowing afterwards what it was: size and digest, checked against what was declared.
import { chunkOf } from "../runtime/bytes.ts";
import { corruptEntry, SnapshotError } from "../model/errors.ts";
import type { EntrySource, WrittenEntry } from "../model/snapshot.ts";
import { Digester, digestOf } from "../runtime/digest.ts";

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

  /** A body that lies in memory as one piece, instead of {@link MeasuredEntry.chunks}; `undefined` for others. */
  whole(): Uint8Array | undefined {
    const { body, sizeBytes } = this.#source;
    if (!Array.isArray(body) || body.length !== 1) return undefined;
    const only = chunkOf(body[0]); // it may have lost its memory since it was handed over
    if (only.length > MAX_CHUNK_BYTES) return undefined;
    if (sizeBytes !== undefined && only.length !== sizeBytes) throw this.#mismatch(sizeBytes, only.length);
    this.#whole = { sizeBytes: only.length, digest: digestOf(only) };
    return only;
  }

  /**
   * The body, once; fails as soon as it is longer than declared, or at its end if it was shorter. What lies in memory comes as
   * a plain iterable, for waiting between pieces costs small entries more than reading them.
   */
  chunks(): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
    const { body } = this.#source;
    return Array.isArray(body) ? this.#held(body) : this.#streamed(body as AsyncIterable<Uint8Array>);
  }

  *#held(body: readonly Uint8Array[]): Generator<Uint8Array, void> {
    const only = this.whole();
    if (only !== undefined) return void (yield only);
    for (const chunk of body) yield* this.#pieces(chunk);
    this.#assertEnd();
  }

  async *#streamed(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
    for await (const chunk of body) yield* this.#pieces(chunk);
    this.#assertEnd();
  }

  *#pieces(given: Uint8Array): Generator<Uint8Array, void> {
    const chunk = chunkOf(given);
    const { sizeBytes = Infinity } = this.#source;
    for (let start = 0; start < chunk.length; start += MAX_CHUNK_BYTES) {
      const piece = chunk.length <= MAX_CHUNK_BYTES ? chunk : chunk.subarray(start, start + MAX_CHUNK_BYTES);
      this.#digester.update(piece);
      if (this.#digester.sizeBytes > sizeBytes) throw this.#mismatch(sizeBytes);
      yield piece;
    }
  }

  #assertEnd(): void {
    const { sizeBytes } = this.#source;
    if (sizeBytes !== undefined && this.#digester.sizeBytes !== sizeBytes) throw this.#mismatch(sizeBytes);
  }

  /** What it was; to be called once, after the body was read to its end. Gives the source back. */
  finish(): WrittenEntry {
    const { state, path, copyOf } = this.#source;
    this.#source.release();
    const { sizeBytes, digest } = this.#whole ??
      { sizeBytes: this.#digester.sizeBytes, digest: this.#digester.digest() };
    if (copyOf !== undefined && digest !== copyOf.digest) {
      throw corruptEntry(copyOf.uri, this.path, copyOf.digest, digest);
    }
    return { state, path, sizeBytes, digest };
  }

  #mismatch(expectedBytes: number, actualBytes = this.#digester.sizeBytes): SnapshotError {
    const { copyOf } = this.#source;
    const found = actualBytes > expectedBytes ? "more" : `${actualBytes}`;
    if (copyOf !== undefined) {
      return corruptEntry(copyOf.uri, this.path, `${expectedBytes} bytes`, `${found} bytes`);
    }
    const message = `Cannot save "${this.path}": it was declared with ${expectedBytes} bytes and has ${found}`;
    return new SnapshotError("ENTRY_SIZE_MISMATCH", message, { path: this.path, expectedBytes, actualBytes });
  }
}
