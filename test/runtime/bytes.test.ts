// Moving bytes: nothing is lost, nothing is read too far, and every stream is given back.
import { Readable } from "node:stream";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat, discard, iterate, toReadableStream, viewOf } from "../../src/runtime/bytes.ts";
import { isAsyncIterable } from "../../src/runtime/sources.ts";

const chunks = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 8 });

async function* source(parts: readonly Uint8Array[], onEnd: () => void = () => {}): AsyncGenerator<Uint8Array, void> {
  try {
    yield* parts;
  } finally {
    onEnd();
  }
}

async function all(parts: AsyncIterable<Uint8Array>): Promise<number[]> {
  const bytes: number[] = [];
  for await (const part of parts) bytes.push(...part);
  return bytes;
}

describe("viewOf", () => {
  it("looks at the very bytes of any view, without a copy", () => {
    const floats = new Float32Array([1, 2, 3]).subarray(1, 2);
    const view = viewOf(floats);
    expect([view.buffer === floats.buffer, view.byteOffset, view.byteLength]).toEqual([true, 4, 4]);
  });
});

describe("concat", () => {
  it("puts chunks together in order, into a buffer of its own", () => {
    fc.assert(fc.property(chunks, (parts) => {
      const expected = parts.flatMap((part) => [...part]);
      const whole = concat(parts);
      expect([...whole]).toEqual(expected);
      expect([whole.byteOffset, whole.buffer.byteLength]).toEqual([0, expected.length]);
    }));
  });
});

describe("iterate and toReadableStream", () => {
  it("carry the same bytes there and back", async () => {
    await fc.assert(fc.asyncProperty(chunks, async (parts) => {
      expect(await all(iterate(toReadableStream(source(parts))))).toEqual(parts.flatMap((part) => [...part]));
    }));
  });

  it("lock a stream at once", () => {
    const stream = new ReadableStream<Uint8Array>();
    iterate(stream);
    expect(stream.locked).toBe(true);
  });

  it("cancel a stream whose loop is left", async () => {
    let isCancelled = false;
    const stream = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(1)),
      cancel: () => void (isCancelled = true),
    });
    for await (const _chunk of iterate(stream)) break;
    expect(isCancelled).toBe(true);
  });

  it("cancel a stream that was never read when they are returned", async () => {
    let isCancelled = false;
    const stream = new ReadableStream<Uint8Array>({ cancel: () => void (isCancelled = true) });
    await iterate(stream).return?.();
    expect(isCancelled).toBe(true);
  });

  it("keep quiet about a stream that fails to cancel", async () => {
    const stream = new ReadableStream<Uint8Array>({
      cancel: () => {
        throw new Error("not now");
      },
    });
    expect(await iterate(stream).return?.()).toEqual({ done: true, value: undefined });
  });

  it("pull only what is read", async () => {
    let pulled = 0;
    async function* counting() {
      while (true) {
        pulled++;
        yield new Uint8Array(1);
      }
    }
    const reader = toReadableStream(counting()).getReader();
    expect(pulled).toBe(0);
    await reader.read();
    await reader.read();
    expect(pulled).toBe(2);
    await reader.cancel();
  });

  it("end the iteration when the stream is cancelled", async () => {
    let ended = false;
    const reader = toReadableStream(source([new Uint8Array(1), new Uint8Array(1)], () => void (ended = true)))
      .getReader();
    await reader.read();
    await reader.cancel();
    expect(ended).toBe(true);
  });

  it("pass on the error of a source", async () => {
    const failure = new Error("broken");
    // oxlint-disable-next-line require-yield
    async function* failing(): AsyncGenerator<Uint8Array, void> {
      throw failure;
    }
    await expect(toReadableStream(failing()).getReader().read()).rejects.toBe(failure);
  });
});

describe("isAsyncIterable", () => {
  it("tells streams from plain data", () => {
    expect([source([]), iterate(new ReadableStream())].map(isAsyncIterable)).toEqual([true, true]);
    expect([null, undefined, "text", 5, {}, [], new Uint8Array(1), () => {}].map(isAsyncIterable)).not.toContain(true);
  });
});

describe("discard", () => {
  it("cancels a stream, ends a generator that has begun, and destroys a stream of Node", async () => {
    let isCancelled = false;
    let isEnded = false;
    discard(iterate(new ReadableStream({ cancel: () => void (isCancelled = true) })));
    const begun = source([new Uint8Array(1)], () => void (isEnded = true));
    await begun.next();
    discard(begun);
    const readable = new Readable({ read() {} });
    discard(readable);
    await new Promise((resolve) => setImmediate(resolve));
    expect([isCancelled, isEnded, readable.destroyed]).toEqual([true, true, true]);
  });

  it("hears no complaint, at once or later", async () => {
    const throwing = { next: () => Promise.resolve({ done: true as const, value: undefined }) };
    discard({
      [Symbol.asyncIterator]: () => ({
        ...throwing,
        return: () => {
          throw new Error("at once");
        },
      }),
    });
    discard({ [Symbol.asyncIterator]: () => ({ ...throwing, return: () => Promise.reject(new Error("later")) }) });
    discard({ [Symbol.asyncIterator]: () => throwing });
    await new Promise((resolve) => setImmediate(resolve));
  });
});
