// What a program's objects must do to be saved and loaded, and what they are handed for it.
import type { Backend, WorkFolder } from "./backend.ts";
import type { Digest } from "./snapshot.ts";
import type { StandardSchema } from "./standard_schema.ts";

/**
 * What an entry may be written from. Text is stored as UTF-8.
 *
 * Chunks of a stream must not be changed after they were handed over. A view or chunk whose memory is gone (transferred, cut off
 * by a resize) fails the save. So does a stream or generator that was read or handed over before: make a new one for each write.
 * An iterable that gives a new iterator each time may be written again. A generator that other code has read to its end looks
 * like one that yields nothing, and makes an empty entry.
 */
export type EntryBody = string | Uint8Array | ArrayBufferView | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;

/** How {@link StateWriter.write} takes a body. */
export interface WriteOptions {
  /**
   * Size of a stream in bytes. The save fails if the stream differs, so it also finds a generator that other code has
   * consumed. Cost without it: an archive spools the stream
   * to disk first.
   *
   * @default unknown
   */
  readonly sizeBytes?: number;
  /**
   * Whether the caller gives the buffer away and does not change it until the save ends. Cost if false: the data is
   * copied.
   *
   * @default false
   */
  readonly owned?: boolean;
}

/** How {@link StateWriter.json} takes a value. */
export interface WriteJsonOptions {
  /**
   * Whether to write what `JSON.stringify` makes of the value, even if another value is loaded: a Date as text, a
   * Map as `{}`, NaN as `null`.
   *
   * @default false
   */
  readonly asJson?: boolean;
}

/** An entry as a state sees it. */
export interface EntryInfo {
  /** Path within the state. */
  readonly path: string;
  /** Size in bytes. */
  readonly sizeBytes: number;
  /** SHA-256, written `sha256:<hex>`. */
  readonly digest: Digest;
}

/**
 * Where a state writes its entries; paths are relative to the state.
 *
 * Calling a method captures: the value is copied at the call, and may change right after it (bytes handed over as
 * `owned`, and streams, are not copied). Awaiting it bounds memory. The store awaits every write itself, so a
 * `saveState` that does not await is correct; a write that fails, awaited or not, fails the save.
 *
 * The state has ended if `saveState` has settled, all its writes have settled, and one whole turn of the event loop brought no new
 * write. A later write rejects and is logged as an error; if the save has not committed by then, the save fails.
 */
export interface StateWriter {
  /** Name the state is registered under. */
  readonly name: string;
  /**
   * Resolves once the snapshot that is being saved is committed; stays pending if that fails, and never rejects. Absent where no commit
   * follows, as in a stream. A `saveState` that awaits it never ends.
   */
  readonly committed?: Promise<void> | undefined;
  /**
   * Writes one entry.
   *
   * @param path Relative POSIX path, safe and portable; no two may collide under case folding.
   * @param body The bytes.
   * @param options Size of a stream, ownership of a buffer.
   * @returns Settles once the bytes were taken.
   */
  write(path: string, body: EntryBody, options?: WriteOptions): Promise<void>;
  /**
   * Writes one entry as JSON.
   *
   * @param path As in {@link StateWriter.write}.
   * @param value What JSON carries unchanged. What would come back as something else (a Date, a Map, NaN, an instance of a class
   *   without a `toJSON` of its own ...) is a TypeError that names the place and what to write instead; the guide lists it. As
   *   everywhere, properties that are undefined are left out, and -0 becomes 0. In a value of more than about 1,000 objects and
   *   arrays, keys that are symbols and named properties of arrays are looked for in a part of them.
   * @param options Whether to write what `JSON.stringify` makes of it, unchecked.
   * @returns Settles once the text was taken.
   */
  json(path: string, value: unknown, options?: WriteJsonOptions): Promise<void>;
  /**
   * Makes an empty folder of the file system, at once, for a library that insists on one. It lies at the place of the store, and
   * the caller removes it. Absent if the place is no folder; {@link pathState} then takes a temporary one.
   */
  readonly workFolder?: (() => WorkFolder) | undefined;
}

/** Where a state reads its entries from; everything it yields was verified against its digest before. */
export interface StateReader {
  /** Name the state was saved under. */
  readonly name: string;
  /** Version it was saved with. */
  readonly version: number;
  /** Its entries, in the order they were written. */
  readonly entries: readonly EntryInfo[];
  /** Whether there is an entry at `path`. */
  has(path: string): boolean;
  /** The bytes; the caller owns the buffer, which starts at offset 0. */
  bytes(path: string): Promise<Uint8Array<ArrayBuffer>>;
  /** The bytes as UTF-8 text; a TypeError if they are not, a RangeError if they are more than a string can hold. */
  text(path: string): Promise<string>;
  /** The bytes as parsed JSON. */
  json(path: string): Promise<unknown>;
  /**
   * The bytes as parsed JSON, checked by a schema.
   *
   * @param path Path within the state.
   * @param schema What the value must be: a schema of zod, valibot, arktype or any library that implements Standard Schema.
   * @returns What the schema makes of the parsed value.
   * @throws {SnapshotError} `ENTRY_INVALID` if the schema refuses the value; the message says where, such as `$.weights[3]`.
   */
  json<Output>(path: string, schema: StandardSchema<Output>): Promise<Output>;
  /** The bytes as a stream, for entries too big to hold. */
  stream(path: string): ReadableStream<Uint8Array>;
  /** Address of the snapshot, as errors show it: an absolute path if it lies in a local folder. Absent if it has none. */
  readonly uri?: string | undefined;
  /** As {@link StateWriter.workFolder}. */
  readonly workFolder?: (() => WorkFolder) | undefined;
}

/** What a state learns of its store when it is registered. */
export interface StateHome {
  /** Name the state is registered under. */
  readonly name: string;
  /** Names it had before. */
  readonly formerly: readonly string[];
  /** Where the snapshots of the store lie; a state may keep a journal there. */
  readonly backend: Backend;
  /** Names of the programs whose snapshots the store accepts; it records the first. */
  readonly programs: readonly string[];
  /** Returns the time of the store, in milliseconds since 1970. */
  now(): number;
}

/**
 * An object that can be saved and loaded (pamiq-core's `PersistentStateMixin`).
 *
 * @example A counter
 * ```ts
 * import { memoryBackend, type PersistentState, type StateReader, StateStore, type StateWriter } from "snapkeep";
 *
 * class Counter implements PersistentState {
 *   value = 0;
 *   saveState(out: StateWriter) {
 *     return out.json("value.json", this.value);
 *   }
 *   async loadState(from: StateReader) {
 *     this.value = await from.json("value.json") as number;
 *   }
 * }
 *
 * const counter = new Counter();
 * const store = new StateStore(memoryBackend()).register("counter", counter);
 * counter.value = 7;
 * const snapshot = await store.saveState();
 * counter.value = 0;
 * await store.loadState(snapshot);
 * if (counter.value !== 7) throw new Error("lost");
 * ```
 */
export interface PersistentState {
  /**
   * Writes the state; called once per save. What it hands over before its first await belongs to one instant. It must not wait for a
   * save of its own store, which would wait for it.
   */
  saveState(out: StateWriter): void | Promise<void>;
  /** Replaces the state by what was saved; called once per load, after the whole snapshot was verified. */
  loadState(from: StateReader): void | Promise<void>;
  /**
   * Optional: puts the state back as it was before the last load, which may have failed. A load with `rollback` calls it instead of saving
   * the state in memory first.
   */
  undoLoad?(): void | Promise<void>;
  /** Optional: called when the state is registered, with what it may know of the store. If it throws, the state is not registered. */
  onRegister?(home: StateHome): void;
  /**
   * Optional: called after a load in which all `loadState` calls succeeded, and after a `resume()` that found no snapshot. The store calls it for every
   * registered state, in order of registration, as a part of the load: an error fails the load. After a rollback it is called for the
   * states that were restored.
   */
  onLoaded?(): void | Promise<void>;
}
