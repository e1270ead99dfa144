// The lower seam: where snapshots lie. A backend keeps units and knows nothing of states, manifests or archives; what an
// adapter could get wrong above that (paths, hashing, order, manifest) is done once, above it. The conformance suite in
// `snapkeep/testing` is this contract as tests.
import type { Unit } from "./unit.ts";

/** Bytes in order; chunks must not be changed by their producer after they were handed over. */
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

/** An open blob. It must stay readable until closed, or fail; it must never show other bytes than those committed. */
export interface BlobReader {
  /** Size in bytes. */
  readonly sizeBytes: number;
  /** Reads `lengthBytes` at `offset`, or fewer only where the blob ends. The caller owns the buffer. */
  read(offset: number, lengthBytes: number): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * The same bytes in pieces that must not be changed, and are valid only until the next is asked for. Backends need not have
   * it: it spares those that can use their memory again, or have the bytes in memory, from making a copy. May run side by side.
   */
  lend?(offset: number, lengthBytes: number): AsyncIterable<Uint8Array>;
  /** All bytes in order; may be called several times. The consumer owns each chunk. */
  stream(): AsyncIterable<Uint8Array<ArrayBuffer>>;
  /** Gives everything back; never throws, may be called twice. */
  close(): Promise<void>;
}

/** Private room for bytes whose size must be known before they can be written; unseen, and swept if abandoned. */
export interface Scratch extends BlobReader {
  /** Appends bytes; resolves once they were taken. Must not be called while an earlier call runs. */
  write(body: ByteSource): Promise<void>;
  /** Closes it and gives the room back; never throws, may be called twice. */
  remove(): Promise<void>;
}

/** A unit being written; unseen until published. Its name is claimed: no other writer can publish it meanwhile. */
export interface Stage {
  /** The unit this becomes. */
  readonly unit: Unit;
  /**
   * Writes one blob of a group. The path is new, safe and relative. Calls may run side by side.
   *
   * Where its size is known beforehand, it may be refused with `STORAGE_FULL` at once if it surely does not fit.
   */
  write(path: string, body: ByteSource, options?: { readonly sizeBytes?: number }): Promise<{ sizeBytes: number }>;
  /**
   * Writes the commit blob (path empty for a single-blob unit), last, and makes the unit visible whole.
   *
   * Durable once it resolves. Must fail with `SNAPSHOT_EXISTS` rather than overwrite, with `STAGE_LOST` if the stage
   * was swept, with `COMMIT_UNCERTAIN` where the unit is visible but perhaps not durable. Called at most once.
   */
  publish(path: string, body: ByteSource): Promise<void>;
  /** New private room beside the stage. */
  scratch(): Promise<Scratch>;
  /** Gives up: nothing becomes visible and all room is given back. Never throws, may be called at any time. */
  abandon(): Promise<void>;
}

/** Small mutable texts beside the units, by snapshot name; losing one loses labels, never data. */
export interface Notes {
  /** The note of a snapshot, or `undefined`. */
  get(name: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Sets a note, atomically, in place of an earlier one. */
  put(name: string, note: Uint8Array): Promise<void>;
  /** Removes a note if there is one. */
  remove(name: string): Promise<void>;
  /**
   * Holds off others who would lock the same note, until the function it resolves to was called: what is read meanwhile may be
   * changed and put. Programs that died holding it are passed over after a while. Present where several programs can share the
   * place; within one program, callers take turns before they ask.
   */
  lock?(name: string): Promise<() => Promise<void>>;
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

/** How a unit is staged. */
export interface StageOptions {
  /** Whether a unit of the same name in another layout is no hindrance. */
  readonly besideOthers?: boolean;
  /** What the unit will take up at least, in bytes. */
  readonly leastBytes?: number;
}

/** Where snapshots lie: file system, memory, object store. All failures are `SnapshotError`s. */
export interface Backend {
  /** Address of the place, ending with `/`; a unit's address is this plus the unit. */
  readonly uri: string;
  /** Makes the place if it is missing; resolves to whether it had to be made. */
  create(): Promise<boolean>;
  /**
   * Published units in byte order, those after `after` if given; a missing place has none. What may be a unit and cannot be looked
   * at must be listed too: it must not hide the others, and opening it tells what is wrong.
   */
  list(options?: { after?: Unit; signal?: AbortSignal }): AsyncIterable<Unit>;
  /** All blobs of a unit, in any order, also those that should not be there. */
  blobs(unit: Unit): AsyncIterable<BlobInfo>;
  /** Opens a blob of a unit (no path for a single-blob unit), or `undefined` where there is none. */
  open(unit: Unit, path?: string): Promise<BlobReader | undefined>;
  /**
   * Claims the unit's snapshot name, in every layout, and starts a stage; `SNAPSHOT_EXISTS` where another writer has it, or
   * where a unit of that name is published: in any layout, or with `besideOthers` in the very same.
   *
   * `leastBytes` tells what the unit will take up at least: where that surely does not fit, it may be refused with
   * `STORAGE_FULL` before anything is written.
   */
  stage(unit: Unit, options?: StageOptions): Promise<Stage>;
  /** Private room that belongs to no stage. */
  scratch(): Promise<Scratch>;
  /** Makes a unit invisible at once and durably, then frees its bytes. Resolves to `false` where it had gone. */
  remove(unit: Unit): Promise<boolean>;
  /**
   * Removes what dead writers and unfinished removals left: stages and scratch without a sign of life for
   * `olderThanMs`, and trash. Resolves to the units whose stages were removed.
   *
   * It must spare the living writers of its own program, and those of others whose event loops never stand still for so long less
   * the time between two signs of life (5 s on files). Below zero, it removes what living writers have too.
   */
  sweep(olderThanMs: number): Promise<readonly Unit[]>;
  /** Small mutable texts beside the units. */
  readonly notes: Notes;
  /** Present where the place can hold foreign folders. */
  readonly foreign?: ForeignFolders;
  /** Present where the place can give a real, private, empty folder; made before the call returns. */
  workFolder?(): WorkFolder;
}
