import { Buffer } from "node:buffer";
import { describe, expect, it } from "vitest";
import { leaving, release } from "../../src/runtime/memory.ts";

const MIB = 1024 * 1024;
const canRelease = "transfer" in ArrayBuffer.prototype;

describe("release", () => {
  it("gives a large buffer back where the runtime can", () => {
    const bytes = new Uint8Array(MIB);
    release(bytes);
    expect(bytes.length).toBe(canRelease ? 0 : MIB);
  });

  it("leaves alone what shares its memory with others, and what is small", () => {
    const pool = new Uint8Array(MIB);
    release(pool.subarray(0, MIB / 2 - 1));
    const pooled = Buffer.from("a piece of the runtime's own pool");
    release(pooled);
    expect([pool.length, String(pooled)]).toEqual([MIB, "a piece of the runtime's own pool"]);
  });
});

describe("leaving", () => {
  it("hands over all bytes in order, in pieces that stay as they are", () => {
    for (const sizeBytes of [0, 1, 65_535, 65_536, 65_537, 256 * 1024, 256 * 1024 + 1, 3 * MIB + 5]) {
      const bytes = new Uint8Array(sizeBytes).map((_, index) => index % 251);
      const before = Buffer.from(bytes);
      const pieces = [...leaving(bytes)];
      expect(Buffer.concat(pieces).equals(before)).toBe(true);
    }
  });

  it("copies a Buffer's bytes, whose slice is no copy, or hands over the Buffer itself", () => {
    const whole = Buffer.from(new Uint8Array(MIB).fill(7));
    const [first] = leaving(whole);
    expect(first?.[0]).toBe(7);
    expect(first?.length === MIB ? first === whole : first?.buffer !== whole.buffer).toBe(true);
  });
});
