// A disk without room, and one without inodes: the save fails as itself, everything else goes on.
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { isSnapshotError, StateStore, type StateWriter } from "snapkeep";
import { describe, expect, it } from "vitest";
import { fingerprint } from "../faults/worlds.ts";
import { amount, report, skipped } from "./budget.ts";
import { hiddenIn, makeRoom, mounted, noMount } from "./kernel.ts";

const STEP_KIB = amount("disk", "step");

if (noMount !== undefined) skipped("full disk", noMount);

async function onDisk<T>(options: string, run: (folder: string, ballast: string) => Promise<T>): Promise<T> {
  const room = await makeRoom();
  return await mounted(
    ["-t", "tmpfs", "-o", options, "tmpfs"],
    room,
    () => run(path.join(room, "states"), path.join(room, "ballast")),
  );
}

/** Saves until it cannot, makes room, and goes on; the disk holds `files` entries of `sizeBytes` a save. */
async function fillUp(folder: string, ballast: string, files: number, sizeBytes: number): Promise<number> {
  let step = 0;
  const store = new StateStore(folder).register("model", {
    async saveState(out: StateWriter) {
      await out.json("step.json", step);
      // Random bytes, or archives would hardly fill anything.
      const bytes = crypto.getRandomValues(new Uint8Array(sizeBytes));
      for (let part = 0; part < files; part++) await out.write(`parts/${part}.bin`, bytes);
    },
    loadState() {},
  });
  for (let failures = 0; failures < 4;) {
    const before = await fingerprint(store.backend);
    const names = (await store.list()).map(({ name }) => name);
    const layout = ++step % 2 ? "directory" : "tar.gz";
    try {
      await store.saveState({ layout });
      if (step > 500) throw new Error("the disk does not fill up");
    } catch (error) {
      if (!isSnapshotError(error, "STORAGE_FULL")) throw error;
      failures++;
      expect(await hiddenIn(folder), `after save ${step}`).toEqual([]);
      expect((await store.list()).map(({ name }) => name)).toEqual(names);
      expect(await fingerprint(store.backend)).toEqual(before);
      if (failures === 1) await rm(ballast, { recursive: true }); // room for the next
      else if (names.length > 0) await (await store.list())[0]?.remove();
    }
  }
  const left = await store.list();
  for (const snapshot of left) expect((await snapshot.verify()).isWhole, String(snapshot)).toBe(true);
  // What is there after the ballast went was saved after the failure.
  expect(left.length).toBeGreaterThan(0);
  return step;
}

describe.skipIf(noMount !== undefined)("a disk that fills up", () => {
  it("fails saves as STORAGE_FULL, keeps what is there, and takes saves again when there is room", async () => {
    const since = performance.now();
    let [disks, saves] = [0, 0];
    for (let kib = 96; kib <= 480; kib += STEP_KIB) {
      disks++;
      saves += await onDisk(`size=${kib}k`, async (folder, ballast) => {
        await writeFile(ballast, new Uint8Array(48 * 1024));
        return await fillUp(folder, ballast, 3, 2_000);
      });
    }
    report("full disk", since, `${disks} disks, ${saves} saves`);
  }, 48 / STEP_KIB * 60_000 + 60_000);

  it("does the same without inodes", async () => {
    const since = performance.now();
    let [disks, saves] = [0, 0];
    for (let inodes = 24; inodes <= 60; inodes += STEP_KIB / 12) {
      disks++;
      saves += await onDisk(`size=8m,nr_inodes=${inodes}`, async (folder, ballast) => {
        await mkdir(ballast);
        for (let file = 0; file < 10; file++) await writeFile(path.join(ballast, String(file)), "");
        return await fillUp(folder, ballast, 4, 100);
      });
    }
    report("full of inodes", since, `${disks} disks, ${saves} saves`);
  }, 48 / STEP_KIB * 60_000 + 60_000);
});
