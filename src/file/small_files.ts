// Reading many small files at once: a trip to the thread pool costs ten times what it takes to read one. So they are read without
// waiting, in slices of a few milliseconds, as long as the storage answers at once.
import { errnoOf } from "../model/errors.ts";
import { Pace } from "../runtime/concurrency.ts";
import { monotonicMs } from "../runtime/clock.ts";
import type { FileSystem, QuickFile } from "./file_system.ts";

/** Codes for what is absent, a link, a folder, a pipe or not allowed: opening it tells what that means. */
export const TOLD_BY_OPENING: ReadonlySet<string> = new Set([
  "ENOENT",
  "ENOTDIR",
  "ELOOP",
  "EMLINK",
  "EISDIR",
  "ENXIO",
  "EACCES",
  "EPERM",
]);
const SLAB_BYTES = 1024 * 1024;
const MOST_FILES = 256;
// A disk that has to turn, a network or a virus scanner takes longer, and would hold up the program for each file. So does the
// system when it runs another program meanwhile, or the collector: one file in fifty may.
const MOST_MS = 2;
const FILES_PER_SLOW_ONE = 50;

/**
 * Reads ordinary files of at most `mostBytes`, in order; follows no link.
 *
 * @returns Batches of their bytes, valid until the next batch is asked for. `undefined` stands for a file that must be opened: it is
 *   absent, larger or no ordinary file, or the storage is slow: a file took longer than 2 ms, and not fifty others for each such file
 *   were faster. Then all that follow are `undefined`.
 * @throws {SnapshotError} `STORAGE_FAILED` if a file that was opened cannot be read.
 */
export async function* lendSmallFiles(
  files: FileSystem,
  paths: Iterable<string>,
  mostBytes: number,
): AsyncGenerator<(Uint8Array | undefined)[], void> {
  const slab = new Uint8Array(SLAB_BYTES);
  let [batch, usedBytes]: [(Uint8Array | undefined)[], number] = [[], 0];
  let isSlow = files.openNow === undefined;
  let [count, slowCount] = [0, 0];
  const pace = new Pace();
  for (const path of paths) {
    const isFull = usedBytes + mostBytes > SLAB_BYTES || batch.length === MOST_FILES;
    if (isFull || pace.isDue) {
      if (batch.length > 0) yield batch;
      [batch, usedBytes] = [[], 0];
      if (pace.isDue) await pace.rest();
    }
    const sinceMs = monotonicMs();
    const bytes = isSlow ? undefined : readNow(files, path, slab.subarray(usedBytes, usedBytes + mostBytes));
    count++;
    if (monotonicMs() - sinceMs > MOST_MS) isSlow ||= ++slowCount * FILES_PER_SLOW_ONE > count;
    usedBytes += bytes?.length ?? 0;
    batch.push(bytes);
  }
  if (batch.length > 0) yield batch;
}

function readNow(files: FileSystem, path: string, room: Uint8Array): Uint8Array | undefined {
  let file: QuickFile | undefined;
  try {
    file = files.openNow?.(path);
  } catch (error) {
    if (!TOLD_BY_OPENING.has(errnoOf(error))) throw error;
    return undefined;
  }
  if (file === undefined) return undefined;
  try {
    if (file.openedBytes > room.length) return undefined;
    let done = 0;
    while (done < file.openedBytes) {
      const readBytes = file.readNow(room.subarray(done, file.openedBytes), done);
      if (readBytes === 0) break; // the file was cut: the caller misses the bytes
      done += readBytes;
    }
    return room.subarray(0, done);
  } finally {
    closeQuietly(file);
  }
}

function closeQuietly(file: QuickFile): void {
  try {
    file.closeNow();
  } catch {
    // nothing was written through it that a close could lose
  }
}
