// `npm run bench`: measures this library and its peers in one run, and writes docs/benchmarks.md.
//
//   npm run bench                         everything; about an hour on two cores
//   npm run bench -- --quick              small inputs, one repetition: whether it works, not how fast it is
//   npm run bench -- --only mixed-memory,read-small --repeat 1
//   npm run bench -- --guard              a few ratios, compared with the least they may be; see guard.mjs
//
// Every measurement is a process of its own; contenders take turns, so that a slow minute of the machine meets them all.
// Only a whole run with full inputs writes the document; anything else prints it.
import { readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { root } from "../run.mjs";
import { contenders, missing } from "./contenders.mjs";
import { costsOf } from "./costs.mjs";
import { groups } from "./groups.mjs";
import { guard } from "./guard.mjs";
import { machineFacts } from "./machine.mjs";
import { Measuring, place, prepare } from "./measuring.mjs";
import { measureObjectStore } from "./object_store.mjs";
import { renderReport } from "./report.mjs";

const { values: flags } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string" },
    repeat: { type: "string" },
    guard: { type: "boolean", default: false },
    rounds: { type: "string" },
    calibrate: { type: "boolean", default: false },
    "keep-build": { type: "boolean", default: false },
    verbose: { type: "boolean", default: false },
  },
});
for (const name of flags.guard ? ["quick", "repeat", "verbose"] : ["rounds", "calibrate"]) {
  if (flags[name]) {
    throw new RangeError(`Cannot measure with --${name}: it needs a run ${flags.guard ? "without" : "with"} --guard`);
  }
}
const size = flags.quick ? "quick" : "full";
const repeat = Number(flags.repeat ?? (flags.quick ? 1 : 3));
const wanted = flags.only?.split(",");
for (const name of flags.guard ? [] : wanted ?? []) {
  if (
    name !== "costs" && name !== "s3" && !Object.keys(groups).some((key) => key.startsWith(name))
  ) {
    throw new RangeError(
      `Cannot measure "${name}": not one of ${Object.keys(groups).join(", ")}, costs, s3`,
    );
  }
}
/** @param {string} name */
const isWanted = (name) => wanted === undefined || wanted.some((prefix) => name.startsWith(prefix));

const measuring = new Measuring(size);
/** @type {Record<string, any>} */
const results = {};

/** @param {any} levels What was found at every level. @param {string} id @returns {number | undefined} */
function fittingLevel(levels, id) {
  const [ours, ...peers] = levels?.rows ?? [];
  const most = ours?.runs[0]?.bytes ?? 0;
  return peers.filter((row) => row.id === id && row.runs[0]?.bytes <= most)
    .sort((a, b) => a.runs[0].seconds - b.runs[0].seconds)[0]?.job.level;
}

/** Leaves a contender out, and goes on. @param {{ missing?: string | undefined }} part @param {unknown} error */
function fail(part, error) {
  part.missing = String(error).split("\n").slice(0, 3).join(" ").slice(0, 300);
  console.log(`   FAILED ${flags.verbose ? error : part.missing}`);
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
      continue;
    }
    try {
      part.job = await measuring.jobOf(group, part);
    } catch (error) {
      fail(part, error);
    }
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
      try {
        const result = await measuring.sample(part.id, part.job);
        part.runs.push(result);
        const spent = result.seconds ?? result.firstMs / 1000;
        console.log(
          `   ${part.label}${part.job.level ? ` (${part.job.level})` : ""}: ${spent.toFixed(3)} s`,
        );
      } catch (error) {
        fail(part, error);
      }
    }
  }
  await measuring.clear();
  if (group.operation === "loadStream") {
    for (const { job } of parts) {
      if (job?.from !== undefined) await rm(path.dirname(job.from), { recursive: true, force: true });
    }
  }
  return { name, ...group, rows: parts };
}

async function measureAll() {
  const isStoreAlone = wanted?.every((name) => name === "s3") ?? false;
  await prepare({ keepBuild: flags["keep-build"], needs: isStoreAlone ? [] : ["node24"], needsPeers: !isStoreAlone });
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
      const input = await measuring.input(workload);
      const [ours, plain] = [
        await measuring.fixtures.get(input, "ours.tar.gz"),
        await measuring.fixtures.get(input, "plain.tar.gz"),
      ];
      costs.push({ workload, ...await costsOf(ours, plain) });
    }
  }
  let objectStore;
  if (isWanted("s3")) {
    console.log("== s3");
    objectStore = await measureObjectStore(
      flags.quick
        ? { sizeMiB: 32, rounds: 1, entries: 300 }
        : { sizeMiB: 256, rounds: 2 * repeat + 1, entries: 10_000 },
    );
  }
  const minutes = (performance.now() - since) / 60_000;
  const isWhole = wanted === undefined && size === "full";
  const target = isWhole ? path.join(root, "docs", "benchmarks.md") : path.join(place, "benchmarks.md");
  const report = renderReport({ facts, results, costs, objectStore, size, repeat, minutes }) +
    (isWhole ? await handWritten(target) : "");
  await writeFile(
    path.join(place, `results-${size}.json`),
    JSON.stringify({ facts, results, costs, objectStore, minutes }, null, 1),
  );
  await writeFile(target, report);
  console.log(
    isWhole ? `\nwritten to ${path.relative(root, target)} in ${minutes.toFixed(0)} min` : `\n${report}`,
  );
}

/** Reads the part of the document that is written by hand. @param {string} file */
async function handWritten(file) {
  const text = await readFile(file, "utf8");
  const from = text.indexOf("\n## Measurements behind decisions\n");
  if (from < 0) throw new Error(`Cannot write ${file}: expected the heading "Measurements behind decisions" in it`);
  return text.slice(from);
}

if (flags.guard) {
  await prepare({ keepBuild: flags["keep-build"] });
  process.exitCode = await guard(new Measuring("full"), { wanted, rounds: flags.rounds, calibrate: flags.calibrate });
} else await measureAll();
