// The table of contents: an index that lets one entry be read by itself. It is hostile input like
// the rest: what it says must equal the manifest, and where it points must lie within the file.
import { indexOfText, lookingForText, textOf } from "../runtime/bytes.ts";
import type { Work } from "../runtime/concurrency.ts";
import type { Digest, ManifestEntry } from "../model/snapshot.ts";
import { isLeftByDesktop, MANIFEST_PATH, TABLE_PATH } from "../model/unit.ts";
import { FILE_MODE } from "./tar_header.ts";

/** Files at the root of an archive that are the format's own and no entries. */
export const IGNORED: ReadonlySet<string> = new Set([TABLE_PATH, ".prefetch.landmark", ".no.prefetch.landmark"]);

/** A compressed member; its offset in the file is known once all before it were written. */
export interface Member {
  /** Where it begins in the file, in bytes. */
  offset: number;
}

/** A piece of an entry that can be read by itself. */
export interface Chunk {
  /** Member it lies in. */
  readonly member: Readonly<Member>;
  /** Where it begins in the decompressed member, in bytes. */
  readonly innerOffset: number;
  /** Where it begins in the entry, in bytes. */
  readonly chunkOffset: number;
  /** Its size in bytes. */
  readonly sizeBytes: number;
  /** SHA-256 of it. */
  readonly digest: Digest;
}

/** An entry as the table has it. */
export interface TableEntry {
  /** Path within the archive. */
  readonly path: string;
  /** Size in bytes. */
  readonly sizeBytes: number;
  /** SHA-256 of all of it. */
  readonly digest: Digest;
  /** Its pieces, in order; none for an empty entry. */
  readonly chunks: readonly Chunk[];
}

/** A member as a table that was read tells of it. */
export interface ListedMember extends Member {
  /** Where the next one begins, or all of them end. */
  endOffset: number;
  /** How much of it is needed, in bytes once decompressed. */
  neededBytes: number;
  /** How many pieces lie in it. */
  chunks: number;
}

/** An entry out of a table that was read. */
export interface ListedEntry extends TableEntry {
  readonly chunks: readonly (Chunk & { readonly member: Readonly<ListedMember> })[];
}

/** A table that was read. */
export interface Table {
  /** All entries by their paths, in its order, without the files that are none. */
  readonly entries: ReadonlyMap<string, ListedEntry>;
  /** The members, as they follow each other. */
  readonly members: readonly Readonly<ListedMember>[];
}

// How ours begin and end.
const [TABLE_START, TABLE_END] = ['{"version":1,"entries":[\n', "]}"] as const;
// Rows and bytes that take about a millisecond.
const ROWS_AT_ONCE = 64;
const PIECE_BYTES = 128 * 1024;

/** The JSON of a table in the making; by hand, for archives may have very many entries. */
export class TableText {
  readonly #stamp: string;
  readonly #waiting: TableEntry[] = [];
  readonly #pieces: Uint8Array[] = [];
  #text: string = TABLE_START;
  #rendered = 0;

  constructor(savedAt: Date) {
    this.#stamp = `"modtime":"${savedAt.toISOString().slice(0, 19)}Z","mode":${FILE_MODE}`;
  }

  /** Adds an entry, whose members may be on the way yet. */
  add(entry: TableEntry): void {
    this.#waiting.push(entry);
  }

  /** Renders the entries whose members were all written, as far as they come first. */
  *rendering(): Work<void> {
    for (; this.#rendered < this.#waiting.length; this.#rendered++) {
      const entry = this.#waiting[this.#rendered] as TableEntry;
      if ((entry.chunks.at(-1)?.member.offset ?? 0) < 0) return;
      this.#render(entry);
      if (this.#text.length < PIECE_BYTES) continue;
      this.#encode();
      yield;
    }
  }

  /** The table in pieces, when all members were written; no byte follows its final brace. */
  *ending(): Work<readonly Uint8Array[]> {
    yield* this.rendering();
    this.#text += TABLE_END;
    this.#encode();
    return this.#pieces;
  }

  #encode(): void {
    this.#pieces.push(new TextEncoder().encode(this.#text));
    this.#text = "";
  }

  /** A row a line, so that one can be found without parsing all. */
  #add(row: string): void {
    const isFirst = this.#pieces.length === 0 && this.#text.length === TABLE_START.length;
    this.#text += isFirst ? row : `,\n${row}`;
  }

  #render({ path, sizeBytes, digest, chunks }: TableEntry): void {
    const name = `"name":${JSON.stringify(path)}`;
    const size = sizeBytes > 0 ? `,"size":${sizeBytes}` : "";
    const head = `{${name},"type":"reg"${size},${this.#stamp},"digest":"${digest}"`;
    if (chunks.length === 0) this.#add(`${head}}`);
    for (const [index, { member, innerOffset, chunkOffset, sizeBytes, digest }] of chunks.entries()) {
      const start = index === 0 ? head : `{${name},"type":"chunk"`;
      const place = `"offset":${member.offset}${index === 0 ? "" : `,"chunkOffset":${chunkOffset}`}`;
      const size = index === chunks.length - 1 ? "" : `,"chunkSize":${sizeBytes}`;
      const inner = innerOffset > 0 ? `,"innerOffset":${innerOffset}` : "";
      this.#add(`${start},${place}${size},"chunkDigest":"${digest}"${inner}}`);
    }
  }
}

/** What is wrong with a table, said once. */
export class TableFault extends Error {}

/** An entry whose pieces are being added. */
type Entry = ListedEntry & { readonly chunks: (Chunk & { readonly member: ListedMember })[] };

interface Row {
  readonly name: string;
  readonly type: string;
  readonly size: number;
  readonly digest: string;
  readonly offset: number;
  readonly chunkOffset: number;
  readonly chunkSize: number;
  readonly chunkDigest: string;
  readonly innerOffset: number;
}

const LINE_FEED = 0x0a;
const COMMA = 0x2c;
// What makes values in JSON. An honest table has 6 of them to a row of 150 bytes and more, beside those in names.
const MARKS = [0x7b, 0x5b, COMMA];
const FREE_MARKS = 10_000;
const BYTES_PER_MARK = 8;
const MAX_LINE_BYTES = 64 * 1024;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

function nameOf(name: string): string {
  return name.startsWith("./") ? name.replace(/^(?:\.\/)+/, "") : name;
}

function textIn(fields: Record<string, unknown>, key: string): string {
  const found = Object.hasOwn(fields, key) ? fields[key] : "";
  if (typeof found !== "string") throw new TableFault(`"${key}" of a row of its table is not a string`);
  return found;
}

function countIn(fields: Record<string, unknown>, key: string): number {
  const found = Object.hasOwn(fields, key) ? fields[key] : 0;
  if (typeof found !== "number" || !Number.isSafeInteger(found) || found < 0) {
    throw new TableFault(`"${key}" of a row of its table is not a size`);
  }
  return found;
}

function rowOf(value: unknown): Row {
  if (typeof value !== "object" || value === null) throw new TableFault("a row of its table is not an object");
  const fields = value as Record<string, unknown>;
  return {
    name: nameOf(textIn(fields, "name")), // other builders name entries as their tars do
    type: textIn(fields, "type"),
    size: countIn(fields, "size"),
    digest: textIn(fields, "digest"),
    offset: countIn(fields, "offset"),
    chunkOffset: countIn(fields, "chunkOffset"),
    chunkSize: countIn(fields, "chunkSize"),
    chunkDigest: textIn(fields, "chunkDigest"),
    innerOffset: countIn(fields, "innerOffset"),
  };
}

/** Refuses what would take up many times its size once it was parsed: very many values of a few bytes each. */
function* assertingSparse(json: Uint8Array): Work<void> {
  let left = FREE_MARKS + json.length / BYTES_PER_MARK;
  for (let start = 0; start < json.length; start += PIECE_BYTES) {
    const piece = json.subarray(start, start + PIECE_BYTES);
    for (const mark of MARKS) {
      for (let at = piece.indexOf(mark); at !== -1; at = piece.indexOf(mark, at + 1)) {
        if (--left < 0) throw new TableFault("its table has more in it than its rows need");
      }
    }
    yield;
  }
}

/** Reads a table's JSON; throws {@link TableFault}. */
export function* parsingTable(json: Uint8Array, membersEndOffset: number): Work<Table> {
  return (yield* parsingLines(json, membersEndOffset)) ?? (yield* parsingWhole(json, membersEndOffset));
}

/** A table as ours are, with a row a line: no string in JSON holds a line break. `undefined` for any other. */
function* parsingLines(json: Uint8Array, membersEndOffset: number): Work<Table | undefined> {
  const end = json.length - TABLE_END.length;
  if (indexOfText(json.subarray(0, TABLE_START.length), TABLE_START) !== 0) return undefined;
  if (indexOfText(json.subarray(end), TABLE_END) !== 0) return undefined;
  const rows = new Rows(membersEndOffset);
  try {
    for (let start = TABLE_START.length; start < end;) {
      const line = json.indexOf(LINE_FEED, Math.min(start + PIECE_BYTES, end));
      const next = line === -1 ? end : line;
      if (next - start > PIECE_BYTES + MAX_LINE_BYTES) return undefined;
      const text = textOf(json.subarray(start, next)); // with the comma that its last row ends with
      for (const value of JSON.parse(`[${next === end ? text : text.replace(/,$/, "")}]`)) rows.add(value);
      start = next + 1;
      yield;
    }
    return yield* rows.ending();
  } catch {
    return undefined; // parsing all of it tells what is wrong
  }
}

function* parsingWhole(json: Uint8Array, membersEndOffset: number): Work<Table> {
  yield* assertingSparse(json);
  const { version, entries } = (parseJson(json) ?? {}) as { version?: unknown; entries?: unknown };
  if (version !== 1) throw new TableFault("its table has a version it does not know");
  if (!Array.isArray(entries)) throw new TableFault("its table has no entries");
  const rows = new Rows(membersEndOffset);
  for (const [index, value] of entries.entries()) {
    if (index % ROWS_AT_ONCE === 0) yield;
    rows.add(value);
  }
  return yield* rows.ending();
}

/**
 * Finds one entry in a table that has a row a line, as ours have, and where the member behind it begins.
 *
 * @param json The table.
 * @param path The entry.
 * @param membersEndOffset Where the last member ends.
 * @returns The entry, or `undefined` where it takes parsing all; throws {@link TableFault}.
 */
export function* findingInTable(
  json: Uint8Array,
  path: string,
  membersEndOffset: number,
): Work<ListedEntry | undefined> {
  let line = yield* lookingForText(json, `\n{"name":${JSON.stringify(path)},"type":"reg",`); // of the bytes: as text they are copied
  if (line === -1) return undefined;
  const rows = new Rows(membersEndOffset);
  let last: Row | undefined;
  let endOffset = membersEndOffset;
  while (line !== -1 && endOffset === membersEndOffset) {
    const next = json.indexOf(LINE_FEED, line + 1);
    const end = next === -1 ? json.length - 2 : next;
    if (end - line > MAX_LINE_BYTES) return undefined;
    const value = parseJson(json.subarray(line + 1, json[end - 1] === COMMA ? end - 1 : end));
    const row = rowOf(value);
    if (last === undefined || (row.name === path && row.type === "chunk")) {
      rows.add(value);
      last = row;
    } else if (last.size === 0) break; // an empty entry ends nowhere
    else if (row.offset > last.offset) endOffset = row.offset; // rows without a place are of empty entries
    line = next;
  }
  return (yield* rows.ending(endOffset)).entries.get(path);
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(textOf(bytes));
  } catch (cause) {
    throw new TableFault(`its table is not ${cause instanceof SyntaxError ? "JSON" : "UTF-8"}`, { cause });
  }
}

/** The rows of a table on their way to entries. */
class Rows {
  readonly #membersEndOffset: number;
  readonly #entries = new Map<string, ListedEntry>();
  readonly #members = new Map<number, ListedMember>();
  #last: Entry | undefined;

  constructor(membersEndOffset: number) {
    this.#membersEndOffset = membersEndOffset;
  }

  /** Takes the next row, as it was parsed. */
  add(value: unknown): void {
    const row = rowOf(value);
    if (row.type === "reg") {
      this.#endEntry();
      if (this.#entries.has(row.name)) throw new TableFault(`its table has "${row.name}" twice`);
      if (!DIGEST.test(row.digest)) throw new TableFault(`its table has no digest for "${row.name}"`);
      const entry: Entry = { path: row.name, sizeBytes: row.size, digest: row.digest as Digest, chunks: [] };
      this.#entries.set(row.name, entry);
      this.#last = entry;
      if (row.size > 0) this.#addChunk(entry, row);
    } else if (row.type === "chunk" && this.#last?.path === row.name) {
      this.#addChunk(this.#last, row);
    } else if (row.type !== "dir") {
      throw new TableFault(`its table has a row of the type "${row.type}" for "${row.name}"`);
    }
  }

  /** The table; each member ends where the next begins, and the last at `endOffset`. */
  *ending(endOffset: number = this.#membersEndOffset): Work<Table> {
    this.#endEntry();
    const members = [...this.#members.values()].sort((a, b) => a.offset - b.offset);
    for (const [index, member] of members.entries()) {
      if (index % ROWS_AT_ONCE === 0) yield;
      member.endOffset = members[index + 1]?.offset ?? endOffset;
    }
    for (const path of IGNORED) this.#entries.delete(path);
    return { entries: this.#entries, members };
  }

  #addChunk(entry: Entry, row: Row): void {
    const { chunks, digest, path } = entry;
    const last = chunks.at(-1);
    const chunkOffset = last === undefined ? 0 : last.chunkOffset + last.sizeBytes;
    const sizeBytes = row.chunkSize === 0 ? entry.sizeBytes - chunkOffset : row.chunkSize;
    if (row.chunkOffset !== chunkOffset || sizeBytes <= 0 || chunkOffset + sizeBytes > entry.sizeBytes) {
      throw new TableFault(`the pieces of "${path}" in its table do not follow each other`);
    }
    if (row.offset >= this.#membersEndOffset || (last !== undefined && row.offset <= last.member.offset)) {
      throw new TableFault(`a piece of "${path}" in its table points nowhere`);
    }
    const isWhole = row.chunkDigest === digest; // nearly always
    if (!isWhole && !DIGEST.test(row.chunkDigest)) {
      throw new TableFault(`its table has no digest for a piece of "${path}"`);
    }
    const member = this.#memberAt(row.offset);
    member.neededBytes = Math.max(member.neededBytes, row.innerOffset + sizeBytes);
    member.chunks++;
    const chunkDigest = isWhole ? digest : row.chunkDigest as Digest;
    chunks.push({ member, innerOffset: row.innerOffset, chunkOffset, sizeBytes, digest: chunkDigest });
  }

  #memberAt(offset: number): ListedMember {
    const known = this.#members.get(offset);
    if (known !== undefined) return known;
    const member = { offset, endOffset: this.#membersEndOffset, neededBytes: 0, chunks: 0 };
    this.#members.set(offset, member);
    return member;
  }

  #endEntry(): void {
    if (this.#last === undefined) return;
    const { path, sizeBytes, digest, chunks } = this.#last;
    const [only] = chunks;
    if (chunks.length === 1 && only?.digest !== digest) {
      throw new TableFault(`the only piece of "${path}" in its table has another digest than the whole`);
    }
    const last = chunks.at(-1);
    if ((last === undefined ? 0 : last.chunkOffset + last.sizeBytes) !== sizeBytes) {
      throw new TableFault(`the pieces of "${path}" in its table do not add up`);
    }
  }
}

/** Says how a table differs from the manifest, which must list the very same entries. */
export function* comparing(
  table: ReadonlyMap<string, TableEntry>,
  listed: ReadonlyMap<string, ManifestEntry>,
): Work<string | undefined> {
  let count = 0;
  for (const [path, { sizeBytes, digest }] of listed) {
    if (count++ % ROWS_AT_ONCE === 0) yield;
    const row = table.get(path);
    if (row === undefined) return `"${path}" is in the manifest and not in the table`;
    if (row.sizeBytes !== sizeBytes || row.digest !== digest) {
      return `"${path}" is another one in the table than in the manifest`;
    }
  }
  if (table.size === listed.size + 1) return undefined; // the manifest itself
  for (const path of table.keys()) {
    if (count++ % ROWS_AT_ONCE === 0) yield;
    if (path !== MANIFEST_PATH && !listed.has(path) && !isLeftByDesktop(path)) {
      return `"${path}" is in the table and not in the manifest`;
    }
  }
  return undefined;
}
