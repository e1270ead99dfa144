// Copies must stay intact however memory is reused, and the memory must not grow.
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CapturedBytes, CaptureMemory } from "../../src/store/capture_memory.ts";

const MIB = 1024 * 1024;
const size = fc.oneof(
  fc.nat(100),
  fc.constantFrom(0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 2 * MIB + 1),
  fc.nat(3 * MIB),
);

function pattern(sizeBytes: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  for (let index = 0; index < sizeBytes; index += 997) bytes[index] = seed + index;
  if (sizeBytes > 0) bytes[sizeBytes - 1] = seed;
  return bytes;
}

function isIntact({ segments }: CapturedBytes, expected: Uint8Array): boolean {
  let offset = 0;
  for (const segment of segments) {
    if (Buffer.compare(segment, expected.subarray(offset, offset + segment.length)) !== 0) return false;
    offset += segment.length;
  }
  return offset === expected.length;
}

const buffersOf = (copies: readonly CapturedBytes[]): Set<ArrayBufferLike> =>
  new Set(copies.flatMap(({ segments }) => segments.map(({ buffer }) => buffer)));

describe("CaptureMemory", () => {
  it("copies bytes of every size, so that the original may change at once", () => {
    fc.assert(
      fc.property(fc.array(size, { maxLength: 6 }), (sizes) => {
        const memory = new CaptureMemory();
        const copies = sizes.map((sizeBytes, seed) => {
          const original = pattern(sizeBytes, seed);
          const copy = memory.copy(original);
          original.fill(255);
          return copy;
        });
        sizes.forEach((sizeBytes, seed) => {
          const copy = copies[seed];
          expect(copy !== undefined && isIntact(copy, pattern(sizeBytes, seed))).toBe(true);
        });
      }),
      { numRuns: 40 },
    );
  });

  it("never hands out memory that a copy still uses, whatever is copied, released and ended in between", () => {
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.record({ do: fc.constant("copy" as const), amount: size }) },
      { weight: 4, arbitrary: fc.record({ do: fc.constant("release" as const), amount: fc.nat() }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant("end" as const), amount: fc.constant(0) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const memory = new CaptureMemory();
        const alive: { copy: CapturedBytes; sizeBytes: number; seed: number }[] = [];
        steps.forEach(({ do: what, amount }, seed) => {
          if (what === "copy") alive.push({ copy: memory.copy(pattern(amount, seed)), sizeBytes: amount, seed });
          else if (what === "end") memory.endSave();
          else alive.splice(amount % (alive.length + 1), 1)[0]?.copy.release();
        });
        for (const { copy, sizeBytes, seed } of alive) expect(isIntact(copy, pattern(sizeBytes, seed))).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it("reuses within one save what was given back", () => {
    const memory = new CaptureMemory();
    const copies: CapturedBytes[] = [];
    for (let index = 0; index < 20; index++) {
      const copy = memory.copy(new Uint8Array(MIB));
      copies.push(copy);
      copy.release();
    }
    expect(buffersOf(copies).size).toBeLessThanOrEqual(2);
  });

  it("needs no new memory for the second save of the same size", () => {
    const memory = new CaptureMemory();
    const save = () => {
      const copies = [3 * MIB, 100, MIB / 2, 2 * MIB].map((sizeBytes) => memory.copy(new Uint8Array(sizeBytes)));
      const buffers = buffersOf(copies);
      for (const { release } of copies) release();
      memory.endSave();
      return buffers;
    };
    const first = save();
    for (let round = 0; round < 3; round++) {
      for (const buffer of save()) expect(first.has(buffer)).toBe(true);
    }
  });

  it("keeps after a save no more memory than that save needed", () => {
    const memory = new CaptureMemory();
    const save = (slabs: number) => {
      const copies = Array.from({ length: slabs }, () => memory.copy(new Uint8Array(MIB)));
      const buffers = buffersOf(copies);
      for (const { release } of copies) release();
      memory.endSave();
      return buffers;
    };
    const large = save(8);
    expect(large.size).toBe(8);
    save(2);
    expect([...save(8)].filter((buffer) => large.has(buffer)).length).toBeLessThanOrEqual(2);
  });

  it("never reuses memory that a failed save did not give back", () => {
    const memory = new CaptureMemory();
    const lost = memory.copy(pattern(2 * MIB, 7));
    memory.endSave();
    for (let round = 0; round < 3; round++) {
      const copy = memory.copy(new Uint8Array(4 * MIB).fill(9));
      copy.release();
      memory.endSave();
    }
    expect(isIntact(lost, pattern(2 * MIB, 7))).toBe(true);
  });

  it("takes a second release of the same copy for none", () => {
    const memory = new CaptureMemory();
    const first = memory.copy(new Uint8Array(10));
    const second = memory.copy(pattern(10, 3));
    first.release();
    first.release();
    first.release();
    memory.copy(new Uint8Array(2 * MIB).fill(9)); // would run into the memory of the second, were it free
    expect(isIntact(second, pattern(10, 3))).toBe(true);
  });

  it("takes nothing for no bytes", () => {
    expect(new CaptureMemory().copy(new Uint8Array()).segments).toEqual([]);
  });

  describe("when no save has needed it for a while", () => {
    /** A clock that is moved by hand. */
    function handClock() {
      let nowMs = 0;
      let timers: { atMs: number; callback: () => void }[] = [];
      return {
        now: () => nowMs,
        later(callback: () => void, delayMs: number) {
          const timer = { atMs: nowMs + delayMs, callback };
          timers.push(timer);
          return () => void (timers = timers.filter((other) => other !== timer));
        },
        pass(ms: number) {
          const endMs = nowMs + ms;
          for (let due = timers[0]; due !== undefined && due.atMs <= endMs; due = timers[0]) {
            timers.shift();
            nowMs = due.atMs;
            due.callback();
          }
          nowMs = endMs;
        },
      };
    }
    const save = (memory: CaptureMemory) => {
      memory.copy(new Uint8Array(3 * MIB)).release();
      memory.endSave();
    };

    it("gives memory back after a minute", () => {
      const clock = handClock();
      const memory = new CaptureMemory({ clock });
      save(memory);
      clock.pass(59_000);
      expect(memory.keptBytes).toBe(3 * MIB);
      clock.pass(1_000);
      expect(memory.keptBytes).toBe(0);
    });

    it("waits longer than the usual time between saves", () => {
      const clock = handClock();
      const memory = new CaptureMemory({ clock });
      for (let round = 0; round < 3; round++) {
        save(memory);
        clock.pass(5 * 60_000);
      }
      expect(memory.keptBytes).toBe(3 * MIB);
      clock.pass(5 * 60_000);
      expect(memory.keptBytes).toBe(0);
    });

    it("keeps nothing where no other save follows", () => {
      const memory = new CaptureMemory({ isReused: false });
      save(memory);
      expect(memory.keptBytes).toBe(0);
    });
  });
});
