// The way down, in real processes: a last save when a signal arrives or nothing is left to do, and an end as the program asks for it.
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileBackend, StateStore } from "snapkeep";
import { describe, expect, it, onTestFinished } from "vitest";
import { temporaryFolder } from "../backend/temporary.ts";
import type { Plan } from "../children/autosaved.ts";
import { commandOf, startChild } from "../faults/child.ts";

/** Starts the program. */
function start(plan: Plan) {
  const child = startChild("autosaved", [JSON.stringify(plan)]);
  onTestFinished(() => void child.kill("SIGKILL"));
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout });
  const errors: string[] = [];
  child.stderr.on("data", (data) => void errors.push(String(data)));
  let wake = () => {};
  reader.on("line", (line) => {
    lines.push(line.trimEnd());
    wake();
  });
  const exit = once(child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
  let hasEnded = false;
  void exit.then(() => {
    hasEnded = true;
    wake();
  });
  /** Waits for a line that begins so. */
  const line = async (begin: string) => {
    while (!lines.some((each) => each.startsWith(begin))) {
      if (hasEnded) throw new Error(`it ended before it said "${begin}":\n${lines.join("\n")}\n${errors.join("")}`);
      await new Promise<void>((resolve) => wake = resolve);
    }
  };
  const end = async () => {
    const [code, signal] = await exit;
    return { code, signal, lines, errors: errors.join("") };
  };
  // Deno takes a child whose kill() was called for killed by that signal, whatever its end.
  const kill = (signal: NodeJS.Signals) => void (child.pid !== undefined && process.kill(child.pid, signal));
  return { kill, line, end, save: () => kill("SIGUSR2"), lines };
}

/** What the snapshots of a folder hold, oldest first. */
async function saved(folder: string): Promise<{ left: number; right: number }[]> {
  const found = [];
  for (const snapshot of await new StateStore(folder).list()) {
    const reader = await snapshot.open();
    found.push(await reader.json("world/world.json") as { left: number; right: number });
    await reader.close();
  }
  return found;
}

/** Whether the last heartbeat at a place is that of a run that lives. */
async function isAlive(folder: string): Promise<boolean> {
  const note = await fileBackend(folder).notes.get("last-run");
  return note !== undefined && JSON.parse(new TextDecoder().decode(note)).ended === undefined;
}

describe.each([["SIGTERM"], ["SIGINT"]] as const)("%s", (signal) => {
  it.each([[false], [true]])("saves once more, and ends the process by the same signal; ticks: %s", async (ticks) => {
    const folder = await temporaryFolder();
    const program = start({ folders: [folder], ticks });
    await program.line("ready");
    program.kill(signal);
    const end = await program.end();
    expect(end).toMatchObject({ code: null, signal });
    expect(end.lines).toContain("aborted");
    expect(end.lines).toContain("saved signal");
    expect(end.lines.filter((line) => /loop|rejected/.test(line))).toEqual([]);
    expect(await saved(folder)).toHaveLength(1);
  });
});

describe("a signal", () => {
  it("is reported by the next resume, as is SIGKILL", async () => {
    const folder = await temporaryFolder();
    for (
      const [signal, report] of [["SIGTERM", ""], ["SIGKILL", "last run signal SIGTERM"], [
        "SIGTERM",
        "last run cut off",
      ]] as const
    ) {
      const program = start({ folders: [folder] });
      await program.line("ready");
      if (report !== "") expect(program.lines[0]).toBe(report);
      while (!await isAlive(folder)) await new Promise((resolve) => setImmediate(resolve));
      program.kill(signal);
      await program.end();
    }
  });

  it(
    "that kills the program right after its first tick is reported by the next resume, whatever came before",
    async () => {
      const folder = path.join(await temporaryFolder(), "to be made");
      const runs = [{ dies: true }, { dies: true }, { steps: 1 }, { dies: true }, { steps: 1 }];
      const reports = [];
      for (const plan of runs) {
        const program = start({ folders: [folder], ticks: true, ...plan });
        const { lines, signal } = await program.end();
        reports.push([lines.find((line) => line.startsWith("last run")), signal]);
      }
      expect(reports).toEqual([
        [undefined, "SIGKILL"],
        ["last run cut off", "SIGKILL"],
        ["last run cut off", null],
        ["last run clean", "SIGKILL"],
        ["last run cut off", null],
      ]);
    },
    30_000,
  );

  it("waits for the end of the step where the program calls tick(), so that its states fit together", async () => {
    const folder = await temporaryFolder();
    const program = start({ folders: [folder], ticks: true, waits: true });
    await program.line("ticked");
    program.save();
    await program.line("saved requested");
    program.kill("SIGTERM");
    expect(await program.end()).toMatchObject({ signal: "SIGTERM" });
    const found = await saved(folder);
    expect(found).toHaveLength(2);
    for (const { left, right } of found) expect(left).toBe(right);
  });

  it("does not wait for a tick once the loop has ended because of it", async () => {
    const folder = await temporaryFolder();
    const program = start({ folders: [folder], ticks: true, waits: true, looks: true, graceMs: 60_000 });
    await program.line("ticked");
    program.kill("SIGTERM");
    expect(await program.end()).toMatchObject({ signal: "SIGTERM" });
    expect(program.lines).toContain("saved signal");
  }, 30_000);

  it.each([["before"], ["after"], ["once before"], ["once after"]] as const)(
    "saves and never ends the process where the program listens itself: %s",
    async (listens) => {
      for (const ticks of [true, false]) {
        const folder = await temporaryFolder();
        const program = start({ folders: [folder], ticks, listens });
        await program.line("ready");
        program.kill("SIGTERM");
        const { code, signal, lines } = await program.end();
        expect({ code, signal }).toEqual({ code: 0, signal: null });
        expect(lines).toEqual(expect.arrayContaining(["heard", "aborted", "saved signal"]));
        if (ticks) expect(lines.indexOf("tick rejected AbortError")).toBeGreaterThan(lines.indexOf("saved signal"));
        expect(await saved(folder)).toHaveLength(1);
      }
    },
  );

  it("ends the process in time if the last save does not: nothing is visible, and the older snapshot is whole", async () => {
    const folder = await temporaryFolder();
    const program = start({ folders: [folder], stallsAt: 2, graceMs: 300 });
    await program.line("ready");
    program.save();
    await program.line("saved requested");
    program.kill("SIGTERM");
    const { signal, lines } = await program.end();
    expect(signal).toBe("SIGTERM");
    expect(lines.at(-1)).toMatch(/^failed signal TimeoutError/);
    expect(await saved(folder)).toHaveLength(1);
  });

  it("ends the process at once when it comes a second time", async () => {
    const folder = await temporaryFolder();
    const program = start({ folders: [folder], stallsAt: 1, graceMs: 1_000_000 });
    await program.line("ready");
    program.kill("SIGTERM");
    await program.line("stalls");
    program.kill("SIGINT");
    expect(await program.end()).toMatchObject({ code: null, signal: "SIGINT" });
    expect(await saved(folder)).toEqual([]);
  }, 30_000);

  it("gives the save up when it comes a second time, where the program listens itself", async () => {
    const program = start({
      folders: [await temporaryFolder()],
      stallsAt: 1,
      graceMs: 1_000_000,
      listens: "after",
      ticks: true,
    });
    await program.line("ready");
    program.kill("SIGTERM");
    await program.line("stalls");
    program.kill("SIGTERM");
    const { code, lines } = await program.end();
    expect(code).toBe(0);
    expect(lines).toContain("tick rejected AbortError");
  }, 30_000);

  it("lets a save that runs come to its end first", async () => {
    const folder = await temporaryFolder();
    const program = start({ folders: [folder] });
    await program.line("ready");
    program.save();
    program.kill("SIGTERM");
    const { lines } = await program.end();
    // The system may deliver two signals in either order.
    const events = lines.filter((line) => line.startsWith("saved"));
    expect(events.at(-1)).toBe("saved signal");
    expect(await saved(folder)).toHaveLength(events.length);
  });

  it("saves all stores of the process before it ends", async () => {
    const folders = [await temporaryFolder(), await temporaryFolder()];
    const program = start({ folders });
    await program.line("ready");
    program.kill("SIGTERM");
    expect(await program.end()).toMatchObject({ signal: "SIGTERM" });
    for (const folder of folders) expect(await saved(folder)).toHaveLength(1);
  });

  it("ends a program that has not begun, without a save", async () => {
    const folder = await temporaryFolder();
    const program = start({ folders: [folder], resumes: false });
    await program.line("ready");
    program.kill("SIGTERM");
    const { signal, lines } = await program.end();
    expect(signal).toBe("SIGTERM");
    expect(lines).toContain("skipped signal");
    expect(await saved(folder)).toEqual([]);
  });

  it("does what the system does where signals are off", async () => {
    const folder = await temporaryFolder();
    const program = start({ folders: [folder], signals: false });
    await program.line("ready");
    program.kill("SIGTERM");
    expect(await program.end()).toMatchObject({ signal: "SIGTERM" });
    expect(await saved(folder)).toEqual([]);
  });

  const isolate = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
  const canBeFirst = process.platform === "linux" &&
    spawnSync(isolate[0] ?? "", [...isolate.slice(1), "true"]).status === 0;
  if (!canBeFirst) console.log("No process 1 here: unshare is not allowed");

  it.skipIf(!canBeFirst)("ends process 1 by the exit code that stands for it", async () => {
    const folder = await temporaryFolder();
    const [command, args] = commandOf("autosaved");
    const plan = JSON.stringify({ folders: [folder], graceMs: 5000 } satisfies Plan);
    // The program signals itself: signals from outside reach unshare, which is another process.
    const script = `${[command, ...args].map((arg) => `'${arg}'`).join(" ")} '${plan}'`;
    const { status, stdout } = spawnSync(isolate[0] ?? "", [
      ...isolate.slice(1),
      "sh",
      "-c",
      `(sleep 3; kill -TERM 1) & exec ${script}`,
    ], { encoding: "utf8", env: { ...process.env, NODE_OPTIONS: "" } });
    expect(stdout).toContain("saved signal");
    expect(status).toBe(143);
    expect(await saved(folder)).toHaveLength(1);
  });
});

describe("an event loop that becomes empty", () => {
  it.each([[false], [true]])("saves once more; ticks: %s", async (ticks) => {
    const folder = await temporaryFolder();
    const program = start({ folders: [folder], ticks, steps: 30, signals: false });
    expect(await program.end()).toMatchObject({ code: 0, signal: null });
    expect(program.lines.slice(-3)).toEqual(["loop ended", "aborted", "saved exit"]);
    expect(await saved(folder)).toEqual([{ left: 30, right: 30 }]);
    const next = start({ folders: [folder], steps: 0 });
    await next.end();
    expect(next.lines[0]).toBe("last run clean");
  });
});
