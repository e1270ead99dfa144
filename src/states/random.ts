// Random numbers that a program can save, and random numbers that depend on nothing but their place in an order. The only file that knows
// pure-rand.
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plusFromState } from "pure-rand/generator/xoroshiro128plus";
import { show } from "../model/show.ts";
import type { PersistentState, StateReader, StateWriter } from "../model/state.ts";
import { invalidEntry, readJson, schemaOf } from "./reading.ts";

const PATH = "random.json";
const GENERATOR = "xoroshiro128plus";
const WORD = 2 ** 32;

/**
 * A seeded generator of random numbers that can be saved and restored.
 *
 * One seed gives the same numbers on every runtime and in every version of snapkeep, to the last bit. The generator is xoroshiro128+ of
 * pure-rand. It is fast and passes statistical tests, and is not for secrets.
 *
 * @example Draws go on where they were saved
 * ```ts
 * import { StateStore } from "snapkeep";
 * import { Random } from "snapkeep/states";
 *
 * const random = new Random(42);
 * const store = new StateStore("states").register("random", random);
 * await store.resume();
 * const noise = random.normal(0, 0.1);
 * const die = random.integer(1, 6);
 * const share = random.uniform();
 * await store.saveState();
 * ```
 */
export class Random implements PersistentState {
  #generator: ReturnType<typeof xoroshiro128plusFromState>;

  /**
   * Makes a generator.
   *
   * @param seed A safe integer. Different seeds give independent numbers.
   * @throws {RangeError} If the seed is not a safe integer.
   */
  constructor(seed: number) {
    assertIntegers("make a Random", { seed });
    this.#generator = generatorOf(seed);
  }

  /** Returns a number from 0 to below 1, with 53 random bits. */
  uniform(): number {
    return uniformFloat64(this.#generator);
  }

  /**
   * Returns a whole number, each with the same chance.
   *
   * @param from The smallest number; a safe integer.
   * @param to The greatest number, which is included; a safe integer.
   * @throws {RangeError} If a bound is not a safe integer, or `to` is less than `from`.
   */
  integer(from: number, to: number): number {
    assertIntegers("draw an integer", { from, to });
    if (to < from) {
      throw new RangeError(`Cannot draw an integer from ${from} to ${to}: from must not be greater than to`);
    }
    return uniformInt(this.#generator, from, to);
  }

  /**
   * Returns a normally distributed number.
   *
   * @param mean The mean.
   * @param deviation The standard deviation; not negative.
   * @throws {RangeError} If a number is not finite, or the deviation is negative.
   */
  normal(mean: number = 0, deviation: number = 1): number {
    if (!(Number.isFinite(mean) && Number.isFinite(deviation) && deviation >= 0)) {
      throw new RangeError(
        `Cannot draw a normal number with mean ${show(mean)} and deviation ${show(deviation)}: ` +
          "both must be finite, and the deviation not negative",
      );
    }
    // The polar method of Marsaglia. It needs no sine, which engines compute to different last bits.
    while (true) {
      const x = 2 * this.uniform() - 1;
      const y = 2 * this.uniform() - 1;
      const square = x * x + y * y;
      if (square > 0 && square < 1) return mean + deviation * x * Math.sqrt(-2 * logarithm(square) / square);
    }
  }

  /** Saves where the generator stands. */
  saveState(out: StateWriter): Promise<void> {
    return out.json(PATH, { generator: GENERATOR, state: this.#generator.getState() });
  }

  /** Sets the generator to where it was saved. */
  async loadState(from: StateReader): Promise<void> {
    const saved = await readJson(
      from,
      PATH,
      schemaOf((value) => value as { generator?: unknown; state?: unknown } | null),
    );
    if (saved?.generator !== GENERATOR) throw invalidEntry(from, PATH, `expected "${GENERATOR}"`, "$.generator");
    const { state } = saved;
    const isState = Array.isArray(state) && state.length === 4 && state.every((word) => word === (word | 0)) &&
      state.some((word) => word !== 0);
    if (!isState) throw invalidEntry(from, PATH, "expected four 32-bit integers that are not all 0", "$.state");
    this.#generator = xoroshiro128plusFromState(state);
  }
}

/**
 * Returns a random number that depends on its arguments only, such as for the order of a data set in one epoch.
 *
 * A program that orders by it needs no state for the order: it knows the epoch and the index. The same arguments give the same number on
 * every runtime and in every version of snapkeep.
 *
 * @param seed A safe integer.
 * @param epoch A safe integer, such as the number of the pass over the data.
 * @param index A safe integer, such as the number of the item.
 * @returns A number from 0 to below 1, with 53 random bits.
 * @throws {RangeError} If an argument is not a safe integer.
 * @example The order of an epoch
 * ```ts
 * import { randomAt } from "snapkeep/states";
 *
 * const items = ["a", "b", "c", "d"];
 * const orderOf = (epoch: number) =>
 *   items.map((item, index) => ({ item, at: randomAt(42, epoch, index) })).sort((a, b) => a.at - b.at);
 * console.log(orderOf(0), orderOf(1));
 * ```
 */
export function randomAt(seed: number, epoch: number, index: number): number {
  assertIntegers("draw a number", { seed, epoch, index });
  return uniformFloat64(generatorOf(seed, epoch, index));
}

function assertIntegers(action: string, numbers: Readonly<Record<string, number>>): void {
  for (const [name, number] of Object.entries(numbers)) {
    if (!Number.isSafeInteger(number)) {
      throw new RangeError(`Cannot ${action}: ${name} must be a safe integer, not ${show(number)}`);
    }
  }
}

/** A generator whose state depends on all bits of some integers. */
function generatorOf(...integers: readonly number[]): ReturnType<typeof xoroshiro128plusFromState> {
  let [a, b, c, d] = [0x9e3779b9, 0x243f6a88, 0xb7e15162, 0x6a09e667];
  const absorb = (word: number): void => {
    a = mixed(a ^ word);
    b = mixed(b + a);
    c = mixed(c ^ b);
    d = mixed(d + c);
  };
  for (const integer of integers) {
    absorb(integer);
    absorb(Math.floor(integer / WORD));
  }
  absorb(d);
  return xoroshiro128plusFromState([a, b, c, d]);
}

/** The finalizer of MurmurHash3: each bit of a 32-bit word changes about half of the bits. */
function mixed(word: number): number {
  let hash = word ^ word >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return hash ^ hash >>> 16;
}

/** The natural logarithm of a number between 0 and 1, by additions, products and quotients only, which are the same on every engine. */
function logarithm(value: number): number {
  let mantissa = value;
  let exponent = 0;
  for (; mantissa < Math.SQRT1_2; exponent--) mantissa *= 2;
  const quotient = (mantissa - 1) / (mantissa + 1);
  const square = quotient * quotient;
  let sum = 0;
  for (let divisor = 23; divisor >= 1; divisor -= 2) sum = sum * square + 1 / divisor;
  return exponent * Math.LN2 + 2 * quotient * sum;
}
