// Entries in, archive bytes out: a pull-driven pipeline of headers, chunks, digests and members; then the manifest, the
// table and the footer. Nothing is read further ahead than the window of members on the way.
import { Digester, digesting, digestOf } from "../runtime/digest.ts";
import { MeasuredEntry } from "../manifest/measured_entry.ts";
import type { Scratch } from "../model/backend.ts";
import { inSlices, Pace } from "../runtime/concurrency.ts";
import { bodyFor, chunkOf } from "../runtime/bytes.ts";
import { SnapshotError } from "../model/errors.ts";
import {
  type Digest,
  type EntrySource,
  type EntrySources,
  listOfSources,
  type SealedManifest,
  type WrittenEntry,
} from "../model/snapshot.ts";
import { MANIFEST_PATH } from "../model/unit.ts";
import { containerOf } from "./container.ts";
import { type MemberOptions, MemberWriter } from "./member_writer.ts";
import { type Chunk, TableText } from "./table.ts";
import { BLOCK_BYTES, encodeTarHeader, paddingOf } from "./tar_header.ts";

// Digesting and copying this takes some 10 ms where memory was never touched before.
const TURN_BYTES = 2 * 1024 * 1024;

// From this size on a member more costs next to nothing.
const ALONE_BYTES = 64 * 1024;

/** How an archive is encoded. */
export interface EncodeOptions extends MemberOptions {
  /** Small payloads share a member up to this size in bytes; 0 gives each its own. */
  readonly groupBytes: number;
}

/** A payload being cut into chunks. */
interface Payload {
  readonly chunks: Chunk[];
  /** Where the chunk being filled begins in its member. */
  innerOffset: number;
  /** Where it begins in the payload. */
  chunkOffset: number;
  /** Bytes taken so far. */
  sizeBytes: number;
}

/** An archive being encoded. */
export class ArchiveEncoder {
  readonly #options: EncodeOptions;
  readonly #newScratch: () => Promise<Scratch>;
  readonly #writer: MemberWriter;
  readonly #table: TableText;
  readonly #mtimeSeconds: number;
  readonly #pace = new Pace();
  #takenBytes = 0; // since the last turn of others
  #groupEnd: { readonly member: unknown } | undefined;
  readonly #written: WrittenEntry[] = [];

  constructor(savedAt: Date, options: EncodeOptions, newScratch: () => Promise<Scratch>) {
    this.#options = options;
    this.#newScratch = newScratch;
    this.#writer = new MemberWriter(options);
    this.#table = new TableText(savedAt);
    this.#mtimeSeconds = Math.floor(savedAt.getTime() / 1000);
  }

  /** The entries that were encoded, in order. */
  get written(): readonly WrittenEntry[] {
    return this.#written;
  }

  /** The archive up to its manifest, once. Leaving the loop early gives everything back; what was read can never verify. */
  async *encode(entries: EntrySources): AsyncGenerator<Uint8Array, void> {
    for await (const next of entries) {
      for (const source of listOfSources(next)) {
        const entry = new MeasuredEntry(source);
        const { sizeBytes } = source;
        if (sizeBytes === undefined) yield* this.#encodeUnsized(source, entry);
        else {
          const payload = this.#begin(entry.path, sizeBytes);
          // What fits into a member needs nothing handed out on the way: of many small entries, each is one call and no more.
          const whole = sizeBytes <= this.#options.chunkBytes ? entry.whole() : undefined;
          if (whole === undefined) yield* this.#encodeBody(payload, entry.chunks());
          else this.#take(payload, whole);
          this.#finish(entry, payload);
        }
        if (this.#isTurnDue) await this.#turn();
        if (this.#writer.isBehind) {
          yield* this.#writer.ready();
          await inSlices(this.#table.rendering()); // while members are being compressed
        }
      }
    }
  }

  /** The rest of the archive, once: manifest, table, footer. */
  async *end({ bytes }: SealedManifest): AsyncGenerator<Uint8Array, void> {
    const writer = this.#writer;
    const { codec, level } = this.#options;
    this.#groupEnd = undefined; // the manifest has a member of its own, so that the file's tail is enough to know all
    const digest = await inSlices(digesting([bytes]));
    const payload = this.#begin(MANIFEST_PATH, bytes.length);
    yield* this.#encodeBody(payload, [bytes]);
    this.#end(MANIFEST_PATH, payload, digest);
    const container = containerOf(codec.compression);
    if (!container?.isTableInTar) writer.pad(2 * BLOCK_BYTES);
    writer.cut();
    yield* writer.ready(true);
    yield* await container?.end(
      codec,
      level,
      await inSlices(this.#table.ending()),
      writer.writtenBytes,
      this.#mtimeSeconds,
    ) ?? [];
  }

  /** Starts a payload: its header, and its place in a member. */
  #begin(path: string, sizeBytes: number): Payload {
    const writer = this.#writer;
    const header = encodeTarHeader(path, sizeBytes, this.#mtimeSeconds);
    // A small payload joins the group that the member before it began, as long as the member stays small.
    const joins = sizeBytes > 0 && sizeBytes < ALONE_BYTES && this.#groupEnd?.member === writer.member &&
      writer.usedBytes + header.length + sizeBytes <= this.#options.groupBytes;
    writer.put(header);
    if (sizeBytes > 0 && !joins) writer.cut();
    return { chunks: [], innerOffset: writer.usedBytes, chunkOffset: 0, sizeBytes: 0 };
  }

  /** Takes a piece of a payload, up to where something must be done first; returns what is left of it. */
  #take(payload: Payload, given: Uint8Array): Uint8Array | undefined {
    const piece = chunkOf(given); // it was read some turns ago, and may have lost its memory since
    const writer = this.#writer;
    const { chunkBytes } = this.#options;
    for (let done = 0; done < piece.length;) {
      if (writer.usedBytes - payload.innerOffset === chunkBytes) {
        payload.chunks.push(this.#chunk(payload, chunkBytes));
        payload.chunkOffset += chunkBytes;
        payload.innerOffset = 0;
        writer.cut();
        if (writer.isBehind || this.#isTurnDue) return piece.subarray(done);
      }
      const taken = writer.fill(done === 0 ? piece : piece.subarray(done), payload.innerOffset + chunkBytes);
      done += taken;
      payload.sizeBytes += taken;
      this.#takenBytes += taken;
    }
    return undefined;
  }

  /** Whether so much was taken in one go that others must have their turn: data in memory never waits. */
  get #isTurnDue(): boolean {
    return this.#takenBytes >= TURN_BYTES || this.#pace.isDue;
  }

  #turn(): Promise<void> {
    this.#takenBytes = 0;
    return this.#pace.rest();
  }

  /** Ends a payload and gives it its place in the table. An only chunk is the entry itself, so their digests are one. */
  #end(path: string, payload: Payload, digest: Digest): void {
    const writer = this.#writer;
    const { chunks, innerOffset, chunkOffset, sizeBytes } = payload;
    if (chunkOffset > 0) chunks.push(this.#chunk(payload, sizeBytes - chunkOffset));
    else if (sizeBytes > 0) chunks.push({ member: writer.member, innerOffset, chunkOffset, sizeBytes, digest });
    this.#table.add({ path, sizeBytes, digest, chunks });
    // An empty entry begins no group and ends none: the head of a group is the payload that its member begins with.
    const mayGrow = chunkOffset === 0 && this.#options.groupBytes > 0;
    if (sizeBytes > 0) this.#groupEnd = mayGrow ? { member: writer.member } : undefined;
    writer.pad(paddingOf(sizeBytes));
    // The next header has its own time and path: without it, equal entries are equal members in every archive.
    if (sizeBytes >= ALONE_BYTES) writer.cut();
  }

  async *#encodeBody(
    payload: Payload,
    body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array, void> {
    for await (const piece of body) {
      for (let rest = this.#take(payload, piece); rest !== undefined; rest = this.#take(payload, rest)) {
        yield* this.#writer.ready();
        if (this.#isTurnDue) await this.#turn();
      }
      if (this.#isTurnDue) await this.#turn();
    }
  }

  /** An entry of unknown size: kept in memory while it is small, else spooled, for the header comes before the payload. */
  async *#encodeUnsized(source: EntrySource, entry: MeasuredEntry): AsyncGenerator<Uint8Array, void> {
    const held: Uint8Array[] = [];
    let heldBytes = 0;
    const body = iteratorOf(entry.chunks());
    let next = await body.next();
    for (; !next.done && heldBytes + next.value.length <= this.#options.chunkBytes; next = await body.next()) {
      held.push(next.value);
      heldBytes += next.value.length;
    }
    if (next.done) {
      const payload = this.#begin(entry.path, heldBytes);
      for (const piece of held) this.#take(payload, piece);
      this.#finish(entry, payload);
      return;
    }
    const scratch = await this.#newScratch();
    try {
      const first = next.value;
      const all = (async function* () {
        yield* held.splice(0);
        yield first;
        yield* { [Symbol.asyncIterator]: () => body };
      })();
      await scratch.write(bodyFor(scratch, all));
      const spooled = new Digester();
      const payload = this.#begin(entry.path, scratch.sizeBytes);
      yield* this.#encodeBody(payload, digested(scratch.stream(), spooled));
      const before = this.#finish(entry, payload);
      const digest = spooled.digest();
      if (digest === before.digest) return;
      throw new SnapshotError(
        "SNAPSHOT_CORRUPT",
        `Cannot save "${entry.path}": its spool returned other bytes than it was given`,
        {
          uri: source.path,
          path: entry.path,
          expected: before.digest,
          actual: digest,
        },
      );
    } finally {
      await scratch.remove();
    }
  }

  #chunk({ innerOffset, chunkOffset }: Payload, sizeBytes: number): Chunk {
    const digest = digestOf(this.#writer.lastBytes(sizeBytes));
    return { member: this.#writer.member, innerOffset, chunkOffset, sizeBytes, digest };
  }

  #finish(entry: MeasuredEntry, payload: Payload): WrittenEntry {
    const found = entry.finish();
    if (found.sizeBytes !== payload.sizeBytes) {
      throw new TypeError(`Cannot save "${entry.path}": its bytes changed while they were read`);
    }
    this.#written.push(found);
    this.#end(entry.path, payload, found.digest);
    return found;
  }
}

async function* iteratorOf(body: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  yield* body;
}

async function* digested(source: AsyncIterable<Uint8Array>, digester: Digester): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of source) {
    digester.update(chunk);
    yield chunk;
  }
}
