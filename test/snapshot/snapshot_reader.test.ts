// An open snapshot: everything it yields was compared with the manifest, and it tells clearly what it cannot yield.
import { Buffer } from "node:buffer";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { SnapshotLocator } from "snapkeep";
import { describe, expect, it, onTestFinished } from "vitest";
import { noise } from "../archive/samples.ts";
import { forge, type Forgery } from "../store/altered.ts";
import { changed, filePlaces, type Place, places } from "../store/places.ts";
import { Files, rejection, saving, settle } from "../store/states.ts";

const MIB = 1024 * 1024;

async function opened(place: Place, files: Record<string, string | Uint8Array>) {
  const snapshot = await place.store().register("a", new Files(files)).register("b", new Files({ other: "x" }))
    .saveState();
  const reader = await snapshot.open();
  onTestFinished(() => reader.close());
  const state = reader.state("a");
  if (state === undefined) throw new Error("no state");
  return { snapshot, reader, state };
}

async function textOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  return await new Response(stream).text();
}

describe.each(places)("SnapshotReader ($layout, $backend)", ({ make }) => {
  it("lists entries in the order they were written, with size and digest", async () => {
    const { reader, state } = await opened(await make(), { "z.txt": "abc", "a/b.txt": "" });
    expect(state.entries).toEqual([
      {
        path: "z.txt",
        sizeBytes: 3,
        digest: "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      },
      {
        path: "a/b.txt",
        sizeBytes: 0,
        digest: "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      },
    ]);
    expect(reader.entries.map((entry) => entry.path)).toEqual(["a/z.txt", "a/a/b.txt", "b/other"]);
    expect(reader.manifest.totals).toEqual({ states: 2, entries: 3, sizeBytes: 4 });
  });

  it("knows its states and entries by their exact names only", async () => {
    const { reader, state } = await opened(await make(), { "sub/x": "1" });
    expect([state.has("sub/x"), reader.has("a/sub/x")]).toEqual([true, true]);
    for (
      const name of ["", "sub", "sub/", "/sub/x", "SUB/x", "./sub/x", "../b/other", "other", "__proto__", "toString"]
    ) {
      expect([name, state.has(name)]).toEqual([name, false]);
    }
    expect([reader.state("A"), reader.state(""), reader.state("__proto__"), reader.state("manifest.json")]).toEqual(
      [undefined, undefined, undefined, undefined],
    );
  });

  it("yields bytes that own their buffer from offset 0, new for each call", async () => {
    const { state } = await opened(await make(), { "x": Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) });
    const first = await state.bytes("x");
    expect([first.byteOffset, first.buffer.byteLength, first.buffer instanceof ArrayBuffer]).toEqual([0, 8, true]);
    expect([...new Uint16Array(first.buffer)]).toEqual([
      ...new Uint16Array(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8).buffer),
    ]);
    first.fill(0);
    expect([...await state.bytes("x")]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it("yields bytes that own their buffer to a state that loads, too", async () => {
    const store = (await make()).store();
    const seen: Uint8Array[] = [];
    const state = {
      ...saving((out) => void out.write("x", Uint8Array.of(1, 2, 3, 4))),
      async loadState(from: { bytes(path: string): Promise<Uint8Array<ArrayBuffer>> }) {
        for (let round = 0; round < 2; round++) {
          const bytes = await from.bytes("x");
          seen.push(bytes.slice());
          expect([bytes.byteOffset, bytes.buffer.byteLength]).toEqual([0, 4]);
          bytes.fill(9);
        }
      },
    };
    await store.register("s", state).loadState(await store.saveState());
    expect(seen).toEqual([Uint8Array.of(1, 2, 3, 4), Uint8Array.of(1, 2, 3, 4)]);
  });

  it("yields any part of an entry, and refuses a part that is none before anything is read", async () => {
    const content = noise(70_000);
    const { reader } = await opened(await make(), { "x": content });
    for (
      const [offset, length] of [[0, 70_000], [0, 0], [1, 2], [69_999, 1], [69_990, 100], [70_000, 5], [2 ** 40, 1]]
    ) {
      const part = await reader.range("a/x", offset as number, length as number);
      expect([offset, length, part]).toEqual([
        offset,
        length,
        content.slice(offset, (offset as number) + (length as number)),
      ]);
    }
    for (const wrong of [-1, 0.5, NaN, Infinity, "1" as unknown as number]) {
      expect([wrong, await rejection(reader.range("a/x", wrong, 1))]).toEqual([wrong, expect.any(RangeError)]);
      expect([wrong, await rejection(reader.range("a/x", 1, wrong))]).toEqual([wrong, expect.any(RangeError)]);
    }
  });

  it("yields text as it was written, a byte order mark included", async () => {
    const { state } = await opened(await make(), { "x": "\ufeffzwölf 🧠\r\n", "empty": "" });
    expect([await state.text("x"), await state.text("empty")]).toEqual(["\ufeffzwölf 🧠\r\n", ""]);
  });

  it("refuses to yield bytes that are not UTF-8 as text: a TypeError that names the entry", async () => {
    const { state } = await opened(await make(), {
      "latin": Uint8Array.of(0x7a, 0xf6),
      "cut": Uint8Array.of(0xf0, 0x9f),
    });
    for (const name of ["latin", "cut"]) {
      const error = await rejection(state.text(name));
      expect(error).toBeInstanceOf(TypeError);
      expect((error as Error).message).toContain(`a/${name}`);
      await expect(state.json(name)).rejects.toBeInstanceOf(TypeError);
    }
  });

  it("yields JSON, and a SyntaxError for what is none", async () => {
    const { state } = await opened(await make(), { "good": ' {"a":[1]} ', "bad": "{", "empty": "" });
    expect(await state.json("good")).toEqual({ a: [1] });
    expect(await rejection(state.json("bad"))).toBeInstanceOf(SyntaxError);
    expect(await rejection(state.json("empty"))).toBeInstanceOf(SyntaxError);
  });

  it.each(["missing", "../b/other", "", "X"])("fails as ENTRY_NOT_FOUND for %j, by whatever method", async (name) => {
    const { state } = await opened(await make(), { x: "1" });
    const notFound = expect.objectContaining({ code: "ENTRY_NOT_FOUND", details: { path: `a/${name}` } });
    expect(await rejection(state.bytes(name))).toEqual(notFound);
    expect(await rejection(state.text(name))).toEqual(notFound);
    expect(await rejection(state.json(name))).toEqual(notFound);
    expect(() => state.stream(name)).toThrow(notFound);
  });

  it("streams entries of every size, several at once", async () => {
    const big = new Uint8Array(3 * MIB + 7).map((_, index) => index * 7);
    const { state } = await opened(await make(), { big, small: "text", empty: "" });
    const [bytes, small, empty] = await Promise.all([
      new Response(state.stream("big")).arrayBuffer(),
      textOf(state.stream("small")),
      textOf(state.stream("empty")),
    ]);
    expect(Buffer.compare(new Uint8Array(bytes), big)).toBe(0);
    expect([small, empty]).toEqual(["text", ""]);
  });

  it("streams chunks that their reader may change, whatever it reads next", async () => {
    // Small neighbours lie in one member of an archive, which is kept once the whole table is known; one is most of it.
    const { state, reader } = await opened(await make(), {
      "most": "m".repeat(100_000),
      "least": "l",
      "large": "L".repeat(3 * MIB),
    });
    await reader.verifyAll();
    for (let round = 0; round < 2; round++) {
      for (
        const [name, letter, count] of [["most", "m", 100_000], ["least", "l", 1], ["large", "L", 3 * MIB]] as const
      ) {
        const kept: Uint8Array[] = [];
        for await (const chunk of state.stream(name)) kept.push(chunk);
        expect(Buffer.concat(kept).equals(Buffer.alloc(count, letter))).toBe(true);
        for (const chunk of kept) chunk.fill(0);
      }
    }
  });

  it("may have its streams cancelled, before and in the middle, and goes on", async () => {
    const { state } = await opened(await make(), { big: new Uint8Array(5 * MIB), x: "still here" });
    await state.stream("big").cancel();
    const reader = state.stream("big").getReader();
    expect((await reader.read()).done).toBe(false);
    await reader.cancel(new Error("enough"));
    for await (const _chunk of state.stream("big")) break;
    expect(await state.text("x")).toBe("still here");
  });

  it("may be closed twice, and by leaving a block", async () => {
    const { snapshot } = await opened(await make(), { x: "1" });
    const reader = await snapshot.open();
    expect(await reader.text("a/x")).toBe("1");
    await reader[Symbol.asyncDispose]();
    await reader.close();
  });

  it("verifies everything at once, as a load does", async () => {
    const { reader } = await opened(await make(), { x: "1", y: new Uint8Array(MIB) });
    await reader.verifyAll();
    const reason = new Error("enough");
    expect(await rejection(reader.verifyAll({ signal: AbortSignal.abort(reason) }))).toBe(reason);
    const empty = await (await (await make()).store().saveState()).open();
    onTestFinished(() => empty.close());
    expect(await rejection(empty.verifyAll({ signal: AbortSignal.abort(reason) }))).toBe(reason);
  });
});

describe.runIf(filePlaces.length > 0)("SnapshotReader of damaged files", () => {
  const make = filePlaces.find(({ layout }) => layout === "directory")?.make ??
    (() => Promise.reject(new Error("no place")));

  async function damaged(change: (bytes: Uint8Array) => Uint8Array) {
    const { snapshot, reader, state } = await opened(await make(), { big: new Uint8Array(3 * MIB).fill(5) });
    const file = path.join(String(snapshot), "a", "big");
    await writeFile(file, change(new Uint8Array(await readFile(file))));
    return { reader, state };
  }

  it.each<[string, (bytes: Uint8Array) => Uint8Array]>([
    ["changed in its first byte", (bytes) => bytes.fill(6, 0, 1)],
    ["changed in its last byte", (bytes) => bytes.fill(6, bytes.length - 1)],
    ["cut short", (bytes) => bytes.subarray(0, bytes.length - 1)],
    ["cut to nothing", () => new Uint8Array()],
    ["too long", (bytes) => Buffer.concat([bytes, Uint8Array.of(5)])],
  ])(
    "fails as SNAPSHOT_CORRUPT by bytes, stream and verifyAll for an entry %s, and a stream never ends",
    async (_, change) => {
      const { reader, state } = await damaged(change);
      const corrupt = expect.objectContaining({
        code: "SNAPSHOT_CORRUPT",
        details: expect.objectContaining({ path: "a/big" }),
      });
      expect(await rejection(state.bytes("big"))).toEqual(corrupt);
      expect(await rejection(reader.verifyAll())).toEqual(corrupt);
      let streamedBytes = 0;
      const streamed = await rejection((async () => {
        for await (const chunk of state.stream("big")) streamedBytes += chunk.length;
      })());
      expect(streamed).toEqual(corrupt);
      expect(streamedBytes).toBeLessThan(3 * MIB); // a reader that counts bytes can never take it for complete
      await settle();
    },
  );

  it.each([2, 9])(
    "fails as SNAPSHOT_CORRUPT where the manifest tells %i bytes of 5, though the digest is right",
    async (told) => {
      const { backend } = await make();
      const unit = await forge(backend, "directory", "2030-01-01_00-00-00,000000.state", telling(told), {
        "x": "three",
      });
      const reader = await new SnapshotLocator(backend, [unit]).open();
      onTestFinished(() => reader.close());
      const corrupt = expect.objectContaining({
        code: "SNAPSHOT_CORRUPT",
        details: expect.objectContaining({
          path: "model/x",
          expected: `${told} bytes`,
          actual: told < 5 ? expect.stringMatching(/^(?:5|more) bytes$/) : "5 bytes",
        }),
      });
      expect(await rejection(reader.bytes("model/x"))).toEqual(corrupt);
      expect(await rejection(new Response(reader.stream("model/x")).text())).toEqual(corrupt);
      expect(await rejection(reader.range("model/x", 0, 1))).toEqual(corrupt);
    },
  );

  it.each([2, 9])("fails as SNAPSHOT_CORRUPT where a backend says %i bytes and gives 5", async (told) => {
    const { backend } = await make();
    const unit = await forge(backend, "directory", "2030-01-01_00-00-00,000000.state", telling(told), { "x": "three" });
    const lies = changed(backend, {
      open: async (asked, blobPath) => {
        const blob = await backend.open(asked, blobPath);
        if (blob === undefined || blobPath === "manifest.json") return blob;
        const { read, stream, close } = blob;
        return {
          sizeBytes: told,
          read: (offset, lengthBytes) => read.call(blob, offset, lengthBytes),
          stream: () => stream.call(blob),
          close: () => close.call(blob),
        };
      },
    });
    const reader = await new SnapshotLocator(lies, [unit]).open();
    onTestFinished(() => reader.close());
    const corrupt = (actual: string | undefined) => {
      const details = { path: "model/x", ...actual === undefined ? {} : { expected: `${told} bytes`, actual } };
      return expect.objectContaining({ code: "SNAPSHOT_CORRUPT", details: expect.objectContaining(details) });
    };
    expect(await rejection(reader.bytes("model/x"))).toEqual(corrupt(told < 5 ? undefined : "5 bytes"));
    const streamed = await rejection(new Response(reader.stream("model/x")).text());
    expect(streamed).toEqual(corrupt(told < 5 ? "more bytes" : "5 bytes"));
  });
});

/** A manifest that tells so many bytes of its only entry. */
function telling(sizeBytes: number): Forgery {
  return (manifest) => ({
    ...manifest,
    states: manifest.states.map((state) => ({
      ...state,
      entries: state.entries.map((entry) => ({ ...entry, sizeBytes })),
    })),
    totals: { ...manifest.totals, sizeBytes },
  });
}
