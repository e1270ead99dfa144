// The contract of what is published: listing, opening, removing.
import { isSnapshotError } from "../model/errors.ts";
import { MANIFEST_PATH } from "../model/unit.ts";
import {
  all,
  BLOB,
  type Cases,
  check,
  drain,
  encode,
  failure,
  GROUP,
  isUnseen,
  publish,
  same,
  textOf,
} from "./expectations.ts";

/** Cases about published units. */
export const unitCases: Cases = {
  "its address ends with a slash": (backend) =>
    Promise.resolve(check(backend.uri.endsWith("/"), `its address is "${backend.uri}"`)),

  "a place that was not made yet is empty, and looking does not fail": async (backend) => {
    same(await all(backend.list()), [], "units");
    same(await all(backend.list({ after: GROUP })), [], "units after one that is not there");
    same(await all(backend.blobs(GROUP)), [], "blobs of a missing group");
    same(await all(backend.blobs(BLOB)), [], "blobs of a missing blob");
    same(await backend.open(GROUP, MANIFEST_PATH), undefined, "a missing commit blob");
    same(await backend.open(BLOB), undefined, "a missing single blob");
    same(await backend.remove(GROUP), false, "removal of a missing group");
    same(await backend.remove(BLOB), false, "removal of a missing blob");
    same(await backend.sweep(0), [], "swept units");
    same(await all(backend.notes.list()), [], "notes");
  },

  "making the place again does nothing": async (backend) => {
    await backend.create();
    await publish(backend, GROUP, "commit");
    same(await backend.create(), false, "whether the place had to be made again");
    same(await all(backend.list()), [GROUP], "units");
  },

  "a group is unseen until it is published, and then there whole": async (backend) => {
    const stage = await backend.stage(GROUP);
    await isUnseen(backend, GROUP, "before the first write");
    same(await stage.write("model/weights.bin", [encode("weights")]), { sizeBytes: 7 }, "result of a write");
    await stage.write("step", [encode("12")]);
    await isUnseen(backend, GROUP, "before it is published");
    same(await backend.open(GROUP, "step"), undefined, "a blob before the unit is published");
    await stage.publish(MANIFEST_PATH, [encode("commit")]);
    same(await all(backend.list()), [GROUP], "units");
    same(await textOf(backend, GROUP, MANIFEST_PATH), "commit", "commit blob");
    same(await textOf(backend, GROUP, "model/weights.bin"), "weights", "blob in a folder");
    same(await textOf(backend, GROUP, "step"), "12", "blob");
  },

  "a single blob is unseen until it is published, and then there whole": async (backend) => {
    const stage = await backend.stage(BLOB);
    await isUnseen(backend, BLOB, "before it is published");
    const seen: string[] = [];
    await stage.publish(
      "",
      (async function* () {
        yield encode("one ");
        seen.push(...await all(backend.list()));
        yield encode("two");
      })(),
    );
    same(seen, [], "units while it is written");
    same(await all(backend.list()), [BLOB], "units");
    same(await textOf(backend, BLOB), "one two", "content");
  },

  "a group may consist of its commit blob alone": async (backend) => {
    await publish(backend, GROUP, "commit");
    same(await all(backend.blobs(GROUP)), [{ path: MANIFEST_PATH, sizeBytes: 6, isRegular: true }], "blobs");
  },

  "units are listed in byte order, whatever the order of publishing": async (backend) => {
    const units = ["b.state/", "a.state/", "a0.state.tar.gz", "a-b.state/", "B.state.tar.zst", "aa.state.tar.gz", "c/"];
    for (const unit of units) await publish(backend, unit, unit);
    same(await all(backend.list()), [...units].sort(), "units");
  },

  "listing after a unit, there or not, gives the later ones": async (backend) => {
    const units = ["1.state/", "2.state.tar.gz", "3.state/", "4.state.tar.gz"];
    for (const unit of units) await publish(backend, unit, unit);
    for (const after of ["", "1", ...units, "2.state/", "2.state.tar", "3.state.tar.gz", "4.state/", "9"]) {
      same(await all(backend.list({ after })), units.filter((unit) => unit > after), `units after "${after}"`);
    }
  },

  "list rejects when its signal is aborted": async (backend) => {
    await publish(backend, GROUP, "commit");
    const reason = new Error("enough");
    const error = await failure(
      all(backend.list({ signal: AbortSignal.abort(reason) })),
      "listing with an aborted signal",
    );
    check(error === reason, `expected the signal's reason, found ${error}`);
  },

  "blobs of a unit are listed with path and size": async (backend) => {
    await publish(backend, GROUP, "commit", { "a/b/c": "abc", "a/d": "", "z": "zz" });
    await publish(backend, BLOB, "blob");
    const found = (await all(backend.blobs(GROUP))).sort((a, b) => a.path < b.path ? -1 : 1);
    same(
      found.map(({ path, sizeBytes, isRegular }) => [path, sizeBytes, isRegular]),
      [["a/b/c", 3, true], ["a/d", 0, true], [MANIFEST_PATH, 6, true], ["z", 2, true]],
      "blobs of a group",
    );
    same(await all(backend.blobs(BLOB)), [{ path: "", sizeBytes: 4, isRegular: true }], "blobs of a single blob");
  },

  "opening what is not there gives undefined": async (backend) => {
    await publish(backend, GROUP, "commit", { "a/b": "ab" });
    await publish(backend, BLOB, "blob");
    for (const path of ["c", "a/c", "a/b/c", `${MANIFEST_PATH}/c`]) {
      same(await backend.open(GROUP, path), undefined, `"${path}", which was not written`);
    }
    same(await backend.open(GROUP, "a"), undefined, `"a", which is the beginning of a path and no blob`);
    same(await backend.open("2026-01-03.state/", MANIFEST_PATH), undefined, "the same name in another layout");
    same(await backend.open("2026-01-02.state.tar.gz"), undefined, "the same name in another layout");
  },

  "units of different names do not mix": async (backend) => {
    await publish(backend, "1.state/", "first", { x: "1" });
    await publish(backend, "2.state/", "second", { x: "2", y: "2" });
    same(await textOf(backend, "1.state/", "x"), "1", "blob of the first");
    same(await textOf(backend, "2.state/", "x"), "2", "blob of the second");
    same(await backend.open("1.state/", "y"), undefined, "blob of the second in the first");
  },

  "removing makes a unit unseen at once, tells whether it was there, and leaves the others": async (backend) => {
    await publish(backend, GROUP, "commit", { "a/b": "ab" });
    await publish(backend, BLOB, "blob");
    await publish(backend, "9.state/", "stays", { "a/b": "stays too" });
    for (const unit of [GROUP, BLOB]) {
      same(await backend.remove(unit), true, `removal of "${unit}"`);
      await isUnseen(backend, unit, "after it was removed");
      same(await backend.remove(unit), false, `second removal of "${unit}"`);
    }
    same(await backend.open(GROUP, "a/b"), undefined, "a blob of a removed group");
    same(await all(backend.list()), ["9.state/"], "units");
    same(await textOf(backend, "9.state/", "a/b"), "stays too", "a blob of the other");
  },

  "remove resolves to true for one caller only when many remove one unit": async (backend) => {
    await publish(backend, GROUP, "commit", { "a/b": "ab" });
    const told = await Promise.all(Array.from({ length: 8 }, () => backend.remove(GROUP)));
    same(told.filter(Boolean).length, 1, "removals that found it");
    await isUnseen(backend, GROUP, "after it was removed");
  },

  "the name of a removed unit is free again, in every layout": async (backend) => {
    await publish(backend, "1.state/", "old", { x: "old", y: "old" });
    await backend.remove("1.state/");
    await publish(backend, "1.state/", "new", { x: "new" });
    same(await textOf(backend, "1.state/", "x"), "new", "blob of the new unit");
    same(await backend.open("1.state/", "y"), undefined, "blob of the old unit");
    await backend.remove("1.state/");
    await publish(backend, "1.state.tar.gz", "archive");
    same(await textOf(backend, "1.state.tar.gz"), "archive", "blob of the new unit");
  },

  "a reader that is open while its unit is removed and replaced sees the old bytes or fails": async (backend) => {
    for (const unit of [GROUP, BLOB]) {
      await publish(backend, unit, "old bytes");
      const reader = await (unit === GROUP ? backend.open(unit, MANIFEST_PATH) : backend.open(unit));
      check(reader !== undefined, `cannot open "${unit}", which was published`);
      await backend.remove(unit);
      await publish(backend, unit, "NEW BYTES");
      for (const read of [() => reader.read(0, 9), () => drain(reader.stream())]) {
        try {
          same(new TextDecoder().decode(await read()), "old bytes", `what the reader of "${unit}" sees`);
        } catch (error) {
          if (!isSnapshotError(error)) throw error;
        }
      }
      await reader.close();
    }
  },
};
