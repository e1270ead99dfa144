// Which process this is, and whether another one has ended. Only Linux can prove it: process ids are used again, so a process is
// its id, its start time and the boot and namespaces in which both mean anything. Everywhere else nothing is provable.
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import process from "node:process";
import { errnoOf } from "../model/errors.ts";
import { mayLookAtSystem } from "./free_space.ts";

/** A process as the record beside a lock names it. */
export interface ProcessIdentity {
  /** Its process id within its namespace. */
  readonly pid: number;
  /** Its start, in clock ticks since the boot. */
  readonly startTime: string;
  /** The boot of the machine, random at each. */
  readonly bootId: string;
  /** The namespaces in which process ids and start times count. */
  readonly namespace: string;
  /** Name of the machine; copies of a virtual machine share the boot, but not their processes. */
  readonly host: string;
}

const STATE_FIELD = 3;
const THREADS_FIELD = 20;
const START_TIME_FIELD = 22;

let known: ProcessIdentity | null | undefined; // null if it is unknown

/** This process; `undefined` where the end of a process cannot be proven. */
export function thisProcess(): ProcessIdentity | undefined {
  if (known === undefined) known = readIdentity() ?? null;
  return known ?? undefined;
}

/** Whether a process has provably ended. */
export function hasEnded({ pid, startTime, bootId, namespace, host }: ProcessIdentity): boolean {
  const self = thisProcess();
  if (self === undefined || bootId !== self.bootId || namespace !== self.namespace || host !== self.host) return false;
  try {
    process.kill(pid, 0); // sends nothing; the processes of other users may be hidden in /proc
  } catch (error) {
    if (errnoOf(error) === "ESRCH") return true;
    if (errnoOf(error) !== "EPERM") return false;
  }
  const found = readStat(String(pid));
  if (found === undefined) return false;
  return found.startTime !== startTime || found.isZombie;
}

function readIdentity(): ProcessIdentity | undefined {
  if (process.platform !== "linux" || !mayLookAtSystem()) return undefined;
  try {
    // A /proc of another namespace shows other processes under our ids.
    if (readlinkSync("/proc/self") !== String(process.pid)) return undefined;
    const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const namespace = `${namespaceOf("pid")} ${namespaceOf("time")}`;
    const startTime = readStat("self")?.startTime;
    if (startTime === undefined || !/^[0-9a-f-]{36}$/.test(bootId)) return undefined;
    return { pid: process.pid, startTime, bootId, namespace, host: hostname() };
  } catch {
    return undefined;
  }
}

function namespaceOf(kind: "pid" | "time"): string {
  try {
    return readlinkSync(`/proc/self/ns/${kind}`);
  } catch (error) {
    if (kind === "time" && errnoOf(error) === "ENOENT") return "time:none"; // before Linux 5.6
    throw error;
  }
}

function readStat(pid: string): { startTime: string; isZombie: boolean } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name of the program stands in brackets and may hold anything.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const field = (number: number) => fields[number - STATE_FIELD] ?? "";
    const startTime = field(START_TIME_FIELD);
    // A killed process stays until its parent asks for it. A main thread may also end before the other threads.
    const isZombie = /^[ZX]$/.test(field(STATE_FIELD)) && Number(field(THREADS_FIELD)) <= 1;
    return /^\d+$/.test(startTime) ? { startTime, isZombie } : undefined;
  } catch {
    return undefined;
  }
}
