// Starts a child program in the runtime that runs the tests: Node runs what was built, Bun and Deno the sources.
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");

/** How to run a program of test/children. */
export function commandOf(name: string): [string, string[]] {
  if ("Bun" in globalThis) return [process.execPath, [path.join(root, "test/children", `${name}.ts`)]];
  if ("Deno" in globalThis) return [process.execPath, ["run", "-A", path.join(root, "test/children", `${name}.ts`)]];
  const built = path.join(root, "dist/test/children", `${name}.js`);
  if (!existsSync(built)) throw new Error(`Cannot run "${built}": build first, with npm run build`);
  return [process.execPath, [built]];
}

/** Starts a program of test/children by its name. */
export function startChild(name: string, args: readonly string[]): ChildProcessByStdio<null, Readable, Readable> {
  const [command, before] = commandOf(name);
  const env = { ...process.env, DENO_NO_UPDATE_CHECK: "1", NODE_OPTIONS: "" };
  return spawn(command, [...before, ...args], { cwd: root, stdio: ["ignore", "pipe", "pipe"], env });
}
