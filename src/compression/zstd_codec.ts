// zstd by the runtime. Several runtimes return the first frame of many and no more, or take a cut frame for whole, without a
// word; so frames are split here, by walking their block headers, and each is decoded alone and compared with its length.
import type { ByteSource } from "../model/backend.ts";
import { turn } from "../runtime/concurrency.ts";
import { concat, copyOf, plain } from "../runtime/bytes.ts";
import { type Codec, CompressionFault, Head } from "./codec.ts";
import { zlib } from "../runtime/native_zlib.ts";
import { pump } from "./zlib_stream.ts";

const FRAME_MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const MAX_HEADER_BYTES = 18;
const BLOCK_HEADER_BYTES = 3;
// Blocks may be empty, and then there are very many: walking so many takes some milliseconds.
const TURN_BLOCKS = 2 ** 20;
// Each frame takes a decoder of its own. Ours hold at least a header of a tar; so many more may hold less.
const FREE_FRAMES = 10_000;
// What may be skipped before the first frame. pzstd has one frame of 4 bytes there.
const MAX_FRONT_FRAMES = 1000;
const MAX_FRONT_BYTES = 1024 * 1024;
const FRAME_CONTENT_BYTES = 256;

/** The codec, or `undefined` where the runtime has no zstd. */
export const nativeZstd: Codec | undefined = typeof zlib.zstdCompress !== "function" ? undefined : {
  compression: "zstd",
  mostRatio: 33_000, // four bytes stand for a run of 128 KiB
  encode: (bytes, level) =>
    new Promise((resolve, reject) => {
      const params = {
        [zlib.constants.ZSTD_c_compressionLevel]: level,
        [zlib.constants.ZSTD_c_checksumFlag]: 1,
        [zlib.constants.ZSTD_c_contentSizeFlag]: 1,
      };
      const options = {
        params,
        pledgedSrcSize: bytes.length,
        chunkSize: Math.max(1024, bytes.length + (bytes.length >> 7) + 512),
      };
      zlib.zstdCompress(bytes, options, (error, frame) => error ? reject(error) : resolve([frame]));
    }),
  decode: decodeFrames,
  decodeHead: decodeFrameHead,
  decodeStream: decodeFrameStream,
};

/** What a frame's header says. */
interface FrameHeader {
  readonly headerBytes: number;
  readonly contentBytes: number | undefined;
  readonly hasChecksum: boolean;
}

/** Reads a frame's header; `undefined` where more bytes are needed. */
function parseFrameHeader(bytes: Uint8Array, offset: number): FrameHeader | undefined {
  const descriptor = bytes[4];
  if (descriptor === undefined) return undefined;
  if ((descriptor & 8) !== 0) {
    throw new CompressionFault("COMPRESSION_DAMAGED", offset, "a zstd frame has a header of the future");
  }
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const sizeFlag = descriptor >> 6;
  const sizeBytes = sizeFlag === 0 ? (isSingleSegment ? 1 : 0) : 1 << sizeFlag;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] as number;
  const sizeOffset = 5 + (isSingleSegment ? 0 : 1) + dictionaryBytes;
  const headerBytes = sizeOffset + sizeBytes;
  if (bytes.length < headerBytes) return undefined;
  let contentBytes: number | undefined;
  if (sizeBytes > 0) {
    contentBytes = sizeBytes === 2 ? 256 : 0;
    for (let index = sizeBytes - 1, unit = 256 ** index; index >= 0; index--, unit /= 256) {
      contentBytes += (bytes[sizeOffset + index] as number) * unit;
    }
  }
  return { headerBytes, contentBytes, hasChecksum: (descriptor & 4) !== 0 };
}

function readUint32(bytes: Uint8Array, offset: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset + offset, 4).getUint32(0, true);
}

function readUint24(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] as number) | (bytes[offset + 1] as number) << 8 | (bytes[offset + 2] as number) << 16;
}

function truncated(offset: number): CompressionFault {
  return new CompressionFault("TRUNCATED", offset, "its compressed data ends early");
}

/** Bytes as they come, to be looked at before they are taken. */
class Lookahead {
  readonly #source: AsyncIterator<Uint8Array>;
  #held: Uint8Array = new Uint8Array();
  /** Bytes taken so far. */
  offset = 0;

  constructor(source: ByteSource) {
    this.#source = (async function* () {
      yield* source;
    })();
  }

  /** Bytes that were read and not taken yet. */
  get held(): Uint8Array {
    return this.#held;
  }

  /** The next bytes, without taking them: as many as asked for, fewer only at the end. */
  async peek(count: number): Promise<Uint8Array> {
    while (this.#held.length < count) {
      const { done, value } = await this.#source.next();
      if (done) break;
      this.#held = this.#held.length === 0 ? value : concat([this.#held, value]);
    }
    return this.#held.subarray(0, count);
  }

  /** Takes bytes, in the pieces they came in. */
  async *take(count: number): AsyncGenerator<Uint8Array, void> {
    for (let rest = count; rest > 0;) {
      if (this.#held.length === 0 && (await this.peek(1)).length === 0) throw truncated(this.offset);
      const piece = this.#held.subarray(0, rest);
      this.#held = this.#held.subarray(piece.length);
      this.offset += piece.length;
      rest -= piece.length;
      yield piece;
    }
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }
}

/** The bytes of the frame that comes next, to its very end, in pieces of as many blocks as were read. */
async function* frameBytes(input: Lookahead, header: FrameHeader): AsyncGenerator<Uint8Array, void> {
  let seenBytes = header.headerBytes; // of the frame, and not taken yet
  for (let isLast = false, blocks = 1; !isLast; blocks++) {
    if (blocks % TURN_BLOCKS === 0) await turn();
    if (input.held.length < seenBytes + BLOCK_HEADER_BYTES) {
      yield* input.take(seenBytes);
      seenBytes = 0;
      if ((await input.peek(BLOCK_HEADER_BYTES)).length < BLOCK_HEADER_BYTES) throw truncated(input.offset);
    }
    const word = readUint24(input.held, seenBytes);
    isLast = (word & 1) !== 0;
    const type = word >> 1 & 3;
    if (type === 3) {
      throw new CompressionFault("COMPRESSION_DAMAGED", input.offset + seenBytes, "a zstd block has a reserved type");
    }
    seenBytes += BLOCK_HEADER_BYTES + (type === 1 ? 1 : word >> 3); // a run holds one byte, whatever its length
  }
  yield* input.take(seenBytes + (header.hasChecksum ? 4 : 0));
}

async function* decodeFrameStream(source: ByteSource): AsyncGenerator<Uint8Array, void> {
  const input = new Lookahead(source);
  try {
    let frames = 0;
    let skipped = 0;
    let sizeBytes = 0;
    for (let head = await input.peek(8); head.length > 0; head = await input.peek(8)) {
      if (head.length < 5) throw frames === 0 ? truncated(input.offset) : trailing(input.offset);
      const magic = readUint32(head, 0);
      if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) {
        if (head.length < 8) throw truncated(input.offset);
        if (frames === 0) assertFront(++skipped, input.offset + 8 + readUint32(head, 4), input.offset);
        for await (const _skipped of input.take(8 + readUint32(head, 4)));
        continue;
      }
      if (magic !== FRAME_MAGIC) throw frames === 0 ? unknown(input.offset) : trailing(input.offset);
      assertFrames(frames++, sizeBytes, input.offset);
      for await (const chunk of decodeFrame(input)) {
        sizeBytes += chunk.length;
        yield chunk;
      }
    }
    if (frames === 0) throw truncated(input.offset);
  } finally {
    await input.close();
  }
}

function assertFrames(frames: number, sizeBytes: number, offset: number): void {
  if (frames <= FREE_FRAMES + sizeBytes / FRAME_CONTENT_BYTES) return;
  throw new CompressionFault("LIMIT_MEMBERS", offset, "it has more frames than its content needs");
}

function assertFront(frames: number, endOffset: number, offset: number): void {
  if (frames <= MAX_FRONT_FRAMES && endOffset <= MAX_FRONT_BYTES) return;
  throw new CompressionFault("LIMIT_MEMBERS", offset, "it has more to skip in front than it may");
}

function unknown(offset: number): CompressionFault {
  return new CompressionFault("COMPRESSION_UNKNOWN", offset, "what follows the frames to skip is not zstd");
}

function trailing(offset: number): CompressionFault {
  return new CompressionFault("TRAILING_DATA", offset, "bytes follow the end of its compressed data");
}

function tooLarge(offset: number): CompressionFault {
  return new CompressionFault("LIMIT_BYTES", offset, "it expands to more than it may");
}

async function* decodeFrame(input: Lookahead): AsyncGenerator<Uint8Array, void> {
  const start = input.offset;
  const header = parseFrameHeader(await input.peek(MAX_HEADER_BYTES), start);
  if (header === undefined) throw truncated(start);
  const damaged = (error: unknown) =>
    new CompressionFault("COMPRESSION_DAMAGED", start, "a zstd frame is damaged", { cause: error });
  // libzstd itself compares the size that the header tells, and the checksum.
  yield* pump(zlib.createZstdDecompress({ chunkSize: 64 * 1024 }), frameBytes(input, header), damaged);
}

async function decodeFrames(members: Uint8Array, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  let sizeBytes = 0;
  const input = new Lookahead([members]);
  for (let head = await input.peek(8); head.length > 0; head = await input.peek(8)) {
    const start = input.offset;
    assertFrames(parts.length, sizeBytes, start);
    if (head.length < 4 || readUint32(head, 0) !== FRAME_MAGIC) throw trailing(start);
    const header = parseFrameHeader(await input.peek(MAX_HEADER_BYTES), start);
    if (header === undefined) throw truncated(start);
    // Before its blocks are walked: if less is needed than it holds, it may be cut.
    if ((header.contentBytes ?? 0) > maxBytes - sizeBytes) throw tooLarge(start);
    let frameLength = 0;
    for await (const piece of frameBytes(input, header)) frameLength += piece.length;
    const part = await decodeOne(members.subarray(start, start + frameLength), maxBytes - sizeBytes, header, start);
    sizeBytes += part.length;
    parts.push(part);
  }
  return parts.length === 1 ? parts[0] as Uint8Array<ArrayBuffer> : concat(parts, sizeBytes);
}

async function decodeFrameHead(
  source: ByteSource,
  sizeBytes: number,
  slackBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array[] = [];
  for await (const chunk of source) pieces.push(copyOf(chunk));
  const packed = pieces.length === 1 ? pieces[0] as Uint8Array : concat(pieces);
  const head = new Head(sizeBytes, slackBytes);
  try {
    head.take(await decodeFrames(packed, sizeBytes + slackBytes));
  } catch (error) {
    // The needed bytes may still be there, before the missing end.
    if (!(error instanceof CompressionFault && /^(?:LIMIT_BYTES|TRUNCATED)$/.test(error.reason))) throw error;
    for await (const chunk of decodeFrameStream([packed])) if (!head.take(chunk)) break;
  }
  return head.bytes;
}

// A trip to the thread pool takes longer than to decompress so few bytes.
const SMALL_FRAME_BYTES = 16 * 1024;
const SMALL_BYTES = 64 * 1024;

/** Decompresses a little at once; `undefined` where it is more, or anything is wrong with it. */
function decodeNow(frame: Uint8Array, maxBytes: number, { contentBytes }: FrameHeader): Uint8Array | undefined {
  if (contentBytes === undefined || contentBytes > Math.min(SMALL_BYTES, maxBytes)) return undefined;
  if (frame.length > SMALL_FRAME_BYTES) return undefined;
  try {
    const options = { maxOutputLength: Math.max(1, contentBytes), chunkSize: Math.max(1024, contentBytes) };
    const bytes = zlib.zstdDecompressSync(frame, options);
    return bytes.length === contentBytes ? plain(bytes) : undefined;
  } catch {
    return undefined; // the pool tells what is wrong
  }
}

function decodeOne(frame: Uint8Array, maxBytes: number, header: FrameHeader, offset: number): Promise<Uint8Array> {
  const now = decodeNow(frame, maxBytes, header);
  if (now !== undefined) return Promise.resolve(now);
  const chunkSize = Math.min(Math.max(16 * 1024, header.contentBytes ?? 0), 64 * 1024 * 1024);
  return new Promise((resolve, reject) => {
    zlib.zstdDecompress(frame, { maxOutputLength: Math.max(1, maxBytes), chunkSize }, (error, bytes) => {
      if (error) {
        const isTooLarge = (error as { code?: string }).code === "ERR_BUFFER_TOO_LARGE";
        reject(
          isTooLarge
            ? tooLarge(offset)
            : new CompressionFault("COMPRESSION_DAMAGED", offset, "a zstd frame is damaged", { cause: error }),
        );
      } else if (header.contentBytes !== undefined && bytes.length !== header.contentBytes) reject(truncated(offset));
      else resolve(plain(bytes));
    });
  });
}
