// In `npm test` of all files, each runtime runs a share of the tests that take long: a test of the files that tools/proofs.mjs
// lists as `whole` runs on one of the three runtimes, and is skipped on the others. Neighbouring tests go to different runtimes,
// and so do equal tests of neighbouring suites: of a test that runs in each layout and backend, every runtime runs a part.
// `npm run prove` runs the rest: such a test on the other two, and on all three where `npm test` has less of the file.
import path from "node:path";
import { type RunnerTestFile, type RunnerTestSuite, TestRunner } from "vitest";
import { isLong, isTaste, proofs } from "../tools/proofs.mjs";
import { root, runtimes } from "../tools/run.mjs";
import { amount, runtime } from "./torture/budget.ts";

const listed = proofs["whole"]?.files ?? [];

/** What other proofs run in a long form. */
const longer = new Set(Object.entries(proofs).flatMap(([name, { files }]) => name === "whole" ? [] : files));

/** Of these, `npm test` runs one test in so many: an object store takes its time. */
const oneIn = (name: string) => name.startsWith("test/s3/") ? 3 : 1;

/** In these, tests of a suite build on one another, and go to one runtime. */
const together = /^test\/(?:cli|examples|faults)\//;

/** Suites and tests that not every runtime can run, by what their names say: they run wherever they can. */
const conditional = /zst|by Bun|that may touch the states' folder only/;

/**
 * Skips the tests that other runtimes run, and the suites of which none is left.
 *
 * @param at The place of the suite among its neighbours and of the runtime among the three, added up. The same sum of a test,
 *   modulo `of`, is less than `count` if the test runs here.
 * @param count The number of runtimes that run each test, if `of` is the number of runtimes.
 * @param isTogether Whether all tests of a suite within go to one runtime.
 */
export function skipOthers(
  suite: RunnerTestSuite,
  at: number,
  count: number,
  { isTogether = false, of = runtimes.length as number, step = 1 } = {},
): void {
  for (const [index, task] of suite.tasks.entries()) {
    const sum = at + index * step;
    if (conditional.test(task.name)) continue;
    if (task.type === "suite") skipOthers(task, sum, count, { isTogether, of, step: isTogether ? 0 : 1 });
    else if (task.mode === "run" && sum % of >= count) {
      task.mode = "skip";
      task.result = { state: "skip" };
    }
  }
  if (suite.tasks.every(({ mode }) => mode === "skip")) suite.mode = "skip";
}

export default class SharesRunner extends TestRunner {
  /** vitest calls this when it has collected the tests of a file, before it runs them. */
  onCollected(files: RunnerTestFile[]): void {
    if (!isLong && !isTaste()) return;
    for (const file of files) {
      const name = path.relative(root, file.filepath).split(path.sep).join("/");
      const place = listed.indexOf(name);
      const isSampled = oneIn(name) > 1;
      if (place < 0 || isLong && (longer.has(name) || isSampled)) continue;
      const count = amount("whole", "runtimes");
      const at = place + runtimes.indexOf(runtime);
      // The sums that are not below the other runtimes' number, modulo 3, are those below `count` when `count` is added.
      skipOthers(file, isLong ? at + count : at, count, {
        isTogether: together.test(name),
        of: runtimes.length * oneIn(name),
      });
    }
  }
}
