// Whether the data to be written can fit, checked before it is: a save that must fail does so before it has filled
// the disk for everybody else. It only ever refuses what surely does not fit.
import process from "node:process";
import { storageError } from "../model/errors.ts";
import type { FileSystem } from "./file_system.ts";

// By what statfs calls them: file systems on which every byte takes a byte. Others compress (btrfs, ZFS), or only pass on
// what the one beneath says (overlays, FUSE, network).
const PLAIN_TYPES = new Set([0xef53, /* ext2 to ext4 */ 0x58465342, /* XFS */ 0x01021994 /* tmpfs */]);

/** What is known of a file system, as statfs tells it. */
export interface FileSystemStat {
  /** Its kind, by its magic number. */
  readonly type: number;
  /** Size of a block in bytes. */
  readonly bsize: number;
  /** All blocks; 0 where there is no limit, as on a tmpfs without a size. */
  readonly blocks: number;
  /** Free blocks, those included that are kept back for root. */
  readonly bfree: number;
  /** Free blocks for everybody. */
  readonly bavail: number;
}

/** The bytes that this user can still write; `undefined` where that is not sure. Who may be root is taken for root. */
export function freeBytesOf(stat: FileSystemStat, isRoot: boolean): number | undefined {
  if (!PLAIN_TYPES.has(stat.type) || stat.blocks === 0) return undefined;
  const bytes = stat.bsize * (isRoot ? stat.bfree : stat.bavail);
  return Number.isSafeInteger(bytes) && stat.bsize > 0 ? bytes : undefined;
}

/** Whether the runtime lets a program ask; Deno would interrupt its user for what it does not, and this is not worth it. */
export function mayAsk(what: "statfs" | "uid"): boolean {
  return hasPermissions({ name: "sys", kind: what });
}

/** Whether the runtime lets a program look at all files, other processes and the system. */
export function mayLookAtSystem(): boolean {
  return hasPermissions({ name: "read" }, { name: "run" }, { name: "sys" });
}

function hasPermissions(...permissions: readonly object[]): boolean {
  const { Deno } = globalThis as { Deno?: { permissions: { querySync(what: object): { state: string } } } };
  try {
    return permissions.every((each) => Deno === undefined || Deno.permissions.querySync(each).state === "granted");
  } catch {
    return false; // a Deno that knows no such permission
  }
}

/** Whether this user may write where others may no more; yes if that is unknown. */
export function mayBeRoot(): boolean {
  return !mayAsk("uid") || process.getuid?.() === 0;
}

/** Fails with `STORAGE_FULL` where so many bytes surely do not fit. */
export async function assertRoom(files: FileSystem, path: string, leastBytes: number): Promise<void> {
  if (leastBytes === 0) return;
  let freeBytes: number | undefined;
  try {
    freeBytes = await files.freeBytes?.(path);
  } catch {
    return; // not knowing is no reason to refuse
  }
  if (freeBytes === undefined || leastBytes <= freeBytes) return;
  const reason = `it takes ${leastBytes} bytes at least, and ${freeBytes} are free`;
  throw storageError("write", path, Object.assign(new Error(reason), { code: "ENOSPC" }));
}
