// In `npm test` the three runtimes share the tests of some files: together they run all of them.
import type { RunnerTask, RunnerTestSuite } from "vitest";
import { describe, expect, it } from "vitest";
import { runtimes } from "../../tools/run.mjs";
import { skipOthers } from "../shares.ts";

type Tree = readonly (string | Tree)[];

/** What vitest collects of tests and suites, as far as shares read it; a test whose name begins with "-" is skipped anyway. */
function collected(tree: Tree): RunnerTestSuite {
  const name = "a suite";
  const tasks = tree.map((it) =>
    typeof it === "string" ? { type: "test", name: it, mode: it.startsWith("-") ? "skip" : "run" } : collected(it)
  );
  return { type: "suite", name, mode: "run", tasks } as unknown as RunnerTestSuite;
}

const running = (suite: RunnerTestSuite): string[] =>
  suite.tasks.flatMap((task: RunnerTask) =>
    task.type === "suite" ? running(task) : task.mode === "run" ? [task.name] : []
  );

/** The tests that each runtime runs, if `count` run each. */
function shares(
  tree: Tree,
  count: number,
  { from = 0, ...how }: { from?: number; isTogether?: boolean; of?: number } = {},
): string[][] {
  return runtimes.map((_, at) => {
    const suite = collected(tree);
    skipOthers(suite, from + at, count, how);
    return running(suite);
  });
}

const names = ["a", "b", "c", "d", "e"];
const layouts = ["1", "2", "3"].map((layout) => names.map((name) => `${name}${layout}`));

describe("the shares of the runtimes", () => {
  it("have each test once, or as often as there are to be runtimes that run it", () => {
    expect(shares([...names, ...layouts], 1).flat().sort()).toEqual([...names, ...layouts.flat()].sort());
    expect(shares([...names, ...layouts], 2).flat().sort()).toEqual(
      [...names, ...names, ...layouts.flat(), ...layouts.flat()].sort(),
    );
    for (const share of shares([...names, ...layouts], 3)) expect(share).toEqual([...names, ...layouts.flat()]);
  });

  it("have one in three tests of a sample, each once", () => {
    const tree = Array.from({ length: 18 }, (_, index) => String(index));
    expect(shares(tree, 1, { of: 9 }).map((share) => share.length)).toEqual([2, 2, 2]);
    expect(new Set(shares(tree, 1, { of: 9 }).flat()).size).toBe(6);
  });

  it("leave exactly what `npm run prove` runs", () => {
    const [first, rest] = [shares(layouts, 1), shares(layouts, 2, { from: 2 })];
    for (const [at, share] of first.entries()) {
      expect([...share, ...rest[at] ?? []].sort()).toEqual(layouts.flat().sort());
    }
  });

  it("have a part of each test that several suites have", () => {
    for (const share of shares(layouts, 1)) expect(share.map((name) => name.slice(0, 1)).sort()).toEqual(names);
  });

  it("have whole suites where tests build on one another", () => {
    expect(shares(layouts, 1, { isTogether: true })).toEqual([layouts[0], layouts[2], layouts[1]]);
  });

  it("have a test each that not every runtime can run", () => {
    for (const share of shares(["with zstd"], 1)) expect(share).toEqual(["with zstd"]);
  });

  it("have no test that is skipped anyway, and no suite without a test", () => {
    expect(shares(["-a", "b", "c", "-d"], 1)).toEqual([[], ["c"], ["b"]]);
    const suite = collected(layouts);
    skipOthers(suite, 0, 0);
    expect(suite.mode).toBe("skip");
  });
});
