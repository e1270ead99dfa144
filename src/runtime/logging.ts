// How the library speaks: LogTape, silent until the application configures it; and the runtime's own warnings for what a
// user must see in any case. The only file that knows LogTape.
import process from "node:process";
import { getConfig, getLogger, type Logger } from "@logtape/logtape";

/**
 * Logger of one class of the library, in the category `["snapkeep", className]`.
 *
 * @param className Name of the class that logs.
 * @returns The logger; it prints nothing unless the application configures LogTape.
 */
export function loggerOf(className: string): Logger {
  return getLogger(["snapkeep", className]);
}

/** One kind of warning that a user must see. */
export interface UserWarning {
  /** Name of the class that warns; the log category. */
  readonly className: string;
  /** What the warning is about, as a constant such as `SNAPSHOT_DAMAGED`; the `code` of the process warning. */
  readonly kind: string;
  /** Address of the place or snapshot that it is about. */
  readonly address: string;
  /** The whole message, with the way out. */
  readonly message: string;
}

// Shared by all copies of the library in this process.
const WARNED = Symbol.for("snapkeep.warned");

/**
 * Warns the user: through LogTape where the application configured it, otherwise through `process.emitWarning` with the type
 * `SnapkeepWarning`, once per process for each kind and address.
 *
 * @param warning What to say.
 */
export function warnUser({ className, kind, address, message }: UserWarning): void {
  if (getConfig() !== null) {
    loggerOf(className).warn("{message}", { kind, address, message });
    return;
  }
  const scope = globalThis as { [WARNED]?: Set<string> };
  const warned = scope[WARNED] ??= new Set();
  const key = `${kind} ${address}`;
  if (warned.has(key)) return;
  warned.add(key);
  process.emitWarning(message, { type: "SnapkeepWarning", code: kind });
}
