// Starts a program that runs fuzz cases, and watches it: a case that goes on for too long, in a loop or waiting for what
// never comes, is a hang, and the program is killed.
import { spawn } from "node:child_process";
import path from "node:path";
import process from "node:process";
import { bin, root } from "../run.mjs";

const PROGRAM = path.join("dist", "test", "children", "fuzz.js");
const START_SECONDS = 60;

/**
 * @typedef {{ target: string, seed: number, cases: number, seconds: number }} Task
 * @typedef {{ seed: number, what: string }} Fault
 * @typedef {{ cases: number, verdicts: Readonly<Record<string, number>>, fault?: Fault }} Result
 */

/** @type {Readonly<Record<string, [string, string[]]>>} */
const commands = {
  node: [process.env["SNAPKEEP_FUZZ_NODE"] ?? "node", ["--expose-gc"]],
  bun: [bin("bun"), []],
  deno: [bin("deno"), ["run", "-A", "--v8-flags=--expose-gc"]],
};

/** The runtimes that cases run on. */
export const fuzzRuntimes = Object.keys(commands);

/**
 * Runs cases in a program of its own.
 *
 * @param {string} runtime
 * @param {Task} task
 * @param {{ caseSeconds?: number, place?: string, onVerdict?: (seed: number, verdict: string) => void }} [options]
 *   `caseSeconds` is the most a case may take; `place` is where `dist` lies.
 * @returns {Promise<Result>}
 */
export function runCases(
  runtime,
  { target, seed, cases, seconds },
  { caseSeconds = 20, place = root, onVerdict } = {},
) {
  const [command, before] = commands[runtime] ?? ["", []];
  if (command === "") throw new RangeError(`Cannot fuzz on "${runtime}": not one of ${fuzzRuntimes.join(", ")}`);
  const args = [...before, path.join(place, PROGRAM), target, seed, cases, seconds].map(String);
  const child = spawn(command, args, {
    cwd: place,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, DENO_NO_UPDATE_CHECK: "1", NODE_OPTIONS: "" },
  });
  return new Promise((resolve) => {
    /** @type {Result} */
    const result = { cases: 0, verdicts: {} };
    let current = seed;
    let [rest, complaints] = ["", ""];
    let isDone = false;
    const bark = (/** @type {number} */ after) => {
      result.fault = { seed: current, what: `it hangs: nothing after ${after} s` };
      child.kill("SIGKILL");
    };
    let timer = setTimeout(bark, START_SECONDS * 1000, START_SECONDS);
    const hear = (/** @type {string} */ line) => {
      const [word, ...more] = line.split(" ");
      const said = more.join(" ");
      if (word === "case") {
        current = Number(said);
        result.cases++;
        clearTimeout(timer);
        timer = setTimeout(bark, caseSeconds * 1000, caseSeconds);
      } else if (word === "verdict") onVerdict?.(current, said);
      else if (word === "fault") result.fault = JSON.parse(said);
      else if (word === "done") {
        isDone = true;
        Object.assign(result, JSON.parse(said));
      }
    };
    child.stdout.setEncoding("utf8").on("data", (text) => {
      const lines = `${rest}${text}`.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) hear(line);
    });
    child.stderr.setEncoding("utf8").on("data", (text) => complaints += text);
    child.on("error", (error) => complaints += error.message);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      const how = `it ended with ${signal ?? code} within a case: ${complaints.slice(-2000)}`;
      if (!isDone) result.fault ??= { seed: current, what: how };
      resolve(result);
    });
  });
}

/** How to run a case again. @param {string} target @param {number} seed @param {string} runtime */
export function howToRepeat(target, seed, runtime) {
  return `npm run prove -- fuzz --seed ${seed} --cases 1 --runtime ${runtime} -t "reader ${target}$"`;
}
