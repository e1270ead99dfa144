// The suites notice when a safeguard is gone: a sample in the long form, all by `node tools/torture/mutants.mjs`.
import path from "node:path";
import process from "node:process";
import { expect, it } from "vitest";
import { root, run } from "../../tools/run.mjs";
import { amount, limitMs, report, runtime, skipped } from "./budget.ts";

const SAMPLE = amount("mutants", "sample");
const SEED = amount("mutants", "seed");
const BEGUN_WITHIN_MINUTES = amount("mutants", "minutes");

// Mutants are the same everywhere; one runtime is enough. They are not tried within a copy that tries mutants.
const isElsewhere = runtime !== "node" || path.basename(root).startsWith("mutants-") || SAMPLE === 0;
if (isElsewhere) skipped("mutants", "they run on Node, in the long form");

it.skipIf(isElsewhere)("mutants are killed", async () => {
  const since = performance.now();
  const bounds = ["--sample", String(SAMPLE), "--seed", String(SEED), "--minutes", String(BEGUN_WITHIN_MINUTES)];
  const { code, output } = await run(process.execPath, ["tools/torture/mutants.mjs", ...bounds]);
  expect(code, output).toBe(0);
  const killed = /\d+ of \d+ killed \(.*?\)/.exec(output)?.[0] ?? "";
  report("mutants", since, killed);
  expect(killed).not.toBe("");
}, limitMs("mutants", "minutes", 30));
