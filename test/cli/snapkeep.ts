// Runs the built command line as a child process, in the runtime of the test, with and without a terminal; and saves snapshots for it.
import { spawn, spawnSync } from "node:child_process";
import { Buffer } from "node:buffer";
import path from "node:path";
import process from "node:process";
import { type Labels, type LayoutKind, StateStore } from "snapkeep";
import { root } from "../../tools/run.mjs";

const bin = path.join(root, "dist/src/bin.js");
const isDeno = "Deno" in globalThis;

/** How a command ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: Uint8Array | string;
  readonly cwd?: string;
}

/** The command that runs the command line in this runtime. */
export function commandLine(args: readonly string[]): [string, string[]] {
  return [process.execPath, [...isDeno ? ["run", "--quiet", "-A"] : [], bin, ...args]];
}

/** The environment without what would change the output. */
export function environment(env: Readonly<Record<string, string>> = {}): Record<string, string> {
  const { PATH = "", HOME = "", TMPDIR = "/tmp", DENO_DIR } = process.env;
  return { PATH, HOME, TMPDIR, ...DENO_DIR === undefined ? {} : { DENO_DIR }, DENO_NO_UPDATE_CHECK: "1", ...env };
}

/** Runs a command to its end; stdout is bytes. */
export function snapkeepBytes(
  args: readonly string[],
  { env, input, cwd }: RunOptions = {},
): Promise<{ readonly code: number; readonly stdout: Uint8Array; readonly stderr: string }> {
  const [command, all] = commandLine(args);
  return new Promise((resolve, reject) => {
    const child = spawn(command, all, { cwd, env: environment(env), stdio: "pipe" });
    const chunks: Uint8Array[] = [];
    let stderr = "";
    child.stdout.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text);
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? -1, stdout: new Uint8Array(Buffer.concat(chunks)), stderr }));
    child.stdin.on("error", () => {}); // the command may not read all of it
    child.stdin.end(input);
  });
}

/** Runs a command to its end. */
export async function snapkeep(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const { code, stdout, stderr } = await snapkeepBytes(args, options);
  return { code, stdout: new TextDecoder().decode(stdout), stderr };
}

/** Whether there is a program that makes pseudo-terminals. */
export const hasTerminal: boolean = spawnSync("python3", ["-c", "import pty"]).status === 0;

/**
 * Runs a command in a pseudo-terminal.
 *
 * @param args The command.
 * @param options Its width, and what to type when some text appears, after shell commands.
 * @returns What the terminal received, stdout and stderr together.
 */
export function inTerminal(
  args: readonly string[],
  { columns = 80, typed = [], env = {}, shell = "" }: {
    readonly columns?: number;
    readonly typed?: readonly (readonly [seen: string, typed: string, ...commands: string[]])[];
    readonly env?: Readonly<Record<string, string>>;
    /** What follows the command in a shell, such as `| cat`. */
    readonly shell?: string;
  } = {},
): Promise<{ readonly code: number; readonly screen: string }> {
  const [command, all] = commandLine(args);
  const quoted = [command, ...all].map((each) => `'${each.replaceAll("'", "'\\''")}'`).join(" ");
  const program = shell === "" ? [command, ...all] : ["sh", "-c", `${quoted} ${shell}`];
  const script = path.join(root, "test/children/terminal.py");
  return new Promise((resolve, reject) => {
    const child = spawn("python3", [script, String(columns), JSON.stringify(typed), ...program], {
      env: environment({ TERM: "xterm-256color", ...env }),
      stdio: ["ignore", "pipe", "inherit"],
    });
    let screen = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => screen += text);
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? -1, screen: screen.replaceAll("\r\n", "\n") }));
  });
}

/** A text without escape sequences. */
export function plain(screen: string): string {
  // oxlint-disable-next-line no-control-regex
  return screen.replaceAll(/\u001b(?:\[[0-9;?]*[a-zA-Z]|7|8)/g, "");
}

/** What a terminal without an end shows after it has received a text: the lines, as cursor moves and erasures have left them. */
export function shownBy(received: string): string[] {
  const lines = [""];
  let [row, column, saved] = [0, 0, [0, 0] as [number, number]];
  // oxlint-disable-next-line no-control-regex
  for (const part of received.match(/\u001b(?:\[[0-9;?]*[a-zA-Z]|7|8)|[^]/g) ?? []) {
    const line = lines[row] ?? "";
    if (part === "\n") [row, column] = [row + 1, 0];
    else if (part === "\r" || part === "\u001b[1G") column = 0;
    else if (part === "\u001b[2K") lines[row] = "";
    else if (part === "\u001b[0K") lines[row] = line.slice(0, column);
    else if (part === "\u001b7") saved = [row, column];
    else if (part === "\u001b8") [row, column] = saved;
    else if (part.length === 1) lines[row] = line.slice(0, column).padEnd(column) + part + line.slice(++column);
  }
  return lines;
}

/** A text with the time of each name replaced, and without the folder. */
export function golden(text: string, folder = ""): string {
  const names = new Map<string, string>();
  return (folder === "" ? text : text.replaceAll(folder, "/states"))
    .replaceAll(/\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d,\d{6}/g, (name) => {
      names.set(name, names.get(name) ?? `2026-01-02_03-04-05,${String(names.size + 1).padStart(6, "0")}`);
      return names.get(name) as string;
    })
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "2026-01-02T03:04:05.000Z");
}

/** What {@link fill} saves. */
export interface Filling {
  readonly count?: number;
  readonly program?: string;
  readonly layout?: LayoutKind;
  readonly ageMs?: number;
  readonly labels?: (step: number) => Labels;
  readonly value?: (step: number) => unknown;
  readonly bytes?: (step: number) => Uint8Array;
}

/** Saves snapshots of a run and its model to a folder, one an hour, the last `ageMs` ago. */
export async function fill(folder: string, filling: Filling = {}): Promise<StateStore> {
  const { count = 3, program = "trainer", layout = "directory", ageMs = 3_600_000, labels = (step) => ({ step }) } =
    filling;
  let step = 1;
  const { value = (at) => ({ step: at, loss: 1 / at }), bytes = (at) => new Uint8Array(1000 * at).fill(at) } = filling;
  const sinceMs = Date.now() - ageMs - (count - 1) * 3_600_000;
  const now = () => sinceMs + (step - 1) * 3_600_000;
  const store = new StateStore(folder, { now, program, run: "run-1", layout, durability: "none", startFresh: true })
    .register("run", { saveState: (out) => out.json("run.json", value(step)), loadState: () => {} })
    .register("model", { saveState: (out) => out.write("weights.bin", bytes(step)), loadState: () => {} });
  for (; step <= count; step++) await store.saveState({ labels: labels(step) });
  return store;
}
