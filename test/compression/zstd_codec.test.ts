// What only reading by the table does with zstd: several frames at once, with nothing between and behind them.
import { describe, expect, it } from "vitest";
import type { Codec, CompressionFault } from "../../src/compression/codec.ts";
import { nativeZstd } from "../../src/compression/zstd_codec.ts";
import { concat } from "../../src/runtime/bytes.ts";
import { hasZstd, member, skippable } from "../fuzz/members.ts";

const zstd = nativeZstd as Codec;
const bytesOf = (text: string) => new TextEncoder().encode(text);
const frame = (text: string) => member("zstd", bytesOf(text), true);
const decoded = async (...parts: Uint8Array[]) => new TextDecoder().decode(await zstd.decode(concat(parts), 1000));
const fault = (...parts: Uint8Array[]) =>
  zstd.decode(concat(parts), 1000).then(
    () => "accepted",
    ({ reason, offset }: CompressionFault) => `${reason} at ${offset}`,
  );

describe.skipIf(!hasZstd)("a frame of a million blocks that hold nothing", () => {
  const frameOfNothing = concat([
    Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0, 0x58),
    new Uint8Array(3e6),
    Uint8Array.of(1, 0, 0),
  ]);

  it("is decoded in little time, as a stream and at once", async () => {
    const since = performance.now();
    let sizeBytes = 0;
    for await (const chunk of zstd.decodeStream([frameOfNothing, frame("one")])) sizeBytes += chunk.length;
    expect(sizeBytes).toBe(3);
    expect(await decoded(frameOfNothing, frame("one"))).toBe("one");
    expect(performance.now() - since).toBeLessThan(3000);
  });

  it("does not keep others from what they do", async () => {
    const manyTimes = concat(Array.from({ length: 4 }, () => frameOfNothing.subarray(6, -3)));
    const source = [concat([frameOfNothing.subarray(0, 6), manyTimes])];
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    expect(await zstd.decodeHead(source, 1000, 1000).then(() => "given", ({ reason }: CompressionFault) => reason))
      .toBe("TRUNCATED");
    clearInterval(timer);
    expect(turns).toBeGreaterThan(1);
  });
});

describe.skipIf(!hasZstd)("the head of frames", () => {
  it("is there though what follows it was cut", async () => {
    const packed = concat([frame("head"), frame("x".repeat(500_000)).subarray(0, 450_000)]);
    expect(new TextDecoder().decode(await zstd.decodeHead([packed], 4, 1000))).toBe("head");
  });

  it("is not given where what follows it is no frame", async () => {
    const packed = concat([frame("head"), bytesOf("junk and more")]);
    await expect(zstd.decodeHead([packed], 4, 0)).rejects.toMatchObject({ reason: "TRAILING_DATA" });
  });
});

describe.skipIf(!hasZstd)("frames that are decoded at once", () => {
  it("are one after the other what each of them is", async () => {
    expect(await decoded(frame("one"), frame(""), frame("two"))).toBe("onetwo");
  });

  it.each([
    ["a byte", Uint8Array.of(0)],
    ["half a magic", frame("").subarray(0, 2)],
    ["other bytes", bytesOf("junk and more")],
    ["a frame that is skipped, and decoders would not see", skippable(bytesOf("hidden"))],
  ])("must not be followed by %s", async (_, tail) => {
    expect(await fault(frame("one"), tail)).toBe(`TRAILING_DATA at ${frame("one").length}`);
  });

  it.each([4, 5, 8])("must not be followed by a frame that is cut after %i bytes", async (bytes) => {
    expect(await fault(frame("one"), frame("two").subarray(0, bytes))).toMatch(
      new RegExp(`^TRUNCATED at ${frame("one").length}$`),
    );
  });

  it("must hold what their headers say", async () => {
    const packed = frame("one");
    for (const told of [2, 4]) {
      packed[5] = told;
      expect(await fault(packed)).toMatch(/^(COMPRESSION_DAMAGED|TRUNCATED|LIMIT_BYTES) at 0$/);
    }
  });

  it("must not expand to more than is allowed", async () => {
    expect(await fault(frame("x".repeat(600)), frame("x".repeat(600)))).toBe(
      `LIMIT_BYTES at ${frame("x".repeat(600)).length}`,
    );
  });
});
