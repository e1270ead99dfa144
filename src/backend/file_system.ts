// The file-system port: the only system calls the file backend makes, so that tests can fail, count and crash each one.
// Every operation rejects with `storageError`; `errnoOf` reads the system's code out of it.
import { errnoOf } from "../words/errors.ts";

const REFUSALS = new Set(["EROFS", "EACCES", "EPERM", "ENOSPC", "EDQUOT", "NotCapable"]);

/** Whether a place has no room to give: it is full, read-only or not ours to write to. Another place may have some. */
export function hasNoRoom(error: unknown): boolean {
  return REFUSALS.has(errnoOf(error));
}

/** What a path is. */
export type FileKind = "file" | "folder" | "link" | "other";

/** What is known of a path. */
export interface FileStat {
  /** What it is. */
  readonly kind: FileKind;
  /** Size in bytes, for files. */
  readonly sizeBytes: number;
  /** When it was last changed, in milliseconds since 1970. */
  readonly modifiedAtMs: number;
}

/** An open file. */
export interface OpenFile {
  /** Reads into `target` from `position`; resolves to the bytes read, 0 at the end, perhaps fewer than asked for. */
  read(target: Uint8Array, position: number): Promise<number>;
  /** Writes all of `bytes` at `position`; they are lent until it settles. */
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** Size in bytes; fails for what is no ordinary file. */
  sizeBytes(): Promise<number>;
  /** Makes the content durable (fsync). Must not be retried after it failed. */
  sync(): Promise<void>;
  /** Closes it. */
  close(): Promise<void>;
}

/**
 * The file system as the file backend uses it. Paths are absolute. A symbolic link at the end of one is followed only where the
 * call says so, and by `readFolder` and `syncFolder`.
 */
export interface FileSystem {
  /** Creates a file for writing and reading; fails with EEXIST if the path is taken. */
  create(path: string): Promise<OpenFile>;
  /** Creates a private file among the system's temporary files, gone once it is closed or the program has ended. */
  createTemporary?(): Promise<OpenFile>;
  /** Opens a file for reading; a symbolic link fails unless it is to be followed. */
  open(path: string, followsLink?: boolean): Promise<OpenFile>;
  /** Makes one folder; fails with EEXIST if the path is taken. */
  makeFolder(path: string): Promise<void>;
  /** Makes one folder before it returns; throws as `makeFolder` rejects. */
  makeFolderNow(path: string): void;
  /** Names within a folder, in any order. */
  readFolder(path: string): Promise<string[]>;
  /** Makes a folder's entries durable (fsync). */
  syncFolder(path: string): Promise<void>;
  /** What a path is, or what it leads to if links are to be followed; `undefined` where there is nothing. */
  stat(path: string, followsLink?: boolean): Promise<FileStat | undefined>;
  /** Renames; fails with ENOTEMPTY or EEXIST onto a folder that is not empty. */
  rename(from: string, to: string): Promise<void>;
  /** Gives a file a second name; fails with EEXIST if it is taken. */
  link(from: string, to: string): Promise<void>;
  /** Removes a file's name. */
  removeFile(path: string): Promise<void>;
  /** Removes an empty folder. */
  removeFolder(path: string): Promise<void>;
  /** Sets when a path was last changed. */
  touch(path: string, atMs: number): Promise<void>;
  /**
   * How many bytes this user can still write to the file system of a path; `undefined` where that cannot be told for sure, as
   * where files are compressed. What fails here fails nothing.
   */
  freeBytes?(path: string): Promise<number | undefined>;
}
