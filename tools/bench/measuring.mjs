// How a measurement is made ready and run, for the whole benchmark and for its guard: peers and build, inputs, the
// process that measures.
import { existsSync } from "node:fs";
import { cp, mkdir, rm } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { root, run, scratch } from "../run.mjs";
import { contenders, missingRuntime, runtimes } from "./contenders.mjs";
import { Fixtures } from "./fixtures.mjs";
import { streamBytes } from "./groups.mjs";
import { makeInput, sizes } from "./inputs.mjs";

const here = path.join(root, "tools", "bench");

/** Inputs, builds, outputs and results lie here. */
export const place = path.join(scratch, "bench");
const dist = path.join(place, "dist");

/** @param {string} command @param {readonly string[]} args @param {string} [cwd] */
async function sh(command, args, cwd = root) {
  const { code, output } = await run(command, args, { cwd });
  if (code !== 0) {
    throw new Error(`"${command} ${args.join(" ")}" failed:\n${output}`);
  }
}

/**
 * Installs the peers where they are absent, and builds what is measured.
 *
 * @param {{ keepBuild?: boolean, needs?: readonly string[], needsPeers?: boolean }} [options] `needs` names further runtimes to
 *   install.
 */
export async function prepare({ keepBuild = false, needs = [], needsPeers = true } = {}) {
  await mkdir(place, { recursive: true });
  if (needsPeers && !existsSync(path.join(here, "node_modules"))) {
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
  if (needs.some((name) => missingRuntime(name) !== undefined)) {
    await sh("npm", ["ci", "--prefix", path.join(root, "tools", "runtimes")]);
  }
  if (keepBuild && existsSync(dist)) return;
  await sh(process.execPath, ["tools/build.mjs"]);
  await rm(dist, { recursive: true, force: true });
  await cp(path.join(root, "dist"), dist, { recursive: true }); // a build beside a long run must not change what is measured
}

export class Measuring {
  #size;
  #outputs = path.join(place, "outputs");
  #inputs = path.join(place, "inputs");
  /** Where the output of a sample lies until the next one. */
  out = path.join(this.#outputs, "out");

  /** @param {"full" | "quick"} size */
  constructor(size) {
    this.#size = size;
    this.fixtures = new Fixtures(path.join(place, "fixtures"), (id, job) => this.#measure(id, job));
  }

  /** @param {import("./inputs.mjs").WorkloadName} workload @returns {Promise<string>} The folder of its input. */
  input(workload) {
    return makeInput(this.#inputs, this.#size, workload);
  }

  /** @param {string} id @param {any} job @returns {Promise<any>} What the measuring process found. */
  async #measure(id, job) {
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
      JSON.stringify({ ...job, contender: contender.module, size: this.#size, options }),
    ], { env: { SNAPKEEP_DIST: dist } });
    const line = stdout.split("\n").findLast((candidate) => candidate.startsWith("RESULT "));
    if (code !== 0 || line === undefined) {
      throw new Error(`${contender.label} failed: ${output.trim()}`);
    }
    return JSON.parse(line.slice("RESULT ".length));
  }

  /**
   * Measures in a process of its own, with nothing left to be written by others.
   *
   * @param {string} id
   * @param {any} job
   * @returns {Promise<any>} What was found.
   */
  async sample(id, job) {
    await this.clear();
    await mkdir(this.#outputs, { recursive: true });
    if (job.older !== undefined) await cp(job.older, this.out, { recursive: true });
    await run("sync", ["-f", this.#outputs]); // what others left to be written must not slow this one
    return await this.#measure(id, { ...job, out: this.out });
  }

  async clear() {
    await rm(this.#outputs, { recursive: true, force: true });
  }

  /** @param {Omit<import("./groups.mjs").Group, "title" | "about" | "rows" | "columns">} group @param {import("./groups.mjs").Row} row @returns {Promise<any>} */
  async jobOf(group, row) {
    const { operation, workload, source, level } = group;
    const job = { operation, workload, source, level, ...row.job };
    if (typeof job.streamBytes === "string") {
      job.streamBytes = streamBytes[this.#size][job.streamBytes];
    }
    if (operation === "loadStream") {
      const [, id = ""] = job.fixture.split("/");
      job.streamBytes = streamBytes[this.#size].loop;
      const out = path.join(place, "fixtures", `stream-${this.#size}-${id}`);
      await rm(out, { recursive: true, force: true });
      const { file } = await this.#measure(id, {
        operation: "stream",
        streamBytes: job.streamBytes,
        isSized: true,
        out,
      });
      return { ...job, from: file };
    }
    if (operation === "saves" && row.id.startsWith("ours")) job.older = await this.fixtures.get("saves", "oursOlder");
    if (workload === undefined) return job;
    const { count, entryBytes } = sizes[this.#size][workload];
    job.folder = await this.input(workload);
    job.inputBytes = count * entryBytes;
    if (operation === "load") {
      job.expectBytes = row.id.startsWith("gnu") ? 0 : job.inputBytes;
    }
    if (job.directory !== undefined) {
      job.directory = await this.fixtures.get(job.folder, job.directory);
    }
    if (job.fixture !== undefined) {
      job.from = await this.fixtures.get(job.folder, job.fixture);
    }
    return job;
  }
}
