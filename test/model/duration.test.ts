// Durations: what is read, what is refused, and that text and length say the same.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { durationText, milliseconds } from "../../src/model/duration.ts";

describe("durations", () => {
  it.each(
    [
      ["1ms", 1],
      ["90s", 90_000],
      ["15m", 900_000],
      ["36h", 129_600_000],
      ["1d", 86_400_000],
      ["7d", 604_800_000],
      ["2w", 1_209_600_000],
      ["1d12h", 129_600_000],
      ["1h30m15s", 5_415_000],
      ["1.5h", 5_400_000],
      ["0s", 0],
      [0, 0],
      [1234, 1234],
    ] as const,
  )("%s is %d milliseconds", (text, lengthMs) => {
    expect(milliseconds(text)).toBe(lengthMs);
  });

  it.each([
    "",
    "7",
    "d",
    "7 d",
    " 7d",
    "7d ",
    "-7d",
    "+7d",
    "7D",
    "7days",
    "1M",
    "1mo",
    "1y",
    "1e3s",
    ".5h",
    "1.h",
    "P7D",
    "７d",
    `${"9".repeat(400)}d`,
    -1,
    NaN,
    Infinity,
  ])("refuses %j as a RangeError", (duration) => {
    expect(() => milliseconds(duration)).toThrow(RangeError);
  });

  it.each(
    [
      [0, "0s"],
      [1, "1ms"],
      [86_400_000, "1d"],
      [30 * 86_400_000, "30d"],
      [129_600_000, "1d12h"],
      [3_661_001, "1h1m1s1ms"],
    ] as const,
  )("writes %d milliseconds as %s", (lengthMs, text) => {
    expect(durationText(lengthMs)).toBe(text);
  });

  it("reads back what it writes, to the millisecond", () => {
    fc.assert(fc.property(fc.nat({ max: 2 ** 45 }), (lengthMs) => {
      expect(milliseconds(durationText(lengthMs))).toBe(lengthMs);
    }));
  });
});
