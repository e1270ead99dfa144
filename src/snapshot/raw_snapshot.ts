// A snapshot as it lies there: its bytes are not verified. Whatever reads them here must compare each entry with its digest.
import { mapBounded, Pace } from "../runtime/concurrency.ts";
import { showAddress } from "../model/address.ts";
import { corruptEntry, SnapshotError } from "../model/errors.ts";
import {
  type Digest,
  type EntryReader,
  type EntrySource,
  type ManifestEntry,
  type OpenedManifest,
  SMALL_ENTRY_BYTES,
  type UnitReader,
} from "../model/snapshot.ts";
import { release } from "../runtime/memory.ts";
import { readBytes } from "../runtime/reading.ts";

// So many small entries are read at once where the unit does not lend them.
const READ_AT_ONCE = 64;
const INDEXED_AT_ONCE = 256; // which take about a millisecond

/** An entry with its path in the snapshot. */
export type PathAndEntry = readonly [path: string, entry: ManifestEntry];

function* pathsOf(entries: readonly PathAndEntry[]): Generator<string, void> {
  for (const [path] of entries) yield path;
}

/** Batches for a unit that lends nothing: each entry is to be read by itself. */
function* unread(count: number): Generator<undefined[], void> {
  for (let done = 0; done < count; done += READ_AT_ONCE) {
    yield Array.from({ length: Math.min(READ_AT_ONCE, count - done) }, () => undefined);
  }
}

/** An opened unit, and what its entries must be. */
export class RawSnapshot {
  /** Address, for errors. */
  readonly uri: string;
  /** The opened unit. */
  readonly unit: UnitReader;
  readonly #isGone: () => Promise<boolean>;

  constructor(uri: string, unit: UnitReader, isGone: () => Promise<boolean>) {
    this.uri = uri;
    this.unit = unit;
    this.#isGone = isGone;
  }

  /** The manifest with its bytes, which must not be changed. */
  get sealed(): OpenedManifest {
    return this.unit.sealed;
  }

  /**
   * Opens an entry, of which size and digest are as the manifest says as far as the unit knows them.
   *
   * @throws {SnapshotError} `SNAPSHOT_CORRUPT`, `SNAPSHOT_GONE`.
   */
  async open(path: string, entry: ManifestEntry): Promise<EntryReader> {
    const source = await this.unit.open(path);
    if (source !== undefined) {
      this.assertSame(path, entry, source.sizeBytes, source.digest ?? entry.digest);
      return source;
    }
    const { uri } = this;
    if (await this.#isGone()) {
      throw new SnapshotError("SNAPSHOT_GONE", `Cannot read ${showAddress(uri)}: it was removed meanwhile`, { uri });
    }
    throw corruptEntry(uri, path, `${entry.sizeBytes} bytes`, "nothing");
  }

  /** The bytes of small entries, in order, in batches that are valid until the next batch is requested. */
  async *lendSmall(entries: readonly PathAndEntry[]): AsyncGenerator<readonly Uint8Array[], void> {
    let start = 0;
    for await (const batch of this.unit.lendSmall?.(pathsOf(entries)) ?? unread(entries.length)) {
      const begin = start;
      start += batch.length;
      const isWhole = (batch: readonly (Uint8Array | undefined)[]): batch is readonly Uint8Array[] =>
        !batch.includes(undefined);
      yield isWhole(batch) ? batch : await mapBounded([...batch.entries()], async ([index, bytes]) => {
        const [path, entry] = entries[begin + index] as PathAndEntry;
        return bytes ?? await readBytes(await this.open(path, entry));
      }, Math.min(this.unit.mostOpen, READ_AT_ONCE));
    }
  }

  /**
   * All entries for a copy, in order, each with the digest that it must have where it is written.
   *
   * @throws {SnapshotError} `ARCHIVE_REJECTED` if the unit's own index differs from the manifest; requesting the first bytes of an
   *   entry fails as {@link RawSnapshot.open} does.
   */
  async *entries(): AsyncGenerator<EntrySource | readonly EntrySource[], void> {
    await this.unit.check();
    const { uri } = this;
    const entries: StateEntry[] = [];
    const pace = new Pace();
    for (const { name, entries: ofState } of (await this.sealed.read()).states) {
      for (const entry of ofState) {
        entries.push({ name, entry });
        if (entries.length % INDEXED_AT_ONCE === 0 && pace.isDue) await pace.rest();
      }
    }
    const sourceOf = ({ name: state, entry: { path, sizeBytes, digest } }: StateEntry, body: EntrySource["body"]) => {
      return { state, path, sizeBytes, body, copyOf: { uri, digest }, release() {} };
    };
    for (let index = 0; index < entries.length;) {
      const small: PathAndEntry[] = [];
      for (let at = index; (entries[at]?.entry.sizeBytes ?? Infinity) <= SMALL_ENTRY_BYTES; at++) {
        const { name, entry } = entries[at] as StateEntry;
        small.push([`${name}/${entry.path}`, entry]);
        if (small.length % INDEXED_AT_ONCE === 0 && pace.isDue) await pace.rest();
      }
      for await (const batch of this.lendSmall(small)) {
        yield batch.map((bytes) => sourceOf(entries[index++] as StateEntry, [bytes]));
      }
      const large = entries[index++];
      if (large === undefined) return;
      yield sourceOf(large, this.#pieces(large));
    }
  }

  async *#pieces({ name, entry }: StateEntry): AsyncGenerator<Uint8Array, void> {
    const source = await this.open(`${name}/${entry.path}`, entry);
    for await (const piece of source.read(0, source.sizeBytes)) {
      yield piece;
      if (source.gives) release(piece);
    }
  }

  /** Fails with `SNAPSHOT_CORRUPT` unless an entry is as the manifest says. */
  assertSame(path: string, entry: ManifestEntry, sizeBytes: number, digest: Digest): void {
    if (sizeBytes !== entry.sizeBytes) {
      const found = sizeBytes > entry.sizeBytes ? "more bytes" : `${sizeBytes} bytes`;
      throw corruptEntry(this.uri, path, `${entry.sizeBytes} bytes`, found);
    }
    if (digest !== entry.digest) throw corruptEntry(this.uri, path, entry.digest, digest);
  }
}

interface StateEntry {
  readonly name: string;
  readonly entry: ManifestEntry;
}
