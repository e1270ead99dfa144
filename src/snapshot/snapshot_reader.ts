// Reading a snapshot without believing it: every byte that leaves here was compared with the manifest's digests, whatever
// the layout beneath did or did not check.
import { constants } from "node:buffer";
import { Digester, digestOf } from "../runtime/digest.ts";
import { atOnce, inSlices, mapBounded, Pace, turn, type Work } from "../runtime/concurrency.ts";
import { copyOf, textOf, toReadableStream } from "../runtime/bytes.ts";
import { showAddress } from "../model/address.ts";
import { corruptEntry, reasonOf, SnapshotError } from "../model/errors.ts";
import { release } from "../runtime/memory.ts";
import { readBytes, streamBytes } from "../runtime/reading.ts";
import { assertOptions, assertString, type OptionNames, SIGNAL_OPTION } from "../model/options.ts";
import { show } from "../model/show.ts";
import { isSchema, placeOf, resultOf, type StandardSchema } from "../model/standard_schema.ts";
import {
  type Digest,
  type Manifest,
  type ManifestEntry,
  type ManifestState,
  SMALL_ENTRY_BYTES,
  type UnitReader,
} from "../model/snapshot.ts";
import { type PathAndEntry, RawSnapshot } from "./raw_snapshot.ts";
import { ProgressCounter, type ProgressOptions } from "./progress.ts";
import { ScopedReader } from "./scoped_reader.ts";
import { suggesting } from "./suggestion.ts";
import type { WorkFolder } from "../model/backend.ts";
import type { LayoutKind } from "../model/unit.ts";
import type { EntryInfo, StateReader } from "../model/state.ts";

// Entries verified before a load are kept in memory for it: all of a snapshot that is small, so that it is read once and not
// twice, and some of a larger one.
const SMALL_SNAPSHOT_BYTES = 256 * 1024 * 1024;
const MOST_KEPT_ENTRY_BYTES = 32 * 1024 * 1024;
const KEPT_BYTES = 64 * 1024 * 1024;
// So many entries are verified at once, more where they are small: several share a member, and one member at a time would
// leave all but one core idle.
const VERIFIED_AT_ONCE = 8;
const VERIFIED_BYTES = 4 * 1024 * 1024;
// Looking for a line takes as long as the manifest is: for more entries, parsing all of it costs less.
const MOST_BY_LINE = 32;
const LISTED_AT_ONCE = 256;
// What is digested in one go holds up the program: this takes two or three milliseconds.
const DIGESTED_BYTES = 4 * 1024 * 1024;

const { MAX_STRING_LENGTH } = constants;
const MOST_BYTES_PER_UNIT = 3; // of UTF-8 for one unit of a string; four make two

/** How {@link SnapshotReader.verifyAll} is watched. */
export interface VerifyAllOptions extends ProgressOptions {
  /**
   * Aborts; rejects with the signal's reason.
   *
   * @default none
   */
  readonly signal?: AbortSignal | undefined;
}

const VERIFY_ALL_OPTIONS: OptionNames<VerifyAllOptions> = { ...SIGNAL_OPTION, onProgress: "a function" };

/** How many units of a string bytes of UTF-8 make. */
function unitsIn(bytes: Uint8Array): number {
  let units = 0;
  for (const byte of bytes) units += byte >= 0xf0 ? 2 : Number((byte & 0xc0) !== 0x80);
  return units;
}

/** Text out of verified bytes. */
function decodeText(bytes: Uint8Array, path: string): string {
  try {
    return textOf(bytes);
  } catch (cause) {
    throw new TypeError(`Cannot read "${path}" as text: it is not UTF-8`, { cause });
  }
}

const raws = new WeakMap<SnapshotReader, RawSnapshot>();

/** What a reader reads, for copies. No property of it, for programs must not believe these bytes. */
export function rawOf(reader: SnapshotReader): RawSnapshot {
  return raws.get(reader) as RawSnapshot;
}

/**
 * An open snapshot. Entries are named `<state>/<path>`; what it yields was verified against the manifest.
 *
 * Close it when done: it may hold files open.
 */
export class SnapshotReader {
  readonly #uri: string;
  readonly #unit: UnitReader;
  readonly #raw: RawSnapshot;
  readonly #workFolder: (() => WorkFolder) | undefined;
  #states: ReadonlyMap<string, ManifestState> | undefined;
  #entries: readonly EntryInfo[] | undefined;
  #foundByLine = 0;
  readonly #kept = new Map<string, Uint8Array<ArrayBuffer>>();
  /** Takes an entry that was verified and kept; it is the caller's then. */
  readonly #takeKept = (path: string): Uint8Array<ArrayBuffer> | undefined => {
    const kept = this.#kept.get(path);
    if (kept !== undefined) this.#kept.delete(path);
    return kept;
  };

  /**
   * Wraps an opened unit; `SnapshotLocator.open` does it.
   *
   * @param uri Address, for errors.
   * @param unit The opened unit.
   * @param isGone Tells whether the snapshot has been removed meanwhile.
   * @param workFolder Gives states that need one a real folder.
   */
  constructor(uri: string, unit: UnitReader, isGone: () => Promise<boolean>, workFolder?: () => WorkFolder) {
    this.#uri = uri;
    this.#unit = unit;
    this.#raw = new RawSnapshot(uri, unit, isGone);
    raws.set(this, this.#raw);
    this.#workFolder = workFolder;
  }

  /**
   * The snapshot's manifest; parsed when it is first asked for, which holds the program for some 3 ms per 1,000 entries. After
   * {@link SnapshotReader.readManifest} it is there at once.
   *
   * @throws {SnapshotError} `MANIFEST_INVALID` if it breaks its own rules.
   */
  get manifest(): Manifest {
    return this.#unit.sealed.manifest;
  }

  /**
   * Parses the manifest in slices of a few milliseconds, so that a snapshot of very many entries does not hold the program. After it
   * `manifest`, `entries`, `has`, `state` and `stream` answer at once.
   *
   * @returns The manifest.
   * @throws {SnapshotError} `MANIFEST_INVALID` if it breaks its own rules.
   */
  async readManifest(): Promise<Manifest> {
    await this.#raw.sealed.index();
    this.#entries ??= await inSlices(this.#listing());
    return this.manifest;
  }

  /** How the snapshot is arranged. */
  get layout(): LayoutKind {
    return this.#unit.layout;
  }

  /** The manifest's very bytes, for copies that must have the same; the caller owns the buffer. */
  get manifestBytes(): Uint8Array {
    return copyOf(this.#unit.sealed.bytes);
  }

  /** All entries, with paths `<state>/<path>`, in the order they were written. Holds the program as {@link SnapshotReader.manifest}. */
  get entries(): readonly EntryInfo[] {
    return this.#entries ??= atOnce(this.#listing());
  }

  /** Whether there is an entry `<state>/<path>`. Where there is none, it may hold the program as {@link SnapshotReader.manifest}. */
  has(path: string): boolean {
    return atOnce(this.#finding(path)) !== undefined || this.#raw.sealed.indexNow().has(path);
  }

  /**
   * The bytes of an entry.
   *
   * @param path `<state>/<path>`.
   * @returns The verified bytes; the caller owns the buffer, which starts at offset 0.
   * @throws {SnapshotError} `ENTRY_NOT_FOUND`, `SNAPSHOT_CORRUPT`, `SNAPSHOT_GONE`.
   */
  async bytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
    const kept = this.#takeKept(path);
    if (kept !== undefined) return kept;
    const entry = await this.#found(path);
    const bytes = await readBytes(await this.#raw.open(path, entry));
    const actual = bytes.length > DIGESTED_BYTES ? await this.#digestInTurns(bytes) : digestOf(bytes);
    this.#raw.assertSame(path, entry, bytes.length, actual);
    return bytes;
  }

  /**
   * The text of an entry.
   *
   * @param path `<state>/<path>`.
   * @returns The verified bytes as UTF-8.
   * @throws {TypeError} If it is not UTF-8.
   * @throws {RangeError} If it is longer than a string can be. Else as {@link SnapshotReader.bytes}.
   */
  async text(path: string): Promise<string> {
    await this.#assertFitsString(path, await this.#found(path));
    return decodeText(await this.bytes(path), path);
  }

  /**
   * The JSON value of an entry.
   *
   * @param path `<state>/<path>`.
   * @returns The parsed value.
   * @throws {SyntaxError} If it is not JSON. Else as {@link SnapshotReader.text}.
   */
  async json(path: string): Promise<unknown>;
  /**
   * The JSON value of an entry, checked by a schema.
   *
   * @param path `<state>/<path>`.
   * @param schema What the value must be: a schema of zod, valibot, arktype or any library that implements Standard Schema.
   * @returns What the schema makes of the parsed value.
   * @throws {SyntaxError} If it is not JSON.
   * @throws {TypeError} If the schema implements no Standard Schema.
   * @throws {SnapshotError} `ENTRY_INVALID` if the schema refuses the value. Else as {@link SnapshotReader.text}.
   */
  async json<Output>(path: string, schema: StandardSchema<Output>): Promise<Output>;
  async json(path: string, schema?: StandardSchema): Promise<unknown> {
    if (schema !== undefined && !isSchema(schema)) {
      throw new TypeError(`Cannot read "${path}": the schema ${show(schema)} does not implement Standard Schema`);
    }
    const value = this.#parsed(path, await this.text(path));
    if (schema === undefined) return value;
    const result = resultOf(await schema["~standard"].validate(value));
    if (result.issues === undefined) return result.value;
    const issues = result.issues.map((issue) => ({ place: placeOf(issue), message: issue.message }));
    const [first] = issues;
    const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : "";
    const reason = first === undefined ? "its schema refuses it" : `${first.place}: ${first.message}${more}`;
    const message = `Cannot use "${path}" in ${showAddress(this.#uri)}: ${reason}`;
    throw new SnapshotError("ENTRY_INVALID", message, { uri: this.#uri, path, issues });
  }

  #parsed(path: string, text: string): unknown {
    try {
      return JSON.parse(text);
    } catch (cause) {
      const message = `Cannot read "${path}" in ${showAddress(this.#uri)} as JSON: ${reasonOf(cause)}`;
      throw new SyntaxError(message, { cause });
    }
  }

  /**
   * The bytes of an entry as a stream, in bounded memory.
   *
   * The last chunk comes only when all bytes matched; where they did not, the stream fails instead of ending.
   *
   * @param path `<state>/<path>`.
   * @returns The stream; cancelling it frees what it holds.
   * @throws {SnapshotError} `ENTRY_NOT_FOUND` at once; the stream fails as {@link SnapshotReader.bytes} does.
   */
  stream(path: string): ReadableStream<Uint8Array> {
    const entry = atOnce(this.#finding(path)) ?? this.#raw.sealed.indexNow().get(path);
    if (entry === undefined) throw atOnce(this.#notFound(path, this.#raw.sealed.indexNow()));
    return toReadableStream(this.#verified(path, entry));
  }

  /**
   * Part of an entry.
   *
   * Out of an archive of ours it costs the chunks it lies in, verified by digests of their own; elsewhere the whole entry is
   * read and verified.
   *
   * @param path `<state>/<path>`.
   * @param offset Where the part begins, in bytes.
   * @param lengthBytes How long it is; less comes back only where the entry ends.
   * @returns The verified bytes; the caller owns the buffer.
   * @throws {RangeError} If offset or length is no whole number from 0 on.
   * @throws {SnapshotError} As {@link SnapshotReader.bytes}, and `ARCHIVE_REJECTED`.
   */
  async range(path: string, offset: number, lengthBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    for (const count of [offset, lengthBytes]) {
      if (!(Number.isSafeInteger(count) && count >= 0)) {
        throw new RangeError(
          `Cannot read ${show(lengthBytes)} bytes of "${path}" at ${
            show(offset)
          }: both must be whole numbers from 0 on`,
        );
      }
    }
    const entry = await this.#found(path);
    const end = Math.min(offset + lengthBytes, entry.sizeBytes);
    if (end <= offset) return new Uint8Array();
    const source = await this.#raw.open(path, entry);
    const isPart = end - offset < entry.sizeBytes;
    if (isPart && source.verifiesParts) return await readBytes(source, offset, end - offset);
    const part = new Uint8Array(end - offset);
    let position = 0;
    for await (const chunk of this.#compared(path, entry, source.read(0, entry.sizeBytes))) {
      const from = Math.max(0, offset - position);
      const to = Math.min(chunk.length, end - position);
      if (to > from) part.set(chunk.subarray(from, to), position + from - offset);
      position += chunk.length;
    }
    return part;
  }

  /**
   * One state of the snapshot, as its `loadState` sees it.
   *
   * @param name Name of the state.
   * @returns Its reader, or `undefined` where the snapshot has no such state.
   */
  state(name: string): StateReader | undefined {
    this.#states ??= new Map(this.manifest.states.map((each) => [each.name, each]));
    const state = this.#states.get(name);
    return state === undefined ? undefined : new ScopedReader(state, this.#uri, this, this.#takeKept, this.#workFolder);
  }

  /**
   * Reads and verifies all entries; small ones stay in memory for who reads them next.
   *
   * @param options Aborts; tells how far it is.
   * @throws {SnapshotError} `SNAPSHOT_CORRUPT` for the first entry that is not as the manifest says, `SNAPSHOT_GONE`.
   */
  async verifyAll(options: VerifyAllOptions = {}): Promise<void> {
    assertOptions("verify", options, VERIFY_ALL_OPTIONS);
    const entries = await this.#raw.sealed.index();
    await this.#unit.check();
    const [small, large]: [PathAndEntry[], PathAndEntry[]] = [[], []];
    let mostEntryBytes = 0;
    const pace = new Pace();
    for (const pair of entries) {
      if (pace.isDue) await pace.rest();
      (pair[1].sizeBytes <= SMALL_ENTRY_BYTES ? small : large).push(pair);
      mostEntryBytes = Math.max(mostEntryBytes, pair[1].sizeBytes);
    }
    const totalBytes = this.manifest.totals.sizeBytes;
    const isSmall = totalBytes <= SMALL_SNAPSHOT_BYTES && mostEntryBytes <= MOST_KEPT_ENTRY_BYTES;
    const mostBytes = isSmall ? SMALL_SNAPSHOT_BYTES : KEPT_BYTES;
    const fitting = Math.floor(VERIFIED_BYTES * entries.size / Math.max(1, totalBytes));
    const inFlight = Math.min(this.#unit.mostOpen, Math.max(VERIFIED_AT_ONCE, fitting));
    let keptBytes = 0;
    const progress = new ProgressCounter(this.#uri, "verify", this.manifest.totals, options);
    let index = 0;
    options.signal?.throwIfAborted();
    for await (const batch of this.#raw.lendSmall(small)) {
      for (const bytes of batch) {
        const [path, entry] = small[index++] as PathAndEntry;
        this.#raw.assertSame(path, entry, bytes.length, digestOf(bytes));
        if (keptBytes + entry.sizeBytes <= mostBytes) {
          keptBytes += entry.sizeBytes;
          this.#kept.set(path, copyOf(bytes));
        }
        progress.entry(path, entry.sizeBytes);
        if (pace.isDue) await pace.rest();
      }
      options.signal?.throwIfAborted();
    }
    await mapBounded(large, async ([path, entry]) => {
      options.signal?.throwIfAborted();
      if (keptBytes + entry.sizeBytes > mostBytes) {
        const source = await this.#raw.open(path, entry);
        for await (const chunk of this.#compared(path, entry, source.read(0, entry.sizeBytes))) {
          options.signal?.throwIfAborted();
          progress.chunk(path, chunk.length);
          if (source.gives) release(chunk);
        }
        progress.entry(path);
        return;
      }
      keptBytes += entry.sizeBytes;
      this.#kept.set(path, await this.bytes(path));
      progress.entry(path, entry.sizeBytes);
    }, inFlight);
    options.signal?.throwIfAborted(); // there may have been no entry at all
  }

  /** Gives everything back; may be called twice. */
  async close(): Promise<void> {
    this.#kept.clear();
    await this.#unit.close();
  }

  /** Same as {@link SnapshotReader.close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async *#verified(path: string, entry: ManifestEntry): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
    yield* this.#verify(path, entry, streamBytes(await this.#raw.open(path, entry)));
  }

  /** All but the last chunk as they come; the last when all were as the manifest says. */
  async *#verify(
    path: string,
    entry: ManifestEntry,
    chunks: AsyncIterable<Uint8Array<ArrayBuffer>>,
  ): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
    let held: Uint8Array<ArrayBuffer> | undefined;
    for await (const chunk of this.#compared(path, entry, chunks)) {
      if (held !== undefined) yield held;
      held = chunk;
    }
    if (held !== undefined) yield held;
  }

  /** Chunks as they come; fails at their end if they were not as the manifest says. */
  async *#compared<Chunk extends Uint8Array>(
    path: string,
    entry: ManifestEntry,
    chunks: AsyncIterable<Chunk>,
  ): AsyncGenerator<Chunk, void> {
    const digester = new Digester();
    const pace = new Pace();
    for await (const chunk of chunks) {
      if (pace.isDue) await pace.rest(); // chunks that lie in memory wait for nothing
      digester.update(chunk);
      if (digester.sizeBytes > entry.sizeBytes) throw this.#corrupt(path, `${entry.sizeBytes} bytes`, "more bytes");
      yield chunk;
    }
    if (digester.sizeBytes < entry.sizeBytes) {
      throw this.#corrupt(path, `${entry.sizeBytes} bytes`, `${digester.sizeBytes} bytes`);
    }
    const actual = digester.digest();
    if (actual !== entry.digest) throw this.#corrupt(path, entry.digest, actual);
  }

  /** Fails before anything is allocated; where bytes alone do not tell, the letters are counted in bounded memory. */
  async #assertFitsString(path: string, entry: ManifestEntry): Promise<void> {
    const { sizeBytes } = entry;
    if (sizeBytes <= MAX_STRING_LENGTH) return;
    let units = sizeBytes > MAX_STRING_LENGTH * MOST_BYTES_PER_UNIT ? Infinity : 0;
    if (units === 0) {
      for await (const chunk of this.#verified(path, entry)) {
        units += unitsIn(chunk);
        if (units > MAX_STRING_LENGTH) break;
      }
    }
    if (units <= MAX_STRING_LENGTH) return;
    const reason = `its ${sizeBytes} bytes are more than a string can hold here (${MAX_STRING_LENGTH} characters)`;
    throw new RangeError(`Cannot read "${path}" as text: ${reason}; read it in pieces with stream()`);
  }

  async #digestInTurns(bytes: Uint8Array): Promise<Digest> {
    const digester = new Digester();
    for (let start = 0; start < bytes.length; start += DIGESTED_BYTES) {
      digester.update(bytes.subarray(start, start + DIGESTED_BYTES));
      await turn();
    }
    return digester.digest();
  }

  *#listing(): Work<readonly EntryInfo[]> {
    const entries: EntryInfo[] = [];
    for (const [path, entry] of this.#raw.sealed.indexNow()) {
      entries.push({ ...entry, path });
      if (entries.length % LISTED_AT_ONCE === 0) yield;
    }
    return entries;
  }

  /** An entry, which is looked for in slices if the snapshot has very many. */
  async #found(path: string): Promise<ManifestEntry> {
    const found = this.#raw.sealed.known?.get(path) ?? await inSlices(this.#finding(path));
    if (found !== undefined) return found;
    const all = await this.#raw.sealed.index();
    const entry = all.get(path);
    if (entry === undefined) throw await inSlices(this.#notFound(path, all));
    return entry;
  }

  /** One entry of many by its line: all are parsed and indexed if more are asked for. What is not found so may still be there. */
  *#finding(path: string): Work<ManifestEntry | undefined> {
    assertString("read an entry", "its path", path);
    const isByLine = this.#raw.sealed.known === undefined && this.#foundByLine++ < MOST_BY_LINE;
    return isByLine ? yield* this.#unit.sealed.finding(path) : undefined;
  }

  *#notFound(path: string, all: ReadonlyMap<string, ManifestEntry>): Work<SnapshotError> {
    const reason = `there is no such entry; ${yield* suggesting(path, all.keys())}`;
    const message = `Cannot read "${path}" in ${showAddress(this.#uri)}: ${reason}`;
    return new SnapshotError("ENTRY_NOT_FOUND", message, { path });
  }

  #corrupt(path: string, expected: string, actual: string): SnapshotError {
    return corruptEntry(this.#uri, path, expected, actual);
  }
}
