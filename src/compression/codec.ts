// What a codec of bytes is: members that stand alone, and streams of them.
import type { ByteSource } from "../model/backend.ts";

/** How an archive is compressed. */
export type Compression = "gzip" | "zstd" | "none";

/** What a decoder found wrong. */
export class CompressionFault extends Error {
  /** Which rule was broken. */
  readonly reason:
    | "COMPRESSION_DAMAGED"
    | "COMPRESSION_UNKNOWN"
    | "TRAILING_DATA"
    | "TRUNCATED"
    | "LIMIT_BYTES"
    | "LIMIT_MEMBERS";
  /** Compressed bytes taken before it was found. */
  readonly offset: number;

  constructor(reason: CompressionFault["reason"], offset: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
    this.offset = offset;
  }
}

/** Most zero bytes that may follow compressed data: writers of tapes fill up their last record. */
export const MAX_PADDING_BYTES: number = 1024 * 1024;

/** The `mostRatio` of gzip: deflate cannot do more than 1032. */
export const GZIP_RATIO = 1100;

/** A compression, in both directions. */
export interface Codec {
  /** Which one. */
  readonly compression: Compression;
  /** Most decompressed bytes that its format can make of a compressed one; data or a table that exceeds it is hostile. */
  readonly mostRatio: number;
  /**
   * Compresses bytes into one member that stands alone, off the event loop where the runtime can. The bytes must not change
   * meanwhile; the member comes in pieces, in order, as the compressor made them.
   */
  encode(bytes: Uint8Array, level: number): Promise<readonly Uint8Array<ArrayBuffer>[]>;
  /** Decompresses one or more whole members, and nothing else, of at most `maxBytes`, which is below 2 GiB; throws {@link CompressionFault}. */
  decode(members: Uint8Array, maxBytes: number): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * Decompresses small members that follow each other, in one trip to the thread pool; present where that costs less than a trip each.
   *
   * @param packed The members.
   * @param endOffsets Where each ends.
   * @param maxBytes Most that all of them may hold.
   * @returns What each holds; `undefined` where anything is wrong, which decompressing each by itself tells.
   */
  decodeRun?(
    packed: Uint8Array,
    endOffsets: readonly number[],
    maxBytes: number,
  ): Promise<readonly Uint8Array<ArrayBuffer>[] | undefined>;
  /**
   * The first `sizeBytes` of what whole members hold, in a buffer of their own; fewer where they hold fewer. Up to
   * `slackBytes` that follow are decompressed as well, so that their damage is found; throws {@link CompressionFault}. The
   * source may lend its chunks.
   */
  decodeHead(source: ByteSource, sizeBytes: number, slackBytes: number): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * Decompresses a stream of members to its very end, behind which gzip may have {@link MAX_PADDING_BYTES} zeros; throws
   * {@link CompressionFault}.
   */
  decodeStream(source: ByteSource): AsyncIterable<Uint8Array>;
}

/** The first bytes of what a decompressor gives. */
export class Head {
  readonly #sizeBytes: number;
  readonly #slackBytes: number;
  #bytes: Uint8Array<ArrayBuffer> | undefined;
  #takenBytes = 0;

  constructor(sizeBytes: number, slackBytes: number) {
    this.#sizeBytes = sizeBytes;
    this.#slackBytes = slackBytes;
  }

  /** Takes the next bytes, without a copy where they lie in a buffer of just the size; whether more are needed. */
  take(chunk: Uint8Array): boolean {
    const offset = this.#takenBytes;
    if (offset < this.#sizeBytes) {
      const { buffer, byteOffset } = chunk;
      const isWhole = buffer instanceof ArrayBuffer && buffer.byteLength === this.#sizeBytes && byteOffset === offset;
      if (isWhole && offset === 0) this.#bytes = new Uint8Array(buffer);
      this.#bytes ??= new Uint8Array(this.#sizeBytes);
      if (this.#bytes.buffer !== buffer) this.#bytes.set(chunk.subarray(0, this.#sizeBytes - offset), offset);
    }
    this.#takenBytes += chunk.length;
    return this.#takenBytes <= this.#sizeBytes + this.#slackBytes;
  }

  /** What was taken, as far as it is needed. */
  get bytes(): Uint8Array<ArrayBuffer> {
    const bytes = this.#bytes ?? new Uint8Array();
    return this.#takenBytes < this.#sizeBytes ? bytes.slice(0, this.#takenBytes) : bytes;
  }
}
