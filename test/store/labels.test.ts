// Labels: saved with the snapshot, changed beside it, carried by copies; and never at the cost of a byte that was committed.
import { readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { type Backend, type Labels, locate, memoryBackend, SnapshotLocator, StateStore } from "snapkeep";
import { storageError } from "snapkeep/backend";
import { describe, expect, it } from "vitest";
import { parseNote } from "../../src/manifest/labels.ts";
import { collectLogs } from "./logs.ts";
import { changed, filePlaces, type Place, places, temporaryFolder } from "./places.ts";
import { Cell, rejection } from "./states.ts";

const all = {
  tags: ["nightly", "good"],
  metrics: { loss: 0.25, top1: 91 },
  step: 1200,
  remark: "before the change",
  pinned: true,
};

const BARE = '{"format":"snapkeep-note","formatVersion":1,"labels":{"remark":"bare"}}\n';

const unitOf = ({ name, layout }: SnapshotLocator) => layout === "directory" ? `${name}/` : `${name}.tar.gz`;

async function saved(make: () => Promise<Place>, labels?: Labels) {
  const place = await make();
  const store = place.store().register("cell", new Cell("value"));
  const snapshot = await store.saveState(labels === undefined ? {} : { labels });
  return { place, store, snapshot };
}

/** All blobs of a snapshot, as they lie. */
async function blobs({ backend, name, layout }: SnapshotLocator): Promise<Map<string, string>> {
  const unit = layout === "directory" ? `${name}/` : `${name}.tar.gz`;
  const found = new Map<string, string>();
  for await (const blob of backend.blobs(unit)) {
    const reader = await backend.open(unit, blob.path);
    found.set(blob.path, Buffer.from(await reader?.read(0, blob.sizeBytes) ?? []).toString("base64"));
    await reader?.close();
  }
  return found;
}

describe.each(places)("Labels ($layout, $backend)", ({ make, layout }) => {
  it("of a save go into the manifest", async () => {
    const { snapshot } = await saved(make, all);
    expect((await snapshot.manifest()).labels).toEqual(all);
    expect(await snapshot.labels()).toEqual(all);
    expect((await (await saved(make)).snapshot.manifest()).labels).toEqual({});
  });

  it("are those of the instant of the save, whatever the caller does with the object after", async () => {
    const { store } = await saved(make);
    const labels = { tags: ["a"], metrics: { loss: 1 } };
    const saving = store.saveState({ labels });
    labels.tags.push("b");
    labels.metrics.loss = 2;
    expect(await (await saving).labels()).toEqual({ tags: ["a"], metrics: { loss: 1 } });
  });

  it("changed later lie in a note, and not one committed byte changes", async () => {
    const { place, snapshot } = await saved(make, { step: 1 });
    const before = await blobs(snapshot);
    expect(before.size).toBe(layout === "directory" ? 2 : 1);
    await snapshot.label({ tags: ["x"] });
    await snapshot.pin();
    await snapshot.unpin();
    expect(await blobs(snapshot)).toEqual(before);
    expect((await snapshot.manifest()).labels).toEqual({ step: 1 });
    expect(await place.backend.notes.get(snapshot.name)).toBeDefined();
    expect(await snapshot.verify()).toMatchObject({ isWhole: true });
    expect(await snapshot.labels()).toEqual({ step: 1, tags: ["x"] });
  });

  it("given to label() replace one by one; the others stay", async () => {
    const { snapshot } = await saved(make, all);
    expect(await snapshot.label({ tags: ["bad"], step: 5 })).toEqual({ ...all, tags: ["bad"], step: 5 });
    expect(await snapshot.label({ metrics: { loss: 9 } })).toEqual({
      ...all,
      tags: ["bad"],
      step: 5,
      metrics: { loss: 9 },
    });
    expect(await snapshot.label({})).toEqual({ ...all, tags: ["bad"], step: 5, metrics: { loss: 9 } });
    expect(await snapshot.labels()).toEqual({ ...all, tags: ["bad"], step: 5, metrics: { loss: 9 } });
  });

  it("given as undefined are taken away, also those the snapshot was saved with", async () => {
    const { snapshot } = await saved(make, all);
    expect(await snapshot.label({ remark: undefined, metrics: undefined, tags: undefined, pinned: undefined })).toEqual(
      { step: 1200 },
    );
    expect(await snapshot.label({ step: undefined })).toEqual({});
    expect(await snapshot.labels()).toEqual({});
    expect((await snapshot.manifest()).labels).toEqual(all);
  });

  it("are seen by every locator, store and program on the place", async () => {
    const { place, snapshot } = await saved(make);
    await snapshot.label({ remark: "seen" });
    expect(await (await place.store().latest())?.labels()).toEqual({ remark: "seen" });
    const other = (await place.store().snapshot(snapshot.name)) as SnapshotLocator;
    await other.label({ step: 2 });
    expect(await snapshot.labels()).toEqual({ remark: "seen", step: 2 });
  });

  it("pin and unpin leave the other labels alone", async () => {
    const { snapshot } = await saved(make, { step: 3 });
    await snapshot.pin();
    expect(await snapshot.labels()).toEqual({ step: 3, pinned: true });
    await snapshot.pin();
    await snapshot.unpin();
    expect(await snapshot.labels()).toEqual({ step: 3 });
    const pinned = (await saved(make, { pinned: true })).snapshot;
    await pinned.unpin();
    expect(await pinned.labels()).toEqual({});
  });

  it("metrics that are NaN or infinite become null, saved and changed", async () => {
    const { snapshot } = await saved(make, { metrics: { a: NaN, b: Infinity, c: -Infinity, d: 0, e: null } });
    expect(await snapshot.labels()).toEqual({ metrics: { a: null, b: null, c: null, d: 0, e: null } });
    expect(await snapshot.label({ metrics: { a: NaN } })).toEqual({ metrics: { a: null } });
    expect(await snapshot.labels()).toEqual({ metrics: { a: null } });
  });

  const wrong = [
    [{ tags: "nightly" }],
    [{ tags: [1] }],
    [{ metrics: { loss: "low" } }],
    [{ metrics: null }],
    [{ metrics: "low" }],
    [{ step: "12" }],
    [{ step: NaN }],
    [{ step: Infinity }],
    [{ remark: 5 }],
    [{ pinned: "yes" }],
    [{ pinned: null }],
    [{ tag: ["misspelt"] }],
  ] as const;

  it.each(wrong)("of the wrong type are a TypeError, and nothing is saved or changed: %j", async (labels) => {
    const { place, store, snapshot } = await saved(make, { step: 1 });
    const given = labels as unknown as Labels;
    expect(await rejection(store.saveState({ labels: given }))).toBeInstanceOf(TypeError);
    expect(() => store.streamState({ labels: given })).toThrow(TypeError);
    expect(await rejection(snapshot.label(given))).toBeInstanceOf(TypeError);
    expect(await store.list()).toHaveLength(1);
    expect(await snapshot.labels()).toEqual({ step: 1 });
    expect(await place.backend.notes.get(snapshot.name)).toBeUndefined();
  });

  it.each([[[1]], [[]], [5], [true], [new Map([["loss", 1]])]])(
    "metrics that are no object are a TypeError: %j",
    async (metrics) => {
      const { store, snapshot } = await saved(make);
      const given = { metrics } as unknown as Labels;
      expect(await rejection(store.saveState({ labels: given }))).toBeInstanceOf(TypeError);
      expect(await rejection(snapshot.label(given))).toBeInstanceOf(TypeError);
      expect(await snapshot.labels()).toEqual({});
    },
  );

  it("of a snapshot that is not there are SNAPSHOT_NOT_FOUND, and leave no note", async () => {
    const { place, snapshot } = await saved(make);
    await snapshot.remove();
    expect(await rejection(snapshot.labels())).toMatchObject({ code: "SNAPSHOT_NOT_FOUND" });
    expect(await rejection(snapshot.pin())).toMatchObject({ code: "SNAPSHOT_NOT_FOUND" });
    expect(await place.backend.notes.get(snapshot.name)).toBeUndefined();
  });

  it("of a snapshot in a folder that is not there are SNAPSHOT_NOT_FOUND", async () => {
    const snapshot = locate(path.join(await temporaryFolder(), "none", "x.state"));
    for (const change of [() => snapshot.pin(), () => snapshot.label({ step: 1 })]) {
      expect(await rejection(change())).toMatchObject({
        code: "SNAPSHOT_NOT_FOUND",
        message: expect.stringMatching(/^Cannot label .*x\.state": there is no such snapshot; store\.list\(\)/),
      });
    }
  });

  it("go with their snapshot: its note is removed too", async () => {
    const { place, snapshot } = await saved(make, all);
    await snapshot.label({ step: 1 });
    await snapshot.remove();
    expect(await place.backend.notes.get(snapshot.name)).toBeUndefined();
    for await (const name of place.backend.notes.list()) expect(name).toBe("none");
  });

  it("changed while their snapshot is removed leave no note behind", async () => {
    for (let round = 0; round < 10; round++) {
      const { place, snapshot } = await saved(make);
      const [removed, labelled] = await Promise.allSettled(
        round % 2 ? [snapshot.remove(), snapshot.label({ step: 1 })] : await Promise.resolve().then(() => {
          const label = snapshot.label({ step: 1 });
          return [snapshot.remove(), label];
        }),
      );
      expect(removed).toMatchObject({ status: "fulfilled", value: true });
      if (labelled.status === "rejected") expect(labelled.reason).toMatchObject({ code: "SNAPSHOT_NOT_FOUND" });
      expect(await place.backend.notes.get(snapshot.name)).toBeUndefined();
    }
  });

  it("that pin it spare a snapshot that is to be removed unless it is pinned, and no other", async () => {
    const { place, snapshot } = await saved(make, { pinned: true });
    await snapshot.label({ step: 1 });
    expect(await snapshot.remove({ keepPinned: true })).toBe(false);
    await place.backend.notes.put(snapshot.name, new TextEncoder().encode("damaged"));
    expect(await snapshot.remove({ keepPinned: true })).toBe(false);
    expect(await snapshot.exists()).toBe(true);
    await snapshot.unpin();
    expect(await snapshot.remove({ keepPinned: true })).toBe(true);
  });

  it("do not keep a snapshot from being removed where there is no room for a lock, nor make a place for one", async () => {
    const { place, snapshot } = await saved(make, { step: 1 });
    const full = (errno: string) => {
      const failure = storageError("create", "lock", Object.assign(new Error(errno), { code: errno }));
      const { notes: own } = place.backend;
      const notes = {
        get: own.get.bind(own),
        put: own.put.bind(own),
        remove: own.remove.bind(own),
        list: own.list.bind(own),
        lock: () => Promise.reject(failure),
      };
      return new SnapshotLocator(changed(place.backend, { notes }), [unitOf(snapshot)]);
    };
    expect(await rejection(full("EIO").remove())).toMatchObject({ code: "STORAGE_FAILED" });
    expect(await full("ENOSPC").remove()).toBe(true);
    expect(await snapshot.exists()).toBe(false);
    expect(await full("EROFS").remove()).toBe(false);
    const missing = path.join(await temporaryFolder(), "missing");
    expect(await locate(path.join(missing, "x.state")).remove()).toBe(false);
    await expect(stat(missing)).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("changed concurrently are all there", async () => {
    const { place, snapshot } = await saved(make);
    const other = await place.store().latest();
    await Promise.all([
      snapshot.pin(),
      snapshot.label({ step: 1 }),
      other?.label({ tags: ["x"] }),
      other?.label({ metrics: { loss: 0.5 } }),
    ]);
    expect(await snapshot.labels()).toEqual({ pinned: true, step: 1, tags: ["x"], metrics: { loss: 0.5 } });
  });

  it("changed after a change that failed are there", async () => {
    const { snapshot } = await saved(make);
    const backend = changed(snapshot.backend, { open: () => Promise.reject(new Error("refused")) });
    const failing = new SnapshotLocator(backend, [unitOf(snapshot)]);
    const outcomes = await Promise.allSettled([failing.label({ step: 1 }), snapshot.label({ remark: "x" })]);
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "fulfilled"]);
    expect(await snapshot.labels()).toEqual({ remark: "x" });
  });

  it("stay where their snapshot is removed in one layout and lies in another as well", async () => {
    const { place, snapshot } = await saved(make);
    if (place.folder === undefined) return;
    const [first, second] = ["directory", "tar.gz"] as const;
    await snapshot.exportTo(`${place.folder}/`, { layout: layout === first ? second : first });
    const both = await place.store().latest();
    await both?.pin();
    const [one, other] = both?.alternatives() ?? [];
    expect(await one?.remove()).toBe(true);
    expect(await other?.labels()).toEqual({ pinned: true });
    expect(await other?.remove()).toBe(true);
    expect(await place.backend.notes.get(snapshot.name)).toBeUndefined();
  });

  it("stay where the removal fails", async () => {
    const { snapshot } = await saved(make);
    await snapshot.pin();
    const backend = changed(snapshot.backend, { remove: () => Promise.reject(new Error("refused")) });
    expect(await rejection(new SnapshotLocator(backend, [unitOf(snapshot)]).remove())).toMatchObject({
      message: "refused",
    });
    expect(await snapshot.labels()).toEqual({ pinned: true });
  });

  it("are gone before the snapshot is: a new one of the name keeps its own", async () => {
    const { place, snapshot } = await saved(make);
    await snapshot.pin();
    const backend = changed(snapshot.backend, {
      async remove(unit) {
        const isRemoved = await place.backend.remove(unit);
        await place.backend.notes.put(snapshot.name, new TextEncoder().encode(BARE)); // another program saves it again
        return isRemoved;
      },
    });
    await new SnapshotLocator(backend, [unitOf(snapshot)]).remove();
    expect(new TextDecoder().decode(await place.backend.notes.get(snapshot.name))).toBe(BARE);
  });

  it("in a note of the first form, without a digest, are read", async () => {
    const { place, snapshot } = await saved(make);
    await place.backend.notes.put(snapshot.name, new TextEncoder().encode(BARE));
    expect(await snapshot.labels()).toEqual({ remark: "bare" });
  });

  it("in a note of which any bit is flipped, or that is cut, are damaged", async () => {
    const { place, snapshot } = await saved(make);
    await snapshot.label({ step: 12, metrics: { loss: 0.5 }, tags: ["a"], pinned: true });
    const note = await place.backend.notes.get(snapshot.name) ?? new Uint8Array();
    const verdicts: unknown[] = [];
    for (let bit = 0; bit < note.length * 8; bit++) {
      const flipped = note.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ 1 << (bit & 7);
      verdicts.push(await parseNote(flipped));
    }
    for (let end = 0; end < note.length; end++) verdicts.push(await parseNote(note.slice(0, end)));
    expect(verdicts.length).toBeGreaterThan(1500);
    expect(verdicts.filter((verdict) => verdict !== undefined)).toEqual([]);
  });

  it("lost with their notes fall back to those of the manifest: labels are lost, never data", async () => {
    const { place, store, snapshot } = await saved(make, { step: 1, tags: ["saved"] });
    await snapshot.label({ step: 2, tags: undefined });
    await place.backend.notes.remove(snapshot.name);
    expect(await snapshot.labels()).toEqual({ step: 1, tags: ["saved"] });
    expect((await store.resume()).outcome).toBe("resumed");
  });

  it.each([
    ["cut short", '{"format":"snapkeep-no'],
    ["empty", ""],
    ["of another format", '{"format":"other","formatVersion":0,"labels":{}}'],
    ["of a newer format", '{"format":"snapkeep-note","formatVersion":999,"labels":{}}'],
    ["with labels of the wrong type", '{"format":"snapkeep-note","formatVersion":0,"labels":{"tags":5}}'],
    ["with a trap for prototypes", '{"format":"snapkeep-note","formatVersion":0,"labels":{"__proto__":{}}}'],
  ])(
    "whose note is damaged (%s) fall back to those of the manifest, with a warning, and a change pins",
    async (_, note) => {
      const logs = await collectLogs();
      const { place, store, snapshot } = await saved(make, { step: 1 });
      await place.backend.notes.put(snapshot.name, new TextEncoder().encode(note));
      expect(await snapshot.note()).toBe("damaged");
      expect(await snapshot.labels()).toEqual({ step: 1 });
      expect(logs.of("warning")).toEqual([`SnapshotLocator: The note of "${String(snapshot)}" is damaged`]);
      expect((await store.resume()).outcome).toBe("resumed");
      await snapshot.label({ remark: "mended" });
      // The note may have been a pin: retention spared the snapshot, and must do so until a program changes it.
      expect(await snapshot.labels()).toEqual({ step: 1, remark: "mended", pinned: true });
      await place.backend.notes.put(snapshot.name, new TextEncoder().encode(note));
      await snapshot.unpin();
      expect(await snapshot.labels()).toEqual({ step: 1 });
    },
  );

  describe("are carried as they are now", () => {
    const now = { tags: ["now"], step: 7, metrics: { loss: null } };

    async function changedLabels() {
      const world = await saved(make, { tags: ["then"], remark: "then" });
      await world.snapshot.label({ tags: ["now"], step: 7, metrics: { loss: NaN }, remark: undefined });
      return world;
    }

    it.each(["copy.state", "copy.state.tar.gz", "copy.state.tar"])("by an export to %s", async (target) => {
      const { snapshot } = await changedLabels();
      const copy = await snapshot.exportTo(path.join(await temporaryFolder(), target));
      expect(await copy.labels()).toEqual(now);
      expect((await copy.manifest()).labels).toEqual(now);
      expect(await copy.verify()).toMatchObject({ isWhole: true });
      expect({ ...await copy.manifest(), labels: {} }).toEqual({ ...await snapshot.manifest(), labels: {} });
    });

    it.each(["directory", "tar.gz"] as const)("by an import as %s, which can be loaded", async (into) => {
      const { snapshot } = await changedLabels();
      const cell = new Cell(0);
      const elsewhere = new StateStore(memoryBackend()).register("cell", cell);
      const copy = await elsewhere.importSnapshot(snapshot, { layout: into });
      expect(await copy.labels()).toEqual(now);
      expect(await elsewhere.resume({ tag: "now" })).toMatchObject({ outcome: "resumed" });
      expect(cell.value).toBe("value");
    });

    it.each([undefined, "tar.gz", "tar"] as const)(
      "by a stream of the snapshot (layout %s)",
      async (layout) => {
        const { snapshot } = await changedLabels();
        const stream = snapshot.stream(layout === undefined ? {} : { layout });
        const copy = await new StateStore(memoryBackend()).importSnapshot(stream);
        expect(await copy.labels()).toEqual(now);
        expect(await copy.verify()).toMatchObject({ isWhole: true });
      },
    );

    it("by a stream of the states", async () => {
      const { store } = await saved(make);
      const copy = await new StateStore(memoryBackend()).importSnapshot(store.streamState({ labels: all }).body);
      expect(await copy.labels()).toEqual(all);
    });

    it("and a copy's labels are its own from then on", async () => {
      const { snapshot } = await changedLabels();
      const copy = await new StateStore(memoryBackend()).importSnapshot(snapshot);
      await copy.label({ step: 8 });
      await snapshot.label({ step: 9 });
      expect((await copy.labels()).step).toBe(8);
      expect((await snapshot.labels()).step).toBe(9);
    });

    it("while a copy whose labels are as they were saved has the manifest to the byte", async () => {
      const { snapshot } = await saved(make, { step: 1, tags: ["a"] });
      const copy = await snapshot.exportTo(path.join(await temporaryFolder(), "copy.state"));
      const from = await snapshot.open();
      const to = await copy.open();
      expect(Buffer.compare(from.manifestBytes, to.manifestBytes)).toBe(0);
      await Promise.all([from.close(), to.close()]);
    });
  });

  const noted = async ({ notes }: Backend) => {
    const names = [];
    for await (const name of notes.list()) names.push(name);
    return names;
  };

  it("of a save that fails leave no note behind", async () => {
    const { place, store } = await saved(make);
    store.register("broken", { saveState: () => Promise.reject(new Error("mine")), loadState() {} });
    await rejection(store.saveState({ labels: { pinned: true } }));
    expect(await noted(place.backend)).toEqual([]);
  });

  it("of an import that fails leave no note behind", async () => {
    const { snapshot } = await saved(make, { pinned: true });
    const target = (await make()).backend;
    let noteAtWrite: unknown;
    const failing = changed(target, {
      stage: async (unit, options) => {
        const stage = await target.stage(unit, options);
        return {
          unit,
          write: (path, body) => stage.write(path, body),
          async publish() {
            noteAtWrite = await target.notes.get(snapshot.name);
            throw new Error("mine");
          },
          scratch: () => stage.scratch(),
          abandon: () => stage.abandon(),
        };
      },
    });
    await rejection(new StateStore(failing).importSnapshot(snapshot));
    expect(noteAtWrite).toBeDefined(); // it was noted before there was anything to remove
    expect(await noted(target)).toEqual([]);
  });

  it("of a pinned import are noted, and of any other not", async () => {
    const { snapshot } = await saved(make, { pinned: true, step: 1 });
    const target = (await make()).backend;
    const copy = await new StateStore(target).importSnapshot(snapshot);
    expect(await copy.note()).toEqual({ pinned: true, step: 1 });
    await copy.unpin();
    expect(await copy.labels()).toEqual({ step: 1 });
    const plain = await new StateStore((await make()).backend).importSnapshot(copy);
    expect(await plain.note()).toBeUndefined();
    expect(await plain.labels()).toEqual({ step: 1 });
  });

  it("that a dead program noted do not pass to a save or an import of that name", async () => {
    const { snapshot } = await saved(make, { step: 1 });
    for (
      const stale of ['{"format":"snapkeep-note","formatVersion":0,"labels":{"pinned":true,"tags":["x"]}}', "half"]
    ) {
      const target = (await make()).backend;
      await target.create();
      await target.notes.put(snapshot.name, new TextEncoder().encode(stale));
      expect(await (await new StateStore(target).importSnapshot(snapshot)).labels()).toEqual({ step: 1 });
      expect(await noted(target)).toEqual([]);
    }
  });
});

describe.each(filePlaces)("Labels on disk ($layout)", ({ make }) => {
  async function everyFile(folder: string): Promise<Record<string, string>> {
    const found: Record<string, string> = {};
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      const file = path.join(entry.parentPath, entry.name);
      if (!entry.isFile() || file.includes(".notes")) continue;
      const { mtimeMs, ino, size } = await stat(file);
      found[path.relative(folder, file)] = `${mtimeMs} ${ino} ${size} ${(await readFile(file)).toString("base64")}`;
    }
    return found;
  }

  it("touch no file but their note: not its bytes, its time, nor its inode", async () => {
    const { place, snapshot } = await saved(make, { step: 1 });
    const folder = place.folder ?? "";
    const before = await everyFile(folder);
    expect(Object.keys(before).length).toBeGreaterThan(0);
    await snapshot.label({ tags: ["x"], step: 2 });
    await snapshot.pin();
    expect(await everyFile(folder)).toEqual(before);
    const note = JSON.parse(await readFile(path.join(folder, ".notes", `${snapshot.name}.json`), "utf8"));
    expect(note).toEqual({
      format: "snapkeep-note",
      formatVersion: expect.any(Number),
      labels: { step: 2, tags: ["x"], pinned: true },
      digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) as unknown,
    });
  });

  it("wait for a program that changes them, and not for one that died doing so", async () => {
    const { place, snapshot } = await saved(make);
    const unlock = await place.backend.notes.lock?.(snapshot.name);
    const labelling = snapshot.label({ step: 1 });
    await place.backend.notes.put(snapshot.name, new TextEncoder().encode(BARE)); // by the holder of the lock
    await unlock?.();
    expect(await labelling).toEqual({ remark: "bare", step: 1 });
    const dead = path.join(place.folder ?? "", `.${snapshot.name}.lock`);
    await writeFile(dead, "");
    const longAgo = Date.now() / 1000 - 60;
    await utimes(dead, longAgo, longAgo);
    expect(await snapshot.label({ step: 2 })).toEqual({ remark: "bare", step: 2 });
    expect(Object.keys(await everyFile(place.folder ?? "")).filter((file) => file.includes(".lock"))).toEqual([]);
  });

  it("of a snapshot whose files were deleted by hand cannot be changed, though its note is there", async () => {
    const { snapshot } = await saved(make);
    await snapshot.pin();
    await rm(String(snapshot), { recursive: true });
    expect(await rejection(snapshot.label({ step: 1 }))).toMatchObject({ code: "SNAPSHOT_NOT_FOUND" });
  });

  describe("of an export", () => {
    const stale = new TextEncoder().encode('{"format":"snapkeep-note","formatVersion":0,"labels":{"remark":"stale"}}');

    it("that is pinned are noted where it lands, so that a keeper there needs to open nothing", async () => {
      const { snapshot } = await saved(make, { pinned: true });
      const folder = await temporaryFolder();
      const copy = await snapshot.exportTo(`${folder}/`);
      expect(await copy.note()).toEqual({ pinned: true });
      expect(await readdir(folder)).toContain(".notes");
    });

    it("that is not pinned leave nothing beside it", async () => {
      const { snapshot } = await saved(make, { step: 1 });
      const folder = await temporaryFolder();
      await snapshot.exportTo(`${folder}/`);
      expect(await readdir(folder)).toEqual([path.basename(String(snapshot))]);
    });

    it.each([{}, { pinned: true }])("are not those that a dead program noted: %j", async (labels) => {
      const { snapshot } = await saved(make, labels);
      const folder = await temporaryFolder();
      const target = locate(path.join(folder, snapshot.name)).backend;
      await target.notes.put(snapshot.name, stale);
      expect(await (await snapshot.exportTo(`${folder}/`)).labels()).toEqual(labels);
    });

    it("beside the same snapshot in the other layout are those noted there: it is one snapshot", async () => {
      const { place, snapshot } = await saved(make, { pinned: true });
      await snapshot.unpin();
      await snapshot.label({ remark: "noted" });
      const other = snapshot.layout !== "directory" ? "directory" : "tar.gz";
      await snapshot.exportTo(`${place.folder}/`, { layout: other });
      for (const each of (await place.store().snapshot(snapshot.name))?.alternatives() ?? []) {
        expect(await each.labels()).toEqual({ remark: "noted" });
      }
    });
  });

  it("are found by a locator made from the path", async () => {
    const { snapshot } = await saved(make);
    await locate(String(snapshot)).label({ remark: "by path" });
    expect(await snapshot.labels()).toEqual({ remark: "by path" });
  });
});
