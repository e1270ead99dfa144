// Runs test files on Node, Bun and Deno, one runtime after the other, and adds the results up: `npm test` and `npm run prove`
// do it the same way.
//
// A run fails when a runtime did not run, ran nothing, or ran other tests than the rest: a test that cannot run somewhere says
// so by being skipped there, never by being absent.
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { environmentOf, isInstalled, startObjectStore } from "./object_store.mjs";
import { bin, root, run, runtimes, scratch, script, secondsSince, table } from "./run.mjs";

/**
 * @typedef {{ tests: number, skipped: number, seconds: number, ran: boolean[] }} File
 * @typedef {{ runtime: string, passed: number, failed: number, skipped: number, seconds: number,
 *   files: Map<string, File>, problems: string[] }} Result
 */

const vitest = script("vitest/vitest.mjs");
const reports = path.join(scratch, "reports");

/** @type {Record<string, [string, string[]]>} */
const commands = {
  node: [process.execPath, [vitest]],
  bun: [bin("bun"), ["--bun", vitest]],
  deno: [bin("deno"), ["run", "-A", vitest]],
};

/**
 * Takes `--runtime` out of a command line.
 *
 * @param {readonly string[]} args
 * @returns {{ wanted: string[], rest: string[] }} The runtimes, all where none is named, and the other arguments.
 */
export function takeRuntimes(args) {
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
 * @param {readonly string[]} args For vitest.
 * @param {Record<string, string>} env
 * @returns {Promise<Result>}
 */
async function suite(runtime, args, env) {
  const file = path.join(reports, `${runtime}.json`);
  await rm(file, { force: true });
  const [command, before] = commands[runtime] ?? ["", []];
  const since = performance.now();
  console.log(`\n== ${runtime} ==`);
  const { code } = await run(
    command,
    [...before, "run", "--reporter=default", "--reporter=json", `--outputFile.json=${file}`, ...args],
    { env: { ...env, SNAPKEEP_RUNTIME: runtime }, show: true },
  );
  /** @type {Result} */
  const result = { runtime, passed: 0, failed: 0, skipped: 0, seconds: 0, files: new Map(), problems: [] };
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
 * @param {{ testResults: { name: string, status: string, startTime: number, endTime: number,
 *   assertionResults: { status: string, fullName: string }[] }[] }} report
 * @param {Result} result
 */
function read(report, result) {
  for (const file of report.testResults) {
    const name = path.relative(root, file.name).split(path.sep).join("/");
    const ran = file.assertionResults.map(({ status }) => status === "passed" || status === "failed");
    const skipped = ran.filter((hasRun) => !hasRun).length;
    const failed = file.assertionResults.filter(({ status }) => status === "failed").length;
    result.passed += ran.length - skipped - failed;
    result.failed += failed;
    result.skipped += skipped;
    const seconds = (file.endTime - file.startTime) / 1000;
    result.files.set(name, { tests: ran.length, skipped, seconds, ran });
    // A file that does not even load has no tests that could fail.
    if (file.status === "failed" && failed === 0) {
      result.problems.push(`${result.runtime}: ${name} failed as a whole`);
    }
  }
}

/** @param {readonly Result[]} results */
const namesOf = (results) => [...new Set(results.flatMap(({ files }) => [...files.keys()]))].sort();

/** @param {readonly Result[]} results */
function differences(results) {
  return namesOf(results).flatMap((file) => {
    const counts = results.map(({ files }) => files.get(file)?.tests ?? 0);
    if (new Set(counts).size === 1) return [];
    const said = results.map(({ runtime }, index) => `${runtime} ${counts[index]}`).join(", ");
    return [`${file} has different numbers of tests: ${said}`];
  });
}

/** How many tests none of the runtimes ran. @param {readonly Result[]} results */
function unrun(results) {
  return namesOf(results).reduce((sum, name) => {
    const ran = results.map(({ files }) => files.get(name)?.ran ?? []);
    return sum + (ran[0] ?? []).filter((_, index) => !ran.some((tests) => tests[index])).length;
  }, 0);
}

/**
 * Tests and seconds of each suite, which is a folder below test/; several files run at the same time.
 *
 * @param {readonly Result[]} results
 */
function suites(results) {
  const folders = [...new Set(namesOf(results).map((name) => path.posix.dirname(name)))];
  const rows = folders.map((folder) => {
    const cells = results.map(({ files }) => {
      const own = [...files].filter(([name]) => path.posix.dirname(name) === folder).map(([, file]) => file);
      const sum = (/** @type {"tests" | "skipped" | "seconds"} */ of) => own.reduce((all, file) => all + file[of], 0);
      return [sum("tests"), sum("skipped"), sum("seconds").toFixed(1)];
    });
    return [folder, ...cells.flat()];
  });
  const head = results.flatMap(({ runtime }) => [runtime, "skipped", "seconds"]);
  return table([["suite", ...head], ...rows]);
}

/** Whether tests against an object store may be among those of vitest's arguments. @param {readonly string[]} args */
function mayUseObjectStore(args) {
  const files = args.filter((arg) => arg.startsWith("test"));
  return isInstalled() &&
    (files.length === 0 || files.some((file) => "test/s3/".startsWith(file) || file.startsWith("test/s3")));
}

/**
 * Builds, runs test files on some runtimes, prints what came of it, and writes it to `.scratch/<name>.json`. The exit code
 * of this process tells as well.
 *
 * @param {string} name
 * @param {{ wanted: readonly string[], args: readonly string[], env?: Record<string, string>,
 *   closing: readonly string[] }} options `closing` is printed before the last line, which counts.
 */
export async function runSuites(name, { wanted, args, env = {}, closing }) {
  await mkdir(reports, { recursive: true });
  const summary = path.join(scratch, `${name}.json`);
  await rm(summary, { force: true });
  /** @type {string[]} */
  const problems = [];
  const build = await run(process.execPath, ["tools/build.mjs"]);
  if (build.code !== 0) {
    console.log(build.output);
    problems.push("the build has type errors");
  }
  const store = wanted.length > 1 && mayUseObjectStore(args)
    ? await startObjectStore().catch((error) => void problems.push(`the object store does not start: ${error}`))
    : undefined;
  /** @type {Result[]} */
  const results = [];
  try {
    const all = store === undefined ? env : { ...env, ...environmentOf(store) };
    for (const runtime of wanted) results.push(await suite(runtime, args, all));
  } finally {
    await store?.stop();
  }
  problems.push(...results.flatMap((result) => result.problems), ...differences(results));

  console.log(`\n${suites(results)}\n`);
  console.log(table([
    ["runtime", "passed", "failed", "skipped", "minutes"],
    ...results.map(({ runtime, passed, failed, skipped, seconds }) => [
      runtime,
      passed,
      failed,
      skipped,
      (seconds / 60).toFixed(1),
    ]),
  ]));
  console.log();
  const names = results.map(({ runtime }) => runtime).join(", ");
  const left = unrun(results);
  if (left > 0) console.log(`Skipped on ${names}: ${left} tests, which need the long form, another runtime or system.`);
  for (const line of closing) console.log(line);
  for (const problem of problems) console.log(`failed: ${problem}`);
  const passed = results.reduce((sum, result) => sum + result.passed, 0);
  const failed = results.reduce((sum, result) => sum + result.failed, 0) + problems.length;
  await writeFile(summary, `${JSON.stringify({ passed, failed })}\n`);
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}
