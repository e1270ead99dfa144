// Reading an archive. With its table, one entry costs the members it lies in; without one (a tar that other tools made) the
// archive is unpacked once into scratch. Either way the set of files must equal the manifest, and nothing is believed.
import { type Codec, CompressionFault } from "../rules/codec.ts";
import { codecOf, compressionOf } from "../rules/compression.ts";
import { Digester, digestOf } from "../rules/digest.ts";
import { MAX_MANIFEST_BYTES, openManifest } from "../rules/manifest.ts";
import type { BlobReader, Scratch } from "../words/backend.ts";
import { mapBounded } from "../words/bounded.ts";
import { collect } from "../words/bytes.ts";
import { SnapshotError } from "../words/errors.ts";
import { leaving, release } from "../words/memory.ts";
import type { EntryReader, OpenedManifest, ScannedFile, UnitReader } from "../words/snapshot.ts";
import { MANIFEST_PATH, TABLE_PATH } from "../words/unit.ts";
import { containerOf } from "./container.ts";
import { rejected } from "./rejection.ts";
import {
  type Chunk,
  differenceOf,
  findInTable,
  type Member,
  parseTable,
  type TableEntry,
  TableFault,
} from "./table.ts";
import { decodeTar, type TarFile } from "./tar_decoder.ts";
import { type ArchiveLimits, DEFAULT_LIMITS } from "./tar_guard.ts";

const TAIL_BYTES = 256 * 1024;
const SCRATCH_CHUNK_BYTES = 1024 * 1024;
const CHUNKS_AHEAD = 3;
const CACHED_MEMBERS = 8;
const FREE_RATIO_BYTES = 16 * 1024 * 1024;
// Members that hold nothing cost time and give no bytes. Compression that fails adds a thousandth, and a member's own bytes
// are fewer than the header of a tar in it: honest archives never expand to less than half of what they are.
const FREE_PACKED_BYTES = 4 * 1024 * 1024;
// Headers and padding that may follow the last payload of a member.
const SLACK_BYTES = 1024 * 1024;
// A piece is decompressed in one go. Ours have 64 MiB at the most, and no builder is known to come near this.
const MAX_PIECE_BYTES = 256 * 1024 * 1024;

/** Files at the root of an archive that are the format's own and no entries. */
const IGNORED = new Set([TABLE_PATH, ".prefetch.landmark", ".no.prefetch.landmark"]);

/**
 * Opens an archive, by its table where it has one.
 *
 * @param blob The file; closed by the reader's `close`, and where opening fails.
 * @param uri Address, for errors.
 * @param newScratch Room to unpack an archive that has no table.
 * @param limits What must not be exceeded.
 * @throws {SnapshotError} `ARCHIVE_REJECTED`, `MANIFEST_MISSING`, `MANIFEST_INVALID`, `FORMAT_UNSUPPORTED`,
 *   `COMPRESSION_UNAVAILABLE`.
 */
export async function openArchive(
  blob: BlobReader,
  uri: string,
  newScratch: () => Promise<Scratch>,
  limits: ArchiveLimits = DEFAULT_LIMITS,
): Promise<UnitReader> {
  try {
    const codec = await codecOfBlob(blob, uri);
    return await openIndexed(blob, uri, codec) ?? await openUnindexed(blob, uri, codec, newScratch, limits);
  } catch (error) {
    await blob.close();
    throw asRejection(error, uri);
  }
}

/**
 * All files of an archive in sequence, with their digests, the manifest among them, read to the very end of the file;
 * `MANIFEST_MISSING` where the tar has none, whatever a table may say.
 */
export async function* scanArchive(
  blob: BlobReader,
  uri: string,
  signal?: AbortSignal,
  limits: ArchiveLimits = DEFAULT_LIMITS,
): AsyncGenerator<ScannedFile, void> {
  let hasManifest = false;
  try {
    for await (const { path, sizeBytes, body } of filesOf(blob, uri, await codecOfBlob(blob, uri), limits)) {
      const digester = new Digester();
      for await (const chunk of body) {
        signal?.throwIfAborted();
        digester.update(chunk);
      }
      if (!IGNORED.has(path)) yield { path, sizeBytes, isRegular: true, digest: digester.digest() };
      hasManifest ||= path === MANIFEST_PATH;
    }
    if (!hasManifest) throw manifestMissing(uri);
  } catch (error) {
    throw asRejection(error, uri);
  } finally {
    await blob.close();
  }
}

async function codecOfBlob(blob: BlobReader, uri: string): Promise<Codec> {
  if (blob.sizeBytes === 0) throw rejected(uri, "TRUNCATED", 0, "it is empty");
  const compression = compressionOf(await blob.read(0, 512));
  if (compression === undefined) throw rejected(uri, "COMPRESSION_UNKNOWN", 0, "it begins like no archive");
  return codecOf(compression);
}

async function* filesOf(
  blob: BlobReader,
  uri: string,
  codec: Codec,
  limits: ArchiveLimits,
): AsyncGenerator<TarFile, void> {
  let sizeBytes = 0;
  const packed = async function* () {
    let packedBytes = 0;
    for await (const chunk of blob.stream()) {
      // Of what was taken before: this is asked for once nearly all of that was decompressed.
      if (packedBytes > FREE_PACKED_BYTES + 2 * sizeBytes) {
        throw rejected(uri, "LIMIT_MEMBERS", packedBytes, "it has more members than its content needs");
      }
      packedBytes += chunk.length;
      yield chunk;
    }
  };
  const expanded = async function* () {
    for await (const chunk of codec.decodeStream(packed())) {
      sizeBytes += chunk.length;
      if (sizeBytes > FREE_RATIO_BYTES + blob.sizeBytes * limits.ratio) {
        throw rejected(uri, "LIMIT_RATIO", sizeBytes, "it expands beyond all reason");
      }
      yield chunk;
    }
  };
  yield* decodeTar(expanded(), uri, limits);
}

function asRejection(error: unknown, uri: string): unknown {
  if (error instanceof CompressionFault) return rejected(uri, error.reason, error.offset, error.message, error);
  if (error instanceof TableFault) return rejected(uri, "TABLE_INVALID", 0, error.message, error);
  return error;
}

/** Before anything is believed: what is to be read into memory has a limit. */
function assertManifestSize(sizeBytes: number, uri: string): void {
  if (sizeBytes <= MAX_MANIFEST_BYTES) return;
  const reason = `it is larger than ${MAX_MANIFEST_BYTES} bytes`;
  throw new SnapshotError("MANIFEST_INVALID", `Cannot read the manifest of "${uri}": ${reason}`, { uri, reason });
}

function manifestMissing(uri: string): SnapshotError {
  return new SnapshotError(
    "MANIFEST_MISSING",
    `Cannot open "${uri}": it is an archive without ${MANIFEST_PATH} and no snapshot`,
    { uri },
  );
}

async function openIndexed(blob: BlobReader, uri: string, codec: Codec): Promise<UnitReader | undefined> {
  const container = containerOf(codec.compression);
  if (container === undefined) return undefined;
  const tailOffset = Math.max(0, blob.sizeBytes - TAIL_BYTES);
  const tail = await blob.read(tailOffset, TAIL_BYTES);
  const place = container.find(tail, blob.sizeBytes);
  if (place === undefined) return undefined;
  if (place.membersEndOffset < 0 || place.sizeBytes <= 0) throw new TableFault("its footer points nowhere");
  const source = new TailedBlob(blob, tail, tailOffset);
  const packed = await source.read(place.offset, place.sizeBytes);
  const json = await container.read(codec, packed, FREE_RATIO_BYTES + packed.length * DEFAULT_LIMITS.ratio, place, uri);
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

  read(offset: number, lengthBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    if (offset < this.#tailOffset) return this.#blob.read(offset, lengthBytes);
    const start = offset - this.#tailOffset;
    return Promise.resolve(this.#tail.slice(start, start + lengthBytes));
  }

  stream(): AsyncIterable<Uint8Array<ArrayBuffer>> {
    return this.#blob.stream();
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

class IndexedReader implements UnitReader {
  readonly #blob: BlobReader;
  readonly #uri: string;
  readonly #codec: Codec;
  readonly #json: string;
  readonly #membersEndOffset: number;
  readonly #spans = new Map<Readonly<Member>, MemberSpan>();
  readonly #cache = new Map<Readonly<Member>, Promise<Uint8Array<ArrayBuffer>>>();
  #table: ReadonlyMap<string, TableEntry> | undefined;
  #sealed: OpenedManifest | undefined;

  constructor(blob: BlobReader, uri: string, codec: Codec, json: string, membersEndOffset: number) {
    this.#blob = blob;
    this.#uri = uri;
    this.#codec = codec;
    this.#json = json;
    this.#membersEndOffset = membersEndOffset;
  }

  get sealed(): OpenedManifest {
    if (this.#sealed === undefined) throw new TypeError("Cannot tell the manifest before it was read");
    return this.#sealed;
  }

  /** Reads the manifest. */
  async readManifest(): Promise<void> {
    const entry = this.#entry(MANIFEST_PATH);
    if (entry === undefined) throw manifestMissing(this.#uri);
    assertManifestSize(entry.sizeBytes, this.#uri);
    const { bytes } = await collect(this.#chunksOf(entry), entry.sizeBytes);
    this.#sealed = openManifest(bytes, this.#uri);
  }

  check(): void {
    const table = this.#all();
    const difference = differenceOf(table, this.sealed.manifest);
    if (difference === undefined) return;
    const offset = table.get(MANIFEST_PATH)?.chunks[0]?.member.offset ?? 0;
    throw rejected(this.#uri, "MANIFEST_MISMATCH", offset, difference);
  }

  open(entryPath: string): Promise<EntryReader | undefined> {
    const entry = this.#entry(entryPath);
    const only = entry?.chunks[0];
    return Promise.resolve(
      entry && {
        sizeBytes: entry.sizeBytes,
        chunks: this.#chunksOf(entry),
        ...only === undefined || entry.chunks.length > 1
          ? {}
          : { bytes: async () => owned(await this.#chunk(entry, only)) },
        range: (offset, lengthBytes) => this.#range(entry, offset, lengthBytes),
      },
    );
  }

  /** One entry; before the whole table was needed, by its line. */
  #entry(path: string): TableEntry | undefined {
    try {
      const found = this.#table === undefined ? findInTable(this.#json, path, this.#membersEndOffset) : undefined;
      if (found === undefined) return this.#all().get(path);
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

  #all(): ReadonlyMap<string, TableEntry> {
    if (this.#table !== undefined) return this.#table;
    try {
      const entries = parseTable(this.#json, this.#membersEndOffset).filter(({ path }) => !IGNORED.has(path));
      this.#table = new Map(entries.map((entry) => [entry.path, entry]));
    } catch (error) {
      throw asRejection(error, this.#uri);
    }
    const spans = new Map<Readonly<Member>, MemberSpan>();
    for (const { chunks } of this.#table.values()) {
      for (const { member, innerOffset, sizeBytes } of chunks) {
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
    return this.#table;
  }

  async close(): Promise<void> {
    this.#cache.clear();
    await this.#blob.close();
  }

  /** An entry's pieces, in order, a few being decompressed ahead. */
  async *#chunksOf(entry: TableEntry): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
    const ahead: Promise<Uint8Array<ArrayBuffer>>[] = [];
    let next = 0;
    while (next < entry.chunks.length || ahead.length > 0) {
      while (next < entry.chunks.length && ahead.length < CHUNKS_AHEAD) {
        const piece = this.#chunk(entry, entry.chunks[next++] as Chunk);
        piece.catch(() => {}); // told when it is its turn
        ahead.push(piece);
      }
      yield* leaving(await (ahead.shift() as Promise<Uint8Array<ArrayBuffer>>));
    }
  }

  /** Part of an entry, out of the chunks it touches, each held against its own digest. */
  async #range(entry: TableEntry, offset: number, lengthBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const part = new Uint8Array(lengthBytes);
    const end = offset + lengthBytes;
    const touched = entry.chunks.filter(({ chunkOffset, sizeBytes }) =>
      chunkOffset < end && chunkOffset + sizeBytes > offset
    );
    await mapBounded(touched, async (chunk) => {
      const piece = await this.#chunk(entry, chunk);
      this.#assertDigest(entry, chunk, piece);
      const from = Math.max(0, offset - chunk.chunkOffset);
      part.set(piece.subarray(from, end - chunk.chunkOffset), chunk.chunkOffset + from - offset);
    }, CHUNKS_AHEAD);
    return part;
  }

  #assertDigest(entry: TableEntry, chunk: Chunk, piece: Uint8Array): void {
    if (digestOf(piece) === chunk.digest) return;
    const what = `a piece of "${entry.path}" has another digest than its table says`;
    throw rejected(this.#uri, "TABLE_INVALID", chunk.member.offset, what);
  }

  async #chunk(entry: TableEntry, chunk: Chunk): Promise<Uint8Array<ArrayBuffer>> {
    const span = this.#spans.get(chunk.member) as MemberSpan;
    const isShared = span.chunks > 1;
    const bytes = await (isShared ? this.#cachedMember(chunk.member, span) : this.#member(chunk.member, span));
    const piece = bytes.subarray(chunk.innerOffset, chunk.innerOffset + chunk.sizeBytes);
    if (piece.length !== chunk.sizeBytes) {
      throw rejected(
        this.#uri,
        "TABLE_INVALID",
        chunk.member.offset,
        `a piece of "${entry.path}" is shorter than its table says`,
      );
    }
    if (entry.chunks.length > 1) this.#assertDigest(entry, chunk, piece); // an only piece is the entry, which is verified above
    return isShared ? new Uint8Array(piece) : piece; // a copy; slice of a Buffer would be none
  }

  #cachedMember(member: Readonly<Member>, span: MemberSpan): Promise<Uint8Array<ArrayBuffer>> {
    let bytes = this.#cache.get(member);
    if (bytes === undefined) {
      bytes = this.#member(member, span);
      if (this.#cache.size >= CACHED_MEMBERS) this.#cache.delete(this.#cache.keys().next().value as Member);
    } else this.#cache.delete(member);
    this.#cache.set(member, bytes); // as the latest used
    return bytes;
  }

  async #member(member: Readonly<Member>, span: MemberSpan): Promise<Uint8Array<ArrayBuffer>> {
    const sizeBytes = span.endOffset - member.offset;
    if (span.neededBytes > sizeBytes * DEFAULT_LIMITS.ratio + SLACK_BYTES) {
      throw rejected(this.#uri, "LIMIT_RATIO", member.offset, "its table promises more than its bytes can hold");
    }
    if (span.neededBytes > MAX_PIECE_BYTES + SLACK_BYTES) {
      throw rejected(this.#uri, "LIMIT_BYTES", member.offset, "a piece in its table is too large to be read at once");
    }
    const packed = await this.#blob.read(member.offset, sizeBytes);
    try {
      const decoded = this.#codec.decode(packed, span.neededBytes + SLACK_BYTES, span.neededBytes);
      const bytes = await decoded.catch((error) => {
        if (!(error instanceof CompressionFault && error.reason === "LIMIT_BYTES")) throw error;
        return headOf(this.#codec.decodeStream([packed]), span.neededBytes);
      });
      release(packed);
      return bytes;
    } catch (error) {
      if (!(error instanceof CompressionFault)) throw error;
      throw rejected(this.#uri, error.reason, member.offset + error.offset, error.message, error);
    }
  }
}

/** The same bytes in a buffer that holds nothing else. */
function owned(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return bytes.buffer.byteLength === bytes.length ? bytes : bytes.slice();
}

/** The first bytes of members that go on with any number of headers, of empty files for instance. */
async function headOf(source: AsyncIterable<Uint8Array>, sizeBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const head = new Uint8Array(sizeBytes);
  let offset = 0;
  for await (const chunk of source) {
    head.set(chunk.subarray(0, sizeBytes - offset), offset);
    offset = Math.min(sizeBytes, offset + chunk.length);
    if (offset === sizeBytes) break;
  }
  return head.subarray(0, offset);
}

/** Unpacks an archive that has no table into scratch, as files behind each other. */
async function openUnindexed(
  blob: BlobReader,
  uri: string,
  codec: Codec,
  newScratch: () => Promise<Scratch>,
  limits: ArchiveLimits,
): Promise<UnitReader> {
  const scratch = await newScratch();
  try {
    const places = new Map<string, { offset: number; sizeBytes: number }>();
    for await (const { path, sizeBytes, body } of filesOf(blob, uri, codec, limits)) {
      if (path === MANIFEST_PATH) assertManifestSize(sizeBytes, uri);
      if (!IGNORED.has(path)) places.set(path, { offset: scratch.sizeBytes, sizeBytes });
      await scratch.write(body);
    }
    const place = places.get(MANIFEST_PATH);
    if (place === undefined) throw manifestMissing(uri);
    const bytes = await scratch.read(place.offset, place.sizeBytes);
    const sealed = openManifest(bytes, uri);
    const { manifest } = sealed;
    const difference = differenceOfFiles(
      places,
      new Map(
        manifest.states.flatMap((state) =>
          state.entries.map((entry) => [`${state.name}/${entry.path}`, entry.sizeBytes])
        ),
      ),
    );
    if (difference !== undefined) throw rejected(uri, "MANIFEST_MISMATCH", 0, difference);
    await blob.close();
    return {
      sealed,
      check() {}, // was done above
      open: (entryPath) => {
        const found = places.get(entryPath);
        const sizeBytes = found?.sizeBytes ?? 0;
        return Promise.resolve(found && { sizeBytes, chunks: rangeOf(scratch, found.offset, sizeBytes) });
      },
      close: () => scratch.remove(),
    };
  } catch (error) {
    await scratch.remove();
    throw error;
  }
}

async function* rangeOf(
  scratch: Scratch,
  offset: number,
  sizeBytes: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  for (let done = 0; done < sizeBytes;) {
    const chunk = await scratch.read(offset + done, Math.min(SCRATCH_CHUNK_BYTES, sizeBytes - done));
    if (chunk.length === 0) return; // whoever verifies will miss the bytes
    done += chunk.length;
    yield chunk;
  }
}

function differenceOfFiles(
  files: ReadonlyMap<string, { sizeBytes: number }>,
  entries: ReadonlyMap<string, number>,
): string | undefined {
  for (const [path, sizeBytes] of entries) {
    const file = files.get(path);
    if (file === undefined) return `"${path}" is in the manifest and not in the archive`;
    if (file.sizeBytes !== sizeBytes) {
      return `"${path}" has ${file.sizeBytes} bytes and not ${sizeBytes} as the manifest says`;
    }
  }
  const extra = [...files.keys()].find((path) => path !== MANIFEST_PATH && !entries.has(path));
  return extra === undefined ? undefined : `"${extra}" is in the archive and not in the manifest`;
}
