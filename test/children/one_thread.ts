// The real file system by calls that block, so that one thread makes them all: strace counts the calls of each thread by
// itself, and the threads of Bun and Deno take turns as they like.
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  utimesSync,
  writeSync,
} from "node:fs";
import type { FileSystem, OpenFile } from "../../src/testing/mod.ts";
import { nodeFileSystem } from "../../src/testing/mod.ts";
import { storageError } from "../../src/model/errors.ts";

function attempt<T>(operation: string, path: string, run: () => T): Promise<T> {
  try {
    return Promise.resolve(run());
  } catch (cause) {
    return Promise.reject(storageError(operation, path, cause));
  }
}

function opened(descriptor: number, path: string): OpenFile {
  return {
    read: (target, position) => attempt("read", path, () => readSync(descriptor, target, 0, target.length, position)),
    write: (bytes, position) =>
      attempt("write", path, () => {
        for (let done = 0; done < bytes.length;) {
          done += writeSync(descriptor, bytes, done, bytes.length - done, position + done);
        }
      }),
    sizeBytes: () => attempt("stat", path, () => fstatSync(descriptor).size),
    sync: () => attempt("fsync", path, () => fsyncSync(descriptor)),
    close: () => attempt("close", path, () => closeSync(descriptor)),
  };
}

/** The file system of this machine, one call after the other. */
export const oneThreadFileSystem: FileSystem = {
  ...nodeFileSystem,
  create: (path) => attempt("create", path, () => opened(openSync(path, "wx+"), path)),
  open: (path) => attempt("open", path, () => opened(openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW), path)),
  makeFolder: (path) => attempt("mkdir", path, () => mkdirSync(path)),
  readFolder: (path) => attempt("readdir", path, () => readdirSync(path)),
  syncFolder: (path) =>
    attempt("fsync", path, () => {
      const descriptor = openSync(path, "r");
      try {
        fsyncSync(descriptor);
      } finally {
        closeSync(descriptor);
      }
    }),
  rename: (from, to) => attempt("rename", from, () => renameSync(from, to)),
  link: (from, to) => attempt("link", from, () => linkSync(from, to)),
  removeFile: (path) => attempt("unlink", path, () => unlinkSync(path)),
  removeFolder: (path) => attempt("rmdir", path, () => rmdirSync(path)),
  touch: (path, atMs) => attempt("utimes", path, () => utimesSync(path, atMs / 1000, atMs / 1000)),
};
