// Which codec serves a compression in this runtime.
import { SnapshotError } from "../model/errors.ts";
import { copyOf } from "../runtime/bytes.ts";
import { type Codec, type Compression, CompressionFault, Head } from "./codec.ts";
import { nativeGzip } from "./gzip_codec.ts";
import { pureGzip } from "./pure_gzip_codec.ts";
import { nativeZstd } from "./zstd_codec.ts";

const none: Codec = {
  compression: "none",
  mostRatio: 1,
  encode: (bytes) => Promise.resolve([copyOf(bytes)]), // what is handed in is used again for the next member
  decode: (members, maxBytes) => {
    const isTooLarge = members.length > maxBytes;
    if (isTooLarge) return Promise.reject(new CompressionFault("LIMIT_BYTES", 0, "it is longer than it may be"));
    return Promise.resolve(members as Uint8Array<ArrayBuffer>);
  },
  async decodeHead(source, sizeBytes, slackBytes) {
    const head = new Head(sizeBytes, slackBytes);
    for await (const chunk of source) if (!head.take(copyOf(chunk))) break;
    return head.bytes;
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
  if (compression === "gzip") return nativeGzip ?? pureGzip;
  if (compression === "none") return none;
  if (nativeZstd !== undefined) return nativeZstd;
  const available = "zstd needs Node 22.15, Deno 2.6 or Bun 1.3, or newer";
  const message = `Cannot use ${compression} in this runtime: ${available}`;
  throw new SnapshotError("COMPRESSION_UNAVAILABLE", message, { compression, available });
}

/** Compression of a file by its first bytes; `undefined` if it is not a known one. */
export function compressionOf(head: Uint8Array): Compression | undefined {
  if (head[0] === 0x1f && head[1] === 0x8b) return "gzip";
  if (head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd) return "zstd";
  // A frame to skip, as pzstd has it in front.
  if ((head[0] ?? 0) >> 4 === 5 && head[1] === 0x2a && head[2] === 0x4d && head[3] === 0x18) return "zstd";
  const magic = String.fromCharCode(...head.subarray(257, 262));
  return magic === "ustar" ? "none" : undefined;
}
