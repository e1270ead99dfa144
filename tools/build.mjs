// Emits dist/ with plain tsc. It is emitted beside and then put in place by rename, so that programs running from
// dist/ meet it half-written only for the moment between two renames.
import { existsSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { root, run, script } from "./run.mjs";

const fresh = path.join(root, `.dist-${process.pid}`);
const old = path.join(root, `.dist-${process.pid}-old`);
const dist = path.join(root, "dist");

const tsc = await run(process.execPath, [
  script("typescript/bin/tsc"),
  "-p",
  "tools/tsconfig.build.json",
  "--outDir",
  fresh,
]);
process.stderr.write(tsc.output);
if (existsSync(fresh)) {
  await rename(dist, old).catch((error) => {
    if (error.code !== "ENOENT") throw error;
  });
  await rename(fresh, dist);
  await rm(old, { recursive: true, force: true });
}
process.exitCode = tsc.code === 0 ? 0 : 1;
