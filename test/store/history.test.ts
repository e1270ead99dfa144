// When an entry changed, from manifests alone.
import { rm, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { historyOfEntry, memoryBackend, StateStore } from "snapkeep";
import { describe, expect, it } from "vitest";
import { fastFolder } from "../backend/temporary.ts";
import { rejection } from "./states.ts";

async function saved(where: ConstructorParameters<typeof StateStore>[0], values: readonly (number | undefined)[]) {
  let value: number | undefined;
  let seconds = 0;
  const now = () => Date.UTC(2026, 0, 2) + seconds++ * 1000;
  const store = new StateStore(where, { now }).register("run", {
    saveState: async (out) => {
      await out.json("other.json", seconds);
      if (value !== undefined) await out.json("value.json", value);
    },
    loadState: () => {},
  });
  for (value of values) await store.saveState();
  return store;
}

describe("historyOfEntry", () => {
  it("returns the snapshots in which the entry is new, other, or gone", async () => {
    const store = await saved(memoryBackend(), [undefined, 1, 1, 20, undefined, 1]);
    const { path, snapshots, changes, skipped } = await historyOfEntry(store, "run/value.json");
    const all = await store.list();
    expect({ path, snapshots, skipped }).toEqual({ path: "run/value.json", snapshots: 6, skipped: [] });
    expect(changes.map(({ snapshot, change, sizeBytes }) => [snapshot.name, change, sizeBytes])).toEqual([
      [all[1]?.name, "added", 1],
      [all[3]?.name, "changed", 2],
      [all[4]?.name, "removed", 0],
      [all[5]?.name, "added", 1],
    ]);
    expect(changes.map(({ digest }) => digest === undefined)).toEqual([false, false, true, false]);
  });

  it("names the snapshots that cannot be read", async () => {
    const folder = await fastFolder();
    const store = await saved(folder, [1, 2, 3]);
    const [, second] = await store.list();
    await writeFile(path.join(String(second), "manifest.json"), "{}");
    const { changes, snapshots, skipped } = await historyOfEntry(store, "run/value.json");
    expect([changes.length, snapshots]).toEqual([2, 2]);
    expect(skipped).toEqual([{ snapshot: String(second), reason: expect.stringContaining("manifest") as string }]);
  });

  it("leaves out a snapshot that is removed meanwhile", async () => {
    const folder = await fastFolder();
    const store = await saved(folder, [1, 2]);
    const [first] = await store.list();
    const list = store.list.bind(store);
    store.list = async (options) => {
      const found = await list(options);
      await rm(String(first), { recursive: true });
      return found;
    };
    expect((await historyOfEntry(store, "run/value.json")).skipped).toEqual([]);
  });

  it("names the nearest entry if none is called so, and is empty for an empty store", async () => {
    const store = await saved(memoryBackend(), [1]);
    const error = await rejection(historyOfEntry(store, "run/valeu.json"));
    expect(error).toMatchObject({
      code: "ENTRY_NOT_FOUND",
      message: expect.stringContaining('"run/value.json"') as string,
    });
    expect((await historyOfEntry(new StateStore(memoryBackend()), "a/b")).changes).toEqual([]);
  });

  it("refuses what is not an entry", async () => {
    const store = new StateStore(memoryBackend());
    for (const given of ["", "run", "run/", "/x", 5 as never]) {
      expect(await rejection(historyOfEntry(store, given)), String(given)).toBeInstanceOf(TypeError);
    }
    expect(await rejection(historyOfEntry(store, "a/b", { singal: 1 } as never))).toBeInstanceOf(TypeError);
  });

  it("aborts", async () => {
    const store = await saved(memoryBackend(), [1]);
    const reason = new Error("enough");
    expect(await rejection(historyOfEntry(store, "run/value.json", { signal: AbortSignal.abort(reason) }))).toBe(
      reason,
    );
  });

  it("compares 1,000 snapshots in less than a second of processor time", async () => {
    const store = await saved(memoryBackend(), Array.from({ length: 1000 }, (_, at) => Math.floor(at / 100)));
    const before = process.cpuUsage();
    const { changes } = await historyOfEntry(store, "run/value.json");
    const { user, system } = process.cpuUsage(before);
    expect(changes.length).toBe(10);
    expect((user + system) / 1e6).toBeLessThan(1);
  });
});
