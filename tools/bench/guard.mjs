// `npm run bench -- --guard`: fails when ours lost speed or size beside a peer that does the same with the same input.
//
//   npm run bench -- --guard                                  all cases, in under three minutes on two quiet cores
//   npm run bench -- --guard --only small-load --rounds 9     some of them, with more samples
//   npm run bench -- --guard --rounds 9 --calibrate           writes what it measures, less a tenth, to guard.json
//
// A ratio is the peer's time divided by ours, so higher is better: it depends on the machine far less than a time does.
// Each sample is a process of its own, and ours and the peer alternate. guard.json has the least ratio of each case; an
// improvement raises it in the same change, and it may only be lowered with a reason in docs/decisions.md. `mostSize`
// there is for the cases in which ours is still larger than MOST_SIZE times the peer's.
import { readFile, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { root, table } from "../run.mjs";
import { cases } from "./cases.mjs";
import { contenders } from "./contenders.mjs";
import { contentsOfArchive, contentsOfFolder, digestOf } from "./contents.mjs";
import { namesOf, sizes } from "./inputs.mjs";
import { adviceOf, judge, LEAST_SAMPLES, leastFor, rowsOf, unmeasured } from "./verdict.mjs";

const limitsFile = path.join(root, "tools", "bench", "guard.json");

/** @param {import("./cases.mjs").Case} it @param {string} folder Of its input. @returns {Promise<string>} */
async function digestOfInput({ operation, workload = "small" }, folder) {
  const names = namesOf(sizes.full[workload]);
  const isWanted = operation === "read" ? (name) => name === names[names.length >> 1] : () => true;
  const wanted = async function* () {
    for await (const [name, bytes] of contentsOfFolder(folder)) {
      if (isWanted(name)) yield [operation === "save" ? name : "", bytes];
    }
  };
  return await digestOf(wanted());
}

/**
 * Prepares a case.
 *
 * @param {import("./measuring.mjs").Measuring} measuring
 * @param {import("./cases.mjs").Case} it
 * @returns {Promise<(side: "ours" | "peer") => Promise<import("./verdict.mjs").Sample>>} Measures one sample.
 */
async function sampler(measuring, it) {
  const jobs = { ours: await measuring.jobOf(it, it.ours), peer: await measuring.jobOf(it, it.peer) };
  const wanted = it.workload === undefined ? undefined : await digestOfInput(it, jobs.ours.folder);
  return async (side) => {
    const result = await measuring.sample(it[side].id, { ...jobs[side], isDigested: true });
    const { seconds, firstSeconds, bytes, digest } = result;
    switch (it.operation) {
      case "save":
        return { seconds, bytes, digest: await digestOf(contentsOfArchive(measuring.out)), wanted };
      case "saves":
        return { seconds, firstSeconds, bytes, digest, wanted: result.wanted };
      default:
        return { seconds, digest, wanted };
    }
  };
}

/**
 * @param {import("./measuring.mjs").Measuring} measuring
 * @param {{ wanted?: readonly string[], rounds?: string, calibrate?: boolean }} options `wanted` are beginnings of names.
 * @returns {Promise<number>} The exit code: 1 if a case was lost.
 */
export async function guard(measuring, { wanted = [""], rounds: asked = String(LEAST_SAMPLES), calibrate = false }) {
  const rounds = Number(asked);
  if (!Number.isSafeInteger(rounds) || rounds < LEAST_SAMPLES) {
    throw new RangeError(`Cannot measure "${asked}" rounds: expected a whole number of at least ${LEAST_SAMPLES}`);
  }
  for (const prefix of wanted) {
    if (!Object.keys(cases).some((name) => name.startsWith(prefix))) {
      throw new RangeError(`Cannot guard "${prefix}": it must be one of ${Object.keys(cases).join(", ")}`);
    }
  }
  const limits = JSON.parse(await readFile(limitsFile, "utf8"));
  const since = performance.now();
  const verdicts = [];
  for (const [name, it] of Object.entries(cases)) {
    if (!wanted.some((prefix) => name.startsWith(prefix))) continue;
    console.log(`== ${name}: ${it.about}`);
    try {
      const labels = { ours: contenders[it.ours.id].label, peer: contenders[it.peer.id].label };
      const about = { name, labels, limit: limits[name], rounds: Math.max(rounds, it.rounds ?? 0) };
      verdicts.push(await judge(about, await sampler(measuring, it), console.log));
    } catch (error) {
      verdicts.push(unmeasured(name, String(error)));
    }
  }
  await measuring.clear();
  console.log(`\n${table(rowsOf(verdicts))}\n`);
  console.log("ratio: the peer's time divided by ours, higher is better; size: our bytes divided by the peer's");
  console.log(
    `took ${((performance.now() - since) / 60_000).toFixed(1)} min on ${os.availableParallelism()} cores; ` +
      `the load of the last minute was ${os.loadavg()[0]?.toFixed(1)}`,
  );
  if (calibrate) {
    for (const { name, ratio } of verdicts) if (Number.isFinite(ratio)) limits[name].least = leastFor(ratio);
    const lines = Object.entries(limits).map(([name, limit]) => {
      const fields = Object.entries(limit).map(([field, value]) => `"${field}": ${value}`);
      return `  "${name}": { ${fields.join(", ")} }`;
    });
    await writeFile(limitsFile, `{\n${lines.join(",\n")}\n}\n`);
    console.log("written to tools/bench/guard.json: read the difference before you commit it");
    return 0;
  }
  for (const line of adviceOf(verdicts)) console.log(line);
  return verdicts.some(({ lost }) => lost.length > 0) ? 1 : 0;
}
