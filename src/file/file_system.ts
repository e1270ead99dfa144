// The file-system port: the only system calls the file backend makes, so that tests can fail, count and crash each one.
// Every operation rejects with `storageError`; `errnoOf` reads the system's code out of it.

/** What a path is. */
export type FileKind = "file" | "folder" | "link" | "other";

/** What is known of a path. */
export interface FileStat {
  /** What it is. */
  readonly kind: FileKind;
  /** Size in bytes, for files; that of a folder grows with its names on most file systems. */
  readonly sizeBytes: number;
  /** When it was last changed, in milliseconds since 1970. */
  readonly modifiedAtMs: number;
  /**
   * Its device and inode as text, which tell it from all else on this machine as long as it exists; absent where the file system
   * has no such numbers.
   */
  readonly identity?: string | undefined;
  /**
   * Stands for this very file as it is now: another file, or this one after it was changed, renamed or linked, has another.
   * Absent where the system cannot tell, or where the file changed so recently that a further change would not show.
   */
  readonly stamp?: string | undefined;
}

/** An open file. */
export interface OpenFile {
  /** Reads into `target` from `position`; resolves to the bytes read, 0 at the end, perhaps fewer than asked for. */
  read(target: Uint8Array, position: number): Promise<number>;
  /** Writes all of `bytes` at `position`; they are lent until it settles. */
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** Size in bytes; fails for what is no ordinary file. */
  sizeBytes(): Promise<number>;
  /** As {@link FileStat.identity}. */
  identity?(): Promise<string | undefined>;
  /** Makes the content durable (fsync). Must not be retried after it failed. */
  sync(): Promise<void>;
  /** Closes it. */
  close(): Promise<void>;
}

/** An open file that can also be read without waiting. */
export interface QuickFile extends OpenFile {
  /** Size in bytes when it was opened. */
  readonly openedBytes: number;
  /** As `read`, before it returns; throws as `read` rejects. */
  readNow(target: Uint8Array, position: number): number;
  /** As `close`, before it returns; throws as `close` rejects. */
  closeNow(): void;
}

/**
 * The file system as the file backend uses it. Paths are absolute. A symbolic link at the end of one is followed only where the
 * call says so, and by `readFolder` and `syncFolder`.
 */
export interface FileSystem {
  /**
   * Creates a file for writing and reading; fails with EEXIST if the path is taken. With a `mode` the file has exactly these rights,
   * and never had more; without one the umask decides.
   */
  create(path: string, mode?: number): Promise<OpenFile>;
  /** Creates a private file among the system's temporary files, gone once it is closed or the program has ended. */
  createTemporary?(): Promise<OpenFile>;
  /** Opens a file for reading; a symbolic link fails unless it is to be followed. */
  open(path: string, followsLink?: boolean): Promise<OpenFile>;
  /**
   * Opens a file to append to, and makes it if it is missing, with a `mode` as for `create`; a symbolic link fails. Its `write` appends, whatever the
   * position, behind what others appended meanwhile. Optional: without it, the backend has no journals.
   */
  openToAppend?(path: string, mode?: number): Promise<OpenFile>;
  /** Makes one folder; fails with EEXIST if the path is taken. A `mode` is as for `create`. */
  makeFolder(path: string, mode?: number): Promise<void>;
  /** Makes one folder before it returns; throws as `makeFolder` rejects. */
  makeFolderNow(path: string, mode?: number): void;
  /** Names within a folder, in any order. One that is known to be small may be read without waiting. */
  readFolder(path: string, isSmall?: boolean): Promise<string[]>;
  /** Makes a folder's entries durable (fsync). */
  syncFolder(path: string): Promise<void>;
  /**
   * What a path is, or what it leads to if links are to be followed; `undefined` where there is nothing. Its identity is only known
   * where it was asked for.
   */
  stat(path: string, followsLink?: boolean, withIdentity?: boolean): Promise<FileStat | undefined>;
  /** Gives its owner all rights on a folder; fails for a symbolic link at the end of the path. */
  unlockFolder?(path: string): Promise<void>;
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
   * How many bytes this user can still write to the file system of a path; `undefined` where that is not certain, as
   * where files are compressed. What fails here fails nothing.
   */
  freeBytes?(path: string): Promise<number | undefined>;
  /** As `stat`, before it returns, with the identity where it is known at once; throws as `stat` rejects. Optional, as is `openNow`. */
  statNow?(path: string, followsLink?: boolean): FileStat | undefined;
  /** As `open`, before it returns; throws as `open` rejects, and for what is no ordinary file. */
  openNow?(path: string, followsLink?: boolean): QuickFile;
}
