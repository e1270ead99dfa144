// The gate: everything that must hold before a change lands, as named steps. All steps run, then the verdict.
//
//   npm run ok                     everything
//   npm run ok -- --skip tests     all but some (a,b,c)
//   npm run ok -- --only lint      only some
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { bin, present, run, scratch, script, secondsSince, table } from "./run.mjs";

/** @typedef {{ code: number, output: string }} Outcome */

const node = process.execPath;
const deno = bin("deno");
const entries = ["mod.ts", "src/backend/mod.ts", "src/s3/mod.ts", "src/states/mod.ts", "src/testing/mod.ts"];
const tarballs = path.join(scratch, "tarball");

/** @param {string} command @param {readonly string[]} args @param {boolean} [show] @returns {Promise<Outcome>} */
async function sh(command, args, show = false) {
  const { code, output: noisy } = await run(command, args, { show });
  // Deno looks into the @types of Node and Bun, which it does not need, and tells at length what it cannot find there.
  const output = noisy.replaceAll(/^Warning Failed resolving types\..*\n( +at .*\n)*/gm, "");
  return { code, output: code === 0 ? "" : `$ ${[path.basename(command), ...args].join(" ")}\n${output}` };
}

/**
 * Runs all, so that one look shows everything that is wrong.
 *
 * @param {...(() => Promise<Outcome>)} checks
 * @returns {Promise<Outcome>}
 */
async function all(...checks) {
  let code = 0;
  let output = "";
  for (const check of checks) {
    const outcome = await check();
    if (outcome.code !== 0) code = 1;
    output += outcome.output;
  }
  return { code, output };
}

/** @param {string} file A test file that depends on no runtime; it runs whole. */
const tested = (file) => sh(node, [script("vitest/vitest.mjs"), "run", file]);

async function packaging() {
  await rm(tarballs, { recursive: true, force: true });
  await mkdir(tarballs, { recursive: true });
  const packed = await sh("npm", ["pack", "--pack-destination", tarballs]);
  if (packed.code !== 0) return packed;
  const tarball = path.join(tarballs, (await readdir(tarballs))[0] ?? "");
  return await all(
    () => sh(deno, ["publish", "--dry-run", "--allow-dirty", "--no-provenance"]),
    () => sh(node, [script("publint/src/cli.js"), "run", tarball, "--strict"]),
    () => sh(node, [script("@arethetypeswrong/cli/dist/index.js"), tarball, "--profile", "esm-only"]),
    () => tested("test/house/import.test.ts"),
    () => sh(node, ["tools/consumers.mjs", tarball], true),
  );
}

/** @type {Record<string, () => Promise<Outcome>>} */
const steps = {
  format: () => sh(deno, ["fmt", "--check"]),
  lint: () =>
    all(
      () =>
        sh(node, [
          script("oxlint/bin/oxlint"),
          "--type-aware",
          "--deny-warnings",
          ...present(["mod.ts", "src", "test", "examples", "tools", "vitest.config.ts"]),
        ]),
      () => sh(deno, ["lint"]),
    ),
  types: () =>
    all(
      () => sh(node, [script("typescript/bin/tsc"), "-p", "."]),
      () => sh(node, [script("typescript/bin/tsc"), "-p", "tools/tsconfig.library.json"]),
      () => sh(deno, ["check", ...entries]),
    ),
  layers: () => tested("test/house/layers.test.ts"),
  tests: () => sh(node, ["tools/test.mjs"], true),
  docs: () =>
    all(
      () => sh(deno, ["doc", "--lint", ...entries]),
      () => sh(node, ["tools/examples.mjs"]),
      () => tested("test/house/reference.test.ts"),
    ),
  packaging,
};

/** @param {string} flag */
function named(flag) {
  const at = process.argv.indexOf(flag);
  if (at < 0) return undefined;
  const names = (process.argv[at + 1] ?? "").split(",");
  for (const name of names) {
    if (!(name in steps)) {
      throw new RangeError(`Cannot use ${flag} ${name}: not one of ${Object.keys(steps).join(", ")}`);
    }
  }
  return names;
}

const only = named("--only");
const skip = named("--skip") ?? [];
await mkdir(scratch, { recursive: true });
const summary = path.join(scratch, "gate.json");
await rm(summary, { force: true });

/** @type {(string | number)[][]} */
const rows = [["step", "result", "seconds"]];
let passed = 0;
let failed = 0;
for (const [name, step] of Object.entries(steps)) {
  if (skip.includes(name) || (only !== undefined && !only.includes(name))) continue;
  const since = performance.now();
  const { code, output } = await step();
  const seconds = secondsSince(since);
  if (code === 0) passed++;
  else failed++;
  rows.push([name, code === 0 ? "ok" : "FAILED", seconds.toFixed(1)]);
  console.log(`${code === 0 ? "ok    " : "FAILED"} ${name} (${seconds.toFixed(1)} s)`);
  if (output !== "") console.log(output);
}
console.log();
console.log(table(rows));
await writeFile(summary, `${JSON.stringify({ passed, failed })}\n`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
