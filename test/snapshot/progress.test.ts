// How far loads, verifications, imports and exports are, and how opening a snapshot is aborted.
import path from "node:path";
import {
  fileBackend,
  type LayoutKind,
  memoryBackend,
  type SnapshotLocator,
  type SnapshotProgress,
  StateStore,
} from "snapkeep";
import { describe, expect, it } from "vitest";
import { all } from "../backend/texts.ts";
import { changed, places, temporaryFolder } from "../store/places.ts";
import { Cell, deferred, Files, rejection } from "../store/states.ts";

const LARGE_BYTES = 3 * 1024 * 1024;
const ENTRIES = 4;

function register(store: StateStore): StateStore {
  const large = new Uint8Array(LARGE_BYTES).map((_, index) => index * index >> 3);
  return store.register("files", new Files({ "large.bin": large, "a/small": "small", empty: "" }))
    .register("cell", new Cell(1));
}

/** Collects progress, and what must be true of any. */
function watch() {
  const told: SnapshotProgress[] = [];
  return {
    told,
    onProgress: (progress: SnapshotProgress) => void told.push(progress),
    /** Checks the calls of one phase. */
    expectWhole(phase: SnapshotProgress["phase"], uri: string) {
      const calls = told.filter((progress) => progress.phase === phase);
      const last = calls.at(-1);
      expect(last).toMatchObject({ uri, entries: ENTRIES, totalEntries: ENTRIES });
      expect(last?.sizeBytes).toBe(last?.totalBytes);
      expect(last?.sizeBytes).toBeGreaterThan(LARGE_BYTES);
      for (const [index, { entries, sizeBytes, totalBytes }] of calls.entries()) {
        expect(entries).toBeGreaterThanOrEqual(calls[index - 1]?.entries ?? 0);
        expect(sizeBytes).toBeGreaterThanOrEqual(calls[index - 1]?.sizeBytes ?? 0);
        expect(totalBytes).toBe(last?.totalBytes);
      }
      expect(new Set(calls.map(({ state }) => state))).toEqual(new Set(["files", "cell"]));
    },
  };
}

describe.each(places)("onProgress ($layout, $backend)", ({ make }) => {
  async function saved(): Promise<{ store: StateStore; snapshot: SnapshotLocator }> {
    const store = register((await make()).store());
    return { store, snapshot: await store.saveState() };
  }

  it("of a load and a resume counts to the totals before any state is called", async () => {
    const { store, snapshot } = await saved();
    const [load, resume] = [watch(), watch()];
    await store.loadState(snapshot, { onProgress: load.onProgress });
    load.expectWhole("verify", String(snapshot));
    await store.resume({ onProgress: resume.onProgress });
    resume.expectWhole("verify", String(snapshot));
  });

  it("of a verification counts to the totals", async () => {
    const { store, snapshot } = await saved();
    const [one, every, quick] = [watch(), watch(), watch()];
    await snapshot.verify({ onProgress: one.onProgress });
    one.expectWhole("verify", String(snapshot));
    await all(store.verify({ onProgress: every.onProgress }));
    every.expectWhole("verify", String(snapshot));
    await snapshot.verify({ mode: "quick", onProgress: quick.onProgress });
    quick.expectWhole("verify", String(snapshot));
  });

  it.each<LayoutKind>(["directory", "tar.gz", "tar"])("of an export as %s counts to the totals", async (layout) => {
    const { snapshot } = await saved();
    const watched = watch();
    const target = path.join(await temporaryFolder(), layout === "directory" ? "copy" : `copy.${layout}`);
    await snapshot.exportTo(target, { onProgress: watched.onProgress });
    watched.expectWhole("copy", String(snapshot));
  });

  it("of an import counts the copy, which verifies each entry", async () => {
    const { snapshot } = await saved();
    const watched = watch();
    await new StateStore(memoryBackend()).importSnapshot(snapshot, { onProgress: watched.onProgress });
    watched.expectWhole("copy", String(snapshot));
    expect(new Set(watched.told.map(({ phase }) => phase))).toEqual(new Set(["copy"]));
  });

  it("that throws fails the operation, and nothing is changed", async () => {
    const { store, snapshot } = await saved();
    const reason = new Error("no");
    const onProgress = () => {
      throw reason;
    };
    const other = new StateStore(memoryBackend());
    const target = path.join(await temporaryFolder(), "copy.tar.gz");
    expect(await rejection(store.loadState(snapshot, { onProgress }))).toBe(reason);
    expect(await rejection(snapshot.verify({ onProgress }))).toBe(reason);
    expect(await rejection(snapshot.exportTo(target, { onProgress }))).toBe(reason);
    expect(await rejection(other.importSnapshot(snapshot, { onProgress }))).toBe(reason);
    expect(await other.list()).toEqual([]);
    expect(await all(fileBackend(path.dirname(target)).list())).toEqual([]);
  });
});

describe.each(places)("a signal ($layout, $backend)", ({ make }) => {
  it("that is aborted keeps a snapshot from being opened", async () => {
    const place = await make();
    const snapshot = await register(place.store()).saveState();
    const reason = new Error("enough");
    const signal = AbortSignal.abort(reason);
    expect(await rejection(snapshot.open({ signal }))).toBe(reason);
    expect(await rejection(snapshot.manifest({ signal }))).toBe(reason);
    expect(await rejection(snapshot.stat({ signal }))).toBe(reason);
  });

  it("ends waiting for a storage that does not answer, and what arrives late is closed", async () => {
    const place = await make();
    const name = (await register(place.store()).saveState()).name;
    const abort = new AbortController();
    let answer = () => {};
    let closed = 0;
    const backend = changed(place.backend, {
      async open(unit, blobPath) {
        await new Promise<void>((resolve) => answer = resolve);
        const blob = await place.backend.open(unit, blobPath);
        return blob && {
          sizeBytes: blob.sizeBytes,
          read: blob.read.bind(blob),
          close() {
            closed++;
            return blob.close();
          },
        };
      },
    });
    const [snapshot] = await new StateStore(backend).list();
    expect(snapshot?.name).toBe(name);
    const opening = rejection(snapshot?.open({ signal: abort.signal }) ?? Promise.resolve());
    const reason = new Error("enough");
    abort.abort(reason);
    expect(await opening).toBe(reason);
    answer();
    await expect.poll(() => closed).toBeGreaterThan(0);
  });

  it("ends a stream in the middle of an entry, and closes what it reads", async () => {
    const place = await make();
    await register(place.store()).saveState();
    const reason = new Error("enough");
    const abort = new AbortController();
    let [opened, closed] = [0, 0];
    const hanging = deferred();
    const backend = changed(place.backend, {
      async open(unit, blobPath) {
        const blob = await place.backend.open(unit, blobPath);
        if (blob === undefined) return undefined;
        opened++;
        return {
          sizeBytes: blob.sizeBytes,
          async *read(offset, lengthBytes, into) {
            const isWhole = blobPath !== "manifest.json" && lengthBytes >= blob.sizeBytes;
            if (!isWhole) return yield* blob.read(offset, lengthBytes, into);
            hanging.resolve();
            await new Promise<void>(() => {}); // a server that sends no more
          },
          close() {
            closed++;
            return blob.close();
          },
        };
      },
    });
    const [snapshot] = await new StateStore(backend).list();
    const bytes = snapshot?.stream({ signal: abort.signal }).getReader();
    const reading = (async () => {
      while ((await bytes?.read())?.done === false);
    })();
    await hanging.promise;
    abort.abort(reason);
    expect(await rejection(reading)).toBe(reason);
    await expect.poll(() => closed).toBe(opened);
    const late = snapshot?.stream({ signal: abort.signal }).getReader();
    expect(await rejection(late?.read() ?? Promise.resolve())).toBe(reason);
    expect(closed).toBe(opened);
  });

  it("has no effect on a reader that is open", async () => {
    const place = await make();
    const snapshot = await register(place.store()).saveState();
    const abort = new AbortController();
    const reader = await snapshot.open({ signal: abort.signal });
    try {
      abort.abort();
      expect(await reader.json("cell/value.json")).toBe(1);
    } finally {
      await reader.close();
    }
  });
});
