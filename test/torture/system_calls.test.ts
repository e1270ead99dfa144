// The real kernel, at every system call that matters: the program dies at it, or it fails.
import { rm } from "node:fs/promises";
import path from "node:path";
import { StateStore } from "snapkeep";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cell } from "../store/states.ts";
import { amount, isLong, limitMs, report, runtime, skipped } from "./budget.ts";
import { type CallKind, checkPlace, copyOf, furnishedPlace, hiddenIn, noStrace, traced } from "./kernel.ts";

const MOST = amount("calls", "most");
const AT_ONCE = Math.min(2, MOST);

/** Which threads make the calls. */
interface Way {
  readonly how: string;
  readonly isOneThread: boolean;
  /** Every how many calls one is struck. */
  readonly stride: number;
  readonly isHere: boolean;
}

// strace counts by thread. Node's pool is kept to one thread; those of Bun and Deno take turns as they like, so that counting
// does not reach each call there. It does where the calls are made without a pool; by the pool some of them are struck.
const isPinned = runtime === "node";
const ways: readonly Way[] = [
  {
    how: "by the threads of the runtime",
    isOneThread: false,
    stride: amount("calls", "stride"),
    isHere: isPinned || isLong,
  },
  { how: "by one thread, each call", isOneThread: true, stride: 1, isHere: !isPinned },
];
const KILLED: readonly CallKind[] = ["sync", "rename", "link", "mkdir", "unlink", "rmdir", "write"];
const FAILED: readonly CallKind[] = ["sync", "rename", "link", "mkdir", "write"];

if (noStrace !== undefined) skipped("system calls", noStrace);

/** Whose call was struck. */
type Hit = "ours" | "foreign" | "none";

/** Strikes the first call, the second and so on, until none was struck. Calls of the runtime itself do not count. */
async function forEachCall(stride: number, run: (at: number) => Promise<Hit>): Promise<number> {
  let struck = 0;
  let last = MOST;
  for (let at = 1; at <= last;) {
    const points = Array.from({ length: AT_ONCE }, (_, index) => at + index * stride);
    const hits = await Promise.all(points.map(run));
    struck += hits.filter((hit) => hit === "ours").length;
    if (hits.every((hit) => hit === "none")) break;
    // The runtime's own calls come first in their threads, and are few: behind them no call is passed over.
    const step = hits.includes("ours") ? stride * AT_ONCE : 1;
    if (!hits.includes("ours")) last += step;
    at += step;
  }
  return struck;
}

describe.each(ways)("on the real kernel, $how,", ({ how, isOneThread, stride, isHere }) => {
  const isLeftOut = noStrace !== undefined || !isHere;
  let template = "";
  const since = performance.now();
  const counts = { kills: 0, failures: 0 };
  const isSure = isPinned || isOneThread; // else a kind may be made by threads of which none makes enough
  beforeAll(async () => {
    if (isLeftOut) return;
    template = await furnishedPlace();
    // Runtimes that keep what they compiled do so now.
    await traced("link", "error=EIO", 1000, await copyOf(template), 10, ["directory"]);
  });
  afterAll(async () => {
    if (isLeftOut) return;
    await rm(path.dirname(template), { recursive: true, force: true });
    report(`system calls ${how}`, since, `${counts.kills} kills, ${counts.failures} failures`);
  });

  async function goesOn(folder: string, where: string): Promise<void> {
    const store = new StateStore(folder, { startFresh: true }).register("model", new Cell(1));
    await store.sweep({ force: true });
    expect(await hiddenIn(folder), where).toEqual([]);
    const saved = await store.saveState();
    expect((await saved.verify()).isWhole, where).toBe(true);
    await rm(path.dirname(folder), { recursive: true, force: true });
  }

  it.skipIf(isLeftOut).each(KILLED)(
    "a program killed at any %s loses nothing and shows nothing in part",
    async (kind) => {
      const kills = await forEachCall(stride, async (at) => {
        const where = `killed at ${kind} ${at}`;
        const folder = await copyOf(template);
        const tasks = ["directory", "tar.gz", "cleanup"];
        const { lines, complaints, isKilled, isForeign } = await traced(
          kind,
          "signal=SIGKILL",
          at,
          folder,
          10,
          tasks,
          isOneThread,
        );
        expect(isKilled || lines.at(-1) === "done", `${where}: ${complaints}`).toBe(true);
        expect((await checkPlace(folder, lines, where)).length, where).toBeGreaterThan(0);
        await goesOn(folder, where);
        return !isKilled ? "none" : isForeign ? "foreign" : "ours";
      });
      counts.kills += kills;
      if (isSure) expect(kills).toBeGreaterThan(0);
    },
    limitMs("calls", "most", 10),
  );

  describe.each(["EIO", "ENOSPC"])("with %s", (errno) => {
    it.skipIf(isLeftOut || !isLong && errno !== "EIO").each(FAILED)(
      "a %s that fails is reported, and leaves nothing in part",
      async (kind) => {
        const failures = await forEachCall(stride, async (at) => {
          const where = `${errno} at ${kind} ${at}`;
          const folder = await copyOf(template);
          const { lines, complaints, injected, isForeign } = await traced(kind, `error=${errno}`, at, folder, 10, [
            "directory",
            "tar.gz",
            "directory",
          ], isOneThread);
          expect(lines.at(-1), `${where}: ${complaints}`).toBe("done");
          const failed = lines.filter((line) => line.startsWith("failed"));
          for (const line of failed) {
            const codes = ["COMMIT_UNCERTAIN", errno === "EIO" ? "STORAGE_FAILED" : "STORAGE_FULL"];
            expect(codes, `${where}: ${line}`).toContain(line.split(" ").slice(2).join(" "));
          }
          // No failure is passed over in silence, and none strikes another save. Where a link fails, a rename publishes.
          const isMended = kind === "link" && errno === "EIO";
          if (injected.length > 0 && !isMended) expect(failed.length, `${where}: ${injected}`).toBeGreaterThan(0);
          expect(failed.length, where).toBeLessThanOrEqual(injected.length);
          await checkPlace(folder, lines, where);
          expect(await hiddenIn(folder), where).toEqual([]);
          await goesOn(folder, where);
          return injected.length > 0 ? "ours" : isForeign ? "foreign" : "none";
        });
        counts.failures += failures;
        if (isSure) expect(failures).toBeGreaterThan(0);
      },
      limitMs("calls", "most", 10),
    );
  });

  it.skipIf(isLeftOut)("calls of the store were struck", () => {
    expect(counts.kills).toBeGreaterThan(0);
    expect(counts.failures).toBeGreaterThan(0);
  });
});
