// gzip by the runtime's zlib, which works in the thread pool, several members at once; given output buffers that are large
// enough it comes back to the event loop once and not every 16 KiB.
import type { ByteSource } from "../model/backend.ts";
import { concat, copyOf, plain } from "../runtime/bytes.ts";
import { type Codec, CompressionFault, GZIP_RATIO, Head, MAX_PADDING_BYTES } from "./codec.ts";
import { deflate, type DeflateMethod } from "./deflaters.ts";
import { turn } from "../runtime/concurrency.ts";
import { zlib } from "../runtime/native_zlib.ts";
import { drive, pump } from "./zlib_stream.ts";

// Below this, looking for the right strategy costs more than it can save.
const PROBED_BYTES = 64 * 1024;
const HISTOGRAM_BYTES = 8 * 1024;
// Text lies near 5 bits a byte, floating-point noise above 7: only where bytes are nearly random is a probe worth it.
const NOISY_BITS = 6.5;
const MAX_CHUNK_BYTES = 64 * 1024 * 1024;

/** The codec, or `undefined` where the runtime has no zlib. */
export const nativeGzip: Codec | undefined = typeof zlib.gzip !== "function" ? undefined : {
  compression: "gzip",
  mostRatio: GZIP_RATIO,
  encode: async (bytes, level) => await deflate(bytes, await methodFor(bytes, level)),
  decode: gunzip,
  decodeRun: gunzipRun,
  decodeHead: gunzipHead,
  decodeStream: gunzipStream,
};

/**
 * Chooses how to deflate. Where matching strings gains nothing over coding bytes, as in floating-point numbers, coding them
 * alone gives the same size three times as fast; where that gains nothing either, the bytes are stored.
 */
async function methodFor(bytes: Uint8Array, level: number): Promise<DeflateMethod> {
  const matched: DeflateMethod = { level, strategy: zlib.constants.Z_DEFAULT_STRATEGY };
  if (level === 0 || bytes.length < PROBED_BYTES || bitsPerByte(bytes) < NOISY_BITS) return matched;
  // A whole window and as much again, so that repetitions as far apart as deflate can reach are seen.
  const start = (bytes.length - PROBED_BYTES) >> 1;
  const sample = bytes.subarray(start, start + PROBED_BYTES);
  const coded: DeflateMethod = { level, strategy: zlib.constants.Z_HUFFMAN_ONLY };
  const [matchedBytes, codedBytes] = await Promise.all([
    deflate(sample, { ...matched, level: Math.max(2, level) }).then(lengthOf),
    deflate(sample, coded).then(lengthOf),
  ]);
  if (matchedBytes < codedBytes * 0.995) return matched;
  return codedBytes < sample.length * 0.995 ? coded : { ...matched, level: 0 };
}

const lengthOf = (pieces: readonly Uint8Array[]): number => pieces.reduce((sum, piece) => sum + piece.length, 0);

/** Entropy of single bytes, in bits, over a sample spread over the bytes. */
function bitsPerByte(bytes: Uint8Array): number {
  const counts = new Uint32Array(256);
  // An odd step meets every position of the numbers that the bytes may be.
  const step = Math.max(1, Math.floor(bytes.length / HISTOGRAM_BYTES)) | 1;
  let taken = 0;
  for (let index = 0; index < bytes.length; index += step, taken++) (counts[bytes[index] as number] as number)++;
  let bits = 0;
  for (const count of counts) if (count > 0) bits -= count / taken * Math.log2(count / taken);
  return bits;
}

/** What the last member says of its own size: a hint, and believed no further than its compressed bytes can hold. */
function statedBytes(members: Uint8Array): number {
  const last = members.subarray(-4);
  if (last.length < 4) return 0;
  const stated = new DataView(last.buffer, last.byteOffset, 4).getUint32(0, true);
  return stated <= members.length * GZIP_RATIO ? stated : 0;
}

/** What zlib gives with `info`, whatever its types say. */
interface InflatedWithInfo {
  readonly buffer: Uint8Array<ArrayBuffer>;
  /** `bytesWritten` counts the compressed bytes that were really used. */
  readonly engine: { readonly bytesWritten: number };
}

// A trip to the thread pool takes longer than to decompress so few bytes.
const SMALL_PACKED_BYTES = 16 * 1024;
const SMALL_BYTES = 64 * 1024;

/** Decompresses a little at once; `undefined` where it is more, or anything is wrong with it. */
function gunzipNow(members: Uint8Array, maxBytes: number): Uint8Array<ArrayBuffer> | undefined {
  const sizeBytes = statedBytes(members);
  if (members.length > SMALL_PACKED_BYTES || sizeBytes > Math.min(SMALL_BYTES, maxBytes)) return undefined;
  try {
    const options = { maxOutputLength: Math.max(1, sizeBytes), chunkSize: Math.max(1024, sizeBytes), info: true };
    const { buffer, engine } = zlib.gunzipSync(members, options) as unknown as InflatedWithInfo;
    return engine.bytesWritten === members.length ? plain(buffer) : undefined;
  } catch {
    return undefined; // the pool tells what is wrong
  }
}

/** All bytes of a source where they are few; else what yields all of them. */
async function gathered(
  source: ByteSource,
): Promise<{ readonly members: Uint8Array; readonly rest?: AsyncIterable<Uint8Array> }> {
  const pieces: Uint8Array[] = [];
  const incoming = (async function* () {
    yield* source;
  })();
  for (let sizeBytes = 0; sizeBytes <= SMALL_PACKED_BYTES;) {
    const { done, value } = await incoming.next();
    if (done) return { members: pieces.length === 1 ? pieces[0] as Uint8Array : concat(pieces) };
    pieces.push(copyOf(value)); // it may be lent
    sizeBytes += value.length;
  }
  const rest = async function* () {
    yield* pieces;
    yield* incoming;
  };
  return { members: new Uint8Array(), rest: rest() };
}

let isCompiled = false;

async function gunzip(members: Uint8Array, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  if (isCompiled) return gunzipNow(members, maxBytes) ?? await gunzipInPool(members, maxBytes);
  await turn(); // at the first call Node compiles its streams, which takes 8 ms: they have a turn of their own
  isCompiled = true;
  const whole = gunzipNow(members, maxBytes);
  await turn();
  return whole ?? await gunzipInPool(members, maxBytes);
}

async function gunzipRun(
  packed: Uint8Array,
  endOffsets: readonly number[],
  maxBytes: number,
): Promise<readonly Uint8Array<ArrayBuffer>[] | undefined> {
  let startOffset = 0;
  let sizeBytes = 0;
  const ends = endOffsets.map((endOffset) => {
    sizeBytes += statedBytes(packed.subarray(startOffset, endOffset)); // which is compared with what it really holds
    startOffset = endOffset;
    return sizeBytes;
  });
  if (sizeBytes > maxBytes) return undefined;
  const whole = await gunzipInPool(packed, sizeBytes, sizeBytes).catch(() => undefined);
  return whole?.length === sizeBytes ? ends.map((end, index) => whole.subarray(ends[index - 1] ?? 0, end)) : undefined;
}

function gunzipInPool(
  members: Uint8Array,
  maxBytes: number,
  expectedBytes: number = statedBytes(members),
): Promise<Uint8Array<ArrayBuffer>> {
  const chunkSize = Math.min(Math.max(16 * 1024, expectedBytes), MAX_CHUNK_BYTES, Math.max(1024, maxBytes));
  const options = { maxOutputLength: maxBytes, chunkSize, info: true };
  return new Promise((resolve, reject) => {
    zlib.gunzip(members, options, (error, result) => {
      if (error) return reject(faultOf(error, 0));
      const { buffer, engine } = result as unknown as InflatedWithInfo;
      // A NUL ends it without a word, and hides what is behind.
      if (engine.bytesWritten === members.length) resolve(plain(buffer));
      else reject(trailing(engine.bytesWritten));
    });
  });
}

async function gunzipHead(
  given: ByteSource,
  sizeBytes: number,
  slackBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  let source = given;
  if (sizeBytes <= SMALL_BYTES) {
    const { members, rest } = await gathered(given);
    const whole = rest === undefined ? gunzipNow(members, sizeBytes + slackBytes) : undefined;
    if (whole !== undefined) return whole.length > sizeBytes ? whole.slice(0, sizeBytes) : whole;
    source = rest ?? [members];
  }
  // A buffer that takes just the head is the head.
  const stream = zlib.createGunzip({ chunkSize: Math.min(Math.max(1024, sizeBytes), MAX_CHUNK_BYTES) });
  const head = new Head(sizeBytes, slackBytes);
  const offeredBytes = await drive(
    stream,
    source,
    (chunk) => head.take(chunk),
    (error) => faultOf(error, stream.bytesWritten),
  );
  if (offeredBytes !== undefined) assertEnd(offeredBytes, stream.bytesWritten);
  return head.bytes;
}

async function* gunzipStream(source: ByteSource): AsyncGenerator<Uint8Array, void> {
  const stream = zlib.createGunzip({ chunkSize: 64 * 1024 });
  const bytes = new ZerosAtEnd(source);
  // What it has left of a chunk is behind its end: given more before its reader knows of the end, Bun takes that for another member.
  const untilEnd = async function* () {
    for (let next = await bytes.next(); !next.done; next = await bytes.next()) {
      yield next.value;
      if (stream.bytesWritten < bytes.sizeBytes) return;
    }
  };
  try {
    yield* pump(stream, untilEnd(), (error) => faultOf(error, stream.bytesWritten));
    // A NUL ends the decompressor, which asks for no more.
    while (bytes.isZeroFrom(stream.bytesWritten) && !(await bytes.next()).done);
    if (bytes.sizeBytes === 0) assertEnd(0, 0);
    if (!bytes.isZeroFrom(stream.bytesWritten)) throw trailing(stream.bytesWritten);
  } finally {
    await bytes.close();
  }
}

/** A source that can be left and gone on with, and knows how many zeros it ended with so far. */
class ZerosAtEnd implements AsyncIterableIterator<Uint8Array> {
  readonly #source: AsyncIterator<Uint8Array>;
  #isDone = false;
  #zeros = 0;
  /** Bytes given so far. */
  sizeBytes = 0;

  constructor(source: ByteSource) {
    this.#source = (async function* () {
      yield* source;
    })();
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const { done, value } = await this.#source.next();
    if (done) {
      this.#isDone = true;
      return { done, value: undefined };
    }
    const zeros = value.length - 1 - value.findLastIndex((byte) => byte !== 0);
    this.#zeros = zeros === value.length ? this.#zeros + zeros : zeros;
    this.sizeBytes += value.length;
    return { done: false, value };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Whether all bytes from an offset on are zero, and no more than padding may have. */
  isZeroFrom(offset: number): boolean {
    const restBytes = this.sizeBytes - offset;
    return restBytes <= Math.min(this.#zeros, MAX_PADDING_BYTES);
  }

  async close(): Promise<void> {
    if (!this.#isDone) await this.#source.return?.();
  }
}

function assertEnd(offeredBytes: number, usedBytes: number): void {
  if (offeredBytes === 0) throw new CompressionFault("TRUNCATED", 0, "it is empty");
  if (usedBytes !== offeredBytes) throw trailing(usedBytes);
}

function trailing(offset: number): CompressionFault {
  return new CompressionFault("TRAILING_DATA", offset, "bytes follow the end of its compressed data");
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
