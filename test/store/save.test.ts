// Saving, over every layout and backend: one instant, in order, all or nothing.
import { Buffer } from "node:buffer";
import { createReadStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import {
  isSnapshotError,
  type SaveProgress,
  SnapshotError,
  SnapshotLocator,
  StateStore,
  type StateWriter,
} from "snapkeep";
import type { Stage } from "snapkeep/backend";
import { describe, expect, it, onTestFinished } from "vitest";
import { collectLogs } from "./logs.ts";
import { changed, filePlaces, type Place, places, temporaryFolder } from "./places.ts";
import { Cell, deferred, Files, hangingStream, iterableOf, rejection, saving, settle, streamOf } from "./states.ts";

const MIB = 1024 * 1024;

/** The entries of a snapshot as text, by `<state>/<path>`. */
async function contents(snapshot: SnapshotLocator): Promise<Record<string, string>> {
  const reader = await snapshot.open();
  try {
    const found: Record<string, string> = {};
    for (const entry of reader.entries) found[entry.path] = await reader.text(entry.path);
    return found;
  } finally {
    await reader.close();
  }
}

/** That a failed save left nothing, hidden or not, and that the next one works. */
async function expectNothingLeft(place: Place, store: StateStore): Promise<void> {
  expect(await store.list()).toEqual([]);
  expect(await place.files()).toEqual([]);
  for (const name of store.stateNames) store.unregister(name);
  const snapshot = await store.register("after", new Cell("fine")).saveState();
  expect(await contents(snapshot)).toEqual({ "after/value.json": '"fine"' });
}

/** Unhandled rejections from here on; a runtime would end the program for one. */
function unhandledRejections(): unknown[] {
  const seen: unknown[] = [];
  const listener = (reason: unknown) => void seen.push(reason);
  process.on("unhandledRejection", listener);
  onTestFinished(() => void process.off("unhandledRejection", listener));
  return seen;
}

describe.each(places)("StateStore.saveState ($layout, $backend)", ({ make, layout }) => {
  it("resolves to the locator of a snapshot that is there, whole, and listed", async () => {
    const place = await make();
    const store = place.store().register("cell", new Cell(1));
    const snapshot = await store.saveState();
    expect(snapshot).toBeInstanceOf(SnapshotLocator);
    expect([snapshot.layout, await snapshot.exists()]).toEqual([layout, true]);
    expect((await snapshot.verify()).findings).toEqual([]);
    expect((await store.list()).map(String)).toEqual([String(snapshot)]);
    expect(String(await store.latest())).toBe(String(snapshot));
  });

  it("saves each state once, under its own name, in order of registration", async () => {
    const log: string[] = [];
    const cells = { c: new Cell(3, log), a: new Cell(1, log), b: new Cell(2, log) };
    const store = (await make()).store();
    for (const [name, cell] of Object.entries(cells)) store.register(name, cell);
    const snapshot = await store.saveState();
    expect(log).toEqual(["save c", "save a", "save b"]);
    expect(await contents(snapshot)).toEqual({ "c/value.json": "3", "a/value.json": "1", "b/value.json": "2" });
    expect((await snapshot.manifest()).states.map(({ name }) => name)).toEqual(["c", "a", "b"]);
  });

  it("writes a manifest that says what, when and after what", async () => {
    const nowMs = Date.parse("2026-11-23T07:04:34.123Z");
    const store = (await make()).store({ now: () => nowMs });
    store.register("files", new Files({ "a.txt": "one", "sub/b.bin": new Uint8Array(5) }), { version: 3 }).register(
      "none",
      new Files(),
    );
    const first = await store.saveState({ labels: { tags: ["t"], metrics: { loss: 0.5 }, step: 7 } });
    expect(await first.manifest()).toMatchObject({
      name: "2026-11-23_07-04-34,123000.state",
      savedAt: "2026-11-23T07:04:34.123Z",
      parent: null,
      library: { name: "snapkeep" },
      states: [
        { name: "files", version: 3, entries: [{ path: "a.txt", sizeBytes: 3 }, { path: "sub/b.bin", sizeBytes: 5 }] },
        { name: "none", version: 1, entries: [] },
      ],
      totals: { states: 2, entries: 2, sizeBytes: 8 },
      labels: { tags: ["t"], metrics: { loss: 0.5 }, step: 7 },
    });
    expect(await first.stat()).toMatchObject({
      name: first.name,
      layout,
      states: 2,
      entries: 2,
      sizeBytes: 8,
      savedAt: new Date(nowMs),
    });
    await store.loadState(first);
    expect(await (await store.saveState()).manifest()).toMatchObject({ parent: first.name });
  });

  it("saves a store without states as an empty snapshot", async () => {
    const store = (await make()).store();
    const snapshot = await store.saveState();
    expect(await snapshot.manifest()).toMatchObject({ states: [], totals: { states: 0, entries: 0, sizeBytes: 0 } });
    expect((await store.loadState(snapshot)).loaded).toEqual([]);
  });

  it("captures at the call: what changes right after it is not in the snapshot", async () => {
    const bytes = new Uint8Array(3 * MIB).fill(97);
    const value = { step: 1 };
    const cell = new Cell("before");
    const store = (await make()).store().register("cell", cell).register(
      "raw",
      saving((out) => {
        void out.write("bytes", bytes);
        void out.json("value", value);
      }),
    );
    const save = store.saveState();
    bytes.fill(98);
    value.step = 2;
    cell.value = "after";
    const found = await contents(await save);
    expect(found["cell/value.json"]).toBe('"before"');
    expect(found["raw/value"]).toBe('{"step":1}');
    expect(found["raw/bytes"] === "a".repeat(3 * MIB)).toBe(true);
  });

  it("is right for a saveState that awaits nothing", async () => {
    const store = (await make()).store().register(
      "a",
      saving((out) => {
        for (let index = 0; index < 50; index++) void out.write(`${index}.txt`, `number ${index}`);
      }),
    );
    const found = await contents(await store.saveState());
    expect(Object.keys(found)).toHaveLength(50);
    expect(found["a/49.txt"]).toBe("number 49");
  });

  it("saves every kind of body byte for byte", async () => {
    const noise = crypto.getRandomValues(new Uint8Array(60_000));
    const big = new Uint8Array(2.5 * MIB).map((_, index) => index * 31);
    const bodies: Record<string, (out: StateWriter, to: string) => Promise<void>> = {
      empty: (out, to) => out.write(to, new Uint8Array()),
      text: (out, to) => out.write(to, "zwölf 🧠 \ufeff"),
      view: (out, to) => out.write(to, new DataView(noise.buffer, 10, 20)),
      owned: (out, to) => out.write(to, noise, { owned: true }),
      big: (out, to) => out.write(to, big),
      "stream of known size": (out, to) =>
        out.write(to, streamOf(noise, big), { sizeBytes: noise.length + big.length }),
      "stream of unknown size": (out, to) => out.write(to, streamOf(noise, new Uint8Array(), noise)),
      "big stream of unknown size": (out, to) => out.write(to, streamOf(big, big)),
      "empty stream": (out, to) => out.write(to, streamOf()),
      "empty stream of known size": (out, to) => out.write(to, streamOf(), { sizeBytes: 0 }),
      "iterable of known size": (out, to) => out.write(to, iterableOf(noise), { sizeBytes: noise.length }),
      "iterable of unknown size": (out, to) => out.write(to, iterableOf(noise, noise)),
    };
    const encoded = new TextEncoder().encode("zwölf 🧠 \ufeff");
    const expected: Record<string, Uint8Array> = {
      empty: new Uint8Array(),
      text: encoded,
      view: noise.subarray(10, 30),
      owned: noise,
      big,
      "stream of known size": Buffer.concat([noise, big]),
      "stream of unknown size": Buffer.concat([noise, noise]),
      "big stream of unknown size": Buffer.concat([big, big]),
      "empty stream": new Uint8Array(),
      "empty stream of known size": new Uint8Array(),
      "iterable of known size": noise,
      "iterable of unknown size": Buffer.concat([noise, noise]),
    };
    const store = (await make()).store();
    store.register("all", saving((out) => void Object.entries(bodies).map(([to, write]) => write(out, to))));
    const reader = await (await store.saveState()).open();
    onTestFinished(() => reader.close());
    expect(reader.entries.map((entry) => entry.path)).toEqual(Object.keys(bodies).map((to) => `all/${to}`));
    for (const [to, bytes] of Object.entries(expected)) {
      expect([to, Buffer.compare(await reader.bytes(`all/${to}`), bytes)]).toEqual([to, 0]);
    }
  });

  it("saves and loads entries whose path is as long and as deep as is allowed", async () => {
    const state = "model";
    const long = `${["a", "b", "c"].map((letter) => letter.repeat(255)).join("/")}/${
      "d".repeat(1024 - 3 * 256 - state.length - 1)
    }`;
    const deep = Array.from({ length: 63 }, () => "d").join("/");
    expect(`${state}/${long}`).toHaveLength(1024);
    const files = new Files({ [long]: "long", [deep]: "deep" });
    const store = (await make()).store().register(state, files);
    const snapshot = await store.saveState();
    await store.loadState(snapshot);
    expect([...files.files.keys()]).toEqual([long, deep]);
  });

  it("refuses an entry path that is too long or too deep once the state's name stands before it", async () => {
    const place = await make();
    const long = `${["a", "b", "c"].map((letter) => letter.repeat(255)).join("/")}/${"d".repeat(256)}`;
    const deep = Array.from({ length: 64 }, () => "d").join("/");
    for (const tooMuch of [long, deep]) {
      const store = place.store().register("model", new Files({ [tooMuch]: "x" }));
      expect(await rejection(store.saveState())).toMatchObject({ code: "ENTRY_PATH_UNSAFE" });
      expect(await store.list()).toEqual([]);
    }
    await expectNothingLeft(place, place.store());
  });

  describe("when it fails", () => {
    it.each<[string, (out: StateWriter) => void | Promise<void>]>([
      ["throws", () => {
        throw new Error("mine");
      }],
      ["rejects", () => Promise.reject(new Error("mine"))],
      ["throws after it wrote", async (out) => {
        await out.write("x", "written");
        throw new Error("mine");
      }],
      ["throws while its writes are pending", (out) => {
        void out.write("x", "written");
        throw new Error("mine");
      }],
      ["hands over a stream that fails", (out) =>
        out.write(
          "x",
          (async function* () {
            yield new Uint8Array(10);
            throw new Error("mine");
          })(),
        )],
      [
        "hands over a web stream that errors",
        (out) => out.write("x", new ReadableStream({ pull: (controller) => controller.error(new Error("mine")) })),
      ],
      ["hands over what cannot be iterated after all", (out) =>
        out.write("x", {
          [Symbol.asyncIterator]: () => {
            throw new Error("mine");
          },
        })],
      ["fails as another store's save did", () => {
        throw new SnapshotError("COMMIT_UNCERTAIN", "mine", { uri: "elsewhere" });
      }],
    ])(
      "because a state %s: STATE_SAVE_FAILED with the state's error as cause, and nothing is left",
      async (_, save) => {
        const place = await make();
        const seen = unhandledRejections();
        const store = place.store().register("before", new Cell(1)).register("bad", saving(save)).register(
          "behind",
          new Cell(2),
        );
        const error = await rejection(store.saveState());
        expect(error).toMatchObject({
          code: "STATE_SAVE_FAILED",
          details: { state: "bad" },
          cause: { message: "mine" },
        });
        expect((error as Error).message).toBe('Cannot save the state "bad": mine');
        await settle();
        expect(seen).toEqual([]);
        await expectNothingLeft(place, store);
      },
    );

    it.each<[string, () => unknown]>([
      ["an object without a prototype", () => Object.create(null)],
      ["a Proxy that was revoked", () => {
        const { proxy, revoke } = Proxy.revocable({}, {});
        revoke();
        return proxy;
      }],
      ["an Error that has no message to give", () => {
        const error = new Error();
        Object.defineProperty(error, "message", {
          get: () => {
            throw new Error("no message");
          },
        });
        return error;
      }],
    ])("because a state throws %s: fails all the same, thrown or in a stream", async (_, thrown) => {
      for (
        const save of [
          async (out: StateWriter) => {
            await out.write("x", "in part");
            throw thrown();
          },
          (out: StateWriter) =>
            out.write(
              "x",
              (async function* () {
                yield new Uint8Array(10);
                throw thrown();
              })(),
            ),
        ]
      ) {
        const place = await make();
        const seen = unhandledRejections();
        const store = place.store().register("bad", saving(save));
        expect(await rejection(store.saveState())).toMatchObject({
          code: "STATE_SAVE_FAILED",
          message: 'Cannot save the state "bad": something was thrown that has no text',
        });
        await settle();
        expect(seen).toEqual([]);
        await expectNothingLeft(place, store);
      }
    });

    it("because of an iterable that can be iterated once only, aborted or failed by another state, does not hang", async () => {
      for (const isAborted of [true, false]) {
        const place = await make();
        const seen = unhandledRejections();
        const controller = new AbortController();
        const waitedFor = deferred();
        let isIterated = false;
        const once = {
          [Symbol.asyncIterator]() {
            if (isIterated) throw new Error("already iterated");
            isIterated = true;
            return {
              next() {
                waitedFor.resolve();
                return new Promise<IteratorResult<Uint8Array>>(() => {});
              },
            };
          },
        };
        const store = place.store().register("once", saving((out) => void out.write("x", once))).register(
          "other",
          saving(async () => {
            await waitedFor.promise;
            if (!isAborted) throw new Error("mine");
          }),
        );
        const error = rejection(store.saveState({ signal: controller.signal }));
        await waitedFor.promise;
        if (isAborted) controller.abort(new Error("mine"));
        expect(String(await error)).toMatch(/mine$/);
        await settle();
        expect(seen).toEqual([]);
        await expectNothingLeft(place, store);
      }
    });

    it("leaves older snapshots as they were", async () => {
      const place = await make();
      const store = place.store().register("cell", new Cell("old"));
      const older = await store.saveState();
      store.register("bad", saving(() => Promise.reject(new Error("no"))));
      await rejection(store.saveState());
      expect((await store.list()).map(String)).toEqual([String(older)]);
      expect((await older.verify()).isWhole).toBe(true);
    });

    it.each<[string, (out: StateWriter) => unknown, object]>([
      ["an unsafe path", (out) => out.write("../x", "1"), { code: "ENTRY_PATH_UNSAFE" }],
      ["an absolute path", (out) => out.write("/a.bin", "1"), {
        code: "ENTRY_PATH_UNSAFE",
        message: 'Cannot use the entry path "/a.bin": it must not begin with a slash',
        details: { path: "/a.bin", reason: "it must not begin with a slash" },
      }],
      ["an empty path", (out) => out.json("", 1), { message: 'Cannot use the entry path "": it is empty' }],
      ["a path written twice", (out) => [out.write("x", "1"), out.write("x", "2")], {
        code: "ENTRY_EXISTS",
        details: { path: "bad/x", existing: "bad/x" },
      }],
      ["a path that collides", (out) => [out.write("Straße", "1"), out.json("STRASSE", 2)], { code: "ENTRY_EXISTS" }],
      ["a path below a file", (out) => [out.write("x", "1"), out.write("x/y", "2")], { code: "ENTRY_EXISTS" }],
      ["a value that is no JSON", (out) => out.json("x", { loss: NaN }), {
        code: "STATE_SAVE_FAILED",
        cause: expect.any(TypeError),
      }],
      ["text with a lone surrogate", (out) => out.write("x", "a\ud800"), {
        code: "STATE_SAVE_FAILED",
        cause: expect.any(TypeError),
      }],
      ["a body that is none", (out) => out.write("x", 5 as unknown as string), {
        code: "STATE_SAVE_FAILED",
        cause: expect.any(TypeError),
      }],
      ["a negative size", (out) => out.write("x", streamOf(), { sizeBytes: -1 }), {
        code: "STATE_SAVE_FAILED",
        cause: expect.any(RangeError),
      }],
      ["a size that is no number", (out) => out.write("x", streamOf(), { sizeBytes: NaN }), {
        code: "STATE_SAVE_FAILED",
        cause: expect.any(RangeError),
      }],
      ["a locked stream", (out) => {
        const stream = streamOf();
        stream.getReader();
        return out.write("x", stream);
      }, {
        code: "STATE_SAVE_FAILED",
        cause: expect.objectContaining({
          name: "TypeError",
          message: expect.stringContaining("something else is reading it"),
        }),
      }],
      ["a text chunk", (out) => out.write("x", streamOf("text")), {
        code: "STATE_SAVE_FAILED",
        cause: expect.any(TypeError),
      }],
      ["a chunk of another view", (out) => out.write("x", streamOf(new Uint16Array(4))), {
        code: "STATE_SAVE_FAILED",
        cause: expect.any(TypeError),
      }],
      ["a chunk of null", (out) => out.write("x", iterableOf(null), { sizeBytes: 5 }), {
        code: "STATE_SAVE_FAILED",
        cause: expect.any(TypeError),
      }],
      ["a stream shorter than declared", (out) => out.write("x", streamOf(new Uint8Array(4)), { sizeBytes: 5 }), {
        code: "ENTRY_SIZE_MISMATCH",
        details: { path: "bad/x", expectedBytes: 5, actualBytes: 4 },
      }],
      [
        "a stream longer than declared",
        (out) => out.write("x", iterableOf(new Uint8Array(3), new Uint8Array(3)), { sizeBytes: 5 }),
        {
          code: "ENTRY_SIZE_MISMATCH",
          details: { path: "bad/x", expectedBytes: 5 },
        },
      ],
      ["bytes of another size than declared", (out) => out.write("x", "four", { sizeBytes: 5 }), {
        code: "ENTRY_SIZE_MISMATCH",
      }],
    ])("because of %s, which was not awaited: the save fails, and never the process", async (_, write, expected) => {
      const place = await make();
      const seen = unhandledRejections();
      const store = place.store().register("good", new Cell(1)).register("bad", saving((out) => void write(out)));
      expect(await rejection(store.saveState())).toMatchObject(expected);
      await settle();
      expect(seen).toEqual([]);
      await expectNothingLeft(place, store);
    });

    it("tells the awaiting state the very error that the save is rejected with", async () => {
      const place = await make();
      let told: unknown;
      const store = place.store().register(
        "bad",
        saving(async (out) => {
          told = await rejection(out.write("../x", "1"));
        }),
      );
      expect(await rejection(store.saveState())).toBe(told);
      expect(isSnapshotError(told, "ENTRY_PATH_UNSAFE")).toBe(true);
    });

    it("fails though the state swallows the error of its write", async () => {
      const store = (await make()).store().register("bad", saving((out) => out.write("../x", "1").catch(() => {})));
      expect(await rejection(store.saveState())).toMatchObject({ code: "ENTRY_PATH_UNSAFE" });
    });

    it("cancels all streams, those being read, those waiting and those of other states", async () => {
      const place = await make();
      const streams = [hangingStream(new Uint8Array(10)), hangingStream(), hangingStream()] as const;
      const gate = deferred();
      const store = place.store()
        .register(
          "a",
          saving((out) => {
            void out.write("1", streams[0].stream);
            void out.write("2", streams[1].stream, { sizeBytes: 5 });
          }),
        )
        .register("b", saving((out) => void out.write("3", streams[2].stream)))
        .register("bad", saving(() => gate.promise.then(() => Promise.reject(new Error("no")))));
      const save = rejection(store.saveState());
      await streams[0].waitedFor;
      gate.resolve();
      expect(await save).toMatchObject({ code: "STATE_SAVE_FAILED", details: { state: "bad" } });
      await Promise.all(streams.map(({ cancelled }) => cancelled));
      await expectNothingLeft(place, store);
    });

    it("cancels streams when the storage refuses before it reads them", async () => {
      const place = await make();
      const refused = new Error("no room");
      const refuse = () => Promise.reject(refused);
      const backend = changed(place.backend, {
        stage: async (unit, options) => {
          const stage = await place.backend.stage(unit, options);
          return {
            unit,
            write: refuse,
            publish: refuse,
            scratch: () => stage.scratch(),
            abandon: () => stage.abandon(),
          };
        },
      });
      const [first, second] = [hangingStream(), hangingStream()];
      const store = new StateStore(backend, { layout }).register(
        "a",
        saving((out) => {
          void out.write("1", first.stream, { sizeBytes: 5 });
          void out.write("2", second.stream);
        }),
      );
      expect(await rejection(store.saveState())).toBe(refused);
      await Promise.all([first.cancelled, second.cancelled]);
      expect(await place.files()).toEqual([]);
    });

    it("cancels streams when no name can be claimed", async () => {
      const place = await make();
      const refused = new Error("read-only");
      const backend = changed(place.backend, { stage: () => Promise.reject(refused) });
      const { stream, cancelled } = hangingStream();
      const store = new StateStore(backend, { layout }).register("a", saving((out) => void out.write("1", stream)));
      expect(await rejection(store.saveState())).toBe(refused);
      await cancelled;
    });

    it("says nothing in the log of states that write on after another failed", async () => {
      const logs = await collectLogs();
      const place = await make();
      const ended = deferred();
      let told: unknown;
      const store = place.store()
        .register(
          "good",
          saving(async (out) => {
            await ended.promise;
            told = await rejection(out.write("x", "late"));
          }),
        )
        .register("bad", saving((out) => out.write("..", "1")));
      const error = await rejection(store.saveState());
      ended.resolve();
      await settle();
      expect(told).toBe(error);
      expect([...logs.of("error"), ...logs.of("fatal")]).toEqual([]);
    });

    it("tells in the log of a state that writes when its save has long ended", async () => {
      const logs = await collectLogs();
      let writer: StateWriter | undefined;
      const store = (await make()).store().register("late", saving((out) => void (writer = out)));
      const snapshot = await store.saveState();
      expect(await rejection(writer?.write("x", "late") ?? Promise.resolve())).toMatchObject({
        code: "STATE_SAVE_FAILED",
      });
      expect(logs.of("error").join()).toContain('Cannot write to the state "late": its save has ended');
      expect((await snapshot.manifest()).totals.entries).toBe(0);
    });
  });

  describe("with an AbortSignal", () => {
    it("that is aborted while the snapshot is made visible: tells that it may be there, and not the reason", async () => {
      const { backend, ...place } = await make();
      const controller = new AbortController();
      const uncertain = new SnapshotError("COMMIT_UNCERTAIN", "Cannot be sure", { uri: "x" });
      const publishing = changed(backend, {
        async stage(unit, options) {
          const stage = await backend.stage(unit, options);
          const publish: Stage["publish"] = async (blobPath, body) => {
            await stage.publish(blobPath, body);
            controller.abort(new Error("enough"));
            throw uncertain;
          };
          return Object.assign(Object.create(stage) as Stage, {
            unit,
            write: stage.write.bind(stage),
            scratch: () => stage.scratch(),
            abandon: () => stage.abandon(),
            publish,
          });
        },
      });
      const store = new StateStore(publishing, { layout: place.layout }).register("a", new Cell(1));
      expect(await rejection(store.saveState({ signal: controller.signal }))).toBe(uncertain);
      expect(await place.store().list()).toHaveLength(1);
    });

    it("that is aborted before: rejects with the reason and calls no state", async () => {
      const place = await make();
      const cell = new Cell(1);
      const reason = new Error("not now");
      const store = place.store().register("cell", cell);
      expect(await rejection(store.saveState({ signal: AbortSignal.abort(reason) }))).toBe(reason);
      expect(cell.saves).toBe(0);
      await expectNothingLeft(place, store);
    });

    it.each([undefined, 5])("that is aborted while a stream of declared size %s hangs", async (sizeBytes) => {
      const place = await make();
      const controller = new AbortController();
      const reason = new Error("enough");
      const { stream, waitedFor, cancelled } = hangingStream(new Uint8Array(3));
      const options = sizeBytes === undefined ? {} : { sizeBytes };
      const store = place.store().register("a", saving((out) => void out.write("x", stream, options)));
      const save = rejection(store.saveState({ signal: controller.signal }));
      await waitedFor;
      controller.abort(reason);
      expect(await save).toBe(reason);
      await cancelled;
      await expectNothingLeft(place, store);
    });

    it("that is aborted while a generator hangs, which cannot be ended", async () => {
      const place = await make();
      const controller = new AbortController();
      const reason = new Error("enough");
      const waitedFor = deferred();
      async function* hanging() {
        yield new Uint8Array(3);
        waitedFor.resolve();
        await new Promise(() => {});
      }
      const store = place.store().register("a", saving((out) => void out.write("x", hanging())));
      const save = rejection(store.saveState({ signal: controller.signal }));
      await waitedFor.promise;
      controller.abort(reason);
      expect(await save).toBe(reason);
      await expectNothingLeft(place, store);
    });

    it("that is aborted while a saveState never ends", async () => {
      const place = await make();
      const controller = new AbortController();
      const written = deferred();
      const store = place.store().register(
        "a",
        saving(async (out) => {
          await out.write("x", "1");
          written.resolve();
          await new Promise(() => {});
        }),
      );
      const save = rejection(store.saveState({ signal: controller.signal }));
      // An archive takes bytes only as they are pulled; either way the state then waits permanently.
      await written.promise;
      controller.abort();
      expect(await save).toMatchObject({ name: "AbortError" });
      await expectNothingLeft(place, store);
    });

    it("that is aborted by a state as it is called", async () => {
      const place = await make();
      const controller = new AbortController();
      const reason = new Error("from within");
      const store = place.store().register(
        "a",
        saving((out) => {
          controller.abort(reason);
          void out.write("x", "1");
        }),
      );
      expect(await rejection(store.saveState({ signal: controller.signal }))).toBe(reason);
      await expectNothingLeft(place, store);
    });

    it("that is aborted after the save: changes nothing", async () => {
      const controller = new AbortController();
      const store = (await make()).store().register("cell", new Cell(1));
      const snapshot = await store.saveState({ signal: controller.signal });
      controller.abort();
      await settle();
      expect((await snapshot.verify()).isWhole).toBe(true);
    });

    it.each([true, false])(
      "of a save that waits for another, last or not: only its own is aborted",
      async (isLast) => {
        const place = await make();
        const gate = deferred();
        let called = 0;
        const controller = new AbortController();
        const reason = new Error("second only");
        const store = place.store().register(
          "a",
          saving(async (out) => {
            called++;
            await gate.promise;
            await out.write("x", "1");
          }),
        );
        const first = store.saveState();
        const second = rejection(store.saveState({ signal: controller.signal }));
        const third = isLast ? undefined : store.saveState();
        controller.abort(reason);
        expect(await second).toBe(reason); // at once, though the first is not done
        expect([await store.list(), called]).toEqual([[], 1]);
        const fourth = store.saveState();
        await settle();
        expect(called).toBe(1); // the first still runs
        gate.resolve();
        const saved = await Promise.all([first, third, fourth]);
        for (const snapshot of saved) expect((await snapshot?.verify())?.isWhole ?? true).toBe(true);
        expect([(await store.list()).length, called]).toEqual(isLast ? [2, 2] : [3, 3]);
      },
    );

    it("that is aborted when all states are done, before it is committed: nothing becomes visible", async () => {
      const place = await make();
      const controller = new AbortController();
      const reason = new Error("in time");
      const backend = changed(place.backend, {
        stage: async (unit, options) => {
          const stage = await place.backend.stage(unit, options);
          const publish = stage.publish.bind(stage);
          stage.publish = (blobPath, body) => {
            if (layout === "directory") controller.abort(reason);
            return publish(blobPath, body);
          };
          return stage;
        },
      });
      const store = new StateStore(backend, { layout }).register("cell", new Cell(1));
      if (layout !== "directory") {
        store.register("last", saving(() => Promise.resolve().then(() => controller.abort(reason))));
      }
      expect(await rejection(store.saveState({ signal: controller.signal }))).toBe(reason);
      await expectNothingLeft(place, place.store());
    });
  });

  describe("called while another save runs", () => {
    it("refuses to be called by a state as it is saved, which would wait for itself", async () => {
      const place = await make();
      const store: StateStore = place.store();
      store.register("bad", saving(async () => void await store.saveState()));
      const error = await rejection(store.saveState());
      expect(error).toMatchObject({ code: "STATE_SAVE_FAILED", cause: expect.any(TypeError) });
      expect(String(error)).toContain("it would wait for itself");
      await expectNothingLeft(place, store);
    });

    it("waits for it, and yields a snapshot of its own that is later", async () => {
      let inFlight = 0;
      let most = 0;
      let count = 0;
      const store = (await make()).store().register(
        "a",
        saving(async (out) => {
          most = Math.max(most, ++inFlight);
          await out.json("count", ++count);
          await settle();
          inFlight--;
        }),
      );
      const snapshots = await Promise.all([store.saveState(), store.saveState(), store.saveState(), store.saveState()]);
      expect(most).toBe(1);
      const names = snapshots.map(({ name }) => name);
      expect(names).toEqual([...new Set(names)].sort());
      expect(await Promise.all(snapshots.map(contents))).toEqual(
        [1, 2, 3, 4].map((value) => ({ "a/count": String(value) })),
      );
      expect((await store.list()).map(({ name }) => name)).toEqual(names);
    });

    it("captures when its turn has come, not when it was called", async () => {
      const cell = new Cell("first");
      const store = (await make()).store().register("cell", cell);
      const first = store.saveState();
      const second = store.saveState();
      cell.value = "second";
      expect(await contents(await first)).toEqual({ "cell/value.json": '"first"' });
      expect(await contents(await second)).toEqual({ "cell/value.json": '"second"' });
    });

    it("is not touched by the failure of the one before", async () => {
      let calls = 0;
      const store = (await make()).store().register(
        "a",
        saving((out) => {
          if (++calls === 1) throw new Error("first");
          return out.json("calls", calls);
        }),
      );
      const [first, second] = await Promise.allSettled([store.saveState(), store.saveState()]);
      expect(first.status).toBe("rejected");
      if (second.status === "rejected") throw second.reason;
      expect(await contents(second.value)).toEqual({ "a/calls": "2" });
    });

    it("captures at the call again once the others have ended", async () => {
      const cell = new Cell(0);
      const store = (await make()).store().register("cell", cell);
      await Promise.all([store.saveState(), store.saveState()]);
      const before = cell.saves;
      const third = store.saveState();
      expect(cell.saves).toBe(before + 1);
      await third;
    });
  });

  describe("onProgress", () => {
    it("tells of ever more bytes and entries, up to all of them", async () => {
      const told: SaveProgress[] = [];
      const store = (await make()).store()
        .register("a", new Files({ "1": new Uint8Array(2 * MIB), "2": "text" }))
        .register("b", saving((out) => void out.write("3", streamOf(new Uint8Array(10), new Uint8Array(20)))));
      await store.saveState({ onProgress: (progress) => void told.push(progress) });
      for (const [index, { sizeBytes, entries }] of told.entries()) {
        const before = told[index - 1] ?? { sizeBytes: 0, entries: 0 };
        expect(sizeBytes).toBeGreaterThanOrEqual(before.sizeBytes);
        expect(entries).toBeGreaterThanOrEqual(before.entries);
      }
      expect([...new Set(told.map(({ state }) => state))]).toEqual(["a", "b"]);
      expect(told.at(-1)).toMatchObject({ entries: 3, sizeBytes: 2 * MIB + 4 + 30 });
    });

    it("fails the save when it throws, and nothing is left", async () => {
      const place = await make();
      const failure = new Error("the bar broke");
      const store = place.store().register("cell", new Cell(1));
      const save = store.saveState({
        onProgress: () => {
          throw failure;
        },
      });
      expect(await rejection(save)).toBe(failure);
      await expectNothingLeft(place, store);
    });
  });

  it.each([{ step: NaN }, { tags: "nightly" }, { pinned: "yes" }])(
    "refuses the labels %j as a TypeError: their snapshot could not be read",
    async (labels) => {
      const place = await make();
      const store = place.store().register("cell", new Cell(1));
      expect(await rejection(store.saveState({ labels: labels as object }))).toBeInstanceOf(TypeError);
      await expectNothingLeft(place, store);
    },
  );
});

describe.each(filePlaces)("StateStore.saveState on disk ($layout)", ({ make }) => {
  it("streams a file of Node, and destroys it when the save fails before its turn", async () => {
    const source = path.join(await temporaryFolder(), "source");
    await writeFile(source, "x".repeat(200_000));
    const store = (await make()).store().register("a", saving((out) => void out.write("x", createReadStream(source))));
    expect((await (await store.saveState()).stat()).sizeBytes).toBe(200_000);
    const unread = createReadStream(source);
    store.register(
      "b",
      saving((out) => {
        void out.write("x", unread);
        void out.write("../x", "1");
      }),
    );
    await rejection(store.saveState());
    await settle();
    expect(unread.destroyed).toBe(true);
  });

  it("fails as every stream does where a file of Node cannot be read, also while it waits for its turn", async () => {
    const missing = path.join(await temporaryFolder(), "missing");
    const place = await make();
    const uncaught: unknown[] = [];
    const listener = (error: unknown) => void uncaught.push(error);
    process.on("uncaughtException", listener);
    onTestFinished(() => void process.off("uncaughtException", listener));
    const slow = deferred();
    const store = place.store()
      .register("slow", saving(() => slow.promise))
      .register("bad", saving((out) => void out.write("x", createReadStream(missing))));
    const error = rejection(store.saveState());
    setTimeout(slow.resolve, 50);
    expect(await error).toMatchObject({ code: "STATE_SAVE_FAILED", details: { state: "bad" } });
    expect(String(await error)).toContain("ENOENT");
    expect(uncaught).toEqual([]);
    await expectNothingLeft(place, store);
  });
});
