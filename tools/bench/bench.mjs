// `npm run bench`: measures this library and its peers in one run, and writes docs/benchmarks.md.
//
//   npm run bench                         everything; about an hour on two cores
//   npm run bench -- --quick              small inputs, one repetition: whether it works, not how fast it is
//   npm run bench -- --only mixed-memory,read-small --repeat 1
//
// Every measurement is a process of its own; contenders take turns, so that a slow minute of the machine meets them all.
// Only a whole run with full inputs writes the document; anything else prints it.
import { existsSync } from "node:fs";
import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { root, run, scratch } from "../run.mjs";
import { contenders, missing, missingRuntime, runtimes } from "./contenders.mjs";
import { Fixtures } from "./fixtures.mjs";
import { groups, streamBytes } from "./groups.mjs";
import { makeInput, sizes } from "./inputs.mjs";
import { machineFacts } from "./machine.mjs";
import { costsOf } from "./costs.mjs";
import { renderReport } from "./report.mjs";

const here = path.join(root, "tools", "bench");
const place = path.join(scratch, "bench");
const dist = path.join(place, "dist");

const { values: flags } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string" },
    repeat: { type: "string" },
    "keep-build": { type: "boolean", default: false },
    verbose: { type: "boolean", default: false },
  },
});
const size = flags.quick ? "quick" : "full";
const repeat = Number(flags.repeat ?? (flags.quick ? 1 : 3));
const wanted = flags.only?.split(",");
for (const name of wanted ?? []) {
  if (
    name !== "costs" && !Object.keys(groups).some((key) => key.startsWith(name))
  ) {
    throw new RangeError(
      `Cannot measure "${name}": not one of ${Object.keys(groups).join(", ")}, costs`,
    );
  }
}
/** @param {string} name */
const isWanted = (name) => wanted === undefined || wanted.some((prefix) => name.startsWith(prefix));

/** @param {string} command @param {readonly string[]} args @param {string} [cwd] */
async function sh(command, args, cwd = root) {
  const { code, output } = await run(command, args, { cwd });
  if (code !== 0) {
    throw new Error(`"${command} ${args.join(" ")}" failed:\n${output}`);
  }
}

async function prepare() {
  await mkdir(place, { recursive: true });
  if (!existsSync(path.join(here, "node_modules"))) {
    // Not `npm ci`: a peer of a peer names packages for other systems that the registry may lack, and it stops at them.
    await sh("npm", [
      "install",
      "--no-save",
      "--prefix",
      here,
      "--ignore-scripts",
      "--no-audit",
      "--no-fund",
    ]);
  }
  if (missingRuntime("node24") !== undefined) {
    await sh("npm", ["ci", "--prefix", path.join(root, "tools", "runtimes")]);
  }
  if (flags["keep-build"] && existsSync(dist)) return;
  await sh(process.execPath, ["tools/build.mjs"]);
  await rm(dist, { recursive: true, force: true });
  await cp(path.join(root, "dist"), dist, { recursive: true }); // a build beside a long run must not change what is measured
}

/** @param {string} id @param {any} job @returns {Promise<any>} What the measuring process found. */
async function measure(id, job) {
  const contender = contenders[id];
  if (contender === undefined) {
    throw new TypeError(`there is no contender "${id}"`);
  }
  const [command = "", ...args] = runtimes[job.runtime ?? contender.runtime ?? "node"] ?? [];
  const options = {
    ...contender.options,
    ...job.directory === undefined ? {} : { directory: job.directory },
  };
  const { code, stdout, output } = await run(command, [
    ...args,
    path.join(here, "child.mjs"),
    JSON.stringify({ ...job, contender: contender.module, size, options }),
  ], { env: { SNAPKEEP_DIST: dist } });
  const line = stdout.split("\n").findLast((candidate) => candidate.startsWith("RESULT "));
  if (code !== 0 || line === undefined) {
    throw new Error(`${contender.label} failed: ${output.trim()}`);
  }
  return JSON.parse(line.slice("RESULT ".length));
}

const inputs = path.join(place, "inputs");
const outputs = path.join(place, "outputs");
/** @type {Record<string, any>} */
const results = {};
const fixtures = new Fixtures(path.join(place, "fixtures"), measure);

/** @param {import("./groups.mjs").Group} group @param {import("./groups.mjs").Row} row @returns {Promise<any>} */
async function jobOf(group, row) {
  const { operation, workload, source, level } = group;
  const job = { operation, workload, source, level, ...row.job };
  if (typeof job.streamBytes === "string") {
    job.streamBytes = streamBytes[size][job.streamBytes];
  }
  if (operation === "loadStream") {
    const [, id = ""] = job.fixture.split("/");
    job.streamBytes = streamBytes[size].loop;
    const out = path.join(place, "fixtures", `stream-${size}-${id}`);
    await rm(out, { recursive: true, force: true });
    const { file } = await measure(id, {
      operation: "stream",
      streamBytes: job.streamBytes,
      isSized: true,
      out,
    });
    return { ...job, from: file };
  }
  if (workload === undefined) return job;
  const { count, entryBytes } = sizes[size][workload];
  job.folder = await makeInput(inputs, size, workload);
  job.inputBytes = count * entryBytes;
  if (operation === "load") {
    job.expectBytes = row.id.startsWith("gnu") ? 0 : job.inputBytes;
  }
  if (job.directory !== undefined) {
    job.directory = await fixtures.get(job.folder, job.directory);
  }
  if (job.fixture !== undefined) {
    job.from = await fixtures.get(job.folder, job.fixture);
  }
  return job;
}

/** @param {any} levels What was found at every level. @param {string} id @returns {number | undefined} */
function fittingLevel(levels, id) {
  const [ours, ...peers] = levels?.rows ?? [];
  const most = ours?.runs[0]?.bytes ?? 0;
  return peers.filter((row) => row.id === id && row.runs[0]?.bytes <= most)
    .sort((a, b) => a.runs[0].seconds - b.runs[0].seconds)[0]?.job.level;
}

/** @param {string} name @param {import("./groups.mjs").Group} group */
async function measureGroup(name, group) {
  const parts = [];
  for (const row of group.rows) {
    const contender = contenders[row.id];
    if (contender === undefined) {
      throw new TypeError(`there is no contender "${row.id}"`);
    }
    const part = {
      ...row,
      label: row.label ?? contender.label,
      note: row.note ?? contender.note,
      kind: contender.kind,
      runs: [],
    };
    if (row.fittingLevel !== undefined) {
      const level = fittingLevel(results[row.fittingLevel], row.id);
      part.job = { level };
      part.note = level === undefined ? part.note : `level ${level}; ${part.note}`;
      if (level === undefined) {
        part.missing = "no level gives an output that is not larger than ours";
      }
    }
    part.missing ??= missing({
      ...contender,
      ...row.job?.runtime === undefined ? {} : { runtime: row.job.runtime },
    });
    parts.push(part);
    if (part.missing !== undefined) {
      console.log(`   skipped ${part.label}: ${part.missing}`);
    } else part.job = await jobOf(group, part);
  }
  for (
    let turn = 0;
    turn < (group.once ? 1 : repeat * (flags.quick ? 1 : group.times ?? 1));
    turn++
  ) {
    // Another begins each turn.
    const order = [
      ...parts.slice(turn % parts.length),
      ...parts.slice(0, turn % parts.length),
    ];
    for (const part of order) {
      if (part.missing !== undefined) continue;
      await rm(outputs, { recursive: true, force: true });
      await mkdir(outputs, { recursive: true });
      await run("sync", ["-f", outputs]); // what others left to be written must not slow this one
      try {
        const result = await measure(part.id, {
          ...part.job,
          out: path.join(outputs, "out"),
        });
        part.runs.push(result);
        const spent = result.seconds ?? result.firstMs / 1000;
        console.log(
          `   ${part.label}${part.job.level ? ` (${part.job.level})` : ""}: ${spent.toFixed(3)} s`,
        );
      } catch (error) {
        part.missing = String(error).split("\n").slice(0, 3).join(" ").slice(
          0,
          300,
        );
        console.log(`   FAILED ${flags.verbose ? error : part.missing}`);
      }
    }
  }
  await rm(outputs, { recursive: true, force: true });
  if (group.operation === "loadStream") {
    for (const { job } of parts) {
      if (job?.from !== undefined) await rm(path.dirname(job.from), { recursive: true, force: true });
    }
  }
  return { name, ...group, rows: parts };
}

await prepare();
const facts = machineFacts(place);
const since = performance.now();
for (const [name, group] of Object.entries(groups)) {
  if (!isWanted(name)) continue;
  console.log(`== ${name}`);
  results[name] = await measureGroup(name, group);
}
const costs = [];
if (isWanted("costs")) {
  for (const workload of /** @type {const} */ (["mixed", "small"])) {
    const input = await makeInput(inputs, size, workload);
    const [ours, plain] = [
      await fixtures.get(input, "ours.tar.gz"),
      await fixtures.get(input, "plain.tar.gz"),
    ];
    costs.push({ workload, ...await costsOf(ours, plain) });
  }
}
const minutes = (performance.now() - since) / 60_000;
const report = renderReport({ facts, results, costs, size, repeat, minutes });
await writeFile(
  path.join(place, `results-${size}.json`),
  JSON.stringify({ facts, results, costs, minutes }, null, 1),
);
const isWhole = wanted === undefined && size === "full";
const target = isWhole ? path.join(root, "docs", "benchmarks.md") : path.join(place, "benchmarks.md");
await writeFile(target, report);
console.log(
  isWhole ? `\nwritten to ${path.relative(root, target)} in ${minutes.toFixed(0)} min` : `\n${report}`,
);
