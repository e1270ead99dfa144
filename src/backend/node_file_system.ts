// The real file system, through node:fs, which Node, Deno and Bun share. Each trap of a runtime is handled here:
// sync is always our own call (Bun swallows flush errors), close never decides (Bun and Deno swallow its errors).
import { constants, mkdirSync, type Stats } from "node:fs";
import {
  type FileHandle,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  rename,
  rmdir,
  stat,
  statfs,
  unlink,
  utimes,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { errnoOf, storageError } from "../words/errors.ts";
import type { FileKind, FileStat, FileSystem, OpenFile } from "./file_system.ts";
import { freeBytesOf, mayAsk, mayBeRoot } from "./free_space.ts";

// Without O_NONBLOCK, opening a pipe that somebody put among the files would wait for its writer.
const READ = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);
const NO_FOLLOW = constants.O_NOFOLLOW ?? 0;
const IS_WINDOWS = process.platform === "win32";

async function attempt<T>(operation: string, path: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    throw storageError(operation, path, cause);
  }
}

class NodeFile implements OpenFile {
  readonly #handle: FileHandle;
  readonly #path: string;

  constructor(handle: FileHandle, path: string) {
    this.#handle = handle;
    this.#path = path;
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return attempt(
      "read",
      this.#path,
      async () => (await this.#handle.read(target, 0, target.length, position)).bytesRead,
    );
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    return attempt("write", this.#path, async () => {
      for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, position + done);
        done += bytesWritten;
      }
    });
  }

  sizeBytes(): Promise<number> {
    return attempt("stat", this.#path, async () => {
      const stat = await this.#handle.stat();
      if (!stat.isFile()) throw Object.assign(new Error("it is no file"), { code: "EISDIR" });
      return stat.size;
    });
  }

  sync(): Promise<void> {
    return attempt("fsync", this.#path, () => this.#handle.sync());
  }

  close(): Promise<void> {
    return attempt("close", this.#path, () => this.#handle.close());
  }
}

function kindOf(found: Stats): FileKind {
  if (found.isFile()) return "file";
  if (found.isDirectory()) return "folder";
  return found.isSymbolicLink() ? "link" : "other";
}

/** The file system of this machine. */
export const nodeFileSystem: FileSystem = {
  create: (path) => attempt("create", path, async () => new NodeFile(await open(path, "wx+"), path)),
  createTemporary: () =>
    attempt("create", "a temporary file", async () => {
      const path = join(tmpdir(), `snapkeep-${crypto.randomUUID()}`);
      const file = new NodeFile(await open(path, "wx+", 0o600), path);
      try {
        await unlink(path); // at once, so that nothing is left whatever ends the program
      } catch (error) {
        await file.close();
        throw error;
      }
      return file;
    }),
  open: (path, followsLink = false) =>
    attempt("open", path, async () => new NodeFile(await open(path, followsLink ? READ : READ | NO_FOLLOW), path)),
  makeFolder: (path) => attempt("mkdir", path, () => mkdir(path)),
  makeFolderNow: (path) => {
    try {
      mkdirSync(path);
    } catch (cause) {
      throw storageError("mkdir", path, cause);
    }
  },
  readFolder: (path) => attempt("readdir", path, () => readdir(path)),
  syncFolder: (path) =>
    attempt("fsync", path, async () => {
      if (IS_WINDOWS) return; // Windows cannot sync folders and writes their entries through by itself
      const handle = await open(path, "r");
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    }),
  stat: (path, followsLink = false) =>
    attempt("stat", path, async (): Promise<FileStat | undefined> => {
      try {
        const found = await (followsLink ? stat(path) : lstat(path));
        return { kind: kindOf(found), sizeBytes: found.size, modifiedAtMs: found.mtimeMs };
      } catch (error) {
        if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return undefined;
        throw error;
      }
    }),
  rename: (from, to) => attempt("rename", from, () => rename(from, to)),
  link: (from, to) => attempt("link", from, () => link(from, to)),
  removeFile: (path) => attempt("unlink", path, () => unlink(path)),
  removeFolder: (path) => attempt("rmdir", path, () => rmdir(path)),
  touch: (path, atMs) => attempt("utimes", path, () => utimes(path, atMs / 1000, atMs / 1000)),
  freeBytes: (path) =>
    attempt("statfs", path, async () => mayAsk("statfs") ? freeBytesOf(await statfs(path), mayBeRoot()) : undefined),
};
