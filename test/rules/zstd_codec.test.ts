// What only reading by the table does with zstd: several frames at once, with nothing between and behind them.
import { describe, expect, it } from "vitest";
import type { Codec, CompressionFault } from "../../src/rules/codec.ts";
import { nativeZstd } from "../../src/rules/zstd_codec.ts";
import { concat } from "../../src/words/bytes.ts";
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
