// Everything that can go wrong in the world, as one closed list. A caller's mistake is a TypeError or RangeError
// instead, thrown before any I/O; so a SnapshotError always speaks of data, storage or a state's own code.

import { addressOf } from "./address.ts";

/** Which rule an archive breaks. */
export type RejectionReason =
  | "COMPRESSION_DAMAGED"
  | "COMPRESSION_UNKNOWN"
  | "TRAILING_DATA"
  | "TRUNCATED"
  | "END_MARKER_MISSING"
  | "HEADER_CHECKSUM"
  | "HEADER_FORMAT"
  | "HEADER_NUMBER"
  | "PADDING_NOT_ZERO"
  | "TYPE_FORBIDDEN"
  | "PATH_UNSAFE"
  | "PATH_COLLISION"
  | "PAX_INVALID"
  | "PAX_FORBIDDEN"
  | "LIMIT_BYTES"
  | "LIMIT_RATIO"
  | "LIMIT_ENTRIES"
  | "LIMIT_HEADER"
  | "LIMIT_MEMBERS"
  | "TABLE_INVALID"
  | "MANIFEST_MISMATCH";

/** What each {@link SnapshotError} code tells beside its message. */
export interface SnapshotErrorDetails {
  /** A state of this name, or of one that file systems may confuse with it, is registered already. */
  STATE_ALREADY_REGISTERED: { state: string; registered: string };
  /** A state name or snapshot name is not safe and portable. */
  NAME_UNSAFE: { name: string; reason: string };
  /** An entry path is not safe and portable. */
  ENTRY_PATH_UNSAFE: { path: string; reason: string };
  /** An entry path equals or collides with one that is there already. */
  ENTRY_EXISTS: { path: string; existing: string };
  /** The snapshot has no such entry. */
  ENTRY_NOT_FOUND: { path: string };
  /** An entry's JSON value is not what its reader's schema says; `issues` tells each fault and its place, such as `$.weights[3]`. */
  ENTRY_INVALID: { uri: string; path: string; issues: readonly { readonly place: string; readonly message: string }[] };
  /** A body had another size than was declared for it. */
  ENTRY_SIZE_MISMATCH: { path: string; expectedBytes: number; actualBytes: number };
  /** A snapshot of this name is there already; nothing was overwritten. */
  SNAPSHOT_EXISTS: { name: string; uri: string };
  /** No name can follow the newest one: it stands for the end of the year 9999. */
  NAMES_EXHAUSTED: { latest: string };
  /** There is no snapshot at this address. */
  SNAPSHOT_NOT_FOUND: { uri: string };
  /** The snapshot was removed while it was being read. */
  SNAPSHOT_GONE: { uri: string };
  /** What lies at the address became another file while it was being read. */
  SNAPSHOT_CHANGED: { uri: string };
  /** The bytes are not those that were saved. */
  SNAPSHOT_CORRUPT: { uri: string; path: string; expected: string; actual: string };
  /** The unit has no manifest: it was never committed, or is not ours. */
  MANIFEST_MISSING: { uri: string };
  /** The manifest is damaged or breaks its own rules. */
  MANIFEST_INVALID: { uri: string; reason: string };
  /** The snapshot has a format this version cannot read. */
  FORMAT_UNSUPPORTED: { uri: string; found: string; supported: string };
  /** Registered states that the snapshot does not have; none was touched. */
  STATE_MISSING: { uri: string; states: readonly string[] };
  /** The archive breaks a rule of the format, or is damaged; `offset` counts bytes of the tar stream, or of the file. */
  ARCHIVE_REJECTED: { uri: string; reason: RejectionReason; offset: number };
  /** This runtime cannot read or write this compression. */
  COMPRESSION_UNAVAILABLE: { compression: string; available: string };
  /** A saved state is newer than the program's, or there is no migration from its version. No state was touched. */
  STATE_INCOMPATIBLE: { uri: string; state: string; found: number; supported: number };
  /** There are snapshots, but none may be resumed from; `tried` says which were looked at and why each was refused. */
  RESUME_REFUSED: { uri: string; tried: readonly { readonly snapshot: string; readonly reason: string }[] };
  /** The snapshot was saved by another program than the store's. */
  PROGRAM_MISMATCH: { uri: string; expected: readonly string[]; found: string };
  /** The place holds snapshots, and the program has neither resumed from nor loaded one, nor called `startFresh()`. */
  RESUME_FIRST: { uri: string; snapshots: number; newest: string };
  /** A load or rollback failed after it had called states; they may hold a mixture until they are loaded whole. */
  STATES_TORN: { uri: string; states: readonly string[] };
  /** States that were registered after a load, and that the loaded snapshot holds, were never loaded. */
  STATE_NOT_LOADED: { uri: string; snapshot: string; states: readonly string[] };
  /** With `exclusive`, another run has saved a snapshot at the place since this store looked last. */
  STORE_SHARED: { uri: string; snapshot: string; run: string; otherRun: string };
  /** As many saves as may wait are waiting. */
  SAVE_BACKLOG: { uri: string; waiting: number };
  /** A state's `saveState` failed; nothing became visible. */
  STATE_SAVE_FAILED: { state: string };
  /** A state's `loadState` failed, after those in `loaded` were loaded. */
  STATE_LOAD_FAILED: { uri: string; state: string; loaded: readonly string[] };
  /** The stage was swept away because its writer gave no sign of life for too long. */
  STAGE_LOST: { unit: string };
  /** The storage has no room left (ENOSPC, EDQUOT). */
  STORAGE_FULL: { operation: string; path: string; errno: string };
  /** The storage refused an operation. */
  STORAGE_FAILED: { operation: string; path: string; errno: string };
  /** The snapshot is visible, but whether it survives a power loss is unknown. */
  COMMIT_UNCERTAIN: { uri: string };
  /** Some snapshots could not be removed; the others were. */
  CLEANUP_FAILED: { removed: readonly string[]; failed: readonly string[] };
}

/** Closed list of the things that can go wrong; see {@link SnapshotErrorDetails}. */
export type SnapshotErrorCode = keyof SnapshotErrorDetails;

// Marks errors across copies of the library, where instanceof fails.
const BRAND = Symbol.for("snapkeep.SnapshotError");

/**
 * A failure of the world: storage, damaged data, or a state's own code.
 *
 * `code` says what, `details` what and where in data, `cause` the error beneath, if there is one.
 *
 * @example Tell errors apart
 * ```ts
 * import { isSnapshotError, locate, StateStore } from "snapkeep";
 *
 * try {
 *   await new StateStore("states").loadState(locate("states/never-saved.state"));
 * } catch (error) {
 *   if (!isSnapshotError(error, "SNAPSHOT_NOT_FOUND")) throw error;
 *   console.log(error.details.uri);
 * }
 * ```
 */
export class SnapshotError<Code extends SnapshotErrorCode = SnapshotErrorCode> extends Error {
  /** Always `"SnapshotError"`. */
  override readonly name = "SnapshotError";
  /** What went wrong. */
  readonly code: Code;
  /** What and where, as data. */
  readonly details: Readonly<SnapshotErrorDetails[Code]>;

  /**
   * Makes an error; the library throws it, applications only look at it.
   *
   * @param code What went wrong.
   * @param message `Cannot <verb> <what>: <reason>`.
   * @param details What and where, as data.
   * @param options The error beneath.
   */
  constructor(code: Code, message: string, details: SnapshotErrorDetails[Code], options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = details;
    Object.defineProperty(this, BRAND, { value: true });
  }
}

/**
 * Tells whether `error` is a {@link SnapshotError}, of the given code if one is given.
 *
 * Works across copies of the library (one from npm, one from JSR), where `instanceof` does not.
 *
 * @param error Anything that was thrown.
 * @param code The code to look for; any code if absent.
 * @returns Whether it is; narrows the type.
 */
export function isSnapshotError<Code extends SnapshotErrorCode = SnapshotErrorCode>(
  error: unknown,
  code?: Code,
): error is SnapshotError<Code> {
  try {
    if (typeof error !== "object" || error === null || !(BRAND in error)) return false;
    return code === undefined || (error as { code?: unknown }).code === code;
  } catch {
    return false; // it lets nobody look at it, a revoked Proxy for instance
  }
}

const FULL = new Set(["ENOSPC", "EDQUOT"]);

/**
 * The error a storage operation must fail with: `STORAGE_FULL` for a full disk or quota, else `STORAGE_FAILED`.
 *
 * @param operation Name of the operation, such as `rename`.
 * @param path What it was done to.
 * @param cause The error of the runtime.
 * @returns The error to throw.
 */
export function storageError(operation: string, path: string, cause: unknown): SnapshotError {
  if (isSnapshotError(cause)) return cause;
  const errno = errnoOf(cause);
  const reason = reasonOf(cause);
  const code = FULL.has(errno) ? "STORAGE_FULL" : "STORAGE_FAILED";
  return new SnapshotError(code, `Cannot ${operation} "${path}": ${reason}`, { operation, path, errno }, { cause });
}

/**
 * The system's own code of an error, such as `ENOENT`.
 *
 * @param error A runtime's error or a storage error of ours.
 * @returns The code, or the error's name where the runtime gives no code.
 */
export function errnoOf(error: unknown): string {
  if (isSnapshotError(error, "STORAGE_FAILED") || isSnapshotError(error, "STORAGE_FULL")) return error.details.errno;
  try {
    if (!(error instanceof Error)) return "UNKNOWN";
    const code = (error as { code?: unknown }).code;
    return typeof code === "string" ? code : String(error.name);
  } catch {
    return "UNKNOWN";
  }
}

/**
 * A readable reason out of anything that was thrown; never throws itself, or a failure would get lost.
 *
 * @param error Anything.
 * @returns Its message, or its text.
 */
export function reasonOf(error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error);
  } catch {
    return "something was thrown that has no text";
  }
}

/** An entry is not what the manifest says. */
export function corruptEntry(uri: string, path: string, expected: string, actual: string): SnapshotError {
  const message = `Cannot trust "${path}" in "${addressOf(uri)}": expected ${expected}, found ${actual}`;
  return new SnapshotError("SNAPSHOT_CORRUPT", message, { uri, path, expected, actual });
}

const NOT_ALLOWED = new Set(["EACCES", "EPERM", "NotCapable", "ERR_ACCESS_DENIED"]);
const NO_ROOM = new Set(["EROFS", "ENOSPC", "EDQUOT"]);

/** Whether the system, or the permissions of the runtime (Deno's, Node's `--permission`), refused a call to this user. */
export function isNotAllowed(error: unknown): boolean {
  return NOT_ALLOWED.has(errnoOf(error));
}

/** Whether a place has no room to give: it is full, read-only or not ours to write to. Another place may have some. */
export function hasNoRoom(error: unknown): boolean {
  return isNotAllowed(error) || NO_ROOM.has(errnoOf(error));
}
