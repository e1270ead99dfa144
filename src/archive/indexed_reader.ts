// Reading an archive by its table: the tail of the file tells where everything lies, and one entry costs the members it lies
// in. Nothing the table says is believed: it must equal the manifest, and bytes are compared with their digests.
import { type Codec, CompressionFault } from "../compression/codec.ts";
import { digestOf } from "../runtime/digest.ts";
import { openManifest } from "../manifest/manifest.ts";
import type { BlobReader } from "../model/backend.ts";
import { inSlices, Pace, type Work } from "../runtime/concurrency.ts";
import { release } from "../runtime/memory.ts";
import { readBytes } from "../runtime/reading.ts";
import type { EntryReader, OpenedManifest, UnitReader } from "../model/snapshot.ts";
import { type LayoutKind, MANIFEST_PATH } from "../model/unit.ts";
import { containerOf, LAYOUTS } from "./container.ts";
import { LatestMembers, Room } from "./member_memory.ts";
import { packedBytesOf, type Run, runsOf, SLACK_BYTES } from "./member_runs.ts";
import { asRejection, assertManifestSize, manifestMissing, rejected } from "./rejection.ts";
import {
  type Chunk,
  comparing,
  findingInTable,
  type ListedEntry,
  type ListedMember,
  parsingTable,
  type Table,
  TableFault,
} from "./table.ts";
import { FREE_RATIO_BYTES } from "./tar_guard.ts";

const TAIL_BYTES = 256 * 1024;
const CHUNKS_AHEAD = 3;
const AHEAD_BYTES = 64 * 1024 * 1024;
const ENTRIES_AT_ONCE = 64; // which take about a millisecond
const RUNS_AHEAD = 8;
const RUNS_AHEAD_BYTES = 4 * 1024 * 1024;
// Looking for a line takes as long as the table is: for more entries, parsing all of it is faster.
const MOST_BY_LINE = 32;
const MOST_OPEN = 192; // several members of small entries, and no more than are cached
// Entries that share members and are asked for in another order than they lie in cost their members again. Archives of ours
// have them in order; this leaves room for tools that sort, and none for tables made to be slow.
const FREE_REPEATED_BYTES = 1024 * 1024 * 1024;
const REPEATED_RATIO = 16;
// A piece is decompressed in one go. Ours have 64 MiB at the most, and no builder is known to come near this.
const MAX_PIECE_BYTES = 256 * 1024 * 1024;
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

class IndexedReader implements UnitReader {
  readonly mostOpen = MOST_OPEN;
  readonly #blob: TailedBlob;
  readonly #uri: string;
  readonly #codec: Codec;
  readonly #json: Uint8Array;
  readonly #membersEndOffset: number;
  readonly #cache = new LatestMembers<Promise<Uint8Array<ArrayBuffer>>>();
  readonly #room = new Room();
  #table: Table | undefined;
  #parsed: Promise<Table> | undefined;
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
    const listed = await this.sealed.index();
    const table = await this.#all();
    const { entries } = table;
    const difference = await inSlices(comparing(entries, listed));
    if (difference !== undefined) {
      const offset = entries.get(MANIFEST_PATH)?.chunks[0]?.member.offset ?? 0;
      throw rejected(this.#uri, "MANIFEST_MISMATCH", offset, difference);
    }
    await inSlices(this.#assertingOrder(table, listed.keys()));
    this.#isChecked = true;
  }

  /** What reading all entries in the manifest's order decompresses must stay near what there is. */
  *#assertingOrder({ members, entries }: Table, entryPaths: Iterable<string>): Work<void> {
    let leftBytes = FREE_REPEATED_BYTES;
    for (const [index, { offset, endOffset, neededBytes }] of members.entries()) {
      if (index % ENTRIES_AT_ONCE === 0) yield;
      // No more than its bytes can hold, or a table would allow itself anything by one entry that is never reached.
      leftBytes += REPEATED_RATIO * Math.min(neededBytes, (endOffset - offset) * this.#codec.mostRatio);
    }
    const cached = new LatestMembers<true>();
    let count = 0;
    let last: Readonly<ListedMember> | undefined;
    for (const path of entryPaths) {
      if (count++ % ENTRIES_AT_ONCE === 0) yield;
      for (const { member } of entries.get(path)?.chunks ?? []) {
        if (member === last || member.chunks === 1) continue;
        // Members that hold nothing take their time as well.
        if (!cached.get(member)) leftBytes -= Math.max(member.neededBytes, packedBytesOf(member));
        cached.keep(member, true, member.neededBytes);
        last = member;
        if (leftBytes >= 0) continue;
        const what = "its table has entries in an order that takes decompressing the same members over and over";
        throw rejected(this.#uri, "LIMIT_MEMBERS", member.offset, what);
      }
    }
  }

  async open(entryPath: string): Promise<EntryReader | undefined> {
    const entry = this.#table === undefined ? await this.#entry(entryPath) : this.#table.entries.get(entryPath);
    return entry && this.#readerOf(entry);
  }

  /** Small entries as views of their members, of which some are decompressed ahead. */
  async *lendSmall(entryPaths: Iterable<string>): AsyncGenerator<(Uint8Array | undefined)[], void> {
    const ahead: { readonly run: Run; readonly wholes: readonly Promise<Uint8Array | undefined>[] }[] = [];
    // Only when its turn comes is known what was decompressed before.
    const isAlone = (member: ListedMember) =>
      this.#codec.decodeRun === undefined || this.#cache.get(member) !== undefined;
    const runs = runsOf((await this.#all()).entries, entryPaths, isAlone);
    let aheadBytes = 0;
    const pace = new Pace();
    for (let next = runs.next(); !next.done || ahead.length > 0;) {
      if (pace.isDue) await pace.rest(); // a run may have thousands of entries
      if (!next.done && (ahead.length === 0 || (ahead.length < RUNS_AHEAD && aheadBytes < RUNS_AHEAD_BYTES))) {
        const run = next.value;
        ahead.push({ run, wholes: this.#begun(run) });
        aheadBytes += run.neededBytes;
        next = runs.next();
        continue;
      }
      const { run, wholes } = ahead.shift() as (typeof ahead)[number];
      aheadBytes -= run.neededBytes;
      for (const [index, { chunks }] of run.groups.entries()) {
        const whole = await wholes[index];
        yield chunks.map((chunk) => {
          if (chunk === undefined || whole === undefined) return undefined;
          const piece = whole.subarray(chunk.innerOffset, chunk.innerOffset + chunk.sizeBytes);
          return piece.length === chunk.sizeBytes ? piece : undefined;
        });
      }
    }
  }

  /** Begins to decompress the members of a run. What fails is `undefined`: reading an entry by itself tells what is wrong. */
  #begun(run: Run): Promise<Uint8Array | undefined>[] {
    const decoded = run.isDecodedWhole ? this.#decodedRun(run) : undefined;
    return run.groups.map(({ member }, index) => {
      if (member === undefined) return Promise.resolve(undefined);
      if (decoded === undefined) return this.#memberOf(member).catch(() => undefined);
      const whole = decoded.then((wholes) => wholes?.[index] ?? this.#member(member));
      if (member.chunks > 1) this.#cache.keep(member, whole, member.neededBytes);
      return whole.catch(() => undefined);
    });
  }

  async #decodedRun(
    { groups, offset, packedBytes, neededBytes }: Run,
  ): Promise<readonly Uint8Array<ArrayBuffer>[] | undefined> {
    const packed = await readBytes(this.#blob, offset, packedBytes).catch(() => undefined);
    if (packed?.length !== packedBytes) return undefined;
    let endOffset = 0;
    const ends = groups.map(({ member }) => endOffset += member === undefined ? 0 : packedBytesOf(member));
    const mostBytes = neededBytes + SLACK_BYTES;
    return await this.#room.use(mostBytes, async () => await this.#codec.decodeRun?.(packed, ends, mostBytes));
  }

  /** One entry; as long as it is one of few, by its line. */
  async #entry(path: string): Promise<ListedEntry | undefined> {
    try {
      const isByLine = this.#table === undefined && this.#foundByLine++ < MOST_BY_LINE;
      const found = isByLine ? await inSlices(findingInTable(this.#json, path, this.#membersEndOffset)) : undefined;
      return found ?? (await this.#all()).entries.get(path);
    } catch (error) {
      throw asRejection(error, this.#uri);
    }
  }

  /** The table, in slices and once. */
  async #all(): Promise<Table> {
    try {
      return this.#table ??= await (this.#parsed ??= inSlices(parsingTable(this.#json, this.#membersEndOffset)));
    } catch (error) {
      throw asRejection(error, this.#uri);
    }
  }

  async close(): Promise<void> {
    this.#cache.clear();
    await this.#blob.close();
  }

  #readerOf(entry: ListedEntry): EntryReader {
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
    entry: ListedEntry,
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

  #assertDigest(entry: ListedEntry, chunk: Chunk, piece: Uint8Array): void {
    if (digestOf(piece) === chunk.digest) return;
    const what = `a piece of "${entry.path}" has another digest than its table says`;
    throw rejected(this.#uri, "TABLE_INVALID", chunk.member.offset, what);
  }

  async #chunk(
    entry: ListedEntry,
    chunk: ListedEntry["chunks"][number],
    isVerifiedAbove: boolean,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const { member, innerOffset, sizeBytes } = chunk;
    const isShared = member.chunks > 1;
    const bytes = await this.#memberOf(member);
    const piece = bytes.subarray(innerOffset, innerOffset + sizeBytes);
    if (piece.length !== sizeBytes) {
      const what = `a piece of "${entry.path}" is shorter than its table says`;
      throw rejected(this.#uri, "TABLE_INVALID", member.offset, what);
    }
    if (!isVerifiedAbove) this.#assertDigest(entry, chunk, piece);
    if (!isShared && bytes.length < 2 * piece.length) return piece;
    const copy = new Uint8Array(piece); // slice of a Buffer would be none
    if (!isShared) release(bytes); // most of it is not the piece
    return copy;
  }

  /** A member's bytes; one with several pieces is kept for a while, and must not be changed. */
  #memberOf(member: Readonly<ListedMember>): Promise<Uint8Array<ArrayBuffer>> {
    if (member.chunks === 1) return this.#member(member);
    const bytes = this.#cache.get(member) ?? this.#member(member);
    this.#cache.keep(member, bytes, member.neededBytes);
    return bytes;
  }

  async #member(member: Readonly<ListedMember>): Promise<Uint8Array<ArrayBuffer>> {
    this.#assertPossible(member);
    const packed = this.#blob.read(member.offset, packedBytesOf(member));
    const decode = () => this.#codec.decodeHead(packed, member.neededBytes, SLACK_BYTES);
    try {
      return await this.#room.use(member.neededBytes, decode);
    } catch (error) {
      if (!(error instanceof CompressionFault)) throw error;
      throw rejected(this.#uri, error.reason, member.offset + error.offset, error.message, error);
    }
  }

  #assertPossible({ offset, endOffset, neededBytes }: Readonly<ListedMember>): void {
    if (neededBytes > (endOffset - offset) * this.#codec.mostRatio + SLACK_BYTES) {
      throw rejected(this.#uri, "LIMIT_RATIO", offset, "its table promises more than its bytes can hold");
    }
    if (neededBytes > MAX_PIECE_BYTES + SLACK_BYTES) {
      throw rejected(this.#uri, "LIMIT_BYTES", offset, "a piece in its table is too large to be read at once");
    }
  }
}
