// gzip members and zstd frames made by hand, in a form that is the same on every runtime, and mutations of them. And the way
// back: an independent walk over members and frames, which must use up all bytes.
import { createHash } from "node:crypto";
import * as zlib from "node:zlib";
import { concat } from "../../src/runtime/bytes.ts";
import type { Random } from "./random.ts";

/** How members are compressed. */
export type Packing = "gzip" | "zstd";

/** Whether this runtime can read zstd. */
export const hasZstd: boolean = typeof zlib.zstdDecompressSync === "function";

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? byte >>> 1 ^ 0xedb88320 : byte >>> 1;
  return byte;
});

export function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) crc = crc >>> 8 ^ (CRC_TABLE[(crc ^ byte) & 255] as number);
  return ~crc >>> 0;
}

function uint32(value: number): Uint8Array {
  return Uint8Array.of(value & 255, value >>> 8 & 255, value >>> 16 & 255, value >>> 24);
}

/** A gzip member whose bytes are stored, not deflated. */
function storedMember(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255)];
  let start = 0;
  do {
    const block = bytes.subarray(start, start + 65_535);
    start += block.length;
    const length = Uint8Array.of(block.length & 255, block.length >>> 8);
    parts.push(Uint8Array.of(start >= bytes.length ? 1 : 0), length, length.map((byte) => ~byte), block);
  } while (start < bytes.length);
  return concat([...parts, uint32(crc32(bytes)), uint32(bytes.length)]);
}

/** A zstd frame whose bytes are stored; without a checksum. */
function storedFrame(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0xa0), uint32(bytes.length)];
  let start = 0;
  do {
    const block = bytes.subarray(start, start + 100_000);
    start += block.length;
    parts.push(uint32(block.length << 3 | (start >= bytes.length ? 1 : 0)).subarray(0, 3), block);
  } while (start < bytes.length);
  return concat(parts);
}

/** Compresses bytes into one member: stored, or by the runtime, which is not the same everywhere. */
export function member(packing: Packing, bytes: Uint8Array, isStored: boolean): Uint8Array<ArrayBuffer> {
  if (packing === "gzip") return isStored ? storedMember(bytes) : Uint8Array.from(zlib.gzipSync(bytes));
  if (isStored || !hasZstd) return storedFrame(bytes);
  const params = { [zlib.constants.ZSTD_c_checksumFlag]: 1 };
  return Uint8Array.from(zlib.zstdCompressSync(bytes, { params }));
}

/** A frame that decoders skip. */
export function skippable(content: Uint8Array): Uint8Array<ArrayBuffer> {
  return concat([Uint8Array.of(0x50, 0x2a, 0x4d, 0x18), uint32(content.length), content]);
}

function mutateHeader(random: Random, bytes: Uint8Array): Uint8Array {
  if (bytes[0] === 0x1f) {
    const flags = random.pick([1, 2, 4, 8, 16, 0x1e, 0x20, 0x80]);
    const extra = random.pick([
      Uint8Array.of(0, 0),
      Uint8Array.of(3, 0, 1, 2, 3),
      Uint8Array.of(255, 255),
      Uint8Array.from("name\0", (letter) => letter.charCodeAt(0)),
      random.bytes(2),
    ]);
    return concat([bytes.subarray(0, 3), Uint8Array.of(flags), bytes.subarray(4, 10), extra, bytes.subarray(10)]);
  }
  const changed = bytes.slice();
  changed[random.pick([0, 4, 4, 5, 6, 7, 8, 9])] = random.below(256);
  return changed;
}

function mutateTrailer(random: Random, bytes: Uint8Array): Uint8Array {
  const changed = bytes.slice();
  const at = changed.length - 1 - random.below(Math.min(8, changed.length));
  changed[at] = (changed[at] as number) ^ 1 << random.below(8);
  return changed;
}

const JUNK = (random: Random) =>
  random.pick([
    new Uint8Array(1),
    new Uint8Array(600),
    Uint8Array.of(0, 1, 2),
    Uint8Array.of(0x1f),
    Uint8Array.of(0x1f, 0x8b),
    Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd),
    skippable(new Uint8Array(3)),
    skippable(new Uint8Array(3)).subarray(0, 9),
    Uint8Array.of(0x50, 0x2a, 0x4d, 0x18, 255, 255, 255, 255),
    random.bytes(9),
  ]);

/** Mutates a list of members once. */
export function mutateMembers(random: Random, members: Uint8Array[], packing: Packing, isStored: boolean): void {
  const at = random.below(members.length);
  const chosen = members[at];
  if (chosen === undefined) return;
  const change = random.below(9);
  if (change === 0) members.splice(at, 1);
  else if (change === 1) members.splice(at, 0, chosen);
  else if (change === 2) members.splice(random.below(members.length), 0, ...members.splice(at, 1));
  else if (change === 3) members.splice(at, 0, member(packing, new Uint8Array(), isStored));
  else if (change === 4) members.splice(random.chance(0.5) ? members.length : at, 0, JUNK(random));
  else if (change === 5) members[at] = chosen.subarray(0, random.below(chosen.length));
  else if (change === 6) members[at] = mutateHeader(random, chosen);
  else if (change === 7) members[at] = mutateTrailer(random, chosen);
  else members[at] = member(random.pick(["gzip", "zstd"]), chosen, isStored);
}

/** Changes bytes without knowing what they are. */
export function mutateBytes(random: Random, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const at = random.below(bytes.length + 1);
  const count = random.pick([1, 1, 2, 7, 51, 512]);
  const change = random.below(5);
  if (change === 0) return concat([bytes.subarray(0, at), bytes.subarray(at + count)]);
  if (change === 1) return concat([bytes.subarray(0, at), random.bytes(count), bytes.subarray(at)]);
  if (change === 2) return concat([bytes.subarray(0, at), bytes.subarray(at, at + count), bytes.subarray(at)]);
  if (change === 3) return bytes.slice(0, at);
  const changed = bytes.slice();
  if (at < changed.length) changed[at] = (changed[at] as number) ^ 1 << random.below(8);
  return changed;
}

/** Why an independent reader refuses compressed bytes. */
export class Unreadable extends Error {}

const MAX_PADDING_BYTES = 1024 * 1024;

/** Decompresses members by walking over them; all bytes must be used, but for zeros behind gzip. */
export function unpack(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const rest = bytes.subarray(at);
    if (rest[0] === 0x1f && rest[1] === 0x8b) at += takeMember(rest, parts);
    else if (rest[0] === 0x28 && rest[1] === 0xb5) at += takeFrame(rest, parts);
    else if ((rest[0] ?? 0) >> 4 === 5 && rest[1] === 0x2a) at += 8 + viewOf(rest).getUint32(4, true);
    else if (at === 0) return bytes.slice();
    else if (bytes[0] === 0x1f && rest.length <= MAX_PADDING_BYTES && rest.every((byte) => byte === 0)) break;
    else throw new Unreadable(`no member begins at ${at}`);
    if (at > bytes.length) throw new Unreadable("the last member is cut");
  }
  return concat(parts);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function takeMember(bytes: Uint8Array, parts: Uint8Array[]): number {
  const flags = bytes[3] as number;
  let at = 10;
  if (flags & 4) at += 2 + viewOf(bytes).getUint16(at, true);
  if (flags & 8) at = bytes.indexOf(0, at) + 1;
  if (flags & 16) at = bytes.indexOf(0, at) + 1;
  if (flags & 2) at += 2;
  if (flags & 0xe0) throw new Unreadable("reserved flags");
  const { buffer, engine } = zlib.inflateRawSync(bytes.subarray(at), { info: true } as zlib.ZlibOptions) as unknown as {
    buffer: Uint8Array;
    engine: { bytesWritten: number };
  };
  at += engine.bytesWritten;
  const view = viewOf(bytes);
  if (view.getUint32(at, true) !== crc32(buffer)) throw new Unreadable("CRC");
  if (view.getUint32(at + 4, true) !== buffer.length) throw new Unreadable("length");
  parts.push(buffer);
  return at + 8;
}

function takeFrame(bytes: Uint8Array, parts: Uint8Array[]): number {
  const descriptor = bytes[4] as number;
  const isSingle = (descriptor & 0x20) !== 0;
  const sizeBytes = [isSingle ? 1 : 0, 2, 4, 8][descriptor >> 6] as number;
  const contentAt = 5 + (isSingle ? 0 : 1) + ([0, 1, 2, 4][descriptor & 3] as number);
  let at = contentAt + sizeBytes;
  let isLast = false;
  const stored: Uint8Array[] = [];
  let isStored = true;
  while (!isLast) {
    const word = (bytes[at] as number) | (bytes[at + 1] as number) << 8 | (bytes[at + 2] as number) << 16;
    isLast = (word & 1) !== 0;
    const type = word >> 1 & 3;
    if (type === 0) stored.push(bytes.subarray(at + 3, at + 3 + (word >> 3)));
    else isStored = false;
    at += 3 + (type === 1 ? 1 : word >> 3);
    if (type === 3 || at > bytes.length) throw new Unreadable("a block");
  }
  if (descriptor & 4) at += 4;
  const content = isStored && !(descriptor & 4) ? concat(stored) : zlib.zstdDecompressSync(bytes.subarray(0, at));
  if (sizeBytes > 0) {
    const told = bytes.subarray(contentAt, contentAt + sizeBytes).reduceRight((value, byte) => value * 256 + byte, 0);
    if (told + (sizeBytes === 2 ? 256 : 0) !== content.length) throw new Unreadable("content size");
  }
  parts.push(content);
  return at;
}

/** SHA-256 as manifests and tables write it. */
export function digestOf(bytes: Uint8Array | string): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
