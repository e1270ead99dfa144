// The fast suite: every test on Node, Bun and Deno, with a taste of every proof.
//
//   npm test                                    all three
//   npm test -- --runtime node test/store       one of them, one folder; other arguments go to vitest
import process from "node:process";
import { groups } from "./proofs.mjs";
import { runSuites, takeRuntimes } from "./suites.mjs";

const { wanted, rest } = takeRuntimes(process.argv.slice(2));
await runSuites("tests", {
  wanted,
  args: rest,
  closing: [
    ...rest.length > 0 ? [`Not the whole suite: ${rest.join(" ")}`] : [],
    "Not run in full: these proofs, of which this was at most a taste. `npm run prove` runs them all in full.",
    ...[...groups()].map(([group, names]) => `  npm run prove -- ${group}`.padEnd(30) + names.join(", ")),
  ],
});
