// In `npm test` of all files, tests of the files that tools/proofs.mjs lists as `whole` take turns: each runs on one of the three
// runtimes, and is skipped on the others. Neighbours have different turns, and so have equal tests of neighbouring suites: of a
// test that runs in each layout and backend, every runtime runs a part.
import path from "node:path";
import { type RunnerTestFile, type RunnerTestSuite, TestRunner } from "vitest";
import { proofs } from "../tools/proofs.mjs";
import { root, runtimes } from "../tools/run.mjs";
import { amount, runtime } from "./torture/budget.ts";

const listed = proofs["whole"]?.files ?? [];

/** In these, tests of a suite build on one another: whole suites take turns. */
const together = /^test\/(?:examples|faults)\//;

/**
 * Skips the tests whose turn it is not, and the suites of which none is left.
 *
 * @param first The turn of the first test, which counts from the runtime: the tests of turns below `taken` run, modulo 3.
 * @param isTogether Whether all tests of a suite within have one turn.
 */
export function skipOthers(suite: RunnerTestSuite, first: number, taken: number, isTogether: boolean, step = 1): void {
  for (const [index, task] of suite.tasks.entries()) {
    const turn = first + index * step;
    if (task.type === "suite") skipOthers(task, turn, taken, isTogether, isTogether ? 0 : 1);
    else if (task.mode === "run" && turn % runtimes.length >= taken) {
      task.mode = "skip";
      task.result = { state: "skip" };
    }
  }
  if (suite.tasks.every(({ mode }) => mode === "skip")) suite.mode = "skip";
}

export default class TurnsRunner extends TestRunner {
  /** vitest calls this when it has collected the tests of a file, before it runs them. */
  onCollected(files: RunnerTestFile[]): void {
    const taken = amount("whole", "runtimes");
    for (const file of files) {
      const name = path.relative(root, file.filepath).split(path.sep).join("/");
      const place = listed.indexOf(name);
      if (place >= 0) skipOthers(file, place + runtimes.indexOf(runtime), taken, together.test(name));
    }
  }
}
