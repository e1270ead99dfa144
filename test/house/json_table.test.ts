// The guide's table of what out.json refuses, read and tried: each value is refused, and what it says to write is not.
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { root } from "../../tools/run.mjs";
import { stringifyStrictly } from "../../src/store/strict_json.ts";

const guide = readFileSync(path.join(root, "docs/guide/write_a_state.md"), "utf8");
const section = guide.split("## What JSON cannot carry")[1]?.split("\n## ")[0] ?? "";
const rows = [...section.matchAll(/^\| (`.+) \| (.+) \|$/gm)].map(([, refused, instead]) => ({
  refused: codeIn(refused as string).filter((text) => text !== "toJSON"),
  instead: codeIn(instead as string).filter((text) => text !== "out.write"),
}));

function codeIn(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code as string);
}

/** The value of an expression, in which `value` stands for another one. */
function valueOf(expression: string, value?: unknown): unknown {
  // oxlint-disable-next-line typescript/no-implied-eval -- of this repository's own guide
  return new Function("value", `return (${expression});`)(value);
}

describe("the guide's table of what out.json refuses", () => {
  it("is found", () => {
    expect(rows.length).toBeGreaterThan(15);
  });

  it.each(rows.flatMap(({ refused, instead }) => refused.map((expression) => [expression, instead] as const)))(
    "is true of %s",
    (expression, instead) => {
      const value = valueOf(expression);
      for (const given of [value, { deep: [value] }]) {
        expect(() => stringifyStrictly(given)).toThrow(
          /^Cannot write JSON: .* at \$.* would not come back as it was; .+/,
        );
      }
      for (const replacement of instead) {
        const written = valueOf(replacement, value);
        expect(JSON.parse(stringifyStrictly(written))).toEqual(written);
      }
    },
  );
});
