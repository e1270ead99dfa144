// Snapshots that go out and come in as streams: captured at the call, whole or worthless, and leaving nothing behind.
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { pathToFileURL } from "node:url";
import {
  fileBackend,
  isSnapshotError,
  type LayoutKind,
  locate,
  memoryBackend,
  type PersistentState,
  StateStore,
} from "snapkeep";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { directoryLayout } from "../../src/layout/directory_layout.ts";
import { nativeZstd } from "../../src/compression/zstd_codec.ts";
import { openStream, writeCopy } from "../../src/snapshot/copying.ts";
import type { Stage } from "../../src/model/backend.ts";
import { checkEstargz } from "../archive/estargz_checker.ts";
import {
  archiveOf,
  bytesOf,
  digests,
  INSTANT_MS,
  noise,
  pieces,
  storeOf,
  streamOf,
  TreeState,
  within,
} from "../archive/samples.ts";
import { watchedBackend } from "../archive/watched_backend.ts";

const MIB = 1024 * 1024;
const TREE = { "big.bin": noise(3 * MIB + 5), "small.txt": "small", "empty": "" };

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "snapkeep-streaming-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** A state that writes the given entries. */
function saving(save: PersistentState["saveState"]): PersistentState {
  return { saveState: save, loadState: () => {} };
}

/** A source that says whether it was cancelled, and that may wait permanently after some pieces. */
function source(count: number, { hangs = false, fails = false } = {}) {
  const seen = { given: 0, isCancelled: false };
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (seen.given === count) {
        if (fails) return controller.error(new Error("the disk is on fire"));
        if (hangs) return await new Promise(() => {});
        return controller.close();
      }
      controller.enqueue(noise(200_000, ++seen.given));
    },
    cancel() {
      seen.isCancelled = true;
    },
  }, { highWaterMark: 0 });
  return { stream, seen };
}

/** Everything in the folder, hidden things too; none where it was not even made. */
async function left(): Promise<string[]> {
  return (await readdir(path.join(folder, "states"), { recursive: true }).catch(() => [] as string[])).sort((a, b) =>
    a < b ? -1 : 1
  );
}

const fileStore = (options = {}) =>
  new StateStore(fileBackend(path.join(folder, "states"), { durability: "none" }), options);

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = Date.now() + 5000;
  while (!await condition()) {
    if (Date.now() > end) throw new Error(`not within 5 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

async function loaded(body: ReadableStream<Uint8Array>): Promise<Record<string, Uint8Array>> {
  const state = new TreeState({});
  await new StateStore(memoryBackend()).register("a", state).loadState(body);
  return state.loaded;
}

describe("streamState", () => {
  it("returns a complete archive with the data for a response", async () => {
    const { name, fileName, mediaType, body } = storeOf({ a: TREE }).streamState();
    expect({ name, fileName, mediaType }).toEqual({
      name: "2026-02-03_04-05-06,789000.state",
      fileName: "2026-02-03_04-05-06,789000.state.tar.gz",
      mediaType: "application/gzip",
    });
    const response = new Response(body as ReadableStream<Uint8Array<ArrayBuffer>>);
    const bytes = new Uint8Array(await response.arrayBuffer());
    expect(checkEstargz(bytes).manifest.name).toBe(name);
    expect(digests(await loaded(streamOf(bytes)))).toEqual(digests(TREE));
  });

  it("gives a plain tar too", async () => {
    const { fileName, mediaType, body } = storeOf({ a: TREE }).streamState({ layout: "tar" });
    expect([fileName.endsWith(".state.tar"), mediaType]).toEqual([true, "application/x-tar"]);
    expect(digests(await loaded(body))).toEqual(digests(TREE));
  });

  it.each(["gz", "directory"])("refuses the layout %s, which is no archive, by name", (layout) => {
    expect(() => fileStore().streamState({ layout: layout as "tar" })).toThrow(
      `Cannot use the layout "${layout}": expected one of "tar.gz", "tar.zst", "tar"`,
    );
  });

  it("gives the archive that the store saves, or tar.gz", () => {
    const suffixOf = (layout: LayoutKind) => {
      const { fileName, body } = storeOf({ a: TREE }, { layout }).streamState();
      void body.cancel();
      return fileName.slice(fileName.indexOf(".state"));
    };
    expect((["directory", "tar.gz"] as const).map(suffixOf)).toEqual([".state.tar.gz", ".state.tar.gz"]);
    if (nativeZstd !== undefined) expect(suffixOf("tar.zst")).toBe(".state.tar.zst");
  });

  it("goes through a pipe", async () => {
    const { body, fileName } = storeOf({ a: TREE }).streamState();
    const { createWriteStream } = await import("node:fs");
    await pipeline(Readable.fromWeb(body as never), createWriteStream(path.join(folder, fileName)));
    expect(await locate(path.join(folder, fileName)).verify()).toMatchObject({ isWhole: true, entries: 3 });
  });

  it("is the very file that saving makes", async () => {
    const run = "one";
    const streamed = await bytesOf(storeOf({ a: TREE }, { run }).streamState().body);
    expect(digests({ file: streamed })).toEqual(digests({ file: (await archiveOf({ a: TREE }, { run })).bytes }));
  });

  it("captures at the call, whatever is changed right after it", async () => {
    const bytes = noise(100_000);
    const before = digests({ bytes });
    const store = new StateStore(memoryBackend()).register("a", saving((out) => out.write("bytes", bytes)));
    const { body } = store.streamState();
    bytes.fill(0);
    expect(digests(await loaded(body))).toEqual(before);
  });

  it("calls every saveState before it returns", () => {
    const calls: string[] = [];
    const store = new StateStore(memoryBackend());
    for (const name of ["a", "b"]) store.register(name, saving(() => void calls.push(name)));
    store.streamState();
    expect(calls).toEqual(["a", "b"]);
  });

  it("carries labels, and the parent, like any save", async () => {
    const saved = await archiveOf({ a: TREE });
    const store = new StateStore(saved.store.backend).register("a", new TreeState(TREE));
    await store.loadState(saved.locator);
    const { body } = store.streamState({ labels: { step: 7, tags: ["sent"] } });
    const other = new StateStore(memoryBackend());
    const manifest = await (await other.importSnapshot(body)).manifest();
    expect(manifest).toMatchObject({
      parent: saved.locator.name,
      labels: { step: 7, tags: ["sent"] },
      states: [{ name: "a", version: 1 }],
    });
  });

  it("leaves nothing in the store, not even the folder it did not need", async () => {
    const store = fileStore().register("a", new TreeState(TREE));
    await bytesOf(store.streamState().body);
    expect(await left()).toEqual([]);
    expect(await store.list()).toEqual([]);
  });

  it("leaves nothing of its scratch for bodies of unknown size", async () => {
    const backend = watchedBackend({ inner: fileBackend(path.join(folder, "states"), { durability: "none" }) });
    const store = new StateStore(backend).register("a", new TreeState(TREE, "stream"));
    const bytes = await bytesOf(store.streamState().body);
    expect(backend.scratches).toBeGreaterThan(0);
    expect([...backend.unreturned]).toEqual([]);
    expect(await left()).toEqual([]);
    checkEstargz(bytes);
  });

  it("works while a save is running, and does not hold one up", async () => {
    let release = () => {};
    const gate = new Promise<void>((resolve) => release = resolve);
    let saves = 0;
    const store = fileStore().register(
      "a",
      saving(async (out) => {
        if (saves++ === 0) await gate;
        await out.write("file", `${saves}`);
      }),
    );
    const saving_ = store.saveState({ layout: "tar.gz" });
    const { body } = store.streamState();
    expect(await within(10, "Streaming beside a save", loaded(body).then(Object.keys))).toEqual(["file"]);
    release();
    expect(await (await saving_).verify()).toMatchObject({ isWhole: true });
    // And the other way round: an unread stream holds up no save.
    const unread = store.streamState();
    expect(await within(10, "Saving beside a stream", store.saveState())).toBeDefined();
    await unread.body.cancel();
  });

  it("runs beside others of its kind", async () => {
    const store = storeOf({ a: TREE });
    const bodies = await Promise.all([1, 2, 3].map(() => bytesOf(store.streamState().body)));
    for (const bytes of bodies) expect(digests(await loaded(streamOf(bytes)))).toEqual(digests(TREE));
  });

  it("takes no more from a state than its reader reads", async () => {
    const { stream, seen } = source(200);
    const store = new StateStore(memoryBackend()).register(
      "a",
      saving((out) => {
        return out.write("file", stream, { sizeBytes: 200 * 200_000 });
      }),
    );
    const reader = store.streamState().body.getReader();
    await reader.read();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(seen.given).toBeLessThan(100);
    await reader.cancel();
  });
});

describe("a stream that is cancelled", () => {
  const big = (stream: ReadableStream<Uint8Array>, sizeBytes?: number) =>
    saving((out) => out.write("file", stream, sizeBytes === undefined ? {} : { sizeBytes }));

  it("before it was read aborts the streams of its states", async () => {
    const { stream, seen } = source(10);
    const store = fileStore().register("a", big(stream, 2_000_000));
    await within(5, "Cancelling", store.streamState().body.cancel());
    await until(() => seen.isCancelled, "the state's stream is cancelled");
    expect(await left()).toEqual([]);
  });

  it("after a part was read aborts the streams of its states", async () => {
    const { stream, seen } = source(100);
    const store = fileStore().register("a", big(stream, 20_000_000));
    const reader = store.streamState().body.getReader();
    await reader.read();
    await within(5, "Cancelling", reader.cancel("enough"));
    await until(() => seen.isCancelled, "the state's stream is cancelled");
    expect(seen.given).toBeLessThan(100);
    expect(await left()).toEqual([]);
  });

  it("while it waits for a state aborts at once, though the state never goes on", async () => {
    const { stream, seen } = source(1, { hangs: true });
    const store = fileStore().register("a", big(stream, 2_000_000));
    const reader = store.streamState().body.getReader();
    const reading = reader.read().catch(() => undefined);
    await until(() => seen.given === 1, "the state's stream was read");
    await within(5, "Cancelling", reader.cancel());
    await within(5, "The pending read", reading);
    await until(() => seen.isCancelled, "the state's stream is cancelled");
  });

  it("while it spools a body of unknown size removes the spool", async () => {
    const backend = watchedBackend({ inner: fileBackend(path.join(folder, "states"), { durability: "none" }) });
    const { stream, seen } = source(20, { hangs: true });
    const store = new StateStore(backend).register("a", big(stream));
    const reader = store.streamState().body.getReader();
    const reading = reader.read().catch(() => undefined);
    await until(() => seen.given === 20 && backend.scratches > 0, "the state's stream was spooled");
    await within(5, "Cancelling", reader.cancel());
    await within(5, "The pending read", reading);
    await until(() => backend.unreturned.size === 0, "the spool is given back");
    expect(await left()).toEqual([]);
    expect(seen.isCancelled).toBe(true);
  });

  it("aborts the streams of all states, also those whose turn had not come", async () => {
    const sources = [source(100), source(100), source(100)];
    const store = fileStore();
    for (const [index, { stream }] of sources.entries()) store.register(`state ${index}`, big(stream, 20_000_000));
    const reader = store.streamState().body.getReader();
    await reader.read();
    await within(5, "Cancelling", reader.cancel());
    await until(() => sources.every(({ seen }) => seen.isCancelled), "all streams are cancelled");
  });

  it("rejects what its states still await", async () => {
    const { stream } = source(100);
    let outcome: unknown = "pending";
    const store = fileStore().register(
      "a",
      saving(async (out) => {
        outcome = await out.write("file", stream, { sizeBytes: 20_000_000 }).catch((error: unknown) => error);
      }),
    );
    const reader = store.streamState().body.getReader();
    await reader.read();
    await reader.cancel();
    await until(() => outcome !== "pending", "the write settles");
    expect(outcome).toBeInstanceOf(Error);
  });

  it("by its signal errors, and aborts the streams of its states", async () => {
    const { stream, seen } = source(1, { hangs: true });
    const controller = new AbortController();
    const store = fileStore().register("a", big(stream, 2_000_000));
    const reading = bytesOf(store.streamState({ signal: controller.signal }).body);
    await until(() => seen.given === 1, "the state's stream was read");
    controller.abort(new Error("closing time"));
    await expect(within(5, "The aborted stream", reading)).rejects.toThrow("closing time");
    await until(() => seen.isCancelled, "the state's stream is cancelled");
    expect(await left()).toEqual([]);
  });

  it("by its signal before the call is not even begun", () => {
    let saves = 0;
    const store = fileStore().register("a", saving(() => void saves++));
    expect(() => store.streamState({ signal: AbortSignal.abort(new Error("too late")) })).toThrow("too late");
    expect(saves).toBe(0);
  });

  it("by who reads it over HTTP aborts the streams of its states", async () => {
    const { stream, seen } = source(2000);
    const store = fileStore().register("a", big(stream, 400_000_000));
    const server = createServer((_request, response) => {
      pipeline(Readable.fromWeb(store.streamState().body as never), response).catch(() => {});
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    try {
      const controller = new AbortController();
      const { port } = server.address() as AddressInfo;
      const response = await fetch(`http://127.0.0.1:${port}/`, { signal: controller.signal });
      await response.body?.getReader().read();
      controller.abort();
      await until(() => seen.isCancelled, "the state's stream is cancelled");
      expect(seen.given).toBeLessThan(2000);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

describe("a stream whose state fails", () => {
  const failures: Record<string, () => PersistentState> = {
    "at once": () =>
      saving(() => {
        throw new Error("the disk is on fire");
      }),
    "later": () =>
      saving(async (out) => {
        await out.write("before.bin", noise(2 * MIB));
        throw new Error("the disk is on fire");
      }),
    "in the middle of a stream of known size": () =>
      saving((out) => out.write("file", source(15, { fails: true }).stream, { sizeBytes: 10_000_000 })),
    "in the middle of a stream of unknown size": () =>
      saving((out) => out.write("file", source(15, { fails: true }).stream)),
  };

  it.each(Object.entries(failures))(
    "%s errors with the state's error, and what was sent can never be imported",
    async (_, make) => {
      const backend = watchedBackend({ inner: fileBackend(path.join(folder, "states"), { durability: "none" }) });
      const store = new StateStore(backend).register("first", new TreeState(TREE)).register("a", make());
      const sent: Uint8Array[] = [];
      const reading = (async () => {
        const reader = store.streamState().body.getReader();
        for (let next = await reader.read(); !next.done; next = await reader.read()) sent.push(next.value);
      })();
      const error: unknown = await within(10, "The failing stream", reading).then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(isSnapshotError(error, "STATE_SAVE_FAILED") || (error as Error).message).toSatisfy((told) => {
        return told === true || told === "the disk is on fire";
      });
      expect(isSnapshotError(error) ? (error.cause as Error).message : (error as Error).message).toBe(
        "the disk is on fire",
      );
      expect([...backend.unreturned]).toEqual([]);
      expect(await left()).toEqual([]);
      const size = sent.reduce((sum, chunk) => sum + chunk.length, 0);
      const bytes = new Uint8Array(size);
      let offset = 0;
      for (const chunk of sent) {
        bytes.set(chunk, offset);
        offset += chunk.length;
      }
      const other = new StateStore(memoryBackend());
      await expect(other.importSnapshot(streamOf(bytes))).rejects.toSatisfy((refused) => isSnapshotError(refused));
      expect(await other.list()).toEqual([]);
    },
  );

  it.each([["more", 10], ["fewer", 30]])("for having %s bytes than it said errors", async (_, declared) => {
    const store = fileStore().register(
      "a",
      saving((out) => out.write("file", pieces(noise(20), 7), { sizeBytes: declared })),
    );
    const error: unknown = await bytesOf(store.streamState().body).catch((error: unknown) => error);
    expect(isSnapshotError(error, "ENTRY_SIZE_MISMATCH")).toBe(true);
  });
});

describe("a stream that comes in", () => {
  it("loads, and tells its name", async () => {
    const { bytes, locator } = await archiveOf({ a: TREE });
    const state = new TreeState({});
    const report = await fileStore().register("a", state).loadState(streamOf(bytes));
    expect(report).toEqual({ name: locator.name, loaded: ["a"], missing: [], ignored: [] });
    expect(digests(state.loaded)).toEqual(digests(TREE));
    expect(await left()).toEqual([]);
  });

  it("loads from a response", async () => {
    const { body } = storeOf({ a: TREE }).streamState();
    const response = new Response(body as ReadableStream<Uint8Array<ArrayBuffer>>);
    expect(digests(await loaded(response.body as ReadableStream<Uint8Array>))).toEqual(digests(TREE));
  });

  it("changes no state if it is damaged, and leaves nothing", async () => {
    const { bytes } = await archiveOf({ a: TREE });
    const damaged = bytes.slice();
    damaged[2 * MIB] = (damaged[2 * MIB] as number) ^ 1;
    const state = new TreeState({});
    const store = fileStore().register("a", state);
    await expect(store.loadState(streamOf(damaged))).rejects.toSatisfy((error) => isSnapshotError(error));
    expect(state.loads).toBe(0);
    await expect(store.importSnapshot(streamOf(damaged))).rejects.toSatisfy((error) => isSnapshotError(error));
    expect(await left()).toEqual([]);
  });

  it("that breaks off is STORAGE_FAILED with its own error beneath, changes no state, and leaves nothing", async () => {
    const { bytes } = await archiveOf({ a: TREE });
    const state = new TreeState({});
    const store = fileStore().register("a", state);
    const broken = () => {
      let chunks = 0;
      return new ReadableStream<Uint8Array>({
        pull(controller) {
          if (chunks++ < 3) controller.enqueue(bytes.slice(0, 100_000));
          else controller.error(reset);
        },
      });
    };
    const reset = new TypeError("connection reset");
    const told = (error: unknown) => isSnapshotError(error, "STORAGE_FAILED") && error.cause === reset;
    await expect(store.loadState(broken())).rejects.toSatisfy(told);
    await expect(store.importSnapshot(broken())).rejects.toSatisfy(told);
    expect(state.loads).toBe(0);
    expect(await left()).toEqual([]);
  });

  it("that breaks off on the way over HTTP is STORAGE_FAILED as well", async () => {
    const { bytes } = await archiveOf({ a: TREE });
    const server = createServer((_request, response) => {
      response.writeHead(200, { "content-length": bytes.length });
      response.write(bytes.subarray(0, 100_000), () => response.destroy());
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    try {
      const { body } = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
      const store = fileStore().register("a", new TreeState({}));
      await expect(store.loadState(body as ReadableStream<Uint8Array>)).rejects.toSatisfy((error) => {
        return isSnapshotError(error, "STORAGE_FAILED");
      });
      expect(await left()).toEqual([]);
    } finally {
      server.close();
    }
  });

  it("that stalls is aborted by a signal with its own reason, is cancelled, and leaves nothing", async () => {
    const { backend } = fileStore();
    const reason = new Error("enough");
    const { stream, seen } = source(1, { hangs: true });
    const aborter = new AbortController();
    const opening = openStream(backend, stream, { signal: aborter.signal });
    opening.catch(() => {}); // told below
    await until(async () => seen.given === 1 && (await left()).length > 0, "the first piece was taken");
    aborter.abort(reason);
    await expect(within(5, "Giving it up", opening)).rejects.toBe(reason);
    expect(seen.isCancelled).toBe(true);
    expect(await left()).toEqual([]);
    const late = source(1, { hangs: true });
    await expect(openStream(backend, late.stream, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(late.seen).toEqual({ given: 0, isCancelled: true });
    expect(await left()).toEqual([]);
  });

  it.each(["loadState", "importSnapshot"] as const)(
    "that stalls does not hold %s up beyond its signal",
    async (method) => {
      const store = fileStore().register("a", new TreeState({}));
      const { stream, seen } = source(1, { hangs: true });
      const aborter = new AbortController();
      const working: Promise<unknown> = store[method](stream, { signal: aborter.signal });
      working.catch(() => {}); // told below
      await until(async () => seen.given === 1 && (await left()).length > 0, "the first piece was taken");
      aborter.abort(new Error("enough"));
      await expect(within(5, "Giving it up", working)).rejects.toThrow("enough");
      expect(await left()).toEqual([]);
    },
  );

  it("is cancelled where there is no room to keep it", async () => {
    const failure = new Error("no room");
    const { stream, seen } = source(3);
    const backend = { ...memoryBackend(), scratch: () => Promise.reject(failure) };
    await expect(openStream(backend, stream)).rejects.toBe(failure);
    expect(seen.isCancelled).toBe(true);
  });

  it("does not hang where there is no room to keep it, and its source is never done with being cancelled", async () => {
    const failure = new Error("no room");
    const place = memoryBackend();
    const backend = {
      ...place,
      async scratch() {
        const scratch = await place.scratch();
        return Object.assign(scratch, {
          async write(body: AsyncIterable<Uint8Array>) {
            for await (const _chunk of body) throw failure;
          },
        });
      },
    };
    const stream = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(10)),
      cancel: () => new Promise<void>(() => {}),
    });
    const opening = openStream(backend, stream).catch((error: unknown) => error);
    expect(await within(5, "the refusal", opening)).toBe(failure);
  });

  it("is refused for what it lacks before anything is changed", async () => {
    const { bytes } = await archiveOf({ a: TREE });
    const state = new TreeState({});
    const store = fileStore().register("a", state).register("b", new TreeState({}));
    const error: unknown = await store.loadState(streamOf(bytes)).catch((error: unknown) => error);
    expect(isSnapshotError(error, "STATE_MISSING") && error.details.states).toEqual(["b"]);
    expect(state.loads).toBe(0);
    expect(await left()).toEqual([]);
  });
});

describe("writeCopy", () => {
  it("is aborted between two entries by a signal with its own reason, and leaves nothing", async () => {
    const { locator } = await archiveOf({ a: TREE });
    const reason = new Error("enough");
    for (const entries of [1, 3]) {
      const target = fileStore().backend;
      const stage = await target.stage(`${locator.name}/`);
      const aborter = new AbortController();
      let written = 0;
      const watched: Stage = {
        unit: stage.unit,
        publish: (...args) => stage.publish(...args),
        scratch: () => stage.scratch(),
        abandon: () => stage.abandon(),
        write: async (...args) => {
          if (++written === entries) aborter.abort(reason);
          return await stage.write(...args);
        },
      };
      await using reader = await locator.open();
      const options = { backend: target, stage: watched, labels: {}, signal: aborter.signal };
      await expect(writeCopy(reader, directoryLayout, options)).rejects.toBe(reason);
      expect(await left()).toEqual([]);
    }
  });
});

describe("importSnapshot", () => {
  const forms = ["path", "URL", "locator", "stream"] as const;
  const layouts = ["directory", "tar.gz"] as const;
  it.each(forms.flatMap((form) => layouts.flatMap((from) => layouts.map((to) => ({ form, from, to })))))(
    "takes a $from by its $form and keeps it as $to",
    async ({ form, from, to }) => {
      const origin = storeOf({ a: TREE }, {
        backend: fileBackend(path.join(folder, "origin"), { durability: "none" }),
      });
      const saved = await origin.saveState({ layout: from });
      const given = {
        path: () => String(saved),
        URL: () => new URL(saved.uri),
        locator: () => saved,
        stream: () => saved.stream(),
      }[form]();
      const state = new TreeState({});
      const store = fileStore().register("a", state);
      const imported = await store.importSnapshot(given, { layout: to });
      expect([imported.name, imported.layout]).toEqual([saved.name, to]);
      expect((await store.list()).map(String)).toEqual([String(imported)]);
      expect(await imported.verify()).toMatchObject({ isWhole: true, entries: 3 });
      await store.loadState(imported);
      expect(digests(state.loaded)).toEqual(digests(TREE));
      expect((await imported.manifest()).savedAt).toBe(new Date(INSTANT_MS).toISOString());
      expect((await readdir(path.join(folder, "states"))).length).toBe(1);
    },
  );

  it("keeps it as its options say, else as the store does", async () => {
    const { bytes } = await archiveOf({ a: TREE });
    const store = () => new StateStore(memoryBackend(), { layout: "tar.gz" });
    expect((await store().importSnapshot(streamOf(bytes))).layout).toBe("tar.gz");
    expect((await store().importSnapshot(streamOf(bytes), { layout: "directory" })).layout).toBe("directory");
    expect((await new StateStore(memoryBackend()).importSnapshot(streamOf(bytes), { layout: "tar.gz" })).layout).toBe(
      "tar.gz",
    );
  });

  it("overwrites nothing, in no layout", async () => {
    const { bytes, locator } = await archiveOf({ a: TREE });
    const store = fileStore();
    const kept = await store.importSnapshot(streamOf(bytes), { layout: "directory" });
    const before = await left();
    for (const layout of layouts) {
      const error: unknown = await store.importSnapshot(streamOf(bytes), { layout }).catch((error: unknown) => error);
      expect(isSnapshotError(error, "SNAPSHOT_EXISTS") && error.details.name).toBe(locator.name);
    }
    expect(await left()).toEqual(before);
    expect(await kept.verify()).toMatchObject({ isWhole: true });
  });

  it("refuses what is no snapshot, and leaves nothing", async () => {
    const text = path.join(folder, "notes.tar.gz");
    await writeFile(text, "These are no states.");
    const store = fileStore();
    const codes: unknown[] = [];
    for (
      const from of [
        text,
        pathToFileURL(text),
        path.join(folder, "nothing.tar.gz"),
        folder,
        path.join(folder, "no folder"),
      ]
    ) {
      codes.push(await store.importSnapshot(from).catch((error: unknown) => isSnapshotError(error) && error.code));
    }
    expect(codes).toEqual([
      "ARCHIVE_REJECTED",
      "ARCHIVE_REJECTED",
      "SNAPSHOT_NOT_FOUND",
      "MANIFEST_MISSING",
      "SNAPSHOT_NOT_FOUND",
    ]);
    expect(await left()).toEqual([]);
  });

  it("aborts by its signal, and leaves nothing", async () => {
    const { bytes } = await archiveOf({ a: TREE });
    const store = fileStore();
    const signal = AbortSignal.abort(new Error("closing time"));
    await expect(store.importSnapshot(streamOf(bytes), { signal })).rejects.toThrow("closing time");
    expect(await left()).toEqual([]);
  });
});
