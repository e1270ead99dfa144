// The guard for speed can fail: each way to lose a case, with figures that are made up.
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { cases } from "../../tools/bench/cases.mjs";
import {
  adviceOf,
  judge,
  LEAST_SAMPLES,
  leastFor,
  MOST_SIZE,
  rowsOf,
  type Sample,
  unmeasured,
  verdictOf,
} from "../../tools/bench/verdict.mjs";
import { root } from "../../tools/run.mjs";

const limit = { least: 2 };

/** A sample that read back as its input. */
const taken = (seconds: number, more: Partial<Sample> = {}): Sample => ({ seconds, digest: "a", wanted: "a", ...more });

const three = (seconds: number, more: Partial<Sample> = {}) => [1, 2, 3].map(() => taken(seconds, more));

describe("guard.json", () => {
  it("has a least ratio for each case and for nothing else", () => {
    const limits = JSON.parse(readFileSync(path.join(root, "tools/bench/guard.json"), "utf8"));
    expect(Object.keys(limits)).toEqual(Object.keys(cases));
    for (const { least } of Object.values<{ least: number }>(limits)) expect(least).toBeGreaterThan(0);
  });
});

describe("verdictOf", () => {
  it("holds a case when ratio, size and contents are within their limits", () => {
    const verdict = verdictOf("a", limit, { ours: three(1, { bytes: 105 }), peer: three(2, { bytes: 100 }) });
    expect(verdict).toMatchObject({ ratio: 2, size: 1.05, isSlow: false, lost: [] });
  });

  it("loses a case when the peer's median time divided by ours is below the least", () => {
    const ours = [taken(1), taken(1.3), taken(9)];
    const verdict = verdictOf("a", limit, { ours, peer: three(2) });
    expect(verdict).toMatchObject({ oursSeconds: 1.3, peerSeconds: 2, isSlow: true });
    expect(verdict.lost).toEqual(["ratio 1.54 is 23 % below the least, 2 (ours 1.30 s, peer 2.00 s)"]);
  });

  it.each([
    ["1.05 where the case has no limit of its own", undefined, 106],
    ["the limit of the case", 1.2, 121],
  ])("loses a case when ours is larger than the peer's by more than %s", (_, mostSize, bytes) => {
    const samples = { ours: three(1, { bytes }), peer: three(3, { bytes: 100 }) };
    const verdict = verdictOf("a", { ...limit, ...mostSize === undefined ? {} : { mostSize } }, samples);
    expect(verdict.isSlow).toBe(false);
    expect(verdict.lost).toEqual([expect.stringMatching(/^size is 1\.\d+ times the peer's, above 1\.\d+ /)]);
  });

  it("loses a case when only one side has a size", () => {
    expect(verdictOf("a", limit, { ours: three(1), peer: three(3, { bytes: 1 }) }).lost).toHaveLength(1);
    expect(verdictOf("a", limit, { ours: three(1, { bytes: 1 }), peer: three(3) }).lost).toHaveLength(1);
  });

  it.each(["ours", "peer"] as const)(
    "loses a case when %s reads back as something else, or was not read back",
    (side) => {
      for (const digest of ["b", undefined]) {
        const { digest: _, ...rest } = taken(side === "ours" ? 1 : 3);
        const samples = { ours: three(1), peer: three(3) };
        samples[side][1] = digest === undefined ? rest : { ...rest, digest };
        expect(verdictOf("a", limit, samples).lost).toEqual([
          `${side} differs from the input when it is read back, in 1 of 3 samples`,
        ]);
      }
    },
  );

  it("loses a case when neither what was read back nor the input has a digest", () => {
    const unread = [1, 2, 3].map(() => ({ seconds: 1 }));
    expect(verdictOf("a", { least: 0.1 }, { ours: unread, peer: unread }).lost).toHaveLength(2);
  });

  it("loses a case when a side has fewer than three samples", () => {
    expect(verdictOf("a", limit, { ours: three(1).slice(1), peer: three(3) }).lost).toEqual([
      `ours has 2 samples with a time: at least ${LEAST_SAMPLES} are needed`,
    ]);
    expect(verdictOf("a", limit, { ours: [], peer: [] }).lost).toHaveLength(2);
  });

  it("loses a case when a sample has no time", () => {
    for (const seconds of [0, Number.NaN]) {
      const some = [taken(1), taken(seconds), taken(1)];
      expect(verdictOf("a", limit, { ours: some, peer: three(3) }).lost).toEqual([
        expect.stringContaining("ours has 2"),
      ]);
      expect(verdictOf("a", limit, { ours: three(1), peer: some }).lost).toContainEqual(
        expect.stringContaining("peer has 2"),
      );
    }
  });

  it.each([undefined, { least: 0 }, { least: Number.NaN }, { least: -1 }, { least: 1, mostSize: 0 }])(
    "throws a RangeError when the limit is %j, which nothing can be below",
    (none) => {
      expect(() => verdictOf("a", none, { ours: three(1), peer: three(3) })).toThrow(RangeError);
    },
  );
});

describe("judge", () => {
  /** Judges by times that are taken from lists. */
  async function judged(times: { ours: number[]; peer: number[] }, rounds = 3) {
    const order: string[] = [];
    const lines: string[] = [];
    const verdict = await judge(
      { name: "a", labels: { ours: "one", peer: "other" }, limit, rounds },
      async (side) => {
        order.push(side);
        return taken(times[side].shift() ?? Number.NaN);
      },
      (line) => lines.push(line),
    );
    return { verdict, order, output: lines.join("\n") };
  }

  it("alternates ours and the peer when it takes samples", async () => {
    const { order } = await judged({ ours: [1, 1, 1], peer: [3, 3, 3] });
    expect(order).toEqual(["ours", "peer", "peer", "ours", "ours", "peer"]);
  });

  it("measures once again with twice the rounds when a ratio is below its least, and says so", async () => {
    const { verdict, order, output } = await judged({
      ours: [5, 5, 5, 1, 1, 1, 1, 1, 1],
      peer: [3, 3, 3, 3, 3, 3, 3, 3, 3],
    });
    expect(verdict).toMatchObject({ ratio: 3, lost: [] });
    expect(order).toHaveLength(18);
    expect(output).toContain("ratio 0.60 is below 2: measured again with 6 more rounds");
  });

  it("loses a case when the medians of all its samples are below the least", async () => {
    const { verdict, order } = await judged({
      ours: [5, 5, 5, 5, 5, 5, 1, 1, 1],
      peer: [3, 3, 3, 3, 3, 3, 3, 3, 3],
    });
    expect(verdict.lost).toHaveLength(1);
    expect(order).toHaveLength(18);
  });

  it("rejects without a sample when the case has no limit", async () => {
    const sample = () => Promise.reject(new Error("measured"));
    const about = { name: "a", labels: { ours: "one", peer: "other" }, limit: undefined, rounds: 3 };
    await expect(judge(about, sample, () => {})).rejects.toThrow(RangeError);
  });
});

describe("adviceOf", () => {
  const held = verdictOf("held", limit, { ours: three(1), peer: three(2) });
  const slow = verdictOf("slow", limit, { ours: three(1), peer: three(1.5) });

  it("names each case that was lost, by how much, and what to do", () => {
    const advice = adviceOf([held, slow, unmeasured("broken", "no tar")]).join("\n");
    expect(advice).toContain("LOST slow: ratio 1.50 is 25 % below the least, 2 (ours 1.00 s, peer 1.50 s)");
    expect(advice).toContain("LOST broken: could not be measured: no tar");
    expect(advice).toContain("--only <case> --rounds 9");
    expect(advice).toContain("docs/decisions.md");
    expect(advice).not.toContain("held:");
  });

  it("is empty when all cases are held closely", () => {
    expect(adviceOf([held])).toEqual([]);
  });

  it("names the cases whose least is to be raised, and those larger than the general limit", () => {
    const fast = verdictOf("fast", limit, { ours: three(1), peer: three(4) });
    const large = verdictOf("large", { least: 2, mostSize: 1.2 }, {
      ours: three(1, { bytes: 110 }),
      peer: three(2, { bytes: 100 }),
    });
    const advice = adviceOf([fast, large]);
    expect(advice).toEqual([
      expect.stringMatching(/^LARGE large: size is 1\.100 .* above 1\.05$/),
      expect.stringMatching(/^RAISE fast: ratio 4\.00 is far above the least, 2;.*--only fast --rounds 9 --calibrate/),
    ]);
    expect(MOST_SIZE).toBe(1.05);
  });
});

describe("leastFor", () => {
  it("is a tenth below the ratio that was measured, so that the same ratio is held", () => {
    expect(leastFor(1.87)).toBe(1.68);
    expect(leastFor(20)).toBe(18);
  });
});

describe("rowsOf", () => {
  it("has a row for each case, with its verdict", () => {
    const slow = verdictOf("slow", limit, { ours: three(1, { bytes: 1 }), peer: three(1.5, { bytes: 1 }) });
    expect(rowsOf([slow, unmeasured("broken", "no tar")]).slice(1)).toEqual([
      ["slow", "1.00 s", "1.50 s", "1.50", "2", "1.000", "1.05", "LOST"],
      ["broken", "", "", "", "", "", "", "LOST"],
    ]);
  });
});
