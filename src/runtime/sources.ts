// Sources that can be read once: a stream, a generator. One that was read before has nothing left, and would be saved as an
// empty entry without a word. So each is looked at when it is handed over, and remembered.
import { Readable } from "node:stream";

// One set for all copies of the library in a program. Iterators are in it as well as streams.
const SHARED = Symbol.for("snapkeep.handedOver");
const shared = globalThis as { [key: symbol]: WeakSet<object> | undefined };
const handedOver = shared[SHARED] ?? new WeakSet();
if (shared[SHARED] === undefined) Object.defineProperty(shared, SHARED, { value: handedOver });

const HANDED_OVER = "it was handed over before; make a new one for each write";
const WAS_READ = "it was read before, or something else is reading it; make a new one for each write";

/** Whether a value is a web stream, of whatever realm or library. */
export function isReadableStream(value: unknown): value is ReadableStream<Uint8Array> {
  return typeof value === "object" && value !== null && "getReader" in value && typeof value.getReader === "function";
}

/** Whether a value can be read with `for await` and is no plain data. */
export function isAsyncIterable(value: unknown): value is AsyncIterable<Uint8Array> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

/** What Node's streams tell of themselves. */
interface NodeState {
  readonly errored?: Error | null;
  readonly destroyed?: boolean;
  readonly readable?: boolean;
  readonly readableDidRead?: boolean;
  readonly readableEnded?: boolean;
  readonly readableFlowing?: boolean | null;
}

/**
 * Takes a source from its owner. Must be called before anything of the source is used.
 *
 * @throws {TypeError} If it is a stream that was read, cancelled, ended, destroyed or handed over before, or that is being read.
 *   The error of a stream of Node that has failed comes as it is.
 */
export function handOver(source: ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>): void {
  if (handedOver.has(source)) throw new TypeError(`Cannot read the source: ${HANDED_OVER}`);
  if (isReadableStream(source)) {
    if (source.locked || wasRead(source)) throw new TypeError(`Cannot read the stream: ${WAS_READ}`);
  } else {
    // Another iterable may give a new iterator each time: only the iterator tells, when it is begun.
    if (!("on" in source && typeof source.on === "function")) return;
    const { errored, destroyed, readable, readableDidRead, readableEnded, readableFlowing } = source as NodeState;
    if (errored) throw errored;
    if (destroyed || readable === false || readableDidRead || readableEnded || readableFlowing) {
      throw new TypeError(`Cannot read the stream: ${WAS_READ}`);
    }
  }
  handedOver.add(source);
}

/**
 * Begins to read a source.
 *
 * @throws {TypeError} If it gives an iterator that was begun before, as a generator does.
 */
export function begin<T>(source: AsyncIterable<T>): AsyncIterator<T> {
  const iterator = source[Symbol.asyncIterator]();
  if (handedOver.has(iterator)) throw new TypeError(`Cannot read the source: ${HANDED_OVER}`);
  handedOver.add(iterator);
  return iterator;
}

/** Whether anything was read of a stream, or it was cancelled. Deno tells it of web streams only through a Response. */
function wasRead(stream: ReadableStream<Uint8Array>): boolean {
  if (Readable.isDisturbed(stream as never)) return true;
  if (!("Deno" in globalThis)) return false;
  try {
    new Response(stream);
    return false;
  } catch {
    return true;
  }
}
