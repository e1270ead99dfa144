// Runs before each test file. Hooks that clean up after a test stand here, and not in the modules that tests share: files that
// share a process evaluate such a module once.
import { Buffer } from "node:buffer";
import process from "node:process";
import { afterEach, expect } from "vitest";
import { removeTemporaryFolders } from "./backend/temporary.ts";
import { stopCollecting } from "./backend/warnings.ts";

afterEach(removeTemporaryFolders);
afterEach(stopCollecting);

/** Compares bytes at once: vitest does it one by one, which takes seconds for a megabyte. */
function sameBytes(one: unknown, other: unknown): boolean | undefined {
  if (!(one instanceof Uint8Array && other instanceof Uint8Array)) return undefined;
  return one.constructor === other.constructor ? Buffer.compare(one, other) === 0 : undefined;
}

/** Drops the library's process warnings unless a test listens to them: most tests cause some on purpose, and all are printed. */
function dropUnheardWarnings(): void {
  const emit = process.emitWarning.bind(process) as (...args: unknown[]) => void;
  const usual = process.listenerCount("warning");
  process.emitWarning = (...args: unknown[]) => {
    const [, options] = args;
    const isOurs = typeof options === "object" && options !== null && "type" in options &&
      options.type === "SnapkeepWarning";
    if (!isOurs || process.listenerCount("warning") > usual) emit(...args);
  };
}

// Files that share a process share its list of testers and its warnings.
const scope = globalThis as { isSetUp?: true };
if (scope.isSetUp === undefined) {
  expect.addEqualityTesters([sameBytes]);
  dropUnheardWarnings();
}
scope.isSetUp = true;
