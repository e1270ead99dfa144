// What only a real file system can show: hidden and foreign names, links, modes, and refusals of the system.
import { Buffer } from "node:buffer";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { fileBackend, isSnapshotError } from "snapkeep";
import { type Scratch, type Stage, storageError } from "snapkeep/backend";
import { type FileSystem, nodeFileSystem } from "snapkeep/testing";
import { describe, expect, it } from "vitest";
import { recorded } from "../backend/recorded.ts";
import { temporaryFolder } from "../backend/temporary.ts";
import { all, encode, publish, read } from "../backend/texts.ts";
import { collectWarnings } from "../backend/warnings.ts";

const hidden = async (folder: string) => (await readdir(folder)).filter((name) => name.startsWith("."));

describe("the folder", () => {
  it("may be given as a path or as a file URL", async () => {
    const folder = path.join(await temporaryFolder(), "päth with, spaces");
    await publish(fileBackend(folder), "x.state.tar.gz", "commit");
    expect(await all(fileBackend(pathToFileURL(folder)).list())).toEqual(["x.state.tar.gz"]);
    expect(fileBackend(folder).uri).toBe(`${pathToFileURL(folder).href}/`);
    expect(() => fileBackend("")).toThrow(TypeError);
    expect(() => fileBackend(new URL("http://example.com/"))).toThrow(TypeError);
  });

  it("may be a link to a folder", async () => {
    const folder = await temporaryFolder();
    await mkdir(path.join(folder, "real"));
    await symlink(path.join(folder, "real"), path.join(folder, "link"));
    const backend = fileBackend(path.join(folder, "link"));
    expect(await backend.create()).toBe(false);
    await publish(backend, "x.state/", "commit");
    expect(await all(fileBackend(path.join(folder, "real")).list())).toEqual(["x.state/"]);
  });

  it("cannot be made where a file stands", async () => {
    const folder = await temporaryFolder();
    await writeFile(path.join(folder, "file"), "");
    await expect(fileBackend(path.join(folder, "file")).create()).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    await expect(fileBackend(path.join(folder, "file", "states")).create()).rejects.toMatchObject({
      code: "STORAGE_FAILED",
    });
  });

  it("holds nothing but units once all is done", async () => {
    const folder = await temporaryFolder();
    const backend = fileBackend(folder);
    await publish(backend, "1.state/", "commit", { "a/b": "ab" });
    await publish(backend, "2.state.tar.gz", "commit");
    await publish(backend, "3.state/", "commit");
    await (await backend.stage("4.state/")).abandon();
    await (await backend.scratch()).remove();
    await backend.remove("3.state/");
    expect((await readdir(folder)).sort()).toEqual(["1.state", "2.state.tar.gz"]);
  });
});

describe("names", () => {
  it("that are hidden are never units, whatever they hold", async () => {
    const folder = await temporaryFolder();
    const backend = fileBackend(folder);
    const stage = await backend.stage("x.state/");
    await stage.write("manifest.json", [encode("not yet")]);
    const scratch = await backend.scratch();
    const work = backend.workFolder?.();
    await backend.notes.put("x.state", encode("note"));
    for (const name of [".hidden", ".x.state.0123456789abcdef.stage", ".0123456789abcdef.trash"]) {
      await mkdir(path.join(folder, name));
      await writeFile(path.join(folder, name, "manifest.json"), "{}");
    }
    await writeFile(path.join(folder, ".y.state.tar.gz"), "");
    expect(await all(backend.list())).toEqual([]);
    expect(await all(backend.foreign!.list())).toEqual([]);
    await stage.abandon();
    await scratch.remove();
    await work?.remove();
  });

  it("of folders without a manifest are foreign, and no units", async () => {
    const folder = await temporaryFolder();
    const backend = fileBackend(folder);
    await publish(backend, "ours.state/", "commit");
    await mkdir(path.join(folder, "theirs.state", "manifest.json"), { recursive: true });
    await mkdir(path.join(folder, "empty.state"));
    await writeFile(path.join(folder, "notes.txt"), "");
    await symlink(path.join(folder, "ours.state"), path.join(folder, "archive.state.tar.gz"));
    await mkdir(path.join(folder, "folder.state.tar.gz"));
    expect(await all(backend.list())).toEqual(["ours.state/"]);
    const foreign = await all(backend.foreign!.list());
    expect(foreign.map(({ name }) => name)).toEqual(["empty.state", "folder.state.tar.gz", "theirs.state"]);
    expect(Math.abs((foreign[0]?.modifiedAtMs ?? 0) - Date.now())).toBeLessThan(60_000);
  });

  it("that file systems make at the root of a volume are neither units nor foreign", async () => {
    const folder = await temporaryFolder();
    for (const name of ["lost+found", "System Volume Information", "$RECYCLE.BIN"]) {
      await mkdir(path.join(folder, name));
      await writeFile(path.join(folder, name, "manifest.json"), "{}");
    }
    expect(await all(fileBackend(folder).list())).toEqual([]);
    expect(await all(fileBackend(folder).foreign!.list())).toEqual([]);
  });

  it("of foreign folders are removed as such only while they are foreign", async () => {
    const folder = await temporaryFolder();
    const backend = fileBackend(folder);
    await publish(backend, "ours.state/", "commit");
    await mkdir(path.join(folder, "theirs.state", "deep"), { recursive: true });
    await writeFile(path.join(folder, "theirs.state", "deep", "file"), "");
    expect(await backend.foreign!.remove("ours.state")).toBe(false);
    expect(await backend.foreign!.remove("gone.state")).toBe(false);
    expect(await backend.foreign!.remove("theirs.state")).toBe(true);
    await expect(backend.foreign!.remove("../theirs")).rejects.toMatchObject({ code: "NAME_UNSAFE" });
    expect(await readdir(folder)).toEqual(["ours.state"]);
  });
});

describe("links and other kinds", () => {
  async function withCanary() {
    const outside = await temporaryFolder();
    await mkdir(path.join(outside, "deep"));
    await writeFile(path.join(outside, "deep", "canary"), "alive");
    const folder = path.join(await temporaryFolder(), "states");
    const backend = fileBackend(folder);
    await publish(backend, "x.state/", "commit", { "a/b": "ab" });
    const isAlive = async () => await readFile(path.join(outside, "deep", "canary"), "utf8") === "alive";
    return { outside, folder, backend, isAlive };
  }

  it("are seen as what should not be there, and never opened", async () => {
    const { outside, folder, backend } = await withCanary();
    await symlink(path.join(outside, "deep", "canary"), path.join(folder, "x.state", "link"));
    await symlink(path.join(outside, "gone"), path.join(folder, "x.state", "dangling"));
    await symlink(path.join(outside, "deep"), path.join(folder, "x.state", "folder"));
    const blobs = await all(backend.blobs("x.state/"));
    expect(blobs.filter(({ isRegular }) => !isRegular).map((blob) => blob.path)).toEqual([
      "dangling",
      "folder",
      "link",
    ]);
    for (const name of ["link", "dangling", "folder"]) expect(await backend.open("x.state/", name)).toBeUndefined();
  });

  it.skipIf(process.platform === "win32")("a pipe is no blob, and opening it does not wait for a writer", async () => {
    const { folder, backend } = await withCanary();
    execFileSync("mkfifo", [path.join(folder, "x.state", "pipe")]);
    expect(await backend.open("x.state/", "pipe")).toBeUndefined();
    expect((await all(backend.blobs("x.state/"))).find((blob) => blob.path === "pipe")?.isRegular).toBe(false);
    expect(await backend.remove("x.state/")).toBe(true);
    expect(await readdir(folder)).toEqual([]);
  });

  // Deno's lists leave such files out.
  it.skipIf(process.platform !== "linux" || "Deno" in globalThis)(
    "a file whose name is no text is seen, though no runtime can open it",
    async () => {
      const { folder, backend } = await withCanary();
      await writeFile(
        Buffer.concat([Buffer.from(path.join(folder, "x.state", "a", "n")), Buffer.from([0xff])]),
        "hidden",
      );
      const blobs = await all(backend.blobs("x.state/"));
      expect(blobs.filter(({ isRegular }) => !isRegular).map((blob) => blob.path)).toEqual(["a/n\u{FFFD}"]);
    },
  );

  it("are not followed when a unit is removed", async () => {
    const { outside, folder, backend, isAlive } = await withCanary();
    await symlink(path.join(outside, "deep"), path.join(folder, "x.state", "a", "folder"));
    await symlink(path.join(outside, "deep", "canary"), path.join(folder, "x.state", "file"));
    expect(await backend.remove("x.state/")).toBe(true);
    expect(await isAlive()).toBe(true);
    expect(await readdir(folder)).toEqual([]);
  });

  it("are not followed where the unit itself is one", async () => {
    const { outside, folder, backend, isAlive } = await withCanary();
    await writeFile(path.join(outside, "manifest.json"), "{}");
    await symlink(outside, path.join(folder, "link.state"));
    await symlink(path.join(outside, "deep", "canary"), path.join(folder, "link.state.tar.gz"));
    await backend.remove("link.state/");
    await backend.remove("link.state.tar.gz");
    expect(await isAlive()).toBe(true);
    expect(await readFile(path.join(outside, "manifest.json"), "utf8")).toBe("{}");
    expect(await readdir(folder)).toEqual(["x.state"]);
  });

  it("are not followed by a sweep, nor by the removal of foreign folders", async () => {
    const { outside, folder, backend, isAlive } = await withCanary();
    const names = [".0123456789abcdef.trash", ".y.state.0123456789abcdef.stage", ".0123456789abcdef.work", "foreign"];
    for (const name of names) {
      await mkdir(path.join(folder, name));
      await symlink(path.join(outside, "deep"), path.join(folder, name, "link"));
    }
    await symlink(path.join(outside, "deep"), path.join(folder, ".fedcba9876543210.trash"));
    await symlink(path.join(outside, "deep"), path.join(folder, "link.state"));
    await backend.sweep(-1);
    expect(await backend.foreign!.remove("foreign")).toBe(true);
    expect(await backend.foreign!.remove("link.state")).toBe(false);
    expect(await isAlive()).toBe(true);
    expect((await readdir(folder)).sort()).toEqual(["link.state", "x.state"]);
  });
});

describe("a link", () => {
  async function elsewhere(...units: string[]) {
    const [folder, disk] = [await temporaryFolder(), await temporaryFolder()];
    const backend = fileBackend(folder);
    for (const unit of units) {
      await publish(fileBackend(disk), unit, "commit", unit.endsWith("/") ? { "a/b": "ab" } : undefined);
      const name = unit.replace("/", "");
      await symlink(path.join(disk, name), path.join(folder, name));
    }
    return { folder, disk, backend };
  }

  it("in the place of a unit is that unit, in both layouts, and only the link is removed", async () => {
    const units = ["x.state/", "y.state.tar.gz"];
    const { folder, disk, backend } = await elsewhere(...units);
    expect(await all(backend.list())).toEqual(units);
    expect(await read(backend, "x.state/", "a/b")).toBe("ab");
    expect(await read(backend, "y.state.tar.gz")).toBe("commit");
    expect(await all(backend.blobs("y.state.tar.gz"))).toEqual([{ path: "", sizeBytes: 6, isRegular: true }]);
    expect((await all(backend.blobs("x.state/"))).map((blob) => blob.path)).toEqual(["a/b", "manifest.json"]);
    await expect(backend.stage("y.state.tar.gz")).rejects.toMatchObject({ code: "SNAPSHOT_EXISTS" });
    for (const unit of units) expect(await backend.remove(unit)).toBe(true);
    expect(await readdir(folder)).toEqual([]);
    expect(await all(fileBackend(disk).list())).toEqual(units);
  });

  it("that leads nowhere is a unit, and opening it tells", async () => {
    const { disk, backend } = await elsewhere("x.state/", "y.state.tar.gz");
    await rm(disk, { recursive: true });
    expect(await all(backend.list())).toEqual(["x.state/", "y.state.tar.gz"]);
    const told = { code: "STORAGE_FAILED", message: expect.stringContaining("a link that leads nowhere") };
    await expect(backend.open("x.state/", "manifest.json")).rejects.toMatchObject(told);
    await expect(backend.open("y.state.tar.gz")).rejects.toMatchObject(told);
  });

  it("that leads nowhere in the place of the folder is an error, not an empty place", async () => {
    const folder = path.join(await temporaryFolder(), "states");
    await symlink(path.join(folder, "..", "not mounted"), folder);
    const backend = fileBackend(folder);
    const told = { code: "STORAGE_FAILED", message: expect.stringContaining("a link that leads nowhere") };
    await expect(all(backend.list())).rejects.toMatchObject(told);
    await expect(backend.sweep(60_000)).rejects.toMatchObject(told);
    await expect(backend.stage("x.state/")).rejects.toMatchObject({ code: "STORAGE_FAILED" });
  });
});

describe("what cannot be looked at", () => {
  it("is listed as a unit, whether snapshot or foreign, and does not hide the others; opening it tells", async () => {
    let isBad = false;
    const isStruck = ({ operation, path: target }: { operation: string; path: string }) =>
      isBad && /^(stat|open)$/.test(operation) && /bad[^/]*\/manifest\.json$|bad[^/]*gz$/.test(target);
    const { backend, folder } = await recorded({ at: 1, forever: true, only: isStruck });
    const units = ["1-bad.state/", "2-bad.state.tar.gz", "3.state/"];
    for (const unit of units) await publish(backend, unit, "commit");
    await mkdir(path.join(folder, "4-bad"));
    await writeFile(path.join(folder, "5-bad.txt"), "");
    isBad = true;
    expect(await all(backend.list())).toEqual([...units, "4-bad/"]);
    expect(await all(backend.foreign!.list())).toEqual([]);
    expect(await backend.foreign!.remove("4-bad")).toBe(false);
    await expect(backend.open("1-bad.state/", "manifest.json")).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    await publish(backend, "9.state/", "commit");
  });
});

describe("modes", () => {
  it.skipIf(process.platform === "win32")("obey the umask", async () => {
    const before = process.umask(0o027);
    try {
      const folder = path.join(await temporaryFolder(), "states");
      const backend = fileBackend(folder);
      await publish(backend, "x.state/", "commit", { "a/b": "ab" });
      await publish(backend, "y.state.tar.gz", "commit");
      const modeOf = async (name: string) => ((await stat(path.join(folder, name))).mode & 0o777).toString(8);
      for (const name of ["", "x.state", "x.state/a"]) expect(await modeOf(name), name).toBe("750");
      for (const name of ["x.state/a/b", "x.state/manifest.json", "y.state.tar.gz"]) {
        expect(await modeOf(name), name).toBe("640");
      }
    } finally {
      process.umask(before);
    }
  });
});

it.each(["Full", "", true])(
  "the durability %j is refused: a word mistyped must not cost a sync",
  async (durability) => {
    const options = { durability: durability as "full" };
    const folder = await temporaryFolder();
    expect(() => fileBackend(folder, options)).toThrow(/Cannot use the durability .*must be "full" or "none"/);
  },
);

describe("a sync that is refused", () => {
  for (const errno of ["ENOTSUP", "EOPNOTSUPP", "EINVAL", "ENOTTY", "ENOSYS"]) {
    it(`with ${errno}, because the file system knows none, costs one warning and no save`, async () => {
      const warnings = await collectWarnings();
      const { backend } = await recorded({
        at: 1,
        forever: true,
        errno,
        only: ({ operation }) => operation.startsWith("sync"),
      });
      await publish(backend, "x.state/", "commit", { "a/b": "ab", c: "c" });
      await publish(backend, "y.state.tar.gz", "commit");
      expect(await all(backend.list())).toEqual(["x.state/", "y.state.tar.gz"]);
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toContain("Durability is not available");
    });
  }

  for (const errno of ["EIO", "ENOSPC", "EDQUOT", "EROFS"]) {
    it(`with ${errno} fails the save, whichever sync it is`, async () => {
      for (const blobs of [{ "a/b": "ab" }, undefined]) {
        const unit = blobs === undefined ? "x.state.tar.gz" : "x.state/";
        const count = blobs === undefined ? 2 : 5;
        for (let at = 1; at <= count; at++) {
          const plan = { at, errno, only: ({ operation }: { operation: string }) => operation.startsWith("sync") };
          const { backend, faults, folder } = await recorded(plan);
          const isLast = at === count;
          const error = await publish(backend, unit, "commit", blobs).catch((caught: unknown) => caught);
          expect(faults.isBeneath(error), `sync ${at}`).toBe(true);
          expect(isSnapshotError(error, "COMMIT_UNCERTAIN"), `sync ${at}`).toBe(isLast);
          expect(await all(backend.list())).toEqual(isLast ? [unit] : []);
          expect(await hidden(folder)).toEqual([]);
        }
      }
    });
  }

  it("is never tried again", async () => {
    const { backend, takeCalls } = await recorded({ at: 1, only: ({ operation }) => operation === "sync" });
    await publish(backend, "x.state/", "commit", { a: "a" }).catch(() => {});
    expect(takeCalls().filter((call) => call.startsWith("sync"))).toEqual(["sync .x.state.*.stage/a"]);
  });

  it("after publishing leaves the unit visible, and later saves go on", async () => {
    const { backend, faults, folder } = await recorded({
      at: 2, // the first one makes the folder itself durable
      only: ({ operation, path: target }) => operation === "syncFolder" && !target.includes(".stage"),
    }, { below: "states" });
    await expect(publish(backend, "x.state/", "commit")).rejects.toMatchObject({ code: "COMMIT_UNCERTAIN" });
    expect(faults.injected).toHaveLength(1);
    expect(await read(backend, "x.state/", "manifest.json")).toBe("commit");
    expect(await hidden(folder)).toEqual([]);
    await publish(backend, "y.state/", "commit");
    expect(await all(backend.list())).toEqual(["x.state/", "y.state/"]);
  });

  it("of a new folder's parent fails the save, and the next one makes it durable", async () => {
    const { backend, faults, takeCalls } = await recorded({
      at: 1,
      only: ({ operation }) => operation === "syncFolder",
    }, { below: "states" });
    await expect(publish(backend, "x.state/", "commit")).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    expect(faults.injected).toHaveLength(1);
    takeCalls();
    await publish(backend, "x.state/", "commit");
    expect(takeCalls()).toContain("syncFolder ..");
  });

  it("of a parent that is not ours costs a warning", async () => {
    const warnings = await collectWarnings();
    for (const errno of ["EACCES", "EPERM"]) {
      const plan = { at: 1, errno, only: ({ operation }: { operation: string }) => operation === "syncFolder" };
      const { backend } = await recorded(plan, { below: "states" });
      await publish(backend, "x.state/", "commit");
      expect(await all(backend.list())).toEqual(["x.state/"]);
    }
    expect(warnings).toHaveLength(2);
  });
});

describe("writing", () => {
  it("gathers small chunks of a stream, whose buffer may be used again at once", async () => {
    const { backend, takeCalls } = await recorded();
    const pieces = Array.from({ length: 1000 }, (_, index) => new Uint8Array(1000 + index % 7).fill(index));
    const stage = await backend.stage("x.state/");
    takeCalls();
    await stage.write(
      "a",
      (async function* () {
        const reused = new Uint8Array(2000);
        for (const [index, piece] of pieces.entries()) {
          reused.set(piece);
          yield index === 500 ? new Uint8Array(100_000) : reused.subarray(0, piece.length);
        }
      })(),
    );
    expect(takeCalls().filter((call) => call.startsWith("write")).length).toBeLessThan(10);
    await stage.publish("manifest.json", [encode("commit")]);
    const expected = pieces.map((piece, index) => index === 500 ? new Uint8Array(100_000) : piece);
    const blob = await backend.open("x.state/", "a");
    const found = await blob?.read(0, 2_000_000);
    await blob?.close();
    expect(Buffer.concat(expected).equals(found ?? new Uint8Array())).toBe(true);
  });
});

describe("publishing", () => {
  for (const errno of ["EPERM", "ENOTSUP", "EOPNOTSUPP", "EXDEV", "ENOSYS", "EMLINK"]) {
    it(`renames where links are refused with ${errno}`, async () => {
      const { backend, folder, takeCalls } = await recorded({
        at: 1,
        forever: true,
        errno,
        only: ({ operation }) => operation === "link",
      });
      await publish(backend, "x.state.tar.gz", "commit");
      expect(await read(backend, "x.state.tar.gz")).toBe("commit");
      expect(await readdir(folder)).toEqual(["x.state.tar.gz"]);
      const calls = takeCalls();
      expect(calls.indexOf("rename x.state.tar.gz")).toBe(calls.indexOf("link x.state.tar.gz") + 2);
      expect(calls.lastIndexOf("syncFolder /")).toBeGreaterThan(calls.indexOf("rename x.state.tar.gz"));
    });
  }

  it("never overwrites what came to lie there without a claim", async () => {
    for (
      const plan of [{}, {
        at: 1,
        errno: "EPERM",
        only: ({ operation }: { operation: string }) => operation === "link",
      }]
    ) {
      const { backend, folder } = await recorded(plan);
      const stages = [await backend.stage("x.state.tar.gz"), await backend.stage("y.state/")];
      await writeFile(path.join(folder, "x.state.tar.gz"), "copied");
      await mkdir(path.join(folder, "y.state"));
      await writeFile(path.join(folder, "y.state", "manifest.json"), "copied");
      for (const stage of stages) {
        const commitPath = stage.unit.endsWith("/") ? "manifest.json" : "";
        await expect(stage.publish(commitPath, [encode("ours")])).rejects.toMatchObject({ code: "SNAPSHOT_EXISTS" });
        await stage.abandon();
        expect(await read(backend, stage.unit, commitPath)).toBe("copied");
      }
      expect(await hidden(folder)).toEqual([]);
    }
  });

  it("that is aborted before its last step leaves nothing", async () => {
    const folder = await temporaryFolder();
    const stages: Stage[] = [];
    let giveUp: Promise<void> | undefined;
    const fileSystem: FileSystem = {
      ...nodeFileSystem,
      syncFolder(target) {
        if (target.endsWith(".stage")) giveUp = stages[0]?.abandon();
        return nodeFileSystem.syncFolder(target);
      },
    };
    const backend = fileBackend(folder, { fileSystem });
    const stage = await backend.stage("x.state/");
    stages.push(stage);
    await expect(stage.publish("manifest.json", [encode("commit")])).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    await giveUp;
    expect(await readdir(folder)).toEqual([]);
  });

  it("of an archive that is aborted while it is synced leaves nothing", async () => {
    const folder = await temporaryFolder();
    const stages: Stage[] = [];
    let giveUp: Promise<void> | undefined;
    const fileSystem: FileSystem = {
      ...nodeFileSystem,
      async create(target) {
        const file = await nodeFileSystem.create(target);
        return {
          read: (bytes, position) => file.read(bytes, position),
          write: (bytes, position) => file.write(bytes, position),
          sizeBytes: () => file.sizeBytes(),
          sync() {
            giveUp = stages[0]?.abandon();
            return file.sync();
          },
          close: () => file.close(),
        };
      },
    };
    const backend = fileBackend(folder, { fileSystem });
    const stage = await backend.stage("x.state.tar.gz");
    stages.push(stage);
    await expect(stage.publish("", [encode("commit")])).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    await giveUp;
    expect(await readdir(folder)).toEqual([]);
  });

  it("that is aborted in its last step leaves the whole unit, and deletes nothing of it", async () => {
    const folder = await temporaryFolder();
    const stages: Stage[] = [];
    let giveUp: Promise<void> | undefined;
    let tellDeletion = () => {};
    const isDeleting = new Promise<void>((resolve) => tellDeletion = resolve);
    const fileSystem: FileSystem = {
      ...nodeFileSystem,
      // The worst moment: the rename takes its time, and goes through when the first file was deleted.
      async rename(from, to) {
        giveUp = stages[0]?.abandon();
        await Promise.race([isDeleting, new Promise((resolve) => setTimeout(resolve, 100))]);
        await nodeFileSystem.rename(from, to);
      },
      async removeFile(target) {
        await nodeFileSystem.removeFile(target);
        tellDeletion();
      },
    };
    const backend = fileBackend(folder, { fileSystem });
    const stage = await backend.stage("x.state/");
    stages.push(stage);
    for (const name of ["a", "b", "c"]) await stage.write(name, [encode(name)]);
    await stage.publish("manifest.json", [encode("commit")]);
    await giveUp;
    expect((await all(backend.blobs("x.state/"))).map((blob) => blob.path)).toEqual(["a", "b", "c", "manifest.json"]);
    expect(await readdir(folder)).toEqual(["x.state"]);
  });

  it("fails when the whole place was removed meanwhile", async () => {
    const { backend, folder, faults } = await recorded({}, { below: "states" });
    const stage = await backend.stage("x.state/");
    await stage.write("a", [encode("a")]);
    await rm(folder, { recursive: true });
    await expect(stage.publish("manifest.json", [encode("commit")])).rejects.toMatchObject({ code: "STAGE_LOST" });
    await stage.abandon();
    expect(faults.open).toEqual([]);
    expect(existsSync(folder)).toBe(false);
  });
});

describe("a system that fails altogether", () => {
  it("rejects with the error of the first call that failed, not of those that examine it", async () => {
    const { backend, faults } = await recorded({ at: 1, forever: true });
    const looks = [
      () => backend.open("x.state/", "manifest.json"),
      () => backend.create(),
      () => backend.stage("x.state/"),
      () => backend.remove("x.state/"),
      () => backend.sweep(0),
      () => all(backend.list()),
      () => backend.notes.get("x.state"),
      () => backend.notes.put("x.state", encode("note")),
      async () => await backend.notes.lock?.("x.state"),
    ];
    for (const look of looks) {
      const before = faults.injected.length;
      const error = await look().then(() => undefined, (caught: unknown) => caught);
      expect(error, String(look)).toBe(faults.injected[before]);
    }
    expect(faults.open).toEqual([]);
  });
});

describe("removing", () => {
  it("leaves the bytes where the removal may not survive a power loss", async () => {
    const { backend, folder } = await recorded({ at: 1, only: ({ operation }) => operation === "syncFolder" });
    await publish(fileBackend(folder), "x.state/", "commit", { "a/b": "ab" });
    await expect(backend.remove("x.state/")).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    expect(await all(backend.list())).toEqual([]);
    const [trash] = await hidden(folder);
    expect(await readFile(path.join(folder, trash ?? "", "a", "b"), "utf8")).toBe("ab");
    await backend.sweep(60_000);
    expect(await readdir(folder)).toEqual([]);
  });

  it("succeeds with a warning where the bytes cannot be deleted yet, and a sweep tries again", async () => {
    const warnings = await collectWarnings();
    const { backend, faults, folder } = await recorded({
      at: 1,
      forever: true,
      errno: "EPERM",
      only: ({ operation }) => operation === "removeFile",
    });
    // Claims stay too while nothing can be removed.
    await publish(backend, "x.state/", "commit", { "a/b": "ab" });
    expect(await backend.remove("x.state/")).toBe(true);
    expect(await all(backend.list())).toEqual([]);
    expect(warnings.length).toBeGreaterThan(0);
    faults.heal();
    await backend.sweep(-1);
    expect(await readdir(folder)).toEqual([]);
  });
});

describe("removing where a folder cannot be moved, as from a lower layer of an overlay", () => {
  const isMove = ({ operation }: { operation: string }) => operation === "rename";

  it("takes the manifest first, durably, then the rest where it lies", async () => {
    const { backend, folder, faults, takeCalls } = await recorded({
      at: 1,
      forever: true,
      errno: "EXDEV",
      only: isMove,
    });
    await publish(fileBackend(folder), "x.state/", "commit", { "a/b": "ab" });
    await publish(fileBackend(folder), "y.state/", "commit");
    await mkdir(path.join(folder, "foreign"));
    expect(await backend.remove("x.state/")).toBe(true);
    expect(takeCalls().filter((call) => !/^(stat|readFolder|rename) /.test(call))).toEqual([
      "removeFile x.state/manifest.json",
      "syncFolder x.state",
      "removeFile x.state/a/b",
      "removeFolder x.state/a",
      "removeFolder x.state",
    ]);
    expect(await backend.foreign?.remove("foreign")).toBe(true);
    expect(await readdir(folder)).toEqual(["y.state"]);
    expect(faults.injected).toHaveLength(2);
  });

  it("fails while the manifest cannot be taken, and leaves the snapshot whole", async () => {
    const { backend, folder } = await recorded({
      at: 1,
      forever: true,
      errno: "EXDEV",
      only: (call) => isMove(call) || call.operation === "removeFile",
    });
    await publish(fileBackend(folder), "x.state/", "commit", { "a/b": "ab" });
    await expect(backend.remove("x.state/")).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    expect(await read(backend, "x.state/", "a/b")).toBe("ab");
    expect(await all(backend.list())).toEqual(["x.state/"]);
  });

  it("is refused for a single file, which every file system can move", async () => {
    const { backend, folder } = await recorded({ at: 1, errno: "EXDEV", only: isMove });
    await publish(fileBackend(folder), "x.state.tar.gz", "commit");
    await expect(backend.remove("x.state.tar.gz")).rejects.toMatchObject({ details: { errno: "EXDEV" } });
    expect(await read(backend, "x.state.tar.gz")).toBe("commit");
  });
});

describe("sweeping", () => {
  const age = (folder: string, name: string) => utimes(path.join(folder, name), new Date(0), new Date(0));

  const STAGE = ".x.state.0123456789abcdef.stage";

  /** What a program leaves that died while it saved. */
  async function dead(folder: string): Promise<void> {
    await writeFile(path.join(folder, ".x.state.claim"), "");
    await mkdir(path.join(folder, STAGE));
    await writeFile(path.join(folder, STAGE, "a"), "a");
    await age(folder, ".x.state.claim");
    await age(folder, STAGE);
  }

  it("spares a stage while its claim or its folder shows life, and its claim with it", async () => {
    const folder = await temporaryFolder();
    const backend = fileBackend(folder);
    for (const living of [".x.state.claim", STAGE]) {
      await dead(folder);
      await utimes(path.join(folder, living), new Date(), new Date());
      expect(await backend.sweep(60_000)).toEqual([]);
      expect((await readdir(folder)).sort()).toEqual([STAGE, ".x.state.claim"].sort());
      await age(folder, living);
      expect(await backend.sweep(60_000)).toEqual(["x.state/"]);
      expect(await readdir(folder)).toEqual([]);
    }
  });

  it("spares the writers of its own program, whatever their claims' times say, unless the limit is below zero", async () => {
    const folder = await temporaryFolder();
    const stage = await fileBackend(folder).stage("x.state/");
    for (const name of await readdir(folder)) await age(folder, name);
    expect(await fileBackend(folder).sweep(0)).toEqual([]);
    expect(await fileBackend(folder).sweep(-1)).toEqual(["x.state/"]);
    await stage.abandon();
    await dead(folder);
    expect(await fileBackend(folder).sweep(60_000)).toEqual(["x.state/"]);
  });

  it("is done for a name that is to be claimed, once its writer is dead for as long as a store waits", async () => {
    const folder = await temporaryFolder();
    const backend = fileBackend(folder);
    for (const unit of ["x.state/", "x.state.tar.gz"]) {
      await dead(folder);
      await writeFile(path.join(folder, ".y.state.claim"), "");
      await age(folder, ".y.state.claim");
      await publish(backend, unit, "commit");
      expect((await readdir(folder)).sort()).toEqual([".y.state.claim", unit.replace("/", "")]);
      await backend.remove(unit);
    }
    await dead(folder);
    const minutesAgo = (minutes: number) => new Date(Date.now() - minutes * 60_000);
    await utimes(path.join(folder, ".x.state.claim"), minutesAgo(9), minutesAgo(9));
    await expect(backend.stage("x.state/")).rejects.toMatchObject({ code: "SNAPSHOT_EXISTS" });
    await utimes(path.join(folder, ".x.state.claim"), minutesAgo(11), minutesAgo(11));
    await (await backend.stage("x.state/")).abandon();
  });

  it("that is slow does not take the claim of who claimed the name after a faster sweep", async () => {
    const folder = await temporaryFolder();
    await dead(folder);
    const quick = fileBackend(folder);
    let stage: Stage | undefined;
    const slow = fileBackend(folder, {
      fileSystem: {
        ...nodeFileSystem,
        async removeFolder(target) {
          await nodeFileSystem.removeFolder(target);
          if (stage !== undefined) return;
          await quick.sweep(60_000);
          stage = await quick.stage("x.state/");
        },
      },
    });
    expect(await slow.sweep(60_000)).toEqual(["x.state/"]);
    await expect(slow.stage("x.state.tar.gz")).rejects.toMatchObject({ code: "SNAPSHOT_EXISTS" });
    await stage?.publish("manifest.json", [encode("commit")]);
    expect(await readdir(folder)).toEqual(["x.state"]);
  });

  it("removes dead scratch, work folders and claims without a stage, and spares the young", async () => {
    const folder = await temporaryFolder();
    const backend = fileBackend(folder);
    const dead = [".aaaaaaaaaaaaaaaa.scratch", ".aaaaaaaaaaaaaaaa.work", ".dead.state.claim"];
    const young = [".bbbbbbbbbbbbbbbb.scratch", ".bbbbbbbbbbbbbbbb.work", ".young.state.claim"];
    for (const name of [...dead, ...young]) {
      if (name.endsWith(".work")) await mkdir(path.join(folder, name));
      else await writeFile(path.join(folder, name), "");
    }
    for (const name of dead) await age(folder, name);
    expect(await backend.sweep(60_000)).toEqual([]);
    expect((await readdir(folder)).sort()).toEqual([...young].sort());
  });

  it("leaves hidden names alone that are not ours", async () => {
    const folder = await temporaryFolder();
    const names = [".git", ".x.trash", ".0123456789ABCDEF.trash", ".0123.scratch", ".DS_Store", ".stage", ".claim"];
    for (const name of names) await writeFile(path.join(folder, name), "");
    await fileBackend(folder).sweep(-1);
    expect((await readdir(folder)).sort()).toEqual([...names].sort());
  });

  it("leaves alone what has a name like ours and is not as we make it", async () => {
    const folder = await temporaryFolder();
    const backend = fileBackend(folder);
    const files = [".poetry.lock", ".insurance.claim", ".notes.state.0123456789abcdef.stage", ".0123456789abcdef.work"];
    const folders = [".cargo.lock", ".home.claim", ".0123456789abcdef.scratch"];
    for (const name of files) await writeFile(path.join(folder, name), "another's");
    for (const name of folders) await mkdir(path.join(folder, name, "another's"), { recursive: true });
    for (const name of [...files, ...folders]) await age(folder, name);
    for (const olderThanMs of [60_000, -1]) expect(await backend.sweep(olderThanMs)).toEqual([]);
    expect((await readdir(folder)).sort()).toEqual([...files, ...folders].sort());
    await expect(backend.notes.lock?.("poetry")).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    expect(await readdir(folder)).toContain(".poetry.lock");
  });

  it("takes what was written before the clock was set back, so that no name is taken permanently", async () => {
    const folder = await temporaryFolder();
    const backend = fileBackend(folder);
    const nextYear = new Date(Date.now() + 365 * 86_400_000);
    for (const olderThanMs of [60_000, 0, -1]) {
      await dead(folder);
      for (const name of await readdir(folder)) await utimes(path.join(folder, name), nextYear, nextYear);
      expect(await backend.sweep(olderThanMs)).toEqual(["x.state/"]);
      expect(await readdir(folder)).toEqual([]);
    }
    await dead(folder);
    await utimes(path.join(folder, ".x.state.claim"), nextYear, nextYear);
    await (await backend.stage("x.state/")).abandon();
  });

  it("goes on where a stage cannot be removed, leaves its claim, and fails at the end", async () => {
    const folder = await temporaryFolder();
    await dead(folder);
    await writeFile(path.join(folder, ".y.state.claim"), "");
    await mkdir(path.join(folder, ".y.state.0123456789abcdef.stage"));
    for (const name of await readdir(folder)) await age(folder, name);
    const backend = fileBackend(folder, {
      fileSystem: {
        ...nodeFileSystem,
        rename: (from, to) =>
          from.endsWith(STAGE)
            ? Promise.reject(storageError("rename", from, Object.assign(new Error("no"), { code: "EPERM" })))
            : nodeFileSystem.rename(from, to),
      },
    });
    await expect(backend.sweep(60_000)).rejects.toMatchObject({ code: "STORAGE_FAILED", details: { errno: "EPERM" } });
    expect((await readdir(folder)).sort()).toEqual([STAGE, ".x.state.claim"].sort());
  });

  it("spares the notes that this program writes", async () => {
    const folder = await temporaryFolder();
    const backend = fileBackend(folder);
    for (let round = 0; round < 20; round++) {
      await Promise.all([
        (async () => {
          const unlock = await backend.notes.lock?.("x.state");
          await backend.notes.put("x.state", encode(String(round)));
          await unlock?.();
        })(),
        backend.sweep(0),
        backend.sweep(0),
      ]);
    }
    expect(new TextDecoder().decode(await backend.notes.get("x.state"))).toBe("19");
    expect(await readdir(folder)).toEqual([".notes"]);
  });

  it("of many at once removes everything once", async () => {
    const folder = await temporaryFolder();
    const backend = fileBackend(folder);
    const units = Array.from({ length: 12 }, (_, index) => `${10 + index}.state${index % 2 ? "/" : ".tar.gz"}`);
    const stages = await Promise.all(units.map((unit) => backend.stage(unit)));
    const swept = await Promise.all([backend.sweep(-1), backend.sweep(-1), fileBackend(folder).sweep(-1)]);
    expect(swept.flat().sort()).toEqual(units);
    expect(await readdir(folder)).toEqual([]);
    for (const stage of stages) await stage.abandon();
  });
});

describe("scratch", () => {
  const temporary = async () => (await readdir(tmpdir())).filter((name) => /^snapkeep-[0-9a-f]{8}-/.test(name));

  async function roundTrip(scratch: Scratch): Promise<string> {
    await scratch.write([encode("spoo")]);
    await scratch.write([encode("led")]);
    return new TextDecoder().decode(await scratch.read(0, 100));
  }

  for (const errno of ["EROFS", "EACCES", "EPERM", "ENOSPC", "EDQUOT"]) {
    it(`lies among the system's temporary files where the place refuses it with ${errno}, and is never seen there`, async () => {
      for (const below of ["", "not there"]) {
        const folder = await temporaryFolder();
        const { backend, faults } = await recorded({
          at: 1,
          forever: true,
          errno,
          only: ({ operation }) => operation === "create" || operation === "makeFolder",
        }, { below });
        const before = await temporary();
        const scratch = await backend.scratch();
        expect(await temporary()).toEqual(before);
        expect(await roundTrip(scratch)).toBe("spooled");
        await scratch.remove();
        await scratch.remove();
        expect(faults.open).toEqual([]);
        expect(await readdir(folder)).toEqual([]);
      }
    });
  }

  it("is refused as the place refused it where there are no temporary files, or where the place fails otherwise", async () => {
    const refusing = (errno: string) =>
      recorded({ at: 1, forever: true, errno, only: ({ operation }) => operation.startsWith("create") });
    for (const errno of ["EROFS", "EIO"]) {
      const { backend, faults } = await refusing(errno);
      expect(await backend.scratch().catch((error: unknown) => error)).toBe(faults.injected[0]);
      expect(faults.injected).toHaveLength(errno === "EIO" ? 1 : 2);
    }
  });

  it("of a stage finds such room too", async () => {
    const { backend, folder } = await recorded({
      at: 1,
      forever: true,
      errno: "ENOSPC",
      only: ({ operation, path: target }) => operation === "create" && target.endsWith(".scratch"),
    });
    const stage = await backend.stage("x.state.tar.gz");
    const scratch = await stage.scratch();
    expect(await roundTrip(scratch)).toBe("spooled");
    await scratch.remove();
    await stage.abandon();
    expect(await readdir(folder)).toEqual([]);
  });
});

describe("a work folder", () => {
  it("is empty, real, unseen, and gone when it is removed", async () => {
    const folder = path.join(await temporaryFolder(), "deep", "states");
    const backend = fileBackend(folder);
    const work = backend.workFolder!();
    expect(await readdir(work.path)).toEqual([]);
    expect(path.dirname(work.path)).toBe(folder);
    await writeFile(path.join(work.path, "file"), "");
    expect(await all(backend.list())).toEqual([]);
    expect(await all(backend.foreign!.list())).toEqual([]);
    await publish(backend, "x.state/", "commit");
    await work.remove();
    await work.remove();
    expect(await readdir(folder)).toEqual(["x.state"]);
  });

  it("is not offered on another file system, where it could not be real", async () => {
    expect((await recorded()).backend.workFolder).toBeUndefined();
  });
});
