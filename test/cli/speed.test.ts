// How long a command takes beyond the start of the runtime, in processor time and as a ratio, so that load counts little.
import { spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { expect, it } from "vitest";
import { temporaryFolder } from "../backend/temporary.ts";
import { commandLine, environment, fill } from "./snapkeep.ts";

const MOST_ROUNDS = 20;
// The start of Node takes about 33 ms of processor time: list may take 150 ms beyond it.
const MOST_STARTS = 4.5;
const isNode = (process.env["SNAPKEEP_RUNTIME"] ?? "node") === "node";

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

it.skipIf(!isNode || process.platform === "win32")(
  "list of 100 snapshots takes little more than the runtime takes to start",
  async () => {
    const folder = await temporaryFolder();
    await fill(folder, { count: 100 });
    const empty = path.join(folder, "empty.mjs");
    await writeFile(empty, "");
    // Load only adds, and to both: the least of several rounds tells what each takes. More rounds are run while they are needed.
    let [start, list] = [Infinity, Infinity];
    for (let round = 0; round < MOST_ROUNDS && (round < 3 || list - start > MOST_STARTS * start); round++) {
      start = Math.min(start, cpuMsOf(process.execPath, [empty]));
      list = Math.min(list, cpuMsOf(...commandLine(["list", "-s", folder])));
    }
    expect((list - start) / start).toBeLessThanOrEqual(MOST_STARTS);
  },
);
