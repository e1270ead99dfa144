// Feeding a decompressor of the runtime from an async source, with back-pressure both ways.
import type { ByteSource } from "../model/backend.ts";

/** The part of the runtimes' zlib streams that is used here. */
export interface ZlibStream extends AsyncIterable<unknown> {
  /** Compressed bytes that were really taken: less than were written where the runtime dropped some in silence. */
  readonly bytesWritten: number;
  readonly destroyed: boolean;
  on(event: "close" | "end", listener: () => void): unknown;
  on(event: "data", listener: (chunk: Uint8Array) => void): unknown;
  on(event: "error", listener: (error: unknown) => void): unknown;
  off(event: "close", listener: () => void): unknown;
  write(chunk: Uint8Array, onDone?: () => void): boolean;
  end(): unknown;
  destroy(): unknown;
}

/**
 * Decompresses a source.
 *
 * @param stream A fresh decompressor.
 * @param source The compressed bytes; the next chunk is asked for when the one before was taken.
 * @param toFault Makes the error of a failure of the decompressor; those of the source are thrown as they are.
 * @returns Compressed bytes that were offered.
 */
export async function* pump(
  stream: ZlibStream,
  source: ByteSource,
  toFault: (error: unknown) => unknown,
): AsyncGenerator<Uint8Array, number> {
  let offeredBytes = 0;
  let failure: { readonly error: unknown } | undefined;
  const feeding = (async () => {
    for await (const chunk of source) {
      if (stream.destroyed) return;
      offeredBytes += chunk.length;
      await taken(stream, chunk);
    }
    stream.end();
  })().catch((error: unknown) => {
    failure = { error };
    stream.destroy();
  });
  try {
    for await (const chunk of stream) yield chunk as Uint8Array;
  } catch (error) {
    if (failure !== undefined) throw failure.error;
    throw toFault(error);
  } finally {
    stream.destroy();
  }
  await feeding;
  if (failure !== undefined) throw failure.error;
  return offeredBytes;
}

/**
 * Writes a chunk; resolves once it was decompressed, or never will be because the stream has ended: a NUL ends gzip in the middle of a
 * chunk. Given more before, Deno's stream would take it for another member. The stream itself reports failures.
 */
function taken(stream: ZlibStream, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      stream.off("close", done);
      resolve();
    };
    stream.on("close", done);
    stream.write(chunk, done);
  });
}

/**
 * Decompresses a source that lends its chunks, and hands on what comes as it comes: buffers of the decompressor's own size.
 *
 * @param stream A fresh decompressor.
 * @param source The compressed bytes; the next chunk is asked for when the one before was taken.
 * @param take Told what was decompressed; says whether there may be more.
 * @param toFault Makes the error of a failure of the decompressor; those of the source are thrown as they are.
 * @returns Compressed bytes that were offered; `undefined` if no more was needed.
 */
export async function drive(
  stream: ZlibStream,
  source: ByteSource,
  take: (chunk: Uint8Array) => boolean,
  toFault: (error: unknown) => unknown,
): Promise<number | undefined> {
  let offeredBytes = 0;
  let isWanted = true;
  const ended = new Promise<void>((resolve, reject) => {
    stream.on("error", (error) => reject(toFault(error)));
    stream.on("end", resolve);
    stream.on("close", resolve);
    stream.on("data", (chunk) => {
      isWanted &&= take(chunk);
      if (!isWanted) resolve();
    });
  });
  ended.catch(() => {}); // told below, where the source does not fail first
  try {
    for await (const chunk of source) {
      if (chunk.length === 0) continue;
      offeredBytes += chunk.length;
      await Promise.race([ended, new Promise<void>((resolve) => stream.write(chunk, resolve))]);
      if (!isWanted) return undefined;
    }
    stream.end();
    await ended;
  } finally {
    stream.destroy();
  }
  return isWanted ? offeredBytes : undefined;
}
