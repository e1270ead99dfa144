// The fast suite: every test on Node, Bun and Deno, with a taste of every proof.
//
//   npm test                                    all three
//   npm test -- --runtime node test/store       one of them, one folder; other arguments go to vitest
import { mkdir, statfs } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { groups } from "./proofs.mjs";
import { runSuites, takeRuntimes } from "./suites.mjs";

// Where memory is a file system, temporary folders lie there: the long forms use the real disk.
const MEMORY = "/dev/shm";
const LEAST_BYTES = 2 ** 31;

/** @returns {Promise<Record<string, string>>} */
async function fastFolder() {
  try {
    const { bavail, bsize } = await statfs(MEMORY);
    if (bavail * bsize < LEAST_BYTES) return {};
    const folder = path.join(MEMORY, "snapkeep-tests");
    await mkdir(folder, { recursive: true });
    return { TMPDIR: folder };
  } catch {
    return {};
  }
}

const { wanted, rest } = takeRuntimes(process.argv.slice(2));
await runSuites("tests", {
  wanted,
  args: rest,
  env: { ...await fastFolder(), ...rest.length > 0 ? {} : { SNAPKEEP_TASTE: "1" } },
  closing: [
    ...rest.length > 0 ? [`Not the whole suite: ${rest.join(" ")}`] : [],
    "Not run in full: these proofs, of which this was at most a taste. `npm run prove` runs them all in full.",
    ...rest.length > 0 ? [] : [
      "Of the tests of `whole`, each runtime ran a share: all three run each once, and a third of those of object stores.",
    ],
    ...[...groups()].map(([group, names]) => `  npm run prove -- ${group}`.padEnd(30) + names.join(", ")),
  ],
});
