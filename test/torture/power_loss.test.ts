// Power loss on real file systems: the image beneath is copied while a program saves, and the copy is what a machine finds
// after its power failed. The writer is stopped for the copy, so that the copy is of one moment; what the kernel had not
// written by then is lost, and that is what syncs are for.
import { type ChildProcess, execFileSync } from "node:child_process";
import { mkdir, readFile, rm } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { StateStore } from "snapkeep";
import { Ledger } from "snapkeep/states";
import { describe, expect, it } from "vitest";
import { startChild } from "../faults/child.ts";
import { amount, report, skipped } from "./budget.ts";
import { checkPlace, hiddenIn, makeRoom, mounted, noMount, signal } from "./kernel.ts";

const AT_ONCE = 10;

interface Disk {
  readonly points: number;
  readonly sizeMiB: number;
  readonly format: readonly string[];
  readonly options: string;
}

const disks: Record<string, Disk> = {
  "ext4": {
    points: amount("power", "ext4"),
    sizeMiB: 64,
    format: ["mkfs.ext4", "-q", "-F"],
    options: "loop,commit=300",
  },
  "ext4 without delayed allocation's help": {
    points: amount("power", "bare"),
    sizeMiB: 64,
    format: ["mkfs.ext4", "-q", "-F"],
    options: "loop,commit=300,noauto_da_alloc,data=writeback",
  },
  "XFS": {
    points: amount("power", "xfs"),
    sizeMiB: 320,
    format: ["mkfs.xfs", "-q", "-f"],
    options: "loop",
  },
  "btrfs": {
    points: amount("power", "btrfs"),
    sizeMiB: 128,
    format: ["mkfs.btrfs", "-q", "-f"],
    options: "loop,commit=300",
  },
};

/** Why a kind of disk cannot be had here. */
function refusal({ format: [command = ""] }: Disk): string | undefined {
  if (noMount !== undefined) return noMount;
  try {
    execFileSync(command, ["-V"], { stdio: "ignore" });
    return undefined;
  } catch {
    return `there is no ${command} here`;
  }
}

/** A copy of the image, and what the writer had said and done to the rest of the world when it was made. */
interface Moment {
  readonly image: string;
  readonly lines: readonly string[];
  readonly world: readonly string[];
}

/** What writes while the power fails: a program of test/children, and the verb of its lines that acknowledge something. */
interface Writer {
  readonly name: string;
  readonly verb: string;
}
const saver: Writer = { name: "save_for_ever", verb: "saved" };
const actor: Writer = { name: "act_for_ever", verb: "done" };

async function isStopped(pid: number): Promise<boolean> {
  return /^State:\s+T/m.test(await readFile(`/proc/${pid}/status`, "utf8").catch(() => "State: T"));
}

async function stop(child: ChildProcess): Promise<void> {
  signal(child, "SIGSTOP");
  while (!await isStopped(child.pid ?? 0)) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** Lets a program write to a fresh disk, and copies the disk some times meanwhile. */
async function copies(disk: Disk, room: string, count: number, writer: Writer): Promise<Moment[]> {
  const [image, folder] = [path.join(room, "image"), path.join(room, "disk")];
  await mkdir(folder, { recursive: true });
  await rm(image, { force: true });
  execFileSync("truncate", ["-s", `${disk.sizeMiB}M`, image]);
  const [format = "", ...args] = disk.format;
  execFileSync(format, [...args, image]);
  return await mounted(["-o", disk.options, image], folder, async () => {
    execFileSync("sync", ["-f", folder]); // an empty disk is no part of what is tested
    const world = path.join(room, "world");
    await rm(world, { force: true });
    const child = startChild(writer.name, [path.join(folder, "states"), ...writer === actor ? [world] : []]);
    const hasEnded = new Promise((resolve) => child.on("close", resolve));
    try {
      return await copiesWhile(child, room, count, writer.verb);
    } finally {
      child.kill("SIGKILL");
      await hasEnded;
    }
  });
}

async function copiesWhile(
  child: ReturnType<typeof startChild>,
  room: string,
  count: number,
  verb: string,
): Promise<Moment[]> {
  const lines: string[] = [];
  let complaints = "";
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  child.stderr.setEncoding("utf8").on("data", (text: string) => complaints += text);
  const moments: Moment[] = [];
  let said = 0;
  for (let copy = 0; copy < count; copy++) {
    // Somewhere in what it does after it has said something new; the last copy is made after it has acknowledged something.
    const isEarly = () =>
      lines.length <= said || copy === count - 1 && !lines.some((line) => line.startsWith(`${verb} `));
    while (isEarly() && complaints === "") await new Promise((resolve) => setTimeout(resolve, 1));
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 40));
    await stop(child);
    // What it had said lies in the pipe: it is read before the copy is made.
    await new Promise((resolve) => setTimeout(resolve, 5));
    said = lines.length;
    const world = (await readFile(path.join(room, "world"), "utf8").catch(() => "")).split("\n").slice(0, -1);
    const moment = { image: path.join(room, `copy_${copy}`), lines: [...lines], world };
    execFileSync("cp", ["--sparse=always", path.join(room, "image"), moment.image]);
    moments.push(moment);
    signal(child, "SIGCONT");
  }
  expect(complaints).toBe("");
  return moments;
}

/** Starts the machine again, as it were, and looks. */
async function lookAt(disk: Disk, room: string, { image, lines }: Moment, where: string): Promise<number> {
  const machine = path.join(room, "copy");
  await mkdir(machine, { recursive: true });
  const saved = lines.filter((line) => line.startsWith("saved ")).length;
  await mounted(["-o", disk.options, image], machine, async () => {
    const folder = path.join(machine, "states");
    const listed = await checkRetained(folder, lines, where);
    expect(listed, where).toBeGreaterThanOrEqual(Math.min(saved, 6));
    const store = new StateStore(folder, { startFresh: true });
    await store.sweep({ force: true });
    expect(await hiddenIn(folder), where).toEqual([]);
    const next = await store.saveState();
    expect((await next.verify()).isWhole, where).toBe(true);
  });
  await rm(image);
  return saved;
}

/** The writer removes old ones while it goes on: between a removal and its line, the oldest may be gone. */
async function checkRetained(folder: string, lines: readonly string[], where: string): Promise<number> {
  const listed = (await checkPlace(folder, [], where)).map(({ name }) => name);
  const names = (verb: string) =>
    lines.filter((line) => line.startsWith(`${verb} `)).map((line) => line.split(" ")[1] ?? "");
  const removed = new Set(names("removed"));
  const expected = names("saved").filter((name) => !removed.has(name)).sort();
  const lost = expected.filter((name) => !listed.includes(name));
  expect(lost, `lost, ${where}`).toEqual(expected.slice(0, lost.length));
  expect(expected.length - lost.length, `kept, ${where}`).toBeGreaterThanOrEqual(Math.min(expected.length, 6));
  expect(listed.filter((name) => removed.has(name)), `removed and there again, ${where}`).toEqual([]);
  return listed.length;
}

/** Starts the machine again, and asks the ledger for each action that had happened. */
async function askLedger(disk: Disk, room: string, { image, lines, world }: Moment, where: string): Promise<number> {
  const machine = path.join(room, "copy");
  await mkdir(machine, { recursive: true });
  const done = lines.filter((line) => line.startsWith("done ")).map((line) => line.split(" ")[1] ?? "");
  await mounted(["-o", disk.options, image], machine, async () => {
    const ledger = new Ledger();
    const store = new StateStore(path.join(machine, "states")).register("ledger", ledger)
      .register("next", { saveState: (out) => out.json("next.json", 0), loadState() {} });
    await store.resume();
    const run = () => Promise.reject(new Error(`it is not recorded, ${where}`));
    for (const key of done) expect(await ledger.once(key, run), where).toBe(key);
    const open = world.filter((key) => ledger.inFlight.includes(key));
    expect(open.length, where).toBeLessThanOrEqual(1);
    for (const key of world.filter((key) => !open.includes(key))) expect(await ledger.once(key, run), where).toBe(key);
    expect(await ledger.once("new", () => "ran"), where).toBe("ran");
    expect(await ledger.forget(new Date(8.64e15)), where).toBeGreaterThan(done.length); // also closes the file
  });
  await rm(image);
  return done.length;
}

describe("a power loss", () => {
  for (const [name, disk] of Object.entries(disks)) {
    const reason = refusal(disk);
    if (reason !== undefined) skipped(`power loss on ${name}`, reason);

    const ways = [
      { what: "takes nothing that was acknowledged", points: disk.points, writer: saver, look: lookAt, unit: "saves" },
      {
        what: "takes nothing that a ledger has recorded",
        points: amount("power", "ledger"),
        writer: actor,
        look: askLedger,
        unit: "actions",
      },
    ];
    for (const { what, points, writer, look, unit } of ways) {
      it.skipIf(reason !== undefined)(`on ${name} ${what}`, async () => {
        const since = performance.now();
        const room = await makeRoom();
        let acknowledged = 0;
        try {
          for (let point = 0; point < points; point += AT_ONCE) {
            const count = Math.min(AT_ONCE, points - point);
            for (const [index, moment] of (await copies(disk, room, count, writer)).entries()) {
              acknowledged += await look(disk, room, moment, `at point ${point + index}`);
            }
          }
        } finally {
          await rm(room, { recursive: true, force: true });
        }
        report(`power loss on ${name}`, since, `${points} points, ${acknowledged} ${unit} acknowledged`);
        expect(acknowledged).toBeGreaterThan(points / 10); // a busy machine saves less between two copies
      }, (2.5 + points / 10) * 60_000);
    }
  }
});
