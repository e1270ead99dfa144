// What differs between two snapshots, and between a snapshot and the program.
import fc from "fast-check";
import { differenceOf, isSnapshotError, type Manifest, StateStore } from "snapkeep";
import { describe, expect, it } from "vitest";
import { places } from "../store/places.ts";
import { Cell, Files, rejection, saving, streamOf } from "../store/states.ts";

const digestOf = (letter: string) => `sha256:${letter.repeat(64)}` as const;

/** The states of a manifest, out of the letter of each entry's digest. */
const states = (record: Record<string, Record<string, string>>): Pick<Manifest, "states"> => ({
  states: Object.entries(record).map(([name, entries]) => ({
    name,
    version: 1,
    entries: Object.entries(entries).map(([path, letter]) => ({ path, sizeBytes: 1, digest: digestOf(letter) })),
  })),
});

describe("differenceOf", () => {
  it("tells per state and entry what was added, changed and removed", async () => {
    const a = states({ same: { x: "a" }, model: { w: "a", old: "b", keep: "c" }, gone: { y: "a" } });
    const b = states({ fresh: { z: "a" }, model: { keep: "c", w: "d", new: "e" }, same: { x: "a" } });
    expect(await differenceOf(a, b)).toEqual({
      isEqual: false,
      states: [
        { name: "fresh", change: "added", entries: [{ path: "z", change: "added" }] },
        {
          name: "model",
          change: "changed",
          entries: [{ path: "w", change: "changed" }, { path: "new", change: "added" }, {
            path: "old",
            change: "removed",
          }],
        },
        { name: "gone", change: "removed", entries: [{ path: "y", change: "removed" }] },
      ],
    });
  });

  it("tells of versions, and of states without entries", async () => {
    const a = { states: [{ name: "a", version: 1, entries: [] }] };
    const b = { states: [{ name: "a", version: 2, entries: [] }, { name: "b", version: 1, entries: [] }] };
    expect(await differenceOf(a, b)).toEqual({
      isEqual: false,
      states: [{ name: "a", change: "changed", versions: [1, 2], entries: [] }, {
        name: "b",
        change: "added",
        entries: [],
      }],
    });
  });

  const letters = fc.constantFrom("a", "b");
  const manifests = fc.dictionary(fc.constantFrom("s", "t"), fc.dictionary(fc.constantFrom("x", "y", "z"), letters))
    .map(states);

  it("finds nothing in equal ones, and the reverse in the other direction", async () => {
    const reverse = { added: "removed", changed: "changed", removed: "added" } as const;
    await fc.assert(fc.asyncProperty(manifests, manifests, async (a, b) => {
      expect(await differenceOf(a, a)).toEqual({ isEqual: true, states: [] });
      const flat = (difference: Awaited<ReturnType<typeof differenceOf>>, isReversed: boolean) =>
        difference.states.flatMap(({ name, change, entries }) =>
          [{ path: "", change }, ...entries].map(({ path, change }) =>
            `${name}/${path} ${isReversed ? reverse[change] : change}`
          )
        ).sort();
      expect(flat(await differenceOf(a, b), false)).toEqual(flat(await differenceOf(b, a), true));
    }));
  });

  it("refuses what is no snapshot", async () => {
    expect(await rejection(differenceOf("states/x" as never, states({})))).toBeInstanceOf(TypeError);
  });
});

describe.each(places)("StateStore.compare ($layout, $backend)", ({ make }) => {
  it("tells what changed since a snapshot, and writes nothing", async () => {
    const place = await make();
    const [cell, files] = [new Cell(1), new Files({ a: "1", b: "2" })];
    const store = place.store().register("cell", cell).register("files", files);
    const snapshot = await store.saveState();
    expect(await store.compare(snapshot)).toEqual({ isEqual: true, states: [] });
    const before = await place.files();
    cell.value = 2;
    files.files = new Map([["b", new Uint8Array([50])], ["c", new Uint8Array()]]);
    expect(await store.compare(snapshot)).toEqual({
      isEqual: false,
      states: [
        { name: "cell", change: "changed", entries: [{ path: "value.json", change: "changed" }] },
        {
          name: "files",
          change: "changed",
          entries: [{ path: "c", change: "added" }, { path: "a", change: "removed" }],
        },
      ],
    });
    expect(await place.files()).toEqual(before);
    const other = new StateStore(place.backend, { startFresh: true }).register("files", files).register(
      "new",
      new Cell(1),
    );
    expect((await other.compare(snapshot)).states.map(({ name, change }) => [name, change])).toEqual([
      ["files", "changed"],
      ["new", "added"],
      ["cell", "removed"],
    ]);
  });

  it("compares the instant of the call, streams too", async () => {
    const place = await make();
    const cell = new Cell(1);
    const store = place.store().register("cell", cell).register(
      "stream",
      saving((out) => out.write("s", streamOf(new Uint8Array(9)))),
    );
    const snapshot = await store.saveState();
    const comparing = store.compare(snapshot);
    cell.value = 2;
    expect(await comparing).toMatchObject({ isEqual: true });
    const second = await store.saveState();
    expect(await differenceOf(snapshot, second)).toMatchObject({ states: [{ name: "cell" }] });
  });

  it("fails as a save does, and leaves the store usable", async () => {
    const place = await make();
    let isBroken = false;
    const store = place.store().register(
      "x",
      saving((out) => {
        if (isBroken) throw new Error("mine");
        return out.json("x.json", 1);
      }),
    );
    const snapshot = await store.saveState();
    isBroken = true;
    expect(await rejection(store.compare(snapshot))).toMatchObject({
      code: "STATE_SAVE_FAILED",
      cause: new Error("mine"),
    });
    isBroken = false;
    expect(await rejection(store.compare(snapshot, { signal: AbortSignal.abort() }))).toMatchObject({
      name: "AbortError",
    });
    expect(await store.compare(snapshot)).toMatchObject({ isEqual: true });
    await snapshot.remove();
    expect(isSnapshotError(await rejection(store.compare(snapshot)), "SNAPSHOT_NOT_FOUND")).toBe(true);
    await store.saveState();
  });
});
