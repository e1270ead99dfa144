// Many programs on one store: writers, pruners and readers, some of them killed, one of them stopped for too long.
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { StateStore } from "snapkeep";
import { expect, it } from "vitest";
import { commandOf } from "../faults/child.ts";
import { amount, limitMs, report } from "./budget.ts";
import { hiddenIn, makeRoom, signal } from "./kernel.ts";

const WRITERS = amount("programs", "writers");
const PRUNERS = Math.ceil(WRITERS / 4);
const READERS = Math.ceil(WRITERS / 2);
const KEPT = 12; // as share_store has it
const SAVES = amount("programs", "saves");
const KILLS = Math.floor(WRITERS * 3 / 8);

class Program {
  readonly lines: string[] = [];
  complaints = "";
  isKilled = false;
  readonly ended: Promise<void>;
  readonly #child: ChildProcessWithoutNullStreams;

  constructor(program: string, ...args: string[]) {
    const [command, before] = commandOf(program);
    const env = { ...process.env, DENO_NO_UPDATE_CHECK: "1", NODE_OPTIONS: "" };
    this.#child = spawn(command, [...before, ...args], { stdio: "pipe", env });
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => this.complaints += text);
    const lines = createInterface({ input: this.#child.stdout });
    lines.on("line", (line) => this.lines.push(line));
    const hasRead = new Promise<void>((resolve) => lines.once("close", resolve));
    const hasClosed = new Promise<void>((resolve, reject) => {
      this.#child.on("error", reject);
      this.#child.on("close", () => resolve());
    });
    this.ended = Promise.all([hasRead, hasClosed]).then(() => {});
  }

  /** Resolves when it says something that starts so. */
  async says(start: string): Promise<string> {
    while (true) {
      const found = this.lines.find((line) => line.startsWith(start));
      if (found !== undefined) return found;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  kill(): void {
    this.isKilled = true;
    this.#child.kill("SIGKILL");
  }

  signal(name: "SIGSTOP" | "SIGCONT"): void {
    signal(this.#child, name);
  }

  finish(): void {
    this.#child.stdin.end();
  }
}

it("many programs share one store, and some die", async () => {
  const since = performance.now();
  const folder = path.join(await makeRoom(), "states");
  const start = (role: string, id: string, rounds = 0) => new Program("share_store", folder, role, id, String(rounds));
  const writers = Array.from({ length: WRITERS }, (_, index) => start("writer", `w${index}`, SAVES));
  const others = [
    ...Array.from({ length: PRUNERS }, (_, index) => start("pruner", `p${index}`)),
    ...Array.from({ length: READERS }, (_, index) => start("reader", `r${index}`)),
  ];
  // Killed somewhere in the middle of what they do, one after the other.
  for (const [index, writer] of writers.slice(0, KILLS).entries()) {
    await writer.says(`saved`);
    while (writer.lines.length < 4 + index * 4) await new Promise((resolve) => setTimeout(resolve, 3));
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
    writer.kill();
  }
  await Promise.all(writers.map(({ ended }) => ended));
  for (const program of others) program.finish();
  await Promise.all(others.map(({ ended }) => ended));

  const all = [...writers, ...others];
  for (const { complaints, lines, isKilled } of all) {
    expect(complaints).toBe("");
    expect(lines.filter((line) => /^(failed|mixed)/.test(line))).toEqual([]);
    expect(lines.at(-1)?.startsWith("done") || isKilled).toBe(true);
  }
  const said = (verb: string) =>
    all.flatMap(({ lines }) => lines.filter((line) => line.startsWith(`${verb} `)).map((line) => line.split(" ")));
  const saved = said("saved").map(([, name = ""]) => name);
  const removed = said("removed").map(([, name = ""]) => name);
  expect(new Set(saved).size, "one winner per name").toBe(saved.length);
  expect(saved.length).toBeGreaterThan((WRITERS - KILLS) * SAVES);
  expect(new Set(removed).size, "each removal is reported once").toBe(removed.length);

  const store = new StateStore(folder, { startFresh: true, run: "shared" });
  const listed = await store.list();
  const names = listed.map(({ name }) => name);
  // Snapshots that were not removed are there; at most the save of each killed writer may be there without its line.
  expect(saved.filter((name) => !removed.includes(name) && !names.includes(name)), "lost").toEqual([]);
  expect(removed.filter((name) => names.includes(name)), "removed, and there").toEqual([]);
  expect(names.filter((name) => !saved.includes(name)).length).toBeLessThanOrEqual(KILLS);
  // Only what was not among the newest was removed.
  expect(names.length).toBeGreaterThanOrEqual(KEPT);
  for (const snapshot of listed) expect((await snapshot.verify()).findings, String(snapshot)).toEqual([]);
  await store.sweep({ force: true });
  expect(await hiddenIn(folder)).toEqual([]);

  const reads = others.flatMap(({ lines }) => lines.filter((line) => line.startsWith("done")));
  const [loads, gone] = [1, 2].map((at) => reads.reduce((sum, line) => sum + Number(line.split(" ")[at]), 0));
  expect(loads).toBeGreaterThan(0);
  const counts =
    `${saved.length} saves, ${removed.length} removals, ${loads} loads, ${gone} snapshots gone, ${KILLS} kills`;
  report("many programs", since, counts);
  await rm(path.dirname(folder), { recursive: true });
}, limitMs("programs", "saves", 3));

it("a program stopped beyond the limit of a sweep fails its save cleanly", async () => {
  const room = await makeRoom();
  const folder = path.join(room, "states");
  const program = new Program("save_once", folder, "0", "directory", "slow", "tar.gz");
  await program.says("staged");
  program.signal("SIGSTOP");
  await new Promise((resolve) => setTimeout(resolve, 300));
  // Its heart has not beaten for longer than this.
  const store = new StateStore(folder, { startFresh: true, run: "shared" });
  expect(await store.sweep({ olderThanMs: 200 })).toHaveLength(1);
  const meanwhile = await store.saveState();
  await writeFile(path.join(room, "go"), "");
  program.signal("SIGCONT");
  await program.ended;
  expect(program.complaints).toBe("");
  expect(program.lines).toContain("failed slow STAGE_LOST");
  const saved = program.lines.filter((line) => line.startsWith("saved ")).map((line) => line.split(" ")[1] ?? "");
  expect(saved, "before and after").toHaveLength(2);
  expect((await store.list()).map(({ name }) => name)).toEqual([...saved, meanwhile.name].sort());
  expect(await hiddenIn(folder)).toEqual([]);
  await rm(room, { recursive: true });
}, 30_000);
