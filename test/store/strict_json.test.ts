// JSON that does not lie: what is accepted comes back as it was, the rest is refused with its place.
import { Buffer } from "node:buffer";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { memoryBackend, StateStore, type StateWriter } from "snapkeep";
import { describe, expect, it } from "vitest";
import { stringifyStrictly } from "../../src/store/strict_json.ts";

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
    const spoken = { toJSON: () => ({ x: [1] }) };
    expect(stringifyStrictly({ a: undefined, b: spoken, c: -0 })).toBe('{"b":{"x":[1]},"c":0}');
  });

  it("lets classes speak whose toJSON is their program's, inherited or over a built-in one", () => {
    class Speaking {
      toJSON(): unknown {
        return { ...this };
      }
    }
    class Player extends Speaking {
      score = 1;
    }
    class Day extends Date {
      override toJSON(): string {
        return "today";
      }
    }
    class Stack extends Array<number> {
      toJSON(): unknown {
        return [...this];
      }
    }
    const value = {
      player: new Player(),
      day: new Day(0),
      stack: Stack.from([1, 2]),
      own: Object.assign(new Hidden(), { toJSON: () => 3 }),
    };
    expect(stringifyStrictly(value)).toBe('{"player":{"score":1},"day":"today","stack":[1,2],"own":3}');
  });

  it("accepts plain objects and arrays of another realm, and without a prototype", () => {
    const foreign: unknown = runInNewContext('({ a: [1, { b: "c" }], d: {} })');
    expect(stringifyStrictly(foreign)).toBe('{"a":[1,{"b":"c"}],"d":{}}');
    const bare = Object.assign(Object.create(null), { x: 1 });
    expect(stringifyStrictly([bare])).toBe('[{"x":1}]');
  });

  it("does not look at what every object inherits when a library extends Object.prototype", () => {
    Object.defineProperty(Object.prototype, "extended", { value: () => {}, enumerable: true, configurable: true });
    let text: string;
    try {
      text = stringifyStrictly({ a: [{ b: 1 }] });
    } finally {
      Reflect.deleteProperty(Object.prototype, "extended");
    }
    expect(text).toBe('{"a":[{"b":1}]}');
  });

  it("writes what JSON.stringify makes of it with asJson, but never nothing", () => {
    const value = { when: new Date(0), m: new Map(), loss: NaN, hidden: new Hidden() };
    expect(stringifyStrictly(value, { asJson: true })).toBe(JSON.stringify(value));
    for (const nothing of [undefined, () => {}, Symbol("x"), { toJSON: () => undefined }]) {
      expect(() => stringifyStrictly(nothing, { asJson: true })).toThrow(/write null instead/);
    }
    expect(() => stringifyStrictly({ n: 1n }, { asJson: true })).toThrow(TypeError);
  });

  it("finds a named property and a symbol however long the array is", () => {
    const long = (length: number) => Array.from({ length }, (_, index) => index);
    for (const length of [0, 1, 100, 101, 200_000]) {
      expect(() => stringifyStrictly({ list: Object.assign(long(length), { best: 1 }) })).toThrow(/"best" at \$\.list/);
      expect(() => stringifyStrictly(Object.assign(long(length), { [Symbol("tag")]: 1 }))).toThrow(/Symbol\(tag\)/);
      expect(JSON.parse(stringifyStrictly(long(length)))).toHaveLength(length);
    }
  });

  it("accepts symbols that cannot be enumerated, as frameworks add them", () => {
    const marked = Object.defineProperty({ a: 1 }, Symbol("mark"), { value: 1 });
    expect(stringifyStrictly([marked])).toBe('[{"a":1}]');
  });

  it("refuses a match of a RegExp though it is the last of very many values", () => {
    const many: unknown[] = Array.from({ length: 100_000 }, (_, index) => [index]);
    many.push(/(?<word>a)/.exec("a"));
    expect(() => stringifyStrictly(many)).toThrow(/a match of a RegExp at \$\[100000\]/);
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
    ["an ArrayBuffer", { a: new ArrayBuffer(1) }, "an ArrayBuffer", "$.a"],
    ["a RegExp", { r: /x/ }, "a RegExp", "$.r"],
    ["a Promise", [Promise.resolve()], "a Promise", "$[0]"],
    ["an Error", { e: new RangeError("x") }, "a RangeError", "$.e"],
    ["an invalid Date", { d: [new Date(NaN)] }, "a Date", "$.d[0]"],
    ["a Date", { d: [new Date(0)] }, "a Date", "$.d[0]"],
    ["a Date of another realm", { d: runInNewContext("new Date(0)") }, "a Date", "$.d"],
    ["a class that extends Date", [new (class Day extends Date {})(0)], "a Day", "$[0]"],
    ["a Date that a toJSON gives", { t: { toJSON: () => new Date(0) } }, "a Date", "$.t"],
    ["a URL", { home: new URL("https://example.org") }, "a URL", "$.home"],
    ["search parameters", { query: new URLSearchParams("a=1") }, "a URLSearchParams", "$.query"],
    ["a match", { m: /a/.exec("a") }, "a match of a RegExp", "$.m"],
    ["matches", [[..."aa".matchAll(/a/g)]], "a match of a RegExp", "$[0][0]"],
    ["an array with a named property", { a: Object.assign([1], { best: 2 }) }, 'the named property "best"', "$.a"],
    ["a subclass of Array", { s: new (class Stack extends Array {})() }, "a Stack", "$.s"],
    [
      "an instance of a class",
      {
        p: [
          new (class Player {
            score = 1;
          })(),
        ],
      },
      "a Player",
      "$.p[0]",
    ],
    ["an object that inherits", { o: Object.create({ a: 1 }) }, "an object that inherits from another one", "$.o"],
    ["a key that is a symbol", { o: { [Symbol("tag")]: 1 } }, "an object with the key Symbol(tag)", "$.o"],
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

  it.each<[string, unknown, boolean]>([["a Map", { m: new Map() }, false], ["a bigint as JSON", 1n, true]])(
    "names the entry that is to hold %s",
    async (_what, value, asJson) => {
      const state = { saveState: (out: StateWriter) => out.json("deep/x.json", value, { asJson }), loadState() {} };
      const saved = new StateStore(memoryBackend()).register("a", state).saveState();
      await expect(saved).rejects.toThrow(/^Cannot save the state "a": Cannot write "deep\/x\.json": /);
    },
  );

  it("names the right place after it has been elsewhere", () => {
    expect(() => stringifyStrictly({ a: { b: [1, { c: 2 }] }, d: [0, [1, NaN]] })).toThrow("$.d[1][1]");
  });
});
