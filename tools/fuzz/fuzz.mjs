// The long form of the fuzz suites, which every run of the tests has in short. A fault tells the seed that repeats it.
//
//   npm run fuzz                                   each target for 5 minutes on Node, from a seed that is told
//   npm run fuzz -- --target archive --minutes 600
//   npm run fuzz -- --target table --seed 17 --cases 1 --runtime bun
//   npm run fuzz -- --target bits                  each bit and each prefix, instead of every so many
import process from "node:process";
import { bin, run, script } from "../run.mjs";
import { howToRepeat, runCases } from "./watchdog.mjs";

/** @param {string} flag @param {string} usual */
function valueOf(flag, usual) {
  const at = process.argv.indexOf(flag);
  return at < 0 ? usual : process.argv[at + 1] ?? usual;
}

const targets = valueOf("--target", "archive,table,manifest,paths,bits").split(",");
const runtimes = valueOf("--runtime", "node").split(",");
const seconds = Number(valueOf("--minutes", "5")) * 60;
const seed = Number(valueOf("--seed", String(Math.floor(Math.random() * 2 ** 32))));
const cases = Number(valueOf("--cases", String(2 ** 32)));
for (const [flag, value] of Object.entries({ "--minutes": seconds, "--seed": seed, "--cases": cases })) {
  if (!(Number.isFinite(value) && value >= 0)) throw new RangeError(`Cannot fuzz with this ${flag}`);
}

const build = await run(process.execPath, ["tools/build.mjs"]);
if (build.code !== 0) throw new Error(`Cannot build:\n${build.output}`);
/** @type {Record<string, [string, string[]]>} */
const vitests = { node: [process.execPath, []], bun: [bin("bun"), ["--bun"]], deno: [bin("deno"), ["run", "-A"]] };

/** @param {string} runtime */
async function everyBit(runtime) {
  const [command, before] = vitests[runtime] ?? ["", []];
  const args = [
    ...before,
    script("vitest/vitest.mjs"),
    "run",
    "--testTimeout=3600000",
    "test/archive/every_bit.test.ts",
  ];
  const { code } = await run(command, args, {
    env: { SNAPKEEP_EVERY_BIT: "1", SNAPKEEP_RUNTIME: runtime },
    show: true,
  });
  return code === 0 ? 0 : 1;
}

let faults = 0;
for (const runtime of runtimes) {
  for (const target of targets) {
    if (target === "bits") {
      faults += await everyBit(runtime);
      continue;
    }
    console.log(`${target} on ${runtime} from seed ${seed}`);
    const result = await runCases(runtime, { target, seed, cases, seconds });
    console.log(`  ${result.cases} cases: ${JSON.stringify(result.verdicts)}`);
    if (result.fault === undefined) continue;
    faults++;
    console.log(`  FAULT: ${result.fault.what}\n  again: ${howToRepeat(target, result.fault.seed, runtime)}`);
  }
}
process.exitCode = faults === 0 ? 0 : 1;
