// Why an archive is refused: a closed list of reasons, each with where it was found.
import { showAddress } from "../model/address.ts";
import { CompressionFault } from "../compression/codec.ts";
import { MAX_MANIFEST_BYTES } from "../manifest/manifest.ts";
import { type RejectionReason, SnapshotError } from "../model/errors.ts";
import { MANIFEST_PATH } from "../model/unit.ts";
import { TableFault } from "./table.ts";

/**
 * The error for an archive that breaks a rule.
 *
 * @param uri Address of the archive.
 * @param reason Which rule.
 * @param offset Where, in bytes: of the tar stream, or of the file for reasons of compression, table and footer.
 * @param what What was found, for people.
 * @param cause The error beneath.
 */
export function rejected(
  uri: string,
  reason: RejectionReason,
  offset: number,
  what: string,
  cause?: unknown,
): SnapshotError {
  const message = `Cannot read the archive ${showAddress(uri)}: ${what} (${reason} at byte ${offset})`;
  return new SnapshotError("ARCHIVE_REJECTED", message, { uri, reason, offset }, { cause });
}

/** What went wrong, as a rejection where codec or table said it. */
export function asRejection(error: unknown, uri: string): unknown {
  if (error instanceof CompressionFault) return rejected(uri, error.reason, error.offset, error.message, error);
  if (error instanceof TableFault) return rejected(uri, "TABLE_INVALID", 0, error.message, error);
  return error;
}

/** Before anything is believed: what is to be read into memory has a limit. */
export function assertManifestSize(sizeBytes: number, uri: string): void {
  if (sizeBytes <= MAX_MANIFEST_BYTES) return;
  const reason = `it is larger than ${MAX_MANIFEST_BYTES} bytes`;
  throw new SnapshotError("MANIFEST_INVALID", `Cannot read the manifest of ${showAddress(uri)}: ${reason}`, {
    uri,
    reason,
  });
}

/**
 * The error for a sound archive that is no snapshot. People tar a folder from outside, where the manifest is not at the top.
 *
 * @param uri Address of the archive.
 * @param paths Its files, where they are known.
 */
export function manifestMissing(uri: string, paths: Iterable<string> = []): SnapshotError {
  const nested = [...paths].find((path) => path.split("/").indexOf(MANIFEST_PATH) === 1);
  const top = nested?.split("/")[0];
  const reason = top === undefined
    ? `it is an archive without ${MANIFEST_PATH} and no snapshot`
    : `its ${MANIFEST_PATH} lies under "${top}/"; pack from within the folder: tar -czf "${top}.tar.gz" -C "${top}" .`;
  return new SnapshotError("MANIFEST_MISSING", `Cannot open ${showAddress(uri)}: ${reason}`, { uri });
}
