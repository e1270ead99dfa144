// Headers of the tar we write: ustar, with a PAX header before it where a path does not fit. Byte for byte what tar-stream
// writes (a test compares them), but without a stream object per entry, and right beyond 2038.

/** Size of a tar block in bytes. */
export const BLOCK_BYTES = 512;

/** Mode of every file, whatever the mode of its source. */
export const FILE_MODE = 0o644;

const MAX_OCTAL = 0o77777777777;
const encoder = new TextEncoder();

/** Bytes that fill up the last block of a payload. */
export function paddingOf(sizeBytes: number): number {
  return (BLOCK_BYTES - sizeBytes % BLOCK_BYTES) % BLOCK_BYTES;
}

/**
 * The header blocks of a file.
 *
 * @param path Path within the archive.
 * @param sizeBytes Size of the payload in bytes.
 * @param mtimeSeconds Modification time in whole seconds since 1970.
 * @returns One block, or three and more where a PAX header is needed.
 */
export function encodeTarHeader(path: string, sizeBytes: number, mtimeSeconds: number): Uint8Array<ArrayBuffer> {
  const split = splitPath(path);
  if (split !== undefined) return encodeBlock(new Uint8Array(BLOCK_BYTES), split, sizeBytes, mtimeSeconds, "0");
  const record = encoder.encode(paxRecord("path", path));
  const blocks = new Uint8Array(BLOCK_BYTES + record.length + paddingOf(record.length) + BLOCK_BYTES);
  const stub = { prefix: "", name: "PaxHeader" };
  encodeBlock(blocks.subarray(0, BLOCK_BYTES), stub, record.length, mtimeSeconds, "x");
  blocks.set(record, BLOCK_BYTES);
  encodeBlock(blocks.subarray(blocks.length - BLOCK_BYTES), stub, sizeBytes, mtimeSeconds, "0");
  return blocks;
}

/** Where a path fits into the header's name and prefix fields, if it does. */
function splitPath(path: string): { prefix: string; name: string } | undefined {
  for (let index = 0; index < path.length; index++) if (path.charCodeAt(index) > 0x7f) return undefined;
  let cut = 0;
  while (path.length - cut > 100) {
    const slash = path.indexOf("/", cut);
    if (slash === -1) return undefined;
    cut = slash + 1;
  }
  if (cut > 156) return undefined;
  return { prefix: path.slice(0, Math.max(0, cut - 1)), name: path.slice(cut) };
}

function encodeBlock(
  block: Uint8Array<ArrayBuffer>,
  { prefix, name }: { prefix: string; name: string },
  sizeBytes: number,
  mtimeSeconds: number,
  type: "0" | "x",
): Uint8Array<ArrayBuffer> {
  const blank = blankOf(mtimeSeconds);
  block.set(blank.block);
  let sum = blank.sum + writeAscii(block, 0, name) + writeAscii(block, 156, type) + writeAscii(block, 345, prefix);
  sum += sizeBytes <= MAX_OCTAL ? writeOctal(block, 124, sizeBytes, 11) : writeBinary(block, 124, sizeBytes);
  writeOctal(block, 148, sum, 6);
  return block;
}

/** What the headers of an archive have in common, and its sum. */
interface Blank {
  readonly mtimeSeconds: number;
  readonly block: Uint8Array<ArrayBuffer>;
  readonly sum: number;
}

let lastBlank: Blank | undefined;

function blankOf(mtimeSeconds: number): Blank {
  if (lastBlank?.mtimeSeconds === mtimeSeconds) return lastBlank;
  const block = new Uint8Array(BLOCK_BYTES);
  writeOctal(block, 100, FILE_MODE, 6);
  writeOctal(block, 108, 0, 6);
  writeOctal(block, 116, 0, 6);
  if (mtimeSeconds <= MAX_OCTAL) writeOctal(block, 136, Math.max(0, mtimeSeconds), 11);
  else writeBinary(block, 136, mtimeSeconds); // a clock beyond the year 2242 must not make the archive unreadable
  writeAscii(block, 257, "ustar\x0000");
  writeOctal(block, 329, 0, 6);
  writeOctal(block, 337, 0, 6);
  return lastBlank = { mtimeSeconds, block, sum: checksumOf(block) };
}

/** Sum of a header block's bytes, its checksum field counted as spaces. */
export function checksumOf(block: Uint8Array): number {
  let sum = 8 * 32;
  for (let index = 0; index < BLOCK_BYTES; index++) {
    if (index < 148 || index >= 156) sum += block[index] as number;
  }
  return sum;
}

/** Whether a block has the checksum of a header; of v7 nothing else tells it. */
export function isTarHeader(block: Uint8Array): boolean {
  const text = String.fromCharCode(...block.subarray(148, 156));
  return block.length === BLOCK_BYTES && Number.parseInt(text, 8) === checksumOf(block);
}

/** A PAX record, whose length counts its own digits. */
export function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const restBytes = encoder.encode(rest).length;
  let length = restBytes + String(restBytes).length;
  if (restBytes + String(length).length > length) length++;
  return `${length}${rest}`;
}

// These three return the sum of what they wrote, into fields that were zero.

/** Digits and a space. */
function writeOctal(block: Uint8Array, offset: number, value: number, digits: number): number {
  let sum = 32;
  block[offset + digits] = 32;
  for (let index = digits - 1, rest = value; index >= 0; index--, rest = Math.floor(rest / 8)) {
    sum += block[offset + index] = 48 + rest % 8;
  }
  return sum;
}

function writeAscii(block: Uint8Array, offset: number, text: string): number {
  let sum = 0;
  for (let index = 0; index < text.length; index++) sum += block[offset + index] = text.charCodeAt(index);
  return sum;
}

/** Base 256, the way of GNU tar for sizes from 8 GiB on. */
function writeBinary(block: Uint8Array, offset: number, value: number): number {
  let sum = block[offset] = 0x80;
  for (let index = 11, rest = value; index > 0; index--, rest = Math.floor(rest / 256)) {
    sum += block[offset + index] = rest % 256;
  }
  return sum;
}
