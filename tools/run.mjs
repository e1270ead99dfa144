// How the tools find the repository and its binaries and start programs; they all do it the same way.
// It runs on every supported Node, so plain JavaScript: Node 20 cannot run TypeScript.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");

/** Ignored by git and npm; reports, tarballs and extracted examples go here. */
export const scratch = path.join(root, ".scratch");

export const runtimes = /** @type {const} */ (["node", "bun", "deno"]);

/** @param {string} name A binary that `npm ci` brought. */
export function bin(name) {
  return path.join(root, "node_modules", ".bin", process.platform === "win32" ? `${name}.cmd` : name);
}

/** @param {string} relative A script below node_modules, to be run by a chosen runtime. */
export function script(relative) {
  return path.join(root, "node_modules", relative);
}

/** @param {readonly string[]} names Paths below the root. @returns Those that exist. */
export function present(names) {
  return names.filter((name) => existsSync(path.join(root, name)));
}

/**
 * Runs a program to its end.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: Record<string, string>, show?: boolean }} [options] `show` passes output through
 *   instead of collecting it.
 * @returns {Promise<{ code: number, output: string, stdout: string }>} Code -1 when it could not start or was killed.
 */
export function run(command, args, { cwd = root, env = {}, show = false } = {}) {
  // Not all programs notice by themselves that their output is collected.
  const plain = show && process.stdout.isTTY ? {} : { NO_COLOR: "1", FORCE_COLOR: undefined };
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, DENO_NO_UPDATE_CHECK: "1", ...plain, ...env },
      stdio: ["ignore", show ? "inherit" : "pipe", show ? "inherit" : "pipe"],
    });
    let output = "";
    let stdout = "";
    child.stdout?.setEncoding("utf8").on("data", (text) => {
      output += text;
      stdout += text;
    });
    child.stderr?.setEncoding("utf8").on("data", (text) => output += text);
    child.on("error", (error) => resolve({ code: -1, output: `${output}${error.message}\n`, stdout }));
    child.on("close", (code, signal) => {
      if (signal !== null) output += `ended by ${signal}\n`;
      resolve({ code: code ?? -1, output, stdout });
    });
  });
}

/** @param {number} since From `performance.now()`. */
export function secondsSince(since) {
  return Math.round((performance.now() - since) / 100) / 10;
}

/**
 * Lays rows out in columns, the first flush left and the others flush right.
 *
 * @param {readonly (readonly (string | number)[])[]} rows
 */
export function table(rows) {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)));
  return rows.map((row) =>
    row.map((cell, column) =>
      column === 0 ? String(cell).padEnd(widths[column] ?? 0) : String(cell).padStart(widths[column] ?? 0)
    ).join("  ").trimEnd()
  ).join("\n");
}
