// Verification finds everything that is not as it was saved, names it, and repairs nothing.
import { appendFile, mkdir, readdir, rename, rm, stat, symlink, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { locate } from "snapkeep";
import { describe, expect, it } from "vitest";
import { changed, filePlaces, places, temporaryFolder } from "../store/places.ts";
import { Files, rejection } from "../store/states.ts";

const files = { "weights.bin": new Uint8Array(5000).fill(3), "sub/log.txt": "hello", "empty": "" };

describe.each(places)("SnapshotLocator.verify ($layout, $backend)", ({ make }) => {
  it("finds nothing wrong with a whole snapshot, and says how much it read", async () => {
    const snapshot = await (await make()).store().register("a", new Files(files)).saveState();
    expect(await snapshot.verify()).toEqual({
      uri: String(snapshot),
      isWhole: true,
      findings: [],
      entries: 3,
      sizeBytes: 5005,
    });
  });

  it("reads no entry in quick mode, and says so", async () => {
    const snapshot = await (await make()).store().register("a", new Files(files)).saveState();
    expect(await snapshot.verify({ mode: "quick" })).toEqual({
      uri: String(snapshot),
      isWhole: true,
      findings: [],
      entries: 0,
      sizeBytes: 0,
    });
  });

  it("throws SNAPSHOT_NOT_FOUND where there is nothing to verify", async () => {
    const snapshot = await (await make()).store().saveState();
    await snapshot.remove();
    for (const mode of ["quick", "full"] as const) {
      expect(await rejection(snapshot.verify({ mode }))).toMatchObject({ code: "SNAPSHOT_NOT_FOUND" });
    }
  });

  it("throws SNAPSHOT_GONE, and tells no damage, where it is removed once its manifest was read", async () => {
    const place = await make();
    const snapshot = await place.store().register("a", new Files(files)).saveState();
    const isFolder = snapshot.layout === "directory";
    const backend = changed(place.backend, {
      open: async (unit, blobPath) => {
        const blob = await place.backend.open(unit, blobPath);
        // An archive that is open can be read to its end, also if it is removed.
        if (isFolder) await place.backend.remove(unit);
        return blob;
      },
    });
    const verifying = locate(backend, snapshot.name + (isFolder ? "" : ".tar.gz")).verify();
    if (isFolder) expect(await rejection(verifying)).toMatchObject({ code: "SNAPSHOT_GONE" });
    else expect((await verifying).isWhole).toBe(true);
  });

  it("throws what the storage itself fails with: that is no finding", async () => {
    const place = await make();
    const snapshot = await place.store().register("a", new Files(files)).saveState();
    const failure = new Error("EIO");
    let opens = 0;
    const backend = changed(place.backend, {
      open: async (unit, blobPath) => {
        if (++opens > 1) throw failure;
        return await place.backend.open(unit, blobPath);
      },
    });
    const suffix = snapshot.layout !== "directory" ? ".tar.gz" : "";
    expect(await rejection(locate(backend, snapshot.name + suffix).verify())).toBe(failure);
  });

  it("is aborted by a signal", async () => {
    const snapshot = await (await make()).store().register("a", new Files(files)).saveState();
    const reason = new Error("enough");
    expect(await rejection(snapshot.verify({ signal: AbortSignal.abort(reason) }))).toBe(reason);
  });
});

const directories = filePlaces.filter(({ layout }) => layout === "directory");

describe.each(directories)("SnapshotLocator.verify of a damaged folder ($layout)", ({ make }) => {
  async function saved() {
    const snapshot = await (await make()).store().register("a", new Files(files)).register("b", new Files({ x: "1" }))
      .saveState();
    return { snapshot, at: (entry: string) => path.join(String(snapshot), entry) };
  }

  it("names the entry whose bytes changed, and only it; quick mode cannot know", async () => {
    const { snapshot, at } = await saved();
    await writeFile(at("a/sub/log.txt"), "hellO");
    const report = await snapshot.verify();
    expect(report).toMatchObject({ isWhole: false, entries: 3 });
    expect(report.findings).toEqual([{
      step: "content",
      problem: "damaged",
      path: "a/sub/log.txt",
      expected: expect.stringMatching(/^sha256:2cf24d/),
      actual: expect.stringMatching(/^sha256:/),
    }]);
    expect((await snapshot.verify({ mode: "quick" })).isWhole).toBe(true);
  });

  it.each<[string, (file: string) => Promise<void>, object]>([
    ["is cut short", (file) => truncate(file, 10), { problem: "damaged", expected: "5000 bytes", actual: "10 bytes" }],
    ["has bytes too many", (file) => appendFile(file, "x"), {
      problem: "damaged",
      expected: "5000 bytes",
      actual: "5001 bytes",
    }],
    ["is missing", (file) => rm(file), { problem: "missing", expected: "5000 bytes", actual: "nothing" }],
    ["is a link to the same bytes", async (file) => {
      const elsewhere = path.join(await temporaryFolder(), "same");
      await rename(file, elsewhere);
      await symlink(elsewhere, file);
    }, { problem: "wrong-kind", expected: "a file" }],
  ])("names an entry that %s, in both modes", async (_, damage, expected) => {
    const { snapshot, at } = await saved();
    await damage(at("a/weights.bin"));
    for (const mode of ["full", "quick"] as const) {
      const { findings, isWhole } = await snapshot.verify({ mode });
      expect(isWhole).toBe(false);
      expect(findings).toEqual([expect.objectContaining({ step: "inventory", path: "a/weights.bin", ...expected })]);
    }
  });

  it("names an entry in whose place a folder is", async () => {
    const { snapshot, at } = await saved();
    await rm(at("a/empty"));
    await mkdir(at("a/empty"));
    expect((await snapshot.verify()).findings).toMatchObject([{ problem: "missing", path: "a/empty" }]);
  });

  it("names every file too many, beside and within the states", async () => {
    const { snapshot, at } = await saved();
    await writeFile(at("stray"), "x");
    await writeFile(at("a/sub/stray"), "x");
    await symlink("x", at("b/link"));
    for (const mode of ["full", "quick"] as const) {
      const { findings } = await snapshot.verify({ mode });
      expect(findings.map(({ problem, path: found }) => `${problem} ${found}`).sort()).toEqual([
        "extra a/sub/stray",
        "extra b/link",
        "extra stray",
      ]);
    }
  });

  it("does not take the table of an archive that was untarred for a file too many", async () => {
    const { snapshot, at } = await saved();
    await writeFile(at("stargz.index.json"), "{}");
    expect((await snapshot.verify()).findings).toEqual([]);
    await rm(at("stargz.index.json"));
    await symlink("manifest.json", at("stargz.index.json"));
    expect((await snapshot.verify()).findings).toMatchObject([{ problem: "extra", path: "stargz.index.json" }]);
  });

  it("finds a whole state whose folder is gone, or is a link", async () => {
    const { snapshot, at } = await saved();
    const elsewhere = path.join(await temporaryFolder(), "a");
    await rename(at("a"), elsewhere);
    const missing = ["a/weights.bin", "a/sub/log.txt", "a/empty"];
    expect((await snapshot.verify()).findings.map(({ problem, path: found }) => [problem, found])).toEqual(
      missing.map((entry) => ["missing", entry]),
    );
    await symlink(elsewhere, at("a"));
    const { findings, isWhole } = await snapshot.verify();
    expect(isWhole).toBe(false);
    expect(findings.map(({ path: found }) => found)).toEqual(expect.arrayContaining(missing));
  });

  it.each<[string, string, (file: string) => Promise<void>]>([
    ["missing", "missing", (file) => rm(file)],
    ["cut short", "damaged", (file) => truncate(file, 200)],
    ["changed", "damaged", (file) => writeFile(file, "{}\n")],
  ])("reports a manifest that is %s as its only finding", async (_, problem, damage) => {
    const { snapshot, at } = await saved();
    await damage(at("manifest.json"));
    expect(await snapshot.verify()).toMatchObject({
      isWhole: false,
      findings: [{ step: "manifest", problem, path: "manifest.json" }],
      entries: 0,
      sizeBytes: 0,
    });
  });

  it("reports all problems at once, in the order of the steps", async () => {
    const { snapshot, at } = await saved();
    await writeFile(at("a/sub/log.txt"), "HELLO");
    await rm(at("a/weights.bin"));
    await writeFile(at("b/stray"), "x");
    const { findings } = await snapshot.verify();
    expect(findings.map(({ step }) => step)).toEqual(["inventory", "inventory", "content"]);
    expect(findings.map(({ problem }) => problem).sort()).toEqual(["damaged", "extra", "missing"]);
  });

  it("changes nothing: the snapshot is as damaged as before", async () => {
    const { snapshot, at } = await saved();
    await truncate(at("a/weights.bin"), 10);
    await writeFile(at("stray"), "x");
    const before = await snapshot.verify();
    expect(await snapshot.verify()).toEqual(before);
    expect((await stat(at("a/weights.bin"))).size).toBe(10);
    expect((await readdir(String(snapshot))).sort()).toEqual(["a", "b", "manifest.json", "stray"]);
  });
});
