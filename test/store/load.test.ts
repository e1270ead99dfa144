// Loading: nothing is touched before everything was verified, then every state is loaded once and in order.
import { appendFile, cp, mkdir, readdir, readFile, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { locate, type SnapshotLocator, type StateReader, StateStore, type StateWriter } from "snapkeep";
import { describe, expect, it } from "vitest";
import { collectLogs } from "./logs.ts";
import { changed, filePlaces, type Place, places, temporaryFolder } from "./places.ts";
import { Cell, Files, rejection } from "./states.ts";

describe.each(places)("StateStore.loadState ($layout, $backend)", ({ make, layout, backend: kind }) => {
  it("gives back what was saved, to other objects too", async () => {
    const place = await make();
    const value = { nested: [1, "zwölf", null], empty: {} };
    const files = { "a.bin": Uint8Array.of(0, 255, 10, 13), "sub/dir/b.txt": "text", "none": "" };
    const snapshot = await place.store().register("cell", new Cell(value)).register("files", new Files(files))
      .saveState();
    const cell = new Cell(undefined);
    const loaded = new Files();
    const report = await place.store().register("cell", cell).register("files", loaded).loadState(snapshot);
    expect(cell.value).toEqual(value);
    expect(loaded.files).toEqual(new Files(files).files);
    expect(report).toMatchObject({ name: snapshot.name, loaded: ["cell", "files"], missing: [], ignored: [] });
    expect(String(report.snapshot)).toBe(String(snapshot));
  });

  it("calls each loadState once, in order of registration, whatever the order in the snapshot", async () => {
    const place = await make();
    const snapshot = await place.store().register("a", new Cell(1)).register("b", new Cell(2)).register(
      "c",
      new Cell(3),
    ).saveState();
    const log: string[] = [];
    const store = place.store();
    for (const name of ["c", "a", "b"]) store.register(name, new Cell(0, log));
    expect((await store.loadState(snapshot)).loaded).toEqual(["c", "a", "b"]);
    expect(log).toEqual(["load c", "load a", "load b"]);
  });

  // Of the three, only Node lets a running program ask for the collector.
  it.skipIf(process.versions["bun"] !== undefined || process.versions["deno"] !== undefined)(
    "holds no bytes that a state has read and let go",
    async () => {
      setFlagsFromString("--expose-gc");
      const collect = runInNewContext("gc") as () => void;
      const place = await make();
      const content = { "a.bin": new Uint8Array(100_000).fill(7), "b.bin": new Uint8Array(100_000).fill(8) };
      const snapshot = await place.store().register("files", new Files(content)).saveState();
      let refs: WeakRef<Uint8Array>[] = [];
      const store = place.store().register("files", {
        saveState() {},
        async loadState(from) {
          refs = await Promise.all(from.entries.map(async ({ path }) => new WeakRef(await from.bytes(path))));
          await new Promise((resolve) => setTimeout(resolve)); // a WeakRef holds for the turn that made it
          collect();
          expect(refs.map((ref) => ref.deref())).toEqual([undefined, undefined]);
        },
      });
      await store.loadState(snapshot);
      expect(refs).toHaveLength(2);
    },
  );

  it("waits for one loadState before it calls the next", async () => {
    const place = await make();
    const log: string[] = [];
    const slow = (name: string) => ({
      saveState() {},
      async loadState() {
        log.push(`${name} begins`);
        await new Promise((resolve) => setImmediate(resolve));
        log.push(`${name} ends`);
      },
    });
    const store = place.store().register("a", slow("a")).register("b", slow("b"));
    await store.loadState(await store.saveState());
    expect(log).toEqual(["a begins", "a ends", "b begins", "b ends"]);
  });

  it.each<[string, (from: StateReader) => unknown]>([
    ["takes a property of it", (from) => (from.json("x") as unknown as { a: { b: number } }).a.b],
    ["iterates over it", (from) => [...from.json("x") as unknown as number[]]],
    ["parses it", (from) => JSON.parse(from.text("x") as unknown as string)],
  ])("names the read that a loadState did not await when it fails as it %s", async (_how, load) => {
    const place = await make();
    const state = {
      saveState: (out: StateWriter) => out.json("x", { a: { b: 1 } }),
      loadState: (from: StateReader) => void load(from),
    };
    const store = place.store().register("a", state);
    const error = await rejection(store.loadState(await store.saveState()));
    expect(error).toMatchObject({ code: "STATE_LOAD_FAILED" });
    expect(String(error)).toMatch(/; it did not await from\.(json|text)\("x"\): write await from\.\1\("x"\)$/);
  });

  it("adds nothing to the error of a loadState that awaited its reads", async () => {
    const place = await make();
    const store = place.store().register("a", {
      saveState: (out) => out.json("x", 1),
      async loadState(from) {
        await from.json("x");
        throw new Error("mine");
      },
    });
    expect(String(await rejection(store.loadState(await store.saveState())))).toMatch(/: mine$/);
  });

  it("tells a state its name and the version it was saved with", async () => {
    const place = await make();
    const snapshot = await place.store().register("a", new Files({ x: "1" }), { version: 4 }).saveState();
    let told: unknown;
    const state = {
      saveState() {},
      loadState: ({ name, version, entries }: { name: string; version: number; entries: readonly unknown[] }) =>
        void (told = { name, version, entries: entries.length }),
    };
    await place.store().register("a", state, { version: 4 }).loadState(snapshot);
    expect(told).toEqual({ name: "a", version: 4, entries: 1 });
  });

  type Load = (from: StateReader, kept: (value: unknown) => void) => unknown;
  it.each<[string, Load, string]>([
    ["assigns the Promise of a read", (from, keep) => keep(from.json("a.json")), 'await from.json("a.json")'],
    ["assigns it in an async function", async (from, keep) => keep(from.text("a.json")), 'await from.text("a.json")'],
    ["awaits only another read, which takes as long", async (from, keep) => {
      keep(from.json("a.json"));
      await from.json("b.json");
    }, 'await from.json("a.json")'],
    ["awaits other work that takes longer", async (from, keep) => {
      keep({ a: from.bytes("a.json") });
      for (let index = 0; index < 5; index++) await new Promise((resolve) => setImmediate(resolve));
    }, 'await from.bytes("a.json")'],
    [
      "keeps the Promise of a read that fails",
      (from, keep) => keep(from.json("none.json")),
      'await from.json("none.json")',
    ],
    ["assigns when a read that it does not return is done", (from, keep) => {
      void from.json("a.json").then(keep);
    }, 'await from.json("a.json")'],
    ["does not return Promise.all of its reads", (from, keep) => {
      void Promise.all([from.json("a.json"), from.json("b.json")]).then(keep);
    }, 'await from.json("a.json")'],
    ["does not await the reading of a stream", (from, keep) => {
      from.stream("a.json").pipeTo(new WritableStream({ write: keep })).catch(() => {});
    }, 'from.stream("a.json")'],
  ])("fails, and says what to await, when a state %s", async (_how, load, told) => {
    const place = await make();
    const snapshot = await place.store().register("it", new Files({ "a.json": "1", "b.json": "2" })).saveState();
    const state = { saveState() {}, loadState: (from: StateReader) => load(from, () => {}) as Promise<void> };
    const error = await rejection(place.store().register("it", state).loadState(snapshot));
    expect(error).toMatchObject({ code: "STATE_LOAD_FAILED" });
    expect(String(error)).toContain(told);
    expect(String(error)).toContain("await");
  });

  it.each<[string, Load, unknown]>([
    ["awaits Promise.all of its reads", async (from, keep) => {
      const reads = [from.json("a.json"), from.json("b.json")];
      keep(await Promise.all(reads));
    }, [1, 2]],
    ["returns a chain of reads", (from, keep) => from.json("a.json").then(keep), 1],
    ["returns a read", (from, keep) => {
      keep("read");
      return from.json("a.json");
    }, "read"],
    ["awaits a read later than it began it", async (from, keep) => {
      const first = from.json("a.json");
      const second = await from.json("b.json");
      keep([await first, second]);
    }, [1, 2]],
    [
      "catches a read that fails",
      async (from, keep) => keep(await from.json("none.json").catch(() => "default")),
      "default",
    ],
    ["reads nothing of what it has", (_from, keep) => keep("nothing"), "nothing"],
    ["looks at a stream and does not read it", (from, keep) => keep(from.stream("a.json").locked), false],
    ["cancels a stream", async (from, keep) => keep(await from.stream("a.json").cancel()), undefined],
    ["reads a stream in part", async (from, keep) => {
      const { value } = await from.stream("a.json").getReader().read();
      keep(new TextDecoder().decode(value));
    }, "1"],
    ["reads a stream to its end", async (from, keep) => keep(await new Response(from.stream("a.json")).text()), "1"],
  ])("loads a state that %s", async (_how, load, expected) => {
    const place = await make();
    const snapshot = await place.store().register("it", new Files({ "a.json": "1", "b.json": "2" })).saveState();
    let kept: unknown;
    const state = {
      saveState() {},
      loadState: (from: StateReader) => load(from, (value) => kept = value) as Promise<void>,
    };
    await place.store().register("it", state).loadState(snapshot);
    expect(kept).toEqual(expected);
  });

  it("puts a state back when it did not await its reads, if the load is to", async () => {
    const place = await make();
    const snapshot = await place.store().register("it", new Cell(1)).saveState();
    let value: unknown = 2;
    let loads = 0;
    const state = {
      saveState: (out: StateWriter) => out.json("value.json", value),
      loadState: async (from: StateReader) =>
        void (value = loads++ === 0 ? from.json("value.json") : await from.json("value.json")),
    };
    const error = await rejection(place.store().register("it", state).loadState(snapshot, { rollback: true }));
    expect(error).toMatchObject({ code: "STATE_LOAD_FAILED" });
    expect(value).toBe(2);
  });

  it("names the nearest snapshot, or says that there are none, when there is none of the name", async () => {
    const place = await make();
    const store = place.store().register("a", new Cell(1));
    const snapshot = await store.saveState();
    const wrong = locate(
      store.backend,
      `${snapshot.name.slice(0, -1)}x${layout === "directory" ? ".state" : `.state.${layout}`}`,
    );
    const near = `the nearest in .* is "${snapshot.name}.*"; store.list\\(\\) has all`;
    expect(String(await rejection(store.loadState(wrong)))).toMatch(new RegExp(near));
    await snapshot.remove();
    expect(String(await rejection(store.loadState(wrong)))).toContain("has no snapshots; check the path");
  });

  it("fails as SNAPSHOT_NOT_FOUND where there is none, and touches nothing", async () => {
    const place = await make();
    const cell = new Cell(1);
    const store = place.store().register("a", cell);
    const snapshot = await store.saveState();
    await snapshot.remove();
    expect(await rejection(store.loadState(snapshot))).toMatchObject({
      code: "SNAPSHOT_NOT_FOUND",
      details: { uri: expect.stringContaining(snapshot.name.slice(0, 10)) },
    });
    expect(cell.loads).toBe(0);
  });

  it("fails as STATE_MISSING before any state was touched, naming all that are missing", async () => {
    const place = await make();
    const snapshot = await place.store().register("a", new Cell(1)).saveState();
    const cells = [new Cell(0), new Cell(0), new Cell(0)] as const;
    const store = place.store().register("a", cells[0]).register("x", cells[1]).register("y", cells[2]);
    expect(await rejection(store.loadState(snapshot))).toMatchObject({
      code: "STATE_MISSING",
      details: { uri: String(snapshot), states: ["x", "y"] },
    });
    expect(cells.map(({ loads }) => loads)).toEqual([0, 0, 0]);
  });

  it("names the states of the snapshot that are not registered: one may be the former name of a missing one", async () => {
    const place = await make();
    const snapshot = await place.store().register("a", new Cell(1)).register("old", new Cell(2)).saveState();
    const renamed = place.store().register("a", new Cell(0)).register("new", new Cell(0));
    expect(String(await rejection(renamed.loadState(snapshot)))).toMatch(
      /lacks the registered state "new", and has "old", which no state is registered for; .*\{ formerly: \["old"\] \}/,
    );
    const added = place.store().register("a", new Cell(0)).register("old", new Cell(0)).register("new", new Cell(0));
    expect(String(await rejection(added.loadState(snapshot)))).not.toMatch(/and has|"old"/);
  });

  it("leaves missing states as they are where that is allowed, and reports them", async () => {
    const place = await make();
    const snapshot = await place.store().register("a", new Cell("saved")).saveState();
    const cells = [new Cell(0), new Cell("kept")] as const;
    const store = place.store().register("x", cells[1]).register("a", cells[0]);
    expect(await store.loadState(snapshot, { allowMissing: true })).toMatchObject({
      loaded: ["a"],
      missing: ["x"],
      ignored: [],
    });
    expect(cells.map(({ value, loads }) => [value, loads])).toEqual([["saved", 1], ["kept", 0]]);
  });

  it("reports states that are not registered as ignored, and warns of them in the log", async () => {
    const logs = await collectLogs();
    const place = await make();
    const snapshot = await place.store().register("a", new Cell(1)).register("b", new Cell(2)).register(
      "c",
      new Cell(3),
    ).saveState();
    const report = await place.store().register("b", new Cell(0)).loadState(snapshot);
    expect(report).toMatchObject({ loaded: ["b"], missing: [], ignored: ["a", "c"] });
    expect(logs.of("warning").join()).toMatch(/^StateStore: '.*' has states that are not registered/);
  });

  it.each([["throws", () => {
    throw new Error("mine");
  }], ["rejects", () => Promise.reject(new Error("mine"))]])(
    "fails as STATE_LOAD_FAILED when a loadState %s, and tells which were loaded before",
    async (_, loadState) => {
      const place = await make();
      const after = new Cell(4);
      const store = place.store().register("a", new Cell(1)).register("b", new Cell(2))
        .register("bad", { saveState() {}, loadState }).register("after", after);
      const snapshot = await store.saveState();
      expect(await rejection(store.loadState(snapshot))).toMatchObject({
        code: "STATE_LOAD_FAILED",
        details: { uri: String(snapshot), state: "bad", loaded: ["a", "b"] },
        cause: new Error("mine"),
      });
      expect(after.loads).toBe(0);
    },
  );

  it("is aborted by a signal as long as nothing was changed", async () => {
    const place = await make();
    const cell = new Cell(1);
    const empty = { loads: 0, saveState() {}, loadState: () => void empty.loads++ };
    const reason = new Error("enough");
    for (const store of [place.store().register("a", cell), place.store().register("b", empty)]) {
      const snapshot = await store.saveState();
      expect(await rejection(store.loadState(snapshot, { signal: AbortSignal.abort(reason) }))).toBe(reason);
    }
    expect([cell.loads, empty.loads]).toEqual([0, 0]);
  });

  it("is aborted by a signal in the middle of verifying", async () => {
    const place = await make();
    const controller = new AbortController();
    const reason = new Error("enough");
    const files = new Files({ a: "1", b: "2", c: "3" });
    const snapshot = await place.store().register("files", files).saveState();
    let opened = 0;
    const backend = changed(place.backend, {
      open: (unit, blobPath) => {
        if (++opened === (layout === "directory" ? 3 : 1)) controller.abort(reason);
        return place.backend.open(unit, blobPath);
      },
    });
    const store = new StateStore(backend, { layout }).register("files", files);
    const copy = (await store.list())[0];
    if (copy === undefined) throw new Error(`${snapshot.name} is not listed`);
    expect(await rejection(store.loadState(copy, { signal: controller.signal }))).toBe(reason);
    expect(files.loads).toBe(0);
  });

  it("loads the same snapshot again and again", async () => {
    const cell = new Cell("saved");
    const store = (await make()).store().register("a", cell);
    const snapshot = await store.saveState();
    for (let round = 0; round < 3; round++) {
      cell.value = round;
      await store.loadState(snapshot);
      expect(cell.value).toBe("saved");
    }
  });

  it.runIf(kind === "memory")("loads entries too many to keep in memory at once as well as small ones", async () => {
    const place = await make();
    const chunk = new Uint8Array(40 * 1024 * 1024);
    chunk[5] = 7;
    const files = new Files({ first: chunk, second: chunk, small: "x" });
    const store = place.store().register("files", files);
    const snapshot = await store.saveState();
    files.files = new Map();
    await store.loadState(snapshot);
    expect([...files.files].map(([name, bytes]) => [name, bytes.length, bytes[5]])).toEqual([
      ["first", chunk.length, 7],
      ["second", chunk.length, 7],
      ["small", 1, undefined],
    ]);
  });
});

describe.each(filePlaces)("StateStore.loadState from disk ($layout)", ({ make, layout }) => {
  async function saved(place: Place) {
    const cell = new Cell({ step: 7 });
    const files = new Files({ "weights.bin": new Uint8Array(5000).fill(3), "sub/log.txt": "hello", "empty": "" });
    const store = place.store().register("cell", cell).register("files", files);
    const snapshot = await store.saveState();
    return { cell, files, store, snapshot, at: String(snapshot) };
  }

  it("takes a path, a file: URL and a locator made of either", async () => {
    const { cell, store, snapshot, at } = await saved(await make());
    for (const from of [at, pathToFileURL(at), new URL(snapshot.uri), locate(at), locate(pathToFileURL(at))]) {
      cell.value = 0;
      const report = await store.loadState(from);
      expect([cell.value, String(report.snapshot)]).toEqual([{ step: 7 }, at]);
    }
  });

  it("loads a copy elsewhere under another name: validity lies in the bytes, not in the place", async () => {
    const { cell, files, store, snapshot, at } = await saved(await make());
    const suffix = path.basename(at).slice(snapshot.name.length);
    const copy = path.join(await temporaryFolder(), `sent by mail ü${suffix}`);
    await cp(at, copy, { recursive: true });
    await snapshot.remove();
    const before = files.files;
    for (const from of [copy, pathToFileURL(copy)]) {
      cell.value = 0;
      files.files = new Map();
      const report = await store.loadState(from);
      expect([cell.value, files.files, report.name]).toEqual([{ step: 7 }, before, snapshot.name]);
    }
    expect((await locate(copy).verify()).findings).toEqual([]);
  });

  it.each(["nowhere.state", "nowhere.state.tar.gz", "no/such/folder.state"])(
    "fails as SNAPSHOT_NOT_FOUND at %s",
    async (name) => {
      const { store } = await saved(await make());
      const from = path.join(await temporaryFolder(), name);
      expect(await rejection(store.loadState(from))).toMatchObject({ code: "SNAPSHOT_NOT_FOUND" });
      expect(await rejection(store.loadState(pathToFileURL(from)))).toMatchObject({ code: "SNAPSHOT_NOT_FOUND" });
    },
  );

  it("fails as a TypeError for a URL of another kind", async () => {
    const store = (await make()).store();
    expect(await rejection(store.loadState(new URL("ftp://example.org/x.state")))).toBeInstanceOf(TypeError);
  });

  // How archives are damaged and what is said of it has a suite of its own; here each file is changed by itself.
  describe.runIf(layout === "directory")("of a folder that was damaged", () => {
    const entries = ["cell/value.json", "files/weights.bin", "files/sub/log.txt", "files/empty"];

    async function expectRefused(
      { cell, files, store, snapshot }: Awaited<ReturnType<typeof saved>>,
      expected: object,
    ) {
      expect(await rejection(store.loadState(snapshot))).toMatchObject(expected);
      expect([cell.loads, files.loads]).toEqual([0, 0]);
    }

    it.each(entries.slice(0, 3))(
      "by one changed bit of %s: SNAPSHOT_CORRUPT, and no state is touched",
      async (entry) => {
        const place = await saved(await make());
        const file = path.join(place.at, entry);
        const bytes = await readFile(file);
        for (const at of [0, Math.floor(bytes.length / 2), bytes.length - 1]) {
          const changed = Uint8Array.from(bytes);
          changed[at] = (changed[at] ?? 0) ^ 1;
          await writeFile(file, changed);
          await expectRefused(place, {
            code: "SNAPSHOT_CORRUPT",
            details: {
              uri: place.at,
              path: entry,
              expected: expect.stringMatching(/^sha256:/),
              actual: expect.stringMatching(/^sha256:/),
            },
          });
        }
      },
    );

    it.each(entries.slice(0, 3))("by a truncated %s: SNAPSHOT_CORRUPT, and no state is touched", async (entry) => {
      const place = await saved(await make());
      const sizeBytes = (await readFile(path.join(place.at, entry))).length;
      for (const length of [sizeBytes - 1, 0]) {
        await truncate(path.join(place.at, entry), length);
        await expectRefused(place, {
          code: "SNAPSHOT_CORRUPT",
          details: { path: entry, expected: `${sizeBytes} bytes`, actual: `${length} bytes` },
        });
      }
    });

    it.each(entries)("by bytes too many in %s: SNAPSHOT_CORRUPT, and no state is touched", async (entry) => {
      const place = await saved(await make());
      await appendFile(path.join(place.at, entry), "x");
      await expectRefused(place, { code: "SNAPSHOT_CORRUPT", details: { path: entry, actual: "more bytes" } });
    });

    it.each(entries)("by a missing %s: SNAPSHOT_CORRUPT, and no state is touched", async (entry) => {
      const place = await saved(await make());
      await rm(path.join(place.at, entry));
      await expectRefused(place, { code: "SNAPSHOT_CORRUPT", details: { path: entry, actual: "nothing" } });
    });

    it.each(entries)("by a link, a folder or another file in the place of %s", async (entry) => {
      const place = await saved(await make());
      const file = path.join(place.at, entry);
      const elsewhere = path.join(await temporaryFolder(), "same-bytes");
      await rename(file, elsewhere);
      await symlink(elsewhere, file);
      await expectRefused(place, { code: "SNAPSHOT_CORRUPT", details: { path: entry } });
      await rm(file);
      await mkdir(file);
      await expectRefused(place, { code: "SNAPSHOT_CORRUPT", details: { path: entry } });
    });

    it("by files exchanged for each other", async () => {
      const place = await saved(await make());
      const [one, other] = ["files/weights.bin", "files/sub/log.txt"].map((entry) => path.join(place.at, entry)) as [
        string,
        string,
      ];
      await rename(one, `${one}~`);
      await rename(other, one);
      await rename(`${one}~`, other);
      await expectRefused(place, { code: "SNAPSHOT_CORRUPT" });
    });

    it("by a file too many: that is a finding of verify, and no failure to load", async () => {
      const { cell, store, snapshot, at } = await saved(await make());
      await writeFile(path.join(at, "files", "stray"), "x");
      await writeFile(path.join(at, "stray"), "x");
      cell.value = 0;
      expect((await store.loadState(snapshot)).loaded).toEqual(["cell", "files"]);
      expect(cell.value).toEqual({ step: 7 });
    });

    it.each<[string, string, (file: string) => Promise<void>]>([
      ["a missing manifest", "MANIFEST_MISSING", (file) => rm(file)],
      ["a link in the place of the manifest", "MANIFEST_MISSING", async (file) => {
        await rename(file, `${file}~`);
        await symlink(`${file}~`, file);
      }],
      ["a truncated manifest", "MANIFEST_INVALID", (file) => truncate(file, 100)],
      ["an empty manifest", "MANIFEST_INVALID", (file) => truncate(file, 0)],
      ["a changed manifest", "MANIFEST_INVALID", async (file) => {
        const text = await readFile(file, "utf8");
        await writeFile(file, text.replace('"sizeBytes":5000', '"sizeBytes":5001'));
      }],
      ["another manifest", "MANIFEST_INVALID", (file) => writeFile(file, '{"format":"other"}\n')],
    ])("by %s: %s, and no state is touched", async (_, code, damage) => {
      const place = await saved(await make());
      await damage(path.join(place.at, "manifest.json"));
      await expectRefused(place, { code });
    });

    it("by its removal while it was being read: SNAPSHOT_GONE", async () => {
      const place = await make();
      const { cell, files, snapshot } = await saved(place);
      const backend = changed(place.backend, {
        open: async (unit, blobPath) => {
          if (blobPath !== "manifest.json") await place.backend.remove(unit);
          return await place.backend.open(unit, blobPath);
        },
      });
      const store = new StateStore(backend).register("cell", cell).register("files", files);
      const copy = await store.snapshot(snapshot.name);
      if (copy === undefined) throw new Error("not listed");
      expect(await rejection(store.loadState(copy))).toMatchObject({
        code: "SNAPSHOT_GONE",
        details: { uri: String(snapshot) },
      });
      expect([cell.loads, files.loads]).toEqual([0, 0]);
    });
  });

  it("leaves no file behind and none open: the snapshot's folder can go", async () => {
    const place = await make();
    const { store, snapshot } = await saved(place);
    await store.loadState(snapshot);
    expect(await place.files()).toEqual([path.basename(String(snapshot))]);
    expect(await snapshot.remove()).toBe(true);
    expect(await readdir(place.folder ?? "")).toEqual([]);
  });
});

describe.each(places)("a snapshot that was removed while it was open ($layout, $backend)", ({ make, layout }) => {
  it("is read on, or is SNAPSHOT_GONE, but never taken for damaged", async () => {
    const store = (await make()).store().register("files", new Files({ a: "1", b: "2" }));
    const snapshot: SnapshotLocator = await store.saveState();
    const reader = await snapshot.open();
    await snapshot.remove();
    const result = await reader.text("files/a").catch((error: unknown) => error);
    if (layout !== "directory") expect(result).toBe("1"); // one open blob stays readable
    else expect(result).toMatchObject({ code: "SNAPSHOT_GONE" });
    await reader.close();
  });
});
