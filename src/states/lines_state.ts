// A state that is a list of records, as lines of JSON that are streamed both ways: it takes as much memory as its longest record.
import { concat, iterate } from "../runtime/bytes.ts";
import { Pace } from "../runtime/concurrency.ts";
import { reasonOf } from "../model/errors.ts";
import { isSchema, placeOf, resultOf, type SchemaResult, type StandardSchema } from "../model/standard_schema.ts";
import type { PersistentState, StateReader } from "../model/state.ts";
import { stringifyStrictly } from "../store/strict_json.ts";
import { assertFunctions } from "./accessors.ts";
import type { SchemaInput, SchemaOutput } from "./json_state.ts";
import { invalidEntry, schemaOf } from "./reading.ts";

const PATH = "lines.jsonl";
const CHUNK_BYTES = 64 * 1024;
const MAX_RECORD_BYTES = 64 * 1024 * 1024;
const NEWLINE = 10;
const anything = schemaOf((value) => value);

/** How {@link linesState} reaches its records. */
export interface LinesAccessors<Saved, Loaded = Saved> {
  /**
   * Returns the records to save; called once per save. An array, Set or Map is taken at the call, by references: a record that is changed
   * before the save has written it is saved as changed. Any other iterable must itself yield the records of one instant.
   */
  readonly read: () => Iterable<Saved> | AsyncIterable<Saved>;
  /**
   * Takes the loaded records; called once per load, after all lines were checked. It must read them to the end or leave the loop, and
   * settle after that; what it returns is awaited.
   */
  readonly write: (records: AsyncIterable<Loaded>) => unknown;
}

/** How {@link linesState} reaches its records, and what each must be. */
export interface LinesStateOptions<Schema extends StandardSchema>
  extends LinesAccessors<SchemaInput<Schema>, SchemaOutput<Schema>> {
  /** What each loaded record must be: a schema of any library that implements Standard Schema. */
  readonly schema: Schema;
}

/**
 * Returns a state that is a list of records, one JSON line each, checked by a schema when it is loaded.
 *
 * @param options Reads and writes the records; the schema of one.
 * @returns The state, to be registered.
 * @throws {TypeError} If a function is missing, or `schema` is not a schema.
 */
export function linesState<Schema extends StandardSchema>(options: LinesStateOptions<Schema>): PersistentState;
/**
 * Returns a state that is a growing list, such as messages, events or samples: one JSON line per record, in one entry.
 *
 * Records are streamed both ways, in bounded memory. What JSON would change fails the save with the line and place. A load reads the
 * entry twice: the first time it checks every line, so a bad one changes nothing. A record has at most 64 MiB.
 *
 * @param options Reads and writes the records.
 * @returns The state, to be registered.
 * @throws {TypeError} If a function is missing.
 * @example
 * ```ts
 * import { StateStore } from "snapkeep";
 * import { linesState } from "snapkeep/states";
 *
 * let messages: { from: string; text: string }[] = [];
 * const store = new StateStore("states").register("messages", linesState({
 *   read: () => messages,
 *   write: async (records) => {
 *     const loaded: typeof messages = [];
 *     for await (const record of records) loaded.push(record);
 *     messages = loaded;
 *   },
 * }));
 * await store.resume();
 * ```
 */
export function linesState<Item>(options: LinesAccessors<Item>): PersistentState;
export function linesState(options: LinesAccessors<unknown> & { readonly schema?: StandardSchema }): PersistentState {
  const names = { read: "a function", write: "a function", schema: true } as const;
  assertFunctions("a linesState", options, ["read", "write"], names);
  const { read, write, schema = anything } = options;
  if (!isSchema(schema)) throw new TypeError("Cannot make a linesState: the schema does not implement Standard Schema");
  return {
    saveState(out) {
      const records = read();
      const isTaken = Array.isArray(records) || records instanceof Set || records instanceof Map;
      return out.write(PATH, encoded(isTaken ? [...records as Iterable<unknown>] : records));
    },
    async loadState(from) {
      for await (const _ of decoded(from, schema));
      const records = new OnceRead(decoded(from, schema));
      try {
        await write(records);
        if (records.isRead) return;
        throw new TypeError(
          "write() ended before it had read the records: await the loop that reads them, or leave it",
        );
      } finally {
        await records.close();
      }
    },
  };
}

/** Records that can be read while they last. A reader that was not awaited must not take their end for the end of the list. */
class OnceRead implements AsyncIterableIterator<unknown> {
  readonly #batches: AsyncGenerator<unknown[], void>;
  readonly #pace = new Pace();
  #batch: unknown[] = [];
  #next = 0;
  #asked: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #isClosed = false;
  /** Whether the reader came to the end, or left. */
  isRead = false;

  constructor(batches: AsyncGenerator<unknown[], void>) {
    this.#batches = batches;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<unknown, undefined>> {
    if (this.#waiting === 0 && this.#next < this.#batch.length && !this.#pace.isDue) {
      return Promise.resolve({ done: false, value: this.#batch[this.#next++] });
    }
    this.#waiting++;
    const result = this.#asked.then(() => this.#taken()).finally(() => this.#waiting--);
    this.#asked = result.catch(() => {});
    return result;
  }

  async #taken(): Promise<IteratorResult<unknown, undefined>> {
    if (this.#pace.isDue) await this.#pace.rest();
    while (this.#next === this.#batch.length && !this.#isClosed) {
      const { done, value } = await this.#batches.next();
      if (done) break;
      [this.#batch, this.#next] = [value, 0];
    }
    if (this.#isClosed && !this.isRead) {
      throw new TypeError("Cannot read records: the load has ended; await the loop in write()");
    }
    this.isRead ||= this.#next === this.#batch.length;
    return this.isRead ? { done: true, value: undefined } : { done: false, value: this.#batch[this.#next++] };
  }

  async return(): Promise<IteratorResult<unknown, undefined>> {
    this.isRead = true;
    await this.close();
    return { done: true, value: undefined };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#batch = [];
    this.#next = 0;
    await this.#batches.return();
  }
}

async function* encoded(records: Iterable<unknown> | AsyncIterable<unknown>): AsyncGenerator<Uint8Array, void> {
  const isIterable = typeof records === "object" && records !== null &&
    (Symbol.asyncIterator in records || Symbol.iterator in records);
  if (!isIterable) throw new TypeError("Cannot save records: read() must return an iterable");
  const encoder = new TextEncoder();
  const pace = new Pace();
  let lines = "";
  let line = 0;
  const isFull = (record: unknown) => (lines += `${textOf(record, ++line)}\n`).length >= CHUNK_BYTES;
  const taken = () => {
    const bytes = encoder.encode(lines);
    lines = "";
    return bytes;
  };
  if (Symbol.asyncIterator in records) {
    for await (const record of records) if (isFull(record)) yield taken();
  } else {
    for (const record of records) {
      if (isFull(record)) yield taken();
      // An iterable that waits for nothing must not hold up the program.
      if (pace.isDue) await pace.rest();
    }
  }
  if (lines !== "") yield taken();
}

function textOf(record: unknown, line: number): string {
  try {
    const text = stringifyStrictly(record);
    if (text.length * 3 > MAX_RECORD_BYTES && new TextEncoder().encode(text).length > MAX_RECORD_BYTES) {
      throw new RangeError(`it has more than ${MAX_RECORD_BYTES} bytes as JSON; save it in pieces`);
    }
    return text;
  } catch (cause) {
    throw new TypeError(`Cannot save record ${line}: ${reasonOf(cause)}`, { cause });
  }
}

/** The records, checked, in batches: those that lie in memory together wait for nothing between them. */
async function* decoded(from: StateReader, schema: StandardSchema): AsyncGenerator<unknown[], void> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const pace = new Pace();
  let line = 0;
  for await (const bytes of linesOf(from)) {
    const records: unknown[] = [];
    for (const text of textsOf(bytes, decoder)) {
      line++;
      if (pace.isDue) await pace.rest();
      let value: unknown;
      try {
        value = JSON.parse(typeof text === "string" ? text : decoder.decode(text));
      } catch (cause) {
        throw invalidEntry(from, PATH, `it is not JSON: ${reasonOf(cause)}`, `line ${line}`, cause);
      }
      if (schema !== anything) {
        const checking = schema["~standard"].validate(value);
        const result = resultOf(isThenable(checking) ? await checking : checking);
        if (result.issues !== undefined) {
          const [first = { message: "its schema rejects it" }] = result.issues;
          throw invalidEntry(from, PATH, first.message, `line ${line}, ${placeOf(first)}`);
        }
        ({ value } = result);
      }
      records.push(value);
    }
    yield records;
  }
}

/** Whether a schema has yet to answer; its promise may be another than the runtime's. */
function isThenable(checking: unknown): checking is Promise<SchemaResult<unknown>> {
  return typeof (checking as Partial<PromiseLike<unknown>> | undefined)?.then === "function";
}

/** The text of each line; if not all of them are UTF-8, the bytes of each, so that the first that is not can be named. */
function textsOf(lines: Uint8Array, decoder: TextDecoder): (string | Uint8Array)[] {
  try {
    return decoder.decode(lines).split("\n");
  } catch {
    const texts: Uint8Array[] = [];
    let start = 0;
    for (let end = lines.indexOf(NEWLINE); end >= 0; end = lines.indexOf(NEWLINE, start)) {
      texts.push(lines.subarray(start, end));
      start = end + 1;
    }
    return [...texts, lines.subarray(start)];
  }
}

/** The lines that end in each piece of the entry, without the last one's end. */
async function* linesOf(from: StateReader): AsyncGenerator<Uint8Array, void> {
  let parts: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of iterate(from.stream(PATH))) {
    for (let at = 0; at < chunk.length; at += CHUNK_BYTES) {
      const piece = chunk.subarray(at, at + CHUNK_BYTES);
      const end = piece.lastIndexOf(NEWLINE);
      if (end >= 0) {
        yield concat([...parts, piece.subarray(0, end)]);
        [parts, sizeBytes] = [[], 0];
      }
      parts.push(piece.subarray(end + 1));
      sizeBytes += piece.length - end - 1;
    }
    if (sizeBytes > MAX_RECORD_BYTES) {
      throw invalidEntry(from, PATH, `a record has more than ${MAX_RECORD_BYTES} bytes`);
    }
  }
  if (sizeBytes > 0) throw invalidEntry(from, PATH, "its last line does not end");
}
