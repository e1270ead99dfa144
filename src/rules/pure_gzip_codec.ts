// gzip in plain JavaScript, by fflate, for places without a zlib of their own. fflate looks at neither CRC nor length, so
// both are checked here, member by member. The only file that knows fflate.
import { Gunzip, gzipSync } from "fflate";
import type { ByteSource } from "../words/backend.ts";
import { concat, copyOf } from "../words/bytes.ts";
import { type Codec, CompressionFault, Head } from "./codec.ts";

const MEMBER_END_BYTES = 8;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? value >>> 1 ^ 0xedb88320 : value >>> 1;
  return value;
});

class Crc32 {
  #value = 0xffffffff;
  sizeBytes = 0;

  update(bytes: Uint8Array): void {
    let value = this.#value;
    for (let index = 0; index < bytes.length; index++) {
      value = value >>> 8 ^ (CRC_TABLE[(value ^ (bytes[index] as number)) & 0xff] as number);
    }
    this.#value = value;
    this.sizeBytes += bytes.length;
  }

  get value(): number {
    return ~this.#value >>> 0;
  }
}

/** gzip without any native code; it writes and reads the same format, more slowly, on the event loop. */
export const pureGzip: Codec = {
  compression: "gzip",
  encode: (bytes, level) => Promise.resolve([gzipSync(bytes, { level: level as 0, mtime: 0 })]),
  decode: async (members, maxBytes) => {
    const parts: Uint8Array[] = [];
    let sizeBytes = 0;
    for await (const part of gunzipMembers([members])) {
      sizeBytes += part.length;
      if (sizeBytes > maxBytes) throw new CompressionFault("LIMIT_BYTES", 0, "it expands to more than it may");
      parts.push(part);
    }
    return concat(parts, sizeBytes);
  },
  decodeHead: async (source, sizeBytes, slackBytes) => {
    const head = new Head(sizeBytes, slackBytes);
    for await (const part of gunzipMembers(source)) if (!head.take(part)) break;
    return head.bytes;
  },
  decodeStream: gunzipMembers,
};

/**
 * Decompresses members one after the other. Which bytes end a member is known only when the next one begins, so the last
 * bytes of what came are always held back.
 */
async function* gunzipMembers(source: ByteSource): AsyncGenerator<Uint8Array, void> {
  const output: Uint8Array[] = [];
  let crc = new Crc32();
  let offset = 0;
  let tail: Uint8Array = new Uint8Array();
  let isEmpty = true;
  const assertMember = (end: Uint8Array) => {
    if (end.length < MEMBER_END_BYTES) {
      throw new CompressionFault("TRUNCATED", offset, "its compressed data ends early");
    }
    const view = new DataView(end.buffer, end.byteOffset + end.length - MEMBER_END_BYTES, MEMBER_END_BYTES);
    if (view.getUint32(0, true) !== crc.value || view.getUint32(4, true) !== crc.sizeBytes % 2 ** 32) {
      throw new CompressionFault("COMPRESSION_DAMAGED", offset, "its compressed data is damaged");
    }
    crc = new Crc32();
  };
  const gunzip = new Gunzip((part) => {
    crc.update(part);
    if (part.length > 0) output.push(part.slice());
  });
  let seen: Uint8Array = new Uint8Array();
  let seenOffset = 0;
  gunzip.onmember = (memberOffset) => {
    if (memberOffset > 0) assertMember(seen.subarray(0, memberOffset - seenOffset));
  };
  for await (const chunk of source) {
    if (chunk.length === 0) continue;
    isEmpty = false;
    seen = concat([tail, chunk]);
    seenOffset = offset - tail.length;
    try {
      gunzip.push(copyOf(chunk), false);
    } catch (error) {
      if (error instanceof CompressionFault) throw error;
      throw new CompressionFault("COMPRESSION_DAMAGED", offset, "its compressed data is damaged", { cause: error });
    }
    offset += chunk.length;
    tail = seen.slice(-MEMBER_END_BYTES * 2);
    yield* output.splice(0);
  }
  if (isEmpty) throw new CompressionFault("TRUNCATED", 0, "it is empty");
  try {
    gunzip.push(new Uint8Array(), true);
  } catch (error) {
    throw new CompressionFault("TRUNCATED", offset, "its compressed data ends early", { cause: error });
  }
  yield* output.splice(0);
  assertMember(tail);
}
