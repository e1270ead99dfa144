// What the documentation shows must run: every ```ts block in docstrings, README.md and docs/ is executed.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { isBuiltin } from "node:module";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { examples, extract, sources, unfold } from "../../tools/examples.mjs";
import { root, scratch } from "../../tools/run.mjs";

const all = examples();
// The runtimes run one after the other, but a developer may run two at a time.
const folder = path.join(scratch, "examples", `${process.env["SNAPKEEP_RUNTIME"] ?? "node"}_${process.pid}`);

describe("documentation", () => {
  let cwd: string;

  beforeEach(async () => {
    cwd = process.cwd();
    process.chdir(await mkdtemp(path.join(os.tmpdir(), "snapkeep-example-")));
  });

  afterEach(async () => {
    const temporary = process.cwd();
    process.chdir(cwd);
    await rm(temporary, { recursive: true, force: true });
    await rm(folder, { recursive: true, force: true });
  });

  for (const example of all.filter(({ ignored }) => !ignored)) {
    const { file, line, needs } = example;
    const condition = needs === undefined ? "" : `, if the runtime has ${needs}`;
    it.skipIf(needs !== undefined && !isBuiltin(needs))(`runs the example at ${file}:${line}${condition}`, async () => {
      await import(/* @vite-ignore */ await unfold(example, folder));
    });
  }

  it("has an example for every @example tag, and no fence that is missed", async () => {
    const lost: string[] = [];
    for (const file of sources()) {
      const text = await readFile(path.join(root, file), "utf8");
      const found = all.filter((example) => example.file === file).length;
      const fences = text.match(/^[\s*]*```+(ts|typescript)\b/gm)?.length ?? 0;
      const tags = file.endsWith(".ts") ? text.match(/^\s*\* @example\b/gm)?.length ?? 0 : 0;
      if (found !== fences) lost.push(`${file}: ${fences} fences, ${found} examples found`);
      if (found < tags) lost.push(`${file}: ${tags} @example tags, ${found} examples found`);
    }
    expect(lost).toEqual([]);
  });

  it("shows code in README.md, and most of all code that runs", () => {
    const readme = all.filter(({ file }) => file === "README.md");
    expect(readme.filter(({ ignored }) => !ignored).length).toBeGreaterThan(readme.length / 2);
  });

  it("ignores no example in the sources", () => {
    expect(all.filter(({ file, ignored }) => ignored && !file.endsWith(".md"))).toEqual([]);
  });
});

describe("extract", () => {
  it("finds blocks in doc comments only", () => {
    const text = [
      "/**",
      " * Adds.",
      " *",
      " * @example Two numbers",
      " * ```ts",
      ' * import { add } from "snapkeep";',
      " * if (add(1, 1) !== 2) {",
      ' *   throw new Error("no");',
      " * }",
      " * ```",
      " */",
      "const text = `",
      "```ts",
      "`;",
    ].join("\n");
    expect(extract("src/add.ts", text)).toEqual([{
      file: "src/add.ts",
      line: 5,
      code: 'import { add } from "snapkeep";\nif (add(1, 1) !== 2) {\n  throw new Error("no");\n}\n',
      ignored: false,
    }]);
  });

  it("leaves other languages alone and marks what is ignored", () => {
    const text = "```sh\nls\n```\n\n- a list\n  ```ts ignore\n  one();\n  ```\n```ts\ntwo();\n```\n";
    expect(extract("README.md", text)).toMatchObject([
      { line: 6, code: "one();\n", ignored: true },
      { line: 9, code: "two();\n", ignored: false },
    ]);
  });

  it("refuses a fence that is never closed", () => {
    expect(() => extract("README.md", "```ts\nls\n")).toThrow(SyntaxError);
    expect(() => extract("src/add.ts", "/**\n * ```ts\n */\n")).toThrow(SyntaxError);
  });
});
