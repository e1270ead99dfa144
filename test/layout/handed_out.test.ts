// What leaves the library is the receiver's alone: every chunk of every way out is transferred, as a byte stream or a worker does,
// beside running saves and loads. Memory that is shared would take bytes from others, or end the process.
import { Buffer } from "node:buffer";
import { type Backend, fileBackend, locate, memoryBackend, type SnapshotLocator, StateStore } from "snapkeep";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { temporaryFolder } from "../store/places.ts";
import { saving } from "../store/states.ts";

/** Bytes that compress a little, like numbers, in the sizes at which ways part. */
function content(sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  for (let index = 0, state = sizeBytes; index < sizeBytes; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[index] = state >>> 28;
  }
  return bytes;
}
const ARCHIVE = { level: 1, chunkBytes: 65_536 }; // many members
const files: Record<string, Uint8Array> = {
  empty: content(0),
  tiny: content(5),
  small: content(3_000),
  member: content(65_536),
  large: content(260_000),
};

function registered(store: StateStore): StateStore {
  return store.register("a", {
    saveState: (out) => {
      for (const [name, bytes] of Object.entries(files)) void out.write(name, bytes);
    },
    async loadState(from) {
      for (const [name, bytes] of Object.entries(files)) expect(isSame(await from.bytes(name), bytes)).toBe(true);
    },
  });
}

const isSame = (found: Uint8Array, wanted: Uint8Array) => Buffer.compare(found, wanted) === 0;

/** Copies what came, then takes its memory away. */
function take(chunk: Uint8Array): Uint8Array {
  const copy = new Uint8Array(chunk);
  expect([chunk.byteOffset, chunk.buffer.byteLength]).toEqual([0, chunk.byteLength]);
  structuredClone(chunk.buffer, { transfer: [chunk.buffer as ArrayBuffer] });
  return copy;
}

async function takeAll(chunks: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const taken: Uint8Array[] = [];
  for await (const chunk of chunks as AsyncIterable<Uint8Array>) taken.push(take(chunk));
  return new Uint8Array(await new Blob(taken as BlobPart[]).arrayBuffer());
}

async function* blobsOf(snapshot: SnapshotLocator, backend: Backend) {
  const unit = snapshot.layout === "directory" ? `${snapshot.name}/` : `${snapshot.name}.tar.gz`;
  for await (const { path: blobPath } of backend.blobs(unit)) {
    const blob = await backend.open(unit, blobPath);
    if (blob !== undefined) yield blob;
  }
}

interface World {
  store: StateStore;
  snapshot: SnapshotLocator;
  loads(body: Uint8Array): Promise<void>;
}

const ways: Record<string, (world: World) => Promise<void>> = {
  "SnapshotReader.bytes": async ({ snapshot }) => {
    const reader = await snapshot.open();
    for (const [name, bytes] of Object.entries(files)) {
      expect(isSame(take(await reader.bytes(`a/${name}`)), bytes)).toBe(true);
    }
    await reader.close();
  },
  "SnapshotReader.bytes after verifyAll": async ({ snapshot }) => {
    const reader = await snapshot.open();
    await reader.verifyAll();
    for (const [name, bytes] of Object.entries(files)) {
      for (const _time of [1, 2]) expect(isSame(take(await reader.bytes(`a/${name}`)), bytes)).toBe(true);
    }
    await reader.close();
  },
  "SnapshotReader.range": async ({ snapshot }) => {
    const reader = await snapshot.open();
    for (const [name, bytes] of Object.entries(files)) {
      for (const [offset, length] of [[0, 3], [1, 2_000], [100_000, 150_000]] as const) {
        expect(isSame(take(await reader.range(`a/${name}`, offset, length)), bytes.subarray(offset, offset + length)))
          .toBe(true);
      }
    }
    await reader.close();
  },
  "SnapshotReader.stream": async ({ snapshot }) => {
    const reader = await snapshot.open();
    for (const [name, bytes] of Object.entries(files)) {
      expect(isSame(await takeAll(reader.stream(`a/${name}`)), bytes)).toBe(true);
    }
    await reader.close();
  },
  "SnapshotReader.manifestBytes": async ({ snapshot }) => {
    const reader = await snapshot.open();
    const first = take(reader.manifestBytes);
    expect(isSame(take(reader.manifestBytes), first)).toBe(true);
    expect(isSame(await reader.bytes("a/tiny"), files["tiny"] as Uint8Array)).toBe(true);
    await reader.close();
  },
  "StateReader": async ({ snapshot, store }) => {
    const reading = new StateStore(store.backend).register("a", {
      saveState() {},
      async loadState(from) {
        for (const [name, bytes] of Object.entries(files)) {
          expect(isSame(await takeAll(from.stream(name)), bytes)).toBe(true);
          expect(isSame(take(await from.bytes(name)), bytes)).toBe(true);
        }
      },
    });
    await reading.loadState(snapshot);
  },
  "SnapshotLocator.stream": async ({ snapshot, loads }) => await loads(await takeAll(snapshot.stream())),
  "SnapshotLocator.stream of a plain tar": async ({ snapshot, loads }) =>
    await loads(await takeAll(snapshot.stream({ layout: "tar" }))),
  "SnapshotLocator.stream of small members": async ({ snapshot, loads }) =>
    await loads(await takeAll(snapshot.stream({ layout: "tar.gz", archive: { groupBytes: 0, chunkBytes: 4_096 } }))),
  "StateStore.streamState": async ({ store, loads }) => await loads(await takeAll(store.streamState().body)),
  "BlobReader.stream and read": async ({ snapshot, store }) => {
    for await (const blob of blobsOf(snapshot, store.backend)) {
      const whole = await takeAll(blob.stream());
      expect(isSame(take(await blob.read(0, blob.sizeBytes)), whole)).toBe(true);
      expect(isSame(await takeAll(blob.stream()), whole)).toBe(true);
      await blob.close();
    }
  },
  "Scratch": async ({ store }) => {
    const scratch = await store.backend.scratch();
    await scratch.write([files["large"] as Uint8Array]);
    expect(isSame(await takeAll(scratch.stream()), files["large"] as Uint8Array)).toBe(true);
    expect(isSame(take(await scratch.read(5, 9)), (files["large"] as Uint8Array).subarray(5, 14))).toBe(true);
    await scratch.remove();
  },
  "Notes.get": async ({ snapshot, store }) => {
    await snapshot.label({ tags: ["kept"] });
    const note = await store.backend.notes.get(snapshot.name);
    if (note !== undefined) take(note);
    expect((await snapshot.labels()).tags).toEqual(["kept"]);
  },
  "a Backend of others": async ({ loads }) => {
    for (const layout of ["directory", "tar.gz"] as const) {
      const store = registered(new StateStore(greedy(memoryBackend()), { layout, archive: ARCHIVE }));
      const snapshot = await store.saveState();
      await snapshot.label({ tags: ["kept"] });
      expect((await snapshot.verify()).findings).toEqual([]);
      const copy = await store.importSnapshot(new Blob([await takeAll(snapshot.stream()) as BlobPart]).stream())
        .catch((error) => error.code);
      expect(copy).toBe("SNAPSHOT_EXISTS");
      await loads(await takeAll(snapshot.stream({ layout: "tar" })));
    }
  },
};

/** A backend that sends all that it is given to another thread, by transfer. */
function greedy(backend: Backend): Backend {
  const body = async function* (chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>) {
    for await (const chunk of chunks) yield take(chunk);
  };
  const stage = backend.stage.bind(backend);
  const scratch = backend.scratch.bind(backend);
  const greedyScratch = async (make: typeof scratch) => {
    const made = await make();
    return {
      get sizeBytes() {
        return made.sizeBytes;
      },
      read: made.read.bind(made),
      stream: made.stream.bind(made),
      close: made.close.bind(made),
      remove: made.remove.bind(made),
      write: (chunks: Parameters<typeof made.write>[0]) => made.write(body(chunks)),
    };
  };
  return Object.assign(backend, {
    stage: async (...args: Parameters<typeof stage>) => {
      const made = await stage(...args);
      return {
        unit: made.unit,
        write: (blobPath: string, chunks: Parameters<typeof made.write>[1]) => made.write(blobPath, body(chunks)),
        publish: (blobPath: string, chunks: Parameters<typeof made.publish>[1]) => made.publish(blobPath, body(chunks)),
        abandon: () => made.abandon(),
        scratch: () => greedyScratch(() => made.scratch()),
      };
    },
    scratch: () => greedyScratch(scratch),
  });
}

const backends: Record<string, () => Promise<Backend>> = {
  memory: () => Promise.resolve(memoryBackend()),
  file: async () => fileBackend(path.join(await temporaryFolder(), "states"), { durability: "none" }),
};

/** Saves and loads on and on, until what it runs beside has ended. */
async function beside(work: () => Promise<void>): Promise<void> {
  let isOver = false;
  const busy = async (layout: "directory" | "tar.gz") => {
    const store = registered(new StateStore(memoryBackend(), { layout, archive: ARCHIVE }));
    do {
      const snapshot = await store.saveState();
      await store.loadState(snapshot);
      await snapshot.remove();
    } while (!isOver);
  };
  await Promise.all([busy("directory"), busy("tar.gz"), work().finally(() => isOver = true)]);
}

describe.each(Object.entries(backends))("bytes that leave by a %s backend", (_backend, makeBackend) => {
  describe.each(["directory", "tar.gz"] as const)("out of the layout %s", (layout) => {
    it.each(Object.entries(ways))("are the receiver's alone: %s", async (_way, way) => {
      const store = registered(new StateStore(await makeBackend(), { layout, archive: ARCHIVE }));
      const snapshot = await store.saveState();
      const loads = async (body: Uint8Array) => {
        await store.loadState(new Blob([body as BlobPart]).stream());
      };
      await beside(() => way({ store, snapshot, loads }));
      expect((await snapshot.verify()).findings).toEqual([]);
      await store.loadState(snapshot);
    });
  });
});

describe("bytes that leave by HTTP", () => {
  it.each(["SnapshotReader.bytes", "SnapshotReader.range", "SnapshotReader.stream", "SnapshotLocator.stream"])(
    "are the receiver's alone: %s",
    async (way) => {
      const store = registered(new StateStore(memoryBackend(), { layout: "tar.gz" }));
      const saved = await store.saveState();
      const file = await takeAll(saved.stream());
      const server = createServer((request, response) => {
        const [, from = "", to = ""] = /bytes=(\d*)-(\d*)/.exec(request.headers.range ?? "") ?? [];
        const start = from === "" ? Math.max(0, file.length - Number(to)) : Number(from);
        const end = from === "" ? file.length : Math.min(file.length, Number(to) + 1);
        response.writeHead(206, { "content-range": `bytes ${start}-${end - 1}/${file.length}`, etag: '"1"' });
        response.end(file.subarray(start, end));
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      onTestFinished(() => void server.close());
      const { port } = server.address() as AddressInfo;
      const snapshot = locate(`http://127.0.0.1:${port}/${saved.name}.tar.gz`);
      const loads = async (body: Uint8Array) => void await store.loadState(new Blob([body as BlobPart]).stream());
      const run = ways[way] as (world: World) => Promise<void>;
      await beside(() => run({ store, snapshot, loads }));
    },
  );
});

describe("Capture", () => {
  it("hands a backend that does not borrow copies of what a state owns", async () => {
    const owned = new Uint8Array(100).fill(7);
    const store = new StateStore(greedy(memoryBackend())).register(
      "a",
      saving((out) => void out.write("x", owned, { owned: true })),
    );
    await store.saveState();
    expect([owned.byteLength, owned[0]]).toEqual([100, 7]);
  });
});

/** A backend of others, whose blobs are read into one pool that it uses for the next read as well. */
function pooled(backend: Backend): Backend {
  const pool = new ArrayBuffer(1_000_000);
  const read = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => {
    const view = new Uint8Array(pool, 100, bytes.length);
    view.set(bytes);
    return view;
  };
  return new Proxy(backend, {
    get(target, name) {
      if (name === "glance") return undefined;
      if (name !== "open") return bound(target, name);
      return async (...args: Parameters<Backend["open"]>) => {
        const blob = await target.open(...args);
        if (blob === undefined) return undefined;
        return new Proxy(blob, {
          get(inner, member) {
            if (member === "lend") return undefined;
            if (member !== "read") return bound(inner, member);
            return async (offset: number, lengthBytes: number) => read(await inner.read(offset, lengthBytes));
          },
        });
      };
    },
  });
}

function bound(target: object, name: string | symbol): unknown {
  const value: unknown = Reflect.get(target, name, target);
  return typeof value === "function" ? (value as (...args: unknown[]) => unknown).bind(target) : value;
}

describe("a reader over a backend that reads into a pool", () => {
  it("hands out bytes and ranges in an ArrayBuffer of their own", async () => {
    const store = new StateStore(memoryBackend(), { layout: "directory" }).register(
      "a",
      saving((out) => out.write("x", content(5_000))),
    );
    const { name } = await store.saveState();
    const snapshot = await new StateStore(pooled(store.backend)).snapshot(name);
    const reader = await (snapshot as SnapshotLocator).open();
    for (const bytes of [await reader.bytes("a/x"), await reader.range("a/x", 10, 50)]) {
      expect(bytes.buffer.byteLength).toBe(bytes.byteLength);
    }
    await reader.close();
  });
});
