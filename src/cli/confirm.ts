// The question before something is deleted.
import process from "node:process";
import { createInterface } from "node:readline/promises";
import type { Context } from "./command.ts";
import { UsageError } from "./exit_code.ts";
import { visible } from "./visible.ts";

/**
 * Asks on the terminal.
 *
 * @param context Aborts the question.
 * @param question What is to be done.
 * @param isSure Whether `--yes` was given.
 * @returns Whether to do it.
 * @throws {UsageError} If there is no terminal to ask on.
 */
export async function confirm(context: Context, question: string, isSure: boolean): Promise<boolean> {
  if (isSure) return true;
  if (process.stdin.isTTY !== true || process.stderr.isTTY !== true) {
    throw new UsageError(`${question} There is no terminal to ask on; give --yes, or --dry-run to see the plan`);
  }
  // Without line editing, Ctrl-C stays a signal of the terminal.
  const terminal = createInterface({ input: process.stdin, output: process.stderr, terminal: false });
  try {
    const answer = await terminal.question(`${visible(question)} [y/N] `, { signal: context.signal });
    return /^y(?:es)?$/i.test(answer.trim());
  } finally {
    terminal.close();
    process.stdin.pause();
  }
}
