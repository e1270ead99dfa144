// Hundreds of saves with retention: nothing piles up.
import { readdir, rm } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { LatestStatesKeeper, StateStore, type StateWriter } from "snapkeep";
import { describe, expect, it } from "vitest";
import { amount, limitMs, report } from "./budget.ts";
import { hiddenIn, makeRoom } from "./kernel.ts";

const SAVES = amount("soak", "saves");
const MAX_GROWTH_BYTES = 64 * 1024 * 1024;
const WARM_UP = Math.max(20, SAVES / 4);

async function openFiles(): Promise<number | undefined> {
  return (await readdir("/proc/self/fd").catch(() => undefined))?.length;
}

describe.each(["directory", "tar.gz"] as const)("hundreds of saves as %s", (layout) => {
  it("leave no files open, nothing hidden and no memory taken", async () => {
    const since = performance.now();
    const folder = path.join(await makeRoom(), "states");
    let step = 0;
    const store = new StateStore(folder).register("model", {
      async saveState(out: StateWriter) {
        for (const part of ["a", "b/c"]) await out.write(part, new Uint8Array(100_000).fill(step));
      },
      loadState() {},
    });
    const keeper = new LatestStatesKeeper(store, 3);
    const round = async () => {
      step++;
      const saved = await store.saveState({ layout });
      if (step % 10 === 0) await saved.label({ step });
      await keeper.cleanup();
      await store.loadState(saved);
    };
    for (let warm = 0; warm < WARM_UP; warm++) await round();
    const before = { files: await openFiles(), rss: process.memoryUsage().rss };
    const saveAll = async () => {
      for (let save = 0; save < SAVES; save++) await round();
      return { files: await openFiles(), rss: process.memoryUsage().rss };
    };
    let after = await saveAll();
    let grownBytes = after.rss - before.rss;
    // A collector may let a process grow to a size that it keeps; what leaks grows as much with each round of saves.
    for (let again = 0; again < 3 && grownBytes >= MAX_GROWTH_BYTES; again++) {
      const earlier = after.rss;
      after = await saveAll();
      grownBytes = after.rss - earlier;
    }
    if (before.files !== undefined && after.files !== undefined) {
      expect(after.files).toBeLessThanOrEqual(before.files + 2); // the runtime's own come and go
    }
    expect(grownBytes).toBeLessThan(MAX_GROWTH_BYTES);
    expect(await hiddenIn(folder)).toEqual([]);
    const left = (await store.list()).map(({ name }) => `${name}.json`);
    expect(left).toHaveLength(3);
    const notes = await readdir(path.join(folder, ".notes"));
    expect(notes.filter((note) => !left.includes(note)), "notes of what was removed").toEqual([]);
    const grown = `${(grownBytes / 2 ** 20).toFixed(1)} MiB more`;
    report(`soak, ${layout}`, since, `${SAVES} saves, ${after.files} files open, ${grown}`);
    await rm(path.dirname(folder), { recursive: true });
  }, limitMs("soak", "saves", 2));
});
