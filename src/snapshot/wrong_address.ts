// Errors of an address without a snapshot, with the address that the caller may have meant.
import { fileBackend } from "../file/file_backend.ts";
import { pathOfUri, showAddress, uriOfUnit } from "../model/address.ts";
import type { Backend } from "../model/backend.ts";
import { faultOfSnapshotName } from "../model/entry_path.ts";
import { isSnapshotError, SnapshotError } from "../model/errors.ts";
import { nearest } from "../model/options.ts";
import { splitUnit, type Unit } from "../model/unit.ts";

const MOST_COMPARED = 1000;

/** Returns the error of an open with the way out, or the error itself where there is none to tell. */
export async function withWayOut(backend: Backend, unit: Unit, cause: unknown): Promise<unknown> {
  try {
    if (isSnapshotError(cause, "SNAPSHOT_NOT_FOUND")) return await withNearest(backend, unit, cause);
    return isSnapshotError(cause, "MANIFEST_MISSING") ? await asFolderOfSnapshots(backend, unit, cause) : cause;
  } catch {
    return cause; // it tells more than a listing that fails
  }
}

/** The error with the snapshot at the place whose name is most like the one that was not found. */
async function withNearest(backend: Backend, unit: Unit, cause: SnapshotError<"SNAPSHOT_NOT_FOUND">) {
  if (/^https?:/.test(backend.uri)) return cause; // there is one
  const names: string[] = [];
  for await (const listed of backend.list()) names.push(listed.replace(/\/$/, ""));
  const place = showAddress(backend.uri);
  const own = unit.replace(/\/$/, "");
  const near = nearest(own, names.slice(-MOST_COMPARED), Math.ceil(own.length / 2));
  const remedy = names.length === 0
    ? `${place} has no snapshots; check the path and the working directory`
    : near === undefined
    ? `check the path and the working directory; no snapshot in ${place} has a name like it`
    : `the nearest in ${place} is "${near}"; store.list() has all`;
  return new SnapshotError("SNAPSHOT_NOT_FOUND", `${cause.message}; ${remedy}`, cause.details, { cause });
}

/** A better error where the address is that of a store: a folder that holds snapshots and is none itself. */
async function asFolderOfSnapshots(backend: Backend, unit: Unit, cause: SnapshotError<"MANIFEST_MISSING">) {
  const uri = uriOfUnit(backend, unit);
  if (!uri.startsWith("file:")) return cause;
  const folder = fileBackend(pathOfUri(uri));
  const units: Unit[] = [];
  for await (const listed of folder.list()) {
    const { name } = splitUnit(listed) ?? {};
    if (name !== undefined && faultOfSnapshotName(name) === undefined) units.push(listed);
  }
  const newest = units.at(-1);
  if (newest === undefined) return cause;
  const remedy = "resume from the newest with store.resume(), or name one of them, such as " +
    showAddress(uriOfUnit(folder, newest));
  const snapshots = units.length === 1 ? "1 snapshot" : `${units.length} snapshots`;
  const message = `Cannot open ${showAddress(uri)}: it is a folder of ${snapshots} and no snapshot itself; ${remedy}`;
  return new SnapshotError("MANIFEST_MISSING", message, cause.details, { cause });
}
