// Runs the tests that need programs which are not ours, with none of them left out: first it tells which are missing, and how
// Debian calls them. Tests skip what is not installed; here that is a failure.
//
//   npm run interop                    on the three runtimes
//   npm run interop -- --runtime bun   on one of them
import { execFile } from "node:child_process";
import { access } from "node:fs/promises";
import process from "node:process";
import { promisify } from "node:util";
import { run } from "../run.mjs";

const exec = promisify(execFile);
const LIBRARY = "/usr/share/gocode/src/github.com/containerd/stargz-snapshotter/estargz";

/** @type {readonly [string, string, () => Promise<unknown>][]} */
const needed = [
  ["GNU tar", "tar", () => exec("tar", ["--version"])],
  ["bsdtar", "libarchive-tools", () => exec("bsdtar", ["--version"])],
  ["busybox", "busybox", () => exec("busybox", ["tar", "--help"])],
  ["Python", "python3", () => exec("python3", ["--version"])],
  ["Go", "golang", () => exec("go", ["version"])],
  ["containerd's library", "golang-github-containerd-stargz-snapshotter-dev", () => access(LIBRARY)],
];

/** @type {string[]} */
const missing = [];
for (const [name, debianPackage, look] of needed) {
  const isThere = await look().then(() => true, () => false);
  console.log(`${isThere ? "found  " : "missing"} ${name}`);
  if (!isThere) missing.push(debianPackage);
}
if (missing.length > 0) {
  console.log(`failed: on Debian, apt-get install ${missing.join(" ")}`);
  process.exitCode = 1;
} else {
  const { code } = await run(process.execPath, ["tools/prove.mjs", "readers", ...process.argv.slice(2)], {
    show: true,
  });
  process.exitCode = code;
}
