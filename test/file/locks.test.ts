// Locks of notes: a dead program's costs nothing where its death is proven, and a living program's is never broken early.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import path from "node:path";
import process from "node:process";
import { type Backend, fileBackend, LatestStatesKeeper, memoryBackend, StateStore } from "snapkeep";
import { describe, expect, it, onTestFinished } from "vitest";
import { startChild } from "../faults/child.ts";
import { recorded } from "../backend/recorded.ts";
import { temporaryFolder } from "../backend/temporary.ts";
import { encode } from "../backend/texts.ts";

const NAME = "x.state";
const LOCK = `.${NAME}.lock`;
const OWNER = `.${NAME}.lock-owner`;
const isLinux = process.platform === "linux";
if (!isLinux) console.log("The end of a process is not proven here: this is not Linux");

type Owner = Record<"lock" | "startTime" | "bootId" | "namespace" | "host", string> & { pid: number };

/** A child that holds the lock of a note until it is killed. */
async function holder(folder: string, name = NAME) {
  const child = startChild("hold_lock", [folder, name]);
  onTestFinished(() => void child.kill("SIGKILL"));
  await new Promise<void>((resolve, reject) => {
    child.stdout.once("data", () => resolve());
    child.once("exit", (code) => reject(new Error(`the child ended with ${code}`)));
  });
  const kill = () =>
    new Promise<void>((resolve) => {
      child.removeAllListeners("exit").once("exit", () => resolve());
      child.kill("SIGKILL");
    });
  return { child, kill };
}

const isHeld = async (backend: Backend, name = NAME): Promise<boolean> => {
  const unlock = await backend.notes.lock?.(name, { wait: false });
  await unlock?.();
  return unlock === undefined;
};

const ownerOf = async (folder: string): Promise<Owner> => JSON.parse(await readFile(path.join(folder, OWNER), "utf8"));

/** A lock without a holder, and beside it an owner: a process that ended, with some of it changed. */
async function leftLock(folder: string, change: (owner: Owner) => Partial<Owner> = () => ({})): Promise<void> {
  const unlock = await fileBackend(folder).notes.lock?.("model.state");
  const model = JSON.parse(await readFile(path.join(folder, ".model.state.lock-owner"), "utf8")) as Owner;
  await unlock?.();
  await writeFile(path.join(folder, LOCK), "");
  const { dev, ino } = await stat(path.join(folder, LOCK), { bigint: true });
  const owner = { ...model, lock: `${dev}:${ino}`, startTime: "1" };
  await writeFile(path.join(folder, OWNER), JSON.stringify({ ...owner, ...change(owner) }));
}

describe("A lock whose program was killed", () => {
  it.skipIf(!isLinux)("is taken at once, and its owner's file with it", async () => {
    const folder = await temporaryFolder();
    const { kill } = await holder(folder);
    expect((await readdir(folder)).sort()).toEqual([LOCK, OWNER]);
    expect((await stat(path.join(folder, LOCK))).size).toBe(0);
    const backend = fileBackend(folder);
    expect(await isHeld(backend)).toBe(true);
    await kill();
    const unlock = await backend.notes.lock?.(NAME, { wait: false });
    expect(unlock).toBeDefined();
    expect(await ownerOf(folder)).toMatchObject({ pid: process.pid, host: hostname() });
    await unlock?.();
    expect(await readdir(folder)).toEqual([]);
  });

  it.skipIf(!isLinux)("is taken by one of many that wait for it at once", async () => {
    const folder = await temporaryFolder();
    const { kill } = await holder(folder);
    await kill();
    let holders = 0;
    await Promise.all(Array.from({ length: 12 }, async () => {
      const unlock = await fileBackend(folder).notes.lock?.(NAME);
      expect(++holders).toBe(1);
      await new Promise((resolve) => setTimeout(resolve, 1));
      holders--;
      await unlock?.();
    }));
    expect(await readdir(folder)).toEqual([]);
  });

  it.skipIf(!isLinux)("goes with a sweep, however young it is", async () => {
    const folder = await temporaryFolder();
    const { kill } = await holder(folder);
    await fileBackend(folder).sweep(0);
    expect((await readdir(folder)).sort()).toEqual([LOCK, OWNER]);
    await kill();
    await fileBackend(folder).sweep(60_000);
    expect(await readdir(folder)).toEqual([]);
  });

  it.skipIf(!isLinux)("is dead as well while its parent has not asked how it ended", async () => {
    const folder = await temporaryFolder();
    const owner: { pid?: number; startTime?: string } = {};
    const script = `import os,time
pid = os.fork()
if pid == 0: os._exit(0)
time.sleep(0.3)
print(pid, open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()[19], flush=True)
time.sleep(20)`;
    let out = "";
    const { spawn } = await import("node:child_process");
    const parent = spawn("python3", ["-c", script], { stdio: ["ignore", "pipe", "ignore"] });
    onTestFinished(() => void parent.kill("SIGKILL"));
    await new Promise<void>((resolve, reject) => {
      parent.stdout.on("data", (data) => {
        out += data;
        if (out.includes("\n")) resolve();
      });
      parent.once("error", reject);
    });
    const [pid, startTime] = out.trim().split(" ");
    Object.assign(owner, { pid: Number(pid), startTime });
    await leftLock(folder, () => owner);
    expect(await isHeld(fileBackend(folder))).toBe(false);
  });
});

describe("A lock whose program lives", () => {
  it.skipIf(!isLinux)("is not broken while the program stands still", async () => {
    const folder = await temporaryFolder();
    const { child } = await holder(folder);
    child.kill("SIGSTOP");
    const backend = fileBackend(folder);
    for (let round = 0; round < 20; round++) expect(await isHeld(backend)).toBe(true);
    await backend.sweep(0);
    expect(await isHeld(backend)).toBe(true);
  });

  const lies: [string, (owner: Owner) => Partial<Owner>, boolean][] = [
    ["its process id was given to another process", () => ({}), false],
    ["it names no process at all", () => ({ pid: 0x7ffffff0 }), false],
    ["it is of another boot", () => ({ bootId: "00000000-0000-4000-8000-000000000000" }), true],
    ["it is of another namespace", () => ({ namespace: "pid:[1] time:[1]" }), true],
    ["it is of another host", () => ({ host: "elsewhere" }), true],
    ["it speaks of another lock", ({ lock }) => ({ lock: `${lock}0` }), true],
    ["it names a group of processes", () => ({ pid: -1 }), true],
    ["it names every process", () => ({ pid: 0 }), true],
    ["its process id is no whole number", () => ({ pid: 1.5 }), true],
    ["its start is no text", () => ({ startTime: 1 as unknown as string }), true],
  ];
  it.skipIf(!isLinux).each(lies)("is judged by its owner, when %s", async (_, change, held) => {
    const folder = await temporaryFolder();
    await leftLock(folder, change);
    expect(await isHeld(fileBackend(folder))).toBe(held);
  });

  it.skipIf(!isLinux)("is not broken by an owner that is older than it, whose inode it was given", async () => {
    const folder = await temporaryFolder();
    await leftLock(folder);
    const before = new Date(Date.now() - 2_000);
    await utimes(path.join(folder, OWNER), before, before);
    expect(await isHeld(fileBackend(folder))).toBe(true);
  });

  const places: [string, (owner: string, elsewhere: string) => Promise<unknown>][] = [
    ["a symbolic link to a sound one", async (owner, elsewhere) => {
      await writeFile(elsewhere, await readFile(owner));
      execFileSync("rm", [owner]);
      await symlink(elsewhere, owner);
    }],
    ["garbage", (owner) => writeFile(owner, '{"format":')],
    ["null", (owner) => writeFile(owner, "null")],
    ["too long", async (owner) => writeFile(owner, `${await readFile(owner, "utf8")}${" ".repeat(2_000)}`)],
    ["a folder", async (owner) => {
      execFileSync("rm", [owner]);
      await mkdir(owner);
    }],
    ["a pipe", (owner) => Promise.resolve(execFileSync("sh", ["-c", `rm "${owner}"; mkfifo "${owner}"`]))],
  ];
  it.skipIf(!isLinux).each(places)(
    "is not broken when its owner's file is %s, which stays what it is",
    async (_, put) => {
      const folder = await temporaryFolder();
      await leftLock(folder);
      const elsewhere = path.join(await temporaryFolder(), "elsewhere");
      await put(path.join(folder, OWNER), elsewhere);
      const backend = fileBackend(folder);
      expect(await isHeld(backend)).toBe(true);
      const longAgo = new Date(Date.now() - 60_000);
      await utimes(path.join(folder, LOCK), longAgo, longAgo);
      expect(await isHeld(backend)).toBe(false); // by its age
      if (existsSync(elsewhere)) expect((await readFile(elsewhere, "utf8")).length).toBeGreaterThan(0);
    },
  );
});

describe("A note", () => {
  it.skipIf(!isLinux)("of a snapshot whose labeller was killed is changed within 100 ms", async () => {
    const folder = await temporaryFolder();
    const store = new StateStore(folder).register("it", { saveState: (out) => out.write("a", "b"), loadState() {} });
    const snapshot = await store.saveState();
    await snapshot.label({ step: 1 });
    const { kill } = await holder(folder, snapshot.name);
    await kill();
    const since = performance.now();
    await snapshot.label({ step: 2 });
    expect(performance.now() - since).toBeLessThan(2_000); // 100 ms on a machine that does nothing else
    expect(await snapshot.labels()).toEqual({ step: 2 });
  });

  it("is locked and unlocked with few calls", async () => {
    const { backend, takeCalls } = await recorded();
    const unlock = await backend.notes.lock?.(NAME);
    await unlock?.();
    const owner = ["create", "write", "close"].map((call) => `${call} ${OWNER}`);
    expect(takeCalls()).toEqual([
      `create ${LOCK}`,
      ...isLinux ? [`identity ${LOCK}`] : [],
      `close ${LOCK}`,
      ...isLinux ? [...owner, `removeFile ${OWNER}`] : [],
      `removeFile ${LOCK}`,
    ]);
  });

  it("is locked also if its owner is unknown", async () => {
    for (const errno of ["ENOSPC", "EACCES"]) {
      const { backend, folder } = await recorded({
        at: 1,
        forever: true,
        errno,
        only: ({ path: target }) => target.endsWith(".lock-owner"),
      });
      const unlock = await backend.notes.lock?.(NAME);
      expect(await isHeld(backend)).toBe(true);
      await unlock?.();
      expect(await readdir(folder)).toEqual([]);
    }
  });

  it("is not asked for by a sweep, which removes an owner whose lock has gone", async () => {
    const folder = await temporaryFolder();
    const backend = fileBackend(folder);
    await writeFile(path.join(folder, OWNER), "{}");
    await backend.sweep(0);
    expect(await readdir(folder)).toEqual([OWNER]);
    const longAgo = new Date(Date.now() - 60_000);
    await utimes(path.join(folder, OWNER), longAgo, longAgo);
    await backend.sweep(0);
    expect(await readdir(folder)).toEqual([]);
  });
});

describe.each([["files", async () => fileBackend(await temporaryFolder())], ["memory", async () => memoryBackend()]])(
  "A cleanup (%s)",
  (_, make) => {
    it("waits for no lock: it leaves the snapshot to the next one", async () => {
      const backend = await make();
      const store = new StateStore(backend).register("it", { saveState: (out) => out.write("a", "b"), loadState() {} });
      const [first, second] = [await store.saveState(), await store.saveState()];
      await store.saveState();
      const keeper = new LatestStatesKeeper(store, 1);
      const unlock = await backend.notes.lock?.(first.name);
      expect((await keeper.cleanup()).map(({ name }) => name)).toEqual([second.name]);
      await unlock?.();
      expect((await keeper.cleanup()).map(({ name }) => name)).toEqual([first.name]);
    });

    it("does not wait for a change of labels that waits for a lock", async () => {
      const backend = await make();
      const store = new StateStore(backend).register("it", { saveState: (out) => out.write("a", "b"), loadState() {} });
      const first = await store.saveState();
      await store.saveState();
      const unlock = await backend.notes.lock?.(first.name);
      const pinning = first.pin();
      expect(await new LatestStatesKeeper(store, 1).cleanup()).toEqual([]);
      await unlock?.();
      await pinning;
      expect(await new LatestStatesKeeper(store, 1).cleanup()).toEqual([]);
      expect(await first.exists()).toBe(true);
    });

    it("by hand waits for the lock", async () => {
      const backend = await make();
      const store = new StateStore(backend).register("it", { saveState: (out) => out.write("a", "b"), loadState() {} });
      const first = await store.saveState();
      const unlock = await backend.notes.lock?.(first.name);
      const removing = first.remove();
      await backend.notes.put(first.name, encode("{}"));
      await unlock?.();
      expect(await removing).toBe(true);
    });
  },
);
