// Our header encoder writes what tar-stream's pack writes, byte for byte, wherever tar-stream is right; where it is not,
// beyond 2038 and 8 GiB, what it decodes is what was meant.
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { extract, pack } from "tar-stream";
import { describe, expect, it } from "vitest";
import { encodeTarHeader, FILE_MODE, paddingOf } from "../../src/archive/tar_header.ts";
import { concatenated, END, padded } from "./tar_maker.ts";

/** The header blocks that tar-stream's pack writes for a file. */
async function packed(name: string, size: number, mtimeSeconds: number): Promise<Uint8Array> {
  const packer = pack();
  const sink = packer.entry({
    name,
    size,
    mode: FILE_MODE,
    uid: 0,
    gid: 0,
    type: "file",
    mtime: new Date(mtimeSeconds * 1000),
  });
  const chunks: Uint8Array[] = [];
  packer.on("data", (chunk) => chunks.push(chunk as Uint8Array));
  sink.on("error", () => {}); // it is never given its payload
  await new Promise((resolve) => setTimeout(resolve));
  packer.destroy();
  return concatenated(...chunks);
}

interface Decoded {
  readonly name: string;
  readonly size: number;
  readonly mtimeMs: number;
  readonly mode: number;
  readonly type: string;
}

/** What tar-stream decodes out of header blocks. */
async function decoded(blocks: Uint8Array): Promise<Decoded> {
  const decoder = extract();
  const found = new Promise<Decoded>((resolve, reject) => {
    decoder.on("entry", ({ name, size, mtime, mode, type }) => {
      resolve({ name, size: size ?? -1, mtimeMs: mtime?.getTime() ?? -1, mode: mode ?? -1, type: type ?? "" });
    });
    decoder.on("error", reject);
  });
  decoder.write(blocks);
  const header = await found;
  decoder.destroy();
  return header;
}

const part = fc.oneof(
  fc.string({ minLength: 1, maxLength: 30, unit: fc.constantFrom(..."abcXYZ019._- ") }),
  fc.string({ minLength: 1, maxLength: 12, unit: fc.constantFrom(..."aäßΩ重🦊é") }),
  fc.string({ minLength: 90, maxLength: 160, unit: fc.constantFrom(..."ab") }),
);
const path = fc.array(part, { minLength: 1, maxLength: 12 }).map((parts) => parts.join("/"));
const size = fc.oneof(fc.nat(5000), fc.nat({ max: 2 ** 31 - 1 }), fc.constantFrom(0, 1, 511, 512, 513, 0o77777777777));
const before2038 = fc.integer({ min: 0, max: 2 ** 31 - 1 });

describe("encodeTarHeader", () => {
  it("writes what tar-stream writes, before 2038", async () => {
    await fc.assert(
      fc.asyncProperty(path, size, before2038, async (name, bytes, mtime) => {
        const ours = encodeTarHeader(name, bytes, mtime);
        const theirs = await packed(name, bytes, mtime);
        expect(Buffer.from(ours)).toEqual(Buffer.from(theirs));
      }),
      { numRuns: 300 },
    );
  });

  it.each([99, 100, 101, 154, 155, 156, 157, 255, 256, 257])(
    "writes what tar-stream writes for %i bytes of path",
    async (length) => {
      for (const cut of [0, 1, 50, 100, 154, 155, 156]) {
        const name = cut === 0 || cut >= length - 1
          ? "n".repeat(length)
          : `${"p".repeat(cut)}/${"n".repeat(length - cut - 1)}`;
        expect(Buffer.from(encodeTarHeader(name, 7, 1))).toEqual(Buffer.from(await packed(name, 7, 1)));
      }
    },
  );

  it("is decoded to what was meant, whenever and however large", async () => {
    const sizes = fc.oneof(size, fc.constantFrom(2 ** 33 - 1, 2 ** 33, 2 ** 40 + 5, 2 ** 50));
    const times = fc.oneof(before2038, fc.constantFrom(2 ** 31 - 1, 2 ** 31, 2 ** 32, 253_402_300_799));
    await fc.assert(
      fc.asyncProperty(path, sizes, times, async (name, bytes, mtime) => {
        const header = await decoded(encodeTarHeader(name, bytes, mtime));
        expect(header).toEqual({ name, size: bytes, mtimeMs: mtime * 1000, mode: FILE_MODE, type: "file" });
      }),
      { numRuns: 200 },
    );
  });

  it("says the length of a PAX record right, where counting its digits adds one", async () => {
    for (let length = 80; length < 130; length++) {
      const name = `${"ü".repeat(length)}`;
      expect((await decoded(encodeTarHeader(name, 0, 0))).name).toBe(name);
    }
    for (let length = 970; length < 1010; length++) {
      const name = `${"n".repeat(length)}`;
      expect((await decoded(encodeTarHeader(name, 0, 0))).name).toBe(name);
    }
  });

  it("stamps what is before 1970 with 1970", async () => {
    expect((await decoded(encodeTarHeader("a", 0, -5))).mtimeMs).toBe(0);
  });

  it("pads to whole blocks", () => {
    fc.assert(fc.property(fc.nat(), (bytes) => {
      const padding = paddingOf(bytes);
      expect((bytes + padding) % 512).toBe(0);
      expect(padding).toBeLessThan(512);
    }));
    expect(padded("x").length + END.length).toBe(1536);
  });
});
