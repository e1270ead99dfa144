// Whose snapshots a place holds: the program that saves them, and the one run of it.
import { showAddress } from "../model/address.ts";
import { SnapshotError } from "../model/errors.ts";
import { quoted } from "../model/entry_path.ts";
import type { SnapshotLocator } from "../snapshot/locator.ts";

const CONTROL = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

/**
 * The programs whose snapshots a store takes for its own.
 *
 * @param program One name, or several of which the first is recorded.
 * @returns The names; none where none was given.
 * @throws {TypeError} If a name is empty, has control characters or is not a string.
 */
export function programsOf(program: string | readonly string[] | undefined): readonly string[] {
  if (program === undefined) return [];
  const programs: readonly unknown[] = Array.isArray(program) ? [...program] : [program];
  if (programs.length === 0) throw new TypeError("Cannot make a store: program must have at least one name");
  return programs.map((name) => assertIdentity("program", name));
}

/**
 * The id of a run.
 *
 * @param run The id; a random one unless given.
 * @returns The id.
 * @throws {TypeError} If it is empty, has control characters or is not a string.
 */
export function runOf(run: string | undefined): string {
  return run === undefined ? globalThis.crypto.randomUUID() : assertIdentity("run", run);
}

function assertIdentity(option: string, value: unknown): string {
  if (typeof value === "string" && value !== "" && !CONTROL.test(value)) return value;
  const found = typeof value === "string" ? quoted(value) : String(value);
  throw new TypeError(
    `Cannot make a store: ${option} must be a string without control characters, not empty, but is ${found}`,
  );
}

/**
 * Throws if a snapshot was saved by another program; a snapshot or a store without a name matches all.
 *
 * @param action What is to be done, for the message: `resume from`.
 * @param snapshot The snapshot, or its address.
 * @param programs The programs of the store.
 * @param found The program of the snapshot.
 * @throws {SnapshotError} `PROGRAM_MISMATCH`.
 */
export function assertProgram(
  action: string,
  snapshot: SnapshotLocator | string,
  programs: readonly string[],
  found: string | undefined,
): void {
  if (found === undefined || programs.length === 0 || programs.includes(found)) return;
  const uri = String(snapshot);
  const own = programs.map(quoted).join(", ");
  throw new SnapshotError(
    "PROGRAM_MISMATCH",
    `Cannot ${action} ${showAddress(uri)}: the program ${quoted(found)} saved it, and this store is of ${own}; ` +
      "use one folder per program, or name both programs in the option program",
    { uri, expected: programs, found },
  );
}
