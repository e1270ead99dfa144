// The real kernel, at every system call that matters: the program dies at it, or it fails.
import { rm } from "node:fs/promises";
import path from "node:path";
import { StateStore } from "snapkeep";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cell } from "../store/states.ts";
import { amount, report, runtime, skipped } from "./budget.ts";
import { type CallKind, checkPlace, copyOf, furnishedPlace, hiddenIn, noStrace, traced } from "./kernel.ts";

const AT_ONCE = 2;
const MOST = amount("SYSTEM_CALLS", 60);
// Threads of Bun and Deno take turns as they like, so counting does not reach each call there: some of them are enough.
const STRIDE = amount("SYSTEM_CALL_STRIDE", runtime === "node" ? 1 : 3);
const BUDGET_MINUTES = 2;
const KILLED: readonly CallKind[] = ["sync", "rename", "link", "mkdir", "unlink", "rmdir", "write"];
const FAILED: readonly CallKind[] = ["sync", "rename", "link", "mkdir", "write"];

if (noStrace !== undefined) skipped("system calls", noStrace);

/** Strikes the first call, the second and so on, until two runs had none to be struck. */
async function forEachCall(run: (at: number) => Promise<boolean>): Promise<number> {
  let struck = 0;
  for (let at = 1; at <= MOST; at += STRIDE * AT_ONCE) {
    const points = Array.from({ length: AT_ONCE }, (_, index) => at + index * STRIDE);
    const hits = (await Promise.all(points.map(run))).filter(Boolean).length;
    struck += hits;
    if (hits === 0) break;
  }
  return struck;
}

describe.skipIf(noStrace !== undefined)("on the real kernel", () => {
  let template = "";
  const since = performance.now();
  const counts = { kills: 0, failures: 0 };
  beforeAll(async () => {
    template = await furnishedPlace();
    // Runtimes that keep what they compiled do so now.
    await traced("link", "error=EIO", 1000, await copyOf(template), 10, ["directory"]);
  });
  afterAll(async () => {
    await rm(path.dirname(template), { recursive: true, force: true });
    report("system calls", since, BUDGET_MINUTES, `${counts.kills} kills, ${counts.failures} failures`);
  });

  async function goesOn(folder: string, where: string): Promise<void> {
    const store = new StateStore(folder).register("model", new Cell(1));
    await store.sweep({ olderThanMs: -1 });
    expect(await hiddenIn(folder), where).toEqual([]);
    const saved = await store.saveState();
    expect((await saved.verify()).isWhole, where).toBe(true);
    await rm(path.dirname(folder), { recursive: true, force: true });
  }

  it.each(KILLED)("a program killed at any %s loses nothing and shows nothing in part", async (kind) => {
    const kills = await forEachCall(async (at) => {
      const where = `killed at ${kind} ${at}`;
      const folder = await copyOf(template);
      const tasks = ["directory", "archive", "cleanup"];
      const { lines, complaints, isKilled } = await traced(kind, "signal=SIGKILL", at, folder, 10, tasks);
      expect(isKilled || lines.at(-1) === "done", `${where}: ${complaints}`).toBe(true);
      expect((await checkPlace(folder, lines, where)).length, where).toBeGreaterThan(0);
      await goesOn(folder, where);
      return isKilled;
    });
    counts.kills += kills;
    expect(kills).toBeGreaterThan(0);
  }, BUDGET_MINUTES * 5 * 60_000);

  describe.each(["EIO", "ENOSPC"])("with %s", (errno) => {
    it.each(FAILED)("a %s that fails is told, and leaves nothing in part", async (kind) => {
      const failures = await forEachCall(async (at) => {
        const where = `${errno} at ${kind} ${at}`;
        const folder = await copyOf(template);
        const { lines, complaints, injected } = await traced(kind, `error=${errno}`, at, folder, 10, [
          "directory",
          "archive",
          "directory",
        ]);
        expect(lines.at(-1), `${where}: ${complaints}`).toBe("done");
        const failed = lines.filter((line) => line.startsWith("failed"));
        for (const line of failed) {
          const codes = ["COMMIT_UNCERTAIN", errno === "EIO" ? "STORAGE_FAILED" : "STORAGE_FULL"];
          expect(codes, `${where}: ${line}`).toContain(line.split(" ").slice(2).join(" "));
        }
        // No failure is passed over in silence, and none strikes another save.
        if (injected.length > 0) expect(failed.length, `${where}: ${injected}`).toBeGreaterThan(0);
        expect(failed.length, where).toBeLessThanOrEqual(injected.length);
        await checkPlace(folder, lines, where);
        expect(await hiddenIn(folder), where).toEqual([]);
        await goesOn(folder, where);
        return injected.length > 0;
      });
      counts.failures += failures;
      expect(failures).toBeGreaterThan(0);
    }, BUDGET_MINUTES * 5 * 60_000);
  });
});
