// What one state hands over to a save: its writes are checked, copied and queued at the call, and leave in the order of the calls.
import { types } from "node:util";
import { assertEntryPath, PathSet } from "../model/entry_path.ts";
import type { WorkFolder } from "../model/backend.ts";
import { isSnapshotError, reasonOf, SnapshotError, type SnapshotErrorCode } from "../model/errors.ts";
import { assertOptions, type OptionNames } from "../model/options.ts";
import { showType } from "../model/show.ts";
import { type EntrySource, SMALL_ENTRY_BYTES } from "../model/snapshot.ts";
import type { EntryBody, StateWriter, WriteJsonOptions, WriteOptions } from "../model/state.ts";
import { discard, hold, iterate, viewOf } from "../runtime/bytes.ts";
import { turn } from "../runtime/concurrency.ts";
import { loggerOf } from "../runtime/logging.ts";
import { handOver, isAsyncIterable, isReadableStream } from "../runtime/sources.ts";
import type { CapturedBytes, CaptureMemory } from "./capture_memory.ts";
import { callState } from "./state_calls.ts";
import type { Registration } from "./registry.ts";
import { stringifyStrictly } from "./strict_json.ts";

// What travels at once: enough that waiting in between costs little, and few enough for a layout to take without a turn of others.
const BATCH_BYTES = 1024 * 1024;
const BATCH_ENTRIES = 256;

/** First in, first out, however many there are: an array moves all that is left whenever its first leaves. */
class Queue<T> implements Iterable<T> {
  #items: (T | undefined)[] = [];
  #first = 0;

  get size(): number {
    return this.#items.length - this.#first;
  }

  /** The one that leaves next. */
  get first(): T | undefined {
    return this.#items[this.#first];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    if (this.size === 0) return undefined;
    const item = this.#items[this.#first];
    this.#items[this.#first++] = undefined;
    if (this.size === 0) this.clear();
    return item;
  }

  clear(): void {
    this.#items = [];
    this.#first = 0;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let index = this.#first; index < this.#items.length; index++) yield this.#items[index] as T;
  }
}

/** An entry that was handed over, and the promise of its write. */
class PendingEntry implements EntrySource {
  readonly state: string;
  readonly path: string;
  readonly sizeBytes?: number;
  /** Settles when the entry was written, or is not to be. */
  readonly written: Promise<void>;
  /** What was handed over; the body as it is read may be watched. */
  readonly source: EntrySource["body"];
  body: EntrySource["body"];
  readonly #memory: CapturedBytes | undefined;
  readonly #onRelease: (entry: PendingEntry) => void;
  #resolve: () => void = () => {};
  #reject: (error: unknown) => void = () => {};

  constructor(state: string, path: string, captured: CapturedBody, onRelease: (entry: PendingEntry) => void) {
    this.state = state;
    this.path = path;
    this.body = this.source = captured.body;
    if (captured.sizeBytes !== undefined) this.sizeBytes = captured.sizeBytes;
    this.#memory = captured.memory;
    this.#onRelease = onRelease;
    this.written = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Whether it may travel with others: it lies in memory, and is small. */
  get isSmall(): boolean {
    return Array.isArray(this.body) && (this.sizeBytes ?? Infinity) <= SMALL_ENTRY_BYTES;
  }

  release(): void {
    this.#memory?.release();
    this.#resolve();
    this.#onRelease(this);
  }

  cancel(error: unknown): void {
    this.written.catch(() => {}); // the save reports it; a write that is not awaited must not end the process
    this.#reject(error);
  }
}

/** What the states are called with. */
export interface StateCaptureOptions {
  /** Gives states that need one a real folder. */
  readonly workFolder?: (() => WorkFolder) | undefined;
  /** The store whose states are called, and must not call it meanwhile. */
  readonly store?: object;
  /** What the states may wait for before they let go of what a snapshot must hold first. */
  readonly committed?: Promise<void>;
}

type CapturedBody = Pick<EntrySource, "body" | "sizeBytes"> & { readonly memory?: CapturedBytes };

/** Receives what becomes of the entries of a state. */
interface CaptureListener {
  fail(error: unknown): void;
  released(state: string): void;
}

// Codes that a state's failure may keep. Any other is of something else it did, another store's save for instance, and would be
// a lie about this one.
const OF_A_STATE: ReadonlySet<SnapshotErrorCode> = new Set<SnapshotErrorCode>([
  "STATE_SAVE_FAILED",
  "ENTRY_PATH_UNSAFE",
  "ENTRY_EXISTS",
  "ENTRY_SIZE_MISMATCH",
  "STORAGE_FULL",
  "STORAGE_FAILED",
  "STORAGE_FORBIDDEN",
  "STORAGE_THROTTLED",
  "STORAGE_UNREACHABLE",
]);

const WRITE_OPTIONS: OptionNames<WriteOptions> = { sizeBytes: true, owned: "true or false" };
const JSON_OPTIONS: OptionNames<WriteJsonOptions> = { asJson: "true or false" };

/** What one state hands over. */
export class StateCapture implements StateWriter {
  readonly name: string;
  readonly committed: Promise<void> | undefined;
  readonly workFolder: (() => WorkFolder) | undefined;
  readonly #registration: Registration;
  readonly #memory: CaptureMemory;
  readonly #store: object | undefined;
  readonly #listener: CaptureListener;
  readonly #paths = new PathSet();
  readonly #queue = new Queue<PendingEntry>();
  readonly #taken = new Set<PendingEntry>();
  #wake: (() => void) | undefined;
  #hasReturned = false;
  #isClosed = false;
  #writes = 0;
  #hasWritten = false;
  #cancelled: { readonly error: unknown } | undefined;

  constructor(
    registration: Registration,
    memory: CaptureMemory,
    { workFolder, store, committed }: StateCaptureOptions,
    listener: CaptureListener,
  ) {
    this.workFolder = workFolder;
    this.#store = store;
    this.name = registration.name;
    this.committed = committed;
    this.#registration = registration;
    this.#memory = memory;
    this.#listener = listener;
  }

  /** Sizes of what waits to be written, where they are known. */
  *pendingSizes(): Generator<number, void> {
    for (const { sizeBytes } of this.#queue) yield sizeBytes ?? 0;
  }

  /** Calls `saveState`; its failure fails the save. */
  start(): void {
    const run = async () => {
      const result: unknown = await this.call(() => this.#registration.state.saveState(this));
      if (this.#hasWritten || isNothing(result)) return;
      const reason = `it wrote nothing, and what it returns is not saved; write it with out.json("state.json", value)`;
      throw new TypeError(reason);
    };
    run().catch((error) => this.#listener.fail(this.wrap(error))).finally(() => {
      this.#hasReturned = true;
      this.#wake?.();
      this.#endIfQuiet();
    });
  }

  /** Runs code of the state. */
  async call<T>(run: () => T | PromiseLike<T>): Promise<T> {
    return this.#store === undefined ? await run() : await callState(this.#store, run);
  }

  /** Whether nothing more can come. */
  get hasEnded(): boolean {
    return this.#isClosed;
  }

  /**
   * The next entry, or the next small ones; none once the state has ended.
   *
   * @param mayPass Whether to return none as well where only entries that are being read hold up its end.
   */
  async next(mayPass = false): Promise<readonly PendingEntry[]> {
    while (!this.#isClosed) {
      const batch = this.#takeBatch();
      if (batch.length > 0) return batch;
      if (mayPass && this.#taken.size > 0) return [];
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return [];
  }

  /** The next entry or the next small ones, without waiting; none unless they lie in memory. */
  takeReady(): readonly PendingEntry[] {
    return Array.isArray(this.#queue.first?.body) ? this.#takeBatch() : [];
  }

  #takeBatch(): PendingEntry[] {
    const batch: PendingEntry[] = [];
    let restBytes = BATCH_BYTES;
    for (let entry = this.#queue.first; entry !== undefined; entry = this.#queue.first) {
      restBytes -= entry.sizeBytes ?? 0;
      const fits = entry.isSmall && restBytes >= 0 && batch.length < BATCH_ENTRIES;
      if (batch.length > 0 && !fits) break;
      batch.push(entry);
      this.#taken.add(entry);
      this.#queue.shift();
      if (!fits) break;
    }
    return batch;
  }

  /**
   * Ends the state if its saveState has settled, all its writes have settled, and a whole turn of the event loop brings no new
   * one: a saveState that returned while it was still writing may go on writing as each write resolves.
   */
  #endIfQuiet(): void {
    const isQuiet = () => this.#hasReturned && this.#queue.size + this.#taken.size === 0;
    if (!isQuiet()) return;
    const writes = this.#writes;
    const end = async () => {
      await turn(); // the rest of this one
      await turn();
      if (this.#writes !== writes) return; // they end it when they settle
      this.#isClosed = true;
      this.#wake?.();
    };
    void end();
  }

  /** Rejects all that is pending, and whatever comes later. */
  cancel(error: unknown): void {
    this.#isClosed = true;
    this.#cancelled = { error };
    for (const entry of [...this.#taken, ...this.#queue]) {
      if (isAsyncIterable(entry.source)) discard(entry.source); // taken does not mean that its reading has begun
      entry.cancel(error);
    }
    this.#taken.clear();
    this.#queue.clear();
    this.#wake?.();
  }

  write(path: string, body: EntryBody, options?: WriteOptions): Promise<void> {
    const source = isReadableStream(body) || isAsyncIterable(body) ? body : undefined;
    let fault: { readonly error: unknown } | undefined;
    if (source !== undefined) {
      try {
        handOver(source);
      } catch (error) {
        fault = { error };
      }
      if (isAsyncIterable(source)) hold(source);
    }
    const capture = () => {
      if (fault !== undefined) throw fault.error;
      return this.#capture(path, body, options);
    };
    return this.#attempt(path, capture, () => {
      // Handed over is handed over: a stream is read or cancelled, also where its write is refused. One that is another's is not.
      if (source === undefined || fault !== undefined) return;
      discard(isReadableStream(source) ? iterate(source) : source);
    });
  }

  json(path: string, value: unknown, options?: WriteJsonOptions): Promise<void> {
    return this.#attempt(path, () => {
      if (options !== undefined) assertOptions(`write "${path}"`, options, JSON_OPTIONS);
      return inMemory([new TextEncoder().encode(stringifyStrictly(value, options, `"${path}"`))]);
    });
  }

  #attempt(path: string, capture: () => CapturedBody, refuse = () => {}): Promise<void> {
    this.#hasWritten = true; // or has failed the save
    try {
      if (typeof path !== "string") throw new TypeError("a path comes first, and is a text");
      if (this.#cancelled !== undefined) throw this.#cancelled.error;
      if (this.#isClosed) {
        const late = new TypeError(`Cannot write to the state "${this.name}": its save has ended`);
        loggerOf("StateStore").error("{message}", { message: late.message, error: late });
        throw late;
      }
      if (path === "" || path.startsWith("/")) assertEntryPath(path); // with the name before it, both are another mistake
      this.#paths.add(`${this.name}/${path}`); // as it will lie in the snapshot, where its length counts
      const entry = new PendingEntry(this.name, path, capture(), this.#onRelease);
      this.#writes++;
      this.#queue.push(entry);
      this.#wake?.();
      return entry.written;
    } catch (error) {
      refuse();
      const wrapped = this.#cancelled?.error ?? this.wrap(error);
      this.#listener.fail(wrapped);
      const refused = Promise.reject(wrapped);
      refused.catch(() => {}); // as of what is cancelled
      return refused;
    }
  }

  readonly #onRelease = (entry: PendingEntry): void => {
    this.#taken.delete(entry);
    this.#listener.released(this.name);
    this.#endIfQuiet();
  };

  #capture(path: string, body: EntryBody, options: WriteOptions | undefined): CapturedBody {
    if (options !== undefined) assertOptions(`write "${path}"`, options, WRITE_OPTIONS);
    const { sizeBytes, owned } = options ?? {};
    const declared = sizeBytes === undefined ? {} : { sizeBytes };
    if (sizeBytes !== undefined && !(Number.isSafeInteger(sizeBytes) && sizeBytes >= 0)) {
      throw new RangeError(`Cannot write "${path}": its size of ${sizeBytes} bytes must be a whole number from 0 on`);
    }
    if (typeof body === "string") {
      if (/\p{Cs}/u.test(body)) {
        throw new TypeError(`Cannot write "${path}": the text has a lone surrogate, which UTF-8 cannot carry`);
      }
      return inMemory([new TextEncoder().encode(body)], declared);
    }
    if (ArrayBuffer.isView(body)) {
      const view = viewOf(body);
      if (owned) return inMemory([view], declared);
      const memory = this.#memory.copy(view);
      return { ...inMemory(memory.segments, declared), memory };
    }
    if (isReadableStream(body)) return { body: iterate(body), ...declared };
    if (isAsyncIterable(body)) return { body, ...declared };
    throw new TypeError(
      `Cannot write "${path}": expected a string, bytes or a stream of bytes, but ${showType(body)}; ${
        insteadOf(body)
      }`,
    );
  }

  /** An error of the state's own, as an error of the save. */
  wrap(error: unknown): unknown {
    if (isSnapshotError(error) && OF_A_STATE.has(error.code)) return error;
    const message = `Cannot save the state "${this.name}": ${reasonOf(error)}`;
    return new SnapshotError("STATE_SAVE_FAILED", message, { state: this.name }, { cause: error });
  }
}

/** What to write in place of a body that is none. */
function insteadOf(body: unknown): string {
  const { stream, body: inner, then } = Object(body) as Record<string, unknown>;
  if (typeof then === "function") return "await it first";
  if (typeof stream === "function") return "write its stream()"; // a Blob
  if (isReadableStream(inner)) return "write its body"; // a Response
  if (types.isAnyArrayBuffer(body)) return "write new Uint8Array(buffer)";
  return "out.json() writes other values";
}

/** Whether a saveState returned nothing: also `Promise.all` of its writes does. */
function isNothing(result: unknown): boolean {
  return result === undefined || Array.isArray(result) && result.every((each) => each === undefined);
}

function inMemory(segments: readonly Uint8Array[], declared: { sizeBytes?: number } = {}): CapturedBody {
  const sizeBytes = declared.sizeBytes ?? segments.reduce((sum, segment) => sum + segment.length, 0);
  return { body: segments, sizeBytes };
}
