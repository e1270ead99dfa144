// Reading an archive by its table: the tail of the file tells where everything lies, and one entry costs the members it lies
// in. Nothing the table says is believed: it must equal the manifest, and bytes are compared with their digests.
import { type Codec, CompressionFault } from "../compression/codec.ts";
import { digestOf } from "../runtime/digest.ts";
import { openManifest } from "../manifest/manifest.ts";
import type { BlobReader } from "../model/backend.ts";
import { inSlices, type Work } from "../runtime/concurrency.ts";
import { release } from "../runtime/memory.ts";
import { readBytes } from "../runtime/reading.ts";
import type { EntryReader, OpenedManifest, UnitReader } from "../model/snapshot.ts";
import { type LayoutKind, MANIFEST_PATH } from "../model/unit.ts";
import { containerOf, LAYOUTS } from "./container.ts";
import { LatestMembers, Room } from "./member_memory.ts";
import { asRejection, assertManifestSize, manifestMissing, rejected } from "./rejection.ts";
import {
  type Chunk,
  comparing,
  findingInTable,
  IGNORED,
  type Member,
  parsingTable,
  type TableEntry,
  TableFault,
} from "./table.ts";
import { FREE_RATIO_BYTES } from "./tar_guard.ts";

const TAIL_BYTES = 256 * 1024;
const CHUNKS_AHEAD = 3;
const AHEAD_BYTES = 64 * 1024 * 1024;
const ENTRIES_AT_ONCE = 64; // which take about a millisecond
const GROUPS_AHEAD = 8;
const GROUPS_AHEAD_BYTES = 4 * 1024 * 1024;
const NOTHING = new Uint8Array(0);
// Looking for a line takes as long as the table is: for more entries, parsing all of it is faster.
const MOST_BY_LINE = 32;
const MOST_OPEN = 192; // several members of small entries, and no more than are cached
// Entries that share members and are asked for in another order than they lie in cost their members again. Archives of ours
// have them in order; this leaves room for tools that sort, and none for tables made to be slow.
const FREE_REPEATED_BYTES = 1024 * 1024 * 1024;
const REPEATED_RATIO = 16;
// Headers and padding that may follow the last payload of a member.
const SLACK_BYTES = 1024 * 1024;
// A piece is decompressed in one go. Ours have 64 MiB at the most, and no builder is known to come near this.
const MAX_PIECE_BYTES = 256 * 1024 * 1024;
// Members that hold nothing cost time and give no bytes. Compression that fails adds a thousandth, and a member's own bytes
// are fewer than the header of a tar in it: honest archives never expand to less than half of what they are.
const FREE_PACKED_BYTES = 4 * 1024 * 1024;
// A manifest is 256 MiB at the most, and a table with as many entries less than four times as long. And an entry has its header
// in the tar and its line in the manifest as well as its row: of empty entries, packed by zstd as well as it can, a table was 50
// times all of the file.
const MAX_TABLE_BYTES = 1024 * 1024 * 1024;
const TABLE_RATIO = 256;
// A table is names, numbers and digests, which no compression packs as well as it packs runs of one byte.
const PACKED_TABLE_RATIO = 1100;

/**
 * Opens an archive by its table, with one read of its tail.
 *
 * @returns Its reader; `undefined` where it has no table. Faults of codec and table come as they are.
 */
export async function openIndexed(blob: BlobReader, uri: string, codec: Codec): Promise<UnitReader | undefined> {
  const container = containerOf(codec.compression);
  if (container === undefined) return undefined;
  const { tailBytes = TAIL_BYTES } = blob;
  const tailOffset = Math.max(0, blob.sizeBytes - tailBytes);
  const tail = await readBytes(blob, tailOffset, tailBytes);
  const place = container.find(tail, blob.sizeBytes);
  if (place === undefined) return undefined;
  if (place.membersEndOffset < 0 || place.sizeBytes <= 0) throw new TableFault("its footer points nowhere");
  const source = new TailedBlob(blob, tail, tailOffset);
  const expandedBytes = Math.min(place.sizeBytes * PACKED_TABLE_RATIO, blob.sizeBytes * TABLE_RATIO);
  const mostBytes = Math.min(MAX_TABLE_BYTES, FREE_RATIO_BYTES + expandedBytes);
  if (place.sizeBytes > mostBytes) throw new TableFault("its table is said to be larger than it can be");
  const packed = await readBytes(source, place.offset, place.sizeBytes);
  const json = await container.read(codec, packed, mostBytes, place, uri);
  const reader = new IndexedReader(source, uri, codec, json, place.membersEndOffset);
  await reader.readManifest();
  return reader;
}

/** How many bytes honest members take, at the most, to hold so much. */
export function mostPackedBytes(sizeBytes: number): number {
  return FREE_PACKED_BYTES + 2 * sizeBytes;
}

/** A blob whose last bytes were read already. */
class TailedBlob implements BlobReader {
  readonly #blob: BlobReader;
  readonly #tail: Uint8Array<ArrayBuffer>;
  readonly #tailOffset: number;

  constructor(blob: BlobReader, tail: Uint8Array<ArrayBuffer>, tailOffset: number) {
    this.#blob = blob;
    this.#tail = tail;
    this.#tailOffset = tailOffset;
  }

  get sizeBytes(): number {
    return this.#blob.sizeBytes;
  }

  async *read(
    offset: number,
    lengthBytes: number,
    into?: (mostBytes: number) => Uint8Array<ArrayBuffer>,
  ): AsyncGenerator<Uint8Array, void> {
    if (offset < this.#tailOffset) return yield* this.#blob.read(offset, lengthBytes, into);
    const start = offset - this.#tailOffset;
    const bytes = this.#tail.subarray(start, start + lengthBytes);
    if (bytes.length > 0) yield bytes;
  }

  close(): Promise<void> {
    return this.#blob.close();
  }
}

/** Where a member ends, and how much of it is needed. */
interface MemberSpan {
  endOffset: number;
  neededBytes: number;
  chunks: number;
}

/** Entries in one member, with the only piece of each; without a member, entries that are to be read by themselves. */
interface Group {
  member: Readonly<Member> | undefined;
  readonly chunks: (Chunk | undefined)[];
}

class IndexedReader implements UnitReader {
  readonly mostOpen = MOST_OPEN;
  readonly #blob: TailedBlob;
  readonly #uri: string;
  readonly #codec: Codec;
  readonly #json: Uint8Array;
  readonly #membersEndOffset: number;
  readonly #spans = new Map<Readonly<Member>, MemberSpan>();
  readonly #cache = new LatestMembers<Promise<Uint8Array<ArrayBuffer>>>();
  readonly #room = new Room();
  #table: ReadonlyMap<string, TableEntry> | undefined;
  #parsed: Promise<ReadonlyMap<string, TableEntry>> | undefined;
  #sealed: OpenedManifest | undefined;
  #foundByLine = 0;
  #isChecked = false;

  constructor(blob: TailedBlob, uri: string, codec: Codec, json: Uint8Array, membersEndOffset: number) {
    this.#blob = blob;
    this.#uri = uri;
    this.#codec = codec;
    this.#json = json;
    this.#membersEndOffset = membersEndOffset;
  }

  get layout(): LayoutKind {
    return LAYOUTS[this.#codec.compression];
  }

  get sealed(): OpenedManifest {
    if (this.#sealed === undefined) throw new TypeError("Cannot tell the manifest before it was read");
    return this.#sealed;
  }

  /** Reads the manifest. */
  async readManifest(): Promise<void> {
    const entry = await this.#entry(MANIFEST_PATH);
    if (entry === undefined) throw manifestMissing(this.#uri);
    assertManifestSize(entry.sizeBytes, this.#uri);
    this.#sealed = await openManifest(await readBytes(this.#readerOf(entry)), this.#uri);
  }

  async check(): Promise<void> {
    if (this.#isChecked) return;
    const manifest = await this.sealed.read();
    const table = await this.#all();
    const difference = await inSlices(comparing(table, manifest));
    if (difference !== undefined) {
      const offset = table.get(MANIFEST_PATH)?.chunks[0]?.member.offset ?? 0;
      throw rejected(this.#uri, "MANIFEST_MISMATCH", offset, difference);
    }
    await inSlices(this.#assertingOrder(table));
    this.#isChecked = true;
  }

  /** What reading all entries in the manifest's order decompresses must stay near what there is. */
  *#assertingOrder(table: ReadonlyMap<string, TableEntry>): Work<void> {
    let leftBytes = FREE_REPEATED_BYTES;
    for (const [{ offset }, { endOffset, neededBytes }] of this.#spans) {
      // No more than its bytes can hold, or a table would allow itself anything by one entry that is never reached.
      leftBytes += REPEATED_RATIO * Math.min(neededBytes, (endOffset - offset) * this.#codec.mostRatio);
    }
    const cached = new LatestMembers<true>();
    for (const { name, entries } of this.sealed.manifest.states) {
      for (const [index, { path }] of entries.entries()) {
        if (index % ENTRIES_AT_ONCE === 0) yield;
        for (const { member } of table.get(`${name}/${path}`)?.chunks ?? []) {
          const span = this.#spans.get(member) as MemberSpan;
          if (span.chunks === 1) continue;
          // Members that hold nothing take their time as well.
          if (!cached.get(member)) leftBytes -= Math.max(span.neededBytes, packedBytesOf(member, span));
          cached.keep(member, true, span.neededBytes);
          if (leftBytes >= 0) continue;
          const what = "its table has entries in an order that takes decompressing the same members over and over";
          throw rejected(this.#uri, "LIMIT_MEMBERS", member.offset, what);
        }
      }
    }
  }

  async open(entryPath: string): Promise<EntryReader | undefined> {
    const entry = this.#table === undefined ? await this.#entry(entryPath) : this.#table.get(entryPath);
    return entry && this.#readerOf(entry);
  }

  /** Small entries as views of their members, of which a few are decompressed ahead. */
  async *lendSmall(entryPaths: Iterable<string>): AsyncGenerator<(Uint8Array | undefined)[], void> {
    const ahead: { readonly chunks: readonly (Chunk | undefined)[]; readonly bytes: Promise<Uint8Array> }[] = [];
    const groups = this.#groupsOf(await this.#all(), entryPaths);
    let aheadBytes = 0;
    for (let next = groups.next(); !next.done || ahead.length > 0;) {
      if (!next.done && (ahead.length === 0 || (ahead.length < GROUPS_AHEAD && aheadBytes < GROUPS_AHEAD_BYTES))) {
        const { member, chunks } = next.value;
        const span = member && this.#spans.get(member);
        const bytes = member && span ? this.#memberOf(member, span) : Promise.resolve(NOTHING);
        bytes.catch(() => {}); // told when it is its turn
        ahead.push({ chunks, bytes });
        aheadBytes += span?.neededBytes ?? 0;
        next = groups.next();
        continue;
      }
      const { chunks, bytes } = ahead.shift() as (typeof ahead)[number];
      const whole = await bytes.catch(() => undefined); // reading one by itself tells what is wrong
      aheadBytes -= whole?.length ?? 0;
      yield chunks.map((chunk) => {
        if (chunk === undefined || whole === undefined) return undefined;
        const piece = whole.subarray(chunk.innerOffset, chunk.innerOffset + chunk.sizeBytes);
        return piece.length === chunk.sizeBytes ? piece : undefined;
      });
    }
  }

  /** Entries that follow each other in one member, with the only piece of each. */
  *#groupsOf(table: ReadonlyMap<string, TableEntry>, entryPaths: Iterable<string>): Generator<Group, void> {
    let group: Group = { member: undefined, chunks: [] };
    for (const path of entryPaths) {
      const { chunks = [] } = table.get(path) ?? {};
      const only = chunks.length === 1 ? chunks[0] : undefined;
      if (group.chunks.length > 0 && group.member !== only?.member) {
        yield group;
        group = { member: undefined, chunks: [] };
      }
      group.member = only?.member;
      group.chunks.push(only);
    }
    if (group.chunks.length > 0) yield group;
  }

  /** One entry; as long as it is one of few, by its line. */
  async #entry(path: string): Promise<TableEntry | undefined> {
    try {
      const isByLine = this.#table === undefined && this.#foundByLine++ < MOST_BY_LINE;
      const found = isByLine ? await inSlices(findingInTable(this.#json, path, this.#membersEndOffset)) : undefined;
      if (found === undefined) return (await this.#all()).get(path);
      const { entry, endOffset } = found;
      for (const [index, { member, innerOffset, sizeBytes }] of entry.chunks.entries()) {
        const next = entry.chunks[index + 1]?.member.offset ?? endOffset;
        this.#spans.set(member, { endOffset: next, neededBytes: innerOffset + sizeBytes, chunks: 1 });
      }
      return entry;
    } catch (error) {
      throw asRejection(error, this.#uri);
    }
  }

  /** All entries, in slices and once. */
  async #all(): Promise<ReadonlyMap<string, TableEntry>> {
    try {
      return this.#table ??= await (this.#parsed ??= inSlices(this.#indexing()));
    } catch (error) {
      throw asRejection(error, this.#uri);
    }
  }

  /** Parses the table, and finds where its members end. */
  *#indexing(): Work<ReadonlyMap<string, TableEntry>> {
    const table = new Map<string, TableEntry>();
    const spans = new Map<Readonly<Member>, MemberSpan>();
    for (const [index, entry] of (yield* parsingTable(this.#json, this.#membersEndOffset)).entries()) {
      if (index % ENTRIES_AT_ONCE === 0) yield;
      if (IGNORED.has(entry.path)) continue;
      table.set(entry.path, entry);
      for (const { member, innerOffset, sizeBytes } of entry.chunks) {
        const span = spans.get(member) ?? { endOffset: this.#membersEndOffset, neededBytes: 0, chunks: 0 };
        span.neededBytes = Math.max(span.neededBytes, innerOffset + sizeBytes);
        span.chunks++;
        spans.set(member, span);
      }
    }
    const ordered = [...spans].sort(([a], [b]) => a.offset - b.offset);
    for (const [index, [member, span]] of ordered.entries()) {
      span.endOffset = ordered[index + 1]?.[0].offset ?? this.#membersEndOffset;
      this.#spans.set(member, span);
    }
    return table;
  }

  async close(): Promise<void> {
    this.#cache.clear();
    await this.#blob.close();
  }

  #readerOf(entry: TableEntry): EntryReader {
    const { sizeBytes, digest } = entry;
    return {
      sizeBytes,
      digest,
      gives: true,
      verifiesParts: true,
      read: (offset, lengthBytes) => this.#read(entry, offset, lengthBytes),
    };
  }

  /**
   * What lies in a part of an entry, in order, a few chunks being decompressed ahead. Each chunk is compared with its own digest; but
   * one that is a whole entry, which its reader verifies.
   */
  async *#read(
    entry: TableEntry,
    offset: number,
    lengthBytes: number,
  ): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
    const end = offset + lengthBytes;
    const touched = entry.chunks.filter(({ chunkOffset, sizeBytes }) =>
      chunkOffset < end && chunkOffset + sizeBytes > offset
    );
    for (const { member } of touched) this.#assertPossible(member); // before anybody makes room for what it promises
    const isVerifiedAbove = entry.chunks.length === 1 && lengthBytes === entry.sizeBytes;
    const ahead: Promise<Uint8Array<ArrayBuffer>>[] = [];
    let [next, aheadBytes] = [0, 0];
    for (const { chunkOffset, sizeBytes } of touched) {
      for (let chunk = touched[next]; chunk !== undefined && ahead.length < CHUNKS_AHEAD; chunk = touched[next]) {
        if (ahead.length > 0 && aheadBytes + chunk.sizeBytes > AHEAD_BYTES) break;
        const piece = this.#chunk(entry, chunk, isVerifiedAbove);
        piece.catch(() => {}); // told when it is its turn
        ahead.push(piece);
        aheadBytes += chunk.sizeBytes;
        next++;
      }
      const piece = await (ahead.shift() as Promise<Uint8Array<ArrayBuffer>>);
      aheadBytes -= sizeBytes;
      yield piece.subarray(Math.max(0, offset - chunkOffset), end - chunkOffset);
    }
  }

  #assertDigest(entry: TableEntry, chunk: Chunk, piece: Uint8Array): void {
    if (digestOf(piece) === chunk.digest) return;
    const what = `a piece of "${entry.path}" has another digest than its table says`;
    throw rejected(this.#uri, "TABLE_INVALID", chunk.member.offset, what);
  }

  async #chunk(entry: TableEntry, chunk: Chunk, isVerifiedAbove: boolean): Promise<Uint8Array<ArrayBuffer>> {
    const span = this.#spans.get(chunk.member) as MemberSpan;
    const isShared = span.chunks > 1;
    const bytes = await this.#memberOf(chunk.member, span);
    const piece = bytes.subarray(chunk.innerOffset, chunk.innerOffset + chunk.sizeBytes);
    if (piece.length !== chunk.sizeBytes) {
      throw rejected(
        this.#uri,
        "TABLE_INVALID",
        chunk.member.offset,
        `a piece of "${entry.path}" is shorter than its table says`,
      );
    }
    if (!isVerifiedAbove) this.#assertDigest(entry, chunk, piece);
    if (!isShared && bytes.length < 2 * piece.length) return piece;
    const copy = new Uint8Array(piece); // slice of a Buffer would be none
    if (!isShared) release(bytes); // most of it is not the piece
    return copy;
  }

  /** A member's bytes; one with several pieces is kept for a while, and must not be changed. */
  #memberOf(member: Readonly<Member>, span: MemberSpan): Promise<Uint8Array<ArrayBuffer>> {
    if (span.chunks === 1) return this.#member(member, span);
    const bytes = this.#cache.get(member) ?? this.#member(member, span);
    this.#cache.keep(member, bytes, span.neededBytes);
    return bytes;
  }

  async #member(member: Readonly<Member>, span: MemberSpan): Promise<Uint8Array<ArrayBuffer>> {
    this.#assertPossible(member);
    const packed = this.#blob.read(member.offset, packedBytesOf(member, span));
    const decode = () => this.#codec.decodeHead(packed, span.neededBytes, SLACK_BYTES);
    try {
      return await this.#room.use(span.neededBytes, decode);
    } catch (error) {
      if (!(error instanceof CompressionFault)) throw error;
      throw rejected(this.#uri, error.reason, member.offset + error.offset, error.message, error);
    }
  }

  #assertPossible(member: Readonly<Member>): void {
    const { endOffset, neededBytes } = this.#spans.get(member) as MemberSpan;
    if (neededBytes > (endOffset - member.offset) * this.#codec.mostRatio + SLACK_BYTES) {
      throw rejected(this.#uri, "LIMIT_RATIO", member.offset, "its table promises more than its bytes can hold");
    }
    if (neededBytes > MAX_PIECE_BYTES + SLACK_BYTES) {
      throw rejected(this.#uri, "LIMIT_BYTES", member.offset, "a piece in its table is too large to be read at once");
    }
  }
}

/** How much is read of a member, at the most, for what is needed of it: what follows may be headers of many empty entries. */
function packedBytesOf({ offset }: Readonly<Member>, { endOffset, neededBytes }: MemberSpan): number {
  return Math.min(endOffset - offset, mostPackedBytes(neededBytes + SLACK_BYTES));
}
