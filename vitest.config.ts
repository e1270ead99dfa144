// One suite for three runtimes: tools/test.mjs starts vitest in each of them with this configuration.
import path from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { isLong } from "./tools/proofs.mjs";

const root = path.dirname(fileURLToPath(import.meta.url));

// These have a process each: they change its folder, listen to its warnings and errors, replace modules or functions of the
// runtime, mount disks, or measure memory and time. All others share two processes, which spares starting one for each file.
const alone = [
  "test/archive/{canary,damage,member_memory,memory,pure_gzip}.test.ts",
  "test/backend/{commit_sequence,heartbeat}.test.ts",
  "test/examples/*.test.ts",
  "test/faults/*.test.ts",
  "test/fuzz/*.test.ts",
  "test/house/*.test.ts",
  "test/layout/streaming.test.ts",
  "test/model/*.test.ts",
  "test/retention/speed.test.ts",
  "test/rules/periodic_save_condition.test.ts",
  "test/store/{capture_memory,save}.test.ts",
  "test/torture/*.test.ts",
  "test/words/{entry_path,memory}.test.ts",
];

export default defineConfig({
  resolve: {
    alias: [
      { find: /^snapkeep$/, replacement: path.join(root, "mod.ts") },
      { find: /^snapkeep\/testing$/, replacement: path.join(root, "src/testing/mod.ts") },
    ],
  },
  test: {
    projects: [
      { extends: true, test: { name: "shared", include: ["test/**/*.test.ts"], exclude: alone, isolate: false } },
      { extends: true, test: { name: "alone", include: alone, sequence: { groupOrder: 1 } } },
    ],
    setupFiles: ["test/setup.ts"],
    // Signals and process.chdir work in child processes only, not in worker threads.
    pool: "forks",
    // Packages are imported as the runtime does it. vitest's guess at CommonJS takes zod apart on Bun (no "z" in it).
    deps: { interopDefault: false },
    maxWorkers: 2,
    testTimeout: isLong ? 3_600_000 : 120_000,
    hookTimeout: isLong ? 3_600_000 : 120_000,
    // Examples and children may print; only a failing test's output is of interest.
    silent: "passed-only",
  },
});
