// A store verifies all that lies at its place, and tells of each by itself.
import { appendFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { type Backend, isSnapshotError, type LayoutKind, memoryBackend, StateStore } from "snapkeep";
import { describe, expect, it } from "vitest";
import { writeCopy } from "../../src/snapshot/copying.ts";
import { layoutOfKind } from "../../src/layout/layouts.ts";
import { storageError } from "../../src/model/errors.ts";
import { changed, filePlaces, places } from "./places.ts";
import { Cell, Files, rejection } from "./states.ts";
import { all } from "../backend/texts.ts";

const START_MS = Date.UTC(2026, 0, 2, 3, 4, 5);

/** As many turns of the event loop as anything that goes on would need to show itself. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

function storeAt(place: { store(options?: object): StateStore }) {
  let seconds = 0;
  return place.store({ now: () => START_MS + seconds++ * 1000 }).register(
    "a",
    new Files({ "x.bin": new Uint8Array(500).fill(7), "sub/y": "y" }),
  );
}

describe.each(places)("StateStore.verify ($layout, $backend)", ({ make }) => {
  it.each(["full", "quick"] as const)("reports on each snapshot, the oldest first, in %s mode", async (mode) => {
    const store = storeAt(await make());
    const saved = [await store.saveState(), await store.saveState(), await store.saveState()];
    const reports = await all(store.verify({ mode }));
    expect(reports.map(({ uri }) => uri)).toEqual(saved.map(String));
    for (const report of reports) {
      expect(report).toMatchObject({
        isWhole: true,
        findings: [],
        entries: mode === "full" ? 2 : 0,
        sizeBytes: mode === "full" ? 501 : 0,
      });
    }
  });

  it("has nothing to report where nothing is", async () => {
    expect(await all((await make()).store().verify())).toEqual([]);
  });

  it("finds a note that is damaged, as a locator does, and leaves it", async () => {
    const place = await make();
    const store = storeAt(place);
    const [first, second] = [await store.saveState(), await store.saveState()];
    await place.backend.notes.put(second.name, new TextEncoder().encode("{"));
    const finding = { step: "note", problem: "damaged", path: "note", expected: "labels" };
    expect(await first.verify()).toMatchObject({ isWhole: true });
    expect(await second.verify({ mode: "quick" })).toMatchObject({ isWhole: false, findings: [finding] });
    expect((await all(store.verify())).map(({ findings }) => findings)).toMatchObject([[], [finding]]);
    expect(await second.note()).toBe("damaged");
  });

  it("finds a name that holds different states in two layouts, and not one that holds the same", async () => {
    const place = await make();
    const store = storeAt(place);
    const same = await store.saveState();
    const different = await store.saveState();
    const others = new StateStore(place.backend, { now: () => START_MS + 1000 }).register("b", new Cell("other"));
    const layout = place.layout === "directory" ? "tar.gz" : "directory";
    await copyBeside(place.backend, store, same.name, layout);
    await copyBeside(place.backend, others, different.name, layout);
    const reports = await all(store.verify());
    expect(reports).toHaveLength(4);
    expect(reports.map(({ isWhole }) => isWhole)).toEqual([true, true, true, false]);
    expect(reports[3]?.findings).toMatchObject([{ step: "layouts", problem: "differs", path: "manifest.json" }]);
  });

  it("goes on where the storage fails for one snapshot, and tells which", async () => {
    const place = await make();
    const store = storeAt(place);
    const saved = [await store.saveState(), await store.saveState(), await store.saveState()];
    const backend = changed(place.backend, {
      open: async (unit, blobPath) => {
        if (unit.startsWith(saved[1]?.name ?? "")) throw failure();
        return await place.backend.open(unit, blobPath);
      },
    });
    const reports = await all(new StateStore(backend).verify());
    expect(reports.map(({ isWhole }) => isWhole)).toEqual([true, false, true]);
    expect(reports[1]?.findings).toMatchObject([{
      problem: "unreadable",
      path: "",
      actual: expect.stringMatching(/EIO/),
    }]);
  });

  it("throws a backend's own mistake as it is: that tells nothing of a snapshot", async () => {
    const place = await make();
    await storeAt(place).saveState();
    const mistake = new ReferenceError("a mistake");
    const backend = changed(place.backend, { open: () => Promise.reject(mistake) });
    expect(await rejection(all(new StateStore(backend).verify()))).toBe(mistake);
  });

  it("leaves out what vanishes meanwhile", async () => {
    const place = await make();
    const store = storeAt(place);
    const saved = [await store.saveState(), await store.saveState()];
    const backend = changed(place.backend, {
      open: async (unit, blobPath) => {
        if (unit.startsWith(saved[0]?.name ?? "")) await place.backend.remove(unit);
        return await place.backend.open(unit, blobPath);
      },
    });
    expect((await all(new StateStore(backend).verify())).map(({ uri }) => uri)).toEqual([String(saved[1])]);
  });

  it("tells of the first before it has read all, and reads no further when the loop is left", async () => {
    const place = await make();
    const store = storeAt(place);
    for (let count = 0; count < 8; count++) await store.saveState();
    const opened = new Set<string>();
    const backend = changed(place.backend, {
      open(unit, blobPath) {
        opened.add(unit);
        return place.backend.open(unit, blobPath);
      },
    });
    for await (const { isWhole } of new StateStore(backend).verify()) {
      expect(isWhole).toBe(true);
      break;
    }
    const whenLeft = opened.size;
    expect(whenLeft).toBeLessThan(5);
    await turns();
    expect(opened.size).toBe(whenLeft);
  });

  it("reads nothing before the first report is asked for", async () => {
    const place = await make();
    await storeAt(place).saveState();
    let lists = 0;
    const backend = changed(place.backend, {
      list(options) {
        lists++;
        return place.backend.list(options);
      },
    });
    const reports = new StateStore(backend).verify();
    await turns();
    expect(lists).toBe(0);
    expect((await all(reports)).length).toBe(1);
  });

  it("ends by a signal between two reports", async () => {
    const store = storeAt(await make());
    for (let count = 0; count < 3; count++) await store.saveState();
    const abort = new AbortController();
    const reason = new Error("enough");
    const looped = async () => {
      for await (const _report of store.verify({ signal: abort.signal })) abort.abort(reason);
    };
    expect(await rejection(looped())).toBe(reason);
  });

  it("is aborted by a signal", async () => {
    const store = storeAt(await make());
    await store.saveState();
    const reason = new Error("enough");
    expect(await rejection(all(store.verify({ signal: AbortSignal.abort(reason) })))).toBe(reason);
  });

  it("refuses a mode that there is not, rather than look less closely than was meant", async () => {
    const store = storeAt(await make());
    const snapshot = await store.saveState();
    const options = { mode: "fast" as "full" };
    expect(() => store.verify(options)).toThrow(TypeError);
    expect(await rejection(snapshot.verify(options))).toBeInstanceOf(TypeError);
  });

  it("throws where the place cannot even be listed", async () => {
    const place = await make();
    const backend = changed(place.backend, {
      async *list() {
        yield await Promise.reject(failure());
      },
    });
    expect(isSnapshotError(await rejection(all(new StateStore(backend).verify())), "STORAGE_FAILED")).toBe(true);
  });
});

describe.each(filePlaces)("StateStore.verify of a folder ($layout)", ({ make, layout }) => {
  const suffix = layout !== "directory" ? ".tar.gz" : "";

  it("finds what is damaged, cut or removed, names it, and changes nothing", async () => {
    const place = await make();
    const store = storeAt(place);
    const saved = [await store.saveState(), await store.saveState(), await store.saveState(), await store.saveState()];
    const at = (index: number, entry: string) =>
      layout !== "directory" ? String(saved[index]) : path.join(String(saved[index]), entry);
    await truncate(at(0, "a/x.bin"), 30);
    await appendFile(at(1, "a/sub/y"), "z");
    await rm(at(2, "manifest.json"));
    const before = await place.files();
    const reports = await all(store.verify());
    // A folder that lost its manifest is reported, though it is listed no more; a file that is gone is nothing.
    expect(reports.map(({ uri, isWhole }) => [uri, isWhole])).toEqual([
      [String(saved[0]), false],
      [String(saved[1]), false],
      ...layout !== "directory" ? [] : [[String(saved[2]), false]],
      [String(saved[3]), true],
    ]);
    expect(await all(store.verify())).toEqual(reports);
    expect(await place.files()).toEqual(before);
  });

  it("finds a snapshot that was given another's time, and lets a keepsake be called as it likes", async () => {
    const place = await make();
    const store = storeAt(place);
    const [first, second] = [await store.saveState(), await store.saveState()];
    const renamed = first.name.replace("03-04-05", "09-09-09");
    await rename(String(first), path.join(place.folder ?? "", renamed + suffix));
    await rename(String(second), path.join(place.folder ?? "", `best${suffix}`));
    const reports = await all(store.verify());
    expect(reports).toMatchObject([
      { findings: [{ step: "name", problem: "differs", expected: first.name, actual: renamed }] },
      { findings: [] },
    ]);
  });

  it("does not take what is no snapshot for one", async () => {
    const place = await make();
    const store = storeAt(place);
    await store.saveState();
    await writeFile(path.join(place.folder ?? "", "readme.txt"), "x");
    expect(await all(store.verify())).toHaveLength(1);
  });
});

function failure(): Error {
  return storageError("open", "somewhere", Object.assign(new Error("EIO: injected"), { code: "EIO" }));
}

/** Saves a store's states under the name of a snapshot that is there already in the other layout. */
async function copyBeside(backend: Backend, store: StateStore, name: string, layout: LayoutKind): Promise<void> {
  const elsewhere = await new StateStore(memoryBackend()).importSnapshot(store.streamState().body);
  const reader = await ((await new StateStore(backend).snapshot(name)) ?? elsewhere).open();
  const target = layoutOfKind(layout);
  const source = store.stateNames.includes("a") ? reader : await elsewhere.open();
  const stage = await backend.stage(name + target.suffix, { allowOtherLayouts: true });
  await writeCopy(source, target, { backend, stage, labels: {} });
  await Promise.all([reader.close(), source.close()]);
}
