// How long a command takes beyond the start of the runtime, in processor time, so that other programs on the machine count little.
import { spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { expect, it } from "vitest";
import { temporaryFolder } from "../backend/temporary.ts";
import { commandLine, environment, fill } from "./snapkeep.ts";

const ROUNDS = 7;
const MOST_MS = 150;
const QUIET_START_MS = 40;
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

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;

it.skipIf(!isNode || process.platform === "win32")(
  "list of 100 snapshots takes little more than the runtime takes to start",
  async () => {
    const folder = await temporaryFolder();
    await fill(folder, { count: 100 });
    const empty = path.join(folder, "empty.mjs");
    await writeFile(empty, "");
    const starts: number[] = [];
    const lists: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      starts.push(cpuMsOf(process.execPath, [empty]));
      lists.push(cpuMsOf(...commandLine(["list", "-s", folder])));
    }
    const [start, list] = [median(starts), median(lists)];
    // On a busy machine the start takes longer than on a quiet one, and so may the rest.
    expect(list - start).toBeLessThan(MOST_MS * Math.max(1, start / QUIET_START_MS));
  },
);
