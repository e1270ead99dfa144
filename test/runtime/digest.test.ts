// SHA-256 as the format writes it.
import fc from "fast-check";
import { expect, it } from "vitest";
import { Digester, digestOf } from "../../src/runtime/digest.ts";

it("is SHA-256, written in lower-case hex behind its name", () => {
  expect(digestOf(new Uint8Array())).toBe("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  expect(digestOf(new TextEncoder().encode("abc"))).toBe(
    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
});

it("depends on the bytes alone, not on how they come in pieces", () => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 6 }), (parts) => {
    const digester = new Digester();
    for (const part of parts) digester.update(part);
    const whole = Uint8Array.from(parts.flatMap((part) => [...part]));
    expect(digester.sizeBytes).toBe(whole.length);
    expect(digester.digest()).toBe(digestOf(whole));
  }));
});

it("looks only at the bytes of a view, not at the buffer around it", () => {
  const around = Uint8Array.of(9, 9, 97, 98, 99, 9);
  expect(digestOf(around.subarray(2, 5))).toBe(digestOf(new TextEncoder().encode("abc")));
});
