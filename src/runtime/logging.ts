// How the library speaks: LogTape, silent until the application configures it; and the runtime's own warnings for what a
// user must see in any case. The only file that knows LogTape.
import process from "node:process";

type LogTape = typeof import("@logtape/logtape");

/** What a class of the library logs with; messages have LogTape's placeholders. */
export interface Log {
  /** What only helps to find a fault. */
  debug(message: string, properties: Record<string, unknown>): void;
  /** What happened. */
  info(message: string, properties: Record<string, unknown>): void;
  /** What may need attention. */
  warn(message: string, properties: Record<string, unknown>): void;
  /** A failure that no caller learns of. */
  error(message: string, properties: Record<string, unknown>): void;
}

let logTape: LogTape | undefined;
let loading: Promise<void> | undefined;

/** Calls `action` with LogTape: at once where it is loaded, else as soon as it is, in order; without it where it cannot be. */
function withLogTape(action: (logTape: LogTape | undefined) => void): void {
  if (logTape !== undefined) action(logTape);
  else void loadLogTape().then(() => action(logTape));
}

/** A program pays for LogTape only once it uses the library: importing it takes as long as importing all of ours. */
async function loadLogTape(): Promise<void> {
  loading ??= import("@logtape/logtape").then((module) => void (logTape = module), () => {});
  await loading;
}

/**
 * Logger of one class of the library, in the category `["snapkeep", className]`. The first one has LogTape loaded.
 *
 * @param className Name of the class that logs.
 * @returns The logger; it prints nothing unless the application configures LogTape.
 */
export function loggerOf(className: string): Log {
  void loadLogTape();
  const category = ["snapkeep", className];
  const write =
    (level: "debug" | "info" | "warn" | "error") => (message: string, properties: Record<string, unknown>) =>
      withLogTape((logTape) => logTape?.getLogger(category)[level](message, properties));
  return {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
  };
}

/** One kind of warning that a user must see. */
export interface UserWarning {
  /** Name of the class that warns; the log category. */
  readonly className: string;
  /** What the warning is about, as a constant such as `SNAPSHOT_DAMAGED`; the `code` of the process warning. */
  readonly kind: string;
  /** Address of the place or snapshot that it is about, or the value. */
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
  withLogTape((logTape) => {
    if (logTape !== undefined && logTape.getConfig() !== null) {
      logTape.getLogger(["snapkeep", className]).warn("{message}", { kind, address, message });
      return;
    }
    const scope = globalThis as { [WARNED]?: Set<string> };
    const warned = scope[WARNED] ??= new Set();
    const key = `${kind} ${address}`;
    if (warned.has(key)) return;
    warned.add(key);
    process.emitWarning(message, { type: "SnapkeepWarning", code: kind });
  });
}
