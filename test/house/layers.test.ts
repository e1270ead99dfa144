// The layers of the design, read from the sources, and proof that the reader sees each kind of breach.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { root } from "../../tools/run.mjs";
import { runtime } from "../torture/budget.ts";
import { breaches, loadedWith, packages, type Tree } from "./layers.ts";

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

const ends = { "src/model/a.ts": "", "src/runtime/a.ts": "", "src/layout/a.ts": "", "src/archive/a.ts": "" };

describe.skipIf(runtime !== "node")("the sources", () => {
  it("keep the laws of the house", () => {
    expect(breaches(sources())).toEqual([]);
  });

  it("import only packages that are declared, and all of those", () => {
    const manifest = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
    const dependencies = { ...manifest.dependencies, ...manifest.peerDependencies };
    const used = packages(sources());
    expect(used.filter((name) => !(name in dependencies))).toEqual([]);
    expect(Object.keys(dependencies).filter((name) => !used.includes(name))).toEqual([]);
  });

  it("load one package and no codec that is not needed when snapkeep is imported", () => {
    const loaded = loadedWith(sources(), "mod.ts");
    expect(loaded.filter((name) => !name.includes(":") && !name.endsWith(".ts"))).toEqual(["leven"]);
    expect(loaded.length).toBeGreaterThan(50);
  });

  it("have the readers where the reader of layers looks for them", () => {
    for (const name of ["snapshot/snapshot_reader", "archive/archive_reader", "backend/http_backend"]) {
      expect(loadedWith(sources(), `src/${name}.ts`).length, name).toBeGreaterThan(5);
    }
  });

  it("are where the reader looks", () => {
    expect(existsSync(path.join(root, "mod.ts"))).toBe(true);
    expect(sources().size).toBeGreaterThan(5);
  });
});

describe.skipIf(runtime !== "node")("the reader of layers", () => {
  it("accepts imports downwards, and inside a folder", () => {
    expect(breaches(tree({
      ...ends,
      "src/layout/b.ts": 'import "./a.ts"; import "../archive/a.ts"; import type { A } from "../model/a.ts";',
      "src/store/a.ts": 'export { b } from "../layout/b.ts"; import fs from "node:os";',
      "mod.ts": 'export { a } from "./src/store/a.ts";',
    }))).toEqual([]);
  });

  it.each([
    ["a higher floor", { "src/model/b.ts": 'import "../runtime/a.ts";' }, /model\/b.*from a higher floor/],
    ["a type from a higher floor", { "src/model/b.ts": 'import type { A } from "../runtime/a.ts";' }, /higher floor/],
    ["a higher floor in a type", { "src/model/b.ts": 'let a: import("../runtime/a.ts").A;' }, /higher floor/],
    ["a higher floor when running", { "src/model/b.ts": 'await import("../runtime/a.ts");' }, /higher floor/],
    ["a higher floor by re-export", { "src/model/b.ts": 'export * from "../runtime/a.ts";' }, /higher floor/],
    ["a file system from archive", { "src/file/b.ts": 'import "../archive/a.ts";' }, /another folder of its floor/],
    ["a backend from another", { "src/backend/b.ts": "", "src/file/b.ts": 'import "../backend/b.ts";' }, /another/],
    ["a layout from archive", { "src/archive/b.ts": 'import "../layout/a.ts";' }, /higher floor/],
    ["an edge", { "mod.ts": "", "src/testing/mod.ts": 'import "../../mod.ts";' }, /the edges must not be imported/],
    ["a file that is not there", { "src/model/b.ts": 'import "./gone.ts";' }, /no file of the sources/],
    ["a file without its ending", { "src/model/b.ts": 'import "./a";' }, /no file of the sources/],
    ["one by absolute path", { "src/model/b.ts": 'import "/src/model/a.ts";' }, /absolute path/],
  ])("sees an import of %s", (_, files, message) => {
    expect(breaches(tree({ ...ends, ...files }))).toEqual([expect.stringMatching(message)]);
  });

  it("sees a cycle", () => {
    const files = {
      "src/model/a.ts": 'import "./b.ts";',
      "src/model/b.ts": 'import "./c.ts";',
      "src/model/c.ts": 'import type { A } from "./a.ts";',
    };
    expect(breaches(tree(files))).toEqual([
      "import cycle: src/model/a.ts -> src/model/b.ts -> src/model/c.ts -> src/model/a.ts",
    ]);
  });

  it("sees a package with two importers, types and subpaths included", () => {
    const files = {
      "src/model/a.ts": 'import { z } from "zod"; import "node:os";',
      "src/model/b.ts": 'import type { z } from "zod/mini"; import "node:os";',
      "src/runtime/a.ts": 'import "node:zlib"; import "@logtape/logtape";',
      "src/runtime/b.ts": 'import { gzip } from "node:zlib";',
    };
    expect(breaches(tree(files))).toEqual([
      "zod is imported by more than one file: src/model/a.ts, src/model/b.ts",
      "node:zlib is imported by more than one file: src/runtime/a.ts, src/runtime/b.ts",
    ]);
    expect(packages(tree(files))).toEqual(["@logtape/logtape", "zod"]);
  });

  it.each([
    ["itself", { "src/store/a.ts": 'import { open } from "node:fs/promises";' }, /only src\/file may/],
    [
      "through a reader",
      {
        "src/file/a.ts": 'import "node:fs";',
        "src/snapshot/b.ts": 'export { a } from "../file/a.ts";',
        "src/snapshot/snapshot_reader.ts": 'import type { A } from "../file/a.ts"; import { b } from "./b.ts";',
      },
      /snapshot_reader\.ts: loads (?:src\/file\/a\.ts|node:fs)/,
    ],
  ])("sees a file system that is loaded %s", (_, files, message) => {
    const found = breaches(tree(files));
    expect(found.length).toBeGreaterThan(0);
    for (const breach of found) expect(breach).toMatch(message);
  });

  it("accepts types of the file system, and what is imported while it runs", () => {
    expect(breaches(tree({
      "src/file/a.ts": 'import "node:fs";',
      "src/snapshot/snapshot_reader.ts": 'import type { A } from "../file/a.ts"; await import("../file/a.ts");',
    }))).toEqual([]);
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
    expect(breaches(new Map([["src/model/a.ts", "export const a = 1; // one"]]))).toEqual([
      "src/model/a.ts: does not open with a comment",
    ]);
  });
});
