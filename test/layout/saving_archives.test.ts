// Saving into one file: chosen by the store or the save, in bounded room, whole or not at all.
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import {
  type Backend,
  fileBackend,
  isSnapshotError,
  type LayoutKind,
  memoryBackend,
  type PersistentState,
  StateStore,
  type StateStoreOptions,
  type StateWriter,
} from "snapkeep";
import type { Stage } from "snapkeep/backend";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { checkEstargz } from "../archive/estargz_checker.ts";
import { archiveOf, bytesOf, digests, noise, pieces, storeOf, TreeState, within } from "../archive/samples.ts";
import { watchedBackend } from "../archive/watched_backend.ts";
import { changed } from "../store/places.ts";

const MIB = 1024 * 1024;
const TREE = { "one.txt": "one", "big.bin": noise(2 * MIB + 1), "empty": "" };

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "snapkeep-archives-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const saving = (save: PersistentState["saveState"]): PersistentState => ({ saveState: save, loadState: () => {} });
const files = (options: StateStoreOptions = {}) =>
  new StateStore(fileBackend(folder, { durability: "none" }), { layout: "tar.gz", ...options });

describe("the layout of a save", () => {
  it.each(
    [
      [undefined, undefined, "directory"],
      ["directory", undefined, "directory"],
      ["tar.gz", undefined, "tar.gz"],
      [undefined, "tar.gz", "tar.gz"],
      ["tar.gz", "directory", "directory"],
      ["directory", "tar.gz", "tar.gz"],
    ] as const,
  )("of a store with %s, saved with %s, is %s", async (store, save, expected) => {
    const options = store === undefined ? {} : { layout: store };
    const locator = await new StateStore(memoryBackend(), options).saveState(
      save === undefined ? {} : { layout: save },
    );
    expect(locator.layout).toBe(expected);
    expect(await locator.verify()).toMatchObject({ isWhole: true });
  });

  it("is one file, named after the snapshot, and nothing else", async () => {
    const locator = await files().register("a", new TreeState(TREE)).saveState();
    expect(await readdir(folder)).toEqual([`${locator.name}.tar.gz`]);
    checkEstargz(await readFile(String(locator)));
  });

  it.each(
    [
      ["an unknown layout", { layout: "zip" as LayoutKind }],
      ["an unknown compression", { layout: "tar.bz2" as LayoutKind }],
      ["no compression, which is for exports", { layout: "tar" }],
    ] as const,
  )("is a TypeError for %s, before any state is asked", async (_, options) => {
    let saves = 0;
    const store = new StateStore(memoryBackend()).register("a", saving(() => void saves++));
    await expect(store.saveState(options)).rejects.toThrow(TypeError);
    expect(() => new StateStore(memoryBackend(), options)).toThrow(TypeError);
    expect(saves).toBe(0);
    expect(await store.list()).toEqual([]);
  });

  it("with a compression the runtime lacks is rejected, before any state is asked, and else works", async () => {
    let saves = 0;
    const store = files().register(
      "a",
      saving(async (out) => {
        saves++;
        await out.write("one.txt", "one");
      }),
    );
    const outcome: unknown = await store.saveState({ layout: "tar.zst" }).catch((error: unknown) => error);
    if (isSnapshotError(outcome)) {
      expect(outcome.code).toBe("COMPRESSION_UNAVAILABLE");
      expect(saves).toBe(0);
      expect(await readdir(folder)).toEqual([]);
    } else {
      const [name] = await readdir(folder);
      expect(name).toMatch(/\.state\.tar\.zst$/);
      expect(await (await store.latest())?.verify()).toMatchObject({ isWhole: true, entries: 1 });
    }
  });
});

describe("what is saved as an archive", () => {
  it.each(["bytes", "owned", "sized stream", "stream"] as const)(
    "loads as it was, handed over as %s",
    async (handing) => {
      const tree = { ...TREE, "exact.bin": noise(2 * MIB, 5), "three.bin": noise(5 * MIB, 6) };
      const { locator, store } = await archiveOf({ a: tree, b: { "x": "y" } }, { handing });
      const [a, b] = [new TreeState({}), new TreeState({})];
      await new StateStore(store.backend).register("a", a).register("b", b).loadState(locator);
      expect(digests(a.loaded)).toEqual(digests(tree));
      expect(digests(b.loaded)).toEqual(digests({ "x": "y" }));
      expect(Object.keys(a.loaded)).toEqual(Object.keys(tree));
    },
  );

  it("is captured at the call, whatever is changed right after it", async () => {
    const bytes = noise(300_000);
    const before = digests({ bytes });
    const store = new StateStore(memoryBackend(), { layout: "tar.gz" });
    store.register("a", saving((out) => out.write("bytes", bytes)));
    const save = store.saveState();
    bytes.fill(0);
    const state = new TreeState({});
    await new StateStore(store.backend).register("a", state).loadState(await save);
    expect(digests(state.loaded)).toEqual(before);
  });

  it("keeps one order, by registration and by writing, whatever finishes first", async () => {
    const slow = async (out: StateWriter) => {
      const first = out.write("slow", pieces(noise(10), 1));
      await new Promise((resolve) => setTimeout(resolve, 20));
      await Promise.all([first, out.write("after", "x")]);
    };
    const store = new StateStore(memoryBackend(), { layout: "tar.gz" });
    store.register("slow", saving(slow)).register("fast", saving((out) => out.write("fast", "x")));
    const { files } = checkEstargz(await bytesOf((await store.saveState()).stream()));
    expect([...files.keys()]).toEqual(["slow/slow", "slow/after", "fast/fast"]);
  });

  it("keeps chunks that their producer reuses only after they were taken", async () => {
    // The contract lets a producer not change a chunk; each is another here, but all are views of one buffer.
    const whole = noise(5 * MIB, 9);
    const { locator, store } = await archiveOf({ a: { "whole": whole } }, { handing: "stream" });
    const state = new TreeState({});
    await new StateStore(store.backend).register("a", state).loadState(locator);
    expect(digests(state.loaded)).toEqual(digests({ whole }));
  });
});

describe("scratch", () => {
  it("is not needed for bodies whose size is known", async () => {
    for (const handing of ["bytes", "owned", "sized stream"] as const) {
      const backend = watchedBackend();
      const store = storeOf({ a: TREE }, { backend, handing });
      await store.saveState();
      expect([handing, backend.scratches]).toEqual([handing, 0]);
    }
  });

  it("takes the bodies whose size is not known, and is given back", async () => {
    const inner = fileBackend(folder, { durability: "none" });
    const backend = watchedBackend({ inner });
    await storeOf({ a: TREE }, { backend, handing: "stream" }).saveState();
    expect(backend.scratches).toBeGreaterThan(0);
    expect([...backend.unreturned]).toEqual([]);
    expect((await readdir(folder)).filter((name) => name.startsWith("."))).toEqual([]);
  });

  it("that gives back other bytes than it was given fails the save", async () => {
    const inner = memoryBackend();
    const lying = (backend: Backend): Backend => ({
      ...bound(backend),
      stage: async (unit, options) => {
        const stage = await backend.stage(unit, options);
        return {
          unit,
          write: (blobPath, body) => stage.write(blobPath, body),
          publish: (blobPath, body) => stage.publish(blobPath, body),
          abandon: () => stage.abandon(),
          scratch: async () => {
            const scratch = await stage.scratch();
            return {
              get sizeBytes() {
                return scratch.sizeBytes;
              },
              write: (body) => scratch.write(body),
              read: (offset, length) => scratch.read(offset, length),
              async *stream() {
                let isFirst = true;
                for await (const chunk of scratch.stream()) {
                  if (isFirst) chunk[7] = (chunk[7] as number) ^ 1;
                  isFirst = false;
                  yield chunk;
                }
              },
              close: () => scratch.close(),
              remove: () => scratch.remove(),
            };
          },
        };
      },
    });
    const error: unknown = await storeOf({ a: TREE }, { backend: lying(inner), handing: "stream" }).saveState()
      .catch((error: unknown) => error);
    expect(isSnapshotError(error, "SNAPSHOT_CORRUPT") && error.details.path).toBe("a/big.bin");
    expect(await new StateStore(inner).list()).toEqual([]);
  });
});

/** A backend's methods, to be changed. */
function bound(backend: Backend): Backend {
  return {
    uri: backend.uri,
    notes: backend.notes,
    create: () => backend.create(),
    list: (options) => backend.list(options),
    blobs: (unit) => backend.blobs(unit),
    open: (unit, blobPath) => backend.open(unit, blobPath),
    stage: (unit, options) => backend.stage(unit, options),
    scratch: () => backend.scratch(),
    remove: (unit) => backend.remove(unit),
    sweep: (olderThanMs) => backend.sweep(olderThanMs),
  };
}

describe("a save as an archive that fails", () => {
  const failures: Record<string, [string, PersistentState["saveState"]]> = {
    "because saveState throws": ["STATE_SAVE_FAILED", () => {
      throw new Error("no");
    }],
    "because saveState rejects after it wrote": ["STATE_SAVE_FAILED", async (out) => {
      await out.write("before.bin", noise(2 * MIB));
      throw new Error("no");
    }],
    "because a body is longer than it said": [
      "ENTRY_SIZE_MISMATCH",
      (out) => out.write("x", pieces(noise(2 * MIB)), { sizeBytes: MIB }),
    ],
    "because a body is shorter than it said": [
      "ENTRY_SIZE_MISMATCH",
      (out) => out.write("x", pieces(noise(MIB)), { sizeBytes: 2 * MIB }),
    ],
    "because bytes are not as many as it said": [
      "ENTRY_SIZE_MISMATCH",
      (out) => out.write("x", noise(10), { sizeBytes: 11 }),
    ],
    "because a path is unsafe": ["ENTRY_PATH_UNSAFE", (out) => out.write("../x", "x")],
    "because two paths collide": ["ENTRY_EXISTS", async (out) => {
      await Promise.all([out.write("x", "1"), out.write("X", "2")]);
    }],
  };

  it.each(Object.entries(failures))("%s leaves nothing, and the next save works", async (_, [code, save]) => {
    const backend = watchedBackend({ inner: fileBackend(folder, { durability: "none" }) });
    const store = new StateStore(backend, { layout: "tar.gz" });
    store.register("first", new TreeState(TREE, "stream")).register("failing", saving(save));
    const error: unknown = await within(20, "The failing save", store.saveState()).catch((error: unknown) => error);
    expect(isSnapshotError(error) && error.code).toBe(code);
    expect([...backend.unreturned]).toEqual([]);
    expect(await readdir(folder)).toEqual([]);
    store.unregister("failing");
    expect(await (await store.saveState()).verify()).toMatchObject({ isWhole: true, entries: 3 });
  });

  it("because it was aborted leaves nothing, and throws the reason", async () => {
    const controller = new AbortController();
    const store = files().register(
      "a",
      saving((out) => {
        const endless = async function* () {
          for (let index = 0;; index++) {
            if (index === 30) controller.abort(new Error("closing time"));
            yield noise(100_000);
          }
        };
        return out.write("endless", endless());
      }),
    );
    await expect(within(20, "The aborted save", store.saveState({ signal: controller.signal }))).rejects.toThrow(
      "closing time",
    );
    expect(await readdir(folder)).toEqual([]);
  });

  it("tells how far it was", async () => {
    const told: number[] = [];
    const store = files().register("a", new TreeState(TREE, "sized stream"));
    await store.saveState({ onProgress: ({ sizeBytes }) => void told.push(sizeBytes) });
    expect(told.at(-1)).toBe(3 + 2 * MIB + 1);
    expect([...told].sort((a, b) => a - b)).toEqual(told);
  });
});

describe("a body too large for one call of the runtime", () => {
  it("is handed on in pieces that every runtime can take", async () => {
    const owned = new Uint8Array(100 * MIB);
    for (const layout of ["directory", "tar.gz"] as const) {
      let largest = 0;
      const inner = memoryBackend();
      const backend: Backend = {
        ...bound(inner),
        stage: (unit) => {
          const drain = async (body: Iterable<Uint8Array> | AsyncIterable<Uint8Array>) => {
            let sizeBytes = 0;
            for await (const chunk of body) {
              largest = Math.max(largest, chunk.length);
              sizeBytes += chunk.length;
            }
            return { sizeBytes };
          };
          return Promise.resolve({
            unit,
            write: (_path, body) => drain(body),
            publish: async (_path, body) => void await drain(body),
            scratch: () => inner.scratch(),
            abandon: () => Promise.resolve(),
          });
        },
      };
      const store = new StateStore(backend, { layout });
      store.register("a", saving((out) => out.write("owned", owned, { owned: true })));
      await store.saveState();
      expect(largest).toBeGreaterThan(0);
      expect(largest).toBeLessThanOrEqual(64 * MIB);
    }
  });
});

it("a backend that publishes less of an archive than it was given fails the save", async () => {
  const backend = memoryBackend();
  const careless = changed(backend, {
    stage: async (unit, options) => unread(await backend.stage(unit, options)),
  });
  const store = new StateStore(careless, { layout: "tar.gz" }).register("a", saving((out) => out.write("x", "hello")));
  await expect(store.saveState()).rejects.toThrow(/published less than it was given/);
});

/** A stage that takes what it publishes for read. */
function unread(stage: Stage): Stage {
  return {
    unit: stage.unit,
    write: (blob, body) => stage.write(blob, body),
    publish: () => Promise.resolve(),
    scratch: () => stage.scratch(),
    abandon: () => stage.abandon(),
  };
}
