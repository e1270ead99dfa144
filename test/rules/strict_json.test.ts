// JSON that does not lie: what is accepted comes back as it was, the rest is refused with its place.
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stringifyStrictly } from "../../src/rules/strict_json.ts";

/** What JSON is known to leave out or change, as documented: undefined properties, -0. */
function asDocumented(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(asDocumented);
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).filter(([, member]) => member !== undefined);
    return Object.fromEntries(members.map(([key, member]) => [key, asDocumented(member)]));
  }
  return Object.is(value, -0) ? 0 : value;
}

class Hidden {
  readonly #weights = [1, 2];

  sum(): number {
    return this.#weights.reduce((sum, weight) => sum + weight, 0);
  }
}

describe("stringifyStrictly", () => {
  it("writes every JSON value as JSON.stringify does, and it comes back", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        const text = stringifyStrictly(value);
        expect(text).toBe(JSON.stringify(value));
        expect(JSON.parse(text)).toEqual(asDocumented(value));
      }),
      { numRuns: 300 },
    );
  });

  it("accepts of all values only those that come back as they were", () => {
    const anything = fc.anything({
      withBigInt: true,
      withBoxedValues: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withSparseArray: true,
      withNullPrototype: true,
      maxDepth: 3,
    });
    let accepted = 0;
    fc.assert(
      fc.property(anything, (value) => {
        let text: string;
        try {
          text = stringifyStrictly(value);
        } catch (error) {
          expect(error).toBeInstanceOf(TypeError);
          return;
        }
        accepted++;
        expect(JSON.parse(text)).toEqual(asDocumented(value));
      }),
      { numRuns: 2000 },
    );
    expect(accepted).toBeGreaterThan(100);
  });

  it("keeps keys that mean something to JavaScript", () => {
    const value = JSON.parse('{"__proto__":{"a":1},"constructor":2,"toString":3}');
    expect(JSON.parse(stringifyStrictly(value))).toEqual(value);
    expect(stringifyStrictly(value)).toContain('"__proto__":{"a":1}');
  });

  it("leaves out properties that are undefined, lets toJSON speak, and writes -0 as 0", () => {
    expect(stringifyStrictly({ a: undefined, b: new Date(0), c: -0 })).toBe('{"b":"1970-01-01T00:00:00.000Z","c":0}');
  });

  it("lets a toJSON give its own object, or one with another toJSON, which JSON does not ask", () => {
    class Own {
      a = 1;

      toJSON(): unknown {
        return this;
      }
    }
    expect(stringifyStrictly([new Own(), { toJSON: () => new Own() }])).toBe('[{"a":1},{"a":1}]');
  });

  const cyclic: Record<string, unknown> = { name: "root" };
  cyclic["self"] = cyclic;
  const cyclicArray: unknown[] = [];
  cyclicArray.push({ again: cyclicArray });
  const nested = (depth: number): unknown => {
    let value: unknown = NaN;
    for (let index = 0; index < depth; index++) value = { a: value };
    return value;
  };

  it.each<[string, unknown, string, string]>([
    ["NaN", { loss: [1, NaN] }, "NaN", "$.loss[1]"],
    ["Infinity", { a: { b: Infinity } }, "Infinity", "$.a.b"],
    ["minus infinity", [-Infinity], "-Infinity", "$[0]"],
    ["undefined as the whole", undefined, "undefined", "$ "],
    ["undefined in an array", { a: [1, undefined] }, "undefined", "$.a[1]"],
    // oxlint-disable-next-line no-sparse-arrays
    ["a hole in an array", [1, , 2], "undefined", "$[1]"],
    ["a function", { run: () => {} }, "a function", "$.run"],
    ["a symbol", [Symbol("x")], "a symbol", "$[0]"],
    ["a bigint", { n: 5n }, "a bigint", "$.n"],
    ["a Map", { m: new Map() }, "a Map", "$.m"],
    ["a Set", [new Set()], "a Set", "$[0]"],
    ["a WeakMap", new WeakMap(), "a WeakMap", "$"],
    ["a typed array", { w: { x: new Float32Array(1) } }, "a Float32Array", "$.w.x"],
    ["bytes", new Uint8Array(1), "a Uint8Array", "$"],
    ["Node's Buffer, though it has a toJSON", { b: Buffer.from("x") }, "a Buffer", "$.b"],
    ["an ArrayBuffer", { a: new ArrayBuffer(1) }, "a ArrayBuffer", "$.a"],
    ["a RegExp", { r: /x/ }, "a RegExp", "$.r"],
    ["a Promise", [Promise.resolve()], "a Promise", "$[0]"],
    ["an Error", { e: new RangeError("x") }, "a RangeError", "$.e"],
    ["an invalid Date, which would become null", { d: [new Date(NaN)] }, "an invalid Date", "$.d[0]"],
    ["a Map that a toJSON gives", { m: { toJSON: () => ({ x: new Map() }) } }, "a Map", "$.m.x"],
    ["a NaN that a toJSON gives", [{ toJSON: () => NaN }], "NaN", "$[0]"],
    ["an object of which JSON sees nothing", { s: new Hidden() }, "a Hidden", "$.s"],
    ["a weak reference", [new WeakRef({})], "a WeakRef", "$[0]"],
    ["shared memory", [new SharedArrayBuffer(1)], "a SharedArrayBuffer", "$[0]"],
    ["a boxed number, which may hide a NaN", { n: Object(NaN) }, "a Number", "$.n"],
  ])("refuses %s and names the place", (_, value, what, place) => {
    let thrown: unknown;
    try {
      stringifyStrictly(value);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(TypeError);
    expect(`${(thrown as Error).message} `).toContain(`${what} at ${place}`);
  });

  it.each<[string, unknown, string]>([
    ["an object that holds itself", cyclic, "$.self.self"],
    ["an array that holds itself", { list: cyclicArray }, "$.list[0].again[0]"],
    ["a value nested too deeply", nested(5000), "$.a.a"],
  ])("refuses %s with the begin of its place, without running out of stack", (_, value, place) => {
    expect(() => stringifyStrictly(value)).toThrow(TypeError);
    expect(() => stringifyStrictly(value)).toThrow(place);
  });

  it("accepts what is nested a thousand times, and the same value in two places", () => {
    let deep: unknown = 1;
    for (let index = 0; index < 1000; index++) deep = [deep];
    const shared = { a: 1 };
    expect(JSON.parse(stringifyStrictly({ deep, one: shared, two: shared }))).toEqual({
      deep,
      one: { a: 1 },
      two: { a: 1 },
    });
  });

  it("refuses a toJSON that says nothing, instead of writing no text at all", () => {
    expect(() => stringifyStrictly({ toJSON: () => undefined })).toThrow(TypeError);
  });

  it("names the right place after it has been elsewhere", () => {
    expect(() => stringifyStrictly({ a: { b: [1, { c: 2 }] }, d: [0, [1, NaN]] })).toThrow("$.d[1][1]");
  });
});
