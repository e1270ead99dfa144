// The process around a command: signals, warnings, exit codes.
import process from "node:process";
import { EXIT, Interruption } from "./exit_code.ts";
import { runCommandLine } from "./program.ts";
import { visible } from "./visible.ts";

/** Runs the command line of this process, and ends the process. */
export async function main(): Promise<void> {
  const interruption = new AbortController();
  for (const [signal, code] of [["SIGINT", EXIT.interrupted], ["SIGTERM", EXIT.terminated]] as const) {
    process.on(signal, () => {
      if (interruption.signal.aborted) process.exit(code); // the second one does not wait for the cleanup
      interruption.abort(new Interruption(code));
    });
  }
  // The runtime would print warnings of the library as they are, with names that are not safe on a terminal.
  process.removeAllListeners("warning");
  process.on("warning", ({ message }) => {
    if (!message.startsWith("NodeVersionSupportWarning")) process.stderr.write(`${visible(`warning: ${message}`)}\n`);
  });
  const code = await runCommandLine(process.argv.slice(2), interruption.signal);
  for (const stream of [process.stdout, process.stderr]) {
    await new Promise<void>((resolve) => stream.write("", () => resolve()));
  }
  process.exit(code);
}
