/**
 * States that most programs never have to write: JSON values, values of nearly any kind, properties of an object, bytes, files, growing
 * lists, working folders, clocks, random numbers, timers and actions on the outside world.
 *
 * @example A model, a counter and a Map
 * ```ts
 * import { StateStore } from "snapkeep";
 * import { bytesState, jsonState, structuredState } from "snapkeep/states";
 *
 * let [weights, count, seen] = [new Float32Array(1000), 0, new Map<string, Date>()];
 * const store = new StateStore("states")
 *   .register("model", bytesState({ get: () => weights, set: (bytes) => weights = new Float32Array(bytes.buffer) }))
 *   .register("count", jsonState({ get: () => count, set: (value) => count = value }))
 *   .register("seen", structuredState({ get: () => seen, set: (value) => seen = value }));
 * await store.resume();
 * ```
 *
 * @module
 */
export type { Accessors } from "./accessors.ts";
export { bytesState } from "./bytes_state.ts";
export { fileState } from "./file_state.ts";
export type { IgnoreRule } from "./folder/ignore.ts";
export type { FolderPreview } from "./folder/plan.ts";
export { type FolderState, folderState, type FolderStateOptions } from "./folder_state.ts";
export { jsonState, type JsonStateOptions, type SchemaInput, type SchemaOutput } from "./json_state.ts";
export { Ledger, type OnceOptions } from "./ledger.ts";
export type { LedgerRecord } from "./ledger/record.ts";
export { type LinesAccessors, linesState, type LinesStateOptions } from "./lines_state.ts";
export { type SqliteAccessors, type SqliteDatabase, sqliteState, type SqliteStatement } from "./sqlite_state.ts";
export { propertiesState, type StructuredOptions, structuredState } from "./structured_state.ts";
export { ProgramClock, type ProgramClockOptions } from "./program_clock.ts";
export { Random, randomAt } from "./random.ts";
export { type SavedClass, savedClass, type SavedClasses } from "./structured_text.ts";
export type { TensorData, TensorDtype } from "./tensor/dtypes.ts";
export { type Tensor, tensorState } from "./tensor_state.ts";
export { type TimerOptions, Timers } from "./timers.ts";
