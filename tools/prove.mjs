// The proofs in their long form, of which `npm test` has a taste.
//
//   npm run prove                                          all of them, on Node, Bun and Deno
//   npm run prove -- --list                                what there is, and how much each looks at
//   npm run prove -- durability model                      some, by name or by group
//   npm run prove -- crash --trees 1000000 --runtime bun   one, with another amount, on one runtime
//   npm run prove -- fuzz --seed random --seconds 3600     from a seed that is drawn and printed
//   npm run prove -- fuzz --seed 17 --cases 1 -t "reader table$"   other arguments go to vitest
import process from "node:process";
import { ANY, groups, proofs, variableOf } from "./proofs.mjs";
import { table } from "./run.mjs";
import { runSuites, takeRuntimes } from "./suites.mjs";

/** @param {import("./proofs.mjs").Amount} amount */
function inWords(amount) {
  if (typeof amount !== "number") return `${amount[0]} (Node), ${amount[1]}`;
  return amount === ANY ? "any" : String(amount);
}

function list() {
  const rows = Object.entries(proofs).flatMap(([name, { group, about, measures }]) => [
    [`${name} (${group}): ${about}`, "", ""],
    ...Object.entries(measures).map(([measure, { what, short, long }]) => [
      `  --${measure}  ${what}`,
      inWords(short),
      inWords(long),
    ]),
  ]);
  console.log(table([["proof (group)", "npm test", "npm run prove"], ...rows]));
}

/**
 * Names of proofs and groups, amounts, and what is left for vitest.
 *
 * @param {readonly string[]} args
 */
function parse(args) {
  const known = groups();
  /** @type {Set<string>} */
  const names = new Set();
  /** @type {[string, string][]} */
  const amounts = [];
  /** @type {string[]} */
  const rest = [];
  const measures = new Set(Object.values(proofs).flatMap((proof) => Object.keys(proof.measures)));
  let at = 0;
  for (; at < args.length && !(args[at] ?? "").startsWith("-"); at++) {
    const name = args[at] ?? "";
    const members = known.get(name) ?? (name in proofs ? [name] : undefined);
    if (members === undefined) {
      throw new RangeError(
        `Cannot prove "${name}": not one of ${[...known.keys(), ...Object.keys(proofs)].join(", ")}`,
      );
    }
    for (const member of members) names.add(member);
  }
  for (; at < args.length; at++) {
    const flag = args[at] ?? "";
    if (measures.has(flag.slice(2))) amounts.push([flag.slice(2), args[++at] ?? ""]);
    else rest.push(flag);
  }
  return { names: names.size > 0 ? [...names] : Object.keys(proofs), amounts, rest };
}

async function prove() {
  const { wanted, rest: own } = takeRuntimes(process.argv.slice(2));
  const { names, amounts, rest } = parse(own);
  /** @type {Record<string, string>} */
  const env = { SNAPKEEP_PROVE: "1" };
  for (const [measure, given] of amounts) {
    const value = given === "random" ? Math.floor(Math.random() * 2 ** 31) : Number(given === "" ? NaN : given);
    if (!(Number.isFinite(value) && value >= 0)) throw new RangeError(`Cannot use --${measure} ${given}: not a number`);
    const having = names.filter((name) => measure in (proofs[name]?.measures ?? {}));
    if (having.length === 0) throw new RangeError(`Cannot use --${measure}: ${names.join(", ")} has no such amount`);
    for (const name of having) env[variableOf(name, measure)] = String(value);
    console.log(`${having.join(", ")}: --${measure} ${value}`);
  }
  const files = names.flatMap((name) => proofs[name]?.files ?? []);
  await runSuites("proofs", {
    wanted,
    args: [...new Set(files), ...rest],
    env,
    closing: [`Run in full: ${names.join(", ")}.`],
  });
}

if (process.argv.includes("--list")) list();
else await prove();
