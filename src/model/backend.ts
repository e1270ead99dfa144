// The lower seam: where snapshots lie. A backend keeps units and knows nothing of states, manifests or archives; what an
// adapter could get wrong above that (paths, hashing, order, manifest) is done once, above it. The conformance suite in
// `snapkeep/testing` is this contract as tests; `memory_backend.ts` and examples/key_value_backend are short readings of it.
import { durationText } from "./duration.ts";
import type { Unit } from "./unit.ts";

/** Without a heartbeat for so long, in milliseconds, a writer counts as dead by default. */
export const STALE_AFTER_MS: number = 10 * 60 * 1000;

/** Why a name cannot be claimed that a writer holds, and the way out. */
export const NAME_IS_HELD: string = "another writer is saving under this name; if that writer died, the name is free " +
  `${durationText(STALE_AFTER_MS)} after its last heartbeat`;

/**
 * Bytes in order, in chunks of any size, empty ones too, or in none.
 *
 * The chunks that a call is given are lent for the length of that call. The called method must not change or transfer them, and
 * must keep nothing of them once it has settled: their memory is used again. One that declares `borrows` must in addition be
 * done with each chunk when it asks for the next.
 */
export type ByteSource = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** A blob of a unit, as listed. */
export interface BlobInfo {
  /** Path within the unit, POSIX; empty for the blob of a single-blob unit. */
  readonly path: string;
  /** Stored size in bytes. */
  readonly sizeBytes: number;
  /** Whether it is an ordinary blob; `false` for what should not be there (a link, a device). */
  readonly isRegular: boolean;
}

/** Bytes that are read by ranges. */
export interface ByteReader {
  /** Size in bytes. */
  readonly sizeBytes: number;
  /**
   * Reads `lengthBytes` at `offset`, in order, in pieces of any size, none of them empty; ends early only where the bytes end, and
   * has no piece there and beyond. A piece is lent: the caller must not change or transfer it, and must not use it after the next is
   * requested. May be called many times and concurrently, and left early.
   *
   * `into` gives memory of the caller for the next piece, of at most the length that it is called with. A reader that fills memory anyway
   * fills this from its beginning, and yields a view of it: that piece is the caller's. It must not use it after that. Spares a copy;
   * others never call it.
   */
  read(
    offset: number,
    lengthBytes: number,
    into?: (mostBytes: number) => Uint8Array<ArrayBuffer>,
  ): AsyncIterable<Uint8Array>;
}

/**
 * An open blob. It must stay readable until closed, also while its unit is removed and replaced, or fail with a `SnapshotError`;
 * it must never show other bytes than those committed. A blob may be open many times at once.
 */
export interface BlobReader extends ByteReader {
  /** How many bytes of its end are best read at once. Default 256 KiB, which spares a remote storage a second request. */
  readonly tailBytes?: number;
  /** Gives everything back; never throws, may be called twice. */
  close(): Promise<void>;
}

/**
 * Private room for bytes whose size must be known before they can be written; empty at first, and to be read whenever no write
 * runs. It is no unit: never listed, and not reported by `sweep`, which removes it if it was not written to for long. What
 * is read from it may be the body of a stage's write. Closing it or removing it may come in any order.
 */
export interface Scratch extends BlobReader {
  /** As {@link Stage.borrows}. */
  readonly borrows?: boolean;
  /** Appends bytes; resolves once they were taken. Must not be called while an earlier call runs. */
  write(body: ByteSource): Promise<void>;
  /** Closes it and gives the room back; never throws, may be called twice, and after it was swept. */
  remove(): Promise<void>;
}

/**
 * A unit being written; until it is published, `list`, `blobs` and `open` must not see any of it. Its name is claimed: no other
 * writer can publish it meanwhile, in any layout.
 *
 * It ends by `publish` or `abandon`, or by a sweep that takes its writer for dead. From then on its name is free to others, whom
 * nothing that is still called here may disturb: a late `write` fails with `STAGE_LOST` or has no effect.
 */
export interface Stage {
  /** The unit this becomes. */
  readonly unit: Unit;
  /**
   * Declares that `write` and `publish` are done with each chunk when they ask for the next. snapkeep then lends them its own
   * memory and that of its callers. To others it hands copies, which costs a copy of all that is written.
   *
   * @default false
   */
  readonly borrows?: boolean;
  /**
   * Writes one blob of a group. The path is new, safe and relative. Calls may run concurrently.
   *
   * Must take bodies of both kinds, synchronous and asynchronous, and resolve to their size. Where the body fails, it must fail
   * with the body's own error, or with one that has it as `cause`.
   *
   * Where its size is known beforehand, it may be refused with `STORAGE_FULL` at once if it surely does not fit.
   */
  write(path: string, body: ByteSource, options?: { readonly sizeBytes?: number }): Promise<{ sizeBytes: number }>;
  /**
   * Writes the commit blob (path empty for a single-blob unit), last, and makes the unit visible whole.
   *
   * Durable once it resolves. Must fail with `SNAPSHOT_EXISTS` rather than overwrite, with `STAGE_LOST` if the stage
   * was swept, with `COMMIT_UNCERTAIN` where the unit is visible but perhaps not durable, as {@link Stage.write} where the body
   * fails, and with any error after `abandon`. Where it fails, but for `COMMIT_UNCERTAIN`, nothing becomes visible; the caller
   * abandons. Called at most once.
   */
  publish(path: string, body: ByteSource): Promise<void>;
  /** New private room beside the stage, of which no two share their bytes. */
  scratch(): Promise<Scratch>;
  /**
   * Abandons the stage: once it resolves, nothing is visible, all space is freed, and the name is free. Never throws. May be called at
   * any time, also twice, concurrently, while a body is written, and after a sweep; after `publish` it changes nothing. Called
   * while `publish` runs it leaves the whole unit or nothing, and whether `publish` resolves tells which.
   */
  abandon(): Promise<void>;
}

/** How a note is locked. */
export interface LockOptions {
  /**
   * Whether to wait while another holds the lock.
   *
   * @default true
   */
  readonly wait?: boolean;
}

/** How a note is put. */
export interface NoteOptions {
  /**
   * Whether the note survives a power loss once the call has resolved. If false, it must survive the end of the program only.
   *
   * @default true
   */
  readonly sync?: boolean;
}

/**
 * Small mutable texts beside the units, by snapshot name; losing one loses labels, never data. They do not depend on units: a name
 * may have one without having a unit, keeps it when its unit is removed, and no sweep removes it.
 */
export interface SnapshotNotes {
  /** The note of a snapshot, or `undefined`; it may be empty. The caller owns the buffer. */
  get(name: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /**
   * Sets a note, atomically, in place of an earlier one: of many set at once, one stays, whole. The bytes are lent until it
   * settles. Must fail with `NAME_UNSAFE` for what `assertSnapshotName` refuses.
   */
  put(name: string, note: Uint8Array, options?: NoteOptions): Promise<void>;
  /** Removes a note if there is one. */
  remove(name: string): Promise<void>;
  /**
   * Holds off others who would lock the same note, until the function it resolves to was called: what is read meanwhile may be
   * changed and put. Programs that died holding it are passed over after a while, or at once where their end is proven. Present
   * where several programs can share the place; within one program, callers take turns before they ask.
   *
   * With `wait: false` it must not wait for another holder, and resolves to `undefined` where there is one that may live. Else it
   * must resolve to the function. Must fail with `NAME_UNSAFE` for what `assertSnapshotName` refuses.
   */
  lock?(name: string, options?: LockOptions): Promise<(() => Promise<void>) | undefined>;
  /** Names that have a note, in byte order. */
  list(): AsyncIterable<string>;
}

/** Folders that lie among the units and are not ours; only the file backend can see them. */
export interface ForeignFolders {
  /** Foreign folders, in byte order of their names. */
  list(): AsyncIterable<{ name: string; modifiedAtMs: number }>;
  /** Removes one. Resolves to `false` where it had gone, or where it is foreign no more. */
  remove(name: string): Promise<boolean>;
}

/** A real folder for libraries that insist on one. */
export interface WorkFolder {
  /** Absolute path of an empty folder. */
  readonly path: string;
  /** Removes the folder with all it holds; never throws. */
  remove(): Promise<void>;
}

/** Lines that programs append durably beside the units. No sweep and no retention removes them. */
export interface Journal {
  /**
   * The lines, in the order they were appended, without newlines and those that are empty. A line may be torn, as a killed writer left it, or anybody's: the caller
   * must check each. None where nothing was appended. Passes over lines of more than 16 MiB. Follows no link. The reader owns the lines.
   */
  lines(): AsyncIterable<Uint8Array>;
  /**
   * Appends lines; resolves once they are durable. Never continues a torn line. If it fails, they may be there or not. May be
   * called concurrently, also by several programs. The caller must not change the lines before it settles. Throws a RangeError for a line of more
   * than 16 MiB, and a TypeError for one that has a newline.
   */
  append(lines: readonly Uint8Array[]): Promise<void>;
  /**
   * Removes the lines for which `keeps` returns false, in one step: a crash leaves the old lines or the new ones. No concurrent append is lost;
   * its lines may be there twice. Does nothing where nothing was appended.
   */
  rewrite(keeps: (line: Uint8Array) => boolean): Promise<void>;
}

/** How units are listed. */
export interface ListOptions {
  /**
   * List only units that sort after this text. It need not be an existing unit.
   *
   * @default all units
   */
  readonly after?: Unit;
  /**
   * Aborts the listing.
   *
   * @default none
   */
  readonly signal?: AbortSignal;
  /**
   * Receives a text for each listed unit that identifies its current commit. A backend must return the same text
   * twice only if the commit cannot have been replaced meanwhile. A backend without such a text never calls it. Cost
   * without it: readers compare the bytes of the commit.
   *
   * @default none
   */
  readonly onStamp?: (unit: Unit, stamp: string) => void;
}

/** How a unit is staged. */
export interface StageOptions {
  /**
   * Allow the name even if it exists in another layout.
   *
   * @default false
   */
  readonly allowOtherLayouts?: boolean;
  /**
   * Lower bound of the size of the unit, in bytes.
   *
   * @default unknown
   */
  readonly leastBytes?: number;
}

/** Tells whether a value can be a backend. */
export function isBackend(value: unknown): value is Backend {
  return typeof (value as Partial<Backend> | null | undefined)?.stage === "function";
}

/**
 * Where snapshots lie: file system, memory, object store.
 *
 * All failures must be `SnapshotError`s: `storageError` makes one of whatever the storage throws; but for a body's error and an
 * abort's reason, which go through as they are. `splitUnit` takes a unit apart, and `assertSnapshotName` refuses, with
 * `NAME_UNSAFE`, names that lead out of the place or are not portable. A unit is a group of blobs where it ends with `/`, else a
 * single blob with the path "".
 *
 * A place that was not made yet is empty: reading, removing and sweeping must not fail there, and `stage` makes it. Operations
 * on different names must not disturb each other, also where one name begins like the other.
 */
export interface Backend {
  /** Address of the place, ending with `/`; a unit's address is this plus the unit. */
  readonly uri: string;
  /** Makes the place if it is missing; resolves to whether it had to be made, so to `false` when there is something in it. */
  create(): Promise<boolean>;
  /**
   * Published units in byte order, those after `after` if given, which is any text and need not be a unit that is there; a
   * missing place has none. What may be a unit and cannot be looked at must be listed too: it must not hide the others, and
   * opening it tells what is wrong. Must fail with the signal's reason once it is aborted.
   */
  list(options?: ListOptions): AsyncIterable<Unit>;
  /** All blobs of a unit, the commit blob too, in any order, also those that should not be there; none where it is not there. */
  blobs(unit: Unit): AsyncIterable<BlobInfo>;
  /**
   * Opens a blob of a unit (no path, or an empty one, for a single-blob unit), or `undefined` where there is none: no such unit in
   * this layout, no such path, or one that is a folder or goes on behind a blob. An unsafe unit is not there, or is refused.
   */
  open(unit: Unit, path?: string): Promise<BlobReader | undefined>;
  /**
   * Opens a blob as `open` does, without waiting: its small reads must not wait. For a glance at many small blobs, where
   * waiting for each would take most of the time. Optional. Returns `undefined` whenever `open` is to be called instead: the
   * blob is absent or cannot be opened, or the storage is slow.
   */
  glance?(unit: Unit, path?: string): BlobReader | undefined;
  /**
   * Reads many small blobs of a group, in the order of their paths, in batches that are valid until the next batch is asked for.
   * Optional; for backends to which opening one costs more than reading it. For each path it must yield all bytes of the blob, or
   * `undefined` if `open` is to be called instead: the blob is absent, has more than `mostBytes` bytes, or cannot be read so.
   */
  lendSmall?(
    unit: Unit,
    paths: Iterable<string>,
    mostBytes: number,
  ): AsyncIterable<readonly (Uint8Array | undefined)[]>;
  /**
   * Claims the unit's snapshot name, in every layout, and starts a stage; `SNAPSHOT_EXISTS` where another writer has it, or
   * where a unit of that name is published: in any layout, or with `allowOtherLayouts` in the very same. Of many who call it at once
   * for one name one wins. Must fail with `NAME_UNSAFE` where `assertSnapshotName` refuses the name.
   *
   * `leastBytes` tells what the unit will take up at least: where that surely does not fit, it may be refused with
   * `STORAGE_FULL` before anything is written.
   */
  stage(unit: Unit, options?: StageOptions): Promise<Stage>;
  /** Private room that belongs to no stage. */
  scratch(): Promise<Scratch>;
  /**
   * Makes a unit invisible at once and durably, then frees its bytes and its name, in every layout. Resolves to `false` where it
   * had gone; of many concurrent calls, one resolves to `true`. A later unit of the same name must show nothing of it.
   */
  remove(unit: Unit): Promise<boolean>;
  /**
   * Removes what dead writers and unfinished removals left: stages and scratch without a heartbeat for
   * `olderThanMs`, and trash; never what is published, nor notes. Resolves to the units whose stages were removed.
   *
   * Must not remove a stage whose writer has sent a heartbeat within `olderThanMs`, nor one of its own program. Below zero, it also
   * removes the stages of living writers.
   */
  sweep(olderThanMs: number): Promise<readonly Unit[]>;
  /** Small mutable texts beside the units. */
  readonly notes: SnapshotNotes;
  /** Tells how many bytes this program can still write; `undefined` where that is not sure. Optional. */
  freeBytes?(): Promise<number | undefined>;
  /** Present where the place can hold foreign folders. */
  readonly foreign?: ForeignFolders;
  /** Present where the place can give a real, private, empty folder; made before the call returns. */
  workFolder?(): WorkFolder;
  /**
   * Returns the journal of a name. Present where the place can append durably. Must fail with `NAME_UNSAFE` for what `assertSnapshotName` refuses.
   */
  journal?(name: string): Journal;
}
