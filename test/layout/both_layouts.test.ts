// Directories and archives together in one folder are one history: listed, kept and swept alike, each name once.
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import {
  type Backend,
  fileBackend,
  isSnapshotError,
  LatestStatesKeeper,
  type LayoutKind,
  memoryBackend,
  type SnapshotLocator,
  StateStore,
} from "snapkeep";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { digests, INSTANT_MS, TreeState } from "../archive/samples.ts";

const TREE = { "one.txt": "one", "two/two.txt": "two" };
const LAYOUTS: readonly LayoutKind[] = ["directory", "tar.gz"];

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "snapkeep-both-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const backends: Record<string, () => Backend> = {
  "files": () => fileBackend(folder, { durability: "none" }),
  "memory": () => memoryBackend(),
};

/** A store whose clock goes on by a second with each save, and some saves in both layouts by turns. */
async function history(backend: Backend, count: number) {
  let nowMs = INSTANT_MS;
  const state = new TreeState(TREE);
  const store = new StateStore(backend, { now: () => nowMs += 1000 }).register("a", state);
  const saved: SnapshotLocator[] = [];
  for (let index = 0; index < count; index++) {
    saved.push(await store.saveState({ layout: LAYOUTS[index % 2] as LayoutKind }));
  }
  return { store, saved, state };
}

async function unitsOf(backend: Backend): Promise<string[]> {
  const units: string[] = [];
  for await (const unit of backend.list()) units.push(unit);
  return units;
}

/** Puts a copy of a snapshot in the other layout beside it, under the same name. */
async function doubled(store: StateStore, locator: SnapshotLocator): Promise<void> {
  const { layout } = locator;
  if (store.backend.uri.startsWith("file:")) {
    if (layout === "directory") await locator.exportTo(`${String(locator)}.tar.gz`);
    else await locator.exportTo(String(locator).replace(/\.tar\.gz$/, ""));
    return;
  }
  const aside = await new StateStore(memoryBackend()).importSnapshot(locator, {
    layout: layout === "directory" ? "tar.gz" : "directory",
  });
  const unit = locator.name + (layout === "directory" ? ".tar.gz" : "/");
  const stage = await store.backend.stage(unit, { allowOtherLayouts: true });
  const [from] = await unitsOf(aside.backend);
  for await (const { path: blobPath } of aside.backend.blobs(from ?? "")) {
    if (blobPath === "manifest.json" || blobPath === "") continue;
    const blob = await aside.backend.open(from ?? "", blobPath);
    await stage.write(blobPath, blob?.stream() ?? []);
  }
  const last = layout === "directory" ? "" : "manifest.json";
  const blob = await aside.backend.open(from ?? "", last);
  await stage.publish(last, blob?.stream() ?? []);
}

describe.each(Object.entries(backends))("both layouts in %s", (_, makeBackend) => {
  it("are listed together, oldest first", async () => {
    const { store, saved } = await history(makeBackend(), 6);
    const listed = await store.list();
    expect(listed.map(String)).toEqual(saved.map(String));
    expect(listed.map(({ layout }) => layout)).toEqual([
      "directory",
      "tar.gz",
      "directory",
      "tar.gz",
      "directory",
      "tar.gz",
    ]);
  });

  it("have one latest, whichever it is", async () => {
    const { store, saved } = await history(makeBackend(), 3);
    expect(String(await store.latest())).toBe(String(saved[2]));
    await saved[2]?.remove();
    expect(String(await store.latest())).toBe(String(saved[1]));
    await saved[1]?.remove();
    expect(String(await store.latest())).toBe(String(saved[0]));
    await saved[0]?.remove();
    expect(await store.latest()).toBeUndefined();
  });

  it("are found by name", async () => {
    const { store, saved } = await history(makeBackend(), 2);
    for (const { name, layout } of saved) expect((await store.snapshot(name))?.layout).toBe(layout);
    expect(await store.snapshot(`${saved[1]?.name}.tar.gz`)).toBeUndefined();
  });

  it("share one order of names: a save in one layout is later than all of the other", async () => {
    const backend = makeBackend();
    const store = () =>
      new StateStore(backend, { now: () => INSTANT_MS, startFresh: true }).register("a", new TreeState(TREE));
    const names: string[] = [];
    for (const layout of ["tar.gz", "directory", "tar.gz", "tar.gz", "directory"] as const) {
      names.push((await store().saveState({ layout })).name);
    }
    expect([...names].sort()).toEqual(names);
    expect(new Set(names).size).toBe(5);
    expect((await store().list()).map(({ name }) => name)).toEqual(names);
  });

  it("share one claim: no name is saved in two layouts at once", async () => {
    const backend = makeBackend();
    const stores = LAYOUTS.flatMap((layout) =>
      [1, 2, 3].map(() => ({
        layout,
        store: new StateStore(backend, { now: () => INSTANT_MS, startFresh: true }).register("a", new TreeState(TREE)),
      }))
    );
    const saved = await Promise.all(stores.map(({ store, layout }) => store.saveState({ layout })));
    expect(new Set(saved.map(({ name }) => name)).size).toBe(6);
    expect(await unitsOf(backend)).toHaveLength(6);
    for (const locator of saved) expect((await locator.verify()).isWhole).toBe(true);
  });

  it("load alike", async () => {
    const { store, saved, state } = await history(makeBackend(), 2);
    for (const locator of saved) {
      state.loaded = {};
      await store.loadState(locator);
      expect(digests(state.loaded)).toEqual(digests(TREE));
    }
  });

  it("are kept alike", async () => {
    const { store, saved } = await history(makeBackend(), 7);
    const removed = await new LatestStatesKeeper(store, 3).cleanup();
    expect(removed.map(String)).toEqual(saved.slice(0, 4).map(String));
    expect((await store.list()).map(String)).toEqual(saved.slice(4).map(String));
    expect(await unitsOf(store.backend)).toHaveLength(3);
  });

  it.each(LAYOUTS)("count once where one name lies in both, saved first as %s", async (first) => {
    const backend = makeBackend();
    const { store, saved } = await history(backend, 4);
    const chosen = saved.find(({ layout }) => layout === first) as SnapshotLocator;
    await doubled(store, chosen);
    expect(await unitsOf(backend)).toHaveLength(5);
    const listed = await store.list();
    expect(listed.map(({ name }) => name)).toEqual(saved.map(({ name }) => name));
    const both = listed.find(({ name }) => name === chosen.name) as SnapshotLocator;
    expect((await both.verify()).isWhole).toBe(true);
    const state = new TreeState({});
    await new StateStore(backend).register("a", state).loadState(both);
    expect(digests(state.loaded)).toEqual(digests(TREE));
    expect(await new LatestStatesKeeper(store, 4).cleanup()).toEqual([]);
    expect(await both.remove()).toBe(true);
    expect(await unitsOf(backend)).toHaveLength(3);
    expect((await store.list()).map(({ name }) => name)).not.toContain(chosen.name);
    expect(await both.remove()).toBe(false);
  });

  it("go together when a keeper removes a name that lies in both", async () => {
    const backend = makeBackend();
    const { store, saved } = await history(backend, 4);
    await doubled(store, saved[0] as SnapshotLocator);
    await doubled(store, saved[1] as SnapshotLocator);
    const removed = await new LatestStatesKeeper(store, 2).cleanup();
    expect(removed.map(({ name }) => name)).toEqual(saved.slice(0, 2).map(({ name }) => name));
    expect(await unitsOf(backend)).toHaveLength(2);
  });

  it("refuse a save or an import whose name lies in the other layout", async () => {
    const { store, saved } = await history(makeBackend(), 2);
    for (const locator of saved) {
      for (const layout of LAYOUTS) {
        const error: unknown = await store.importSnapshot(locator, { layout }).catch((error: unknown) => error);
        expect(isSnapshotError(error, "SNAPSHOT_EXISTS")).toBe(true);
      }
    }
    expect(await unitsOf(store.backend)).toHaveLength(2);
  });
});

describe("in a folder", () => {
  it("a file that is called like an archive and is none is listed and not loaded, as a damaged one is", async () => {
    const { store, saved } = await history(fileBackend(folder, { durability: "none" }), 2);
    const name = "2026-12-31_00-00-00,000000.state";
    await writeFile(path.join(folder, `${name}.tar.gz`), "not an archive");
    expect((await store.list()).map(String)).toEqual([...saved.map(String), path.join(folder, `${name}.tar.gz`)]);
    const latest = await store.latest() as SnapshotLocator;
    const error: unknown = await store.loadState(latest).catch((error: unknown) => error);
    expect(isSnapshotError(error, "ARCHIVE_REJECTED")).toBe(true);
    expect(await latest.verify()).toMatchObject({ isWhole: false, findings: [{ problem: "damaged" }] });
  });

  it("a folder that is called like an archive is no snapshot", async () => {
    const { store, saved } = await history(fileBackend(folder, { durability: "none" }), 2);
    await mkdir(path.join(folder, "2026-12-31_00-00-00,000000.state.tar.gz"));
    await writeFile(path.join(folder, "2026-12-31_00-00-00,000000.state.tar.gz", "manifest.json"), "{}");
    expect((await store.list()).map(String)).toEqual(saved.map(String));
  });

  it("what dead writers left of both layouts is swept, and nothing else", async () => {
    const { store, saved } = await history(fileBackend(folder, { durability: "none" }), 2);
    const dead = ["2026-05-05_00-00-00,000000.state", "2026-06-06_00-00-00,000000.state.tar.gz"];
    for (const [index, unit] of dead.entries()) {
      const stage = path.join(folder, `.${unit}.0123456789abcde${index}.stage`);
      const claim = path.join(folder, `.${unit.replace(/\.tar\.gz$/, "")}.claim`);
      await mkdir(path.join(stage, "a"), { recursive: true });
      await writeFile(path.join(stage, "a", "half.bin"), "half");
      await writeFile(claim, "");
      for (const file of [stage, claim]) await utimes(file, new Date(0), new Date(0));
    }
    const scratch = path.join(folder, ".fedcba9876543210.scratch");
    await writeFile(scratch, "spooled");
    await utimes(scratch, new Date(0), new Date(0));
    expect((await store.list()).map(String)).toEqual(saved.map(String));
    expect(await store.sweep({ olderThanMs: 60_000 })).toEqual(dead.map((unit) => unit.replace(/\.tar\.gz$/, "")));
    expect((await readdir(folder)).sort()).toEqual(saved.map((locator) => path.basename(String(locator))).sort());
    for (const locator of saved) expect((await locator.verify()).isWhole).toBe(true);
  });
});
