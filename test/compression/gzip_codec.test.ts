// What gzip by the runtime's zlib must not depend on: whose memory the chunks are, and how they are cut.
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { nativeGzip } from "../../src/compression/gzip_codec.ts";
import type { Codec } from "../../src/compression/codec.ts";

const codec = nativeGzip as Codec;
const TEXT = new TextEncoder().encode(JSON.stringify(Array.from({ length: 300 }, (_, index) => index * 7919 % 1000)));
const MEMBER = new Uint8Array(gzipSync(TEXT));

/** Lends pieces in one Buffer, which is used again for each. */
async function* lent(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.alloc(pieceBytes);
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const piece = bytes.subarray(at, at + pieceBytes);
    buffer.set(piece);
    yield buffer.subarray(0, piece.length);
    buffer.fill(0xff);
  }
}

async function* pieces(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.slice(at, at + pieceBytes);
}

describe("gzip", () => {
  it.each([64, 4096])(
    "decodeHead reads what is lent in a Buffer of %i bytes that is used again",
    async (pieceBytes) => {
      expect(await codec.decodeHead(lent(MEMBER, pieceBytes), TEXT.length, 100)).toEqual(TEXT);
    },
  );

  it.each([1, 7, 512])(
    "decodeStream rejects what follows a NUL as TRAILING_DATA in pieces of %i bytes",
    async (size) => {
      for (let zeros = 1; zeros < 9; zeros++) {
        for (const rest of [[1], [0x1f], [0x1f, 0x8b], [7, 7, 7, 7, 7, 7, 7, 7, 7]]) {
          const bytes = new Uint8Array([...MEMBER, ...new Uint8Array(zeros), ...rest]);
          const read = async () => {
            for await (const _chunk of codec.decodeStream(pieces(bytes, size)));
          };
          await expect(read(), `${zeros} zeros, then ${rest}`).rejects.toMatchObject({ reason: "TRAILING_DATA" });
        }
      }
    },
  );

  it.each([1, 2])(
    "decodeStream rejects a member behind a NUL as TRAILING_DATA when its reader waits after %i of its chunks",
    async (every) => {
      const member = gzipSync(Buffer.from(Array.from({ length: 3000 }, (_, index) => index * 7919 % 251)));
      const bytes = new Uint8Array(Buffer.concat([member, Buffer.alloc(1), member]));
      for (const size of [100, 513, 1000]) {
        for (let round = 0; round < 10; round++) {
          const read = async () => {
            let chunks = 0;
            for await (const _chunk of codec.decodeStream(pieces(bytes, size))) {
              if (++chunks % every === 0) await new Promise((resolve) => setTimeout(resolve, round % 3));
            }
          };
          await expect(read(), `in pieces of ${size}`).rejects.toMatchObject({ reason: "TRAILING_DATA" });
        }
      }
    },
  );

  describe("decodeRun", () => {
    const others = ["a", "", "b".repeat(200_000)].map((text) => new TextEncoder().encode(text));
    const contents = [TEXT, ...others];
    const members = contents.map((content) => new Uint8Array(gzipSync(content)));
    const packed = Buffer.concat(members);
    let endOffset = 0;
    const ends = members.map((member) => endOffset += member.length);
    const sizeBytes = contents.reduce((sum, content) => sum + content.length, 0);

    it("gives what each of several members holds", async () => {
      expect(await codec.decodeRun?.(packed, ends, sizeBytes)).toEqual(contents);
    });

    it("gives nothing where they hold more than they may", async () => {
      expect(await codec.decodeRun?.(packed, ends, sizeBytes - 1)).toBeUndefined();
    });

    it("gives nothing where a member begins elsewhere, ends early, is damaged, or is followed by anything", async () => {
      expect(await codec.decodeRun?.(packed, ends.map((end, index) => index === 0 ? end - 1 : end), 1e9))
        .toBeUndefined();
      expect(await codec.decodeRun?.(packed.subarray(0, -1), ends, 1e9)).toBeUndefined();
      const damaged = Uint8Array.from(packed);
      damaged[MEMBER.length - 5]! ^= 1;
      expect(await codec.decodeRun?.(damaged, ends, 1e9)).toBeUndefined();
      expect(await codec.decodeRun?.(Buffer.concat([packed, packed]), ends, 1e9)).toBeUndefined();
      expect(await codec.decodeRun?.(Buffer.concat([packed, new Uint8Array(3)]), ends, 1e9)).toBeUndefined();
    });
  });

  it("makes the same member of the same bytes, whatever was compressed before", async () => {
    const words = ["alpha ", "beta ", "gamma ", '{"id":'];
    let seed = 1;
    const next = () => seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    const textOf = (count: number) =>
      Buffer.from(Array.from({ length: count }, () => `${words[next() % 4]}${next() % 1000}`).join(""));
    const others = [textOf(300), textOf(20_000), textOf(60_000)];
    const bytes = textOf(120_000);
    const members = new Set<string>();
    for (let round = 0; round < 60; round++) {
      await codec.encode(others[round % others.length] as Uint8Array, 6);
      members.add(createHash("sha256").update(Buffer.concat(await codec.encode(bytes, 6))).digest("hex"));
    }
    expect(members.size).toBe(1);
  });

  it("decodeStream accepts zeros behind the end, however they are cut", async () => {
    for (const size of [1, 7, 512]) {
      const read: Uint8Array[] = [];
      for await (const chunk of codec.decodeStream(pieces(new Uint8Array([...MEMBER, ...new Uint8Array(600)]), size))) {
        read.push(chunk.slice());
      }
      expect(Buffer.concat(read).equals(TEXT)).toBe(true);
    }
  });
});
