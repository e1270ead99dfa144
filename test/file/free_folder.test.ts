// Where snapshots may not be kept: in a snapshot, inside one, and in a folder that only a shell would call by its name.
import { mkdir, readdir, rename, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import {
  fileBackend,
  isSnapshotError,
  keepLatest,
  LatestStatesKeeper,
  locate,
  pathState,
  RetentionKeeper,
  StateStore,
} from "snapkeep";
import { describe, expect, it } from "vitest";
import { Cell, rejection, saving } from "../store/states.ts";
import { temporaryFolder } from "../backend/temporary.ts";
import { all } from "../backend/texts.ts";

/** A folder with a directory snapshot and an archive in it. */
async function savedTwice() {
  const folder = await temporaryFolder();
  const store = new StateStore(folder).register("cell", new Cell(1));
  const directory = String(await store.saveState());
  const archive = String(await store.saveState({ layout: "tar.gz" }));
  return { folder, store, directory, archive };
}

const OPERATIONS: readonly (readonly [string, (place: string) => unknown])[] = [
  ["a save", (place) => new StateStore(place).register("cell", new Cell(1)).saveState()],
  [
    "a save as an archive",
    (place) => new StateStore(place, { layout: "tar.gz" }).register("c", new Cell(1)).saveState(),
  ],
  ["a save on a backend", (place) => new StateStore(fileBackend(place)).register("cell", new Cell(1)).saveState()],
  ["a save of a pathState", (place) => {
    const state = pathState({ save: (folder) => writeFile(`${folder}/a`, "b"), load() {} });
    return new StateStore(place).register("files", state).saveState();
  }],
  ["a resume", (place) => new StateStore(place).register("cell", new Cell(1)).resume()],
  ["a list", (place) => new StateStore(place).list()],
  ["latest", (place) => new StateStore(place).latest()],
  ["a verification of all", (place) => all(new StateStore(place).verify())],
  ["a sweep", (place) => new StateStore(place).sweep()],
  ["a load of a stream", (place) => {
    const { body } = new StateStore(place).register("cell", new Cell(1)).streamState();
    return new StateStore(place).register("cell", new Cell(1)).loadState(body);
  }],
  ["a cleanup", (place) => new RetentionKeeper(place, [keepLatest(1)]).cleanup()],
  ["a cleanup of the latest", (place) => new LatestStatesKeeper(place, 1).cleanup()],
];

describe("fileBackend", () => {
  it.each(OPERATIONS)(
    "refuses a place that is a snapshot, or inside one, by %s before anything is written",
    async (_name, run) => {
      const { folder, directory, archive } = await savedTwice();
      const inside = path.join(directory, "cell", "states");
      const before = (await readdir(folder, { recursive: true })).sort();
      for (
        const [place, reason, instead] of [
          [directory, "it is a snapshot itself", folder],
          [inside, `it lies inside the snapshot "${directory}"`, folder],
          [archive, "it is the name of an archive", folder],
          [path.join(archive, "deep", "er"), `it lies inside the snapshot "${archive}"`, folder],
          [path.join(folder, "later.tgz"), "it is the name of an archive", folder],
        ] as const
      ) {
        const thrown = await rejection((async () => await run(place))());
        // A pathState makes its folder while the state is called.
        const error = isSnapshotError(thrown, "STATE_SAVE_FAILED") ? thrown.cause : thrown;
        expect(error).toBeInstanceOf(TypeError);
        expect(String(error)).toContain(`in "${place}": ${reason}`);
        expect(String(error)).toContain(`use its parent folder "${instead}"`);
      }
      expect((await readdir(folder, { recursive: true })).sort()).toEqual(before);
    },
  );

  it("refuses an import and an export into a snapshot, and leaves it as it was", async () => {
    const { store, directory, archive } = await savedTwice();
    const refused = [
      () => new StateStore(path.join(directory, "cell")).importSnapshot(archive),
      () => locate(archive).exportTo(path.join(directory, "copy.tar.gz")),
      () => locate(archive).exportTo(`${directory}/`),
      () => locate(archive).exportTo(path.join(directory, "cell", "copy")),
    ];
    for (const run of refused) await expect(rejection(run())).resolves.toBeInstanceOf(TypeError);
    for (const { isWhole } of await all(store.verify())) expect(isWhole).toBe(true);
  });

  it("refuses a link to a snapshot, and sees what became a snapshot after the store was made", async () => {
    const { folder, directory } = await savedTwice();
    await symlink(directory, path.join(folder, "link"));
    await expect(rejection(new StateStore(path.join(folder, "link")).list())).resolves.toBeInstanceOf(TypeError);
    const store = new StateStore(path.join(folder, "moved"));
    await rename(directory, path.join(folder, "moved"));
    await expect(rejection(store.list())).resolves.toBeInstanceOf(TypeError);
  });

  it("takes folders beside a snapshot, below another program's manifest.json, and named like an archive where they are there", async () => {
    const { folder } = await savedTwice();
    await writeFile(path.join(folder, "manifest.json"), '{ "name": "my extension", "format": "snapkeep" }');
    const named = path.join(folder, "states.tar");
    await mkdir(named);
    for (const place of [path.join(folder, "more"), named]) {
      const store = new StateStore(place).register("cell", new Cell(1));
      await store.saveState();
      expect(await store.list()).toHaveLength(1);
    }
  });

  it("refuses ~ and what begins with ~/ when it is made", () => {
    for (const place of ["~", "~/states", "~\\states"]) {
      for (
        const make of [
          () => new StateStore(place),
          () => fileBackend(place),
          () => new LatestStatesKeeper(place, 1),
          () => locate(`${place}/a.state`),
        ]
      ) {
        expect(make).toThrow(TypeError);
        expect(make).toThrow(/only shells replace "~"; write join\(homedir\(\), /);
      }
    }
    for (const place of ["~states", "a~", "./~", "states/~"]) expect(() => new StateStore(place)).not.toThrow();
  });

  it("refuses ~/ as the target of an export and the source of an import and a load", async () => {
    const { store, directory } = await savedTwice();
    const refused = [
      () => locate(directory).exportTo("~/copy.tar.gz"),
      () => locate(directory).exportTo("~/"),
      () => store.importSnapshot("~/copy.tar.gz"),
      () => store.loadState("~/copy.tar.gz"),
    ];
    for (const run of refused) await expect(rejection(run())).resolves.toBeInstanceOf(TypeError);
  });

  it("makes a relative path absolute when it is made, so that a later chdir changes nothing", async () => {
    const [first, second] = [await temporaryFolder(), await temporaryFolder()];
    const before = process.cwd();
    try {
      process.chdir(first);
      const place = process.cwd(); // the folder may be a link
      const store = new StateStore("states").register("cell", new Cell(1));
      const keeper = new LatestStatesKeeper("states", 0);
      process.chdir(second);
      const snapshot = await store.saveState();
      expect(path.dirname(String(snapshot))).toBe(path.join(place, "states"));
      expect(await keeper.cleanup()).toHaveLength(1);
      expect(await readdir(second)).toEqual([]);
    } finally {
      process.chdir(before);
    }
  });

  it("saves in a place whose state is in a folder without a manifest of ours", async () => {
    const folder = await temporaryFolder();
    await writeFile(path.join(folder, "manifest.json"), "");
    await new StateStore(folder).register("s", saving((out) => out.write("a", "b"))).saveState();
  });
});
