/**
 * Tests for backends of your own, and failures on demand for programs that must survive them.
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
 * @module
 */
export { nodeFileSystem } from "../backend/node_file_system.ts";
export { backendConformance, type ConformanceCase, type ConformanceOptions } from "./backend_conformance.ts";
export { type FaultCall, type FaultPlan, Faults, forEachFault } from "./faults.ts";
export { faultyBackend } from "./faulty_backend.ts";
export { faultyFileSystem } from "./faulty_file_system.ts";
