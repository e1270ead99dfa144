// One life of the trainer: from its start to its end, or to the moment its parent kills it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Done, Report } from "./report.ts";

/** How a life ended. */
export interface Ending {
  /** What the trainer said last; absent if it was killed before. */
  readonly done: Done | undefined;
  /** Whether it was writing a snapshot just then. */
  readonly wasSaving: boolean;
}

/**
 * Starts the trainer and follows it to its end.
 *
 * @param args Its arguments.
 * @param onReport Told what it tells.
 * @param killAfterMs Asked at each report until it says in how many milliseconds to kill the trainer.
 * @param signal What to kill it with.
 * @returns How it ended.
 * @throws {Error} If it failed by itself.
 */
export async function runTrainer(
  args: readonly string[],
  onReport: (report: Report) => void,
  killAfterMs: (report: Report) => number | undefined = () => undefined,
  signal: NodeJS.Signals = "SIGKILL",
): Promise<Ending> {
  // The trainer lies beside this file, as .ts among the sources and as .js when built; the runtime that runs this runs it.
  const here = fileURLToPath(import.meta.url);
  const trainer = path.join(path.dirname(here), `trainer${path.extname(here)}`);
  const child = spawn(process.execPath, [trainer, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const closed = once(child, "close");
  let done: Ending["done"];
  let wasSaving = false;
  let isKilled = false;
  let killing: ReturnType<typeof setTimeout> | undefined;

  function kill(): void {
    if (child.pid === undefined || child.exitCode !== null) return;
    // SIGKILL cannot be caught: no handler, no `finally`, no flush. For the program it is as if the power went out.
    isKilled = process.kill(child.pid, signal);
  }

  for await (const line of createInterface({ input: child.stdout })) {
    const report = JSON.parse(line) as Report;
    if (report.kind === "done") done = report;
    if (report.kind === "saving") wasSaving = true;
    if (report.kind === "saved") wasSaving = false;
    onReport(report);
    const afterMs = killing === undefined ? killAfterMs(report) : undefined;
    if (afterMs !== undefined) killing = setTimeout(kill, afterMs);
  }
  clearTimeout(killing);
  const [code, endedBy] = await closed as [number | null, string | null];
  if (done === undefined && !isKilled) throw new Error(`The trainer failed: ${endedBy ?? `exit code ${code}`}`);
  return { done, wasSaving };
}
