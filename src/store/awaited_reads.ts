// Finds the reads that a state begins and does not await: the load would succeed, and the state would hold a Promise, or nothing.
import type { WorkFolder } from "../model/backend.ts";
import { reasonOf } from "../model/errors.ts";
import type { StandardSchema } from "../model/standard_schema.ts";
import type { EntryInfo, StateReader } from "../model/state.ts";
import { iterate, toReadableStream } from "../runtime/bytes.ts";
import { takeKept } from "../snapshot/scoped_reader.ts";

/** A read that was begun. */
interface BegunRead {
  /** How it was called. */
  readonly call: string;
  /** Whether anything awaits it. */
  readonly isAwaited: boolean;
  /** Whether nothing awaits it, or it still runs. */
  readonly isLost: boolean;
}

/** The promise of a read. `await`, `return` and `Promise.all` call `then` of a subclass, which shows that the read is awaited. */
class Read<T> extends Promise<T> implements BegunRead {
  #method = "";
  #path = "";
  #reads: Set<BegunRead> | undefined;
  #isAwaited = false;
  #hasSettled = false;

  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  /**
   * The promise of a read.
   *
   * @param method How it was called.
   * @param path Of which entry.
   * @param work What was read, or its promise.
   * @param reads Has the read until it has settled and was awaited: what it holds may be large.
   */
  static of<T>(method: string, path: string, work: Promise<T> | T, reads: Set<BegunRead>): Read<T> {
    const isThere = !(work instanceof Promise);
    const read = new Read<T>((resolve, reject) => {
      if (isThere) return resolve(work);
      work.then((value) => {
        read.#settle(); // before the state goes on
        resolve(value);
      }, (error: unknown) => {
        read.#settle();
        // Without an await it fails the load; it must not end the process as well.
        void Promise.prototype.then.call(read, undefined, () => {});
        reject(error);
      });
    });
    read.#method = method;
    read.#path = path;
    read.#hasSettled = isThere;
    read.#reads = reads.add(read);
    return read;
  }

  #settle(): void {
    this.#hasSettled = true;
    if (this.#isAwaited) this.#reads?.delete(this);
  }

  get call(): string {
    return `from.${this.#method}("${this.#path}")`;
  }

  get isAwaited(): boolean {
    return this.#isAwaited;
  }

  get isLost(): boolean {
    return !this.#isAwaited || !this.#hasSettled;
  }

  // oxlint-disable-next-line unicorn/no-thenable -- a promise has a then
  override then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#isAwaited = true;
    if (this.#hasSettled) this.#reads?.delete(this);
    return super.then(onFulfilled, onRejected);
  }
}

/** A state's reader that remembers which reads were begun. */
export class WatchedReader implements StateReader {
  readonly name: string;
  readonly version: number;
  readonly entries: readonly EntryInfo[];
  readonly uri: string | undefined;
  readonly workFolder: (() => WorkFolder) | undefined;
  readonly #from: StateReader;
  readonly #reads = new Set<BegunRead>(); // in the order in which they were begun

  #told: TypeError | undefined;

  constructor(from: StateReader) {
    this.name = from.name;
    this.version = from.version;
    this.entries = from.entries;
    this.uri = from.uri;
    this.workFolder = from.workFolder;
    this.#from = from;
  }

  has(path: string): boolean {
    return this.#from.has(path);
  }

  bytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
    return Read.of("bytes", path, takeKept(this.#from, path) ?? this.#from.bytes(path), this.#reads);
  }

  text(path: string): Promise<string> {
    return Read.of("text", path, this.#from.text(path), this.#reads);
  }

  json(path: string): Promise<unknown>;
  json<Output>(path: string, schema: StandardSchema<Output>): Promise<Output>;
  json(path: string, schema?: StandardSchema): Promise<unknown> {
    return Read.of("json", path, this.#from.json(path, schema as StandardSchema), this.#reads);
  }

  stream(path: string): ReadableStream<Uint8Array> {
    const source = this.#from.stream(path);
    let [hasBegun, isReading] = [false, false];
    const read = async function* () {
      [hasBegun, isReading] = [true, true];
      try {
        for await (const piece of iterate(source)) {
          isReading = false;
          yield piece;
          isReading = true;
        }
      } finally {
        isReading = false;
      }
    };
    const stream = toReadableStream(read(), () => {
      hasBegun = true;
      if (!source.locked) source.cancel().catch(() => {}); // it holds nothing yet
    });
    this.#reads.add({
      call: `from.stream("${path}")`,
      isAwaited: true,
      get isLost() {
        return isReading || stream.locked && !hasBegun;
      },
    });
    return stream;
  }

  /**
   * To call when the code that was handed this reader has settled.
   *
   * @throws {TypeError} If the code did not await one of its reads.
   */
  assertAwaited(): void {
    const lost = [...this.#reads].find(({ isLost }) => isLost);
    if (lost === undefined) return;
    const remedy = lost.call.startsWith("from.stream") ? "await the end of its reading" : `write await ${lost.call}`;
    throw this.#told = new TypeError(`it has ended without awaiting ${lost.call}; ${remedy}`);
  }

  /**
   * Tells why the code that was handed this reader has failed.
   *
   * @param error What it threw.
   * @returns The reason, and a read that it did not await, which gave it a Promise in place of the value.
   */
  reasonOf(error: unknown): string {
    const lost = error === this.#told ? undefined : [...this.#reads].find(({ isAwaited }) => !isAwaited);
    return reasonOf(error) + (lost === undefined ? "" : `; it did not await ${lost.call}: write await ${lost.call}`);
  }
}
