// Registration, and where a store keeps its snapshots.
import { existsSync } from "node:fs";
import { mkdir, readdir, stat, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { type Backend, fileBackend, isSnapshotError, memoryBackend, StateStore } from "snapkeep";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { filePlaces, places, temporaryFolder } from "./places.ts";
import { Cell, rejection } from "./states.ts";

const newStore = () => new StateStore(memoryBackend());

describe("StateStore.register", () => {
  it("keeps the order of registration, and can be chained", () => {
    const store = newStore().register("c", new Cell(1)).register("a", new Cell(2)).register("b", new Cell(3));
    expect(store.stateNames).toEqual(["c", "a", "b"]);
  });

  it.each([
    ["the same name", "model", "model"],
    ["the same name in another case", "model", "Model"],
    ["a name that another normal form makes equal", "caf\u00e9", "cafe\u0301"],
    ["a name that case folding makes equal", "stra\u00dfe", "STRA\u1e9eE"],
  ])("refuses %s as STATE_ALREADY_REGISTERED and keeps the first", (_, first, second) => {
    const cell = new Cell(1);
    const store = newStore().register(first, cell);
    expect(() => store.register(second, new Cell(2))).toThrow(
      expect.objectContaining({ code: "STATE_ALREADY_REGISTERED", details: { state: second, registered: first } }),
    );
    expect(store.stateNames).toEqual([first]);
  });

  it("allows one object under several names", async () => {
    const cell = new Cell(5);
    const store = newStore().register("a", cell).register("b", cell);
    await store.saveState();
    expect(cell.saves).toBe(2);
  });

  it.each([
    "",
    ".",
    "..",
    "a/b",
    "../a",
    ".hidden",
    "a\\b",
    "C:",
    "nul",
    "a.",
    "a\0",
    "manifest.json",
    "Stargz.Index.json",
  ])(
    "refuses the unsafe name %j as NAME_UNSAFE",
    (name) => {
      const store = newStore();
      expect(() => store.register(name, new Cell(1))).toThrow(
        expect.objectContaining({ code: "NAME_UNSAFE", details: { name, reason: expect.stringMatching(/./) } }),
      );
      expect(store.stateNames).toEqual([]);
    },
  );

  it.each([undefined, null, {}, { saveState() {} }, { loadState() {} }, { saveState: 1, loadState: 2 }])(
    "refuses what is no state as a TypeError: %j",
    (state) => {
      const register = () => newStore().register("a", state as unknown as Cell);
      expect(register).toThrow(TypeError);
      expect(register).toThrow(/for plain data, give jsonState\(\{ get, set \}\) or propertiesState\(object\)/);
    },
  );

  it("tells a class from its instance", () => {
    expect(() => newStore().register("a", Cell as unknown as Cell)).toThrow(/give an instance, not the class$/);
  });

  it.each([0, -1, 1.5, NaN, Infinity, 2 ** 53])("refuses the version %d as a RangeError", (version) => {
    expect(() => newStore().register("a", new Cell(1), { version })).toThrow(RangeError);
  });

  it("refuses what is no name, or no list of names", () => {
    const store = new StateStore(memoryBackend());
    expect(() => store.register(undefined as unknown as string, new Cell(1))).toThrow(/it must be a string/);
    const options = { formerly: "old" as unknown as string[] };
    expect(() => store.register("a", new Cell(1), options)).toThrow(/formerly must be an array of names/);
  });

  it("does not touch the state", () => {
    const cell = new Cell(1);
    newStore().register("a", cell);
    expect([cell.saves, cell.loads]).toEqual([0, 0]);
  });
});

describe("StateStore.unregister", () => {
  it("forgets a state, says whether there was one, and frees its name", async () => {
    const cell = new Cell(1);
    const store = newStore().register("a", cell).register("b", new Cell(2));
    expect([store.unregister("a"), store.unregister("a"), store.unregister("c")]).toEqual([true, false, false]);
    await store.saveState();
    expect(cell.saves).toBe(0);
    expect(store.register("A", new Cell(3)).stateNames).toEqual(["b", "A"]);
  });
});

describe("new StateStore", () => {
  it.each([["", TypeError], [new URL("https://example.org/states"), TypeError], ["gs://states", TypeError]])(
    "refuses %j",
    (where, kind) => {
      expect(() => new StateStore(where)).toThrow(kind);
    },
  );

  it("refuses an unknown layout, before anything is saved", () => {
    for (const layout of ["zip", "gz", "archive", "tar"]) {
      expect(() => new StateStore(memoryBackend(), { layout: layout as "tar.gz" })).toThrow(TypeError);
    }
  });

  it("refuses an unknown durability: a word mistyped must not cost a sync", async () => {
    const folder = await temporaryFolder();
    for (const durability of ["Full", "", true]) {
      const options = { durability: durability as "full" };
      expect(() => new StateStore(folder, options)).toThrow(/Cannot use the durability .*must be "full" or "none"/);
    }
  });

  it.each([undefined, null, 5, {}])("refuses to keep snapshots in %j, and says what is expected", (where) => {
    expect(() => new StateStore(where as unknown as string)).toThrow(/Cannot make a store of .*a folder's path/);
  });

  it("refuses a backend whose methods were lost when it was wrapped, and names them", () => {
    const { stage } = fileBackend("states");
    const copy = { ...fileBackend("states"), stage } as unknown as Backend;
    expect(() => new StateStore(copy)).toThrow(
      /^Cannot make a store of a backend without create\(\), .*list\(\), .*sweep\(\);/,
    );
  });

  it("refuses a durability beside a backend, which has its own", () => {
    expect(() => new StateStore(memoryBackend(), { durability: "none" })).toThrow(TypeError);
  });

  it.each(["%Y-%m-%d.tgz", "%Y-%m-%d.tzst", "%Y-%m-%d.tar.gz"])("refuses names that are archives': %s", (format) => {
    expect(() => new StateStore(memoryBackend(), { stateNameFormat: format })).toThrow(RangeError);
  });

  it("tells a clock that tells no time", async () => {
    const store = new StateStore(memoryBackend(), { now: () => NaN });
    expect(await rejection(store.saveState())).toEqual(new RangeError("Cannot name a snapshot: the clock says NaN"));
  });

  it("refuses a name format whose names would not sort by time", () => {
    expect(() => new StateStore(memoryBackend(), { stateNameFormat: "%d-%m-%Y.state" })).toThrow(RangeError);
  });

  it("reads and makes nothing", async () => {
    const folder = path.join(await temporaryFolder(), "states");
    const store = new StateStore(folder).register("a", new Cell(1));
    expect([await store.list(), await store.latest(), await store.snapshot("x.state")]).toEqual([
      [],
      undefined,
      undefined,
    ]);
    expect(await stat(folder).catch(() => "missing")).toBe("missing");
  });
});

describe.each(places)("StateStore ($layout, $backend)", ({ make }) => {
  it("lists only committed snapshots whose names have its format, oldest first", async () => {
    const place = await make();
    let nowMs = Date.parse("2026-01-01T00:00:00Z");
    const store = place.store({ now: () => nowMs });
    const other = place.store({ stateNameFormat: "keep-%Y-%m-%d.state", now: () => nowMs });
    const names: string[] = [];
    for (const ms of [1000, 0, 500_000, 1]) {
      nowMs += ms;
      names.push((await store.saveState()).name);
    }
    const keepsake = await other.saveState();
    const stage = await place.backend.stage("2027-01-01_00-00-00,000000.state/");
    expect((await store.list()).map(({ name }) => name)).toEqual(names);
    expect((await other.list()).map(({ name }) => name)).toEqual([keepsake.name]);
    expect((await store.latest())?.name).toBe(names.at(-1));
    await stage.abandon();
  });

  it("finds any snapshot by name, also a keepsake, and none that is not there", async () => {
    const place = await make();
    const keepsake = await place.store({ stateNameFormat: "best-%Y-%m-%d" }).register("a", new Cell("best"))
      .saveState();
    const store = place.store().register("a", new Cell(0));
    const found = await store.snapshot(keepsake.name);
    expect(String(found)).toBe(String(keepsake));
    expect([store.isTimedName(keepsake.name), store.isTimedName("2026-01-01_00-00-00,000000.state")]).toEqual([
      false,
      true,
    ]);
    expect(await store.snapshot("none.state")).toBeUndefined();
    if (found === undefined) throw new Error("not found");
    expect((await store.loadState(found)).loaded).toEqual(["a"]);
  });

  it("lists by name in byte order, whatever the layouts and whatever is in the names", async () => {
    const place = await make();
    let day = 9; // beyond UTF-16, where the order of code units is another one than that of bytes
    const store = place.store({ stateNameFormat: "\u{1f4be}%Y-%m-%d\uff01", now: () => Date.UTC(2026, 0, day) });
    const names: string[] = [];
    for (const kind of ["tar.gz", "directory", "tar.gz", "directory"] as const) {
      names.push((await store.saveState({ layout: kind })).name);
      day++;
    }
    const sorted = [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect((await store.list()).map(({ name }) => name)).toEqual(sorted);
    expect(names).toEqual(sorted);
  });

  it("stops listing when its signal is aborted", async () => {
    const store = (await make()).store().register("a", new Cell(1));
    await store.saveState();
    const reason = new Error("enough");
    expect(await rejection(store.list({ signal: AbortSignal.abort(reason) }))).toBe(reason);
  });

  it("sweeps away what a dead writer left, and nothing else", async () => {
    const place = await make();
    const store = place.store().register("a", new Cell(1));
    const snapshot = await store.saveState();
    await place.backend.stage("2020-01-01_00-00-00,000000.state/");
    expect(await store.sweep()).toEqual([]); // it may be alive
    expect(await store.sweep({ force: true })).toEqual(["2020-01-01_00-00-00,000000.state"]);
    expect((await store.list()).map(String)).toEqual([String(snapshot)]);
    expect((await snapshot.verify()).isWhole).toBe(true);
  });
});

describe.each(filePlaces)("StateStore beside what the dead left ($layout)", ({ make }) => {
  it("sweeps at the first save, and again when what was too young then is old enough", async () => {
    const { folder = "", ...place } = await make();
    await mkdir(path.join(folder, ".2020-01-01_00-00-00,000000.state.0123456789abcdef.stage"), { recursive: true });
    await writeFile(path.join(folder, ".2020-01-01_00-00-00,000000.state.claim"), ""); // this program starts a moment later
    const leftovers = async () => (await readdir(folder)).filter((file) => file.startsWith(".2020")).sort();
    const before = await leftovers();
    expect(before).toHaveLength(2);
    let nowMs = 1_000;
    const clock = vi.spyOn(performance, "now").mockImplementation(() => nowMs);
    onTestFinished(() => clock.mockRestore());
    const store = place.store().register("a", new Cell(1));
    await store.saveState();
    const longAgo = Date.now() / 1000 - 3600;
    for (const file of before) await utimes(path.join(folder, file), longAgo, longAgo);
    nowMs += 9 * 60_000;
    await store.saveState();
    expect(await leftovers()).toEqual(before);
    nowMs += 60_000;
    await store.saveState();
    expect(await leftovers()).toEqual([]);
  });

  it("refuses a limit that is no number from 0 on, and a limit beside force", async () => {
    expect(await rejection((await make()).store().sweep({ olderThanMs: 1, force: true }))).toBeInstanceOf(TypeError);
    for (const olderThanMs of [NaN, "5", -1, -Infinity]) {
      const options = { olderThanMs: olderThanMs as number };
      expect(await rejection((await make()).store().sweep(options))).toBeInstanceOf(RangeError);
    }
  });
});

describe.each(filePlaces)("StateStore on disk ($layout)", ({ layout }) => {
  it("makes missing folders, however deeply nested, when it is first saved to", async () => {
    const folder = path.join(await temporaryFolder(), "a", "b", "c");
    const snapshot = await new StateStore(folder, { layout }).register("a", new Cell(1)).saveState();
    expect(String(snapshot).startsWith(folder + path.sep)).toBe(true);
    expect(await readdir(folder)).toEqual([path.basename(String(snapshot))]);
  });

  it("takes a file: URL, a path and a backend for the same place, whatever characters are in it", async () => {
    const folder = path.join(await temporaryFolder(), "odd #1 100%25 ü?");
    const store = new StateStore(pathToFileURL(folder), { layout }).register("a", new Cell(7));
    const snapshot = await store.saveState();
    expect(path.dirname(String(snapshot))).toBe(folder);
    for (
      const where of [
        folder,
        pathToFileURL(folder),
        pathToFileURL(folder).href,
        pathToFileURL(`${folder}/`),
        fileBackend(folder),
      ]
    ) {
      const cell = new Cell(0);
      const other = new StateStore(where).register("a", cell);
      expect((await other.list()).map(String)).toEqual([String(snapshot)]);
      await other.loadState((await other.list())[0] ?? "");
      expect(cell.value).toBe(7);
    }
  });

  it("steps over a foreign folder that has the very name it would use", async () => {
    const folder = await temporaryFolder();
    const now = () => Date.parse("2026-01-01T00:00:00Z");
    await mkdir(path.join(folder, "2026-01-01_00-00-00,000000.state"));
    await writeFile(path.join(folder, "2026-01-01_00-00-00,000000.state", "theirs"), "x");
    const snapshot = await new StateStore(folder, { layout, now }).register("a", new Cell(1)).saveState();
    expect(snapshot.name).toBe("2026-01-01_00-00-00,000001.state");
    expect(await readdir(path.join(folder, "2026-01-01_00-00-00,000000.state"))).toEqual(["theirs"]);
  });

  it.skipIf(!existsSync("/proc/self"))("fails where no folder can be made, and does not try permanently", async () => {
    const error = await rejection(new StateStore("/proc/states/deep", { layout }).saveState());
    expect(error).toMatchObject({ code: "STORAGE_FAILED" });
  });

  it.each(["x.gz", "package.json"])("tells that the file %s is no snapshot", async (name) => {
    const file = path.join(await temporaryFolder(), name);
    await writeFile(file, "{}");
    const store = new StateStore(await temporaryFolder(), { layout });
    for (const use of [() => store.loadState(file), () => store.importSnapshot(file)]) {
      const error = await rejection(use());
      expect(error).toMatchObject({ code: "SNAPSHOT_NOT_FOUND" });
      expect(String(error)).toContain("a file of one ends with .tar.gz, .tar.zst or .tar");
    }
  });

  it("fails with a typed error where its folder is a file", async () => {
    const file = path.join(await temporaryFolder(), "file");
    await writeFile(file, "x");
    const error = await rejection(new StateStore(file, { layout }).register("a", new Cell(1)).saveState());
    expect(isSnapshotError(error, "STORAGE_FAILED")).toBe(true);
  });
});
