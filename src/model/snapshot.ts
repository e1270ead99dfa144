// What a snapshot is, apart from how it lies (layout) and where (backend): the manifest's shape, and the upper seam, Layout.
import type { Backend, ByteReader, Stage } from "./backend.ts";
import type { LayoutKind, Unit, UnitSuffix } from "./unit.ts";

/** SHA-256 of bytes, written `sha256:<64 lower-case hex digits>`. */
export type Digest = `sha256:${string}`;

/** Values that JSON carries unchanged. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** One file of a state, as recorded in the manifest. */
export interface ManifestEntry {
  /** Path within the state, POSIX, relative. */
  readonly path: string;
  /** Size in bytes. */
  readonly sizeBytes: number;
  /** SHA-256 of the bytes. */
  readonly digest: Digest;
}

/** One state, as recorded in the manifest. */
export interface ManifestState {
  /** Name it was registered under; one path segment. */
  readonly name: string;
  /** Version of what the state writes; 1 unless registered with another. */
  readonly version: number;
  /** Its entries, in the order they were written. */
  readonly entries: readonly ManifestEntry[];
}

/** What people say about a snapshot. */
export interface Labels {
  /** Free words to find it by. */
  readonly tags?: readonly string[];
  /** Measured values, such as a loss. */
  readonly metrics?: Readonly<Record<string, number | null>>;
  /** How far the program was, in its own count. */
  readonly step?: number;
  /** Free text. */
  readonly remark?: string;
  /** Whether retention must leave it alone. */
  readonly pinned?: boolean;
}

/** The snapshot's table of contents and commit record; written last, never changed. */
export interface Manifest {
  /** Version of the snapshot format. */
  readonly formatVersion: number;
  /** The snapshot's name. */
  readonly name: string;
  /** When the states were captured, ISO 8601 in UTC with milliseconds. */
  readonly savedAt: string;
  /** Which library wrote it. */
  readonly library: { readonly name: string; readonly version: string };
  /** Name of the program that saved it, if its store was given one. */
  readonly program?: string;
  /** Id of the run that saved it; older snapshots have none. */
  readonly run?: string;
  /** Name, as it was saved, of the snapshot that the run had resumed from, or `null`. */
  readonly parent: string | null;
  /** The states, in order of registration. */
  readonly states: readonly ManifestState[];
  /** Sums, for a first check. */
  readonly totals: { readonly states: number; readonly entries: number; readonly sizeBytes: number };
  /** Labels as saved; a note beside the unit replaces them. */
  readonly labels: Labels;
}

/**
 * Entries on their way into a unit, in order: one by one, or many small ones at once, whose bodies lie in memory and are valid until
 * the next are asked for.
 */
export type EntrySources = AsyncIterable<EntrySource | readonly EntrySource[]>;

/** What {@link EntrySources} gave, as a list. */
export function listOfSources(given: EntrySource | readonly EntrySource[]): readonly EntrySource[] {
  return "body" in given ? [given] : given;
}

/** An entry on its way into a unit. */
export interface EntrySource {
  /** Name of the state it belongs to. */
  readonly state: string;
  /** Path within the state, already checked. */
  readonly path: string;
  /** The bytes; an array when they lie in memory, to be read before {@link EntrySource.release}. Streamed pieces may be lent. */
  readonly body: readonly Uint8Array[] | AsyncIterable<Uint8Array>;
  /** Size in bytes where it is known beforehand; the layout must fail with `ENTRY_SIZE_MISMATCH` if the body differs. */
  readonly sizeBytes?: number;
  /** What it must turn out to be, where it is a copy; else the layout must fail with `SNAPSHOT_CORRUPT`. */
  readonly copyOf?: { readonly uri: string; readonly digest: Digest };
  /** Must be called once, when the body was read and is needed no more. */
  release(): void;
}

/** What a layout found an entry to be, having written it. */
export interface WrittenEntry extends ManifestEntry {
  /** Name of the state it belongs to. */
  readonly state: string;
}

/** How a unit is written. */
export interface UnitOptions {
  /** The snapshot's time, for layouts that stamp their entries. */
  readonly savedAt: Date;
  /** Once it is aborted, writing fails with its reason. A caller that does not publish what was written must abort it. */
  readonly signal?: AbortSignal | undefined;
}

/** A unit that lacks nothing but its manifest. */
export interface WrittenUnit {
  /** All entries, in the order they were written. */
  readonly entries: readonly WrittenEntry[];
  /** Writes the manifest, last, and publishes; called at most once. It fails if the signal was aborted before that. */
  publish(sealed: SealedManifest): Promise<void>;
}

/** A manifest with the very bytes that stand for it. */
export interface SealedManifest {
  /** The manifest; of an opened unit it is parsed when it is first asked for, which may throw `MANIFEST_INVALID`. */
  readonly manifest: Manifest;
  /** `manifest.json`. */
  readonly bytes: Uint8Array;
}

/** The manifest of an opened unit: its bytes match its digest. */
export interface OpenedManifest extends SealedManifest {
  /** The manifest, parsed in slices if it was not parsed before; rejects as asking for it throws. */
  read(): Promise<Manifest>;
  /** All entries by their paths in the snapshot, in order, if they were indexed before. */
  readonly known: ReadonlyMap<string, ManifestEntry> | undefined;
  /** All entries by their paths in the snapshot, in order; in slices and once. */
  index(): Promise<ReadonlyMap<string, ManifestEntry>>;
  /** The same at once, which holds the program if there are very many. */
  indexNow(): ReadonlyMap<string, ManifestEntry>;
  /** Finds one entry by its path in the snapshot, in slices, without reading all others; `undefined` where it takes reading all. */
  finding(entryPath: string): Generator<undefined, ManifestEntry | undefined, undefined>;
}

/** The raw, not yet verified, bytes of an entry; read once or not at all. */
export interface EntryReader extends ByteReader {
  /** What they are, where the unit says it beside the manifest. */
  readonly digest?: Digest;
  /** Whether each piece is the caller's to keep, with its ArrayBuffer. */
  readonly gives?: boolean;
  /** Whether a part, which must lie within the entry, is verified by digests of the unit's own. Else all bytes must be read. */
  readonly verifiesParts?: boolean;
}

/** An opened unit: its manifest and its raw, not yet verified, bytes. */
export interface UnitReader {
  /** How the unit is arranged. */
  readonly layout: LayoutKind;
  /** How many entries may be open at once. */
  readonly mostOpen: number;
  /** The manifest. */
  readonly sealed: OpenedManifest;
  /** Holds the unit's own index, where it has one, against the whole manifest; `ARCHIVE_REJECTED` if they differ. */
  check(): void | Promise<void>;
  /** Raw bytes of `<state>/<path>`, which the manifest lists; `undefined` where they are missing. */
  open(entryPath: string): Promise<EntryReader | undefined>;
  /**
   * Reads many small entries, which the manifest lists, in the order of their paths, in batches that are valid until the next batch
   * is asked for; present where that costs less than opening each. `undefined` stands for an entry that must be opened instead.
   */
  lendSmall?(entryPaths: Iterable<string>): AsyncIterable<readonly (Uint8Array | undefined)[]>;
  /** Gives everything back; never throws, may be called twice. */
  close(): Promise<void>;
}

/** Entries of at most this size, in bytes, are small: they travel many at once. */
export const SMALL_ENTRY_BYTES: number = 64 * 1024;

/** A file found in a unit. */
export interface ScannedFile {
  /** Path within the snapshot. */
  readonly path: string;
  /** Size in bytes. */
  readonly sizeBytes: number;
  /** Whether it is an ordinary file. */
  readonly isRegular: boolean;
  /** SHA-256 of what it holds, if it was asked for. */
  readonly digest?: Digest;
}

/** What opening a unit needs of a backend. */
export type UnitSource = Pick<Backend, "uri" | "open" | "lendSmall" | "blobs" | "scratch">;

/** The upper seam: how a snapshot is arranged within a unit. Layouts know backends only through their contract. */
export interface Layout {
  /** What users call it. */
  readonly kind: LayoutKind;
  /** What a unit's name has after the snapshot's name. */
  readonly suffix: UnitSuffix;
  /** What entries of these sizes take up at least, in bytes, so that what surely does not fit is refused beforehand; in slices. */
  leastBytes(sizesBytes: Iterable<number>): Generator<undefined, number, undefined>;
  /** Writes all entries; the caller seals them in a manifest and publishes. */
  write(stage: Stage, entries: EntrySources, options: UnitOptions): Promise<WrittenUnit>;
  /** Opens a published unit; `SNAPSHOT_NOT_FOUND` where there is none. */
  open(backend: UnitSource, unit: Unit): Promise<UnitReader>;
  /**
   * All files a unit really holds, whatever its manifest says; reads them to their end where `digest` is asked for. The
   * manifest is among them where it is not read by its name.
   */
  scan(
    backend: Backend,
    unit: Unit,
    options: { readonly digest: boolean; readonly signal?: AbortSignal },
  ): AsyncIterable<ScannedFile>;
}

/** What rules look at. */
export interface RetentionSnapshot {
  /** Its name, which orders it. */
  readonly name: string;
  /** When it was saved, in milliseconds since 1970. */
  readonly savedAtMs: number;
  /** What it takes up, in bytes, if known. */
  readonly sizeBytes?: number | undefined;
  /** How far the program was. */
  readonly step?: number | undefined;
  /** Measured values. */
  readonly metrics?: Readonly<Record<string, number | null>> | undefined;
  /** Free words. */
  readonly tags?: readonly string[] | undefined;
  /** Whether it must be left alone. */
  readonly pinned?: boolean | undefined;
}

/** What retention and resuming look at. */
export type SnapshotFacts = Omit<RetentionSnapshot, "name"> & {
  /** Name of the program that saved it. */
  readonly program?: string | undefined;
};
