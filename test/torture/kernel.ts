// The real kernel beneath: programs under strace, and file systems that are mounted for a test.
import { execFileSync, spawn } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { existsSync, mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { type SnapshotLocator, StateStore, type StateWriter } from "snapkeep";
import { afterAll, expect } from "vitest";
import { commandOf } from "../faults/child.ts";

/** Why something cannot be run here; `undefined` where it can. */
type Reason = string | undefined;

function missing(command: string, ...args: string[]): Reason {
  try {
    execFileSync(command, args, { stdio: "ignore" });
    return undefined;
  } catch (error) {
    return (error as { code?: string }).code === "ENOENT"
      ? `there is no ${command} here`
      : `${command} is refused here`;
  }
}

/** Why programs cannot be traced here. */
export const noStrace: Reason = process.platform === "linux"
  ? missing("strace", "-qq", "-o", "/dev/null", "-e", "inject=fsync:error=EIO:when=1", "true")
  : "this is not Linux";

/** Why file systems cannot be mounted here. */
export const noMount: Reason = process.platform === "linux" ? tryMount() : "this is not Linux";

function tryMount(): Reason {
  const folder = mkdtempSync(path.join(tmpdir(), "snapkeep-mount-"));
  const reason = missing("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder);
  if (reason === undefined) execFileSync("umount", [folder]);
  rmdirSync(folder);
  return reason === undefined ? undefined : "mounting needs root and the permission to mount";
}

/** Where much is written and nothing is to last. */
export const fast = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

const rooms: string[] = [];

/** A new folder on a fast disk, which lives as long as the tests of the file. */
export async function makeRoom(): Promise<string> {
  const room = await mkdtemp(path.join(fast, "snapkeep-torture-"));
  rooms.push(room);
  return room;
}

const mounts: string[] = [];

/** Mounts a file system for as long as something runs. */
export async function mounted<T>(args: readonly string[], folder: string, run: () => Promise<T>): Promise<T> {
  execFileSync("mount", [...args, folder]);
  mounts.push(folder);
  try {
    return await run();
  } finally {
    mounts.splice(mounts.indexOf(folder), 1);
    execFileSync("umount", [folder]);
  }
}

// Also after a test that ran out of time.
afterAll(async () => {
  for (const folder of mounts.splice(0)) execFileSync("umount", ["-l", folder]);
  for (const room of rooms.splice(0)) await rm(room, { recursive: true, force: true });
});

/** Sends a signal that does not end a program; Deno's child processes take only those that do. */
export function signal(child: { readonly pid?: number | undefined }, name: "SIGSTOP" | "SIGCONT"): void {
  if (child.pid !== undefined) process.kill(child.pid, name);
}

/** What a program said and how it ended. */
export interface Ended {
  readonly lines: readonly string[];
  readonly complaints: string;
  readonly isKilled: boolean;
  /** Calls on the folder that strace made fail, as it logs them. */
  readonly injected: readonly string[];
  /** Whether strace struck a call that the runtime made for itself instead. */
  readonly isForeign: boolean;
}

// strace counts each system call of each thread by itself, so a kind is one call in all its spellings.
const CALLS = {
  write: "pwrite64,pwritev,pwritev2",
  sync: "fsync,fdatasync",
  rename: "rename,renameat,renameat2",
  link: "link,linkat",
  mkdir: "mkdir,mkdirat",
  unlink: "unlink,unlinkat",
  rmdir: "rmdir",
};

/** A kind of system calls. */
export type CallKind = keyof typeof CALLS;

/** Runs `save_once` on a folder while strace does something to the `at`-th call of a kind (of each thread). */
export async function traced(
  kind: CallKind,
  fault: string,
  at: number,
  folder: string,
  startAt: number,
  tasks: readonly string[],
  isOneThread = false,
): Promise<Ended> {
  const log = `${folder}.strace`;
  const [command, before] = commandOf("save_once");
  const trace = ["-f", "-qq", "-y", "-o", log, "-e", `trace=${CALLS[kind]}`];
  const inject = ["-e", `inject=${CALLS[kind]}:${fault}:when=${at}`];
  const child = spawn("strace", [...trace, ...inject, command, ...before, folder, String(startAt), ...tasks], {
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      UV_THREADPOOL_SIZE: "1",
      SNAPKEEP_ONE_THREAD: isOneThread ? "1" : "",
      NODE_OPTIONS: "",
      DENO_NO_UPDATE_CHECK: "1",
      DENO_DIR: "/dev/null/none", // its caches are databases, whose writes would be struck in place of ours
      BUN_RUNTIME_TRANSPILER_CACHE_PATH: "0",
    },
  });
  let [said, complaints] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => said += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => complaints += text);
  const isKilled = await new Promise<boolean>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      complaints += `ended with ${signal ?? code}`;
      resolve(signal === "SIGKILL" || code === 137);
    });
  });
  const logged = await readFile(log, "utf8").catch(() => "");
  await rm(log, { force: true });
  const struck = wholeLines(logged).filter((line) => line.includes("(INJECTED)"));
  const injected = struck.filter((line) => line.includes(path.dirname(folder)));
  const lines = said.split("\n").filter((line) => line !== "");
  const isForeign = isKilled ? !lines.includes("ready") : injected.length === 0 && struck.length > 0;
  return { lines, complaints, isKilled, injected, isForeign };
}

/** The lines of a log of strace; it cuts the line of a call in two where another thread calls meanwhile, and only the first has the path. */
function wholeLines(logged: string): string[] {
  const begun = new Map<string, string>();
  return logged.split("\n").map((line) => {
    const thread = line.slice(0, line.indexOf(" "));
    const [start, cut] = line.split(" <unfinished ...>");
    if (cut !== undefined) begun.set(thread, start as string);
    const [, end] = line.split(" resumed>");
    return end === undefined ? line : (begun.get(thread) ?? "") + end;
  });
}

/** A place with a snapshot in each layout, to be copied; made by a program of this runtime. */
export async function furnishedPlace(): Promise<string> {
  const folder = path.join(await makeRoom(), "states");
  let step = 0;
  const store = new StateStore(folder, { durability: "none", startFresh: true }).register("model", {
    async saveState(out: StateWriter) {
      await out.json("step.json", step);
      for (const part of ["a", "b/c", "b/d"]) await out.write(`parts/${part}.bin`, new Uint8Array(5_000).fill(step));
    },
    loadState() {},
  });
  for (const layout of ["directory", "tar.gz"] as const) {
    step++;
    await store.saveState({ layout });
  }
  return folder;
}

/** A copy of a place in a room of its own. */
export async function copyOf(folder: string): Promise<string> {
  const copy = path.join(await makeRoom(), "states");
  await cp(folder, copy, { recursive: true });
  return copy;
}

/** Compares a place with what was reported: acknowledged is there, and all that is listed is whole. */
export async function checkPlace(folder: string, lines: readonly string[], where: string): Promise<SnapshotLocator[]> {
  const listed = await new StateStore(folder).list();
  const names = listed.map(({ name }) => name);
  for (const snapshot of listed) {
    const report = await snapshot.verify();
    expect(report.findings, `${snapshot}, ${where}`).toEqual([]);
    await using reader = await snapshot.open();
    const step = await reader.json("model/step.json") as number;
    for (const { path: entry } of reader.entries.filter(({ path: entry }) => entry.includes("/parts/"))) {
      const part = await reader.bytes(entry);
      expect(part.every((byte) => byte === step % 251), `"${entry}" of ${snapshot}, ${where}`).toBe(true);
    }
  }
  const told = lines.map((line) => line.split(" "));
  const removed = new Set(told.filter(([verb]) => verb === "removed").flatMap(([, ...gone]) => gone));
  const isRemoving = lines.at(-1) === "begin cleanup";
  const saved = told.filter(([verb]) => verb === "saved").map(([, name]) => name ?? "");
  // A cleanup that was cut off removed the oldest first, and never the newest.
  const kept = isRemoving ? saved.slice(-1) : saved.filter((name) => !removed.has(name));
  for (const name of kept) expect(names, `acknowledged, ${where}`).toContain(name);
  for (const name of removed) expect(names, `removed, ${where}`).not.toContain(name);
  return listed;
}

/** Names of what is hidden at a place. */
export async function hiddenIn(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(() => [])).filter((name) => name.startsWith(".") && name !== ".notes");
}
