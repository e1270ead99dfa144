// The file system of a place whose folders and files have given rights: all that is made in it has them, whatever makes it.
import { sep } from "node:path";
import { show } from "../model/show.ts";
import type { FileSystem } from "./file_system.ts";

const OWNER_RIGHTS = 0o700;
const ALL_RIGHTS = 0o777;
const EXECUTE_RIGHTS = 0o111;

/**
 * The rights that a caller asked for.
 *
 * @throws {TypeError} If it is no number.
 * @throws {RangeError} If it is anything but rights, or keeps the owner out.
 */
export function modeOf(mode: unknown): number {
  if (typeof mode !== "number") {
    throw new TypeError(`Cannot use the mode ${show(mode)}: it must be a number, such as 0o700`);
  }
  if (Number.isInteger(mode) && mode >= OWNER_RIGHTS && mode <= ALL_RIGHTS) return mode;
  const written = Number.isInteger(mode) && mode >= 0 ? `0o${mode.toString(8)}` : String(mode);
  throw new RangeError(`Cannot use the mode ${written}: it must be from 0o700 to 0o777; 0o700 lets only the owner in`);
}

/** A file system on which all that is made at a path and below it gets these rights. */
export function privateFileSystem(files: FileSystem, root: string, mode: number): FileSystem {
  const below = root.endsWith(sep) ? root : root + sep;
  const modeAt = (path: string) => path === root || path.startsWith(below) ? mode : undefined;
  const { createTemporary, openToAppend, unlockFolder, freeBytes } = files;
  return {
    create: (path) => files.create(path, mode & ~EXECUTE_RIGHTS),
    ...createTemporary && { createTemporary: createTemporary.bind(files) },
    open: (path, followsLink) => files.open(path, followsLink),
    ...openToAppend && { openToAppend: (path: string) => openToAppend.call(files, path, mode & ~EXECUTE_RIGHTS) },
    makeFolder: (path) => files.makeFolder(path, modeAt(path)),
    makeFolderNow: (path) => files.makeFolderNow(path, modeAt(path)),
    readFolder: (path, isSmall) => files.readFolder(path, isSmall),
    syncFolder: (path) => files.syncFolder(path),
    stat: (path, followsLink, withIdentity) => files.stat(path, followsLink, withIdentity),
    ...unlockFolder && { unlockFolder: unlockFolder.bind(files) },
    rename: (from, to) => files.rename(from, to),
    link: (from, to) => files.link(from, to),
    removeFile: (path) => files.removeFile(path),
    removeFolder: (path) => files.removeFolder(path),
    touch: (path, atMs) => files.touch(path, atMs),
    ...freeBytes && { freeBytes: freeBytes.bind(files) },
  };
}
