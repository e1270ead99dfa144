// A working folder comes back as it was, in place; what is hostile, special or in the way is refused before anything changes.
import { execFile } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { chmod, link, lstat, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { homedir } from "node:os";
import path from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import {
  fileBackend,
  isSnapshotError,
  memoryBackend,
  type SnapshotLocator,
  type StateReader,
  StateStore,
} from "snapkeep";
import { fileState, folderState, type FolderStateOptions } from "snapkeep/states";
import { stateConformance } from "snapkeep/testing";
import { describe, expect, it } from "vitest";
import { lookAt, piecesOf } from "../../src/file/real_tree.ts";
import { startChild } from "../faults/child.ts";
import { places, temporaryFolder } from "../store/places.ts";
import { rejection, saving } from "../store/states.ts";
import { grow, grown, type Tree } from "./folders.ts";
import { conforms, holding, saved, storeOf } from "./kept.ts";
import { amount } from "../torture/budget.ts";

const run = promisify(execFile);

const TREE: Tree = {
  "a.txt": "a",
  "deep/er/b.bin": new Uint8Array([0, 255]),
  "empty": null,
  "emptier/still": null,
  "run.sh": { run: "#!/bin/sh" },
  "current": { to: "deep/er" },
  "dangling": { to: "../nowhere" },
  "a:b.txt": "colon",
  "aux.js": "reserved",
  "trailing.": "dot",
  " spaces ": "space",
  "README.md": "one",
  "readme.md": "two",
  "new\nline": "newline",
  "back\\slash": "backslash",
  "100%": "percent",
  "a%3Ab.txt": "looks escaped",
  "ﬀ①": "compatible",
  ["x".repeat(255)]: "long",
  "index.json": "not the index",
  "files/files": "not the entries",
  ".hidden/.gitignore": "*",
};

async function work(tree: Tree = TREE, options?: FolderStateOptions) {
  const base = await temporaryFolder();
  const root = path.join(base, "work");
  await mkdir(root);
  await grow(root, tree);
  return { base, root, state: folderState(root, options) };
}

const stagings = async (base: string) => (await readdir(base)).filter((name) => name.endsWith(".snapkeep-restore"));

async function withReader<T>(snapshot: SnapshotLocator, use: (from: StateReader) => Promise<T>): Promise<T> {
  const reader = await snapshot.open();
  try {
    return await use(reader.state("it") as StateReader);
  } finally {
    await reader.close();
  }
}

describe("folderState", () => {
  it("restores what was saved, whatever the folder held before", async () => {
    const { base, root, state } = await work();
    const before = await grown(root);
    const snapshot = await saved(state);
    for (
      const other of [{}, {
        "a.txt": null,
        "deep": "file",
        "empty": "file",
        "current/x": "folder",
        "more/x": "1",
      }] as Tree[]
    ) {
      await rm(root, { recursive: true });
      await mkdir(root);
      await grow(root, other);
      await storeOf(state).loadState(snapshot);
      expect(await grown(root)).toEqual(before);
    }
    await rm(root, { recursive: true });
    await storeOf(state).loadState(snapshot);
    expect(await grown(root)).toEqual(before);
    await saved(state);
    await expect.poll(() => stagings(base)).toEqual([]);
  });

  it.each(places)("goes through every layout ($layout, $backend)", async ({ make }) => {
    const { root, state } = await work();
    const before = await grown(root);
    const store = (await make()).store().register("it", state);
    const snapshot = await store.saveState();
    await rm(path.join(root, "deep"), { recursive: true });
    await store.loadState(snapshot);
    expect(await grown(root)).toEqual(before);
  });

  it("goes into any other folder", async () => {
    const one = await work();
    const other = await work({ "old": "x" });
    await storeOf(other.state).loadState(await saved(one.state));
    expect(await grown(other.root)).toEqual(await grown(one.root));
  });

  it("lays portable paths under their own names", async () => {
    const { state } = await work({ "src/a.ts": "a", "a:b": "b" });
    const { states } = await (await saved(state)).manifest();
    expect(states[0]?.entries.map((entry) => entry.path)).toEqual([
      "escaped/%61%3A%62",
      "files/src/a.ts",
      "index.json",
    ]);
  });

  it("leaves files that are the same alone, and replaces others by new ones", async () => {
    const { root, state } = await work({ "same": "1", "other": "1", "linked": "1", "mode": "1" });
    const snapshot = await saved(state);
    const inode = async (name: string) => (await lstat(path.join(root, name))).ino;
    const same = await inode("same");
    await writeFile(path.join(root, "other"), "2");
    await chmod(path.join(root, "other"), 0o600);
    await rm(path.join(root, "linked"));
    const outside = path.join(await temporaryFolder(), "outside");
    await writeFile(outside, "outside");
    await link(outside, path.join(root, "linked"));
    await chmod(path.join(root, "mode"), 0o4755);
    const [other] = [await inode("other")];
    await storeOf(state).loadState(snapshot);
    expect([await inode("same") === same, await inode("other") === other]).toEqual([true, false]);
    expect(await readFile(outside, "utf8")).toBe("outside");
    expect((await lstat(path.join(root, "linked"))).nlink).toBe(1);
    expect((await lstat(path.join(root, "mode"))).mode & 0o7111).toBe(0);
    expect((await lstat(path.join(root, "other"))).mode & 0o777).toBe(0o600); // what was private stays private
  });

  it.skipIf(process.platform === "win32")("keeps executable bits and folders in use, whatever the umask", async () => {
    const { base, root, state } = await work({
      "run.sh": { run: "1" },
      "plain": "2",
      "deep/er": { run: "3" },
      "none": null,
    });
    const snapshot = await saved(state);
    await rm(root, { recursive: true });
    const elsewhere = folderState(path.join(base, "not/yet/there"));
    const before = process.umask(0o177);
    try {
      await storeOf(state).loadState(snapshot);
      await storeOf(elsewhere).loadState(snapshot);
    } finally {
      process.umask(before);
    }
    const modeOf = async (name: string) => ((await stat(path.join(base, name))).mode & 0o777).toString(8);
    for (const folder of ["work", "not/yet/there"]) {
      expect([await modeOf(`${folder}/run.sh`), await modeOf(`${folder}/plain`)], folder).toEqual(["700", "600"]);
      expect([await modeOf(`${folder}/deep/er`), await modeOf(`${folder}/deep`)], folder).toEqual(["700", "700"]);
      expect([await modeOf(folder), await modeOf(`${folder}/none`)], folder).toEqual(["700", "700"]);
    }
    expect(await modeOf("not")).toBe("700");
  });

  it("keeps the executable bit of a file without any right to read", async () => {
    const { root, state } = await work({ "a": { run: "1" } });
    const snapshot = await saved(state);
    await grow(root, { "a": "2" });
    await chmod(path.join(root, "a"), 0o200);
    await storeOf(state).loadState(snapshot);
    expect((await stat(path.join(root, "a"))).mode & 0o777).toBe(0o300);
  });

  it("follows no link that lies where a folder was", async () => {
    const { base, root, state } = await work({ "a/b": "saved" });
    const snapshot = await saved(state);
    await mkdir(path.join(base, "victim"));
    await writeFile(path.join(base, "victim/b"), "theirs");
    await rm(path.join(root, "a"), { recursive: true });
    await symlink("../victim", path.join(root, "a"));
    await storeOf(state).loadState(snapshot);
    expect([await grown(root), await readFile(path.join(base, "victim/b"), "utf8")]).toEqual([
      { "a/b": "saved" },
      "theirs",
    ]);
  });

  it("works on a folder that is reached by a link", async () => {
    const { base, root } = await work({ "a": "1" });
    await symlink("work", path.join(base, "way"));
    const state = folderState(path.join(base, "way"));
    const snapshot = await saved(state);
    await writeFile(path.join(root, "a"), "2");
    await storeOf(state).loadState(snapshot);
    expect([await grown(root), (await lstat(path.join(base, "way"))).isSymbolicLink()]).toEqual([{ "a": "1" }, true]);
  });

  it("tells by preview what a load would do, and does nothing", async () => {
    const { base, root, state } = await work({ "same": "1", "other": "1", "gone/x": "1", "kind": "1" });
    const snapshot = await saved(state);
    await writeFile(path.join(root, "other"), "2");
    await rm(path.join(root, "gone"), { recursive: true });
    await rm(path.join(root, "kind"));
    await grow(root, { "kind": { to: "same" }, "extra/y": "1" });
    const before = await grown(root);
    expect(await withReader(snapshot, (from) => state.preview(from))).toEqual({
      added: ["gone/", "gone/x"],
      changed: ["kind", "other"],
      deleted: ["extra/", "extra/y"],
    });
    expect([await grown(root), await stagings(base)]).toEqual([before, []]);
  });

  it("keeps what a load removed until the next save has committed", async () => {
    const { base, root } = await work({ "precious": "1" });
    let fails = false;
    const store = new StateStore(memoryBackend(), { startFresh: true }).register("it", folderState(root)).register(
      "may fail",
      saving(() => {
        if (fails) throw new Error("mine");
      }),
    );
    const other = await work({ "other": "1" });
    await store.loadState(await storeOf(other.state).saveState(), { allowMissing: true });
    const staged = path.join(base, (await stagings(base))[0] ?? "");
    const old = async () =>
      (await Promise.all(
        (await readdir(staged, { recursive: true, withFileTypes: true })).filter((it) =>
          it.isFile() && it.parentPath.endsWith("old")
        ).map((it) => readFile(path.join(it.parentPath, it.name), "utf8")),
      )).sort();
    expect(await old()).toEqual(["1"]);
    await grow(root, { "second": "2" });
    await store.loadState(await storeOf(other.state).saveState(), { allowMissing: true });
    expect(await old()).toEqual(["1", "2"]);
    fails = true;
    await rejection(store.saveState());
    await store.compare(await storeOf(other.state).saveState()).catch(() => {});
    expect(await old()).toEqual(["1", "2"]);
    fails = false;
    await store.saveState();
    await expect.poll(() => stagings(base)).toEqual([]);
  });

  it("is put back by a rollback from what the load set aside, not from memory", async () => {
    const { base, root } = await work({ "a": "1" });
    const inner = folderState(root);
    let saves = 0;
    const state = {
      saveState: (out: Parameters<typeof inner.saveState>[0]) => (saves++, inner.saveState(out)),
      loadState: (from: StateReader) => inner.loadState(from),
      undoLoad: () => inner.undoLoad(),
    };
    let fails = false;
    const store = new StateStore(memoryBackend(), { startFresh: true }).register("it", state).register("bad", {
      saveState: (out) => out.json("x", 1),
      loadState() {
        if (!fails) return;
        fails = false; // it can be put back
        throw new Error("mine");
      },
    });
    const snapshot = await store.saveState();
    await rm(path.join(root, "a"));
    await grow(root, { "b/c": "2", "run": { run: "x" } });
    const before = await grown(root);
    fails = true;
    expect(await rejection(store.loadState(snapshot, { rollback: true }))).toMatchObject({
      code: "STATE_LOAD_FAILED",
      message: expect.stringMatching(/put back/),
    });
    expect([await grown(root), saves, await stagings(base)]).toEqual([before, 1, []]);
    await store.saveState(); // nothing is torn
  });

  it("finishes or undoes a restore that was killed at any step, and saves nothing before", async () => {
    const from: Tree = { "a": "1", "b/c": "1", "kind": "file", "link": { to: "a" }, "stay": "1" };
    const to: Tree = { "a": "2", "kind/x": "2", "link": "file", "new/er": "2", "stay": "1", "empty": null };
    const target = await saved((await work(to)).state);
    for (let step = 0;; step++) {
      const { base, root, state } = await work(from);
      const before = await grown(root);
      const original = await saved(state);
      await storeOf(state).loadState(target);
      const staging = path.join(base, ".work.snapkeep-restore/1");
      const { steps } = JSON.parse(await readFile(path.join(staging, "done.json"), "utf8")) as {
        steps: { do: string; path: string }[];
      };
      if (step > steps.length) break;
      // Back to where a program that was killed before this step had left everything.
      for (const [index, { do: what, path: name }] of [...steps.entries()].slice(step).reverse()) {
        if (what === "make folder") await rm(path.join(root, name), { recursive: true });
        if (what === "move in") await rename(path.join(root, name), path.join(staging, `new/${index}`));
        if (what === "move out") await rename(path.join(staging, `old/${index}`), path.join(root, name));
      }
      await rename(path.join(staging, "done.json"), path.join(staging, "plan.json"));
      const killed = folderState(root);
      expect(await rejection(saved(killed))).toMatchObject({
        code: "STATE_SAVE_FAILED",
        message: expect.stringMatching(/not finished/),
      });
      expect(await rejection(withReader(target, (reader) => killed.preview(reader)))).toBeInstanceOf(TypeError);
      const isBack = step % 2 === 0;
      await storeOf(killed).loadState(isBack ? original : target);
      expect(await grown(root), `killed before step ${step}`).toEqual(
        isBack ? before : await grown((await work(to)).root),
      );
      await saved(killed);
    }
  });

  it("survives kill -9 at any moment", async () => {
    const base = await temporaryFolder();
    const root = path.join(base, "work");
    const states = path.join(base, "states");
    const trees = [0, 1].map((turn) =>
      Object.fromEntries(
        Array.from(
          { length: 60 },
          (_, index) => [`d${index % 7}${index % 3 === turn ? "x" : ""}/f${index}`, `${turn} ${index}`],
        ),
      )
    );
    const names: string[] = [];
    const shapes: unknown[] = [];
    for (const tree of trees) {
      await rm(root, { recursive: true, force: true });
      await grow(root, tree);
      const store = new StateStore(states, { startFresh: true }).register("work", folderState(root));
      names.push((await store.saveState()).name);
      shapes.push(await grown(root));
    }
    for (let kill = 0; kill < amount("states", "kills"); kill++) {
      const child = startChild("restore_folder", [root, states, ...names]);
      let loads = 0;
      let complaints = "";
      child.stderr.setEncoding("utf8").on("data", (text: string) => complaints += text);
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        loads += text.split("\n").length - 1;
        if (loads > kill) setTimeout(() => child.kill("SIGKILL"), Math.random() * 30);
      });
      const signal = await new Promise((resolve) => child.on("close", (_code, signal) => resolve(signal)));
      expect(signal, complaints).toBe("SIGKILL");
      const store = new StateStore(states).register("work", folderState(root));
      const snapshot = await store.snapshot(names[kill % 2] ?? "");
      await store.loadState(snapshot as SnapshotLocator);
      expect(await grown(root)).toEqual(shapes[kill % 2]);
    }
  });

  it("puts all back when a step fails", async () => {
    const { base, root, state } = await work({ "a": "1", "b/c": "1" });
    const snapshot = await saved((await work({ "a": "2", "b/d": "2", "e/f": "2" })).state);
    const before = await grown(root);
    await chmod(path.join(root, "b"), 0o555);
    const isRoot = await writeFile(path.join(root, "b/probe"), "").then(() => true, () => false);
    if (isRoot) await rm(path.join(root, "b/probe")); // rights do not count for this user
    else {
      expect(await rejection(storeOf(state).loadState(snapshot))).toMatchObject({ code: "STATE_LOAD_FAILED" });
      expect([await grown(root), await stagings(base)]).toEqual([before, []]);
    }
    await chmod(path.join(root, "b"), 0o755);
    await storeOf(state).loadState(snapshot);
    expect(await grown(root)).toEqual({ "a": "2", "b/d": "2", "e/f": "2" });
  });

  it("passes a load whose reads fail without any change, and undoes nothing else", async () => {
    const { base, root, state } = await work({ "a": "1" });
    const snapshot = await saved((await work({ "a": "2", "b": "2" })).state);
    await withReader(snapshot, async (from) => {
      const failing = Object.assign(Object.create(from) as StateReader, {
        entries: from.entries,
        json: from.json.bind(from),
        bytes: () => Promise.reject(new Error("disk")),
      });
      expect(await rejection(Promise.resolve(state.loadState(failing)))).toEqual(new Error("disk"));
    });
    expect([await grown(root), await stagings(base)]).toEqual([{ "a": "1" }, []]);
  });

  conforms(
    stateConformance(async () => {
      const { root, state } = await work({ "a": "1", "b/c": "2", "l": { to: "a" } });
      return Object.assign(state, { root });
    }, async ({ root }) => {
      await writeFile(path.join(root, "a"), "changed");
      await rm(path.join(root, "b"), { recursive: true });
      await rm(path.join(root, "l"));
      await grow(root, { "l": { to: "b" }, "new/x": { run: "1" } });
    }, { isInstant: false }),
    it,
  );
});

describe("folderState's ignore", () => {
  const tree: Tree = {
    "keep.ts": "1",
    "a.log": "1",
    "logs/b.log": "1",
    "node_modules/x/y": "1",
    "sub/.gitignore": "local\n!kept.log\n",
    "sub/local": "1",
    "sub/kept.log": "1",
    "sub/deep/local": "1",
    "Keep.LOG": "1",
  };

  it("takes lines and files in the syntax of .gitignore, nested ones too", async () => {
    const { state } = await work({ ...tree, "rules/ignore": "keep.ts\n" }, {
      ignore: ["*.log", "node_modules/", { file: ".gitignore" }, { file: "rules/ignore" }],
    });
    const { states } = await (await saved(state)).manifest();
    expect(states[0]?.entries.map((entry) => entry.path)).toEqual([
      "files/Keep.LOG",
      "files/rules/ignore",
      "files/sub/.gitignore",
      "files/sub/kept.log",
      "index.json",
    ]);
  });

  it("leaves alone what the stored or the current list ignores", async () => {
    const { root } = await work({ "a": "1", "x.log": "saved before", "d/y.tmp": "1" }, {});
    const snapshot = await saved(folderState(root, { ignore: ["*.log"] }));
    await grow(root, { "x.log": "mine", "d/z.tmp": "mine", "extra/b.log": "mine", "extra/c": "gone" });
    await writeFile(path.join(root, "d/y.tmp"), "changed");
    await storeOf(folderState(root, { ignore: ["*.tmp"] })).loadState(snapshot);
    expect(await grown(root)).toEqual({
      "a": "1",
      "x.log": "mine",
      "d/y.tmp": "changed",
      "d/z.tmp": "mine",
      "extra/b.log": "mine",
    });
  });

  it("does not restore what the current list ignores, also where the folder is missing", async () => {
    const { root, state } = await work({ "a": "1", "x.log": "1" });
    const snapshot = await saved(state);
    await rm(root, { recursive: true });
    await storeOf(folderState(root, { ignore: ["*.log"] })).loadState(snapshot);
    expect(await grown(root)).toEqual({ "a": "1" });
  });

  it("loads into a folder in which a file of rules is missing, but does not save it", async () => {
    const { root, state } = await work({ "rules/ignore": "*.log\n", "a": "1" }, { ignore: [{ file: "rules/ignore" }] });
    const snapshot = await saved(state);
    await rm(root, { recursive: true });
    await grow(root, { "x.log": "mine" });
    await storeOf(state).loadState(snapshot);
    expect(await grown(root)).toEqual({ "rules/ignore": "*.log\n", "a": "1", "x.log": "mine" });
  });

  it("saves a folder that holds only what is ignored as an empty one, unless the last load has left it for that", async () => {
    const { root, state } = await work({ "a": "1", "logs/x.log": "mine", "none": null }, { ignore: ["*.log"] });
    const store = storeOf(state);
    const first = await store.saveState();
    await grow(root, { "none/y.log": "mine", "pkg/sub/z.log": "mine", "pkg/b": "2" });
    expect((await store.compare(first)).isEqual).toBe(false);
    await store.loadState(first);
    const left = { "a": "1", "logs/x.log": "mine", "none/y.log": "mine", "pkg/sub/z.log": "mine" };
    expect([await grown(root), (await store.compare(first)).isEqual]).toEqual([left, true]);
    await store.loadState(first); // which finds nothing to do
    expect((await store.compare(first)).isEqual).toBe(true);
    await rm(path.join(root, "pkg/sub/z.log"));
    expect((await store.compare(first)).isEqual).toBe(false); // an empty folder is the program's
    await store.loadState(first);
    expect(await grown(root)).toEqual({ "a": "1", "logs/x.log": "mine", "none/y.log": "mine" });
    const elsewhere = path.join(root, "../elsewhere");
    await storeOf(folderState(elsewhere)).loadState(first);
    expect(await grown(elsewhere)).toEqual({ "a": "1", "logs": null, "none": null });
  });

  it("counts a folder that a load has left for what is ignored once more after that load was undone", async () => {
    const { root, state } = await work({ "a": "1", "pkg/z.log": "mine" }, { ignore: ["*.log"] });
    const store = storeOf(state);
    const withPkg = await store.saveState();
    await store.loadState(await saved(folderState((await work({ "a": "2" })).root)));
    await state.undoLoad();
    expect([await grown(root), (await store.compare(withPkg)).isEqual]).toEqual([
      { "a": "1", "pkg/z.log": "mine" },
      true,
    ]);
  });

  it("refuses to remove what is ignored for something else of its folder's name", async () => {
    const { root } = await work({ "thing": "file" });
    const snapshot = await saved(folderState(root));
    await rm(path.join(root, "thing"));
    await grow(root, { "thing/a.log": "mine", "b": "1" });
    expect(await rejection(storeOf(folderState(root, { ignore: ["*.log"] })).loadState(snapshot))).toMatchObject({
      message: expect.stringMatching(/"thing".*ignored/),
    });
    expect(await grown(root)).toEqual({ "thing/a.log": "mine", "b": "1" });
  });

  it("refuses rules that are none, and files of rules that are missing", async () => {
    expect(() => folderState("x", { ignore: "*.log" as never })).toThrow(/list of lines/);
    expect(() => folderState("x", { ignore: [5 as never] })).toThrow(TypeError);
    expect(() => folderState("x", { ignore: [{ file: "a", lines: [] } as never] })).toThrow(TypeError);
    expect(() => folderState("x", { ignore: ["a\n*".padEnd(40, "b*")] })).toThrow(/more than/);
    expect(() => folderState("x", { ignore: [`# ${"*a".repeat(40)}`] })).not.toThrow();
    const { state } = await work({ "a": "1" }, { ignore: [{ file: "gone/rules" }] });
    expect(await rejection(saved(state))).toMatchObject({ message: expect.stringMatching(/gone\/rules/) });
  });
});

describe("folderState refuses", () => {
  it.each(["/", homedir(), path.dirname(homedir())])("%s as a folder", async (folder) => {
    expect(() => folderState(folder)).toThrow(TypeError);
    const way = path.join(await temporaryFolder(), "way");
    await symlink(folder, way);
    expect(await rejection(saved(folderState(way)))).toMatchObject({
      code: "STATE_SAVE_FAILED",
      cause: expect.any(TypeError),
    });
  });

  it("options that do not exist", () => {
    expect(() => folderState("x", { ignored: [] } as never)).toThrow(/"ignore"/);
    expect(() => folderState("x", { links: "follow" as never })).toThrow(/links/);
    expect(() => folderState("")).toThrow(TypeError);
  });

  it.each([
    ["a NUL", "a\0b", /NUL/],
    ["a home folder that only shells know", "~/work", /homedir/],
    ["another URL", new URL("https://example.org/x"), /file: URL/],
  ])("a path with %s, as fileState does", (_, folder, message) => {
    for (const make of [folderState, fileState]) {
      expect(() => make(folder)).toThrow(TypeError);
      expect(() => make(folder)).toThrow(message);
    }
  });

  it.runIf(process.platform === "linux")("links and names that are not UTF-8, unless they are ignored", async () => {
    const { root, state } = await work({ "a": "1" });
    const make = (script: string) => run("bash", ["-c", script], { cwd: root });
    await make("ln -s $'\\xff' link");
    expect(await rejection(saved(state))).toMatchObject({ message: expect.stringMatching(/link".*UTF-8/) });
    await make("rm link; touch $'\\xff.log' $'\\xef\\xbf\\xbd.log'");
    expect(await rejection(saved(state))).toMatchObject({ message: expect.stringMatching(/UTF-8/) });
    await saved(folderState(root, { ignore: ["*.log"] }));
  });

  it("pipes and sockets by name, without opening them", async () => {
    const { root, state } = await work({ "a": "1" });
    await run("mkfifo", [path.join(root, "pipe")]);
    expect(await rejection(saved(state))).toMatchObject({
      code: "STATE_SAVE_FAILED",
      message: expect.stringMatching(/"pipe"/),
    });
    await rm(path.join(root, "pipe"));
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path.join(root, "sock"), resolve));
    expect(await rejection(saved(state))).toMatchObject({ message: expect.stringMatching(/"sock"/) });
    await saved(folderState(root, { ignore: ["sock"] }));
    await new Promise((resolve) => server.close(resolve));
  });

  it("a folder that is missing, or is none", async () => {
    const { base, root } = await work({ "a": "1" });
    expect(await rejection(saved(folderState(path.join(base, "gone"))))).toMatchObject({
      message: expect.stringMatching(/no folder/),
    });
    const snapshot = await saved(folderState(root));
    for (const make of [saved, (state: ReturnType<typeof folderState>) => storeOf(state).loadState(snapshot)]) {
      expect(await rejection(make(folderState(path.join(root, "a"))))).toMatchObject({
        message: expect.stringMatching(/file/),
      });
    }
  });

  it("a big file that changes while it is read, also within the tick of the kernel in which it was written", async () => {
    const { root } = await work({ "big": new Uint8Array(2 ** 20 + 1) });
    const big = path.join(root, "big");
    for (let round = 0; round < 10; round++) {
      const file = openSync(big, "r+");
      writeSync(file, new Uint8Array([round]), 0, 1, 0);
      const pieces = piecesOf(big, lookAt(big) as NonNullable<ReturnType<typeof lookAt>>);
      await pieces.next();
      writeSync(file, new Uint8Array([round + 1]), 0, 1, 2 ** 20);
      closeSync(file);
      await expect((async () => {
        for await (const piece of pieces) expect(piece.length).toBe(1);
      })()).rejects.toThrow(/changes while it is read/);
    }
  });

  it("the store's own folder, and leaves out a store within", async () => {
    const { base, root, state } = await work({ "a": "1" });
    const inside = new StateStore(fileBackend(path.join(root, "states"), { durability: "none" })).register("it", state);
    const snapshot = await inside.saveState();
    expect((await snapshot.manifest()).states[0]?.entries.map((entry) => entry.path)).toEqual([
      "files/a",
      "index.json",
    ]);
    await writeFile(path.join(root, "a"), "2");
    await inside.loadState(snapshot);
    expect([await readFile(path.join(root, "a"), "utf8"), existsSync(String(snapshot))]).toEqual(["1", true]);
    await storeOf(folderState(root)).loadState(snapshot); // the index says it, too
    expect(existsSync(String(snapshot))).toBe(true);
    for (const place of [root, base]) {
      const store = new StateStore(fileBackend(place, { durability: "none" }), { startFresh: true }).register(
        "it",
        folderState(root),
      );
      expect(await rejection(store.saveState())).toMatchObject({
        code: "STATE_SAVE_FAILED",
        message: expect.stringMatching(/snapshots/),
      });
    }
  });

  const index = (parts: object) =>
    JSON.stringify({ formatVersion: 1, ignored: [], folders: [], executables: [], links: [], names: [], ...parts });
  const hostile: [string, Record<string, string>][] = [
    ["no index", { "files/a": "x" }],
    ["an index that is not JSON", { "index.json": "{" }],
    ["an index of another version", { "index.json": index({ formatVersion: 2 }) }],
    ["an index of another shape", { "index.json": index({ links: [["a"]] }) }],
    ["an absolute path", { "index.json": index({ links: [["/etc/x", "y"]] }) }],
    ["a path with ..", { "index.json": index({ links: [["../x", "y"]] }) }],
    ["a path with .. in the middle", { "index.json": index({ folders: ["a/../../x"] }) }],
    ["a path with .", { "index.json": index({ folders: ["./x"] }) }],
    ["an empty path", { "index.json": index({ folders: [""] }) }],
    ["an empty part", { "index.json": index({ folders: ["a//b"] }) }],
    ["a NUL", { "index.json": index({ folders: ["a\0b"] }) }],
    ["a name with .. for an entry", { "index.json": index({ names: [["escaped/x", "../x"]] }), "escaped/x": "1" }],
    ["a name for an entry that is missing", { "index.json": index({ names: [["escaped/x", "x"]] }) }],
    ["two names for an entry", {
      "index.json": index({ names: [["escaped/x", "x"], ["escaped/x", "y"]] }),
      "escaped/x": "1",
    }],
    ["an entry without a name", { "index.json": index({}), "other/x": "1" }],
    ["a path twice", { "index.json": index({ names: [["escaped/x", "a"]] }), "escaped/x": "1", "files/a": "2" }],
    ["a file that is a link, too", { "index.json": index({ links: [["a", "b"]] }), "files/a": "2" }],
    ["a link as parent", { "index.json": index({ links: [["a", "/etc"]] }), "files/a/passwd": "x" }],
    ["a link as grandparent", { "index.json": index({ links: [["a", "/etc"]], folders: ["a/b/c"] }) }],
    ["a file as parent", { "index.json": index({ folders: ["a/b"] }), "files/a": "x" }],
    ["an executable that is missing", { "index.json": index({ executables: ["a"] }) }],
    ["a link to nowhere", { "index.json": index({ links: [["a", ""]] }) }],
    ["a link with a NUL", { "index.json": index({ links: [["a", "b\0"]] }) }],
    ["the folder of a restore", { "index.json": index({ folders: [".work.snapkeep-restore/1"] }) }],
    ["the folder of a restore in other letters", { "index.json": index({ folders: [".Work.SNAPKEEP-restore/1"] }) }],
    ["a path that is too deep", { "index.json": index({ folders: ["a/".repeat(500) + "a"] }) }],
    ["a rule that would take years", {
      "index.json": index({
        ignored: [{ below: "", lines: ["**/a/**/a/**/a/**/b"] }],
        folders: ["a/".repeat(60) + "c"],
      }),
    }],
  ];

  it.each(hostile)("a snapshot with %s before anything changes", async (_, entries) => {
    const { base, root, state } = await work({ "mine": "1" });
    const error = await rejection(storeOf(state).loadState(await holding(entries)));
    expect(error).toMatchObject({ code: "STATE_LOAD_FAILED" });
    const { cause } = error as Error;
    expect(isSnapshotError(cause, "ENTRY_INVALID") || isSnapshotError(cause, "ENTRY_NOT_FOUND")).toBe(true);
    expect([await grown(root), await stagings(base)]).toEqual([{ "mine": "1" }, []]);
  });

  it.each([["a".repeat(300)], [`${"a".repeat(200)}/`.repeat(20) + "a".repeat(70)]])(
    "a path that is too long for the file system, before anything changes",
    async (long) => {
      const { base, root, state } = await work({ "mine": "1" });
      const snapshot = await holding({ "index.json": index({ folders: [long] }) });
      expect(await rejection(storeOf(state).loadState(snapshot))).toMatchObject({
        code: "STATE_LOAD_FAILED",
        message: expect.stringMatching(/so long/),
      });
      expect([await grown(root), await stagings(base)]).toEqual([{ "mine": "1" }, []]);
    },
  );

  it.each<[string, Tree]>([
    ["an absolute one", { "l": { to: "/etc" } }],
    ["one above", { "d/l": { to: "../.." } }],
    ["one through another link", { "d1/d2/s": { to: "../.." }, "t": { to: "d1/d2/s/../x" } }],
    ["a loop", { "a": { to: "b" }, "b": { to: "a" } }],
  ])("a link that leads out, with links: inside: %s", async (_, tree) => {
    const { root, state } = await work(tree);
    const snapshot = await saved(state);
    const careful = folderState(root, { links: "inside" });
    expect(await rejection(saved(careful))).toMatchObject({ message: expect.stringMatching(/leads out/) });
    await rm(root, { recursive: true });
    await grow(root, { "mine": "1" });
    expect(await rejection(storeOf(careful).loadState(snapshot))).toMatchObject({ cause: { code: "ENTRY_INVALID" } });
    expect(await grown(root)).toEqual({ "mine": "1" });
  });

  it("no link that stays within, with links: inside", async () => {
    const { root } = await work({
      "a/b": "1",
      "l": { to: "a/./b" },
      "a/up": { to: "../a" },
      "through": { to: "a/up/b" },
    });
    await saved(folderState(root, { links: "inside" }));
  });
});

describe("folderState with a checkout", () => {
  it("restores a git checkout with node_modules/.bin and many files to what git calls clean", async () => {
    const { root, state } = await work({
      ".gitignore": "node_modules/\n",
      "node_modules/.bin/tool": { to: "../tool/cli.js" },
      "node_modules/tool/cli.js": { run: "#!/usr/bin/env node" },
    });
    const git = (...args: string[]) =>
      run("git", [
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
        "-c",
        "gc.auto=0",
        "-c",
        "maintenance.auto=false",
        ...args,
      ], { cwd: root });
    for (let folder = 0; folder < amount("states", "files") / 100; folder++) {
      mkdirSync(path.join(root, `src/d${folder}`), { recursive: true });
      for (let file = 0; file < 100; file++) {
        writeFileSync(path.join(root, `src/d${folder}/f${file}.txt`), `${folder} ${file}`);
      }
    }
    await git("init", "-q");
    await git("add", "-A");
    await git("commit", "-q", "-m", "all");
    await git("repack", "-adq");
    await git("prune-packed", "-q");
    const store = storeOf(state);
    const snapshot = await store.saveState();
    await rm(path.join(root, "src/d7"), { recursive: true });
    await rm(path.join(root, ".git"), { recursive: true });
    await rm(path.join(root, "node_modules"), { recursive: true });
    await writeFile(path.join(root, "src/d8/f1.txt"), "changed");
    await store.loadState(snapshot);
    expect(await store.compare(snapshot)).toMatchObject({ isEqual: true });
    expect((await git("status", "--porcelain")).stdout).toBe("");
    await git("fsck");
    expect((await stat(path.join(root, "node_modules/.bin/tool"))).mode & 0o100).toBe(0o100);
  }, 600_000);
});

describe("fileState", () => {
  const file = async (text: string) => {
    const at = path.join(await temporaryFolder(), "file.txt");
    await writeFile(at, text);
    return at;
  };

  it("replaces the file by a new one with the same rights, also through a link", async () => {
    const at = await file("saved");
    await symlink("file.txt", path.join(path.dirname(at), "way"));
    const state = fileState(path.join(path.dirname(at), "way"));
    const snapshot = await saved(state);
    await writeFile(at, "changed");
    await chmod(at, 0o640);
    const { ino } = await stat(at);
    await storeOf(state).loadState(snapshot);
    const after = await stat(at);
    expect([await readFile(at, "utf8"), after.mode & 0o777, after.ino === ino]).toEqual(["saved", 0o640, false]);
    expect((await readdir(path.dirname(at))).sort()).toEqual(["file.txt", "way"]);
    await rm(at);
    await storeOf(fileState(at)).loadState(snapshot);
    expect(await readFile(at, "utf8")).toBe("saved");
  });

  it.skipIf(process.platform === "win32")("leaves rights of others as they are", async () => {
    const at = await file("saved");
    const snapshot = await saved(fileState(at));
    for (const mode of [0o751, 0o711, 0o604]) {
      await chmod(at, mode);
      await storeOf(fileState(at)).loadState(snapshot);
      expect(((await stat(at)).mode & 0o777).toString(8)).toBe(mode.toString(8));
    }
  });

  it("makes the folder that is missing", async () => {
    const at = await file("saved");
    const elsewhere = path.join(path.dirname(at), "not/there/file.txt");
    await storeOf(fileState(elsewhere)).loadState(await saved(fileState(at)));
    expect(await readFile(elsewhere, "utf8")).toBe("saved");
  });

  it("refuses what is missing or no file", async () => {
    const at = await file("x");
    expect(await rejection(saved(fileState(`${at}.gone`)))).toMatchObject({
      message: expect.stringMatching(/no file/),
    });
    expect(await rejection(saved(fileState(path.dirname(at))))).toMatchObject({
      message: expect.stringMatching(/not an ordinary file/),
    });
    expect(await rejection(storeOf(fileState(path.dirname(at))).loadState(await saved(fileState(at))))).toMatchObject({
      code: "STATE_LOAD_FAILED",
    });
    expect(() => fileState(5 as never)).toThrow(TypeError);
  });

  it("streams a big file", async () => {
    const at = await file("");
    const bytes = new Uint8Array(9 * 2 ** 20).map((_, index) => index % 251);
    await writeFile(at, bytes);
    const state = fileState(at);
    const snapshot = await saved(state);
    await writeFile(at, "");
    await storeOf(state).loadState(snapshot);
    expect(new Uint8Array(await readFile(at)).every((byte, index) => byte === bytes[index])).toBe(true);
  });

  conforms(
    stateConformance(
      async () => {
        const at = await file("one");
        return Object.assign(fileState(at), { at });
      },
      ({ at }) => writeFile(at, "another"),
      { isInstant: false },
    ),
    it,
  );
});
