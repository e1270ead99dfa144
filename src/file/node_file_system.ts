// The real file system, through node:fs, which Node, Deno and Bun share. Each trap of a runtime is handled here:
// sync is always our own call (Bun swallows flush errors), close never decides (Bun and Deno swallow its errors).
import {
  type BigIntStats,
  close,
  closeSync,
  constants,
  fchmodSync,
  fstat,
  fstatSync,
  fsync,
  lstatSync,
  mkdirSync,
  open,
  openSync,
  read,
  readSync,
  rmdirSync,
  type Stats,
  statSync,
  unlinkSync,
  write,
  writeSync,
} from "node:fs";
import { link, lstat, mkdir, readdir, rename, rmdir, stat, statfs, unlink, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout, systemMs } from "../runtime/clock.ts";
import { errnoOf, isNotAllowed, storageError } from "../model/errors.ts";
import type { FileKind, FileStat, FileSystem, QuickFile } from "./file_system.ts";
import { freeBytesOf, mayAsk, mayBeRoot } from "./free_space.ts";
import { Promptness } from "./promptness.ts";

// Without O_NONBLOCK, opening a pipe among the files would wait for its writer.
const READ = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);
const NO_FOLLOW = constants.O_NOFOLLOW ?? 0;
const FOLDER_ITSELF = constants.O_RDONLY | NO_FOLLOW | (constants.O_DIRECTORY ?? 0);
const IS_WINDOWS = process.platform === "win32";
const RIGHTS = 0o777;
const OWNER_RIGHTS = 0o700;
const RENAME_RETRIES_MS = [10, 20, 50, 100, 200, 400, 800, 1000];

async function attempt<T>(operation: string, path: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    throw storageError(operation, path, cause);
  }
}

function attemptNow<T>(operation: string, path: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    throw storageError(operation, path, cause);
  }
}

type Callback<T> = (error: Error | null, result?: T) => void;

/** Waits for a call of node:fs that takes a callback. */
function answer<T>(call: (done: Callback<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => call((error, result) => error ? reject(error) : resolve(result as T)));
}

const CLOSED = -1;
const SMALL_BYTES = 64 * 1024; // to write or delete at once
const promptness = new Promptness();

// A descriptor and no FileHandle: that is closed by the collector where a state that hangs leaves it, which ends Bun and makes Node warn.
class NodeFile implements QuickFile {
  readonly openedBytes: number;
  readonly #path: string;
  #descriptor: number;
  #calls = 0;
  #onIdle = () => {};

  constructor(descriptor: number, path: string, openedBytes = 0) {
    this.#descriptor = descriptor;
    this.#path = path;
    this.openedBytes = openedBytes;
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return this.#call("read", (file, done) => read(file, target, 0, target.length, position, done));
  }

  readNow(target: Uint8Array, position: number): number {
    return attemptNow("read", this.#path, () => readSync(this.#descriptor, target, 0, target.length, position));
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const [from, lengthBytes] = [at, bytes.length - at];
      const throughPool = () =>
        this.#call<number>("write", (file, done) => write(file, bytes, from, lengthBytes, position + from, done));
      const now = () =>
        attemptNow("write", this.#path, () => writeSync(this.#descriptor, bytes, from, lengthBytes, position + from));
      at += await (lengthBytes > SMALL_BYTES ? throughPool() : promptness.call(now, throughPool));
    }
  }

  sizeBytes(): Promise<number> {
    return attempt("stat", this.#path, async () => {
      const stat = await this.#call<Stats>("stat", fstat);
      assertFile(stat);
      return stat.size;
    });
  }

  async identity(): Promise<string | undefined> {
    return identityOf(await this.#call<BigIntStats>("stat", (file, done) => fstat(file, { bigint: true }, done)));
  }

  sync(): Promise<void> {
    return this.#call("fsync", fsync);
  }

  /** Waits for the calls that are running: their descriptor would be that of the next file. */
  async close(): Promise<void> {
    if (this.#calls > 0) await new Promise<void>((resolve) => this.#onIdle = resolve);
    const descriptor = this.#take();
    const throughPool = () => answer<void>((done) => close(descriptor, done));
    await attempt("close", this.#path, () => promptness.call(() => closeSync(descriptor), throughPool));
  }

  closeNow(): void {
    const descriptor = this.#take();
    attemptNow("close", this.#path, () => closeSync(descriptor));
  }

  #take(): number {
    const descriptor = this.#descriptor;
    this.#descriptor = CLOSED;
    return descriptor;
  }

  #call<T>(operation: string, call: (descriptor: number, done: Callback<T>) => void): Promise<T> {
    const answered = (done: Callback<T>) => {
      call(this.#descriptor, (error, result) => {
        if (--this.#calls === 0) this.#onIdle();
        done(error, result);
      });
      this.#calls++; // not before: a call of a closed file throws
    };
    return attempt(operation, this.#path, () => answer(answered));
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

/** Opens a file or folder; a `mode` is that of a file that is made. */
function openDescriptor(path: string, flags: string | number, mode?: number): Promise<number> {
  return answer((done) => open(path, flags, mode, done));
}

async function createFile(path: string, mode?: number): Promise<NodeFile> {
  const descriptor = await promptness.call(
    () => openSync(path, "wx+", mode),
    () => openDescriptor(path, "wx+", mode),
  );
  try {
    if (mode !== undefined) whereAllowed(() => setRights(descriptor, () => mode));
    return new NodeFile(descriptor, path);
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

/** Sets what the umask took away; the bits beside the rights stay. */
function setRights(descriptor: number, change: (rights: number) => number): void {
  if (IS_WINDOWS) return; // its rights are other ones, which what is made there inherits
  const { mode } = fstatSync(descriptor);
  const rights = change(mode & RIGHTS);
  if (rights !== (mode & RIGHTS)) fchmodSync(descriptor, mode & ~RIGHTS & 0o7777 | rights);
}

/** Lets a change of rights fail that the runtime does not allow: what is made begins with no more rights than asked for. */
function whereAllowed(change: () => void): void {
  try {
    change();
  } catch (error) {
    if (!isNotAllowed(error)) throw error;
  }
}

function changeFolder(path: string, change: (rights: number) => number): void {
  if (IS_WINDOWS) return;
  const descriptor = openSync(path, FOLDER_ITSELF);
  try {
    setRights(descriptor, change);
  } finally {
    closeSync(descriptor);
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
  create: (path, mode) => attempt("create", path, () => createFile(path, mode)),
  createTemporary: () =>
    attempt("create", "a temporary file", async () => {
      const path = join(tmpdir(), `snapkeep-${crypto.randomUUID()}`);
      const file = new NodeFile(await openDescriptor(path, "wx+", 0o600), path);
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
      async () => new NodeFile(await openDescriptor(path, followsLink ? READ : READ | NO_FOLLOW), path),
    ),
  makeFolder: (path, mode) =>
    attempt("mkdir", path, async () => {
      await promptness.call(() => mkdirSync(path, mode), () => mkdir(path, mode));
      if (mode !== undefined) whereAllowed(() => changeFolder(path, () => mode));
    }),
  makeFolderNow: (path, mode) =>
    attemptNow("mkdir", path, () => {
      mkdirSync(path, mode);
      if (mode !== undefined) whereAllowed(() => changeFolder(path, () => mode));
    }),
  readFolder: (path) => attempt("readdir", path, () => readdir(path)),
  syncFolder: (path) =>
    attempt("fsync", path, async () => {
      if (IS_WINDOWS) return; // Windows cannot sync folders and writes their entries through by itself
      const descriptor = await openDescriptor(path, "r");
      try {
        await answer<void>((done) => fsync(descriptor, done));
      } finally {
        closeSync(descriptor);
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
  unlockFolder: (path) => attempt("chmod", path, async () => changeFolder(path, (rights) => rights | OWNER_RIGHTS)),
  rename: (from, to) => attempt("rename", from, () => retryRename(() => rename(from, to))),
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
    attempt("statfs", path, async () => mayAsk("statfs") ? freeBytesOf(await statfs(path), mayBeRoot()) : undefined),
  statNow: (path, followsLink = false) =>
    attemptNow("stat", path, () => {
      try {
        const found = (followsLink ? statSync : lstatSync)(path, { throwIfNoEntry: false });
        return found && fileStatOf(found);
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
        return new NodeFile(descriptor, path, stat.size);
      } catch (error) {
        closeSync(descriptor);
        throw error;
      }
    }),
};
