// The contract of backends as tests, free of any test framework.
import type { Backend } from "../model/backend.ts";
import { assertOptions, type OptionNames } from "../model/options.ts";
import { blobCases } from "./conformance_of_blobs.ts";
import { journalCases } from "./conformance_of_journals.ts";
import { roomCases } from "./conformance_of_rooms.ts";
import { stageCases } from "./conformance_of_stages.ts";
import { unitCases } from "./conformance_of_units.ts";

/** What a test runner passes to a test. */
export interface ConformanceContext {
  /** Marks the test as skipped. It may throw. */
  skip?(reason: string): void;
}

/** One behaviour that every backend must have. */
export interface ConformanceCase {
  /** The behaviour, in words. */
  readonly name: string;
  /**
   * Checks it on a new backend; rejects with an Error that says what was seen instead. A case about an optional member that the backend lacks is
   * skipped with a reason: through the context, as vitest and node:test pass it to a test, or else by a printed line.
   */
  readonly run: (context?: ConformanceContext) => Promise<void>;
}

/** How a backend is checked. */
export interface ConformanceOptions {
  /**
   * Size of the largest blob that is written, in bytes.
   *
   * @default 3 MiB
   */
  readonly bigBlobBytes?: number;
  /**
   * Returns the path of a journal's file, for a backend that keeps journals in local files. The cases put torn lines and links there.
   *
   * @default these cases are skipped
   */
  readonly journalFile?: (backend: Backend, name: string) => string;
}

const OPTIONS: OptionNames<ConformanceOptions> = { bigBlobBytes: "a number", journalFile: "a function" };

/**
 * The contract of `Backend` as tests, for backends of your own.
 *
 * The cases do not depend on each other and may run concurrently. They change only the backends they are given, and leave
 * what they saved to the caller that made them.
 *
 * @param make Makes a backend on a new, empty place, which need not be made yet; called once per case.
 * @param options Sizes.
 * @returns The cases, for any test runner.
 */
export function backendConformance(
  make: () => Backend | Promise<Backend>,
  options: ConformanceOptions = {},
): readonly ConformanceCase[] {
  assertOptions("test a backend", options, OPTIONS);
  const { bigBlobBytes = 3 * 1024 * 1024, journalFile } = options;
  const cases = { ...unitCases, ...blobCases(bigBlobBytes), ...stageCases, ...roomCases, ...journalCases(journalFile) };
  return Object.entries(cases).map(([name, run]) => ({
    name,
    // A function with a parameter would get a callback from bun:test, and wait for it.
    async run(...[context]: [context?: ConformanceContext]) {
      const skipped = await run(await make());
      if (skipped === undefined) return;
      if (typeof context?.skip === "function") context.skip(skipped.reason);
      // oxlint-disable-next-line no-console -- a runner without contexts shows it nowhere else
      else console.info(`skipped: ${name}: ${skipped.reason}`);
    },
  }));
}
