// The ways to read bytes, each built once upon the one verb that a reader has.
import type { ByteReader } from "../model/backend.ts";
import { unshared } from "./bytes.ts";
import { leaving, release } from "./memory.ts";

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
  for await (const piece of reader.read(offset, sizeBytes, whole)) {
    if (whole === undefined && piece.length === sizeBytes) {
      whole = unshared(piece);
    } else if (piece.buffer !== whole?.buffer) {
      whole ??= roomFor(sizeBytes);
      whole.set(piece, doneBytes);
      if (reader.gives === true) release(piece);
    }
    doneBytes += piece.length;
  }
  whole ??= new Uint8Array();
  return doneBytes < whole.length ? whole.slice(0, doneBytes) : whole;
}

/** All bytes, in order and in bounded memory; the caller owns each chunk with its ArrayBuffer. */
export async function* streamBytes(reader: Reader): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  for await (const piece of reader.read(0, reader.sizeBytes)) yield* leaving(piece, reader.gives !== true);
}

function roomFor(sizeBytes: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(sizeBytes);
  } catch (cause) {
    throw new RangeError(`Cannot hold ${sizeBytes} bytes in memory; read them in pieces, as a stream`, { cause });
  }
}
