// Copies of snapshots in another store: only what is missing.
import { copySnapshots, memoryBackend, StateStore } from "snapkeep";
import { describe, expect, it } from "vitest";
import { all } from "../backend/texts.ts";
import { rejection, saving } from "./states.ts";

function storeWith(value: string): StateStore {
  let seconds = 0;
  const now = () => Date.UTC(2026, 0, 2) + seconds++ * 1000;
  return new StateStore(memoryBackend(), { now }).register("a", saving((out) => out.json("value.json", value)));
}

const outcomes = async (copies: AsyncIterable<{ outcome: string }>) =>
  (await all(copies)).map(({ outcome }) => outcome);

describe("copySnapshots", () => {
  it("copies what the other store lacks, with labels and pins", async () => {
    const store = storeWith("x");
    const first = await store.saveState({ labels: { tags: ["good"] } });
    await first.pin();
    await store.saveState();
    const other = new StateStore(memoryBackend());
    expect(await outcomes(copySnapshots(await store.list(), other))).toEqual(["copied", "copied"]);
    const copies = await other.list();
    expect(copies.map(({ name }) => name)).toEqual((await store.list()).map(({ name }) => name));
    expect(await copies[0]?.labels()).toEqual({ tags: ["good"], pinned: true });
    for (const copy of copies) expect((await copy.verify()).isWhole).toBe(true);
    await store.saveState();
    expect(await outcomes(copySnapshots(await store.list(), other))).toEqual(["present", "present", "copied"]);
  });

  it("sets labels that are missing there, and leaves those that only the other store has", async () => {
    const store = storeWith("x");
    const snapshot = await store.saveState();
    const other = new StateStore(memoryBackend());
    await all(copySnapshots([snapshot], other));
    const copy = await other.latest();
    await copy?.label({ pinned: true, remark: "theirs" });
    await snapshot.label({ tags: ["late"], remark: "ours" });
    expect(await outcomes(copySnapshots([snapshot], other))).toEqual(["labeled"]);
    expect(await copy?.labels()).toEqual({ pinned: true, tags: ["late"], remark: "ours" });
    expect(await outcomes(copySnapshots([snapshot], other))).toEqual(["present"]);
  });

  it("copies the others if one of the same name is another snapshot there", async () => {
    const [store, other] = [storeWith("x"), storeWith("y")];
    const snapshots = [await store.saveState(), await store.saveState()];
    await other.saveState();
    const copies = await all(copySnapshots(snapshots, other));
    expect(copies.map(({ outcome }) => outcome)).toEqual(["failed", "copied"]);
    expect(copies[0]?.error).toMatchObject({ code: "SNAPSHOT_EXISTS" });
  });

  it("continues after an interruption", async () => {
    const store = storeWith("x");
    for (let count = 0; count < 4; count++) await store.saveState();
    const other = new StateStore(memoryBackend());
    const stop = new AbortController();
    const reason = new Error("interrupted");
    const interrupted = (async () => {
      for await (const _ of copySnapshots(await store.list(), other, { signal: stop.signal })) stop.abort(reason);
    })();
    expect(await rejection(interrupted)).toBe(reason);
    expect((await other.list()).length).toBe(1);
    expect(await outcomes(copySnapshots(await store.list(), other))).toEqual(["present", "copied", "copied", "copied"]);
  });

  it("reports progress of each, and refuses options that do not exist", async () => {
    const store = storeWith("x");
    const snapshot = await store.saveState();
    const seen = new Set<string>();
    await all(
      copySnapshots([snapshot], new StateStore(memoryBackend()), { onProgress: ({ phase }) => void seen.add(phase) }),
    );
    expect([...seen]).toEqual(["copy"]);
    expect(() => copySnapshots([snapshot], store, { sginal: 1 } as never)).toThrow(TypeError);
  });
});
