// Moving bytes without needless copies. Streams of the runtimes become async iterables here, and back.
import * as buffer from "node:buffer";

/** The bytes a view looks at, without a copy. */
export function viewOf(view: ArrayBufferView): Uint8Array {
  return view instanceof Uint8Array ? view : new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
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

/** Where a text stands in bytes of UTF-8, or -1. */
export function indexOfText(bytes: Uint8Array, text: string): number {
  return buffer.Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(text);
}

/** How many bytes a text is in UTF-8. */
export function sizeOfText(text: string): number {
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
 * An async iterable as a web stream that pulls only when it is read; cancelling it ends the iteration.
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
      else controller.enqueue(value);
    },
    async cancel() {
      onCancel?.();
      await iterator.return?.();
    },
  }, { highWaterMark: 0 });
}

/**
 * Ends a source that nobody will read any more. Nothing is awaited, nor thrown: a source that hangs must not hold up its reader,
 * and what it complains of now comes too late to matter.
 */
export function discard(source: AsyncIterable<Uint8Array>, begun?: AsyncIterator<Uint8Array>): void {
  const end = async () => {
    // Node's own streams iterate by a generator, and one that has not begun, or that hangs, cannot end its stream.
    if ("destroy" in source && typeof source.destroy === "function") source.destroy();
    await (begun ?? source[Symbol.asyncIterator]()).return?.();
  };
  end().catch(() => {});
}

/**
 * Keeps the failure of a source for whoever reads it: of Node's own streams one that nobody listens to ends the program, also
 * while it waits for its turn to be read.
 */
export function hold(source: AsyncIterable<Uint8Array>): void {
  if ("on" in source && typeof source.on === "function") source.on("error", () => {});
}

/** Whether a value can be read with `for await` and is no plain data. */
export function isAsyncIterable(value: unknown): value is AsyncIterable<Uint8Array> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}
