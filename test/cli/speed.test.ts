// How long a command takes beyond the start of the runtime, in processor time and as a ratio, so that load counts little.
import { spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { expect, it } from "vitest";
import { temporaryFolder } from "../backend/temporary.ts";
import { commandLine, environment, fill } from "./snapkeep.ts";

const MOST_ROUNDS = 20;
// The start of Node, which takes about 33 ms of processor time, tells how fast the machine is: list may take 150 ms beyond the start of
// its own runtime.
const MOST_STARTS = 4.5;

/** Processor milliseconds of a program, as the shell counts them. */
function cpuMsOf(command: string, args: readonly string[]): number {
  const script = 'TIMEFORMAT="%U %S"; time "$@" > /dev/null';
  const { stderr, status } = spawnSync("bash", ["-c", script, "bash", command, ...args], {
    env: environment(),
    encoding: "utf8",
  });
  const [, user, system] = /(\d+\.\d+) (\d+\.\d+)\s*$/.exec(stderr) ?? [];
  if (status !== 0 || user === undefined || system === undefined) throw new Error(stderr);
  return (Number(user) + Number(system)) * 1000;
}

it.skipIf(process.platform === "win32")(
  "list of 100 snapshots takes little more than the runtime takes to start",
  async () => {
    const folder = await temporaryFolder();
    await fill(folder, { count: 100 });
    const empty = path.join(folder, "empty.mjs");
    await writeFile(empty, "");
    const [command, args] = commandLine(["list", "-s", folder]);
    const atStart = [...args.slice(0, -4), empty]; // in place of the program, the command and its option
    // Load only adds, and to all: the least of several rounds tells what each takes. More rounds are run while they are needed.
    let [unit, start, list] = [Infinity, Infinity, Infinity];
    for (let round = 0; round < MOST_ROUNDS && (round < 3 || list - start > MOST_STARTS * unit); round++) {
      unit = Math.min(unit, cpuMsOf("node", [empty]));
      start = Math.min(start, cpuMsOf(command, atStart));
      list = Math.min(list, cpuMsOf(command, args));
    }
    expect((list - start) / unit).toBeLessThanOrEqual(MOST_STARTS);
  },
);
