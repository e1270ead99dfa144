// Makes dist/: tsc emits every file with its types, then rolldown puts the entry points over it, with what they share in chunks. The
// command line is a bundle of its own.
// Node takes longer to find a hundred files than to run them. dist/ is made beside and then put in place by rename, so that
// programs running from it meet it half-written only for the moment between two renames.
import { existsSync } from "node:fs";
import { chmod, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { rolldown } from "rolldown";
import { root, run, script } from "./run.mjs";

// The command line, which package.json has as "bin".
const BIN = "src/bin.ts";
const BUILT_BIN = BIN.replace(/ts$/, "js");
// Modules of Node that the command line gets otherwise.
const REPLACED = new Map([
  ["node:process", "module.exports = globalThis.process;"],
  ["node:child_process", 'module.exports = { spawn() { throw new Error("the command line starts no programs"); } };'],
]);
const fresh = path.join(root, `.dist-${process.pid}`);
const old = path.join(root, `.dist-${process.pid}-old`);
const dist = path.join(root, "dist");
/** The folders of packages that lie in a bundle. @type {Set<string>} */
const bundledPackages = new Set();

/**
 * Leaves out the messages of zod in other languages, half of its code.
 *
 * @type {import("rolldown").Plugin}
 */
const inEnglish = {
  name: "in-english",
  load: (id) => id.endsWith("zod/v4/locales/index.js") ? 'export { default as en } from "./en.js";' : undefined,
};

/**
 * Leaves out what the command line has no use for: LogTape, which only a program configures. The library does without LogTape if it
 * cannot be loaded. Of Node it takes what costs no time: Node makes every property of the process when the module is imported, and the
 * globals do as well. commander imports a module for programs as commands.
 *
 * @type {import("rolldown").Plugin}
 */
const withoutUnused = {
  name: "without-unused",
  resolveId: (id) => REPLACED.has(id) ? id : undefined,
  load(id) {
    if (REPLACED.has(id)) return REPLACED.get(id);
    return id.includes("/@logtape/logtape/") ? 'throw new Error("LogTape is not in the command line");' : undefined;
  },
};

/**
 * @param {readonly string[]} files Sources, as paths below the root.
 * @param {RegExp} external What stays an import.
 * @param {string} chunks What the names of shared chunks begin with.
 * @param {Pick<import("rolldown").OutputOptions, "minify" | "codeSplitting"> & { plugins?: import("rolldown").Plugin[] }} [options]
 */
async function bundle(files, external, chunks, { plugins = [], minify = false, codeSplitting = true } = {}) {
  const bundled = await rolldown({
    cwd: root,
    input: Object.fromEntries(files.map((file) => [file.replace(/\.ts$/, ""), file])),
    external,
    platform: "node",
    tsconfig: false,
    plugins,
  });
  const { output } = await bundled.write({
    dir: fresh,
    chunkFileNames: `${chunks}[name]-[hash].js`,
    sourcemap: true,
    sourcemapExcludeSources: true,
    minify,
    codeSplitting,
    banner: ({ fileName }) => fileName === BUILT_BIN ? "#!/usr/bin/env node" : "",
  });
  await bundled.close();
  for (const id of output.flatMap((chunk) => chunk.type === "chunk" ? chunk.moduleIds : [])) {
    const [folder] = /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(id) ?? [];
    if (folder !== undefined) bundledPackages.add(folder);
  }
}

/** Writes the licenses of the packages that lie in bundles, which each asks for. */
async function writeLicenses() {
  const texts = await Promise.all(
    [...bundledPackages].sort().map(async (folder) => {
      const file = (await readdir(folder)).find((name) => /^licen[cs]e/i.test(name));
      const { name, version, license } = JSON.parse(await readFile(path.join(folder, "package.json"), "utf8"));
      const text = file === undefined ? `License: ${license}\n` : await readFile(path.join(folder, file), "utf8");
      return `${name} ${version}\n\n${text.trim()}\n`;
    }),
  );
  await writeFile(path.join(fresh, "chunks/licenses.txt"), texts.join(`\n${"-".repeat(80)}\n\n`));
}

/**
 * Bundles the entry points. Packages stay imports, but for zod: evaluating its sixty files would hold a program when it reads its first
 * manifest.
 */
async function bundleEntries() {
  const { exports } = JSON.parse(await readFile(path.join(root, "deno.json"), "utf8"));
  const entries = /** @type {string[]} */ (Object.values(exports)).map((file) => path.posix.normalize(file));
  await bundle(entries, /^(?!zod\/|[./])/, "chunks/", { plugins: [inEnglish] });
}

/**
 * Bundles the command line with its packages: finding and compiling their files takes a runtime longer than a command. The client of object
 * stores stays an import: it is large, and each operator installs it if it is needed.
 */
async function bundleCommand() {
  await bundle([BIN], /^node:(?!(?:process|child_process)$)|^@aws-sdk\//, "chunks/cli/", {
    plugins: [inEnglish, withoutUnused],
    minify: true,
    // What several commands share, in one file.
    codeSplitting: { groups: [{ name: "library", minShareCount: 2 }] },
  });
  await chmod(path.join(fresh, BUILT_BIN), 0o755);
}

const tsc = await run(process.execPath, [
  script("typescript/bin/tsc"),
  "-p",
  "tools/tsconfig.build.json",
  "--outDir",
  fresh,
]);
process.stderr.write(tsc.output);
if (existsSync(fresh)) {
  await bundleEntries();
  await bundleCommand();
  await writeLicenses();
  await rename(dist, old).catch((error) => {
    if (error.code !== "ENOENT") throw error;
  });
  await rename(fresh, dist);
  await rm(old, { recursive: true, force: true });
}
process.exitCode = tsc.code === 0 ? 0 : 1;
