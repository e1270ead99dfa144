// The real file system, through node:fs, which Node, Deno and Bun share. Each trap of a runtime is handled here:
// sync is always our own call (Bun swallows flush errors), close never decides (Bun and Deno swallow its errors).
import {
  type BigIntStats,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmdirSync,
  statfsSync,
  type Stats,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { link, lstat, mkdir, readdir, rename, rmdir, stat, statfs, unlink, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout, systemMs } from "../runtime/clock.ts";
import { errnoOf, isNotAllowed, storageError } from "../model/errors.ts";
import { Descriptor, type Handle, openHandle } from "./descriptor.ts";
import type { FileKind, FileStat, FileSystem, OpenFile, QuickFile } from "./file_system.ts";
import { freeBytesOf, mayAsk, mayBeRoot } from "./free_space.ts";
import { promptness } from "./promptness.ts";

// Without O_NONBLOCK, opening a pipe among the files would wait for its writer.
const READ = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);
const NO_FOLLOW = constants.O_NOFOLLOW ?? 0;
const FOLDER_ITSELF = constants.O_RDONLY | NO_FOLLOW | (constants.O_DIRECTORY ?? 0);
const IS_WINDOWS = process.platform === "win32";
const RIGHTS = 0o777;
const OWNER_RIGHTS = 0o700;
const SMALL_BYTES = 256 * 1024; // to read, write or delete at once
const RENAME_RETRIES_MS = [10, 20, 50, 100, 200, 400, 800, 1000];

async function attempt<T>(operation: string, path: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    throw storageError(operation, path, cause);
  }
}

/** Makes a call that does not wait; its failure is one of the storage. */
export function attemptNow<T>(operation: string, path: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    throw storageError(operation, path, cause);
  }
}

const APPEND = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | NO_FOLLOW | (constants.O_NONBLOCK ?? 0);

class NodeFile implements OpenFile {
  // A state that hangs leaves a save that nothing refers to. When a FileHandle is collected, Node warns.
  static readonly #open = new Set<NodeFile>();
  readonly #handle: Handle;
  readonly #path: string;
  readonly #appends: boolean;
  readonly #isNew: boolean;
  #unsyncedBytes = 0;

  constructor(handle: Handle, path: string, { appends = false, isNew = false } = {}) {
    this.#appends = appends;
    this.#isNew = isNew;
    this.#handle = handle;
    this.#path = path;
    NodeFile.#open.add(this);
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return attempt("read", this.#path, async () => {
      const later = async () => (await this.#handle.read(target, 0, target.length, position)).bytesRead;
      const now = () => readSync(this.#handle.fd, target, 0, target.length, position);
      return await (target.length > SMALL_BYTES ? later() : promptness.call(now, later));
    });
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    return attempt("write", this.#path, async () => {
      this.#unsyncedBytes += bytes.length;
      for (let done = 0; done < bytes.length;) {
        const [from, lengthBytes] = [done, bytes.length - done];
        const at = this.#appends ? null : position + from;
        const later = async () => (await this.#handle.write(bytes, from, lengthBytes, at)).bytesWritten;
        const now = () => writeSync(this.#handle.fd, bytes, from, lengthBytes, at);
        done += await (lengthBytes > SMALL_BYTES ? later() : promptness.call(now, later));
      }
    });
  }

  sizeBytes(): Promise<number> {
    return attempt("stat", this.#path, async () => {
      const stat = await this.#handle.stat();
      assertFile(stat);
      return stat.size;
    });
  }

  identity(): Promise<string | undefined> {
    return attempt("stat", this.#path, async () => identityOf(await this.#handle.stat({ bigint: true })));
  }

  sync(): Promise<void> {
    return attempt("fsync", this.#path, async () => {
      await this.#handle.sync();
      this.#unsyncedBytes = 0;
    });
  }

  /** A network file system writes what is not synced; and any gives the blocks of a file back that has no name any more. */
  close(): Promise<void> {
    NodeFile.#open.delete(this);
    const isQuick = this.#isNew && this.#unsyncedBytes <= SMALL_BYTES;
    return attempt("close", this.#path, () => this.#handle.close(isQuick));
  }
}

/** A file that was opened without waiting; reads of many bytes still go through the pool. */
class QuickNodeFile implements QuickFile {
  readonly openedBytes: number;
  readonly #descriptor: Descriptor;
  readonly #path: string;

  constructor(descriptor: Descriptor, path: string, openedBytes: number) {
    this.#descriptor = descriptor;
    this.#path = path;
    this.openedBytes = openedBytes;
  }

  readNow(target: Uint8Array, position: number): number {
    return attemptNow("read", this.#path, () => readSync(this.#descriptor.fd, target, 0, target.length, position));
  }

  read(target: Uint8Array, position: number): Promise<number> {
    const reading = () => this.#descriptor.read(target, 0, target.length, position);
    return attempt("read", this.#path, async () => (await reading()).bytesRead);
  }

  write(): Promise<void> {
    return attempt("write", this.#path, () => Promise.reject(new Error("it was opened for reading")));
  }

  sizeBytes(): Promise<number> {
    return Promise.resolve(this.openedBytes);
  }

  sync(): Promise<void> {
    return attempt("fsync", this.#path, () => Promise.reject(new Error("it was opened for reading")));
  }

  closeNow(): void {
    attemptNow("close", this.#path, () => this.#descriptor.closeNow());
  }

  async close(): Promise<void> {
    this.closeNow();
  }
}

function assertFile(stat: Stats): void {
  if (!stat.isFile()) throw Object.assign(new Error("it is not a file"), { code: "EISDIR" });
}

function kindOf(found: Stats | BigIntStats): FileKind {
  if (found.isFile()) return "file";
  if (found.isDirectory()) return "folder";
  return found.isSymbolicLink() ? "link" : "other";
}

function identityOf({ dev, ino }: { readonly dev: bigint; readonly ino: bigint }): string | undefined {
  return dev === 0n || ino === 0n ? undefined : `${dev}:${ino}`;
}

/** The same text, where the numbers of a look without waiting are exact. */
function identityNow({ dev, ino }: Stats): string | undefined {
  if (!Number.isSafeInteger(dev) || !Number.isSafeInteger(ino)) return undefined;
  return identityOf({ dev: BigInt(dev), ino: BigInt(ino) });
}

async function createFile(path: string, mode?: number): Promise<Handle> {
  const handle = await openHandle(path, "wx+", { mode, isKnown: true });
  try {
    if (mode !== undefined) await whereAllowed(setRights(handle, () => mode));
    return handle;
  } catch (error) {
    await handle.close().catch(() => {}); // the first error is the one to tell
    throw error;
  }
}

/** Sets what the umask took away; the bits beside the rights stay. */
async function setRights(handle: Handle, change: (rights: number) => number): Promise<void> {
  if (IS_WINDOWS) return; // its rights are other ones, which what is made there inherits
  const { mode } = await handle.stat();
  const rights = change(mode & RIGHTS);
  if (rights === (mode & RIGHTS)) return;
  await handle.chmod(mode & ~RIGHTS & 0o7777 | rights);
}

/** Lets a change of rights fail that the runtime does not allow: what is made begins with no more rights than asked for. */
async function whereAllowed(change: Promise<void>): Promise<void> {
  await change.catch((error) => {
    if (!isNotAllowed(error)) throw error;
  });
}

async function changeFolder(path: string, change: (rights: number) => number): Promise<void> {
  const handle = await openHandle(path, FOLDER_ITSELF);
  try {
    await setRights(handle, change);
  } finally {
    await handle.close();
  }
}

function setFolderRightsNow(path: string, rights: number): void {
  if (IS_WINDOWS) return;
  try {
    const descriptor = openSync(path, FOLDER_ITSELF);
    try {
      const { mode } = fstatSync(descriptor);
      if ((mode & RIGHTS) !== rights) fchmodSync(descriptor, mode & ~RIGHTS & 0o7777 | rights);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    if (!isNotAllowed(error)) throw error;
  }
}

/** Whether deleting a file takes no time to speak of: the blocks of a large one are given back one by one. */
function isSmall(path: string): boolean {
  return (lstatSync(path, { throwIfNoEntry: false })?.size ?? 0) <= SMALL_BYTES;
}

/**
 * Runs a rename again for about 2.5 seconds while Windows refuses it, as it does while another program, a virus scanner for instance,
 * has one of both open.
 */
export async function retryRename(run: () => Promise<void>, isWindows: boolean = IS_WINDOWS): Promise<void> {
  for (const waitMs of isWindows ? RENAME_RETRIES_MS : []) {
    try {
      return await run();
    } catch (error) {
      if (errnoOf(error) !== "EBUSY" && !isNotAllowed(error)) throw error;
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }
  await run();
}

// A file that changes twice within one step of its file system's clock shows the same times: kernels step by up to 10 ms, and
// where times have whole seconds (Deno, FAT) by up to 2 s.
const FINE_STEP_MS = 100;
const COARSE_STEP_MS = 2500;

/** See `FileStat.stamp`. A rename or a new link sets the time of the last change, `ctime`, which no program can set back. */
function stampOf({ dev, ino, size, mtimeMs, ctimeMs, birthtimeMs }: Stats): string | undefined {
  const stepMs = ctimeMs % 1000 === 0 ? COARSE_STEP_MS : FINE_STEP_MS;
  const isSettled = systemMs() - ctimeMs > stepMs;
  return ino > 0 && ctimeMs > 0 && isSettled ? `${dev} ${ino} ${size} ${mtimeMs} ${ctimeMs} ${birthtimeMs}` : undefined;
}

function fileStatOf(found: Stats): FileStat {
  return { kind: kindOf(found), sizeBytes: found.size, modifiedAtMs: found.mtimeMs, stamp: stampOf(found) };
}

/** The file system of this machine. */
export const nodeFileSystem: FileSystem = {
  create: (path, mode) =>
    attempt("create", path, async () => new NodeFile(await createFile(path, mode), path, { isNew: true })),
  createTemporary: () =>
    attempt("create", "a temporary file", async () => {
      const path = join(tmpdir(), `snapkeep-${crypto.randomUUID()}`);
      const file = new NodeFile(await openHandle(path, "wx+", { mode: 0o600 }), path);
      try {
        await unlink(path); // at once, so that nothing is left whatever ends the program
      } catch (error) {
        await file.close();
        throw error;
      }
      return file;
    }),
  open: (path, followsLink = false) =>
    attempt(
      "open",
      path,
      async () => new NodeFile(await openHandle(path, followsLink ? READ : READ | NO_FOLLOW), path),
    ),
  openToAppend: (path, mode) =>
    attempt("open", path, async () => new NodeFile(await openHandle(path, APPEND, { mode }), path, { appends: true })),
  makeFolder: (path, mode) =>
    attempt("mkdir", path, async () => {
      await promptness.create(() => mkdirSync(path, mode), () => mkdir(path, mode));
      if (mode !== undefined) await whereAllowed(changeFolder(path, () => mode));
    }),
  makeFolderNow: (path, mode) =>
    attemptNow("mkdir", path, () => {
      mkdirSync(path, mode);
      if (mode !== undefined) setFolderRightsNow(path, mode);
    }),
  readFolder: (path, isSmall = false) =>
    attempt(
      "readdir",
      path,
      () => isSmall && !IS_WINDOWS ? promptness.call(() => readdirSync(path), () => readdir(path)) : readdir(path),
    ),
  syncFolder: (path) =>
    attempt("fsync", path, async () => {
      if (IS_WINDOWS) return; // Windows cannot sync folders and writes their entries through by itself
      const handle = await openHandle(path, "r", { isKnown: true });
      try {
        await handle.sync();
      } finally {
        await handle.close(true);
      }
    }),
  stat: (path, followsLink = false, withIdentity = false) =>
    attempt("stat", path, async (): Promise<FileStat | undefined> => {
      try {
        if (withIdentity) {
          const found = await (followsLink ? stat : lstat)(path, { bigint: true });
          const [sizeBytes, modifiedAtMs] = [Number(found.size), Number(found.mtimeNs) / 1e6];
          return { kind: kindOf(found), sizeBytes, modifiedAtMs, identity: identityOf(found) };
        }
        const found = await (followsLink ? stat(path) : lstat(path));
        return fileStatOf(found);
      } catch (error) {
        if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return undefined;
        throw error;
      }
    }),
  unlockFolder: (path) => attempt("chmod", path, () => changeFolder(path, (rights) => rights | OWNER_RIGHTS)),
  rename: (from, to) =>
    attempt(
      "rename",
      from,
      () => retryRename(() => promptness.call(() => renameSync(from, to), () => rename(from, to))),
    ),
  link: (from, to) => attempt("link", from, () => link(from, to)),
  removeFile: (path) =>
    attempt(
      "unlink",
      path,
      () => isSmall(path) ? promptness.call(() => unlinkSync(path), () => unlink(path)) : unlink(path),
    ),
  removeFolder: (path) => attempt("rmdir", path, () => promptness.call(() => rmdirSync(path), () => rmdir(path))),
  touch: (path, atMs) => attempt("utimes", path, () => utimes(path, atMs / 1000, atMs / 1000)),
  freeBytes: (path) =>
    attempt("statfs", path, async () => {
      if (!mayAsk("statfs")) return undefined;
      return freeBytesOf(await promptness.call(() => statfsSync(path), () => statfs(path)), mayBeRoot());
    }),
  statNow: (path, followsLink = false) =>
    attemptNow("stat", path, () => {
      try {
        const found = (followsLink ? statSync : lstatSync)(path, { throwIfNoEntry: false });
        return found && { ...fileStatOf(found), identity: identityNow(found) };
      } catch (error) {
        if (errnoOf(error) === "ENOTDIR") return undefined;
        throw error;
      }
    }),
  openNow: (path, followsLink = false) =>
    attemptNow("open", path, () => {
      const descriptor = openSync(path, followsLink ? READ : READ | NO_FOLLOW);
      try {
        const stat = fstatSync(descriptor);
        assertFile(stat);
        return new QuickNodeFile(new Descriptor(descriptor), path, stat.size);
      } catch (error) {
        closeSync(descriptor);
        throw error;
      }
    }),
};
