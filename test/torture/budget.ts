// How much a proof looks at, how long that may take, and what it says of it. Runners hide what passing tests print; this is
// written past them.
import process from "node:process";
import { amountOf, isLong } from "../../tools/proofs.mjs";

export { isLong };

/** Which runtime runs the tests. */
export const runtime = "Bun" in globalThis ? "bun" : "Deno" in globalThis ? "deno" : "node";

/** How much of something a proof looks at in this run; tools/proofs.mjs says how much that is in which form. */
export function amount(proof: string, measure: string): number {
  return amountOf(proof, measure, runtime === "node");
}

/**
 * The most milliseconds that a test may take: `minutes` with the amount of the long form, and proportionally more with a
 * greater one.
 */
export function limitMs(proof: string, measure: string, minutes: number): number {
  const usual = amountOf(proof, measure, runtime === "node", "long");
  return minutes * 60_000 * Math.max(1, amount(proof, measure) / usual);
}

/** Prints what a proof looked at, and how long it took. */
export function report(proof: string, sinceMs: number, found: string): void {
  const minutes = (performance.now() - sinceMs) / 60_000;
  process.stdout.write(`proof: ${proof} on ${runtime}: ${found}; ${minutes.toFixed(2)} min\n`);
}

/** Prints why a proof was left out. */
export function skipped(proof: string, reason: string): void {
  process.stdout.write(`proof: ${proof} on ${runtime}: left out, ${reason}\n`);
}
