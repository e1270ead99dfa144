// The largest parts of a snapshot, and what grew.
import fc from "fast-check";
import { largestParts } from "snapkeep";
import { describe, expect, it } from "vitest";

const digest = `sha256:${"0".repeat(64)}` as const;

function manifest(states: Record<string, Record<string, number>>) {
  return {
    states: Object.entries(states).map(([name, entries]) => ({
      name,
      version: 1,
      entries: Object.entries(entries).map(([path, sizeBytes]) => ({ path, sizeBytes, digest })),
    })),
  };
}

describe("largestParts", () => {
  it("returns states and entries, the largest first", async () => {
    const parts = await largestParts(manifest({ run: { "run.json": 5 }, model: { "a.bin": 100, "b.bin": 300 } }));
    expect(parts).toEqual({
      total: { path: "", sizeBytes: 405 },
      states: [{ path: "model", sizeBytes: 400 }, { path: "run", sizeBytes: 5 }],
      entries: [
        { path: "model/b.bin", sizeBytes: 300 },
        { path: "model/a.bin", sizeBytes: 100 },
        { path: "run/run.json", sizeBytes: 5 },
      ],
      grown: [],
    });
  });

  it("returns what grew since another snapshot, the most first", async () => {
    const since = manifest({ run: { "run.json": 5 }, model: { "a.bin": 100, "b.bin": 300 } });
    const now = manifest({ run: { "run.json": 25, "log": 1 }, model: { "a.bin": 100, "b.bin": 200 } });
    const { total, states, grown } = await largestParts(now, { since });
    expect(total).toEqual({ path: "", sizeBytes: 326, grownBytes: -79 });
    expect(states).toEqual([
      { path: "model", sizeBytes: 300, grownBytes: -100 },
      { path: "run", sizeBytes: 26, grownBytes: 21 },
    ]);
    expect(grown.map(({ path, grownBytes }) => [path, grownBytes])).toEqual([["run/run.json", 20], ["run/log", 1]]);
  });

  it("limits the entries, and refuses a count that is not a whole number", async () => {
    const one = manifest({ a: { x: 1, y: 2, z: 3 } });
    expect((await largestParts(one, { count: 2 })).entries.map(({ path }) => path)).toEqual(["a/z", "a/y"]);
    expect((await largestParts(one, { count: Infinity })).entries).toHaveLength(3);
    await expect(largestParts(one, { count: 1.5 })).rejects.toThrow(RangeError);
    await expect(largestParts(one, { count: -1 })).rejects.toThrow(RangeError);
  });

  it("adds up: the growth of all entries that stay or come, less those that went, is that of the whole", async () => {
    const states = fc.dictionary(
      fc.constantFrom("a", "b"),
      fc.dictionary(fc.constantFrom("x", "y", "z"), fc.nat(1000)),
    );
    await fc.assert(fc.asyncProperty(states, states, async (before, after) => {
      const { total, states: grownStates } = await largestParts(manifest(after), { since: manifest(before) });
      const gone = Object.entries(before).filter(([name]) => !(name in after));
      const goneBytes = gone.flatMap(([, entries]) => Object.values(entries)).reduce((sum, each) => sum + each, 0);
      const grown = grownStates.reduce((sum, { grownBytes = 0 }) => sum + grownBytes, 0);
      expect(grown - goneBytes).toBe(total.grownBytes);
    }));
  });
});
