// File systems and permissions as they come: links that lie, rights that are missing, threads that write beside each other.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, chown, link, mkdir, readdir, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { Worker } from "node:worker_threads";
import { type Backend, fileBackend, StateStore } from "snapkeep";
import { storageError } from "snapkeep/backend";
import { nodeFileSystem } from "snapkeep/testing";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { isNotAllowed } from "../../src/model/errors.ts";
import { retryRename } from "../../src/file/node_file_system.ts";
import { commandOf } from "../faults/child.ts";
import { recorded } from "../backend/recorded.ts";
import { diskFolder, temporaryFolder } from "../backend/temporary.ts";
import { all, encode, publish, read } from "../backend/texts.ts";

const isWindows = process.platform === "win32";
const coded = (code: string, message = code) => Object.assign(new Error(message), { code });
const refused = (operation: string, target: string, code: string, message = code) =>
  storageError(operation, target, coded(code, message));

describe("An archive is published", () => {
  const refusals = ["EACCES", "EPERM", "ENOTSUP", "EIO", "Unknown system error -524", "ERR_ACCESS_DENIED", "EMFILE"];

  it.each(refusals)("by a rename where a link fails with %j", async (errno) => {
    const { backend, folder } = await recorded({ at: 1, errno, only: ({ operation }) => operation === "link" });
    await publish(backend, "x.state.tar.gz", "commit");
    expect(await read(backend, "x.state.tar.gz")).toBe("commit");
    expect(await readdir(folder)).toEqual(["x.state.tar.gz"]);
  });

  it.each([...refusals, "EEXIST", "ENOSPC", "EDQUOT", "EROFS", "ENOENT"])(
    "where the link was made and its answer was lost, though it is %j",
    async (errno) => {
      const folder = await temporaryFolder();
      const renames: string[] = [];
      const fileSystem = {
        ...nodeFileSystem,
        link: async (from: string, to: string) => {
          await link(from, to);
          throw refused("link", to, errno);
        },
        rename: (from: string, to: string) => {
          renames.push(to);
          return nodeFileSystem.rename(from, to);
        },
      };
      const backend = fileBackend(folder, { fileSystem });
      await publish(backend, "x.state.tar.gz", "commit");
      expect(await readdir(folder)).toEqual(["x.state.tar.gz"]);
      expect(await read(backend, "x.state.tar.gz")).toBe("commit");
      expect(renames).toEqual([]);
    },
  );

  it.each(["EACCES", "EIO", "EEXIST"])(
    "never over what another put there when the link fails with %j",
    async (errno) => {
      const folder = await temporaryFolder();
      const fileSystem = {
        ...nodeFileSystem,
        link: async (_from: string, to: string) => {
          await writeFile(to, "theirs");
          throw refused("link", to, errno);
        },
      };
      const backend = fileBackend(folder, { fileSystem });
      await expect(publish(backend, "x.state.tar.gz", "ours")).rejects.toMatchObject({ code: "SNAPSHOT_EXISTS" });
      expect(await readdir(folder)).toEqual(["x.state.tar.gz"]);
      expect(await read(backend, "x.state.tar.gz")).toBe("theirs");
    },
  );

  it("not by numbers that prove nothing: a file system without inodes gives all files the same", async () => {
    const folder = await temporaryFolder();
    const fileSystem = {
      ...nodeFileSystem,
      stat: async (target: string, followsLink?: boolean) => {
        const found = await nodeFileSystem.stat(target, followsLink);
        return found && { ...found, identity: undefined };
      },
      link: async (_from: string, to: string) => {
        await writeFile(to, "theirs");
        throw refused("link", to, "EEXIST");
      },
    };
    const backend = fileBackend(folder, { fileSystem });
    await expect(publish(backend, "x.state.tar.gz", "ours")).rejects.toMatchObject({ code: "SNAPSHOT_EXISTS" });
    expect(await read(backend, "x.state.tar.gz")).toBe("theirs");
  });
});

describe("A call that is not allowed", () => {
  it("is recognised by any of the codes of systems and runtimes", () => {
    const denied = Object.assign(new Error("Requires read access"), { name: "NotCapable" });
    for (const error of [coded("EACCES"), coded("EPERM"), coded("ERR_ACCESS_DENIED"), denied]) {
      expect(isNotAllowed(error)).toBe(true);
      expect(isNotAllowed(storageError("open", "x", error))).toBe(true);
    }
    for (const error of [coded("EROFS"), coded("ENOENT"), coded("EIO"), undefined]) {
      expect(isNotAllowed(error)).toBe(false);
    }
  });

  for (const errno of ["EACCES", "EPERM", "ERR_ACCESS_DENIED"]) {
    it(`does not stop a save that may not sync the place's parent: ${errno}`, async () => {
      const only = ({ operation }: { operation: string }) => operation === "syncFolder";
      const { backend, faults } = await recorded({ at: 1, errno, only }, { below: "states" });
      await publish(backend, "x.state/", "commit");
      expect(await all(backend.list())).toEqual(["x.state/"]);
      expect(faults.injected).toHaveLength(1);
    });
  }
});

interface Told {
  readonly removed: number;
  readonly error?: string;
  readonly warnings: readonly string[];
  readonly events: readonly string[];
  readonly names: readonly string[];
}

/** Runs test/children/clean_up.ts, after other words of a command line, and reads what it tells. */
function cleanUp(command: string, args: readonly string[], folder: string, ...options: string[]): Told {
  const env = { ...process.env, DENO_NO_UPDATE_CHECK: "1", NODE_OPTIONS: "" };
  const { stdout, stderr, status } = spawnSync(command, [...args, folder, ...options], { encoding: "utf8", env });
  if (status !== 0) throw new Error(`the child ended with ${status}: ${stderr}`);
  return JSON.parse(stdout) as Told;
}

const root = path.resolve(import.meta.dirname, "../..");
const inDeno = "Deno" in globalThis;
const permissionFlag = ["--permission", "--experimental-permission"].find((flag) =>
  process.allowedNodeEnvironmentFlags.has(flag)
);
const hasPermissions = inDeno || !("Bun" in globalThis) && permissionFlag !== undefined;

describe("A program that may touch the states' folder only", () => {
  it.skipIf(!hasPermissions)(
    "saves, cleans up and autosaves, and warns once that the parent cannot be synced",
    async () => {
      const folder = path.join(await diskFolder(), "states");
      await mkdir(folder);
      const [command, args] = commandOf("clean_up");
      const allowed = inDeno ? ["run", `--allow-read=${folder}`, `--allow-write=${folder}`, ...args.slice(2)] : [
        permissionFlag ?? "",
        `--allow-fs-read=${root}/*`,
        `--allow-fs-read=${folder}/*`,
        `--allow-fs-write=${folder}/*`,
        ...args,
      ];
      const told = cleanUp(command, allowed, folder, "autosaves");
      expect(told.error).toBeUndefined();
      expect(told).toMatchObject({ removed: 3 });
      expect(told.names.filter((name) => name !== ".notes")).toHaveLength(1);
      const saves = ["saved requested, removed 1", "saved closed, removed 1"];
      expect(told.events).toEqual(["last run undefined", ...saves, "last run clean", ...saves]);
      expect(told.warnings.filter((code) => code === "PARENT_NOT_SYNCED")).toHaveLength(1);
      expect(told.warnings.filter((code) => code === "ROOM_NOT_FREED")).toEqual([]);
    },
  );
});

const isRoot = process.getuid?.() === 0;
const asNobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
const canBeNobody = !isRoot || spawnSync("setpriv", [...asNobody, "true"]).status === 0;
if (!canBeNobody) console.log("Rights are not tried here: root has all of them, and setpriv cannot take them away");

describe("Snapshots that were made read-only", () => {
  async function cleanUpAsUser(...options: string[]): Promise<Told & { readonly folder: string }> {
    const parent = await temporaryFolder();
    await chmod(parent, 0o777);
    if (isRoot) await chown(parent, 65534, 65534);
    const [command, args] = commandOf("clean_up");
    const folder = path.join(parent, "states");
    const told = isRoot
      ? cleanUp(
        "setpriv",
        [...asNobody, "env", `DENO_DIR=${parent}/deno`, `HOME=${parent}`, command, ...args],
        folder,
        ...options,
      )
      : cleanUp(command, args, folder, ...options);
    return { ...told, folder };
  }

  it.skipIf(isWindows || !canBeNobody)("are removed by an ordinary user's cleanup, bytes and all", async () => {
    const told = await cleanUpAsUser("read-only");
    expect(told.error).toBeUndefined();
    expect(told).toMatchObject({ removed: 3, warnings: [] });
    expect(told.names.filter((name) => name !== ".notes")).toHaveLength(1);
  }, 60_000);

  it.skipIf(isWindows || !canBeNobody)(
    "are removed, and a folder that cannot be opened is reported",
    async () => {
      const told = await cleanUpAsUser("read-only", "closed");
      expect(told.error).toBeUndefined();
      expect(told).toMatchObject({ removed: 3, warnings: ["ROOM_NOT_FREED"] });
      expect(told.names.filter((name) => !name.startsWith("."))).toHaveLength(1);
      expect(told.names.filter((name) => name.endsWith(".trash"))).toHaveLength(1);
    },
    60_000,
  );
});

describe("Rights are given back", () => {
  const stubborn = (target: string, below: string) => target.startsWith(below) && target.includes("locked");

  it("to folders within the trash, and once each", async () => {
    const folder = await temporaryFolder();
    const unlocked: string[] = [];
    const fileSystem = {
      ...nodeFileSystem,
      removeFile: (target: string) =>
        stubborn(target, folder) && unlocked.length === 0
          ? Promise.reject(refused("unlink", target, "EACCES"))
          : nodeFileSystem.removeFile(target),
      unlockFolder: async (target: string) => {
        unlocked.push(path.relative(folder, target).replace(/[0-9a-f]{16}/, "*"));
        await nodeFileSystem.unlockFolder?.(target);
      },
    };
    const backend = fileBackend(folder, { fileSystem });
    await publish(backend, "x.state/", "commit", { "a/locked/b": "b", "a/locked/c": "c" });
    expect(await backend.remove("x.state/")).toBe(true);
    expect(unlocked).toEqual([".*.trash/a/locked"]);
    expect(await readdir(folder)).toEqual([]);
  });

  it("to nothing outside the trash", async () => {
    const folder = await temporaryFolder();
    const unlockFolder = vi.fn(() => Promise.resolve());
    let isStubborn = false;
    const fileSystem = {
      ...nodeFileSystem,
      unlockFolder,
      rename: (from: string, to: string) =>
        isStubborn ? Promise.reject(refused("rename", from, "EXDEV")) : nodeFileSystem.rename(from, to),
      removeFile: (target: string) =>
        isStubborn ? Promise.reject(refused("unlink", target, "EACCES")) : nodeFileSystem.removeFile(target),
    };
    const backend = fileBackend(folder, { fileSystem });
    await publish(backend, "x.state/", "commit", { "a/b": "b" });
    isStubborn = true;
    await expect(backend.remove("x.state/")).rejects.toMatchObject({ details: { errno: "EACCES" } });
    expect(unlockFolder).not.toHaveBeenCalled();
  });

  it.skipIf(isWindows)("through no symbolic link", async () => {
    const folder = await temporaryFolder();
    const elsewhere = await temporaryFolder();
    await chmod(elsewhere, 0o555);
    await symlink(elsewhere, path.join(folder, "link"));
    await expect(nodeFileSystem.unlockFolder?.(path.join(folder, "link"))).rejects.toMatchObject({
      code: "STORAGE_FAILED",
    });
    expect((await stat(elsewhere)).mode & 0o777).toBe(0o555);
    await chmod(elsewhere, 0o755);
  });
});

describe("A rename on Windows", () => {
  const failing = (code: string, times: number) => {
    let calls = 0;
    return { run: () => ++calls <= times ? Promise.reject(coded(code)) : Promise.resolve(), calls: () => calls };
  };

  it.each(["EBUSY", "EPERM", "EACCES"])("that fails with %s is tried again for a moment", async (code) => {
    const { run, calls } = failing(code, 3);
    await retryRename(run, true);
    expect(calls()).toBe(4);
  });

  it("that goes on failing fails in the end, and another failure at once", async () => {
    const busy = failing("EBUSY", Infinity);
    await expect(retryRename(busy.run, true)).rejects.toMatchObject({ code: "EBUSY" });
    expect(busy.calls()).toBeGreaterThan(3);
    const full = failing("ENOSPC", Infinity);
    await expect(retryRename(full.run, true)).rejects.toMatchObject({ code: "ENOSPC" });
    expect(full.calls()).toBe(1);
  });

  it("is tried once on other systems", async () => {
    const { run, calls } = failing("EBUSY", 1);
    await expect(retryRename(run, false)).rejects.toMatchObject({ code: "EBUSY" });
    expect(calls()).toBe(1);
  });
});

describe("A sweep of all that is older than 0 ms", () => {
  const laterThanNow = () => new Promise((resolve) => setTimeout(resolve, 5));

  async function sweepBeside(sweeping: (folder: string) => Promise<unknown>): Promise<void> {
    const folder = await temporaryFolder();
    const backend = fileBackend(folder);
    const stages = [await backend.stage("x.state/"), await backend.stage("y.state.tar.gz")];
    const scratch = await backend.scratch();
    await scratch.write([encode("scratch")]);
    const work = backend.workFolder?.();
    const unlock = await backend.notes.lock?.("z.state");
    await stages[0]?.write("a", [encode("a")]);
    await laterThanNow();
    const before = (await readdir(folder)).sort();
    await sweeping(folder);
    expect((await readdir(folder)).sort()).toEqual(before);
    expect(existsSync(work?.path ?? "")).toBe(true);
    for (const stage of stages) {
      await stage.publish(stage.unit.endsWith("/") ? "manifest.json" : "", [encode("commit")]);
    }
    await scratch.remove();
    await work?.remove();
    await unlock?.();
    expect((await readdir(folder)).sort()).toEqual(["x.state", "y.state.tar.gz"]);
  }

  it("spares what this program writes", () => sweepBeside((folder) => fileBackend(folder).sweep(0)));

  it.skipIf(isWindows)(
    "spares it where the sweep comes by a path through a link, and by one that leads in a circle",
    () =>
      sweepBeside(async (folder) => {
        const elsewhere = await temporaryFolder();
        await symlink(folder, path.join(elsewhere, "link"));
        expect(await fileBackend(path.join(elsewhere, "link")).sweep(0)).toEqual([]);
      }),
  );

  it("spares it where another copy of the library sweeps", () =>
    sweepBeside(async (folder) => {
      vi.resetModules();
      const copy = await import("../../src/file/file_backend.ts");
      expect(copy.fileBackend).not.toBe(fileBackend);
      expect(await copy.fileBackend(folder).sweep(0)).toEqual([]);
    }));

  it("spares what another thread writes", async () => {
    const folder = await temporaryFolder();
    const [, args] = commandOf("write_in_thread");
    const worker = new Worker(args.at(-1) ?? "", { workerData: { folder } });
    onTestFinished(async () => void await worker.terminate());
    const message = () =>
      new Promise((resolve, reject) => {
        worker.once("message", resolve);
        worker.once("error", reject);
      });
    expect(await message()).toBe("staged");
    await laterThanNow();
    const before = (await readdir(folder)).sort();
    expect(before).toHaveLength(process.platform === "linux" ? 5 : 4);
    expect(await fileBackend(folder).sweep(0)).toEqual([]);
    expect((await readdir(folder)).sort()).toEqual(before);
    const published = message();
    worker.postMessage("publish");
    expect(await published).toBe("published");
    expect(await readdir(folder)).toEqual(["x.state"]);
  });

  it("spares a name that was claimed a moment ago, for its stage is still to come", async () => {
    const folder = await temporaryFolder();
    await writeFile(path.join(folder, ".x.state.claim"), "");
    await laterThanNow();
    await fileBackend(folder).sweep(0);
    expect(await readdir(folder)).toEqual([".x.state.claim"]);
  });

  it("takes what another process left, however young it is", async () => {
    const folder = await temporaryFolder();
    await writeFile(path.join(folder, ".x.state.claim"), "");
    await mkdir(path.join(folder, ".x.state.0123456789abcdef.stage"));
    await mkdir(path.join(folder, ".0123456789abcdef.work"));
    await writeFile(path.join(folder, ".0123456789abcdef.scratch"), "");
    await laterThanNow();
    expect(await fileBackend(folder).sweep(0)).toEqual(["x.state/"]);
    expect(await readdir(folder)).toEqual([]);
  });

  it("takes what this program has finished with and could not remove", async () => {
    const folder = await temporaryFolder();
    let isStubborn = true;
    const fileSystem = {
      ...nodeFileSystem,
      removeFolder: (target: string) =>
        isStubborn ? Promise.reject(refused("rmdir", target, "EIO")) : nodeFileSystem.removeFolder(target),
    };
    const backend = fileBackend(folder, { fileSystem });
    const stage = await backend.stage("x.state/");
    await stage.abandon();
    isStubborn = false;
    expect(await readdir(folder)).toHaveLength(1);
    await laterThanNow();
    expect(await backend.sweep(0)).toEqual(["x.state/"]);
    expect(await readdir(folder)).toEqual([]);
  });

  it("tells the writer that it took the stage, and not that the writer was silent", async () => {
    const folder = await temporaryFolder();
    const backend = fileBackend(folder);
    const stage = await backend.stage("x.state/");
    await rm(folder, { recursive: true });
    await expect(stage.write("a", [encode("a")])).rejects.toMatchObject({
      code: "STAGE_LOST",
      message: expect.stringMatching(/or the folder was deleted otherwise/) as unknown,
    });
    await stage.abandon();
  });
});

describe("A private place", () => {
  const modeOf = async (target: string) => ((await stat(target)).mode & 0o777).toString(8);

  async function withUmask<T>(mask: number, run: () => Promise<T>): Promise<T> {
    const before = process.umask(mask);
    try {
      return await run();
    } finally {
      process.umask(before);
    }
  }

  async function modesOf(folder: string): Promise<{ folders: string[]; files: string[] }> {
    const found = { folders: [await modeOf(folder)], files: [] as string[] };
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      const mode = await modeOf(path.join(entry.parentPath, entry.name));
      (entry.isDirectory() ? found.folders : found.files).push(mode);
    }
    return found;
  }

  async function fill(backend: Backend): Promise<void> {
    const work = backend.workFolder?.();
    await rename(work?.path ?? "", path.join(path.dirname(work?.path ?? ""), "kept")); // as it was made
    const store = new StateStore(backend).register("it", { saveState: (out) => out.write("a/b", "b"), loadState() {} });
    await (await store.saveState({ layout: "directory" })).pin();
    await store.saveState({ layout: "tar.gz" });
    const scratch = await backend.scratch();
    await scratch.write([encode("scratch")]);
    await scratch.close();
    await backend.stage("y.state.tar.gz");
    await backend.notes.lock?.("y.state");
  }

  const umasks = [0, 0o022, 0o077];
  it.skipIf(isWindows).each([[0o700, "700", "600"], [0o750, "750", "640"], [0o777, "777", "666"]] as const)(
    "gives all that it makes the mode %o, whatever the umask",
    async (mode, folders, files) => {
      for (const mask of umasks) {
        const folder = path.join(await temporaryFolder(), "states");
        await withUmask(mask, () => fill(fileBackend(folder, { mode })));
        const found = await modesOf(folder);
        expect(new Set(found.folders), `umask ${mask.toString(8)}`).toEqual(new Set([folders]));
        expect(new Set(found.files), `umask ${mask.toString(8)}`).toEqual(new Set([files]));
        expect(found.folders.length).toBeGreaterThan(5);
        expect(found.files.length).toBeGreaterThan(5);
        await fileBackend(folder).sweep(-1);
      }
    },
  );

  it.skipIf(isWindows)("leaves a folder that is there already as it is, and those above the place", async () => {
    await withUmask(0o022, async () => {
      const parent = await temporaryFolder();
      await chmod(parent, 0o755);
      await fileBackend(path.join(parent, "a", "b"), { mode: 0o700 }).create();
      expect(await modeOf(path.join(parent, "a"))).toBe("755");
      expect(await modeOf(path.join(parent, "a", "b"))).toBe("700");
      await mkdir(path.join(parent, "open"));
      await publish(fileBackend(path.join(parent, "open"), { mode: 0o700 }), "x.state/", "commit");
      expect(await modeOf(path.join(parent, "open"))).toBe("755");
      expect(await modeOf(path.join(parent, "open", "x.state"))).toBe("700");
    });
  });

  it.skipIf(isWindows)("keeps the bits of a folder that files of a group are made in", async () => {
    const folder = await temporaryFolder();
    await chmod(folder, 0o2770);
    await publish(fileBackend(folder, { mode: 0o770 }), "x.state/", "commit");
    const bits = (await stat(path.join(folder, "x.state"))).mode & 0o7777;
    const inherited = (await stat(folder)).mode & 0o2000;
    expect(bits).toBe(0o770 | inherited);
  });

  it.each([["0700", TypeError], [null, TypeError], [{}, TypeError], [700n, TypeError], [true, TypeError]])(
    "is refused with the mode %s, which is no number",
    (mode, kind) => {
      expect(() => fileBackend("states", { mode: mode as number })).toThrow(kind);
    },
  );

  it.each([0o600, 0o077, 0, -1, 0o1700, 0o10000, 700, 448.5, NaN, Infinity])(
    "is refused with the mode %d, which is no set of rights that lets its owner in",
    (mode) => {
      expect(() => fileBackend("states", { mode })).toThrow(RangeError);
    },
  );
});
