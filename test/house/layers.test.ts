// The layers of the design, read from the sources, and proof that the reader sees each kind of breach.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { root } from "../../tools/run.mjs";
import { breaches, packages, type Tree } from "./layers.ts";

function sources(): Tree {
  const names = readdirSync(path.join(root, "src"), { recursive: true })
    .map((name) => `src/${String(name).split(path.sep).join("/")}`)
    .filter((name) => name.endsWith(".ts"));
  return new Map(["mod.ts", ...names].sort().map((name) => [name, readFileSync(path.join(root, name), "utf8")]));
}

/** A tree of files which each open with a comment. */
function tree(files: Record<string, string>): Tree {
  return new Map(Object.entries(files).map(([name, text]) => [name, `// Says why.\n${text}`]));
}

const ends = { "src/words/a.ts": "", "src/rules/a.ts": "", "src/layout/a.ts": "", "src/archive/a.ts": "" };

describe("the sources", () => {
  it("keep the laws of the house", () => {
    expect(breaches(sources())).toEqual([]);
  });

  it("import only packages that are declared, and all of those", () => {
    const { dependencies } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
    const used = packages(sources());
    expect(used.filter((name) => !(name in dependencies))).toEqual([]);
    expect(Object.keys(dependencies).filter((name) => !used.includes(name))).toEqual([]);
  });

  it("are where the reader looks", () => {
    expect(existsSync(path.join(root, "mod.ts"))).toBe(true);
    expect(sources().size).toBeGreaterThan(5);
  });
});

describe("the reader of layers", () => {
  it("accepts imports downwards, inside a folder, and from layout to archive", () => {
    expect(breaches(tree({
      ...ends,
      "src/layout/b.ts": 'import "./a.ts"; import "../archive/a.ts"; import type { A } from "../words/a.ts";',
      "src/store/a.ts": 'export { b } from "../layout/b.ts"; import fs from "node:fs";',
      "mod.ts": 'export { a } from "./src/store/a.ts";',
    }))).toEqual([]);
  });

  it.each([
    ["a higher floor", { "src/words/b.ts": 'import "../rules/a.ts";' }, /words\/b.*from a higher floor/],
    ["a type from a higher floor", { "src/words/b.ts": 'import type { A } from "../rules/a.ts";' }, /higher floor/],
    ["a higher floor in a type", { "src/words/b.ts": 'let a: import("../rules/a.ts").A;' }, /higher floor/],
    ["a higher floor when running", { "src/words/b.ts": 'await import("../rules/a.ts");' }, /higher floor/],
    ["a higher floor by re-export", { "src/words/b.ts": 'export * from "../rules/a.ts";' }, /higher floor/],
    ["a layout from a backend", { "src/backend/b.ts": 'import "../layout/a.ts";' }, /another folder of its floor/],
    ["a backend from a layout", { "src/backend/b.ts": "", "src/layout/b.ts": 'import "../backend/b.ts";' }, /another/],
    ["a layout from archive", { "src/archive/b.ts": 'import "../layout/a.ts";' }, /another folder of its floor/],
    ["an edge", { "mod.ts": "", "src/testing/mod.ts": 'import "../../mod.ts";' }, /nobody imports the edges/],
    ["a file that is not there", { "src/words/b.ts": 'import "./gone.ts";' }, /no file of the sources/],
    ["a file without its ending", { "src/words/b.ts": 'import "./a";' }, /no file of the sources/],
    ["one by absolute path", { "src/words/b.ts": 'import "/src/words/a.ts";' }, /absolute path/],
  ])("sees an import of %s", (_, files, message) => {
    expect(breaches(tree({ ...ends, ...files }))).toEqual([expect.stringMatching(message)]);
  });

  it("sees a cycle", () => {
    const files = {
      "src/words/a.ts": 'import "./b.ts";',
      "src/words/b.ts": 'import "./c.ts";',
      "src/words/c.ts": 'import type { A } from "./a.ts";',
    };
    expect(breaches(tree(files))).toEqual([
      "import cycle: src/words/a.ts -> src/words/b.ts -> src/words/c.ts -> src/words/a.ts",
    ]);
  });

  it("sees a package with two importers, types and subpaths included", () => {
    const files = {
      "src/words/a.ts": 'import { z } from "zod"; import "node:fs";',
      "src/words/b.ts": 'import type { z } from "zod/mini"; import "node:fs";',
      "src/rules/a.ts": 'import "node:zlib"; import "@logtape/logtape";',
      "src/rules/b.ts": 'import { gzip } from "node:zlib";',
    };
    expect(breaches(tree(files))).toEqual([
      "zod is imported by more than one file: src/words/a.ts, src/words/b.ts",
      "node:zlib is imported by more than one file: src/rules/a.ts, src/rules/b.ts",
    ]);
    expect(packages(tree(files))).toEqual(["@logtape/logtape", "zod"]);
  });

  it.each([
    ["a folder named by kind", "src/store/utils/a.ts", "", /folder is named "utils"/],
    ["a name that is not snake_case", "src/store/stateStore.ts", "", /not in snake_case/],
    ["a file outside of the floors", "src/stray.ts", "", /lies on no floor/],
    ["a default export", "src/store/a.ts", "export default 1;", /default export/],
    ["a default function", "src/store/a.ts", "export default function a() {}", /default export/],
    ["a renamed default", "src/store/a.ts", "const a = 1; export { a as default };", /default export/],
  ])("sees %s", (_, name, text, message) => {
    expect(breaches(tree({ [name]: text }))).toEqual([expect.stringMatching(message)]);
  });

  it("sees a file that does not open with a comment", () => {
    expect(breaches(new Map([["src/words/a.ts", "export const a = 1; // one"]]))).toEqual([
      "src/words/a.ts: does not open with a comment",
    ]);
  });
});
