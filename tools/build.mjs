// Makes dist/: tsc emits every file with its types, then rolldown puts the entry points over it, with what they share in chunks.
// Node takes longer to find a hundred files than to run them. dist/ is made beside and then put in place by rename, so that
// programs running from it meet it half-written only for the moment between two renames.
import { existsSync } from "node:fs";
import { chmod, readFile, rename, rm } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { rolldown } from "rolldown";
import { root, run, script } from "./run.mjs";

const BIN = "src/bin.ts"; // the command line, which package.json has as "bin"
const fresh = path.join(root, `.dist-${process.pid}`);
const old = path.join(root, `.dist-${process.pid}-old`);
const dist = path.join(root, "dist");

/** Bundles the entry points; packages stay imports. */
async function bundleEntries() {
  const { exports } = JSON.parse(await readFile(path.join(root, "deno.json"), "utf8"));
  const entries = [.../** @type {string[]} */ (Object.values(exports)), BIN].map((file) => path.posix.normalize(file));
  const bundle = await rolldown({
    cwd: root,
    input: Object.fromEntries(entries.map((file) => [file.replace(/\.ts$/, ""), file])),
    external: /^(?![./])/,
    platform: "node",
    tsconfig: false,
  });
  await bundle.write({
    dir: fresh,
    chunkFileNames: "chunks/[name]-[hash].js",
    sourcemap: true,
    sourcemapExcludeSources: true,
    banner: ({ fileName }) => fileName === BIN.replace(/ts$/, "js") ? "#!/usr/bin/env node" : "",
  });
  await bundle.close();
  await chmod(path.join(fresh, BIN.replace(/ts$/, "js")), 0o755);
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
  await rename(dist, old).catch((error) => {
    if (error.code !== "ENOENT") throw error;
  });
  await rename(fresh, dist);
  await rm(old, { recursive: true, force: true });
}
process.exitCode = tsc.code === 0 ? 0 : 1;
