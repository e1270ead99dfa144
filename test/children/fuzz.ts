// Runs the cases of a fuzz target, one seed after the other, and says on lines of its own which it begins and how it ended.
// Its parent watches: a case that goes on for too long is a hang, and this program is killed.
//
//   fuzz <target> <first seed> <most cases> <seconds>
import { writeSync } from "node:fs";
import process from "node:process";
import { TARGETS } from "../fuzz/targets.ts";

const [name = "", firstSeed = "1", mostCases = "1", mostSeconds = "10"] = process.argv.slice(2);
const target = (TARGETS as Readonly<Record<string, (typeof TARGETS)["archive"] | undefined>>)[name];
if (target === undefined) throw new RangeError(`Cannot fuzz "${name}": not one of ${Object.keys(TARGETS).join(", ")}`);

const LEAST_CASES = 20; // on a machine that is too busy for them in the time given
const WARM_UP_CASES = 500;
const MOST_GROWTH_BYTES = 64 * 1024 * 1024;

let seed = Number(firstSeed);

const never = new Int32Array(new SharedArrayBuffer(4));

/** Waits for who reads: a pipe that is full refuses, and each line must have been read before the next case may hang. */
function tell(line: string): void {
  const bytes = new TextEncoder().encode(`${line}\n`);
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(1, bytes, done);
    } catch (error) {
      if ((error as { code?: string }).code !== "EAGAIN") throw error;
      Atomics.wait(never, 0, 0, 1);
    }
  }
}

function fail(error: unknown): never {
  const what = error instanceof Error ? error.stack ?? error.message : String(error);
  tell(`fault ${JSON.stringify({ seed, what })}`);
  process.exit(1);
}
process.on("uncaughtException", fail);
process.on("unhandledRejection", fail);

const collect = globalThis as { gc?: () => void; Bun?: { gc(isSync: boolean): void } };

/** Memory of this process without what the collector has freed but not given back: V8 keeps some 70 MiB of that. */
function memoryInUse(): number {
  const { rss, heapTotal, heapUsed } = process.memoryUsage();
  return rss - Math.max(0, heapTotal - heapUsed);
}

/** Memory in use, of some readings the least: what is only not yet collected does not count. */
async function leastMemory(limitBytes: number): Promise<number> {
  let least = memoryInUse();
  for (let tries = 0; tries < 8 && least > limitBytes; tries++) {
    if (collect.Bun === undefined) collect.gc?.();
    else collect.Bun.gc(true);
    await new Promise((resolve) => setTimeout(resolve, 20 * tries));
    least = Math.min(least, memoryInUse());
  }
  return least;
}

const endAt = performance.now() + Number(mostSeconds) * 1000;
const verdicts = new Map<string, number>();
let cases = 0;
let baseline = Number.POSITIVE_INFINITY;
const isDue = () => performance.now() < endAt || cases < LEAST_CASES;
for (; cases < Number(mostCases) && isDue(); cases++, seed = (seed + 1) >>> 0) {
  tell(`case ${seed}`);
  try {
    const { verdict } = await target(seed);
    verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
  } catch (error) {
    fail(error);
  }
  if (cases === WARM_UP_CASES) baseline = await leastMemory(0);
  if (cases > WARM_UP_CASES && cases % 50 === 0) {
    const grown = await leastMemory(baseline + MOST_GROWTH_BYTES) - baseline;
    if (grown > MOST_GROWTH_BYTES) fail(`memory grew by ${Math.round(grown / 2 ** 20)} MiB in ${cases} cases`);
  }
}
tell(`done ${JSON.stringify({ cases, verdicts: Object.fromEntries(verdicts) })}`);
