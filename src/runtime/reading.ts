// The ways to read bytes, each built once upon the one verb that a reader has.
import { Buffer } from "node:buffer";
import type { ByteReader } from "../model/backend.ts";
import { plain, unshared } from "./bytes.ts";
import { Pace } from "./concurrency.ts";
import { isCollectedLate, leaving, release } from "./memory.ts";

const CHUNK_BYTES = 1024 * 1024;
const UNFILLED_BYTES = 1024 * 1024;

/** A reader, perhaps one whose pieces are the caller's to keep. */
type Reader = ByteReader & { readonly gives?: boolean };

/**
 * A part of the bytes, or all of them, at once.
 *
 * @returns The bytes in an ArrayBuffer of their own; fewer where the reader ends early.
 * @throws {RangeError} If they cannot be held in memory.
 */
export async function readBytes(
  reader: Reader,
  offset = 0,
  lengthBytes: number = reader.sizeBytes,
): Promise<Uint8Array<ArrayBuffer>> {
  const sizeBytes = Math.max(0, Math.min(lengthBytes, reader.sizeBytes - offset));
  // What is given may be all of it; and what gives may promise more than there is.
  let whole = reader.gives === true ? undefined : roomFor(sizeBytes);
  let doneBytes = 0;
  const pace = new Pace();
  if (pace.isDue) await pace.rest(); // what was read before may all have come without a wait
  const into = whole && (() => (whole as Uint8Array<ArrayBuffer>).subarray(doneBytes));
  for await (const piece of reader.read(offset, sizeBytes, into)) {
    const startBytes = doneBytes;
    doneBytes += piece.length;
    if (whole === undefined && piece.length === sizeBytes) {
      whole = unshared(piece);
    } else if (piece.buffer !== whole?.buffer) {
      whole ??= roomFor(sizeBytes);
      whole.set(piece, startBytes);
      if (reader.gives === true) release(piece);
    }
    if (pace.isDue && doneBytes < sizeBytes) await pace.rest(); // memory that was never touched is slow to fill
  }
  whole ??= new Uint8Array();
  return doneBytes < whole.length ? whole.slice(0, doneBytes) : whole;
}

/** All bytes, in order and in bounded memory; the caller owns each chunk with its ArrayBuffer. */
export async function* streamBytes(reader: Reader): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  let room: Uint8Array<ArrayBuffer> | undefined;
  const into = (mostBytes: number) => room = new Uint8Array(Math.min(CHUNK_BYTES, mostBytes));
  // Where memory is collected late, what leaves is copied anyway.
  for await (const piece of reader.read(0, reader.sizeBytes, isCollectedLate ? undefined : into)) {
    const isOwned = reader.gives === true || (piece.buffer === room?.buffer && piece.length === room.length);
    yield* leaving(piece, !isOwned);
  }
}

/** Memory that may hold anything: all of it is overwritten or cut off. Filling it with zeros would touch all of it at once. */
function roomFor(sizeBytes: number): Uint8Array<ArrayBuffer> {
  try {
    return sizeBytes < UNFILLED_BYTES ? new Uint8Array(sizeBytes) : plain(Buffer.allocUnsafeSlow(sizeBytes));
  } catch (cause) {
    throw new RangeError(`Cannot hold ${sizeBytes} bytes in memory; read them in pieces, as a stream`, { cause });
  }
}
