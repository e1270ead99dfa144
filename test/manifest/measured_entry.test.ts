// An entry is read once, and afterwards its size and digest are known and agree with what was declared.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { digestOf } from "../../src/runtime/digest.ts";
import { MeasuredEntry } from "../../src/manifest/measured_entry.ts";
import type { Digest, EntrySource } from "../../src/model/snapshot.ts";

function source(body: EntrySource["body"], sizeBytes?: number, release = () => {}): EntrySource {
  return { state: "model", path: "a/b.bin", body, release, ...sizeBytes === undefined ? {} : { sizeBytes } };
}

async function read(entry: MeasuredEntry): Promise<number[]> {
  const bytes: number[] = [];
  for await (const chunk of entry.chunks()) bytes.push(...chunk);
  return bytes;
}

describe("MeasuredEntry", () => {
  it("yields the bytes unchanged and knows their size and digest", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 30 }), { maxLength: 5 }),
        fc.boolean(),
        async (parts, isDeclared) => {
          const whole = Uint8Array.from(parts.flatMap((part) => [...part]));
          let released = 0;
          const entry = new MeasuredEntry(source(parts, isDeclared ? whole.length : undefined, () => void released++));
          expect(await read(entry)).toEqual([...whole]);
          expect(released).toBe(0);
          expect(entry.finish()).toEqual({
            state: "model",
            path: "a/b.bin",
            sizeBytes: whole.length,
            digest: digestOf(whole),
          });
          expect(released).toBe(1);
        },
      ),
    );
  });

  it("of a copy fails where its bytes are others than those of the original, and tells which", async () => {
    const body = new Uint8Array(300_000).fill(7);
    const copy = (digest: Digest) => new MeasuredEntry({ ...source([body]), copyOf: { uri: "x", digest } });
    const sound = copy(digestOf(body));
    for await (const _chunk of sound.chunks());
    expect(sound.finish().digest).toBe(digestOf(body));
    const damaged = copy(digestOf(new Uint8Array(1)));
    for await (const _chunk of damaged.chunks());
    expect(() => damaged.finish()).toThrow(
      expect.objectContaining({
        code: "SNAPSHOT_CORRUPT",
        details: {
          uri: "x",
          path: "model/a/b.bin",
          expected: digestOf(new Uint8Array(1)),
          actual: digestOf(body),
        },
      }),
    );
  });

  it("fails at the end of a body that is shorter than declared", async () => {
    await expect(read(new MeasuredEntry(source([new Uint8Array(3)], 4)))).rejects.toMatchObject({
      code: "ENTRY_SIZE_MISMATCH",
      details: { path: "model/a/b.bin", expectedBytes: 4, actualBytes: 3 },
    });
  });

  it("fails as soon as a body is longer than declared, and never yields what is too much", async () => {
    let asked = 0;
    async function* endless() {
      while (true) {
        asked++;
        yield new Uint8Array(3);
      }
    }
    const chunks = new MeasuredEntry(source(endless(), 4)).chunks() as AsyncGenerator<Uint8Array>;
    expect((await chunks.next()).value).toHaveLength(3);
    await expect(chunks.next()).rejects.toMatchObject({ code: "ENTRY_SIZE_MISMATCH", details: { expectedBytes: 4 } });
    expect(asked).toBe(2);
  });

  it("takes a declared size of nothing seriously", async () => {
    expect(await read(new MeasuredEntry(source([], 0)))).toEqual([]);
    await expect(read(new MeasuredEntry(source([new Uint8Array(1)], 0)))).rejects.toMatchObject({
      code: "ENTRY_SIZE_MISMATCH",
    });
  });

  it.each(["text", 5, null, [1, 2], new Uint16Array(2), new ArrayBuffer(2)])(
    "refuses a chunk that is no Uint8Array: %j",
    async (chunk) => {
      const body = [chunk] as unknown as Uint8Array[];
      await expect(read(new MeasuredEntry(source(body)))).rejects.toThrow(TypeError);
    },
  );
});
