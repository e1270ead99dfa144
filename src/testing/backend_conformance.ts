// The contract of backends as tests, free of any test framework.
import type { Backend } from "../model/backend.ts";
import { assertOptions, type OptionNames } from "../model/options.ts";
import { blobCases } from "./conformance_of_blobs.ts";
import { roomCases } from "./conformance_of_rooms.ts";
import { stageCases } from "./conformance_of_stages.ts";
import { unitCases } from "./conformance_of_units.ts";

/** One behaviour that every backend must have. */
export interface ConformanceCase {
  /** The behaviour, in words. */
  readonly name: string;
  /** Checks it on a new backend; rejects with an Error that says what was seen instead. */
  readonly run: () => Promise<void>;
}

/** How a backend is checked. */
export interface ConformanceOptions {
  /**
   * Size of the largest blob that is written, in bytes.
   *
   * @default 3 MiB
   */
  readonly bigBlobBytes?: number;
}

const OPTIONS: OptionNames<ConformanceOptions> = { bigBlobBytes: "a number" };

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
  const cases = { ...unitCases, ...blobCases(options.bigBlobBytes ?? 3 * 1024 * 1024), ...stageCases, ...roomCases };
  return Object.entries(cases).map(([name, run]) => ({ name, run: async () => await run(await make()) }));
}
