// Do the suites see it when a safeguard is gone? Every sync, rename, link, comparison of digests or sizes, and guard in the
// sources is found by its syntax and taken away, one at a time, in a copy; the suites that should notice run until one does.
//
//   npm run torture -- mutants                 all
//   npm run torture -- mutants --sample 8      every so many, so that 8 are run
//   npm run torture -- mutants --only backend  those whose name has this in it
//   npm run torture -- mutants --list          only their names
import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import ts from "typescript";
import { root, run, scratch, script, secondsSince } from "../run.mjs";

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
  guardsNewest: "false",
  assertOpen: "undefined",
  isStale: "true",
  isDamage: "true",
  isGone: "false",
};
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

/** Whether a failed comparison ends in a throw or a finding: it guards. @param {ts.Node} node @returns {boolean} */
function guards(node) {
  let at = node;
  while (!ts.isIfStatement(at.parent)) {
    if (!ts.isBinaryExpression(at.parent) && !ts.isParenthesizedExpression(at.parent)) return false;
    at = at.parent;
  }
  const { expression, thenStatement } = at.parent;
  return expression === at && /\bthrow\b|reject\(|refuse\(|found\(|\.push\(|corrupt/i.test(thenStatement.getText());
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
    }
    if (ts.isBinaryExpression(node) && measured.test(node.getText())) {
      const by = comparisons.get(node.operatorToken.kind);
      if (by !== undefined && guards(node)) add(node, by);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** Suites that should notice, the likeliest first. @param {string} file */
function suitesFor(file) {
  const [folder] = file.split("/").slice(1);
  if (folder === "backend") return ["test/torture/crash_loop.test.ts", "test/backend", "test/store", "test/faults"];
  if (folder === "store") {
    return ["test/store", "test/retention", "test/faults/backend_calls.test.ts", "test/torture/crash_loop.test.ts"];
  }
  return ["test/archive", "test/layout", "test/rules", "test/store"];
}

/** @param {string} suite @param {string[]} more */
async function passes(suite, ...more) {
  const { code, output } = await run(process.execPath, [
    script("vitest/vitest.mjs"),
    "run",
    "--bail=1",
    "--reporter=dot",
    "--exclude=**/memory.test.ts", // slow, and about nothing that a mutant takes away
    "--exclude=**/mutants.test.ts",
    suite,
    ...more,
  ], { cwd: place, env: { SNAPKEEP_CRASH_TREES: "3000", SNAPKEEP_RUNTIME: "node", VITEST_MAX_WORKERS: "2" } });
  return { isGreen: code === 0, output };
}

/** @param {string} flag */
function valueOf(flag) {
  const at = process.argv.indexOf(flag);
  return at < 0 ? undefined : process.argv[at + 1];
}

const files = (await readdir(path.join(root, "src"), { recursive: true }))
  .map((name) => `src/${String(name).split(path.sep).join("/")}`)
  .filter((name) => name.endsWith(".ts") && !name.startsWith("src/testing/"))
  .sort();
/** @type {Mutant[]} */
let mutants = [];
/** @type {Map<string, string>} */
const texts = new Map();
for (const file of files) texts.set(file, await readFile(path.join(root, file), "utf8"));
for (const [file, text] of texts) mutants.push(...mutantsOf(file, text));
const only = valueOf("--only");
if (only !== undefined) mutants = mutants.filter(({ name }) => name.includes(only));
const all = mutants.length;
const sample = Number(valueOf("--sample") ?? all);
mutants = mutants.filter((_, index) => Math.floor(index * sample / all) !== Math.floor((index - 1) * sample / all));

if (process.argv.includes("--list")) {
  for (const { name, by } of mutants) console.log(`${name} -> ${by}`);
  console.log(`${mutants.length} of ${all} mutants`);
  process.exit(0);
}

const since = performance.now();
await rm(place, { recursive: true, force: true });
await mkdir(place, { recursive: true });
for (
  const name of ["src", "test", "tools", "mod.ts", "package.json", "tsconfig.json", "vitest.config.ts", "README.md"]
) {
  // Nested packages are big and no part of what is tested.
  await cp(path.join(root, name), path.join(place, name), {
    recursive: true,
    filter: (from) => !from.includes("node_modules"),
  });
}
for (const [file, text] of texts) await writeFile(path.join(place, file), text); // as they were found
await symlink(path.join(root, "node_modules"), path.join(place, "node_modules"));
await symlink(path.join(root, "dist"), path.join(place, "dist"));

/** Suites that pass without a mutant; one that does not could notice nothing. @type {Map<string, boolean>} */
const sound = new Map();
/** @param {string} suite */
async function isSound(suite) {
  let known = sound.get(suite);
  if (known === undefined) {
    const { isGreen, output } = await passes(suite);
    known = isGreen;
    if (!known) console.log(`left out: ${suite} fails as it is\n${output.slice(-2000)}`);
    sound.set(suite, known);
  }
  return known;
}

/** @type {string[]} */
const survivors = [];
for (const [index, { name, file, start, end, by }] of mutants.entries()) {
  const from = performance.now();
  const text = texts.get(file) ?? "";
  let killer;
  for (const suite of suitesFor(file)) {
    if (!await isSound(suite)) continue;
    await writeFile(path.join(place, file), text.slice(0, start) + by + text.slice(end));
    const { isGreen } = await passes(suite);
    await writeFile(path.join(place, file), text);
    if (isGreen) continue;
    killer = suite;
    break;
  }
  if (killer === undefined) survivors.push(name);
  const verdict = killer === undefined ? "SURVIVED" : `killed by ${killer}`;
  console.log(`${index + 1}/${mutants.length} ${name} -> ${by}: ${verdict} (${secondsSince(from).toFixed(1)} s)`);
}
await rm(place, { recursive: true, force: true });
const minutes = (performance.now() - since) / 60_000;
console.log(
  `torture: mutants: ${mutants.length - survivors.length} of ${mutants.length} killed (${all} in all); ${
    minutes.toFixed(1)
  } min`,
);
for (const name of survivors) console.log(`survived: ${name}`);
// Survivors are explained, by what they say and not by their line, in docs/guarantees.md.
const explained = await readFile(path.join(root, "docs", "guarantees.md"), "utf8").catch(() => "");
const unexplained = survivors.filter((name) => !explained.includes(name.replace(/:\d+ /, " ")));
for (const name of unexplained) console.log(`not explained in docs/guarantees.md: ${name.replace(/:\d+ /, " ")}`);
process.exitCode = unexplained.length === 0 && [...sound.values()].every(Boolean) ? 0 : 1;
