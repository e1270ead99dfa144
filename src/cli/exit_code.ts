// Exit codes, and which of them an error stands for.
import { isSnapshotError } from "../model/errors.ts";
import { isDamage } from "../snapshot/verification.ts";

/** How a command ended. */
export const EXIT = { done: 0, failed: 1, usage: 2, partly: 3, damage: 4, interrupted: 130, terminated: 143 } as const;

/** An exit code. */
export type ExitCode = typeof EXIT[keyof typeof EXIT];

/** A mistake on the command line. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** A signal has ended the command. */
export class Interruption extends Error {
  override readonly name = "Interruption";
  /** The exit code. */
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode) {
    super("interrupted");
    this.exitCode = exitCode;
  }
}

/** The exit code of an error that ended a command. */
export function exitCodeOf(error: unknown): ExitCode {
  if (isSnapshotError(error, "CLEANUP_FAILED") && error.details.removed.length > 0) return EXIT.partly;
  if (isDamage(error)) return EXIT.damage;
  const isMistake = error instanceof UsageError || error instanceof TypeError || error instanceof RangeError;
  return isMistake ? EXIT.usage : EXIT.failed;
}
