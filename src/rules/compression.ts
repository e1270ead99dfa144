// Compression: gzip and zstd of the runtime, as members that stand alone and as streams. The only file that knows
// node:zlib. Every decoder here counts what it takes and gives: the runtimes drop trailing bytes, and cut zstd, silently.
import { once } from "node:events";
import * as zlib from "node:zlib";
import type { ByteSource } from "../words/backend.ts";
import { SnapshotError } from "../words/errors.ts";

/** How an archive is compressed. */
export type Compression = "gzip" | "zstd" | "none";

/** What a decoder found wrong. */
export class CompressionFault extends Error {
  /** Which rule was broken. */
  readonly reason: "COMPRESSION_DAMAGED" | "TRAILING_DATA" | "TRUNCATED" | "LIMIT_BYTES";
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
  /** Compresses bytes into one member that stands alone. Does not block the event loop for long. */
  encode(bytes: Uint8Array, level: number): Promise<Uint8Array>;
  /** Decompresses one or more whole members, up to `maxBytes`; throws {@link CompressionFault}. */
  decode(members: Uint8Array, maxBytes: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Decompresses a stream of members to its very end; throws {@link CompressionFault}. */
  decodeStream(source: ByteSource): AsyncIterable<Uint8Array>;
}

function faultOf(error: unknown, offset: number): CompressionFault {
  const code = (error as { code?: string }).code;
  if (code === "ERR_BUFFER_TOO_LARGE") {
    return new CompressionFault("LIMIT_BYTES", offset, "it expands to more than it may", { cause: error });
  }
  if (code === "Z_BUF_ERROR") {
    return new CompressionFault("TRUNCATED", offset, "its compressed data ends early", { cause: error });
  }
  return new CompressionFault("COMPRESSION_DAMAGED", offset, "its compressed data is damaged", { cause: error });
}

const nativeGzip: Codec = {
  compression: "gzip",

  encode: (bytes, level) =>
    new Promise((resolve, reject) => {
      zlib.gzip(bytes, { level }, (error, member) => error ? reject(error) : resolve(member));
    }),

  decode: (members, maxBytes) =>
    new Promise((resolve, reject) => {
      zlib.gunzip(members, { maxOutputLength: maxBytes, finishFlush: zlib.constants.Z_FINISH }, (error, bytes) => {
        if (error) reject(faultOf(error, 0));
        else resolve(bytes as Uint8Array<ArrayBuffer>);
      });
    }),

  async *decodeStream(source) {
    const gunzip = zlib.createGunzip();
    let takenBytes = 0;
    let failure: unknown;
    // Feeding runs beside the reading below; a failure of the source must end both.
    const feeding = (async () => {
      for await (const chunk of source) {
        takenBytes += chunk.length;
        if (gunzip.destroyed) return;
        if (!gunzip.write(chunk)) await Promise.race([once(gunzip, "drain"), once(gunzip, "close")]);
      }
      gunzip.end();
    })().catch((error) => {
      failure = error;
      gunzip.destroy();
    });
    try {
      for await (const chunk of gunzip) yield chunk as Uint8Array;
    } catch (error) {
      await feeding;
      throw failure ?? faultOf(error, gunzip.bytesWritten);
    } finally {
      gunzip.destroy();
    }
    await feeding;
    if (failure !== undefined) throw failure;
    if (takenBytes === 0) throw new CompressionFault("TRUNCATED", 0, "it is empty");
    if (gunzip.bytesWritten !== takenBytes) {
      throw new CompressionFault("TRAILING_DATA", gunzip.bytesWritten, "bytes follow the end of its compressed data");
    }
  },
};

const identity: Codec = {
  compression: "none",
  encode: (bytes) => Promise.resolve(bytes),
  decode: (members, maxBytes) => {
    if (members.length > maxBytes) {
      return Promise.reject(new CompressionFault("LIMIT_BYTES", 0, "it is longer than it may be"));
    }
    return Promise.resolve(members as Uint8Array<ArrayBuffer>);
  },
  async *decodeStream(source) {
    yield* source;
  },
};

/**
 * The codec of a compression.
 *
 * @param compression Which one.
 * @returns The codec.
 * @throws {SnapshotError} `COMPRESSION_UNAVAILABLE` where the runtime lacks it.
 */
export function codecOf(compression: Compression): Codec {
  if (compression === "gzip") return nativeGzip;
  if (compression === "none") return identity;
  const available = "zstd needs Node 22.15, Deno 2.6 or Bun 1.3, or newer";
  throw new SnapshotError("COMPRESSION_UNAVAILABLE", `Cannot use ${compression} here: ${available}`, {
    compression,
    available,
  });
}

/** Which compression a file begins like; `undefined` where it is none of ours. */
export function compressionOf(head: Uint8Array): Compression | undefined {
  if (head[0] === 0x1f && head[1] === 0x8b) return "gzip";
  if (head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd) return "zstd";
  const magic = String.fromCharCode(...head.subarray(257, 262));
  return magic === "ustar" ? "none" : undefined;
}
