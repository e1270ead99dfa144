// How long a suite may take, how much it looks at, and what it says of that. Runners hide what passing tests print; this is
// written past them.
import process from "node:process";

/** Which runtime runs the tests. */
export const runtime = "Bun" in globalThis ? "bun" : "Deno" in globalThis ? "deno" : "node";

/** A number that the long form sets in the environment, else the one for every run. */
export function amount(name: string, usual: number): number {
  const given = process.env[`SNAPKEEP_${name}`];
  if (given === undefined || given === "") return usual;
  const value = Number(given);
  if (!Number.isFinite(value)) throw new RangeError(`Cannot use SNAPKEEP_${name}=${given}: it is no number`);
  return value;
}

/** Says what a suite did, with the minutes it took and may take. */
export function report(suite: string, sinceMs: number, budgetMinutes: number, found: string): void {
  const minutes = (performance.now() - sinceMs) / 60_000;
  process.stdout.write(`torture: ${suite} on ${runtime}: ${found}; ${minutes.toFixed(2)} of ${budgetMinutes} min\n`);
}

/** Says why a suite was left out. */
export function skipped(suite: string, reason: string): void {
  process.stdout.write(`torture: ${suite} on ${runtime}: left out, ${reason}\n`);
}
