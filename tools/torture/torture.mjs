// The long forms of the durability suites, which every run of the tests has in short.
//
//   npm run torture                       all of them on Node, about an hour
//   npm run torture -- crash              one: crash, calls, disk, power, programs, model, soak, mutants, costs
//   npm run torture -- crash --trees 1000000 --runtime bun
//   npm run torture -- power --points 5000
//   npm run torture -- model --runs 1000000 --seed 7
//   npm run torture -- mutants --only file_stage
import process from "node:process";
import { bin, run, script, secondsSince } from "../run.mjs";

/** @param {string} flag @param {number} usual */
function amount(flag, usual) {
  const at = process.argv.indexOf(flag);
  return String(at < 0 ? usual : Number(process.argv[at + 1]));
}

const points = process.argv.includes("--points") ? Number(amount("--points", 0)) : undefined;

/** @type {Record<string, { suite: string, env?: Record<string, string> }>} */
const suites = {
  crash: { suite: "crash_loop", env: { SNAPKEEP_CRASH_TREES: amount("--trees", 1_000_000) } },
  calls: { suite: "system_calls", env: { SNAPKEEP_SYSTEM_CALLS: "400", SNAPKEEP_SYSTEM_CALL_STRIDE: "1" } },
  disk: { suite: "full_disk", env: { SNAPKEEP_FULL_DISK_STEP_KIB: "4" } },
  power: {
    suite: "power_loss",
    env: {
      SNAPKEEP_POWER_LOSS_EXT4: String(points ?? 5000),
      SNAPKEEP_POWER_LOSS_EXT4_BARE: String(points ?? 1000),
      SNAPKEEP_POWER_LOSS_XFS: String(points ?? 300),
      SNAPKEEP_POWER_LOSS_BTRFS: String(points ?? 500),
    },
  },
  programs: { suite: "many_programs", env: { SNAPKEEP_MANY_SAVES: amount("--saves", 2000) } },
  model: {
    suite: "model",
    env: { SNAPKEEP_MODEL_RUNS: amount("--runs", 100_000), SNAPKEEP_SEED: amount("--seed", Date.now() % 2 ** 31) },
  },
  soak: { suite: "soak", env: { SNAPKEEP_SOAK_SAVES: amount("--saves", 10_000) } },
};

const runtime = process.argv.includes("--runtime") ? process.argv[process.argv.indexOf("--runtime") + 1] : "node";
/** @type {Record<string, [string, string[]]>} */
const commands = { node: [process.execPath, []], bun: [bin("bun"), ["--bun"]], deno: [bin("deno"), ["run", "-A"]] };
const [command, before] = commands[runtime ?? ""] ?? [];
if (command === undefined || before === undefined) throw new RangeError(`Cannot torture on "${runtime}"`);

/** @param {string} suite */
const suiteFile = (suite) => suite === "model" ? "test/model" : `test/torture/${suite}.test.ts`;

const [, , chosen] = process.argv;
const names = chosen === undefined || chosen.startsWith("--") ? [...Object.keys(suites), "mutants", "costs"] : [chosen];
const build = await run(process.execPath, ["tools/build.mjs"]);
if (build.code !== 0) throw new Error(`Cannot build:\n${build.output}`);
let failed = 0;
for (const name of names) {
  const since = performance.now();
  const suite = suites[name];
  let code;
  if (suite !== undefined) {
    const args = [...before, script("vitest/vitest.mjs"), "run", suiteFile(suite.suite)];
    ({ code } = await run(command, args, { env: { ...suite.env, SNAPKEEP_RUNTIME: String(runtime) }, show: true }));
  } else if (name === "mutants" || name === "costs") {
    const args = [`tools/torture/${name}.mjs`, ...process.argv.slice(3)];
    ({ code } = await run(process.execPath, args, { show: true }));
  } else {throw new RangeError(
      `Cannot torture with "${name}": not one of ${Object.keys(suites).join(", ")}, mutants, costs`,
    );}
  if (code !== 0) failed++;
  console.log(`${name}: ${code === 0 ? "ok" : "FAILED"} after ${(secondsSince(since) / 60).toFixed(1)} min`);
}
process.exitCode = failed === 0 ? 0 : 1;
