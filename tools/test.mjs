// Runs the one test suite on Node, Bun and Deno, one after the other, and adds the results up.
//
//   npm test                                    all three
//   npm test -- --runtime node test/store       one of them, one folder; other arguments go to vitest
//
// It fails when a runtime did not run, ran nothing, or ran other tests than the rest: a test that cannot run
// somewhere says so by being skipped there, never by being absent.
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { bin, root, run, runtimes, scratch, script, secondsSince, table } from "./run.mjs";

/**
 * @typedef {{ runtime: string, passed: number, failed: number, skipped: number, seconds: number,
 *   counts: Map<string, number>, problems: string[] }} Result
 */

const vitest = script("vitest/vitest.mjs");
const reports = path.join(scratch, "reports");

/** @type {Record<string, [string, string[]]>} */
const commands = {
  node: [process.execPath, [vitest]],
  bun: [bin("bun"), ["--bun", vitest]],
  deno: [bin("deno"), ["run", "-A", vitest]],
};

/** @param {readonly string[]} args */
function parse(args) {
  /** @type {string[]} */
  const wanted = [];
  /** @type {string[]} */
  const rest = [];
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] ?? "";
    if (arg === "--") continue;
    if (arg !== "--runtime") rest.push(arg);
    else wanted.push(...(args[++index] ?? "").split(","));
  }
  for (const name of wanted) {
    if (!(name in commands)) throw new RangeError(`Cannot test on "${name}": not one of ${runtimes.join(", ")}`);
  }
  return { wanted: wanted.length > 0 ? wanted : [...runtimes], rest };
}

/**
 * @param {string} runtime
 * @param {readonly string[]} rest
 * @returns {Promise<Result>}
 */
async function suite(runtime, rest) {
  const file = path.join(reports, `${runtime}.json`);
  await rm(file, { force: true });
  const [command, before] = commands[runtime] ?? ["", []];
  const since = performance.now();
  console.log(`\n== ${runtime} ==`);
  const { code } = await run(
    command,
    [...before, "run", "--reporter=default", "--reporter=json", `--outputFile.json=${file}`, ...rest],
    { env: { SNAPKEEP_RUNTIME: runtime }, show: true },
  );
  /** @type {Result} */
  const result = { runtime, passed: 0, failed: 0, skipped: 0, seconds: 0, counts: new Map(), problems: [] };
  const text = await readFile(file, "utf8").catch(() => undefined);
  if (text === undefined) result.problems.push(`${runtime} did not run to its end (exit code ${code})`);
  else read(JSON.parse(text), result);
  const ran = result.passed + result.failed;
  if (text !== undefined && ran === 0) result.problems.push(`${runtime} ran no test`);
  if (code !== 0 && result.failed === 0 && result.problems.length === 0) {
    result.problems.push(`${runtime} ended with exit code ${code} though no test failed`);
  }
  result.seconds = secondsSince(since);
  return result;
}

/**
 * @param {{ testResults: { name: string, status: string, message?: string,
 *   assertionResults: { status: string, fullName: string }[] }[] }} report
 * @param {Result} result
 */
function read(report, result) {
  for (const file of report.testResults) {
    const name = path.relative(root, file.name).split(path.sep).join("/");
    result.counts.set(name, file.assertionResults.length);
    for (const { status } of file.assertionResults) {
      if (status === "passed") result.passed++;
      else if (status === "failed") result.failed++;
      else result.skipped++;
    }
    // A file that does not even load has no tests that could fail.
    if (file.status === "failed" && !file.assertionResults.some(({ status }) => status === "failed")) {
      result.problems.push(`${result.runtime}: ${name} failed as a whole`);
    }
  }
}

/** @param {readonly Result[]} results */
function differences(results) {
  const files = new Set(results.flatMap(({ counts }) => [...counts.keys()]));
  /** @type {string[]} */
  const found = [];
  for (const file of [...files].sort()) {
    const counts = results.map((result) => `${result.runtime} ${result.counts.get(file) ?? 0}`);
    if (new Set(results.map((result) => result.counts.get(file) ?? 0)).size > 1) {
      found.push(`${file} has different numbers of tests: ${counts.join(", ")}`);
    }
  }
  return found;
}

const { wanted, rest } = parse(process.argv.slice(2));
await mkdir(reports, { recursive: true });
const summary = path.join(scratch, "tests.json");
await rm(summary, { force: true });

/** @type {string[]} */
const problems = [];
const build = await run(process.execPath, ["tools/build.mjs"]);
if (build.code !== 0) {
  console.log(build.output);
  problems.push("the build has type errors");
}
/** @type {Result[]} */
const results = [];
for (const runtime of wanted) results.push(await suite(runtime, rest));
problems.push(...results.flatMap((result) => result.problems), ...differences(results));

console.log();
console.log(table([
  ["runtime", "passed", "failed", "skipped", "seconds"],
  ...results.map(({ runtime, passed, failed, skipped, seconds }) => [
    runtime,
    passed,
    failed,
    skipped,
    seconds.toFixed(1),
  ]),
]));
console.log();
for (const problem of problems) console.log(`failed: ${problem}`);
const passed = results.reduce((sum, result) => sum + result.passed, 0);
const failed = results.reduce((sum, result) => sum + result.failed, 0) + problems.length;
await writeFile(summary, `${JSON.stringify({ passed, failed })}\n`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
