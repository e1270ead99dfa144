// Addresses of snapshots: the same by path, by URL and by name, and harmless where there is nothing.
import { createReadStream } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { fileBackend, locate, memoryBackend, type SnapshotLocator, StateStore } from "snapkeep";
import { describe, expect, it } from "vitest";
import { isLocator } from "../../src/snapshot/locator.ts";
import { filePlaces, places, temporaryFolder } from "../store/places.ts";
import { Cell, Files } from "../store/states.ts";

describe("locate", () => {
  it.each([
    ["states/x.state", "x.state", "directory"],
    ["states/x.state.tar.gz", "x.state", "tar.gz"],
    ["/a/b/c/x.tar.gz", "x", "tar.gz"],
    ["/a/b/c/x.tar.zst", "x", "tar.zst"],
    ["/a/b/c/x.tar", "x", "tar"],
    ["x.state", "x.state", "directory"],
    ["./states/../x.state/", "x.state", "directory"],
  ])("reads name and layout off the path %j", (from, name, layout) => {
    expect(locate(from)).toMatchObject({ name, layout });
  });

  it("finds itself again by its text and by its URI, whatever characters are in them", () => {
    for (const name of ["x.state", "ä ö#ü%25&é,重.state", "best of'em (1)!"]) {
      for (const suffix of ["", ".tar.gz"]) {
        const locator = locate(path.join(path.resolve("odd #1 100%25 ü?"), name + suffix));
        for (
          const again of [locate(String(locator)), locate(new URL(locator.uri)), locate(pathToFileURL(String(locator)))]
        ) {
          expect([again.name, again.layout, String(again), again.uri]).toEqual([
            name,
            locator.layout,
            String(locator),
            locator.uri,
          ]);
        }
      }
    }
  });

  it.each([".hidden.state", "a/b?c", "a/b:c", "a/NUL", "x./"])(
    "refuses the unsafe name of %j as NAME_UNSAFE",
    (from) => {
      expect(() => locate(from)).toThrow(expect.objectContaining({ code: "NAME_UNSAFE" }));
    },
  );

  it.each(["../x.state", "a/b.state", "", ".x", "a\0"])(
    "refuses the unsafe name %j on a backend as NAME_UNSAFE",
    (name) => {
      expect(() => locate(memoryBackend(), name)).toThrow(expect.objectContaining({ code: "NAME_UNSAFE" }));
    },
  );

  it.each([
    ["http://h/a/x.tar.gz", "http://h/a/x.tar.gz"],
    ["HTTPS://h/a/x%20y.tar.gz?token=1", "https://h/a/x%20y.tar.gz"],
    ["file:///a/b/x.state", path.resolve("/a/b/x.state")],
  ])("reads the text %j as the URL it is", (text, address) => {
    expect(String(locate(text))).toBe(address);
  });

  it.each(["gs://bucket/x", new URL("ftp://h/x.tar.gz")])(
    "refuses the URL %s, and says which it takes",
    (from) => {
      expect(() => locate(from)).toThrow(
        new TypeError(
          `Cannot locate "${from}": expected a path, or a URL of file:, http:, https: or s3:`,
        ),
      );
    },
  );

  it("refuses a backend without a name as a TypeError", () => {
    expect(() => (locate as (where: unknown) => unknown)(memoryBackend())).toThrow(
      new TypeError("Cannot locate a snapshot on a backend without its name"),
    );
  });

  it.each<[string, () => unknown]>([
    ["a response", () => new Response("x")],
    ["bytes", () => new Uint8Array(1)],
    ["a Node stream", () => createReadStream(import.meta.filename)],
    ["nothing", () => undefined],
    ["a Promise", () => Promise.resolve("states/x.state")],
  ])("refuses %s in the place of a snapshot, and says what is expected", async (_, make) => {
    const store = new StateStore(memoryBackend());
    for (const take of [store.loadState.bind(store), store.importSnapshot.bind(store)]) {
      await expect(take(make() as never)).rejects.toThrow(
        /^Cannot locate a snapshot: expected a path, a URL, .*give its body/,
      );
    }
  });
});

describe.each(places)("SnapshotLocator ($layout, $backend)", ({ make, layout }) => {
  const suffix = layout !== "directory" ? ".tar.gz" : "";

  it("is only an address: it tells whether there is a snapshot, now or later", async () => {
    const place = await make();
    const now = () => Date.parse("2026-01-01T00:00:00Z");
    const locator = locate(place.backend, `2026-01-01_00-00-00,000000.state${suffix}`);
    expect(await locator.exists()).toBe(false);
    await place.store({ now }).saveState();
    expect(await locator.exists()).toBe(true);
    expect(await locator.remove()).toBe(true);
    expect(await locator.exists()).toBe(false);
  });

  it("removes a snapshot once, at once, and nothing else", async () => {
    const place = await make();
    const store = place.store().register("a", new Cell(1));
    const [first, second] = [await store.saveState(), await store.saveState()];
    expect([await first.remove(), await first.remove()]).toEqual([true, false]);
    expect((await store.list()).map(String)).toEqual([String(second)]);
    expect((await second.verify()).isWhole).toBe(true);
    if (place.folder !== undefined) expect(await place.files()).toEqual([path.basename(String(second))]);
  });

  it("tells facts out of the manifest and the storage", async () => {
    const store = (await make()).store({ now: () => 1_800_000_000_000 }).register(
      "a",
      new Files({ x: new Uint8Array(1000), y: "" }),
    );
    const { storedBytes, ...stat } = await (await store.saveState()).stat();
    expect(stat).toEqual({
      name: "2027-01-15_08-00-00,000000.state",
      layout,
      savedAt: new Date(1_800_000_000_000),
      states: 1,
      entries: 2,
      sizeBytes: 1000,
    });
    expect(storedBytes).toBeGreaterThan(layout !== "directory" ? 0 : 1000); // the manifest takes room as well
  });

  it("is known as a locator, also one of another copy of the library", async () => {
    const snapshot: SnapshotLocator = await (await make()).store().saveState();
    expect([isLocator(snapshot), isLocator({ [Symbol.for("snapkeep.SnapshotLocator")]: true })]).toEqual([true, true]);
    expect([null, undefined, "x", {}, new URL("file:///x")].map(isLocator)).not.toContain(true);
  });
});

describe.each(filePlaces)("SnapshotLocator on disk ($layout)", ({ make }) => {
  it("reads as a path and has a file: URI", async () => {
    const place = await make();
    const snapshot = await place.store().saveState();
    expect(path.dirname(String(snapshot))).toBe(place.folder);
    expect(String(snapshot).endsWith(path.sep)).toBe(false);
    expect(snapshot.uri).toBe(pathToFileURL(String(snapshot)).href);
  });
});

describe("a name that lies in both layouts", () => {
  it("is one snapshot to the list, read from the folder, and removed in both", async () => {
    const folder = await temporaryFolder();
    const store = new StateStore(fileBackend(folder)).register("a", new Cell(1));
    const snapshot = await store.saveState();
    await snapshot.exportTo(`${folder}/`, { layout: "tar.gz" });
    const listed = await store.list();
    expect(listed.map(({ name, layout }) => [name, layout])).toEqual([[snapshot.name, "directory"]]);
    expect(await listed[0]?.remove()).toBe(true);
    expect([await store.list(), await snapshot.exists()]).toEqual([[], false]);
    expect(await locate(`${String(snapshot)}.tar.gz`).exists()).toBe(false);
  });
});
