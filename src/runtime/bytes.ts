// Moving bytes without needless copies. Streams of the runtimes become async iterables here, and back.
import * as buffer from "node:buffer";
import type { ByteSource } from "../model/backend.ts";
import { showType } from "../model/show.ts";
import type { Work } from "./concurrency.ts";
import { begin } from "./sources.ts";

// What is copied in about a millisecond, also into memory that was never touched before.
const PIECE_BYTES = 1024 * 1024;

// What a typed array of any realm says that it is; and a method that, unlike its length, fails where its memory is gone.
const TypedArray = Object.getPrototypeOf(Uint8Array.prototype) as Uint8Array;
const tagOf = Object.getOwnPropertyDescriptor(TypedArray, Symbol.toStringTag)?.get as (this: unknown) => unknown;
const { at } = TypedArray;

/**
 * The bytes a view looks at, without a copy; of a view of another realm as a view of this one.
 *
 * @throws {TypeError} If its memory is gone: transferred, grown as WebAssembly memory, or cut off below it.
 */
export function viewOf(view: ArrayBufferView): Uint8Array {
  try {
    // Without memory a typed array looks empty, and a DataView throws.
    if (view.byteLength === 0 && tagOf.call(view) !== undefined) at.call(view as Uint8Array, 0);
  } catch (cause) {
    const reason = "their memory is gone: the ArrayBuffer was transferred, or resized so that it no longer holds them";
    throw new TypeError(`Cannot read the bytes: ${reason}; hand over a copy`, { cause });
  }
  return view instanceof Uint8Array ? view : new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/**
 * A chunk of a stream as bytes, without a copy.
 *
 * @throws {TypeError} If it is not a Uint8Array, or as {@link viewOf}.
 */
export function chunkOf(chunk: unknown): Uint8Array {
  if (tagOf.call(chunk) !== "Uint8Array") {
    const remedy = typeof chunk === "string" ? "encode it with a TextEncoder" : "yield a Uint8Array of its bytes";
    throw new TypeError(`Cannot read a stream: each chunk must be a Uint8Array, but ${showType(chunk)}; ${remedy}`);
  }
  return viewOf(chunk as Uint8Array);
}

/** A copy, in an ArrayBuffer of its own; the `slice` of a Buffer would be none. */
export function copyOf(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}

/** The bytes in an ArrayBuffer that holds nothing else: as they are where that is so, else a copy. */
export function unshared(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  if (!(bytes.buffer instanceof ArrayBuffer) || bytes.buffer.byteLength !== bytes.byteLength) return copyOf(bytes);
  return bytes.constructor === Uint8Array ? bytes as Uint8Array<ArrayBuffer> : new Uint8Array(bytes.buffer);
}

/**
 * A body for a backend: as it is for one that borrows, so that nothing is copied, else in chunks that are the backend's own.
 *
 * @param taker The stage or scratch that the body is written to.
 * @param body The body; its chunks may be memory that is used again.
 */
export function bodyFor(taker: { readonly borrows?: boolean }, body: ByteSource): ByteSource {
  if (taker.borrows === true) return body;
  return Symbol.iterator in body ? copies(body) : copiesAsync(body);
}

function* copies(body: Iterable<Uint8Array>): Generator<Uint8Array, void> {
  for (const chunk of body) yield copyOf(chunk);
}

async function* copiesAsync(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of body) yield copyOf(chunk);
}

/** The bytes of a runtime's own Buffer as a plain array, without a copy: a Buffer's `slice` shares what it should copy. */
export function plain(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/**
 * The text that bytes are in UTF-8. Tables and manifests are long and nearly always ASCII, which is text as it lies.
 *
 * @throws {TypeError} If they are not UTF-8.
 */
export function textOf(bytes: Uint8Array): string {
  const isPlain = typeof buffer.isAscii === "function" && buffer.isAscii(bytes);
  if (isPlain) return buffer.Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}

/** Where a text first stands in bytes of UTF-8, from an offset on, or -1. */
export function indexOfText(bytes: Uint8Array, text: string, offset = 0): number {
  return buffer.Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(text, offset);
}

/** The same as {@link indexOfText}, up to an end, as work that can be done in slices. */
export function* lookingForText(bytes: Uint8Array, text: string, offset = 0, end: number = bytes.length): Work<number> {
  const moreBytes = byteLengthOf(text) - 1; // of one that begins in a piece
  for (let start = offset; start < end; start += PIECE_BYTES) {
    const found = indexOfText(bytes.subarray(start, Math.min(start + PIECE_BYTES + moreBytes, end)), text);
    if (found !== -1) return start + found;
    yield;
  }
  return -1;
}

/** How many bytes a text has in UTF-8. */
export function byteLengthOf(text: string): number {
  return buffer.Buffer.byteLength(text);
}

/** One buffer out of many; the caller owns it. */
export function concat(chunks: readonly Uint8Array[], sizeBytes?: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(sizeBytes ?? chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.length;
  }
  return whole;
}

/** The same as {@link concat}, as work that can be done in slices: memory that was never touched before is slow to fill. */
export function* concatenating(chunks: Iterable<Uint8Array>, sizeBytes: number): Work<Uint8Array<ArrayBuffer>> {
  const whole = new Uint8Array(sizeBytes);
  yield* filling(whole, chunks);
  return whole;
}

/** Copies chunks into memory, one after the other, as work that can be done in slices. */
export function* filling(whole: Uint8Array, chunks: Iterable<Uint8Array>): Work<void> {
  let offset = 0;
  for (const chunk of chunks) {
    for (let start = 0; start < chunk.length; start += PIECE_BYTES) {
      whole.set(chunk.subarray(start, start + PIECE_BYTES), offset + start);
      yield;
    }
    offset += chunk.length;
  }
}

/** A web stream as an async iterable, locked at once; leaving the loop, or never beginning it but returning, cancels it. */
export function iterate(stream: ReadableStream<Uint8Array>): AsyncIterableIterator<Uint8Array> {
  const reader = stream.getReader();
  const iterator: AsyncIterableIterator<Uint8Array> = {
    async next() {
      const { done, value } = await reader.read();
      return done ? { done: true, value: undefined } : { done: false, value };
    },
    async return() {
      // Not awaited: a source may never be done with it. The loop was left, and the reason is the leaver's to tell.
      reader.cancel().catch(() => {});
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]: () => iterator,
  };
  return iterator;
}

/**
 * An async iterable as a web stream that pulls only when it is read; cancelling it ends the iteration. Each chunk has an
 * ArrayBuffer of its own.
 *
 * @param source The bytes.
 * @param onCancel Called first when it is cancelled: to end what the iteration may be waiting for, and what a generator that
 *   never began would not give back.
 */
export function toReadableStream(source: AsyncIterable<Uint8Array>, onCancel?: () => void): ReadableStream<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(unshared(value)); // from here on it is the reader's, to transfer as well
    },
    async cancel() {
      onCancel?.();
      await iterator.return?.();
    },
  }, { highWaterMark: 0 });
}

/**
 * Ends a source that will not be read any more. Nothing is awaited, nor thrown: a source that hangs must not hold up its reader,
 * and what it complains of now comes too late to matter.
 */
export function discard(source: AsyncIterable<Uint8Array>, begun?: AsyncIterator<Uint8Array>): void {
  const end = async () => {
    // Node's own streams iterate by a generator, and one that has not begun, or that hangs, cannot end its stream.
    if ("destroy" in source && typeof source.destroy === "function") source.destroy();
    await (begun ?? begin(source)).return?.();
  };
  end().catch(() => {});
}

/**
 * Keeps the failure of a source for its reader: of Node's own streams an unhandled one ends the program, also
 * while it waits for its turn to be read.
 */
export function hold(source: AsyncIterable<Uint8Array>): void {
  if ("on" in source && typeof source.on === "function") source.on("error", () => {});
}
