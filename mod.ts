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
export { type Durability, fileBackend, type FileBackendOptions } from "./src/file/file_backend.ts";
export type { FileKind, FileStat, FileSystem, OpenFile, QuickFile } from "./src/file/file_system.ts";
export type { ArchiveStreamOptions, ExportOptions } from "./src/snapshot/copying.ts";
export type { ArchiveKind, ArchiveOptions } from "./src/layout/archive_layout.ts";
export type { Calendar, CalendarUnit } from "./src/retention/calendar.ts";
export type { Duration } from "./src/retention/duration.ts";
export { type PlanOptions, planRetention, type RetentionDecision, RetentionPlan } from "./src/retention/plan.ts";
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
} from "./src/retention/rule.ts";
export { simulate, type SimulatedMoment, type SimulateOptions } from "./src/retention/simulation.ts";
export { type KeptSnapshot, RetentionKeeper, type RetentionKeeperOptions } from "./src/retention/retention_keeper.ts";
export type { Refusal, ResumeOptions, ResumeReport } from "./src/store/resuming.ts";
export type { LoadedStates, LoadOptions } from "./src/store/loading.ts";
export { memoryBackend } from "./src/backend/memory_backend.ts";
export { PeriodicSaveCondition, type SaveCondition } from "./src/autosave/periodic_save_condition.ts";
export { LatestStatesKeeper, type LatestStatesKeeperOptions } from "./src/retention/latest_states_keeper.ts";
export { locate, type LocateOptions, SnapshotLocator, type SnapshotStat } from "./src/snapshot/locator.ts";
export {
  type DifferenceKind,
  differenceOf,
  type EntryDifference,
  type SnapshotDifference,
  type StateDifference,
} from "./src/snapshot/difference.ts";
export { pathState, type PathStateMethods } from "./src/states/path_state.ts";
export { SnapshotReader } from "./src/snapshot/snapshot_reader.ts";
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
export { StatesKeeper } from "./src/retention/states_keeper.ts";
export type { Finding, VerifyOptions, VerifyReport, VerifyStep } from "./src/snapshot/verification.ts";
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
} from "./src/model/backend.ts";
export { assertSnapshotName } from "./src/model/entry_path.ts";
export {
  isSnapshotError,
  type RejectionReason,
  SnapshotError,
  type SnapshotErrorCode,
  type SnapshotErrorDetails,
  storageError,
} from "./src/model/errors.ts";
export type {
  Digest,
  EntryReader,
  JsonValue,
  Labels,
  Manifest,
  ManifestEntry,
  ManifestState,
  OpenedManifest,
  RetentionSnapshot,
  SealedManifest,
  SnapshotFacts,
  UnitReader,
} from "./src/model/snapshot.ts";
export type { SchemaIssue, SchemaResult, StandardSchema } from "./src/model/standard_schema.ts";
export type {
  Body,
  EntryInfo,
  JsonOptions,
  PersistentState,
  StateReader,
  StateWriter,
  WriteOptions,
} from "./src/model/state.ts";
export { type LayoutKind, splitUnit, type Unit, type UnitSuffix } from "./src/model/unit.ts";
export { VERSION } from "./src/model/version.ts";
