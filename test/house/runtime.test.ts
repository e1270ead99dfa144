// The suite claims three runtimes; here it proves that it does not run three times in the same one.
import process from "node:process";
import { expect, it } from "vitest";

function runtime(): string {
  if ("Deno" in globalThis) return "deno";
  if ("Bun" in globalThis) return "bun";
  return "node";
}

it("runs in the runtime that was asked for", () => {
  expect(runtime()).toBe(process.env["SNAPKEEP_RUNTIME"] ?? "node");
});

it("runs in the process of that runtime, not in a stand-in", () => {
  const versions: Record<string, string | undefined> = process.versions;
  expect({ bun: versions["bun"] !== undefined, deno: versions["deno"] !== undefined }).toEqual({
    bun: runtime() === "bun",
    deno: runtime() === "deno",
  });
});
