// gzip in plain JavaScript, by fflate, for places without a zlib of their own. fflate looks at neither CRC nor length, so
// both are checked here, member by member. The only file that knows fflate.
import type { ByteSource } from "../model/backend.ts";
import { concat, copyOf } from "../runtime/bytes.ts";
import { type Codec, CompressionFault, GZIP_RATIO, Head, MAX_PADDING_BYTES } from "./codec.ts";

const loadFflate = () => import("fflate"); // only where it is needed: it takes a while to load

const MEMBER_END_BYTES = 8;
const ZEROS = new Uint8Array(64 * 1024);

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

/** How many zeros a member ends with: of its CRC and length, and where these are all zeros, of the empty data before them. */
function zerosAtEnd({ value, sizeBytes }: Crc32): number {
  const end = new DataView(new ArrayBuffer(MEMBER_END_BYTES));
  end.setUint32(0, value, true);
  end.setUint32(4, sizeBytes % 2 ** 32, true);
  const used = new Uint8Array(end.buffer).findLastIndex((byte) => byte !== 0) + 1;
  return used === 0 ? MEMBER_END_BYTES + 1 : MEMBER_END_BYTES - used;
}

/** gzip without any native code; it writes and reads the same format, more slowly, on the event loop. */
export const pureGzip: Codec = {
  compression: "gzip",
  mostRatio: GZIP_RATIO,
  encode: async (bytes, level) => {
    const { gzipSync } = await loadFflate();
    return [gzipSync(bytes, { level: level as 0, mtime: 0 })];
  },
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
  decodeStream: (source) => gunzipMembers(source, MAX_PADDING_BYTES),
};

/**
 * Decompresses members one after the other. Which bytes end a member is known only when the next one begins, so the last
 * bytes of what came are always held back; and zeros at the end, which may be padding, until something follows them.
 */
async function* gunzipMembers(source: ByteSource, mostPaddingBytes = 0): AsyncGenerator<Uint8Array, void> {
  const { Gunzip } = await loadFflate();
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
  const push = (chunk: Uint8Array) => {
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
  };
  let zeros = 0;
  for await (const chunk of source) {
    if (chunk.length === 0) continue;
    isEmpty = false;
    const end = chunk.findLastIndex((byte) => byte !== 0) + 1;
    for (; end > 0 && zeros > 0; zeros -= Math.min(zeros, ZEROS.length)) {
      push(ZEROS.subarray(0, zeros));
      yield* output.splice(0);
    }
    if (end > 0) push(chunk.subarray(0, end));
    zeros += chunk.length - end;
    yield* output.splice(0);
  }
  if (isEmpty) throw new CompressionFault("TRUNCATED", 0, "it is empty");
  const ownZeros = Math.min(zeros, zerosAtEnd(crc));
  if (ownZeros > 0) push(ZEROS.subarray(0, ownZeros));
  if (zeros - ownZeros > mostPaddingBytes) {
    throw new CompressionFault("TRAILING_DATA", offset, "bytes follow the end of its compressed data");
  }
  try {
    gunzip.push(new Uint8Array(), true);
  } catch (error) {
    throw new CompressionFault("TRUNCATED", offset, "its compressed data ends early", { cause: error });
  }
  yield* output.splice(0);
  assertMember(tail);
}
