// Random numbers go on where they were saved, are the same on every runtime, and are spread as they should be.
import fc from "fast-check";
import { Random, randomAt } from "snapkeep/states";
import { stateConformance } from "snapkeep/testing";
import { describe, expect, it } from "vitest";
import { rejection } from "../store/states.ts";
import { conforms, holding, saved, storeOf } from "./kept.ts";

const draws = <T>(count: number, draw: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => draw(index));

/** Pearson's statistic of counts that should be equal; about the number of counts less one. */
function chiSquare(counts: readonly number[]): number {
  const expected = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

function histogram(numbers: readonly number[], cells: number): number[] {
  const counts = new Array<number>(cells).fill(0);
  for (const number of numbers) counts[Math.floor(number * cells)]!++;
  return counts;
}

describe("Random", () => {
  it("gives the numbers of its seed, on every runtime and in every version", () => {
    const random = new Random(42);
    expect([
      random.uniform(),
      random.integer(1, 6),
      random.normal(),
      random.normal(10, 2),
      random.integer(-(2 ** 40), 2 ** 40),
    ])
      .toMatchInlineSnapshot(`
        [
          0.6097769458210853,
          5,
          1.310424335764255,
          9.128637739558274,
          -709937430729,
        ]
      `);
    expect(draws(3, () => new Random(-1).uniform())[0]).toMatchInlineSnapshot(`0.8221380044433099`);
  });

  it("sums many normal numbers to the same last bit on every runtime", () => {
    const random = new Random(7);
    expect(draws(100_000, () => random.normal()).reduce((sum, value) => sum + value * value, 0)).toMatchInlineSnapshot(
      `100953.91645469505`,
    );
  });

  it("goes on where it was saved", async () => {
    const random = new Random(3);
    random.normal();
    const snapshot = await saved(random);
    const next = draws(20, () => [random.uniform(), random.integer(0, 9), random.normal()]);
    const other = new Random(4);
    await storeOf(other).loadState(snapshot);
    expect(draws(20, () => [other.uniform(), other.integer(0, 9), other.normal()])).toEqual(next);
  });

  it("gives different numbers for any two seeds", () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.maxSafeInteger(), (a, b) => {
        fc.pre(a !== b);
        expect(new Random(a).uniform()).not.toBe(new Random(b).uniform());
      }),
    );
    expect(new Set([0, 2 ** 32, -(2 ** 32), 1, -1, 2 ** 33].map((seed) => new Random(seed).uniform())).size).toBe(6);
  });

  it("spreads uniform numbers evenly, from 0 to below 1", () => {
    const random = new Random(1);
    const numbers = draws(100_000, () => random.uniform());
    expect(numbers.every((number) => number >= 0 && number < 1)).toBe(true);
    expect(chiSquare(histogram(numbers, 100))).toBeLessThan(170); // 99 on average, above 160 once in 10,000 seeds
  });

  it("draws both bounds of an integer, and all between them equally often", () => {
    const random = new Random(2);
    const counts = new Array<number>(6).fill(0);
    for (let draw = 0; draw < 60_000; draw++) counts[random.integer(1, 6) - 1]!++;
    expect(chiSquare(counts)).toBeLessThan(30);
    expect(random.integer(5, 5)).toBe(5);
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.maxSafeInteger(), (a, b) => {
        const [from, to] = a < b ? [a, b] : [b, a];
        const drawn = random.integer(from, to);
        expect(Number.isSafeInteger(drawn) && drawn >= from && drawn <= to).toBe(true);
      }),
    );
  });

  it("draws normal numbers with their mean, deviation and tails", () => {
    const random = new Random(5);
    const numbers = draws(200_000, () => random.normal(3, 2));
    const mean = numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
    const variance = numbers.reduce((sum, value) => sum + (value - mean) ** 2, 0) / numbers.length;
    const beyond = (deviations: number) =>
      numbers.filter((value) => Math.abs(value - 3) > 2 * deviations).length / numbers.length;
    expect(mean).toBeCloseTo(3, 1);
    expect(Math.sqrt(variance)).toBeCloseTo(2, 1);
    expect([beyond(1), beyond(2), beyond(3)]).toEqual([
      expect.closeTo(0.3173, 2),
      expect.closeTo(0.0455, 2),
      expect.closeTo(0.0027, 3),
    ]);
    expect(random.normal(4, 0)).toBe(4);
  });

  it.each([
    ["another generator", '{"generator":"mersenne","state":[1,2,3,4]}'],
    ["too few words", '{"generator":"xoroshiro128plus","state":[1,2,3]}'],
    ["words of zeros", '{"generator":"xoroshiro128plus","state":[0,0,0,0]}'],
    ["words that are too long", '{"generator":"xoroshiro128plus","state":[1,2,3,4294967296]}'],
    ["text for words", '{"generator":"xoroshiro128plus","state":["1",2,3,4]}'],
    ["null", "null"],
  ])("changes nothing when it loads %s", async (_, text) => {
    const random = new Random(1);
    const load = storeOf(random).loadState(await holding({ "random.json": text }));
    expect(await rejection(load)).toMatchObject({ cause: { code: "ENTRY_INVALID" } });
    expect(random.uniform()).toBe(new Random(1).uniform());
  });

  conforms(stateConformance(() => new Random(1), (random) => random.uniform()), it);

  it.each([NaN, Infinity, 0.5, 2 ** 53, "1" as never, undefined as never])("refuses %s as a seed or bound", (value) => {
    expect(() => new Random(value)).toThrow(RangeError);
    expect(() => new Random(1).integer(0, value)).toThrow(RangeError);
    expect(() => randomAt(1, value, 0)).toThrow(RangeError);
  });

  it("refuses bounds in the wrong order, and a deviation that is none", () => {
    expect(() => new Random(1).integer(2, 1)).toThrow(/from must not be greater/);
    expect(() => new Random(1).normal(0, -1)).toThrow(RangeError);
    expect(() => new Random(1).normal(NaN)).toThrow(RangeError);
  });
});

describe("randomAt", () => {
  it("gives the same number for the same place, on every runtime and in every version", () => {
    expect([randomAt(1, 2, 3), randomAt(0, 0, 0), randomAt(-1, 2 ** 40, 7)]).toMatchInlineSnapshot(`
      [
        0.45897066876831505,
        0.32031317215711774,
        0.6053502550452673,
      ]
    `);
  });

  it("is a different number wherever one of its arguments differs", () => {
    const found = new Set<number>();
    for (let seed = -3; seed < 3; seed++) {
      for (let epoch = 0; epoch < 30; epoch++) {
        for (let index = 0; index < 30; index++) found.add(randomAt(seed, epoch, index));
      }
    }
    expect(found.size).toBe(6 * 30 * 30);
    expect(randomAt(1, 2, 3)).not.toBe(randomAt(1, 3, 2));
    expect(randomAt(0, 0, 2 ** 32)).not.toBe(randomAt(0, 0, 0));
  });

  it.each<[string, (n: number) => number]>([
    ["index", (n) => randomAt(1, 0, n)],
    ["epoch", (n) => randomAt(1, n, 0)],
    ["seed", (n) => randomAt(n, 0, 0)],
  ])("spreads evenly over its %s, also in pairs of neighbours", (_, at) => {
    const numbers = draws(90_000, at);
    expect(chiSquare(histogram(numbers, 100))).toBeLessThan(170);
    const pairs = draws(90_000 - 1, (n) => (Math.floor(at(n) * 10) + at(n + 1)) / 10);
    expect(chiSquare(histogram(pairs, 100))).toBeLessThan(170);
  });
});
