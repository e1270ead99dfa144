// How the library speaks: LogTape, silent until the application configures it. The only file that knows LogTape.
import { getLogger, type Logger } from "@logtape/logtape";

/**
 * Logger of one class of the library, in the category `["snapkeep", className]`.
 *
 * @param className Name of the class that speaks.
 * @returns The logger; it prints nothing unless the application configures LogTape.
 */
export function loggerOf(className: string): Logger {
  return getLogger(["snapkeep", className]);
}
