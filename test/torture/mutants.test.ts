// The suites notice when a safeguard is gone: as many mutants as SNAPKEEP_MUTANTS says, all by `npm run torture -- mutants`.
import path from "node:path";
import process from "node:process";
import { expect, it } from "vitest";
import { root, run } from "../../tools/run.mjs";
import { amount, report, runtime, skipped } from "./budget.ts";

const SAMPLE = amount("MUTANTS", 0);
const SEED = amount("SEED", 1);
const BUDGET_MINUTES = 3;
const BEGUN_WITHIN_MINUTES = 2;

// Mutants are the same everywhere; one runtime is enough. They are not tried within a copy that tries mutants.
const isElsewhere = runtime !== "node" || path.basename(root).startsWith("mutants-") || SAMPLE === 0;
if (isElsewhere) skipped("mutants", "they run on Node, as many as SNAPKEEP_MUTANTS says");

it.skipIf(isElsewhere)("mutants are killed", async () => {
  const since = performance.now();
  const bounds = ["--sample", String(SAMPLE), "--seed", String(SEED), "--minutes", String(BEGUN_WITHIN_MINUTES)];
  const { code, output } = await run(process.execPath, ["tools/torture/mutants.mjs", ...bounds]);
  expect(code, output).toBe(0);
  const killed = /\d+ of \d+ killed \(.*?\)/.exec(output)?.[0] ?? "";
  report("mutants", since, BUDGET_MINUTES, killed);
  expect(killed).not.toBe("");
}, BUDGET_MINUTES * 10 * 60_000);
