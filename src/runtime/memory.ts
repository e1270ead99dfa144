// The end of large buffers. Collectors free unreferenced memory when they see fit; Bun's waits until the heap has doubled, so that
// beside a state of 2 GiB another 2 GiB of spent buffers pile up. What is ours alone is given back at once. What leaves for
// others leaves, on Bun, in small pieces, few of which live when the young are collected, and the young are collected often.
// What did live then counts as old; the old are collected only rarely, for that stops the program.
const PIECE_BYTES = 256 * 1024;
const RELEASED_BYTES = 64 * 1024;
const COLLECTED_BYTES = 32 * 1024 * 1024;
const YOUNG_COLLECTIONS = 7; // for each one of all

const { Bun } = globalThis as { Bun?: { gc(isOfAll: boolean): unknown } };
let leftBytes = 0;
let collections = 0;

/** Whether unreferenced buffers stay for long unless they are detached. */
export const isCollectedLate: boolean = Bun !== undefined;

/**
 * Gives the memory of a buffer back, where the runtime can; it is empty then. What is made next gets memory that is warm.
 *
 * @param bytes Memory that the caller owns and no code reads any more.
 */
export function release(bytes: Uint8Array): void {
  const buffer = bytes.buffer as ArrayBufferLike & { transfer?(lengthBytes: number): unknown };
  // Runtimes cut small buffers out of a pool: one that has most of its memory to itself is none of those.
  if (bytes.length < RELEASED_BYTES || bytes.length * 2 < buffer.byteLength) return;
  buffer.transfer?.(0);
}

/**
 * Hands bytes over to who may keep them.
 *
 * @param bytes What the caller owns, and will not read any more once the last piece is taken.
 */
export function* leaving(bytes: Uint8Array<ArrayBuffer>): Generator<Uint8Array<ArrayBuffer>, void> {
  if (Bun === undefined || bytes.length < RELEASED_BYTES) return yield bytes;
  for (let start = 0; start < bytes.length; start += PIECE_BYTES) {
    const piece = new Uint8Array(bytes.subarray(start, start + PIECE_BYTES)); // a copy; slice of a Buffer would be none
    leftBytes += piece.length;
    if (leftBytes >= COLLECTED_BYTES) {
      leftBytes = 0;
      Bun.gc(++collections % (YOUNG_COLLECTIONS + 1) === 0);
    }
    yield piece;
  }
  release(bytes);
}
