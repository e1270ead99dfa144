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
 * @example Let every call beneath a load fail, and see that your state is loaded whole or not at all
 * ```ts
 * import { memoryBackend, type StateReader, StateStore, type StateWriter } from "snapkeep";
 * import { faultyBackend, forEachFault } from "snapkeep/testing";
 *
 * class Inventory {
 *   items = ["sword"];
 *   saveState = (out: StateWriter) => out.json("items.json", this.items);
 *   loadState = async (from: StateReader) => void (this.items = await from.json("items.json") as string[]);
 * }
 *
 * const struck = await forEachFault(async (faults) => {
 *   const inventory = new Inventory();
 *   const backend = memoryBackend();
 *   await new StateStore(backend).register("inventory", inventory).saveState();
 *   inventory.items = ["shield"];
 *   const store = new StateStore(faultyBackend(backend, faults)).register("inventory", inventory);
 *   const isLoaded = await store.resume().then(() => true, () => false);
 *   if (inventory.items[0] !== (isLoaded ? "sword" : "shield")) throw new Error("half-loaded");
 * });
 * console.log(`${struck.length} failures survived`);
 * ```
 *
 * @module
 */
export { nodeFileSystem } from "../backend/node_file_system.ts";
export { backendConformance, type ConformanceCase, type ConformanceOptions } from "./backend_conformance.ts";
export { type FaultCall, type FaultPlan, Faults, forEachFault } from "./faults.ts";
export { faultyBackend } from "./faulty_backend.ts";
export { faultyFileSystem } from "./faulty_file_system.ts";
