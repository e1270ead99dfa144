// The suites notice when a safeguard is gone: some mutants in every run, all of them by `npm run torture -- mutants`.
import path from "node:path";
import process from "node:process";
import { expect, it } from "vitest";
import { root, run } from "../../tools/run.mjs";
import { amount, report, runtime, skipped } from "./budget.ts";

const SAMPLE = amount("MUTANTS", 6);
const BUDGET_MINUTES = 2;

// Mutants are the same everywhere; one runtime is enough.
const isElsewhere = runtime !== "node" || path.basename(root).startsWith("mutants-") ||
  process.env["MUTANTS"] === undefined;
if (isElsewhere) skipped("mutants", "they run on Node, when MUTANTS says how many, and by npm run torture");

it.skipIf(isElsewhere)("mutants are killed", async () => {
  const since = performance.now();
  const args = ["tools/torture/mutants.mjs", "--only", "backend/file_", "--sample", String(SAMPLE)];
  const { code, output } = await run(process.execPath, args);
  expect(code, output).toBe(0);
  const killed = output.match(/\d+ of \d+ killed/)?.[0] ?? "";
  report("mutants", since, BUDGET_MINUTES, killed);
  expect(killed).not.toBe("");
}, BUDGET_MINUTES * 5 * 60_000);
