// Where two JSON values differ.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { jsonChanges } from "../../src/snapshot/json_changes.ts";
import type { JsonValue } from "../../src/model/snapshot.ts";

const parsed = (text: string) => JSON.parse(text) as JsonValue;

describe("jsonChanges", () => {
  it("returns each place with both values", () => {
    const before = parsed('{"step":1,"gone":true,"layers":[{"bias":0},{"bias":1}],"odd key":null}');
    const after = parsed('{"step":2,"layers":[{"bias":0},{"bias":2},3],"odd key":{}}');
    expect(jsonChanges(before, after)).toEqual({
      changes: [
        { path: "$.step", change: "changed", before: 1, after: 2 },
        { path: "$.layers[1].bias", change: "changed", before: 1, after: 2 },
        { path: "$.layers[2]", change: "added", after: 3 },
        { path: '$["odd key"]', change: "changed", before: null, after: {} },
        { path: "$.gone", change: "removed", before: true },
      ],
      more: 0,
    });
  });

  it("sees keys that every object inherits", () => {
    const changes = (a: string, b: string) =>
      jsonChanges(parsed(a), parsed(b)).changes.map(({ path, change }) => `${change} ${path}`);
    expect(changes('{"toString":1}', "{}")).toEqual(["removed $.toString"]);
    expect(changes("{}", '{"constructor":1}')).toEqual(["added $.constructor"]);
    expect(changes('{"__proto__":{"a":1}}', '{"__proto__":{"a":2}}')).toEqual(["changed $.__proto__.a"]);
  });

  it("compares arrays with objects, and values with containers, as a whole", () => {
    expect(jsonChanges([1], parsed('{"0":1}')).changes).toEqual([{
      path: "$",
      change: "changed",
      before: [1],
      after: { 0: 1 },
    }]);
    expect(jsonChanges(1, [1]).changes.length).toBe(1);
  });

  it("counts what is beyond the most", () => {
    const { changes, more } = jsonChanges([1, 2, 3, 4], [5, 6, 7, 8], 3);
    expect([changes.length, more]).toEqual([3, 1]);
  });

  it("compares values of any depth", () => {
    const nested = (value: number) => {
      let outer: JsonValue = value;
      for (let depth = 0; depth < 100_000; depth++) outer = [outer];
      return outer;
    };
    expect(jsonChanges(nested(1), nested(2)).changes.map(({ before, after }) => [before, after])).toEqual([[1, 2]]);
  });

  it("finds nothing exactly where the values are equal", () => {
    fc.assert(fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
      const [one, other] = [JSON.stringify(a), JSON.stringify(b)];
      expect(jsonChanges(parsed(one), parsed(one)).changes).toEqual([]);
      const isEqual = sorted(parsed(one)) === sorted(parsed(other));
      expect(jsonChanges(parsed(one), parsed(other)).changes.length === 0).toBe(isEqual);
    }));
  });
});

/** A value as text that does not depend on the order of keys. */
function sorted(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(sorted).join()}]`;
  if (typeof value !== "object" || value === null) return Object.is(value, -0) ? "-0" : JSON.stringify(value);
  const entries = Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1);
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${sorted(inner as JsonValue)}`).join()}}`;
}
