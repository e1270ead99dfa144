// Test frameworks put fakes in the place of the global timers; what the library waits for must come all the same.
import path from "node:path";
import { StateStore } from "snapkeep";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { temporaryFolder } from "./places.ts";
import { Cell } from "./states.ts";

describe("under fake timers", () => {
  it("labels that are changed concurrently, saves and loads end", async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const folder = path.join(await temporaryFolder(), "states");
    const stores = [1, 2].map(() => new StateStore(folder, { durability: "none" }).register("a", new Cell(1)));
    const snapshot = await (stores[0] as StateStore).saveState();
    const others = await Promise.all(stores.map((store) => store.snapshot(snapshot.name)));
    const unlock = await (stores[0] as StateStore).backend.notes.lock?.(snapshot.name);
    const labelling = others[1]?.label({ tags: ["a"] });
    for (let turn = 0; turn < 3; turn++) await (stores[0] as StateStore).list(); // it finds the lock meanwhile
    await unlock?.();
    await labelling;
    expect((await snapshot.labels()).tags).toEqual(["a"]);
    for (const store of stores) await store.loadState(snapshot);
    const archive = await (stores[1] as StateStore).saveState({ layout: "tar.gz" });
    expect((await archive.verify()).findings).toEqual([]);
  });
});
