// A real folder for libraries that insist on one: given, filled, saved, and gone afterwards, whatever happens.
import { Buffer } from "node:buffer";
import { existsSync, writeFileSync } from "node:fs";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import {
  memoryBackend,
  pathState,
  type PathStateMethods,
  type StateReader,
  StateStore,
  type StateWriter,
} from "snapkeep";
import { describe, expect, it } from "vitest";
import { storageError } from "../../src/model/errors.ts";
import { changed, filePlaces, places } from "../store/places.ts";
import { deferred, rejection } from "../store/states.ts";

const failureOf = (errno: string) => storageError("mkdir", "x", Object.assign(new Error(errno), { code: errno }));

/** Methods that remember the folders they were given. */
function remembering(methods: Partial<PathStateMethods>) {
  const folders: string[] = [];
  const remember = (method: PathStateMethods["save"] = () => {}) => (folder: string) => {
    folders.push(folder);
    return method(folder);
  };
  return { folders, state: pathState({ save: remember(methods.save), load: remember(methods.load) }) };
}

describe.each(places)("pathState ($layout, $backend)", ({ make }) => {
  it("saves what was written to a folder, sub-folders included, and gives it back", async () => {
    const big = new Uint8Array(3 * 1024 * 1024).map((_, index) => index * 13);
    const found: Record<string, number> = {};
    let bytes = new Uint8Array();
    const { folders, state } = remembering({
      async save(folder) {
        await mkdir(path.join(folder, "sub", "deep"), { recursive: true });
        await writeFile(path.join(folder, "weights.bin"), big);
        await writeFile(path.join(folder, "sub", "deep", "config.json"), "{}");
        await writeFile(path.join(folder, "sub", "empty"), "");
      },
      async load(folder) {
        for (const name of await readdir(folder, { recursive: true, withFileTypes: true })) {
          if (!name.isFile()) continue;
          const file = path.join(name.parentPath, name.name);
          found[path.relative(folder, file).split(path.sep).join("/")] = (await readFile(file)).length;
        }
        bytes = new Uint8Array(await readFile(path.join(folder, "weights.bin")));
      },
    });
    const store = (await make()).store().register("library", state);
    const snapshot = await store.saveState();
    expect((await snapshot.manifest()).states[0]?.entries.map((entry) => entry.path).sort()).toEqual([
      "sub/deep/config.json",
      "sub/empty",
      "weights.bin",
    ]);
    await store.loadState(snapshot);
    expect(found).toEqual({ "sub/deep/config.json": 2, "sub/empty": 0, "weights.bin": big.length });
    expect(Buffer.compare(bytes, big)).toBe(0);
    expect(new Set(folders).size).toBe(2);
    expect(folders.map((folder) => existsSync(folder))).toEqual([false, false]);
  });

  it("gives an empty, absolute folder of its own to each save and load", async () => {
    const listed: string[][] = [];
    const look = async (folder: string) => void listed.push(await readdir(folder));
    const one = remembering({ save: look, load: look });
    const two = remembering({ save: look, load: look });
    const store = (await make()).store().register("one", one.state).register("two", two.state);
    await store.loadState(await store.saveState());
    const folders = [...one.folders, ...two.folders];
    expect(new Set(folders).size).toBe(4);
    expect(folders.every((folder) => path.isAbsolute(folder))).toBe(true);
    expect(listed).toEqual([[], [], [], []]);
  });

  it("calls save before saveState returns: what it writes at once belongs to that instant", async () => {
    let text = "before";
    let loaded = "";
    const state = pathState({
      save: (folder) => writeFileSync(path.join(folder, "x"), text),
      load: async (folder) => void (loaded = await readFile(path.join(folder, "x"), "utf8")),
    });
    const store = (await make()).store().register("library", state);
    const save = store.saveState();
    text = "after";
    await store.loadState(await save);
    expect(loaded).toBe("before");
  });

  it("works for a save that writes nothing", async () => {
    let loads = 0;
    const state = pathState({ save() {}, load: async (folder) => void (loads += (await readdir(folder)).length + 1) });
    const store = (await make()).store().register("library", state);
    await store.loadState(await store.saveState());
    expect(loads).toBe(1);
  });

  it("removes the folder when save fails, and leaves nothing behind", async () => {
    const place = await make();
    const { folders, state } = remembering({
      async save(folder) {
        await writeFile(path.join(folder, "half"), "x");
        throw new Error("mine");
      },
    });
    const store = place.store().register("library", state);
    expect(await rejection(store.saveState())).toMatchObject({ code: "STATE_SAVE_FAILED", cause: new Error("mine") });
    // The save does not wait for the state that failed it; its folder goes as soon as it can.
    await expect.poll(() => folders.map((folder) => existsSync(folder))).toEqual([false]);
    expect(await place.files()).toEqual([]);
  });

  it.each(["ENOSPC", "EDQUOT"])(
    "fails as full storage does, not as the state's own failure, when save meets %s",
    async (errno) => {
      const place = await make();
      let isFull = true;
      const full = Object.assign(new Error(`${errno}: no room`), { code: errno });
      const { state } = remembering({
        save() {
          if (isFull) throw full;
        },
      });
      const store = place.store().register("library", state);
      expect(await rejection(store.saveState())).toMatchObject({
        code: "STORAGE_FULL",
        message: `Cannot save the state "library": ${errno}: no room`,
        details: { operation: "save", errno },
        cause: full,
      });
      isFull = false;
      expect((await (await store.saveState()).verify()).isWhole).toBe(true);
    },
  );

  it("works among the system's temporary files where the place has no room to give, as when it is read-only", async () => {
    const place = await make();
    let refusal = failureOf("EROFS");
    const refusing = changed(place.backend, {
      workFolder: () => {
        throw refusal;
      },
    });
    let loaded = "";
    const { folders, state } = remembering({
      save: (folder) => writeFile(path.join(folder, "x"), "saved"),
      load: async (folder) => void (loaded = await readFile(path.join(folder, "x"), "utf8")),
    });
    const store = new StateStore(refusing, { layout: place.layout }).register("library", state);
    await store.loadState(await store.saveState());
    expect(loaded).toBe("saved");
    expect(folders.map((folder) => path.dirname(folder))).toEqual([tmpdir(), tmpdir()]);
    expect(folders.map((folder) => existsSync(folder))).toEqual([false, false]);
    refusal = failureOf("EIO");
    expect(await rejection(store.saveState())).toBe(refusal);
  });

  it("removes the folder when load fails", async () => {
    const { folders, state } = remembering({
      load: () => {
        throw new Error("mine");
      },
    });
    const store = (await make()).store().register("library", state);
    const snapshot = await store.saveState();
    expect(await rejection(store.loadState(snapshot))).toMatchObject({
      code: "STATE_LOAD_FAILED",
      cause: new Error("mine"),
    });
    expect(folders.map((folder) => existsSync(folder))).toEqual([false, false]);
  });

  it("refuses a link, which could lead anywhere, and says which", async () => {
    const { state } = remembering({ save: (folder) => symlink("/etc/passwd", path.join(folder, "link")) });
    const error = await rejection((await make()).store().register("library", state).saveState());
    expect(error).toMatchObject({
      code: "STATE_SAVE_FAILED",
      cause: expect.any(TypeError),
      message: expect.stringContaining('"link"'),
    });
  });

  it("refuses a file whose name is not portable", async () => {
    const { state } = remembering({ save: (folder) => writeFile(path.join(folder, "a:b"), "x") });
    const error = await rejection((await make()).store().register("library", state).saveState());
    expect(error).toMatchObject({ code: "ENTRY_PATH_UNSAFE" });
  });

  it("removes the folder when the save is aborted while the library still writes", async () => {
    const place = await make();
    const gate = deferred();
    const begun = deferred();
    const { folders, state } = remembering({
      async save(folder) {
        begun.resolve();
        await gate.promise;
        await writeFile(path.join(folder, "late"), "x");
      },
    });
    const controller = new AbortController();
    const save = rejection(place.store().register("library", state).saveState({ signal: controller.signal }));
    await begun.promise;
    controller.abort();
    expect(await save).toMatchObject({ name: "AbortError" });
    gate.resolve();
    await expect.poll(() => folders.map((folder) => existsSync(folder))).toEqual([false]);
    expect(await place.files()).toEqual([]);
  });
});

describe.each(filePlaces)("pathState on disk ($layout)", ({ make }) => {
  it("works within the store's own folder, hidden, so that it needs no other room and no other permission", async () => {
    const place = await make();
    const { folders, state } = remembering({});
    const store = place.store().register("library", state);
    await store.loadState(await store.saveState());
    expect(folders.map((folder) => path.dirname(folder))).toEqual([place.folder, place.folder]);
    expect(folders.every((folder) => path.basename(folder).startsWith("."))).toBe(true);
    expect(await place.files()).toHaveLength(1);
  });
});

it.each(filePlaces)("a state finds its own real folder in writer and reader ($layout)", async ({ make }) => {
  const place = await make();
  const parents: (string | undefined)[] = [];
  const look = async ({ workFolder }: Pick<StateWriter | StateReader, "workFolder">) => {
    const folder = workFolder?.();
    parents.push(folder && path.dirname(folder.path));
    await folder?.remove();
  };
  const state = { saveState: look, loadState: look };
  const store = place.store().register("library", state);
  await store.loadState(await store.saveState());
  expect(parents).toEqual([place.folder, place.folder]);
  const inMemory = new StateStore(memoryBackend()).register("library", state);
  await inMemory.saveState();
  expect(parents.at(-1)).toBeUndefined();
});
