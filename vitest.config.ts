// One suite for three runtimes: tools/test.mjs starts vitest in each of them with this configuration.
import path from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const root = path.dirname(fileURLToPath(import.meta.url));

export default defineConfig({
  resolve: {
    alias: [
      { find: /^snapkeep$/, replacement: path.join(root, "mod.ts") },
      { find: /^snapkeep\/testing$/, replacement: path.join(root, "src/testing/mod.ts") },
    ],
  },
  test: {
    include: ["test/**/*.test.ts"],
    // Signals and process.chdir work in child processes only, not in worker threads.
    pool: "forks",
    // Packages are imported as the runtime does it. vitest's guess at CommonJS takes zod apart on Bun (no "z" in it).
    deps: { interopDefault: false },
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Examples and children may print; only a failing test's output is of interest.
    silent: "passed-only",
  },
});
