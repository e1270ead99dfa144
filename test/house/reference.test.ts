// The reference is what TypeDoc reads in the sources now. If it is meant to have changed: node tools/reference.mjs
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { root } from "../../tools/run.mjs";
import { amount, runtime } from "../torture/budget.ts";

const folder = path.join(root, "docs/reference");

describe("docs/reference", () => {
  // The text depends on no runtime, and reading the sources takes seconds.
  it.skipIf(runtime !== "node" || amount("package", "tests") === 0)(
    "equals the text that is generated from the docstrings",
    { timeout: 120_000 },
    async () => {
      const { reference } = await import("../../tools/reference.mjs");
      const pages = await reference();
      expect((await readdir(folder)).sort()).toEqual([...pages.keys()].sort());
      for (const [name, text] of pages) expect(await readFile(path.join(folder, name), "utf8"), name).toBe(text);
    },
  );
});
