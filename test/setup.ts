// Runs before each test file. Hooks that clean up after a test stand here, and not in the modules that tests share: files that
// share a process evaluate such a module once.
import { Buffer } from "node:buffer";
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

// Files that share a process share its list of testers.
const scope = globalThis as { comparesBytes?: true };
if (scope.comparesBytes === undefined) expect.addEqualityTesters([sameBytes]);
scope.comparesBytes = true;
