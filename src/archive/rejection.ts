// Why an archive is refused: a closed list of reasons, each with where it was found.
import { SnapshotError } from "../words/errors.ts";
import type { RejectionReason } from "../words/errors.ts";

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
  const message = `Cannot read the archive "${uri}": ${what} (${reason} at byte ${offset})`;
  return new SnapshotError("ARCHIVE_REJECTED", message, { uri, reason, offset }, { cause });
}
