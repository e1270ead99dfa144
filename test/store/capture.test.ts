// What a capture takes, in which order it hands it on, and what becomes of it when the save fails. Below the layouts.
import { Buffer } from "node:buffer";
import { describe, expect, it } from "vitest";
import { type EntrySource, listOfSources } from "../../src/model/snapshot.ts";
import type { PersistentState, StateWriter } from "../../src/model/state.ts";
import { Capture } from "../../src/store/capture.ts";
import { CaptureMemory } from "../../src/store/capture_memory.ts";
import { deferred, hangingStream, iterableOf, rejection, saving, settle, streamOf } from "./states.ts";

function captureOf(states: Record<string, PersistentState>, options = {}, memory = new CaptureMemory()): Capture {
  return new Capture(
    Object.entries(states).map(([name, state]) => ({ name, state, version: 1, migrate: new Map(), formerly: [] })),
    memory,
    options,
  );
}

async function read(entry: EntrySource): Promise<string> {
  let text = "";
  for await (const chunk of entry.body) text += Buffer.from(chunk).toString("latin1");
  entry.release();
  return text;
}

async function* eachOf(capture: Capture): AsyncGenerator<EntrySource> {
  for await (const next of capture.entries()) yield* listOfSources(next);
}

async function readAll(capture: Capture): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of eachOf(capture)) found.push(`${entry.state}/${entry.path}=${await read(entry)}`);
  return found;
}

async function firstOf(capture: Capture): Promise<EntrySource> {
  const { value } = await eachOf(capture).next();
  if (value === undefined) throw new Error("there is no entry");
  return value;
}

describe("Capture", () => {
  it("calls every saveState before it returns, in order of registration", () => {
    const called: string[] = [];
    const state = saving((out) => void called.push(out.name));
    captureOf({ b: state, a: state, c: state });
    expect(called).toEqual(["b", "a", "c"]);
  });

  it("copies bytes at the call of write", async () => {
    const bytes = Buffer.from("before");
    const capture = captureOf({ a: saving((out) => void out.write("x", bytes)) });
    bytes.write("after!");
    expect(await readAll(capture)).toEqual(["a/x=before"]);
  });

  it("stringifies at the call of json", async () => {
    const value = { step: 1 };
    const capture = captureOf({ a: saving((out) => void out.json("x", value)) });
    value.step = 2;
    expect(await readAll(capture)).toEqual(['a/x={"step":1}']);
  });

  it("refuses a path that was forgotten, and says so", async () => {
    const forgotten = { step: 1 } as unknown as string;
    const writes = [(out: StateWriter) => out.json(forgotten, 1), (out: StateWriter) => out.write(forgotten, "x")];
    for (const write of writes) {
      const error = await rejection(readAll(captureOf({ a: saving(write) })));
      expect(String(error)).toContain('Cannot save the state "a": a path comes first, and is a text');
    }
  });

  it("does not copy a buffer that is owned", async () => {
    const bytes = new Float64Array([1, 2]);
    const entry = await firstOf(captureOf({ a: saving((out) => void out.write("x", bytes, { owned: true })) }));
    const [chunk] = entry.body as Uint8Array[];
    expect([chunk?.buffer === bytes.buffer, chunk?.byteLength]).toEqual([true, 16]);
  });

  it("takes only the bytes of a view, in the order they lie", async () => {
    const around = Buffer.from("..abc..");
    const view = new DataView(around.buffer, around.byteOffset + 2, 3);
    expect(await readAll(captureOf({ a: saving((out) => void out.write("x", view)) }))).toEqual(["a/x=abc"]);
  });

  it("knows the size of what lies in memory, and of a stream only if it is declared", async () => {
    const capture = captureOf({
      a: saving((out) => {
        void out.write("text", "zwölf");
        void out.write("bytes", new Uint8Array(3_000_000));
        void out.write("stream", streamOf());
        void out.write("declared", streamOf(), { sizeBytes: 0 });
      }),
    });
    const sizes: [string, number | undefined][] = [];
    for await (const entry of eachOf(capture)) {
      sizes.push([entry.path, entry.sizeBytes]);
      await read(entry);
    }
    expect(sizes).toEqual([["text", 6], ["bytes", 3_000_000], ["stream", undefined], ["declared", 0]]);
  });

  it("hands on states in order of registration and entries in order of writing, whatever finishes first", async () => {
    const gate = deferred();
    const capture = captureOf({
      slow: saving(async (out) => {
        await gate.promise;
        await out.write("2", "b");
        await out.write("1", "a");
      }),
      fast: saving((out) => {
        void out.write("z", "1");
        void out.write("y", "2");
      }),
    });
    const all = readAll(capture);
    await settle();
    gate.resolve();
    expect(await all).toEqual(["slow/2=b", "slow/1=a", "fast/z=1", "fast/y=2"]);
  });

  it("waits for a saveState that goes on writing after an await of its own", async () => {
    const gates = [deferred(), deferred()] as const;
    const capture = captureOf({
      a: saving(async (out) => {
        await out.write("1", "x");
        await gates[0].promise;
        void out.write("2", "y");
        await gates[1].promise;
        void out.write("3", "z");
      }),
    });
    const all = readAll(capture);
    await settle();
    gates[0].resolve();
    await settle();
    gates[1].resolve();
    expect(await all).toEqual(["a/1=x", "a/2=y", "a/3=z"]);
  });

  it("hands on what other states have in memory while a state waits for its own write", async () => {
    const waiting = (out: StateWriter) => out.write("first", "1").then(() => out.write("second", "2"));
    const capture = captureOf({
      a: saving(waiting),
      b: saving((out) => void out.write("stream", streamOf(Buffer.from("3")))),
      c: saving(waiting),
    });
    const entries = eachOf(capture);
    const taken = [await entries.next(), await entries.next()].map(({ value }) => value as EntrySource);
    expect(taken.map(({ state, path }) => `${state}/${path}`)).toEqual(["a/first", "c/first"]);
    for (const entry of taken) await read(entry);
    const rest: string[] = [];
    for await (const entry of entries) rest.push(`${entry.state}/${entry.path}=${await read(entry)}`);
    expect(rest.sort()).toEqual(["a/second=2", "b/stream=3", "c/second=2"]);
  });

  it("waits for no other state while a state waits for its own write", async () => {
    const { promise, resolve } = deferred<void>();
    const first = async (out: StateWriter) => {
      await out.write("first", "1");
      await out.write("second", "2");
      resolve();
    };
    const last = (out: StateWriter) => promise.then(() => out.write("third", "3"));
    const entries = eachOf(captureOf({ a: saving(first), b: saving(last) }));
    const found: string[] = [];
    for (let held = await entries.next(); !held.done;) {
      const next = entries.next(); // before this one is read, as a layout asks that writes several at once
      found.push(await read(held.value));
      held = await next;
    }
    expect(found).toEqual(["1", "2", "3"]);
  });

  it("takes writes that are chained to writes, though saveState returned long ago", async () => {
    const capture = captureOf({
      a: saving((out) => {
        void out.write("1", "x").then(() => out.write("2", "y")).then(() => out.write("3", "z"));
      }),
    });
    expect(await readAll(capture)).toEqual(["a/1=x", "a/2=y", "a/3=z"]);
  });

  it("resolves a write once its bytes were taken, not before: so that awaiting bounds memory", async () => {
    let resolved = 0;
    const capture = captureOf({
      a: saving(async (out) => {
        for (const path of ["1", "2"]) {
          await out.write(path, "x");
          resolved++;
        }
      }),
    });
    const entries = eachOf(capture);
    const first = (await entries.next()).value;
    await settle();
    expect(resolved).toBe(0);
    if (first !== undefined) await read(first);
    await settle();
    expect(resolved).toBe(1);
  });

  it("gives memory back when an entry was taken, for the next save", async () => {
    const memory = new CaptureMemory();
    const buffers = new Set<ArrayBufferLike>();
    for (let save = 0; save < 3; save++) {
      const capture = captureOf({ a: saving((out) => void out.write("x", new Uint8Array(2_000_000))) }, {}, memory);
      for await (const entry of eachOf(capture)) {
        for (const segment of entry.body as Uint8Array[]) buffers.add(segment.buffer);
        entry.release();
      }
      capture.close();
    }
    expect(buffers.size).toBe(2);
  });

  it("does not call further states once a write was refused", async () => {
    let calls = 0;
    const capture = captureOf({
      a: saving((out) => void out.json("x", NaN)),
      b: saving(() => void calls++),
    });
    expect(await rejection(readAll(capture))).toMatchObject({ code: "STATE_SAVE_FAILED", details: { state: "a" } });
    expect(calls).toBe(0);
  });

  it("cancels an entry's stream though it was taken and its reading never began", async () => {
    const { stream, cancelled } = hangingStream();
    const capture = captureOf({ a: saving((out) => void out.write("x", stream)) });
    await firstOf(capture);
    capture.fail(new Error("the storage has no room"));
    await cancelled;
  });

  it("cancels streams that wait for their turn, and ends a generator that waits half-way", async () => {
    const waiting = hangingStream();
    const reading = iterableOf(new Uint8Array(1), new Uint8Array(1));
    const capture = captureOf({
      a: saving((out) => {
        void out.write("reading", reading);
        void out.write("waiting", waiting.stream);
      }),
    });
    const body = (await firstOf(capture)).body as AsyncIterable<Uint8Array>;
    const failure = new Error("no room");
    const left = rejection((async () => {
      for await (const _chunk of body) capture.fail(failure);
    })());
    expect(await left).toBe(failure);
    await waiting.cancelled;
    await settle();
    expect(reading.state.isEnded).toBe(true);
  });

  it("ends the very iterator it reads from, where an iterable makes a new one each time", async () => {
    const ended: number[] = [];
    let made = 0;
    const iterable: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]() {
        const number = ++made;
        return {
          next: () => Promise.resolve({ done: false, value: new Uint8Array(1) }),
          return: () => {
            ended.push(number);
            return Promise.resolve({ done: true, value: undefined });
          },
        };
      },
    };
    const capture = captureOf({ a: saving((out) => void out.write("x", iterable)) });
    for await (const _chunk of (await firstOf(capture)).body) break;
    expect(ended).toEqual([1]);
  });

  it.each(["../x", "a/../x", "/x", "", "a\\b", "NUL"])(
    "cancels a stream that is written to the unsafe path %j",
    async (path) => {
      const { stream, cancelled } = hangingStream();
      const capture = captureOf({ a: saving((out) => void out.write(path, stream)) });
      expect(await rejection(readAll(capture))).toMatchObject({ code: "ENTRY_PATH_UNSAFE" });
      await cancelled;
    },
  );

  it("rejects pending writes, and all later ones, with the error that failed the save", async () => {
    const failure = new Error("no room");
    const writes: Promise<void>[] = [];
    let later: Promise<void> | undefined;
    const gate = deferred();
    const capture = captureOf({
      a: saving(async (out) => {
        writes.push(out.write("1", "x"), out.write("2", hangingStream().stream));
        await gate.promise;
        later = out.write("3", "z");
      }),
    });
    capture.fail(failure);
    gate.resolve();
    await settle();
    expect(await Promise.all([...writes, later ?? Promise.resolve()].map(rejection))).toEqual([
      failure,
      failure,
      failure,
    ]);
  });

  it("keeps the first error of all as the one to throw", () => {
    const capture = captureOf({});
    const first = new Error("first");
    expect([capture.fail(first), capture.fail(new Error("second"))]).toEqual([first, first]);
  });

  it("leaves no listener on the signal when it ends", async () => {
    const { signal } = new AbortController();
    let listeners = 0;
    const counted = new Proxy(signal, {
      get(target, key) {
        const value = Reflect.get(target, key, target);
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          if (key === "addEventListener") listeners++;
          if (key === "removeEventListener") listeners--;
          return value.apply(target, args);
        };
      },
    });
    const capture = captureOf({ a: saving((out) => void out.write("x", "1")) }, { signal: counted });
    expect(listeners).toBe(1);
    await readAll(capture);
    capture.close();
    expect(listeners).toBe(0);
  });
});
