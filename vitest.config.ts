// One suite for three runtimes: tools/test.mjs starts vitest in each of them with this configuration.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { isLong } from "./tools/proofs.mjs";

const root = path.dirname(fileURLToPath(import.meta.url));

// These have a process each: they measure memory or computing, load modules anew, or are long. All others share some processes,
// which spares starting one for each file, and put back what they change of their process.
const named = isLong
  ? /^test\/(?:faults|fuzz|sequences|torture|house\/(?:layers|reference))|memory/
  : /^test\/(?:torture\/soak|house\/(?:layers|reference))|memory/;
const ofProcess = /vi\.(?:mock|doMock|resetModules)\(|cpuUsage\(/;
const alone = readdirSync(path.join(root, "test"), { recursive: true, encoding: "utf8" })
  .map((name) => `test/${name.split(path.sep).join("/")}`)
  .filter((file) => file.endsWith(".test.ts") && !file.startsWith("test/s3/"))
  .filter((file) => named.test(file) || ofProcess.test(readFileSync(path.join(root, file), "utf8")));

// These take longest, and begin first: one that begins last runs alone.
const longest = [
  /\/test\/(?:cli|faults)\//,
  /\/test\/(?:examples|fuzz|sequences|torture)\/|command_line|memory|zstd_attacks/,
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const rank = ({ moduleId }: TestSpecification) => {
      const found = longest.findIndex((pattern) => pattern.test(moduleId));
      return found < 0 ? longest.length : found;
    };
    return sorted.sort((first, second) => rank(first) - rank(second));
  }
}

export default defineConfig({
  resolve: {
    alias: [
      { find: /^snapkeep$/, replacement: path.join(root, "mod.ts") },
      { find: /^snapkeep\/backend$/, replacement: path.join(root, "src/backend/mod.ts") },
      { find: /^snapkeep\/s3$/, replacement: path.join(root, "src/s3/mod.ts") },
      { find: /^snapkeep\/states$/, replacement: path.join(root, "src/states/mod.ts") },
      { find: /^snapkeep\/testing$/, replacement: path.join(root, "src/testing/mod.ts") },
    ],
  },
  test: {
    projects: [
      {
        extends: true,
        test: { name: "shared", include: ["test/**/*.test.ts"], exclude: [...alone, "test/s3/**"], isolate: false },
      },
      { extends: true, test: { name: "alone", include: alone, sequence: { groupOrder: 1 } } },
      {
        extends: true,
        test: {
          name: "object store",
          include: ["test/s3/**/*.test.ts"],
          globalSetup: "test/s3/server.ts",
          isolate: false, // loading the client takes a second
          sequence: { groupOrder: 1 },
        },
      },
    ],
    setupFiles: ["test/setup.ts"],
    runner: "test/shares.ts",
    sequence: { sequencer: LongestFirst },
    // Signals and process.chdir work in child processes only, not in worker threads.
    pool: "forks",
    // Packages are imported as the runtime does it. vitest's guess at CommonJS takes zod apart on Bun (no "z" in it).
    deps: { interopDefault: false },
    experimental: { fsModuleCache: true }, // the second and third runtime find what the first has compiled
    // On two processors: tests wait for files and for threads a quarter of their time.
    maxWorkers: 3,
    testTimeout: isLong ? 3_600_000 : 120_000,
    hookTimeout: isLong ? 3_600_000 : 120_000,
    // Examples and children may print; only a failing test's output is of interest.
    silent: "passed-only",
  },
});
