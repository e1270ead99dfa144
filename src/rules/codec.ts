// What a codec of bytes is: members that stand alone, and streams of them.
import type { ByteSource } from "../words/backend.ts";

/** How an archive is compressed. */
export type Compression = "gzip" | "zstd" | "none";

/** What a decoder found wrong. */
export class CompressionFault extends Error {
  /** Which rule was broken. */
  readonly reason: "COMPRESSION_DAMAGED" | "TRAILING_DATA" | "TRUNCATED" | "LIMIT_BYTES" | "LIMIT_MEMBERS";
  /** Compressed bytes taken before it was found. */
  readonly offset: number;

  constructor(reason: CompressionFault["reason"], offset: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
    this.offset = offset;
  }
}

/** A compression, in both directions. */
export interface Codec {
  /** Which one. */
  readonly compression: Compression;
  /**
   * Compresses bytes into one member that stands alone, off the event loop where the runtime can. The bytes must not change
   * meanwhile; the member comes in pieces, in order, as the compressor made them.
   */
  encode(bytes: Uint8Array, level: number): Promise<readonly Uint8Array<ArrayBuffer>[]>;
  /**
   * Decompresses one or more whole members, and nothing else, of at most `maxBytes`; throws {@link CompressionFault}.
   * `expectedBytes` is a hint that saves time where it is right.
   */
  decode(members: Uint8Array, maxBytes: number, expectedBytes?: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Decompresses a stream of members to its very end; throws {@link CompressionFault}. */
  decodeStream(source: ByteSource): AsyncIterable<Uint8Array>;
}
