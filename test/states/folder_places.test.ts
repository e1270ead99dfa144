// No load of a folder removes snapshots, its own staging or what another state needs, wherever they lie.
import { existsSync } from "node:fs";
import { cp, mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";
import process from "node:process";
import {
  fileBackend,
  type PersistentState,
  type SnapshotLocator,
  type StateReader,
  StateStore,
  type StateWriter,
} from "snapkeep";
import { folderState } from "snapkeep/states";
import { afterEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../store/places.ts";
import { rejection, saving } from "../store/states.ts";
import { grow, grown } from "./folders.ts";
import { saved, storeOf } from "./kept.ts";

const at = (place: string) => new StateStore(fileBackend(place, { durability: "none" }), { startFresh: true });

/** A working folder, and a snapshot of another one, which lacks all of it. */
async function world(inside = "states") {
  const base = await temporaryFolder();
  const root = path.join(base, "work");
  const other = path.join(base, "other");
  await grow(root, { "mine": "1" });
  await grow(other, { "theirs": "1" });
  const foreign = await at(path.join(base, "elsewhere")).register("it", folderState(other)).saveState();
  const place = path.join(root, inside);
  return { base, root, place, foreign };
}

const isThere = (snapshot: SnapshotLocator) => existsSync(path.join(String(snapshot), "manifest.json"));

describe("folderState with a store inside spares its snapshots when a load", () => {
  /** A store inside the folder that already holds a snapshot of an earlier run. */
  async function earlier(inside?: string) {
    const { base, root, place, foreign } = await world(inside);
    const precious = await at(place).register("other", saving((out) => out.json("x", 1))).saveState();
    return { base, root, place, foreign, precious };
  }

  it("takes the snapshot of another place", async () => {
    const { root, place, foreign, precious } = await earlier();
    await at(place).register("it", folderState(root)).loadState(String(foreign));
    expect([isThere(precious), await readFile(path.join(root, "theirs"), "utf8")]).toEqual([true, "1"]);
    expect(existsSync(path.join(root, "mine"))).toBe(false);
  });

  it("takes an archive from a stream", async () => {
    const { base, root, place, foreign, precious } = await earlier();
    const store = at(path.join(base, "elsewhere")).register("it", folderState(path.join(base, "other")));
    await store.loadState(foreign);
    const { body } = store.streamState();
    await at(place).register("it", folderState(root)).loadState(body);
    expect(isThere(precious)).toBe(true);
  });

  it("takes an imported snapshot", async () => {
    const { root, place, foreign, precious } = await earlier();
    const store = at(place).register("it", folderState(root));
    await store.loadState(await store.importSnapshot(foreign.stream()));
    expect(isThere(precious)).toBe(true);
  });

  it("goes through a migration", async () => {
    const { root, place, foreign, precious } = await earlier();
    const store = at(place).register("it", folderState(root), {
      version: 2,
      migrate: {
        1: async (from, to) => {
          for (const { path } of from.entries) await to.write(path, await from.bytes(path));
        },
      },
    });
    await store.loadState(foreign);
    expect([isThere(precious), existsSync(path.join(root, "theirs"))]).toEqual([true, true]);
  });

  it("is put back by a rollback", async () => {
    const { base, root, place, precious } = await earlier();
    const bad = {
      saveState: (out: StateWriter) => out.json("x", 1),
      loadState() {
        throw new Error("mine");
      },
    };
    const other = at(path.join(base, "third")).register("it", folderState(path.join(base, "other")));
    const foreign = await other.register("bad", bad).saveState();
    const store = at(place).register("it", folderState(root)).register("bad", bad);
    expect(await rejection(store.loadState(foreign, { rollback: true }))).toMatchObject({ code: "STATE_LOAD_FAILED" });
    expect([isThere(precious), await readFile(path.join(root, "mine"), "utf8")]).toEqual([true, "1"]);
  });

  it("is called by the program itself, or only previewed", async () => {
    const { root, place, foreign, precious } = await earlier();
    const state = folderState(root);
    const wrapped = at(place).register("it", { saveState: (out) => state.saveState(out), loadState() {} });
    const reader = await foreign.open();
    const from = reader.state("it") as StateReader;
    expect(await state.preview(from)).toEqual({ added: ["theirs"], changed: [], deleted: ["mine"] });
    await state.loadState(from);
    await reader.close();
    expect([isThere(precious), wrapped.stateNames]).toEqual([true, ["it"]]);
  });

  it("goes through another store, elsewhere", async () => {
    const { base, root, foreign, precious } = await earlier();
    await at(path.join(base, "third")).register("it", folderState(root)).loadState(foreign);
    expect(isThere(precious)).toBe(true);
  });

  it.each(["deep/er/states", "ignored/states"])("finds the place at %s", async (inside) => {
    const { root, place, foreign, precious } = await earlier(inside);
    await at(place).register("it", folderState(root, { ignore: ["ignored/"] })).loadState(foreign);
    expect([isThere(precious), existsSync(path.join(root, "mine"))]).toEqual([true, false]);
  });

  it("finds the place behind links, which stay, too", async () => {
    const { base, root, foreign } = await world();
    await mkdir(path.join(base, "real"));
    await symlink("../real", path.join(root, "out"));
    await symlink("work", path.join(base, "way"));
    const outside = await at(path.join(root, "out/states")).register("other", saving((out) => out.json("x", 1)))
      .saveState();
    const inside = await at(path.join(base, "way/states")).register("it", folderState(root)).saveState();
    expect((await inside.manifest()).states[0]?.entries.map((entry) => entry.path)).toEqual([
      "files/mine",
      "index.json",
    ]);
    await storeOf(folderState(path.join(base, "way"))).loadState(foreign);
    expect([isThere(outside), isThere(inside), existsSync(path.join(root, "theirs"))]).toEqual([true, true, true]);
  });

  it("would put a file or link in its place, which fails before anything changes", async () => {
    const { base, root, place, foreign, precious } = await earlier("theirs/states");
    const before = await grown(path.join(root, "theirs"));
    const store = at(place).register("it", folderState(root));
    expect(await rejection(store.loadState(foreign))).toMatchObject({ code: "STATE_LOAD_FAILED" });
    await rm(path.join(base, "other/theirs"));
    await grow(path.join(base, "other"), { "theirs": { to: ".." } });
    const linked = await saved(folderState(path.join(base, "other")));
    expect(await rejection(store.loadState(linked))).toMatchObject({ code: "STATE_LOAD_FAILED" });
    await rm(path.join(base, "other/theirs"));
    await grow(path.join(base, "other"), { "theirs/states/x": "1" });
    const within = await saved(folderState(path.join(base, "other")));
    expect(await rejection(store.loadState(within))).toMatchObject({
      message: expect.stringMatching(/snapshots lie in "theirs\/states"/),
    });
    expect([isThere(precious), await grown(path.join(root, "theirs"))]).toEqual([true, before]);
    expect(await readFile(path.join(root, "mine"), "utf8")).toBe("1");
  });
});

describe("folderState", () => {
  it.each(["directory", "tar.gz"] as const)("spares the snapshot it loads, inside the folder (%s)", async (layout) => {
    const { root, foreign } = await world();
    for (const folder of [root, path.join(root, "incoming")]) {
      await mkdir(folder, { recursive: true });
      const copy = path.join(folder, layout === "directory" ? foreign.name : `${foreign.name}.tar.gz`);
      if (layout === "directory") await cp(String(foreign), copy, { recursive: true });
      else await writeFile(copy, foreign.stream({ layout }));
      await storeOf(folderState(root)).loadState(copy);
      expect([existsSync(copy), existsSync(path.join(root, "theirs"))]).toEqual([true, true]);
    }
  });

  it("refuses a folder that is the place of a store, or lies in one, for a load, too", async () => {
    const { root, foreign } = await world();
    for (const place of [root, path.dirname(root)]) {
      const store = at(place).register("it", folderState(root));
      expect(await rejection(store.loadState(foreign))).toMatchObject({
        code: "STATE_LOAD_FAILED",
        message: expect.stringMatching(/snapshots/),
      });
    }
    expect(await readFile(path.join(root, "mine"), "utf8")).toBe("1");
  });

  const cwd = process.cwd();
  afterEach(() => process.chdir(cwd));

  it("removes no folder that the program is in", async () => {
    const { root, foreign } = await world();
    await grow(root, { "deep/er/x": "1" });
    const before = await grown(root);
    process.chdir(path.join(root, "deep/er"));
    expect(await rejection(storeOf(folderState(root)).loadState(foreign))).toMatchObject({
      message: expect.stringMatching(/current folder/),
    });
    expect(await grown(root)).toEqual(before);
    process.chdir(root);
    await storeOf(folderState(".")).loadState(foreign);
    expect(await grown(root)).toEqual({ "theirs": "1" });
  });

  it("refuses the home folder and those above by every name", async () => {
    const home = homedir();
    for (const name of [`${home}/`, `${home}/.`, path.join(home, "x", ".."), `${home}/../`, "/.", "//"]) {
      expect(() => folderState(name), name).toThrow(/working folder/);
    }
    expect(() => folderState(path.join(home, "x"))).not.toThrow();
  });

  it("keeps two that overlap as they were saved, and puts both back", async () => {
    const { base, root } = await world();
    await grow(root, { "sub/a": "1", "sub/b": "1" });
    let fails = false;
    const bad = {
      saveState: (out: StateWriter) => out.json("x", 1),
      loadState() {
        if (fails) throw new Error("mine");
      },
    };
    for (const order of [[root, path.join(root, "sub")], [path.join(root, "sub"), root]]) {
      fails = false;
      const store = at(path.join(base, crypto.randomUUID()));
      order.forEach((folder, index) => store.register(`f${index}`, folderState(folder)));
      store.register("bad", bad);
      const before = await grown(root);
      const snapshot = await store.saveState();
      await writeFile(path.join(root, "sub/a"), "2");
      await rm(path.join(root, "sub/b"));
      await grow(root, { "sub/c": "2", "new": "2" });
      const changed = await grown(root);
      fails = true;
      await rejection(store.loadState(snapshot, { rollback: true }));
      const shown = async () =>
        Object.fromEntries(Object.entries(await grown(root)).filter(([name]) => !name.includes(".snapkeep-restore")));
      expect(await shown()).toEqual(changed);
      fails = false;
      await store.loadState(snapshot);
      expect(await shown()).toEqual(before);
      await store.saveState();
      await expect.poll(() => grown(root)).toEqual(before);
    }
  });

  it("saves no folder while a restore of one within or above it is not finished", async () => {
    const { root } = await world();
    await grow(root, { "sub/a": "1" });
    const plan = JSON.stringify({ formatVersion: 1, steps: [] });
    await grow(root, { ".sub.snapkeep-restore/1/plan.json": plan });
    for (const folder of [root, path.join(root, "sub")]) {
      expect(await rejection(saved(folderState(folder)))).toMatchObject({
        message: expect.stringMatching(/not finished/),
      });
    }
    await rm(path.join(root, ".sub.snapkeep-restore"), { recursive: true });
    await grow(path.dirname(root), { ".work.snapkeep-restore/1/plan.json": plan });
    expect(await rejection(saved(folderState(path.join(root, "sub"))))).toMatchObject({
      message: expect.stringMatching(/not finished/),
    });
  });

  it("refuses a load while another state loads the same folder", async () => {
    const { root, foreign } = await world();
    const [one, two] = [folderState(root), folderState(root)];
    let results: PromiseSettledResult<void>[] = [];
    const both: PersistentState = {
      saveState: (out) => one.saveState(out),
      loadState: async (from) => void (results = await Promise.allSettled([one.loadState(from), two.loadState(from)])),
    };
    await storeOf(both).loadState(foreign);
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
    expect(await grown(root)).toEqual({ "theirs": "1" });
  });

  it("undoes no plan that leads elsewhere, and stages behind no link", async () => {
    const { base, root, foreign } = await world();
    const steps = [{ do: "move out", path: "../victim" }];
    await grow(base, {
      ".work.snapkeep-restore/1/plan.json": JSON.stringify({ formatVersion: 1, steps }),
      ".work.snapkeep-restore/1/old/0": "planted",
    });
    expect(await rejection(storeOf(folderState(root)).loadState(foreign))).toMatchObject({
      message: expect.stringMatching(/plan is damaged/),
    });
    expect(existsSync(path.join(base, "victim"))).toBe(false);
    await rm(path.join(base, ".work.snapkeep-restore"), { recursive: true });
    await mkdir(path.join(base, "trap"));
    await symlink("trap", path.join(base, ".work.snapkeep-restore"));
    expect(await rejection(storeOf(folderState(root)).loadState(foreign))).toMatchObject({
      message: expect.stringMatching(/it is a link/),
    });
    expect([await grown(root), await grown(path.join(base, "trap"))]).toEqual([{ "mine": "1" }, {}]);
  });
});
