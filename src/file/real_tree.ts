// Files, folders and links of a program's own, which others may change at any time: looked at without following links, read only if they
// stay the same meanwhile, and only ever replaced by a rename. Calls do not wait for the thread pool: there are thousands, and a local disk
// answers each in a few microseconds; callers pause between them.
import { Buffer } from "node:buffer";
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  realpathSync,
  renameSync,
  rmdirSync,
  type Stats,
  symlinkSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { rm } from "node:fs/promises";
import { basename, dirname, join, parse, resolve, sep } from "node:path";
import { showAddress } from "../model/address.ts";
import { errnoOf, storageError } from "../model/errors.ts";
import { setTimeout, systemMs } from "../runtime/clock.ts";
import { Pace } from "../runtime/concurrency.ts";
import type { FileKind } from "./file_system.ts";
import { attemptNow } from "./node_file_system.ts";

// Without O_NONBLOCK, opening what became a pipe meanwhile would wait for its writer.
const READ = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
const ATTEMPTS = 5;
// Times of files are as coarse as a tick of the kernel: a change within the same one does not show.
const COARSE_MS = 50;
const MOST_LINKS = 40;
const PIECE_BYTES = 1024 * 1024;
const OWNER_EXECUTES = 0o100;
const OWNER_USES = 0o700;
const MAY_EXECUTE = 0o111;

/** What lies at a path. */
export interface RealNode {
  /** What it is. */
  readonly kind: FileKind;
  /** Size in bytes. */
  readonly sizeBytes: number;
  /** Whether its owner may execute it. */
  readonly isExecutable: boolean;
  /** All its rights. */
  readonly mode: number;
  /** The device it lies on. */
  readonly device: number;
  /** What the file system knows it by, whatever its name; absent where it does not tell. */
  readonly id: string | undefined;
  /** Another file, or this one changed, has another stamp, unless it changes within one tick of the kernel. */
  readonly stamp: string;
  /** When it was last changed, in milliseconds since 1970. */
  readonly changedAtMs: number;
}

function nodeOf(stat: Stats): RealNode {
  const { dev, ino, size, mode, mtimeMs, ctimeMs } = stat;
  return {
    kind: stat.isFile() ? "file" : stat.isDirectory() ? "folder" : stat.isSymbolicLink() ? "link" : "other",
    sizeBytes: size,
    isExecutable: (mode & OWNER_EXECUTES) !== 0,
    mode: mode & 0o777,
    device: dev,
    id: ino === 0 ? undefined : `${dev} ${ino}`,
    stamp: `${dev} ${ino} ${size} ${mode} ${mtimeMs} ${ctimeMs}`,
    changedAtMs: Math.max(mtimeMs, ctimeMs),
  };
}

/** What lies at a path, links not followed; `undefined` where there is nothing. */
export function lookAt(path: string): RealNode | undefined {
  try {
    return nodeOf(lstatSync(path));
  } catch (cause) {
    if (["ENOENT", "ENOTDIR", "ENAMETOOLONG"].includes(errnoOf(cause) ?? "")) return undefined;
    throw storageError("stat", path, cause);
  }
}

/** As {@link lookAt}; `undefined` also where the program may not look. */
export function lookIfAllowed(path: string): RealNode | undefined {
  try {
    return lookAt(path);
  } catch {
    return undefined;
  }
}

/** Names in a folder, in the order of their code units. */
export function namesIn(path: string): string[] {
  return attemptNow("read", path, () => readdirSync(path)).sort();
}

/** Where a link leads, as it is written. */
export function targetOf(path: string): string {
  return attemptNow("read", path, () => readlinkSync(path));
}

/**
 * As {@link targetOf}, and that text means the same bytes.
 *
 * @throws {TypeError} If it does not.
 */
export function exactTargetOf(path: string): string {
  const target = targetOf(path);
  const isExact = !target.includes("\ufffd") ||
    Buffer.from(target).equals(attemptNow("read", path, () => readlinkSync(path, "buffer")));
  if (isExact) return target;
  throw new TypeError(
    `Cannot save ${showAddress(path)}: where the link leads is not valid UTF-8; replace or ignore it`,
  );
}

/** Whether the file system allows no path of this length, or no name. */
export function isTooLong(path: string): boolean {
  try {
    lstatSync(path);
    return false;
  } catch (cause) {
    return errnoOf(cause) === "ENAMETOOLONG";
  }
}

/** A path with all links in it followed, as far as it leads to something. */
export function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch (cause) {
    if (errnoOf(cause) === "ENOENT") {
      return dirname(path) === path ? path : join(realPath(dirname(path)), basename(path));
    }
    throw storageError("stat", path, cause);
  }
}

/** The links that lead to a path, in order, and at last the path with no link in it; what is not there is taken as it is written. */
export function waysTo(path: string): string[] {
  const links: string[] = [];
  let { root: at } = parse(path);
  const left = path.slice(at.length).split(sep).reverse();
  while (left.length > 0) {
    const part = left.pop() as string;
    if (part === "" || part === ".") continue;
    const next = join(at, part); // one step up from a path with no link in it
    if (links.length >= MOST_LINKS || lookIfAllowed(next)?.kind !== "link") {
      at = next;
      continue;
    }
    links.push(next);
    const target = targetOf(next);
    const { root } = parse(target);
    if (root !== "") at = resolve(root);
    left.push(...target.slice(root.length).split(sep === "/" ? sep : /[\\/]/).reverse());
  }
  try {
    at = realPath(at); // where the program may not look at each part of the way
  } catch {
    // the path will do
  }
  return [...links, at];
}

/** A file that is read as it was at one moment. */
export interface SteadyFile {
  /** Its bytes. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** What it was. */
  readonly node: RealNode;
}

/**
 * Reads a whole file as it was at one moment: reads it again if it changed meanwhile.
 *
 * @returns The file; `undefined` where there is none any more.
 * @throws {TypeError} If it is no ordinary file, or changes all the time.
 */
export function readSteady(path: string): SteadyFile | undefined {
  for (let attempts = 0; attempts < ATTEMPTS; attempts++) {
    const file = readOnce(path);
    if (file === "gone") return undefined;
    if (file === "changed") continue;
    // One that was changed just before may have been changed within the same tick of the kernel: only its bytes can tell.
    if (Math.abs(systemMs() - file.node.changedAtMs) > COARSE_MS) return file;
    const again = readOnce(path);
    if (typeof again === "object" && Buffer.compare(file.bytes, again.bytes) === 0) return again;
  }
  throw new TypeError(
    `Cannot save ${showAddress(path)}: it changes while it is read; save when nothing writes to it, or ignore it`,
  );
}

function readOnce(path: string): SteadyFile | "gone" | "changed" {
  const file = openToRead(path);
  if (file === undefined) return "gone";
  try {
    const before = nodeOf(fstatSync(file));
    assertFile(path, before);
    const bytes = new Uint8Array(before.sizeBytes);
    let length = 0;
    while (length < bytes.length) {
      const read = readSync(file, bytes, length, bytes.length - length, length);
      if (read === 0) break;
      length += read;
    }
    const after = nodeOf(fstatSync(file));
    return length === bytes.length && after.stamp === before.stamp ? { bytes, node: after } : "changed";
  } catch (cause) {
    throw cause instanceof TypeError ? cause : storageError("read", path, cause);
  } finally {
    closeSync(file);
  }
}

/**
 * Streams a file too big to hold, as it is at one moment.
 *
 * @param node What it was when it was looked at.
 * @throws {TypeError} If it is another one, or changes while it is read.
 */
export async function* piecesOf(path: string, node: RealNode): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  const file = openToRead(path);
  const assertSame = () => {
    if (file !== undefined && nodeOf(fstatSync(file)).stamp === node.stamp) return;
    throw new TypeError(
      `Cannot save ${showAddress(path)}: it changes while it is read; save when nothing writes to it, or ignore it`,
    );
  };
  try {
    assertSame();
    // A change within the tick of the last one would leave the stamp as it is, so that tick is waited out before the first byte.
    const ageMs = systemMs() - node.changedAtMs;
    if (Math.abs(ageMs) <= COARSE_MS) {
      await new Promise((done) => setTimeout(done, COARSE_MS - ageMs + 1));
      assertSame();
    }
    const pace = new Pace();
    for (let position = 0; position < node.sizeBytes;) {
      if (pace.isDue) await pace.rest();
      const piece = new Uint8Array(Math.min(PIECE_BYTES, node.sizeBytes - position));
      const read = attemptNow("read", path, () => readSync(file as number, piece, 0, piece.length, position));
      if (read === 0) break;
      position += read;
      yield piece.subarray(0, read);
    }
    assertSame();
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function openToRead(path: string): number | undefined {
  try {
    return openSync(path, READ);
  } catch (cause) {
    if (errnoOf(cause) === "ENOENT" || errnoOf(cause) === "ENOTDIR") return undefined;
    if (errnoOf(cause) === "ELOOP") {
      throw new TypeError(`Cannot save ${showAddress(path)}: it became a link`, { cause });
    }
    throw storageError("open", path, cause);
  }
}

function assertFile(path: string, { kind }: RealNode): void {
  if (kind !== "file") throw new TypeError(`Cannot save ${showAddress(path)}: it is not an ordinary file`);
}

/** How a new file is written. */
export interface NewFileOptions {
  /** Whether it may be executed by those who may read it. */
  readonly isExecutable?: boolean;
  /** Rights of the file that it replaces; those to execute do not count. Without it the umask decides. */
  readonly mode?: number | undefined;
  /** Whether it must survive a loss of power. @default false */
  readonly sync?: boolean;
}

/** Writes a new file; fails with EEXIST where there is something. */
export async function writeNew(
  path: string,
  body: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  { isExecutable = false, mode, sync = false }: NewFileOptions = {},
): Promise<void> {
  const file = attemptNow("create", path, () => openSync(path, "wx", isExecutable ? 0o777 : 0o666));
  try {
    for await (const chunk of body) {
      attemptNow("write", path, () => {
        for (let done = 0; done < chunk.length;) done += writeSync(file, chunk, done, chunk.length - done);
      });
    }
    attemptNow("chmod", path, () => {
      if (mode !== undefined) {
        const base = mode & ~MAY_EXECUTE & 0o777;
        const stays = isExecutable && (mode & OWNER_EXECUTES) !== 0;
        const executable = stays ? mode & 0o777 : base | OWNER_EXECUTES | (base & 0o444) >> 2;
        fchmodSync(file, isExecutable ? executable : base);
      } else if (isExecutable) {
        const { mode: made } = fstatSync(file); // the umask may keep all from executing
        if ((made & OWNER_EXECUTES) === 0) fchmodSync(file, made & 0o777 | OWNER_EXECUTES);
      }
    });
    if (sync) attemptNow("fsync", path, () => fsyncSync(file));
  } finally {
    closeSync(file);
  }
}

/** Makes a link. */
export function makeLink(path: string, target: string): void {
  attemptNow("link", path, () => symlinkSync(target, path));
}

/** Makes one folder. Its owner may do all in it, whatever the umask: nothing could be put into it otherwise. */
export function makeFolder(path: string, mode?: number): void {
  attemptNow("mkdir", path, () => {
    mkdirSync(path, mode === undefined ? {} : { mode });
    const made = lstatSync(path).mode & 0o777;
    if ((made & OWNER_USES) !== OWNER_USES) chmodSync(path, made | OWNER_USES);
  });
}

/** Makes a folder and those above it that are missing. */
export function makeFolders(path: string): void {
  if (lookAt(path) !== undefined) return;
  makeFolders(dirname(path));
  makeFolder(path);
}

/** Renames; what lies at the new path must be nothing, which is the caller's to see to. */
export function move(from: string, to: string): void {
  attemptNow("rename", from, () => renameSync(from, to));
}

/** Removes an empty folder. */
export function removeFolder(path: string): void {
  attemptNow("rmdir", path, () => rmdirSync(path));
}

/** Removes a file's name; what has gone is fine. */
export function removeName(path: string): void {
  try {
    unlinkSync(path);
  } catch (cause) {
    if (errnoOf(cause) !== "ENOENT") throw storageError("unlink", path, cause);
  }
}

/** Removes a path and all below it, links not followed; what has gone is fine. */
export async function removeAll(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (cause) {
    throw storageError("remove", path, cause);
  }
}
