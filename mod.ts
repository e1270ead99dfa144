/**
 * Durable snapshots for long-running programs: save all registered states as one snapshot, keep the right ones, resume from
 * the newest whole one after any end. The same on Node, Deno and Bun.
 *
 * @example Save, and load after a restart
 * ```ts
 * import { StateStore } from "snapkeep";
 *
 * let count = 0;
 * const store = new StateStore("states").register("counter", {
 *   saveState: (out) => out.json("count.json", count),
 *   loadState: async (from) => void (count = await from.json("count.json") as number),
 * });
 * await store.resume();
 * count++;
 * await store.saveState();
 * ```
 *
 * @module
 */
export { type Durability, fileBackend, type FileBackendOptions } from "./src/backend/file_backend.ts";
export type { FileKind, FileStat, FileSystem, OpenFile, QuickFile } from "./src/backend/file_system.ts";
export type { Compression } from "./src/rules/codec.ts";
export type { ExportOptions } from "./src/store/copying.ts";
export type { ArchiveOptions } from "./src/layout/archive_layout.ts";
export type { Calendar, CalendarUnit } from "./src/rules/calendar.ts";
export type { Duration } from "./src/rules/duration.ts";
export { type PlanOptions, planRetention, type RetentionDecision, RetentionPlan } from "./src/rules/retention_plan.ts";
export {
  atLeast,
  keepBest,
  keepDaily,
  keepEvery,
  keepEverySteps,
  keepHourly,
  keepLatest,
  keepMonthly,
  keepTagged,
  keepUnder,
  keepWeekly,
  keepWithin,
  keepYearly,
  type Kept,
  type RetentionContext,
  type RetentionFunction,
  type RetentionRule,
  type RetentionSnapshot,
} from "./src/rules/retention_rule.ts";
export { simulate, type SimulatedMoment, type SimulateOptions } from "./src/rules/retention_simulation.ts";
export { type KeptSnapshot, RetentionKeeper, type RetentionKeeperOptions } from "./src/store/retention_keeper.ts";
export type { Refusal, ResumeOptions, ResumeReport } from "./src/store/resuming.ts";
export type { LoadedStates, LoadOptions } from "./src/store/loading.ts";
export { memoryBackend } from "./src/backend/memory_backend.ts";
export { PeriodicSaveCondition, type SaveCondition } from "./src/rules/periodic_save_condition.ts";
export { LatestStatesKeeper, type LatestStatesKeeperOptions } from "./src/store/latest_states_keeper.ts";
export {
  locate,
  type LocateOptions,
  type SnapshotFacts,
  SnapshotLocator,
  type SnapshotStat,
} from "./src/store/locator.ts";
export { pathState, type PathStateMethods } from "./src/store/path_state.ts";
export { SnapshotReader } from "./src/store/snapshot_reader.ts";
export {
  type ImportOptions,
  type LoadReport,
  type RegisterOptions,
  type SaveOptions,
  StateStore,
  type StateStoreOptions,
  type StateStream,
  type StoreLocation,
  type StreamOptions,
} from "./src/store/state_store.ts";
export type { SaveProgress, StateMigration } from "./src/store/capture.ts";
export { StatesKeeper } from "./src/store/states_keeper.ts";
export type { Finding, VerifyOptions, VerifyReport, VerifyStep } from "./src/store/verification.ts";
export type {
  Backend,
  BlobInfo,
  BlobReader,
  ByteSource,
  ForeignFolders,
  ListOptions,
  LockOptions,
  Notes,
  Scratch,
  Stage,
  StageOptions,
  WorkFolder,
} from "./src/words/backend.ts";
export { assertSnapshotName } from "./src/words/entry_path.ts";
export {
  isSnapshotError,
  type RejectionReason,
  SnapshotError,
  type SnapshotErrorCode,
  type SnapshotErrorDetails,
  storageError,
} from "./src/words/errors.ts";
export type {
  Digest,
  EntryReader,
  JsonValue,
  Labels,
  LayoutKind,
  Manifest,
  ManifestEntry,
  ManifestState,
  OpenedManifest,
  SealedManifest,
  UnitReader,
} from "./src/words/snapshot.ts";
export type { SchemaIssue, SchemaResult, StandardSchema } from "./src/words/standard_schema.ts";
export type {
  Body,
  EntryInfo,
  JsonOptions,
  PersistentState,
  StateReader,
  StateWriter,
  WriteOptions,
} from "./src/words/state.ts";
export { splitUnit, type Unit, type UnitSuffix } from "./src/words/unit.ts";
export { VERSION } from "./src/words/version.ts";
