// Do the suites see it when a safeguard is gone? Every sync, rename, link, comparison of digests or sizes, and every condition
// that ends in a refusal is found by its syntax and taken away, one at a time, in a copy; the suites that should notice run
// until one does.
//
//   npm run prove -- mutants                             a sample
//   npm run build                                        before the others
//   node tools/torture/mutants.mjs                       all
//   node tools/torture/mutants.mjs --sample 8 --seed 3   some, drawn by a seed
//   node tools/torture/mutants.mjs --minutes 3           as many as can be begun within this time
//   node tools/torture/mutants.mjs --only backend,rules  those whose name has one of these in it
//   node tools/torture/mutants.mjs --unexplained         all but those that survivors.md explains
//   node tools/torture/mutants.mjs --list                only their names
import { spawn } from "node:child_process";
import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import ts from "typescript";
import { isInstalled } from "../object_store.mjs";
import { bin, root, scratch, script, secondsSince } from "../run.mjs";

/** @typedef {{ name: string, file: string, start: number, end: number, by: string, was: string }} Mutant */

const place = path.join(scratch, `mutants-${process.pid}`);

// Calls that a mutant leaves out, and what it puts in their place.
const NOTHING = "Promise.resolve()";
/** @type {Record<string, string>} */
const calls = {
  syncFolder: NOTHING,
  sync: NOTHING,
  file: NOTHING, // of a Syncer
  folder: NOTHING,
  rename: NOTHING,
  link: "rename",
  isProtected: "false",
  newestReadable: "undefined",
  assertOpen: "undefined",
  isStale: "true",
  isDamage: "true",
  isGone: "false",
  assertMayAdd: NOTHING,
  assertWhole: "undefined",
  assertNotInside: "undefined",
  assertProgram: "undefined",
  assertNoSnapshot: "undefined",
  assertDigest: "undefined",
  handOver: "undefined",
  isAsListed: "true",
};
// Calls that only protect their last argument, which a mutant puts in their place.
const protections = new Set(["unshared", "bodyFor", "callState"]);
const sets = /^(spared|living|DAMAGE|NO_LINKS|TAKEN|UNSUPPORTED)$/;
const measured = /digest|sizeBytes|actual|stated|expected|crc|\.length/i;
const comparisons = new Map([
  [ts.SyntaxKind.ExclamationEqualsEqualsToken, "false"],
  [ts.SyntaxKind.EqualsEqualsEqualsToken, "true"],
  [ts.SyntaxKind.GreaterThanToken, "false"],
  [ts.SyntaxKind.LessThanToken, "false"],
]);

/** @param {ts.Expression} callee @returns {string} */
const nameOf = (callee) =>
  ts.isPropertyAccessExpression(callee) ? callee.name.text.replace(/^#/, "") : callee.getText();

const refuses = /\bthrow\b|\breject\(|refuse\(|found\(|\.push\(|corrupt|mismatch/i;

/** The condition that a comparison is part of, where it ends in a throw or a finding. @param {ts.Node} node */
function guardOf(node) {
  let at = node;
  while (!ts.isIfStatement(at.parent)) {
    if (!ts.isBinaryExpression(at.parent) && !ts.isParenthesizedExpression(at.parent)) return undefined;
    at = at.parent;
  }
  const { expression, thenStatement } = at.parent;
  return expression === at && refuses.test(thenStatement.getText()) ? expression : undefined;
}

/** Whether an `if` does nothing but refuse, by a throw of its own. @param {ts.IfStatement} node */
function isRefusal({ thenStatement, elseStatement }) {
  if (elseStatement !== undefined) return false;
  const only = ts.isBlock(thenStatement) ? thenStatement.statements : [thenStatement];
  const last = only[only.length - 1];
  if (last === undefined) return false;
  if (ts.isThrowStatement(last)) return true;
  return ts.isExpressionStatement(last) && ts.isCallExpression(last.expression) &&
    /^(refuse|rejected|reject|corrupt|found)$/.test(nameOf(last.expression.expression));
}

/** @param {string} file @param {string} text @returns {Mutant[]} */
function mutantsOf(file, text) {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ESNext, true);
  /** @type {Mutant[]} */
  const found = [];
  /** @param {ts.Node} node @param {string} by */
  const add = (node, by) => {
    const line = source.getLineAndCharacterOfPosition(node.getStart()).line + 1;
    const was = node.getText().replaceAll(/\s+/g, " ");
    found.push({
      name: `${file}:${line} ${was.slice(0, 70)}`,
      file,
      start: node.getStart(),
      end: node.getEnd(),
      by,
      was,
    });
  };
  /** @param {ts.Node} node */
  const visit = (node) => {
    if (ts.isCallExpression(node)) {
      const callee = node.expression;
      const name = nameOf(callee);
      const on = ts.isPropertyAccessExpression(callee) ? callee.expression.getText() : "";
      const isSyncer = (name === "file" || name === "folder") && /sync$/i.test(on);
      const isPort = name !== "file" && name !== "folder" && Object.hasOwn(calls, name) && on !== "super";
      if (isSyncer || isPort) {
        if (name === "link") add(callee, callee.getText().replace(/link$/, "rename"));
        else add(node, calls[name] ?? "");
      } else if (name === "has" && sets.test(on)) add(node, "false");
      else if (protections.has(name)) {
        const last = node.arguments.at(-1)?.getText() ?? "";
        add(node, name === "callState" ? `(${last})()` : last);
      }
    }
    if (ts.isBinaryExpression(node) && measured.test(node.getText())) {
      const by = comparisons.get(node.operatorToken.kind);
      if (by !== undefined && guardOf(node) !== undefined) add(node, by);
    }
    // A condition that is one measured comparison was taken away above.
    if (ts.isIfStatement(node) && isRefusal(node) && !found.some(({ start }) => start === node.expression.getStart())) {
      add(node.expression, "false");
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  const starts = new Set();
  return found.filter(({ start, end }) => !starts.has(`${start} ${end}`) && starts.add(`${start} ${end}`));
}

const CRASHES = "test/torture/crash_loop.test.ts";

/** @param {string} folder @param {string[]} names @returns {string[]} */
const suitesIn = (folder, ...names) => names.map((name) => `test/${folder}/${name}.test.ts`);
const ATTACKS = suitesIn("archive", "attacks", "table", "tar_header", "limits", "member_memory");
const BYTES = suitesIn("archive", "verdicts", "estargz", "zstd_attacks");
const DAMAGE = [...suitesIn("archive", "damage", "every_bit"), "test/fuzz"];

/** Suites that should notice, the likeliest and quickest first. @type {[RegExp, string[][]][]} */
const suites = [
  [/^src\/s3\//, [["test/s3"]]],
  [/backend\//, [suitesIn("backend", "http_backend"), ["test/backend"]]],
  [/file\//, [
    suitesIn("file", "commit_sequence", "file_backend", "free_space", "heartbeat"),
    ["test/file", "test/backend", "test/states/path_state.test.ts"],
    [CRASHES],
    ["test/faults/backend_calls.test.ts", "test/sequences"],
  ]],
  [/archive\//, [ATTACKS, BYTES, ["test/layout/both_layouts.test.ts"], suitesIn("store", "resume"), DAMAGE]],
  [/manifest\//, [["test/manifest"], ["test/store", "test/snapshot", "test/layout"]]],
  [/compression\/pure_gzip/, [suitesIn("compression", "pure_gzip"), DAMAGE]],
  [/compression\/zstd/, [
    ["test/compression/zstd_codec.test.ts", ...BYTES],
    ["test/layout/both_layouts.test.ts"],
    DAMAGE,
  ]],
  [/compression\//, [["test/compression", ...ATTACKS], BYTES, DAMAGE]],
  [/(model|runtime|layout)\//, [
    ["test/model", "test/runtime", "test/layout"],
    [...ATTACKS, "test/store", "test/snapshot"],
    ["test/backend", "test/file"],
  ]],
  [/snapshot\/snapshot_reader/, [
    ["test/snapshot/snapshot_reader.test.ts", "test/store/load.test.ts"],
    ["test/archive/table.test.ts"],
    suitesIn("layout", "handed_out"),
    ["test/snapshot", "test/store", "test/layout"],
  ]],
  [/snapshot\/verif|store\/verif/, [
    ["test/snapshot/verification.test.ts", "test/store/verify_all.test.ts"],
    ["test/archive/damage.test.ts"],
    ["test/store"],
  ]],
  [/store\/(resum|loading)/, [suitesIn("store", "resume", "lineage", "exclusion", "versions"), [
    "test/store",
    "test/layout",
  ]]],
  [/retention\//, [["test/retention"], suitesIn("store", "lineage", "labels")]],
  [/(autosave|states)\//, [["test/autosave", "test/states"]]],
  [/store\//, [suitesIn("store", "exclusion", "lineage", "sources"), ["test/store"], ["test/layout"], [
    "test/sequences",
  ], [CRASHES]]],
  [/snapshot\/locator/, [["test/snapshot"], ["test/retention"], ["test/store", "test/layout"]]],
  [/snapshot\//, [["test/store", "test/snapshot"], ["test/layout"], ["test/sequences"], [CRASHES]]],
];

const NODE = process.execPath;
/** Where zstd matters they are tried on Bun, which always has it, as the system's Node may not. @type {[RegExp, string[]][]} */
const runtimes = [[/zstd/, [bin("bun")]], [/archive_reader|container/, [bin("bun"), NODE]]];

const HANGS_AFTER_MS = 10 * 60_000;

/** @param {string} runtime @param {readonly string[]} filters @returns {Promise<{ isGreen: boolean, output: string }>} */
function passes(runtime, filters) {
  const before = runtime === NODE ? [] : ["--bun"];
  const args = ["run", "--bail=1", "--reporter=dot", "--passWithNoTests"];
  const left = ["memory", "mutants"].map((name) => `--exclude=**/${name}.test.ts`); // slow, and of nothing taken away here
  return new Promise((resolve) => {
    const child = spawn(runtime, [...before, script("vitest/vitest.mjs"), ...args, ...left, ...filters], {
      cwd: place,
      detached: true, // what hangs is ended with all its workers
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...process.env,
        SNAPKEEP_PROVE: "1",
        SNAPKEEP_CRASH_TREES: "3000",
        SNAPKEEP_MODEL_RUNS: "200",
        SNAPKEEP_RUNTIME: runtime === NODE ? "node" : "bun",
      },
    });
    let output = "";
    for (const pipe of [child.stdout, child.stderr]) {
      pipe.setEncoding("utf8").on("data", (text) => output += text);
    }
    const timer = setTimeout(() => {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    }, HANGS_AFTER_MS);
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ isGreen: code === 0, output });
    });
  });
}

/** The test file that failed, as vitest says it. @param {string} output */
function failedIn(output) {
  // deno-lint-ignore no-control-regex
  return /FAIL\s+(\S+\.test\.ts)/.exec(output.replaceAll(/\x1b\[[\d;]*m/g, ""))?.[1];
}

/** @param {string} flag */
function valueOf(flag) {
  const at = process.argv.indexOf(flag);
  return at < 0 ? undefined : process.argv[at + 1];
}

// Tests of the command line drive the built program, in which a mutant of its sources is not; those of an object store need its server.
const untested = isInstalled() ? /^src\/(?:testing|cli)\/|^src\/bin\.ts$/ : /^src\/(?:testing|cli|s3)\/|^src\/bin\.ts$/;
const files = (await readdir(path.join(root, "src"), { recursive: true }))
  .map((name) => `src/${String(name).split(path.sep).join("/")}`)
  .filter((name) => name.endsWith(".ts") && !untested.test(name))
  .sort();
/** @type {Mutant[]} */
let mutants = [];
/** @type {Map<string, string>} */
const texts = new Map();
for (const file of files) texts.set(file, await readFile(path.join(root, file), "utf8"));
for (const [file, text] of texts) mutants.push(...mutantsOf(file, text));
const only = valueOf("--only")?.split(",");
if (only !== undefined) mutants = mutants.filter(({ name }) => only.some((part) => name.includes(part)));
// Survivors are explained by what they say, not by their line.
const LIST = "tools/torture/survivors.md";
const explained = await readFile(path.join(root, LIST), "utf8");
/** @param {string} name */
const isExplained = (name) => explained.includes(name.replace(/:\d+ /, " "));
if (process.argv.includes("--unexplained")) mutants = mutants.filter(({ name }) => !isExplained(name));
const all = mutants.length;
const seed = Number(valueOf("--seed") ?? 1);
const sample = Number(valueOf("--sample") ?? all);
const limitMs = Number(valueOf("--minutes") ?? Infinity) * 60_000;
if (sample < all) mutants = drawn(mutants, sample, seed);

/** Some of many, the same ones for the same seed. @template T @param {T[]} items @param {number} count @param {number} seed */
function drawn(items, count, seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  next();
  const keyed = items.map((item, index) => ({ item, index, key: next() }));
  const chosen = keyed.sort((a, b) => a.key - b.key).slice(0, count);
  return chosen.sort((a, b) => a.index - b.index).map(({ item }) => item);
}

if (process.argv.includes("--list")) {
  for (const { name, by } of mutants) console.log(`${name} -> ${by}`);
  console.log(`${mutants.length} of ${all} mutants`);
  process.exit(0);
}

const since = performance.now();
await rm(place, { recursive: true, force: true });
await mkdir(place, { recursive: true });
for (
  const name of [
    "src",
    "test",
    "tools",
    "docs",
    "examples",
    "mod.ts",
    "deno.json",
    "package.json",
    "tsconfig.json",
    "vitest.config.ts",
    "README.md",
  ]
) {
  // Nested packages are big and no part of what is tested.
  await cp(path.join(root, name), path.join(place, name), {
    recursive: true,
    filter: (from) => !from.includes("node_modules"),
  });
}
for (const [file, text] of texts) await writeFile(path.join(place, file), text); // as they were found
await symlink(path.join(root, "node_modules"), path.join(place, "node_modules"));
// No link: children that may read only the copy must find it there.
await cp(path.join(root, "dist"), path.join(place, "dist"), { recursive: true });

/** Suites that pass without a mutant; one that does not could notice nothing. @type {Map<string, boolean>} */
const sound = new Map();
/** @param {string} runtime @param {readonly string[]} filters */
async function isSound(runtime, filters) {
  const key = [runtime, ...filters].join(" ");
  let known = sound.get(key);
  if (known === undefined) {
    const { isGreen, output } = await passes(runtime, filters);
    known = isGreen;
    if (!known) console.log(`left out: ${key} fails as it is\n${output.slice(-2000)}`);
    sound.set(key, known);
  }
  return known;
}

/** What killed the last mutant of a file is the likeliest to kill the next. @type {Map<string, string>} */
const lastKillers = new Map();
/** @param {Mutant} mutant @param {string} runtime @returns {Promise<string | undefined>} */
async function killerOf({ file, start, end, by }, runtime) {
  const text = texts.get(file) ?? "";
  const stages = suites.find(([pattern]) => pattern.test(file))?.[1] ?? [["test/store"]];
  const last = lastKillers.get(file);
  for (const filters of last === undefined ? stages : [[last], ...stages]) {
    await writeFile(path.join(place, file), text.slice(0, start) + by + text.slice(end));
    const { isGreen, output } = await passes(runtime, filters);
    await writeFile(path.join(place, file), text);
    if (isGreen) continue;
    const killer = failedIn(output);
    if (!await isSound(runtime, killer === undefined ? filters : [killer])) continue;
    if (killer !== undefined) lastKillers.set(file, killer);
    return killer ?? filters.join(" ");
  }
  return undefined;
}

/** @type {string[]} */
const survivors = [];
let tried = 0;
for (const mutant of mutants) {
  if (performance.now() - since > limitMs) break;
  tried++;
  const from = performance.now();
  let killer;
  for (const runtime of runtimes.find(([pattern]) => pattern.test(mutant.file))?.[1] ?? [NODE]) {
    killer ??= await killerOf(mutant, runtime);
  }
  if (killer === undefined) survivors.push(mutant.name);
  const verdict = killer === undefined ? "SURVIVED" : `killed by ${killer}`;
  console.log(
    `${tried}/${mutants.length} ${mutant.name} -> ${mutant.by}: ${verdict} (${secondsSince(from).toFixed(1)} s)`,
  );
}
await rm(place, { recursive: true, force: true });
const minutes = ((performance.now() - since) / 60_000).toFixed(1);
console.log(
  `proof: mutants: ${tried - survivors.length} of ${tried} killed (${all} in all, seed ${seed}); ${minutes} min`,
);
for (const name of survivors) console.log(`survived: ${name}`);
const unexplained = survivors.filter((name) => !isExplained(name));
for (const name of unexplained) console.log(`not explained in ${LIST}: ${name.replace(/:\d+ /, " ")}`);
process.exitCode = unexplained.length === 0 && [...sound.values()].every(Boolean) ? 0 : 1;
