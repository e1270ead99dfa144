// What states hand over: views whose memory is gone and sources that were read before are refused, whatever the layout and the
// place. Without that they are saved as empty entries without a word.
import { Buffer } from "node:buffer";
import { createReadStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { Readable } from "node:stream";
import { runInNewContext } from "node:vm";
import { type EntryBody, fileBackend, memoryBackend, StateStore, type WriteOptions } from "snapkeep";
import type { Journal } from "snapkeep/backend";
import { describe, expect, it } from "vitest";
import { Files, iterableOf, rejection, saving, streamOf } from "./states.ts";
import { places, temporaryFolder } from "./places.ts";

const detached = <View extends ArrayBufferView>(view: View): View => {
  structuredClone(view.buffer, { transfer: [view.buffer as ArrayBuffer] });
  return view;
};
const resizable = () =>
  new ArrayBuffer(16, { maxByteLength: 32 } as never) as ArrayBuffer & { resize(to: number): void };

const dead: Record<string, () => ArrayBufferView> = {
  "was transferred": () => detached(new Uint8Array(8)),
  "of floats was transferred": () => detached(new Float64Array(2)),
  "of data was transferred": () => detached(new DataView(new ArrayBuffer(8))),
  "is a Buffer that was transferred": () => detached(Buffer.from(new ArrayBuffer(8))),
  "of another realm was transferred": () => detached(runInNewContext("new Uint8Array(8)") as Uint8Array),
  "lies in WebAssembly memory that grew": () => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const view = new Uint8Array(memory.buffer, 0, 8);
    memory.grow(1);
    return view;
  },
  "is cut off by a resize": () => {
    const buffer = resizable();
    const view = new Uint8Array(buffer, 0, 16);
    buffer.resize(8);
    return view;
  },
  "follows the length of a buffer that ends before it": () => {
    const buffer = resizable();
    const view = new Uint8Array(buffer, 8);
    buffer.resize(4);
    return view;
  },
  "of data is cut off by a resize": () => {
    const buffer = resizable();
    const view = new DataView(buffer, 8, 8);
    buffer.resize(8);
    return view;
  },
};

const empty: Record<string, () => ArrayBufferView> = {
  "has no bytes": () => new Uint8Array(),
  "is an empty part": () => new Uint8Array(8).subarray(3, 3),
  "is an empty part at the start": () => new Uint8Array(8).subarray(0, 0),
  "of data has no bytes": () => new DataView(new ArrayBuffer(0)),
  "of floats has no bytes": () => new Float64Array(),
  "follows the length of a buffer that ends where it begins": () => {
    const buffer = resizable();
    const view = new Uint8Array(buffer, 8);
    buffer.resize(8);
    return view;
  },
};

const REFUSED = {
  code: "STATE_SAVE_FAILED",
  details: { state: "a" },
  cause: { message: expect.stringContaining("their memory is gone") },
};

describe.each(places)("StateWriter.write ($layout, $backend)", ({ make }) => {
  const save = async (body: () => EntryBody, options?: WriteOptions) => {
    const place = await make();
    const store = place.store().register("a", saving((out) => void out.write("x", body(), options)));
    return { store, saved: store.saveState() };
  };

  it.each<[string, unknown, string]>([
    ["an ArrayBuffer", new ArrayBuffer(3), "it is an ArrayBuffer; write new Uint8Array(buffer)"],
    ["a Blob", new Blob(["x"]), "; write its stream()"],
    ["a Response", new Response("x"), "it is a Response; write its body"],
    ["a Promise", Promise.resolve("x"), "it is a Promise; await it first"],
    ["plain data", { a: 1 }, "{ a: 1 } is an object; out.json() writes other values"],
  ])("says what to write in place of %s", async (_what, body, message) => {
    expect(String(await rejection((await save(() => body as EntryBody)).saved))).toContain(message);
  });

  it.each<[string, unknown, string]>([
    ["text", "abc", '"abc" is a string; encode it with a TextEncoder'],
    ["floats", new Float32Array(1), "it is a Float32Array; yield a Uint8Array of its bytes"],
  ])("says what a chunk must be when it is %s", async (_what, chunk, message) => {
    async function* chunks() {
      yield await Promise.resolve(chunk as Uint8Array);
    }
    expect(String(await rejection((await save(chunks)).saved))).toContain(message);
  });

  describe.each(Object.entries(dead))("when a view %s", (_how, view) => {
    it.each([[undefined], [{ owned: true }]])("refuses it as a body, with the options %j", async (options) => {
      const { store, saved } = await save(view, options);
      expect(await rejection(saved)).toMatchObject(REFUSED);
      expect(await store.list()).toEqual([]);
    });

    it("refuses it as a chunk", async () => {
      const chunk = () => {
        const gone = view();
        return gone instanceof DataView || gone instanceof Float64Array ? detached(new Uint8Array(8)) : gone;
      };
      for (const body of [() => streamOf(chunk()), () => iterableOf(new Uint8Array(3), chunk())]) {
        const { store, saved } = await save(body);
        expect(await rejection(saved)).toMatchObject(REFUSED);
        expect(await store.list()).toEqual([]);
      }
    });
  });

  it("refuses an owned view that loses its memory between the call and the writing", async () => {
    const view = new Uint8Array(8);
    const { store, saved } = await save(() => view, { owned: true });
    detached(view);
    expect(await rejection(saved)).toMatchObject(REFUSED);
    expect(await store.list()).toEqual([]);
  });

  it.each(Object.entries(empty))("saves an empty entry when a view %s", async (_how, view) => {
    for (const options of [{}, { owned: true }]) {
      const snapshot = await (await save(view, options)).saved;
      expect((await snapshot.manifest()).states[0]?.entries).toMatchObject([{ path: "x", sizeBytes: 0 }]);
    }
  });

  it("saves views and chunks of another realm as what they are", async () => {
    const place = await make();
    const foreign = () => runInNewContext("new Uint8Array([1, 2, 3])") as Uint8Array;
    const floats = runInNewContext("new Float32Array([1])") as Float32Array;
    const store = place.store().register(
      "a",
      saving((out) => {
        void out.write("view", foreign());
        void out.write("owned", foreign(), { owned: true });
        void out.write("floats", floats);
        void out.write("chunk", streamOf(foreign(), foreign()));
        void out.write("shared", new Uint8Array(new SharedArrayBuffer(3)).fill(7));
      }),
    );
    const reader = await (await store.saveState()).open();
    const found = await Promise.all(
      ["view", "owned", "floats", "chunk", "shared"].map((name) => reader.bytes(`a/${name}`)),
    );
    await reader.close();
    expect(found.map((bytes) => [...bytes])).toEqual([[1, 2, 3], [1, 2, 3], [0, 0, 128, 63], [1, 2, 3, 1, 2, 3], [
      7,
      7,
      7,
    ]]);
  });

  it("takes a stream of another library, by what it can do", async () => {
    const chunks = [new Uint8Array([1]), new Uint8Array([2])];
    const stream = {
      locked: false,
      getReader: () => ({
        read: () => Promise.resolve({ done: chunks.length === 0, value: chunks.shift() }),
        cancel: () => Promise.resolve(),
      }),
    };
    const reader = await (await (await save(() => stream as unknown as EntryBody)).saved).open();
    expect([...await reader.bytes("a/x")]).toEqual([1, 2]);
    await reader.close();
  });

  const used: Record<string, () => EntryBody | Promise<EntryBody>> = {
    "a web stream of which a part was read": async () => {
      const stream = streamOf(new Uint8Array(1), new Uint8Array(1));
      const reader = stream.getReader();
      await reader.read();
      reader.releaseLock();
      return stream;
    },
    "a web stream that was read to its end": async () => {
      const stream = streamOf(new Uint8Array(1));
      const reader = stream.getReader();
      while (!(await reader.read()).done);
      reader.releaseLock();
      return stream;
    },
    "a web stream that was cancelled": async () => {
      const stream = streamOf(new Uint8Array(1));
      await stream.cancel();
      return stream;
    },
    "a web stream that is being read": () => {
      const stream = streamOf(new Uint8Array(1));
      stream.getReader();
      return stream;
    },
    "a web stream that was split": () => {
      const stream = streamOf(new Uint8Array(1));
      stream.tee();
      return stream;
    },
    "the body of a Response that was used": async () => {
      const response = new Response("text");
      await response.text();
      return response.body as EntryBody;
    },
    "a stream of Node that was read": async () => {
      const stream = Readable.from([Buffer.from("a")]);
      for await (const _chunk of stream);
      return stream;
    },
    "a stream of Node that was destroyed": () => Readable.from([Buffer.from("a")]).destroy(),
    "a stream of Node that is being read": () => Readable.from([Buffer.from("a")]).on("data", () => {}),
  };

  it.each(Object.entries(used))("refuses %s", async (_what, make) => {
    const body = await make();
    const { store, saved } = await save(() => body);
    expect(await rejection(saved)).toMatchObject({
      code: "STATE_SAVE_FAILED",
      cause: { name: "TypeError", message: expect.stringContaining("make a new one for each write") },
    });
    expect(await store.list()).toEqual([]);
  });

  const once: Record<string, () => EntryBody | Promise<EntryBody>> = {
    "web stream": () => streamOf(new Uint8Array(1)),
    "generator": () => iterableOf(new Uint8Array(1)),
    "stream of Node": () => Readable.from([Buffer.from("a")]),
    "file stream": async () => {
      const file = path.join(await temporaryFolder(), "file");
      await writeFile(file, "a");
      return createReadStream(file);
    },
    "iterable that gives one iterator again and again": () => {
      const iterator = iterableOf(new Uint8Array(1));
      return { [Symbol.asyncIterator]: () => iterator };
    },
  };
  const AGAIN = {
    code: "STATE_SAVE_FAILED",
    cause: { name: "TypeError", message: expect.stringContaining("it was handed over before") },
  };

  it.each(Object.entries(once))("refuses a %s when an earlier save had it", async (_what, make) => {
    const body = await make();
    const first = await (await save(() => body)).saved;
    expect((await first.manifest()).totals.sizeBytes).toBe(1);
    const { store, saved } = await save(() => body);
    expect(await rejection(saved)).toMatchObject(AGAIN);
    expect(await store.list()).toEqual([]);
  });

  it.each(Object.entries(once))("refuses a %s when it is written twice in one save", async (_what, make) => {
    const body = await make();
    const place = await makeStore();
    place.register(
      "a",
      saving((out) => {
        void out.write("x", body);
        void out.write("y", body);
      }),
    );
    expect(await rejection(place.saveState())).toMatchObject(AGAIN);
    expect(await place.list()).toEqual([]);
  });
  const makeStore = async () => (await make()).store();

  it("refuses a generator when an earlier save that failed had it", async () => {
    const body = iterableOf(new Uint8Array(1));
    const failed = await save(() => body, { sizeBytes: -1 });
    expect(await rejection(failed.saved)).toMatchObject({ code: "STATE_SAVE_FAILED" });
    expect(await rejection((await save(() => body)).saved)).toMatchObject(AGAIN);
  });

  it("saves an iterable again and again when it gives a new iterator each time", async () => {
    const body = { [Symbol.asyncIterator]: () => iterableOf(new Uint8Array(2))[Symbol.asyncIterator]() };
    const store = (await make()).store().register(
      "a",
      saving((out) => {
        void out.write("x", body);
        void out.write("y", body);
      }),
    );
    for (const _save of [1, 2]) {
      expect((await (await store.saveState()).manifest()).totals).toMatchObject({ entries: 2, sizeBytes: 4 });
    }
  });

  it("saves an empty entry when a source that nothing read is empty", async () => {
    const closed = new ReadableStream<Uint8Array>({ start: (controller) => controller.close() });
    for (const body of [streamOf(), closed, iterableOf(), Readable.from([])]) {
      expect((await (await (await save(() => body)).saved).manifest()).totals).toMatchObject({
        entries: 1,
        sizeBytes: 0,
      });
    }
  });

  it("refuses a generator that was consumed elsewhere, and a stream made of one, when their size is declared", async () => {
    const consumed = async () => {
      const generator = iterableOf(new Uint8Array(3));
      for await (const _chunk of generator);
      return generator;
    };
    for (const body of [await consumed(), Readable.from(await consumed())]) {
      const { store, saved } = await save(() => body, { sizeBytes: 3 });
      expect(await rejection(saved)).toMatchObject({ code: "ENTRY_SIZE_MISMATCH" });
      expect(await store.list()).toEqual([]);
    }
  });

  it("leaves a stream to the save that reads it, when another is refused it", async () => {
    const stream = Readable.from([Buffer.from("ab")]);
    const first = (await make()).store().register("a", saving((out) => void out.write("x", stream)));
    const second = (await make()).store().register("a", saving((out) => void out.write("x", stream)));
    const saves = [first.saveState(), second.saveState()] as const;
    expect(await rejection(saves[1])).toMatchObject(AGAIN);
    expect((await (await saves[0]).manifest()).totals.sizeBytes).toBe(2);
  });
});

describe("StateStore", () => {
  it.each(["loadState", "importSnapshot"] as const)("%s refuses a stream that was read before", async (method) => {
    const store = new StateStore(memoryBackend()).register("a", new Files({ x: "1" }));
    const { body } = store.streamState();
    const reader = body.getReader();
    await reader.read();
    reader.releaseLock();
    expect(await rejection(store[method](body))).toMatchObject({
      name: "TypeError",
      message: expect.stringContaining("make a new one"),
    });
    const again = store.streamState().body;
    await store.loadState(again);
    expect(await rejection(store[method](again))).toMatchObject({ name: "TypeError" });
    expect(await store.list()).toEqual([]);
  });

  it.each(["loadState", "importSnapshot"] as const)("%s refuses a chunk whose memory is gone", async (method) => {
    const store = new StateStore(memoryBackend()).register("a", new Files({ x: "1" }));
    expect(await rejection(store[method](streamOf(detached(new Uint8Array(8)))))).toMatchObject({
      code: "STORAGE_FAILED",
      cause: { message: expect.stringContaining("their memory is gone") },
    });
    expect(await store.list()).toEqual([]);
  });

  it("refuses views without memory and used sources in migrations", async () => {
    const store = new StateStore(memoryBackend());
    const snapshot = await store.register("a", new Files({ x: "1" })).saveState();
    const generator = iterableOf(new Uint8Array(1));
    for (
      const body of [() => detached(new Uint8Array(8)), () => streamOf(detached(new Uint8Array(8))), () => generator]
    ) {
      const next = new StateStore(store.backend).register("a", new Files(), {
        version: 2,
        migrate: { 1: (_from, to) => void to.write("x", body()) },
      });
      const error = await next.loadState(snapshot).then(() => undefined, (reason: unknown) => reason);
      if (body() !== generator) expect(error).toMatchObject({ code: "STATE_INCOMPATIBLE" });
      else expect(await rejection(next.loadState(snapshot))).toMatchObject({ code: "STATE_INCOMPATIBLE" });
    }
  });
});

describe("Backend", () => {
  it.each(places)("refuses chunks and notes whose memory is gone ($layout, $backend)", async ({ make }) => {
    const { backend } = await make();
    await backend.create();
    const stage = await backend.stage("2026-01-02.state/");
    await expect(stage.write("x", [detached(new Uint8Array(8))])).rejects.toThrow("their memory is gone");
    await stage.abandon();
    const scratch = await backend.scratch();
    await expect(scratch.write([detached(new Uint8Array(8))])).rejects.toThrow("their memory is gone");
    await scratch.remove();
    await expect(backend.notes.put("2026-01-02.state", detached(new Uint8Array(8)))).rejects.toThrow("memory is gone");
    expect(await backend.notes.get("2026-01-02.state")).toBeUndefined();
  });

  it("refuses lines of a journal whose memory is gone, also one that loses it while it waits", async () => {
    const journal = fileBackend(await temporaryFolder()).journal?.("actions") as Journal;
    const append = async (line: Uint8Array) => await journal.append([line]);
    await expect(append(detached(new Uint8Array(8)))).rejects.toThrow("their memory is gone");
    await expect(append("a" as never)).rejects.toThrow('"a" is a string'); // which would become zeros
    const line = new Uint8Array(8);
    const appending = append(line);
    detached(line);
    await expect(appending).rejects.toThrow("their memory is gone");
    await append(new Uint8Array([97]));
    const lines: string[] = [];
    for await (const kept of journal.lines()) lines.push(new TextDecoder().decode(kept));
    expect(lines).toEqual(["a"]);
  });
});
