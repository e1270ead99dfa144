// Everything that can go wrong in the world, as one closed list. A caller's mistake is a TypeError or RangeError
// instead, thrown before any I/O; so a SnapshotError always speaks of data, storage or a state's own code.

import { showAddress } from "./address.ts";
import { assertString } from "./options.ts";

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

/** Details of each {@link SnapshotError} code. */
export interface SnapshotErrorDetails {
  /**
   * A state of this name, or of one that some file systems confuse with it, is registered already. Remedy: choose
   * another name, or call `unregister()` first.
   */
  STATE_ALREADY_REGISTERED: { state: string; registered: string };
  /**
   * A state name or snapshot name is not safe and portable. Remedy: use letters, digits, `-`, `_` and `.`; `reason`
   * names the rule.
   */
  NAME_UNSAFE: { name: string; reason: string };
  /** An entry path is not safe and portable. Remedy: use a relative path with `/`; `reason` names the rule. */
  ENTRY_PATH_UNSAFE: { path: string; reason: string };
  /**
   * An entry path equals or collides with an existing one. Remedy: give each entry of a state its own path, which
   * differs by more than case.
   */
  ENTRY_EXISTS: { path: string; existing: string };
  /**
   * The snapshot has no such entry. Remedy: compare the path with the nearest ones in the message; test with
   * `from.has(path)`; migrate older versions.
   */
  ENTRY_NOT_FOUND: { path: string };
  /**
   * The JSON value of an entry does not match the schema. `issues` has each mismatch with its place, such as
   * `$.weights[3]`. Remedy: raise the version of the state and add a migration, or correct the schema.
   */
  ENTRY_INVALID: { uri: string; path: string; issues: readonly { readonly place: string; readonly message: string }[] };
  /**
   * A body has another size than its `sizeBytes`. Remedy: omit `sizeBytes`, or keep the source from changing during
   * the save.
   */
  ENTRY_SIZE_MISMATCH: { path: string; expectedBytes: number; actualBytes: number };
  /**
   * A snapshot of this name exists; nothing was overwritten. Remedy: remove or rename it, or choose another target.
   */
  SNAPSHOT_EXISTS: { name: string; uri: string };
  /**
   * No name can follow the newest one, which stands for the end of the year 9999. Remedy: correct the clock, then
   * rename or remove that snapshot.
   */
  NAMES_EXHAUSTED: { latest: string };
  /**
   * No snapshot exists at this address. Remedy: check the path and the working directory; `store.list()` has all
   * addresses.
   */
  SNAPSHOT_NOT_FOUND: { uri: string };
  /** The snapshot was removed while it was read. Remedy: list again; pin what must stay. */
  SNAPSHOT_GONE: { uri: string };
  /** The file at the address was replaced while it was read. Remedy: read again; publish files under new names. */
  SNAPSHOT_CHANGED: { uri: string };
  /**
   * Bytes differ from those that were saved. Remedy: load an older snapshot or a copy, and check the disk;
   * `resume()` skips damaged ones.
   */
  SNAPSHOT_CORRUPT: { uri: string; path: string; expected: string; actual: string };
  /**
   * The unit has no manifest: it was never committed, or is not a snapshot. Remedy: pass the folder or archive that
   * has `manifest.json` at its root.
   */
  MANIFEST_MISSING: { uri: string };
  /**
   * The manifest is damaged or breaks its own rules. Remedy: load an older snapshot or a copy; do not edit
   * manifests.
   */
  MANIFEST_INVALID: { uri: string; reason: string };
  /** The snapshot has a format that this version cannot read. Remedy: update snapkeep. */
  FORMAT_UNSUPPORTED: { uri: string; found: string; supported: string };
  /**
   * The snapshot lacks registered states; no state changed. Remedy: pass `allowMissing`, or list the former names in
   * `formerly`.
   */
  STATE_MISSING: { uri: string; states: readonly string[] };
  /**
   * The archive breaks a rule of the format, or is damaged. `offset` counts bytes of the tar stream, or of the file.
   * Remedy: copy or download it again; the threat model lists each `reason`.
   */
  ARCHIVE_REJECTED: { uri: string; reason: RejectionReason; offset: number };
  /**
   * This runtime cannot read or write this compression. Remedy: use `tar.gz`, or a runtime that `available` names.
   */
  COMPRESSION_UNAVAILABLE: { compression: string; available: string };
  /**
   * A saved state is newer than that of the program, or a migration is missing. No state changed. Remedy: update the
   * program, or add the migration.
   */
  STATE_INCOMPATIBLE: { uri: string; state: string; found: number; supported: number };
  /**
   * There are snapshots, but `resume()` can use none. `tried` has each with the reason. Remedy: repair what the
   * reasons say, or call `startFresh()` to start without them.
   */
  RESUME_REFUSED: { uri: string; tried: readonly { readonly snapshot: string; readonly reason: string }[] };
  /** Another program saved the snapshot. Remedy: use one folder per program, or list both names in `program`. */
  PROGRAM_MISMATCH: { uri: string; expected: readonly string[]; found: string };
  /**
   * The folder holds snapshots, and the program has loaded none. Remedy: call `resume()` before the first save, or
   * `startFresh()`.
   */
  RESUME_FIRST: { uri: string; snapshots: number; newest: string };
  /**
   * A load or rollback failed after it had called states; they may hold a mixture. Remedy: load a snapshot
   * completely, or call `startFresh()`; pass `rollback` to the load.
   */
  STATES_TORN: { uri: string; states: readonly string[] };
  /**
   * States that the loaded snapshot holds were registered after the load. Remedy: register all states before
   * `resume()`, or load them with `only`.
   */
  STATE_NOT_LOADED: { uri: string; snapshot: string; states: readonly string[] };
  /**
   * Another run has saved to the folder since this store last listed it, and the store is `exclusive`. Remedy: stop
   * the other run, then `resume()` or `startFresh()`.
   */
  STORE_SHARED: { uri: string; snapshot: string; run: string; otherRun: string };
  /** The maximum number of saves is waiting. Remedy: save less often, await saves, or pass `ifBusy: "join"`. */
  SAVE_BACKLOG: { uri: string; waiting: number };
  /** The `saveState` of a state failed; nothing became visible. Remedy: see `cause`. */
  STATE_SAVE_FAILED: { state: string };
  /**
   * The `loadState` of a state failed, after those in `loaded` were loaded. Remedy: see `cause`; load again, or pass
   * `rollback`.
   */
  STATE_LOAD_FAILED: { uri: string; state: string; loaded: readonly string[] };
  /**
   * A sweep removed the stage, because its writer had no heartbeat for too long. Remedy: save again; keep the event
   * loop free, and the clocks equal.
   */
  STAGE_LOST: { unit: string };
  /**
   * An action was in flight when a program ended: it may have happened or not. Remedy: ask the outside world for it by its key; then call
   * `once` with `inFlight: "run"`, with a function that repeats it or returns its known outcome.
   */
  LEDGER_IN_FLIGHT: { key: string; startedAt: string };
  /** The storage is full (ENOSPC, EDQUOT). Remedy: clean up and save again. */
  STORAGE_FULL: { operation: string; path: string; errno: string };
  /** The storage failed. Remedy: see `errno`: check permissions, mounts and limits of open files. */
  STORAGE_FAILED: { operation: string; path: string; errno: string };
  /**
   * The object store refused the request: wrong keys, an expired token or a missing permission. Remedy: check the
   * credentials and the policy of the bucket.
   */
  STORAGE_FORBIDDEN: { operation: string; path: string; errno: string };
  /** The object store asked for fewer requests, also after retries. Remedy: try again later. */
  STORAGE_THROTTLED: { operation: string; path: string; errno: string };
  /**
   * The object store gave no answer, also after retries. It is unknown what it holds. Remedy: check the endpoint and
   * the network, then try again.
   */
  STORAGE_UNREACHABLE: { operation: string; path: string; errno: string };
  /**
   * The object store ignores conditional writes, so two programs could overwrite each other. Nothing was saved.
   * Remedy: use another store, or pass `withoutConditions: true` if only one program writes at a time.
   */
  CONDITIONS_IGNORED: { uri: string };
  /** An optional package that this needs cannot be imported. Remedy: install it; the message has the command. */
  PACKAGE_MISSING: { package: string };
  /**
   * The snapshot is visible, but may not survive a power loss. On an object store: the answer to the commit was lost,
   * and the store cannot be asked whether the snapshot is visible. Remedy: list again; save again, and check the disk
   * or the network.
   */
  COMMIT_UNCERTAIN: { uri: string };
  /**
   * Some snapshots could not be removed; the others were. Remedy: see `failed` and `cause`; the next cleanup
   * retries.
   */
  CLEANUP_FAILED: { removed: readonly string[]; failed: readonly string[] };
}

/** Closed list of error codes; see {@link SnapshotErrorDetails}. */
export type SnapshotErrorCode = keyof SnapshotErrorDetails;

// Marks errors across copies of the library, where instanceof fails.
const BRAND = Symbol.for("snapkeep.SnapshotError");

/**
 * A failure of storage, data, or a state's own code.
 *
 * `code` names the failure, `details` has its data, and `cause` the underlying error, if there is one.
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
   * @throws {TypeError} If the message is not a string.
   */
  constructor(code: Code, message: string, details: SnapshotErrorDetails[Code], options?: ErrorOptions) {
    assertString("make an error", "its message", message);
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
    return false; // it cannot be examined, for instance a revoked Proxy
  }
}

const FULL = new Set(["ENOSPC", "EDQUOT"]);

const PERMISSIONS = "check the permissions of the program there";
const FILES = "raise the limit of open files, or close some";
const REMEDIES: Readonly<Record<string, string>> = {
  EACCES: PERMISSIONS,
  EPERM: PERMISSIONS,
  NotCapable: PERMISSIONS,
  ERR_ACCESS_DENIED: PERMISSIONS,
  ENOTDIR: "a file lies where a folder is expected",
  EROFS: "the file system is read-only",
  EMFILE: FILES,
  ENFILE: FILES,
  ENOSPC: "free some space and save again",
  EDQUOT: "free some space and save again",
};

/**
 * The error a storage operation must fail with: `STORAGE_FULL` for a full disk or quota, else `STORAGE_FAILED`.
 *
 * @param operation Name of the operation, such as `rename`.
 * @param path What it was done to.
 * @param cause The error of the runtime.
 * @returns The error to throw.
 * @throws {TypeError} If the operation or path is not a string.
 */
export function storageError(operation: string, path: string, cause: unknown): SnapshotError {
  assertString("make an error", "its operation", operation);
  assertString("make an error", "its path", path);
  if (isSnapshotError(cause)) return cause;
  const errno = errnoOf(cause);
  const remedy = REMEDIES[errno];
  // The runtime repeats the call and its paths, each in another form.
  const reason = reasonOf(cause).replace(/, \w+ '.*'$/s, "") + (remedy === undefined ? "" : `; ${remedy}`);
  const code = FULL.has(errno) ? "STORAGE_FULL" : "STORAGE_FAILED";
  return new SnapshotError(code, `Cannot ${operation} ${showAddress(path)}: ${reason}`, { operation, path, errno }, {
    cause,
  });
}

/**
 * The system's own code of an error, such as `ENOENT`.
 *
 * @param error A runtime's error or a storage error of ours.
 * @returns The code, or the error's name where the runtime gives no code.
 */
export function errnoOf(error: unknown): string {
  if (isSnapshotError(error) && error.code.startsWith("STORAGE_")) {
    return (error.details as SnapshotErrorDetails["STORAGE_FAILED"]).errno;
  }
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
  const message = `Cannot trust "${path}" in ${showAddress(uri)}: expected ${expected}, found ${actual}`;
  return new SnapshotError("SNAPSHOT_CORRUPT", message, { uri, path, expected, actual });
}

const NOT_ALLOWED = new Set(["EACCES", "EPERM", "NotCapable", "ERR_ACCESS_DENIED"]);
const NO_ROOM = new Set(["EROFS", "ENOSPC", "EDQUOT"]);
const OUT_OF_REACH: ReadonlySet<SnapshotErrorCode> = new Set<SnapshotErrorCode>([
  "STORAGE_FORBIDDEN",
  "STORAGE_THROTTLED",
  "STORAGE_UNREACHABLE",
]);

/** Whether the system, or the permissions of the runtime (Deno's, Node's `--permission`), refused a call to this user. */
export function isNotAllowed(error: unknown): boolean {
  return NOT_ALLOWED.has(errnoOf(error));
}

/** Whether an object store did not let anybody look: it gave no answer, refused, or asked for fewer requests. */
export function isOutOfReach(error: unknown): boolean {
  return isSnapshotError(error) && OUT_OF_REACH.has(error.code);
}

/** Whether a place has no room to give: it is full, read-only or not ours to write to. Another place may have some. */
export function hasNoRoom(error: unknown): boolean {
  return isNotAllowed(error) || NO_ROOM.has(errnoOf(error));
}
