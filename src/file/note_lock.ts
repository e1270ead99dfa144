// The lock of a note: an empty file, and beside it a record of the process that holds it, so that a lock which a killed program
// left delays no program. The record is believed only where it speaks of this very lock and proves that its process has ended.
import { join } from "node:path";
import { monotonicMs, setTimeout, systemMs } from "../runtime/clock.ts";
import { errnoOf, storageError } from "../model/errors.ts";
import { loggerOf } from "../runtime/logging.ts";
import type { FileStat, FileSystem, OpenFile } from "./file_system.ts";
import { removeName } from "./file_tree.ts";
import { Heartbeat } from "./heartbeat.ts";
import { lockName, lockOwnerName } from "./hidden_name.ts";
import { hasEnded, type ProcessIdentity, thisProcess } from "./process_identity.ts";

/** A lock unchanged for so long, in milliseconds, belongs to a dead program: a lock is held for a read and a synced write only. */
const LOCK_STALE_AFTER_MS = 10_000;

const OWNER_MAX_BYTES = 1024;

const LOOK_AGAIN_MS = 10;
const FORMAT = "snapkeep-lock-owner";

/** A folder whose notes are locked. */
interface NotedPlace {
  readonly root: string;
  readonly files: FileSystem;
}

/** Locks the note of a snapshot; `undefined` where another program holds the lock and the caller does not wait. */
export async function lockNote(
  { files, root }: NotedPlace,
  name: string,
  waits: boolean,
): Promise<(() => Promise<void>) | undefined> {
  const path = join(root, lockName(name));
  const ownerPath = join(root, lockOwnerName(name));
  let since: { readonly modifiedAtMs: number; readonly ms: number } | undefined;
  while (true) {
    const file = await files.create(path).catch((error) => {
      if (errnoOf(error) !== "EEXIST") throw error;
    });
    if (file !== undefined) return await hold(files, file, path, ownerPath);
    const lock = await files.stat(path, false, true);
    if (lock === undefined) continue;
    const { kind, sizeBytes, modifiedAtMs } = lock;
    if (kind !== "file" || sizeBytes > 0) {
      throw storageError("lock", path, new Error("what lies there is another program's"));
    }
    if (since?.modifiedAtMs !== modifiedAtMs) since = { modifiedAtMs, ms: monotonicMs() };
    // Clocks may jump, so a lock that was watched for as long is stale too, whatever its time says.
    const ageMs = Math.max(systemMs() - modifiedAtMs, monotonicMs() - since.ms);
    if (ageMs > LOCK_STALE_AFTER_MS) await breakLock(files, path, ownerPath, lock, false);
    else if (await isOrphan(files, ownerPath, lock)) await breakLock(files, path, ownerPath, lock, true);
    else if (!waits) return undefined;
    else await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
}

/** Removes a lock whose process has provably ended, or that was not renewed for so long. */
export async function sweepLock({ files, root }: NotedPlace, name: string, olderThanMs: number): Promise<void> {
  const path = join(root, lockName(name));
  const ownerPath = join(root, lockOwnerName(name));
  if (olderThanMs >= 0 && Heartbeat.isBeating(path)) return;
  const lock = await files.stat(path, false, true);
  if (lock === undefined || lock.kind !== "file" || lock.sizeBytes > 0) return;
  const limitMs = Math.max(olderThanMs, LOCK_STALE_AFTER_MS);
  const isStale = olderThanMs < 0 || Math.abs(systemMs() - lock.modifiedAtMs) > limitMs;
  if (isStale || await isOrphan(files, ownerPath, lock)) await breakLock(files, path, ownerPath, lock, !isStale);
}

/** Removes what says who holds a lock that is there no more. */
export async function sweepLockOwner({ files, root }: NotedPlace, name: string, olderThanMs: number): Promise<void> {
  const path = join(root, lockOwnerName(name));
  const stat = await files.stat(path);
  if (stat?.kind !== "file" || stat.sizeBytes > OWNER_MAX_BYTES) return;
  const limitMs = Math.max(olderThanMs, LOCK_STALE_AFTER_MS);
  if (olderThanMs >= 0 && Math.abs(systemMs() - stat.modifiedAtMs) <= limitMs) return;
  if (await files.stat(join(root, lockName(name))) === undefined) await removeName(files, path);
}

async function hold(
  files: FileSystem,
  file: OpenFile,
  path: string,
  ownerPath: string,
): Promise<() => Promise<void>> {
  let hasOwner = false;
  let heartbeat = new Heartbeat(files, [path]);
  const unlock = async () => {
    heartbeat.stop();
    // The owner goes first: its record must never be there for a later lock, which may get the same inode.
    if (hasOwner) await removeName(files, ownerPath).catch(() => {});
    try {
      await removeName(files, path);
    } catch (error) {
      loggerOf("FileBackend").warn("Cannot remove '{path}', it is left to the next sweep: {error}", { path, error });
    }
  };
  try {
    let identity: string | undefined;
    try {
      identity = thisProcess() && await file.identity?.();
    } finally {
      await file.close();
    }
    hasOwner = identity !== undefined && await writeOwner(files, ownerPath, identity);
    if (hasOwner) {
      heartbeat.stop();
      heartbeat = new Heartbeat(files, [path, ownerPath]);
    }
    return unlock;
  } catch (error) {
    await unlock();
    throw error;
  }
}

/** Writes who holds a lock; a lock without it is good as well, so a failure fails nothing. */
async function writeOwner(files: FileSystem, path: string, lock: string): Promise<boolean> {
  const record = { format: FORMAT, formatVersion: 1, lock, ...thisProcess() };
  try {
    const file = await files.create(path).catch(async (error) => {
      if (errnoOf(error) !== "EEXIST") throw error;
      const stat = await files.stat(path); // a dead program's, or what is not ours
      if (stat?.kind !== "file" || stat.sizeBytes > OWNER_MAX_BYTES) throw error;
      await removeName(files, path);
      return await files.create(path);
    });
    try {
      try {
        await file.write(new TextEncoder().encode(`${JSON.stringify(record)}\n`), 0);
      } finally {
        await file.close();
      }
      return true;
    } catch (error) {
      await removeName(files, path).catch(() => {});
      throw error;
    }
  } catch (error) {
    loggerOf("FileBackend").debug("Cannot write '{path}': {error}", { path, error });
    return false;
  }
}

/** Whether the process that holds a lock has provably ended. */
async function isOrphan(files: FileSystem, ownerPath: string, lock: FileStat): Promise<boolean> {
  if (lock.identity === undefined || thisProcess() === undefined) return false;
  try {
    // An inode may serve again, so an owner that is older than the lock speaks of an earlier one.
    const stat = await files.stat(ownerPath, false, true);
    if (stat?.kind !== "file" || stat.sizeBytes > OWNER_MAX_BYTES || stat.modifiedAtMs < lock.modifiedAtMs) {
      return false;
    }
    const owner = parseOwner(await readOwner(files, ownerPath));
    return owner?.lock === lock.identity && hasEnded(owner.process);
  } catch {
    return false; // it is being written or removed, or it is not ours
  }
}

async function readOwner(files: FileSystem, path: string): Promise<string> {
  const file = await files.open(path);
  try {
    await file.sizeBytes(); // fails for what is no ordinary file
    const bytes = new Uint8Array(OWNER_MAX_BYTES);
    return new TextDecoder().decode(bytes.subarray(0, await file.read(bytes, 0)));
  } finally {
    await file.close().catch(() => {});
  }
}

function parseOwner(text: string): { readonly lock: string; readonly process: ProcessIdentity } | undefined {
  const record = JSON.parse(text) as Partial<ProcessIdentity & { format: string; formatVersion: number; lock: string }>;
  const { format, formatVersion, lock, pid, startTime, bootId, namespace, host } = record;
  if (format !== FORMAT || formatVersion !== 1 || typeof pid !== "number" || !Number.isInteger(pid)) return undefined;
  // A negative id, or 0, would ask for a group of processes.
  if (pid < 1 || pid > 0x7fffffff) return undefined;
  for (const text of [lock, startTime, bootId, namespace, host]) if (typeof text !== "string") return undefined;
  return { lock, process: { pid, startTime, bootId, namespace, host } } as ReturnType<typeof parseOwner>;
}

/**
 * Removes a lock as it was seen. Of many that prove the same process ended, one removes the owner, and only that one goes on: the others
 * could meet the next lock, of a program that lives.
 */
async function breakLock(
  files: FileSystem,
  path: string,
  ownerPath: string,
  seen: FileStat,
  isProven: boolean,
): Promise<void> {
  const owner = await files.stat(ownerPath);
  const isOurs = owner?.kind === "file" && owner.sizeBytes <= OWNER_MAX_BYTES;
  const removed = isOurs && await removeName(files, ownerPath);
  if (isProven && !removed) return;
  const found = await files.stat(path, false, true);
  if (found === undefined || found.modifiedAtMs !== seen.modifiedAtMs || found.identity !== seen.identity) return;
  await removeName(files, path);
}
