/**
 * Tests for states and backends of your own, and failures on demand for programs that must survive them.
 *
 * Nothing here knows a test framework: checks are named functions that throw.
 *
 * @example Check a backend with any test runner
 * ```ts
 * import { memoryBackend } from "snapkeep";
 * import { backendConformance } from "snapkeep/testing";
 *
 * for (const { name, run } of backendConformance(memoryBackend)) {
 *   await run(); // or: test(name, run)
 *   console.log(`ok ${name}`);
 * }
 * ```
 *
 * @example Check a state: what it saves comes back, and a load that fails changes nothing
 * ```ts
 * import type { StateReader, StateWriter } from "snapkeep";
 * import { stateConformance } from "snapkeep/testing";
 *
 * class Inventory {
 *   items = ["sword"];
 *   saveState = (out: StateWriter) => out.json("items.json", this.items);
 *   loadState = async (from: StateReader) => void (this.items = await from.json("items.json") as string[]);
 * }
 *
 * for (const { name, run } of stateConformance(() => new Inventory(), (it) => it.items.push("shield"))) {
 *   await run(); // or: test(name, run)
 *   console.log(`ok ${name}`);
 * }
 * ```
 *
 * @module
 */
export type { FileKind, FileStat, FileSystem, OpenFile, QuickFile } from "../file/file_system.ts";
export { nodeFileSystem } from "../file/node_file_system.ts";
export { backendConformance, type ConformanceCase, type ConformanceOptions } from "./backend_conformance.ts";
export { type FaultCall, type FaultPlan, Faults, forEachFault } from "./faults.ts";
export { faultyBackend } from "./faulty_backend.ts";
export { faultyFileSystem } from "./faulty_file_system.ts";
export {
  assertResumeEquivalent,
  type ResumableProgram,
  type ResumeEquivalenceOptions,
  type ResumeEquivalenceReport,
} from "./resume_equivalence.ts";
export { stateConformance, type StateConformanceOptions } from "./state_conformance.ts";
