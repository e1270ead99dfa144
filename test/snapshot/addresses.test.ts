// How messages write addresses and near misses: a path in a folder, as `String(snapshot)` gives, and what may have been meant.
import { constants } from "node:buffer";
import { copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { isSnapshotError, LatestStatesKeeper, locate, type Manifest, memoryBackend, StateStore } from "snapkeep";
import { describe, expect, it } from "vitest";
import { SnapshotReader } from "../../src/snapshot/snapshot_reader.ts";
import { filePlaces, temporaryFolder } from "../store/places.ts";
import { Files, rejection } from "../store/states.ts";

describe.each(filePlaces)("messages about snapshots in a folder ($layout)", ({ layout }) => {
  it("have paths and no file: URIs, whatever fails", async () => {
    const folder = path.join(await temporaryFolder(), "my states, 100%");
    const store = new StateStore(folder, { layout, durability: "none" }).register("a", new Files({ "x.txt": "x" }));
    const snapshot = await store.saveState();
    const damaged = await store.saveState();
    const suffix = layout !== "directory" ? ".tar.gz" : "";
    const damagedFile = path.join(folder, damaged.name + suffix, layout !== "directory" ? "" : "manifest.json");
    await writeFile(damagedFile, "{}");
    await mkdir(path.join(folder, "bare.state"));
    await writeFile(path.join(folder, "bare.state", "x.txt"), "x");
    const other = new StateStore(memoryBackend());
    const gone = await store.saveState();
    await gone.remove();
    const others = new StateStore(folder).register("other", new Files());
    const errors = [
      await rejection(store.loadState(path.join(folder, "none.state" + suffix))),
      await rejection(store.loadState(pathToFileURL(path.join(folder, "none.state" + suffix)))),
      await rejection(locate(path.join(folder, "none.state")).stat()),
      await rejection(store.loadState(path.join(folder, "bare.state"))),
      await rejection(damaged.stat()),
      await rejection(store.loadState(damaged)),
      await rejection(damaged.exportTo(path.join(folder, "..", "copy/"))),
      await rejection(others.loadState(snapshot)),
      await rejection(others.resume()),
      await rejection(gone.label({ tags: ["x"] })),
      await rejection(gone.verify()),
      await rejection(store.importSnapshot(damaged)),
      await rejection(store.importSnapshot(snapshot)),
      await rejection((async () => new LatestStatesKeeper(store, 1).append(await other.saveState()))()),
      await rejection((async () => new LatestStatesKeeper(memoryBackend(), 1).append(snapshot))()),
      await rejection((async () => {
        await using reader = await snapshot.open();
        await reader.bytes("a/y.txt");
      })()),
    ];
    for (const error of errors) {
      const { message } = error as Error;
      expect(message).toMatch(/^Cannot /);
      expect(message).not.toContain("file:");
      expect(message).not.toContain("%20");
    }
    expect((errors[0] as Error).message).toContain(`"${path.join(folder, "none.state")}${suffix}"`);
    expect((errors[3] as Error).message).toContain(`"${path.join(folder, "bare.state")}"`);
    expect((errors[4] as Error).message).toContain(`"${damaged}"`);
  });

  it("name the newest snapshot and resume() when a folder of snapshots is loaded as one", async () => {
    const folder = path.join(await temporaryFolder(), "states");
    const store = new StateStore(folder, { layout, durability: "none" }).register("a", new Files({ "x.txt": "x" }));
    await store.saveState();
    expect(String(await rejection(store.loadState(folder)))).toContain("a folder of 1 snapshot and no snapshot itself");
    const newest = await store.saveState();
    for (
      const load of [() => store.loadState(folder), () => locate(folder).open(), () => store.importSnapshot(folder)]
    ) {
      const error = await rejection(load());
      expect(isSnapshotError(error, "MANIFEST_MISSING")).toBe(true);
      expect((error as Error).message).toContain("folder of 2 snapshots");
      expect((error as Error).message).toContain("resume()");
      expect((error as Error).message).toContain(`"${newest}"`);
    }
  });

  it("name the nearest entries when there is none at a path", async () => {
    const files = { "weights.bin": "1", "weights_old.bin": "2", "bias.bin": "3", "notes/readme.txt": "4" };
    const store = new StateStore(await temporaryFolder(), { layout, durability: "none" })
      .register("model", new Files(files)).register("other", new Files({ "wieghts.bin": "5" }));
    await using reader = await (await store.saveState()).open();
    const message = async (at: string) => (await rejection(reader.bytes(at)) as Error).message;
    expect(await message("model/wieghts.bin")).toContain('"model/weights.bin"');
    expect(await message("model/wieghts.bin")).not.toContain('"other/');
    expect((await message("model/wieghts.bin")).match(/"model\//g)).toHaveLength(4);
    expect(await message("model/readme.txt")).toContain('the nearest are "model/');
    expect(await message("model/readme.txt")).toContain('"model/notes/readme.txt"');
    expect(await message("mode/bias.bin")).toContain('"model/bias.bin"');
    expect((await rejection(reader.state("other")?.text("x") as Promise<string>) as Error).message)
      .toContain('the nearest is "other/wieghts.bin"');
    const empty = await new StateStore(memoryBackend()).register("none", new Files()).saveState();
    await using emptyReader = await empty.open();
    expect((await rejection(emptyReader.text("none/x")) as Error).message).toContain("the snapshot has no entries");
  });
});

describe("a snapshot that is not there", () => {
  it("is said to be near only what is spelt like it", async () => {
    const folder = await temporaryFolder();
    await mkdir(path.join(folder, "quite-another-thing.state"));
    await writeFile(path.join(folder, "quite-another-thing.state", "manifest.json"), "{}");
    const messageOf = async (name: string) => String(await rejection(locate(path.join(folder, name)).open()));
    expect(await messageOf("x.state")).toMatch(/check the path and the working directory; no snapshot in "/);
    expect(await messageOf("quite-other-thing.state")).toContain("the nearest in");
  });

  it.each<[unknown, string]>([[5, "5 is a number"], [null, "it is null"], ["", 'Cannot use ""'], [
    "~/x",
    "join(homedir()",
  ]])(
    "cannot be exported to %j",
    async (target, what) => {
      const snapshot = await new StateStore(memoryBackend()).register("none", new Files()).saveState();
      const error = await rejection(snapshot.exportTo(target as string));
      expect(error).toBeInstanceOf(TypeError);
      expect(String(error)).toContain(what);
    },
  );
});

describe("text and json of an entry", () => {
  it("says which entry is not JSON", async () => {
    const store = new StateStore(memoryBackend()).register("model", new Files({ "run.json": "{" }));
    const snapshot = await store.saveState();
    await using reader = await snapshot.open();
    const error = await rejection(reader.json("model/run.json"));
    expect(error).toBeInstanceOf(SyntaxError);
    expect(String(error)).toContain(`Cannot read "model/run.json" in "${String(snapshot)}" as JSON: `);
  });

  it("fail before anything is read when it is more than a string can hold", async () => {
    const sizeBytes = constants.MAX_STRING_LENGTH * 3 + 1;
    const entry = { path: "log.txt", sizeBytes, digest: `sha256:${"0".repeat(64)}` } as const;
    const manifest = {
      states: [{ name: "run", version: 1, entries: [entry] }],
      totals: { sizeBytes },
    } as unknown as Manifest;
    let opened = 0;
    const unit = {
      mostOpen: 1,
      layout: "directory" as const,
      sealed: {
        manifest,
        bytes: new Uint8Array(),
        read: () => Promise.resolve(manifest),
        known: undefined,
        indexNow: () => new Map([["run/log.txt", entry]]),
        index: () => Promise.resolve(new Map([["run/log.txt", entry]])),
        *finding() {
          yield;
          return undefined;
        },
      },
      check() {},
      open: () => Promise.resolve(void opened++),
      close: () => Promise.resolve(),
    };
    const reader = new SnapshotReader("states/x.state", unit, () => Promise.resolve(false));
    const state = reader.state("run");
    const reads = [() => reader.text("run/log.txt"), () => reader.json("run/log.txt"), () => state?.text("log.txt")];
    for (const read of reads) {
      const error = await rejection(read() as Promise<unknown>);
      expect(error).toBeInstanceOf(RangeError);
      expect((error as Error).message).toContain('"run/log.txt"');
      expect((error as Error).message).toContain(String(sizeBytes));
      expect((error as Error).message).toContain("stream()");
    }
    expect(opened).toBe(0);
  });
});

describe("names with characters that stand for others in URIs", () => {
  it("are written as they are", async () => {
    const folder = await temporaryFolder();
    const saved = await new StateStore(folder, { durability: "none" }).register("a", new Files({ x: "1" })).saveState();
    const odd = await saved.exportTo(path.join(folder, "50%41 #1.state.tar.gz"));
    await copyFile(String(odd), path.join(folder, "copy.state.tar.gz"));
    await writeFile(String(odd), "no archive at all");
    expect((await rejection(odd.stat()) as Error).message).toContain('50%41 #1.state.tar.gz"');
    await rm(String(odd));
    expect((await rejection(odd.stat()) as Error).message).toContain('50%41 #1.state.tar.gz"');
  });
});
