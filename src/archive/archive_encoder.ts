// Entries in, archive bytes out: a pull-driven pipeline of headers, chunks, digests and members, with the manifest, the
// table and the footer at its end. Nothing is read further ahead than the window of members on the way.
import { Digester, digestOf } from "../rules/digest.ts";
import { MeasuredEntry } from "../rules/measured_entry.ts";
import type { Scratch } from "../words/backend.ts";
import { SnapshotError } from "../words/errors.ts";
import type { EntrySource, Manifest, Seal, WrittenEntry } from "../words/snapshot.ts";
import { MANIFEST_PATH } from "../words/unit.ts";
import { containerOf } from "./container.ts";
import { type MemberOptions, MemberWriter } from "./member_writer.ts";
import { type Chunk, renderTable, type TableEntry } from "./table.ts";
import { BLOCK_BYTES, encodeTarHeader, paddingOf } from "./tar_header.ts";

/** How an archive is encoded. */
export interface EncodeOptions extends MemberOptions {
  /** Small payloads share a member up to this size in bytes; 0 gives each its own. */
  readonly groupBytes: number;
}

const ZEROS = new Uint8Array(2 * BLOCK_BYTES);

/** An archive being encoded. */
export class ArchiveEncoder {
  readonly #seal: Seal;
  readonly #options: EncodeOptions;
  readonly #newScratch: () => Promise<Scratch>;
  readonly #writer: MemberWriter;
  readonly #table: TableEntry[] = [];
  readonly #mtimeSeconds: number;
  #groupEnd: { readonly member: unknown } | undefined;
  #manifest: Manifest | undefined;

  constructor(seal: Seal, options: EncodeOptions, newScratch: () => Promise<Scratch>) {
    this.#seal = seal;
    this.#options = options;
    this.#newScratch = newScratch;
    this.#writer = new MemberWriter(options);
    this.#mtimeSeconds = Math.floor(seal.savedAt.getTime() / 1000);
  }

  /** The manifest, once all bytes were read. */
  get manifest(): Manifest {
    if (this.#manifest === undefined) {
      throw new TypeError("Cannot tell the manifest of an archive that was not read to its end");
    }
    return this.#manifest;
  }

  /** The archive, once. Leaving the loop early gives everything back; what was read so far can never verify. */
  async *encode(entries: AsyncIterable<EntrySource>): AsyncGenerator<Uint8Array, void> {
    const writer = this.#writer;
    const written: WrittenEntry[] = [];
    for await (const source of entries) {
      const entry = new MeasuredEntry(source);
      if (source.sizeBytes === undefined) yield* this.#encodeUnsized(source, entry, written);
      else {
        const chunks: Chunk[] = [];
        yield* this.#encodePayload(entry.path, source.sizeBytes, entry.chunks(), chunks);
        this.#finish(entry, chunks, written);
      }
    }
    const { manifest, bytes } = this.#seal.seal(written);
    this.#groupEnd = undefined; // the manifest has a member of its own, so that the file's tail is enough to know all
    const chunks: Chunk[] = [];
    const digest = digestOf(bytes);
    yield* this.#encodePayload(MANIFEST_PATH, bytes.length, [bytes], chunks);
    this.#table.push({ path: MANIFEST_PATH, sizeBytes: bytes.length, digest, chunks: withDigest(chunks, digest) });
    const container = containerOf(this.#options.codec.compression);
    if (!container?.isTableInTar) writer.put(ZEROS);
    writer.cut();
    yield* writer.ready(true);
    const { codec, level } = this.#options;
    const table = renderTable(this.#table, this.#seal.savedAt);
    yield* await container?.end(codec, level, table, writer.writtenBytes, this.#mtimeSeconds) ?? [];
    this.#manifest = manifest;
  }

  /** Header, payload in chunks, padding. A chunk without a digest is the whole entry, whose digest its caller knows. */
  async *#encodePayload(
    path: string,
    sizeBytes: number,
    body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    chunks: Chunk[],
  ): AsyncGenerator<Uint8Array, void> {
    const writer = this.#writer;
    const { chunkBytes, groupBytes } = this.#options;
    const header = encodeTarHeader(path, sizeBytes, this.#mtimeSeconds);
    // A small payload joins the group that the member before it began, as long as the member stays small.
    const joins = sizeBytes > 0 && this.#groupEnd?.member === writer.member &&
      writer.usedBytes + header.length + sizeBytes <= groupBytes;
    writer.put(header);
    if (sizeBytes > 0 && !joins) writer.cut();
    let chunkOffset = 0;
    let innerOffset = writer.usedBytes;
    let payloadBytes = 0;
    for await (const piece of body) {
      for (let done = 0; done < piece.length;) {
        if (writer.usedBytes - innerOffset === chunkBytes) {
          chunks.push(this.#chunk(innerOffset, chunkOffset, chunkBytes));
          chunkOffset += chunkBytes;
          writer.cut();
          innerOffset = 0;
          yield* writer.ready();
        }
        const taken = writer.fill(done === 0 ? piece : piece.subarray(done), innerOffset + chunkBytes);
        done += taken;
        payloadBytes += taken;
      }
    }
    const lastBytes = payloadBytes - chunkOffset;
    if (chunkOffset > 0) chunks.push(this.#chunk(innerOffset, chunkOffset, lastBytes));
    else if (payloadBytes > 0) {
      chunks.push({ member: writer.member, innerOffset, chunkOffset, sizeBytes: lastBytes, digest: "sha256:" });
    }
    // An empty entry begins no group and ends none: the head of a group is the payload that its member begins with.
    if (payloadBytes > 0) this.#groupEnd = chunkOffset === 0 && groupBytes > 0 ? { member: writer.member } : undefined;
    writer.put(ZEROS.subarray(0, paddingOf(payloadBytes)));
    yield* writer.ready();
  }

  /** An entry of unknown size: kept in memory while it is small, else spooled, for the header comes before the payload. */
  async *#encodeUnsized(
    source: EntrySource,
    entry: MeasuredEntry,
    written: WrittenEntry[],
  ): AsyncGenerator<Uint8Array, void> {
    const held: Uint8Array[] = [];
    let heldBytes = 0;
    const chunks: Chunk[] = [];
    const body = entry.chunks()[Symbol.asyncIterator]();
    let next = await body.next();
    for (; !next.done && heldBytes + next.value.length <= this.#options.chunkBytes; next = await body.next()) {
      held.push(next.value);
      heldBytes += next.value.length;
    }
    if (next.done) {
      yield* this.#encodePayload(entry.path, heldBytes, held, chunks);
      this.#finish(entry, chunks, written);
      return;
    }
    const scratch = await this.#newScratch();
    try {
      const first = next.value;
      await scratch.write((async function* () {
        yield* held.splice(0);
        yield first;
        yield* { [Symbol.asyncIterator]: () => body };
      })());
      const spooled = new Digester();
      yield* this.#encodePayload(entry.path, scratch.sizeBytes, digested(scratch.stream(), spooled), chunks);
      const before = this.#finish(entry, chunks, written);
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

  #chunk(innerOffset: number, chunkOffset: number, sizeBytes: number): Chunk {
    const digest = digestOf(this.#writer.lastBytes(sizeBytes));
    return { member: this.#writer.member, innerOffset, chunkOffset, sizeBytes, digest };
  }

  #finish(entry: MeasuredEntry, chunks: readonly Chunk[], written: WrittenEntry[]): WrittenEntry {
    const found = entry.finish();
    written.push(found);
    this.#table.push({
      path: entry.path,
      sizeBytes: found.sizeBytes,
      digest: found.digest,
      chunks: withDigest(chunks, found.digest),
    });
    return found;
  }
}

/** An only chunk is the entry itself, so their digests are one. */
function withDigest(chunks: readonly Chunk[], digest: TableEntry["digest"]): readonly Chunk[] {
  return chunks.length === 1 ? chunks.map((chunk) => ({ ...chunk, digest })) : chunks;
}

async function* digested(source: AsyncIterable<Uint8Array>, digester: Digester): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of source) {
    digester.update(chunk);
    yield chunk;
  }
}
