// The order of system calls is the promise of durability: each sequence here is the one that docs/durability.md gives.
import { Buffer } from "node:buffer";
import { writeFile } from "node:fs/promises";
import process from "node:process";
import { fileBackend } from "snapkeep";
import { type FileSystem, nodeFileSystem } from "snapkeep/testing";
import { describe, expect, it, vi } from "vitest";
import { UNIT_SUFFIXES } from "../../src/model/unit.ts";
import { deferred } from "../../src/runtime/concurrency.ts";
import { recorded } from "../backend/recorded.ts";
import { temporaryFolder } from "../backend/temporary.ts";
import { encode, publish } from "../backend/texts.ts";

const isSync = (call: string) => call.startsWith("sync");

/** Syncs that follow each other are concurrent, and each file is closed when its own has ended. */
function settled(calls: readonly string[]): string[] {
  const ends = (call: string | undefined) => /^(?:sync|syncFolder|close) .*\.stage/.test(call ?? "");
  const runs: string[][] = [];
  calls.forEach((call, index) => {
    if (ends(call) && ends(calls[index - 1])) runs.at(-1)?.push(call);
    else runs.push([call]);
  });
  return runs.flatMap((run) => run.sort());
}

const CLAIM = ["create .x.state.claim", "close .x.state.claim"];
const LOOK = UNIT_SUFFIXES.map((suffix) => `stat x.state${suffix.replace("/", "")}`);
const RELEASE = ["stat .x.state.claim", "removeFile .x.state.claim"];

const GROUP_SEQUENCE = [
  ...CLAIM,
  ...LOOK,
  "makeFolder .x.state.*.stage",
  "makeFolder .x.state.*.stage/a",
  "makeFolder .x.state.*.stage/a/b",
  "create .x.state.*.stage/a/b/c",
  "write .x.state.*.stage/a/b/c",
  "sync .x.state.*.stage/a/b/c",
  "close .x.state.*.stage/a/b/c",
  "syncFolder .x.state.*.stage/a",
  "syncFolder .x.state.*.stage/a/b",
  "create .x.state.*.stage/manifest.json",
  "write .x.state.*.stage/manifest.json",
  "sync .x.state.*.stage/manifest.json",
  "close .x.state.*.stage/manifest.json",
  "syncFolder .x.state.*.stage",
  "rename x.state",
  "syncFolder /",
  ...RELEASE,
];

const BLOB_SEQUENCE = [
  ...CLAIM,
  ...LOOK,
  "makeFolder .x.state.tar.gz.*.stage",
  "create .x.state.tar.gz.*.stage/blob",
  "write .x.state.tar.gz.*.stage/blob",
  "sync .x.state.tar.gz.*.stage/blob",
  "close .x.state.tar.gz.*.stage/blob",
  "link x.state.tar.gz",
  "stat .x.state.tar.gz.*.stage",
  "readFolder .x.state.tar.gz.*.stage",
  "stat .x.state.tar.gz.*.stage/blob",
  "removeFile .x.state.tar.gz.*.stage/blob",
  "removeFolder .x.state.tar.gz.*.stage",
  "syncFolder /",
  ...RELEASE,
];

describe("with full durability", () => {
  it("a group is made durable, its manifest after all else, and then renamed", async () => {
    const { backend, takeCalls } = await recorded();
    await publish(backend, "x.state/", "commit", { "a/b/c": "abc" });
    expect(settled(takeCalls())).toEqual(settled(GROUP_SEQUENCE));
  });

  it("every blob and folder of a group is durable before its manifest is begun", async () => {
    const { backend, takeCalls } = await recorded();
    const paths = Array.from({ length: 40 }, (_, index) => `s${index % 4}/p${index % 3}/${index}`);
    const stage = await backend.stage("x.state/");
    await Promise.all(paths.map((path) => stage.write(path, [encode(path)])));
    await stage.publish("manifest.json", [encode("commit")]);
    const calls = takeCalls();
    const before = calls.slice(0, calls.indexOf("create .x.state.*.stage/manifest.json"));
    for (const path of paths) {
      const file = `.x.state.*.stage/${path}`;
      const folder = file.slice(0, file.lastIndexOf("/"));
      const parent = folder.slice(0, folder.lastIndexOf("/"));
      const orders = [[`write ${file}`, `sync ${file}`, `close ${file}`], [`create ${file}`, `syncFolder ${folder}`], [
        `makeFolder ${folder}`,
        `syncFolder ${parent}`,
      ]];
      for (const order of orders) {
        const found = order.map((call) => before.lastIndexOf(call));
        expect(found[0], path).toBeGreaterThanOrEqual(0);
        expect(found, path).toEqual([...found].sort((a, b) => a - b));
      }
    }
    expect(calls.filter(isSync)).toHaveLength(paths.length + 12 + 4 + 3);
    const [synced, closed] = ["sync", "close"].map((call) => calls.indexOf(`${call} .x.state.*.stage/manifest.json`));
    expect(closed).toBeGreaterThan(synced as number);
    expect(settled(calls.slice(calls.indexOf("create .x.state.*.stage/manifest.json")))).toEqual(
      settled(GROUP_SEQUENCE.slice(GROUP_SEQUENCE.indexOf("create .x.state.*.stage/manifest.json"))),
    );
  });

  it.each(["/a/b/c", "/a", "/a/b", "/manifest.json", ".stage"])(
    "a group is renamed only when the sync of %s has ended",
    async (end) => {
      const folder = await temporaryFolder();
      const { promise: released, resolve: release } = deferred<void>();
      let isHeld = false;
      const hold = async (path: string) => {
        if (!path.endsWith(end)) return;
        isHeld = true;
        await released;
      };
      const rename = vi.fn(nodeFileSystem.rename);
      const fileSystem: FileSystem = {
        ...nodeFileSystem,
        rename,
        async create(path, mode) {
          const file = await nodeFileSystem.create(path, mode);
          return {
            read: (target, position) => file.read(target, position),
            write: (bytes, position) => file.write(bytes, position),
            sizeBytes: () => file.sizeBytes(),
            sync: () => hold(path).then(() => file.sync()),
            close: () => file.close(),
          };
        },
        syncFolder: (path) => hold(path).then(() => nodeFileSystem.syncFolder(path)),
      };
      const backend = fileBackend(folder, { fileSystem });
      const stage = await backend.stage("x.state/");
      await stage.write("a/b/c", [encode("abc")]);
      const publishing = stage.publish("manifest.json", [encode("commit")]);
      await vi.waitFor(() => expect(isHeld).toBe(true));
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(rename).not.toHaveBeenCalled();
      release();
      await publishing;
      expect(rename).toHaveBeenCalledTimes(1);
    },
  );

  it("a single blob is made durable, then linked, so that nothing can be overwritten", async () => {
    const { backend, takeCalls } = await recorded();
    await publish(backend, "x.state.tar.gz", "commit");
    expect(takeCalls()).toEqual(BLOB_SEQUENCE);
  });

  it("a removal is durable before anything is deleted", async () => {
    const { backend, takeCalls } = await recorded();
    await publish(backend, "x.state/", "commit", { "a/b": "ab" });
    takeCalls();
    await backend.remove("x.state/");
    const [rename, sync, ...deletions] = takeCalls().filter((call) => !/^(stat|readFolder) /.test(call));
    expect([rename, sync]).toEqual(["rename .*.trash", "syncFolder /"]);
    expect(deletions.at(-1)).toBe("removeFolder .*.trash");
    expect(deletions.sort()).toEqual([ // concurrently, in whatever order
      "removeFile .*.trash/a/b",
      "removeFile .*.trash/manifest.json",
      "removeFolder .*.trash",
      "removeFolder .*.trash/a",
    ]);
  });

  it("trash that a dead program left is deleted only when its removal is durable", async () => {
    const { backend, faults, takeCalls } = await recorded({
      at: 1,
      forever: true,
      only: ({ operation, path }) => operation === "removeFile" && path.includes(".trash"),
    });
    await publish(backend, "x.state.tar.gz", "commit");
    await backend.remove("x.state.tar.gz");
    faults.heal();
    takeCalls();
    await backend.sweep(60_000);
    const calls = takeCalls().filter((call) => !call.startsWith("stat "));
    expect(calls).toEqual(["readFolder /", "syncFolder /", "removeFile .*.trash"]);
  });

  it("trash that was a directory loses its manifest first, durably, for a sync that failed once proves nothing", async () => {
    const { backend, takeCalls } = await recorded({
      at: 2, // the first one is that of the save
      only: ({ operation, path }) => operation === "syncFolder" && !path.includes(".state"),
    });
    await publish(backend, "x.state/", "commit", { "a/b": "ab" });
    await expect(backend.remove("x.state/")).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    takeCalls();
    await backend.sweep(60_000);
    expect(takeCalls().filter((call) => !/^(stat|readFolder) /.test(call))).toEqual([
      "syncFolder /",
      "removeFile .*.trash/manifest.json",
      "syncFolder .*.trash",
      "removeFile .*.trash/a/b",
      "removeFolder .*.trash/a",
      "removeFolder .*.trash",
    ]);
  });

  it("a swept stage is hidden durably before it is deleted, and its claim goes last", async () => {
    const { backend, takeCalls } = await recorded();
    const stage = await backend.stage("x.state/");
    await stage.write("a", [encode("a")]);
    takeCalls();
    await backend.sweep(-1);
    expect(takeCalls().filter((call) => !/^(stat|readFolder|close) /.test(call))).toEqual([
      "rename .*.trash",
      "syncFolder /",
      "removeFile .*.trash/a",
      "removeFolder .*.trash",
      "removeFile .x.state.claim",
    ]);
    await stage.abandon();
  });

  it("new folders are made durable in their parents, once", async () => {
    const { backend, takeCalls } = await recorded({}, { below: "deep/states" });
    expect(await backend.create()).toBe(true);
    expect(takeCalls()).toEqual([
      "makeFolder /",
      "makeFolder ..",
      "makeFolder /",
      "syncFolder ../..",
      "syncFolder ..",
    ]);
    expect(await backend.create()).toBe(false);
    expect(takeCalls()).toEqual(["makeFolder /", "stat /"]);
  });

  it("the first save makes the folders, and makes them durable before it claims its name", async () => {
    const { backend, takeCalls } = await recorded({}, { below: "deep/states" });
    await publish(backend, "x.state.tar.gz", "commit");
    const calls = takeCalls();
    expect(calls.indexOf("syncFolder ..")).toBeGreaterThan(0);
    expect(calls.slice(calls.indexOf("syncFolder ..") + 1)).toEqual(BLOB_SEQUENCE);
  });

  it("a note is durable before it takes the place of the old one, and after", async () => {
    const { backend, takeCalls } = await recorded();
    await backend.notes.put("x.state", encode("old"));
    expect(takeCalls()).toEqual([
      "makeFolder .notes",
      "syncFolder /",
      "create .*.scratch",
      "write .*.scratch",
      "sync .*.scratch",
      "close .*.scratch",
      "rename .notes/x.state.json",
      "syncFolder .notes",
    ]);
    await backend.notes.remove("x.state");
    expect(takeCalls()).toEqual(["removeFile .notes/x.state.json", "syncFolder .notes"]);
  });
});

describe("a note that need not survive a power loss", () => {
  it("is put without a sync, and its folder is made durable by the next that must", async () => {
    const { backend, takeCalls } = await recorded();
    await backend.notes.put("x.state", encode("old"), { sync: false });
    const calls = takeCalls();
    expect(calls.filter(isSync)).toEqual([]);
    expect(calls.at(-1)).toBe("rename .notes/x.state.json");
    await backend.notes.put("x.state", encode("new"));
    expect(takeCalls().filter(isSync)).toEqual(["syncFolder /", "sync .*.scratch", "syncFolder .notes"]);
  });
});

describe("the file system of this machine", () => {
  it.skipIf(process.platform !== "linux")(
    "passes every sync of a file or folder on to the system, and its failure back",
    async () => {
      const folder = await temporaryFolder();
      const file = await nodeFileSystem.create(`${folder}/x`);
      await file.sync();
      await file.close();
      await nodeFileSystem.syncFolder(folder);
      const failure = { code: "STORAGE_FAILED", details: { operation: "fsync", errno: "EINVAL" } };
      const unsyncable = await nodeFileSystem.open("/proc/self/status");
      await expect(unsyncable.sync()).rejects.toMatchObject(failure);
      await unsyncable.close();
      await expect(nodeFileSystem.syncFolder("/proc")).rejects.toMatchObject(failure);
    },
  );

  it("closes a file only when what is under way has ended, as its number may be another file's right after", async () => {
    const folder = await temporaryFolder();
    const path = `${folder}/x`;
    const pieceBytes = 1024 * 1024;
    await writeFile(path, Buffer.alloc(8 * pieceBytes, "x"));
    await writeFile(`${folder}/other`, Buffer.alloc(8 * pieceBytes, "o"));
    const file = await nodeFileSystem.open(path);
    const pieces = Array.from({ length: 8 }, () => new Uint8Array(pieceBytes));
    const reading = pieces.map((piece, index) => file.read(piece, index * pieceBytes));
    const closing = file.close();
    const others = await Promise.all(pieces.map(() => nodeFileSystem.open(`${folder}/other`)));
    expect(await Promise.all(reading)).toEqual(pieces.map(() => pieceBytes));
    await closing;
    for (const piece of pieces) expect(piece.every((byte) => byte === 0x78)).toBe(true);
    for (const other of others) await other.close();
    await expect(file.read(new Uint8Array(1), 0)).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    const failure = { code: "STORAGE_FAILED", details: { operation: "fsync" } };
    await expect(file.sync()).rejects.toMatchObject(failure);
    await file.close(); // again, as code that gives back on each way out does
  });
});

describe("without durability", () => {
  it("the same calls are made, but for the syncs", async () => {
    const { backend, takeCalls } = await recorded({}, { durability: "none" });
    await publish(backend, "x.state/", "commit", { "a/b/c": "abc" });
    expect(takeCalls()).toEqual(GROUP_SEQUENCE.filter((call) => !isSync(call)));
    await backend.remove("x.state/");
    takeCalls();
    await publish(backend, "x.state.tar.gz", "commit");
    expect(takeCalls()).toEqual(BLOB_SEQUENCE.filter((call) => !isSync(call)));
  });

  it("no operation syncs", async () => {
    const { backend, takeCalls } = await recorded({}, { durability: "none", below: "deep/states" });
    await backend.create();
    await publish(backend, "x.state/", "commit", { "a/b/c": "abc" });
    await backend.notes.put("x.state", encode("note"));
    await backend.notes.remove("x.state");
    await backend.remove("x.state/");
    await backend.stage("y.state/");
    await (await backend.scratch()).write([encode("scratch")]);
    await backend.sweep(-1);
    const calls = takeCalls();
    expect(calls.filter(isSync)).toEqual([]);
    expect(calls.length).toBeGreaterThan(40);
  });
});
