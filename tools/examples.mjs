// Finds the ```ts examples in docstrings and Markdown. The test suite runs them (test/house/docs.test.ts);
// run as a program, this file type-checks them.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { root, run, scratch, script } from "./run.mjs";

/**
 * @typedef {{ file: string, line: number, code: string, ignored: boolean, needs?: string }} Example Line is that of the fence;
 *   `needs` is a built-in module without which it cannot run.
 */

/**
 * Extracts the examples of one file.
 *
 * In TypeScript only doc comments are searched, in Markdown everything. A fence is ```` ```ts ````, followed by nothing or
 * by words: `ignore` marks an example that is not run, `needs=node:sqlite` one that is skipped if the runtime lacks the module.
 *
 * @param {string} file Path below the root, for messages and to tell the kind.
 * @param {string} text
 * @returns {Example[]}
 * @throws {SyntaxError} If a fence is never closed.
 */
export function extract(file, text) {
  const lines = file.endsWith(".md") ? text.split("\n") : docComments(text);
  /** @type {Example[]} */
  const found = [];
  /** @type {{ line: number, indent: string, info: string, body: string[] } | undefined} */
  let open;
  for (const [index, line] of lines.entries()) {
    const fence = /^(\s*)```+\s*(.*?)\s*$/.exec(line ?? "");
    if (open === undefined) {
      if (fence) open = { line: index + 1, indent: fence[1] ?? "", info: fence[2] ?? "", body: [] };
    } else if (line === undefined) {
      throw new SyntaxError(`Cannot read examples of ${file}: the fence in line ${open.line} is never closed`);
    } else if (fence && fence[2] === "") {
      const [language, ...words] = open.info.split(/\s+/);
      if (language === "ts" || language === "typescript") {
        const needs = words.find((word) => word.startsWith("needs="))?.slice("needs=".length);
        found.push({
          file,
          line: open.line,
          code: `${open.body.join("\n")}\n`,
          ignored: words.includes("ignore"),
          ...needs === undefined ? {} : { needs },
        });
      }
      open = undefined;
    } else {
      open.body.push(line.startsWith(open.indent) ? line.slice(open.indent.length) : line.trimStart());
    }
  }
  if (open) throw new SyntaxError(`Cannot read examples of ${file}: the fence in line ${open.line} is never closed`);
  return found;
}

/**
 * @param {string} text TypeScript.
 * @returns {(string | undefined)[]} The text of doc comments line by line, `undefined` outside of them.
 */
function docComments(text) {
  let inside = false;
  return text.split("\n").map((line) => {
    if (!inside) {
      inside = /^\s*\/\*\*/.test(line) && !line.includes("*/");
      return undefined;
    }
    if (/^\s*\*\//.test(line)) {
      inside = false;
      return undefined;
    }
    if (line.includes("*/")) inside = false;
    return line.replace(/^\s*\* ?/, "");
  });
}

/** @returns {string[]} The files that may hold examples, as paths below the root. */
export function sources() {
  /** @param {string} folder @param {string} ending */
  const below = (folder, ending) =>
    !existsSync(path.join(root, folder)) ? [] : readdirSync(path.join(root, folder), { recursive: true })
      .map((name) => `${folder}/${String(name).split(path.sep).join("/")}`)
      .filter((name) => name.endsWith(ending))
      .sort();
  return [
    ...["mod.ts", "README.md"].filter((name) => existsSync(path.join(root, name))),
    ...below("src", ".ts"),
    ...below("docs", ".md").filter((name) => !name.startsWith("docs/reference/")), // whose examples are those of src
  ];
}

/** @returns {Example[]} Every example of the repository. */
export function examples() {
  return sources().flatMap((file) => extract(file, readFileSync(path.join(root, file), "utf8")));
}

/**
 * Writes an example as a module of its own.
 *
 * @param {Example} example
 * @param {string} folder Somewhere below the root, so that packages resolve.
 * @returns {Promise<string>} Where it lies.
 */
export async function unfold(example, folder) {
  await mkdir(folder, { recursive: true });
  const name = `${example.file.replace(/\.\w+$/, "").replaceAll(/\W+/g, "_")}_${example.line}.ts`;
  const target = path.join(folder, name);
  // How a reader of the page imports the package depends on the registry; here there is one.
  const code = example.code.replaceAll(
    /(["'])(?:npm:|jsr:@snapkeep\/|@snapkeep\/)snapkeep(?:@[^"'/]*)?/g,
    "$1snapkeep",
  );
  await writeFile(target, `// ${example.file}:${example.line}\n${code}\nexport {};\n`);
  return target;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = path.join(scratch, "types_of_examples");
  await rm(folder, { recursive: true, force: true });
  const all = examples().filter(({ ignored }) => !ignored);
  for (const example of all) await unfold(example, folder);
  if (all.length > 0) {
    const config = { extends: "../../tsconfig.json", include: ["*.ts"] };
    await writeFile(path.join(folder, "tsconfig.json"), JSON.stringify(config));
    const { code, output } = await run(process.execPath, [script("typescript/bin/tsc"), "-p", folder]);
    process.stdout.write(output);
    process.exitCode = code === 0 ? 0 : 1;
  }
  console.log(`${all.length} examples checked`);
}
