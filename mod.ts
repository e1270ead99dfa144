/**
 * Durable snapshots for long-running programs: save all registered states as one snapshot, keep the right ones, resume from
 * the newest complete one after any end. The same on Node, Deno and Bun.
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
export type { ArchiveStreamOptions, ExportOptions } from "./src/snapshot/copying.ts";
export type { ArchiveKind, ArchiveOptions } from "./src/layout/archive_layout.ts";
export type { RetentionCalendar, RetentionCalendarUnit } from "./src/retention/calendar.ts";
export type { Duration } from "./src/model/duration.ts";
export {
  planRetention,
  type PlanRetentionOptions,
  type RetentionDecision,
  RetentionPlan,
} from "./src/retention/plan.ts";
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
  type RetentionChoice,
  type RetentionContext,
  type RetentionFunction,
  type RetentionRule,
} from "./src/retention/rule.ts";
export { type SimulatedMoment, simulateRetention, type SimulateRetentionOptions } from "./src/retention/simulation.ts";
export { type KeptSnapshot, RetentionKeeper, type RetentionKeeperOptions } from "./src/retention/retention_keeper.ts";
export type { FreshReport, ResumedReport, ResumeOptions, ResumeRefusal, ResumeReport } from "./src/store/resuming.ts";
export type { LastRun } from "./src/store/last_run.ts";
export type { KnownSnapshot } from "./src/store/lineage.ts";
export type { LoadedStates, LoadOptions } from "./src/store/loading.ts";
export { memoryBackend } from "./src/backend/memory_backend.ts";
export { autosave, type Autosaver } from "./src/autosave/autosaver.ts";
export type { AutosaveOptions } from "./src/autosave/autosave_options.ts";
export type { AutosaveHealth } from "./src/autosave/health.ts";
export type { EndPause, Pause, PauseOptions } from "./src/autosave/pausing.ts";
export { PeriodicSaveCondition } from "./src/autosave/periodic_save_condition.ts";
export type { AutosaveKeeper } from "./src/autosave/keeping.ts";
export {
  type DifferenceKind,
  differenceOf,
  type EntryDifference,
  type SnapshotDifference,
  type StateDifference,
} from "./src/snapshot/difference.ts";
export {
  allOf,
  anyOf,
  atFirst,
  atSteps,
  everySteps,
  not,
  type SaveCondition,
  type SaveMoment,
  withinBudget,
} from "./src/autosave/save_condition.ts";
export {
  AUTOSAVE_CHANNEL,
  type FailedEvent,
  type JoinedEvent,
  type RoundFacts,
  type SavedEvent,
  type SaveEvent,
  type SavePhases,
  type SaveReason,
  type SkippedEvent,
  type SkipReason,
} from "./src/autosave/save_event.ts";
export type { EndSignal } from "./src/autosave/signals.ts";
export { LatestStatesKeeper, type LatestStatesKeeperOptions } from "./src/retention/latest_states_keeper.ts";
export {
  type DiffOptions,
  diffSnapshots,
  type EntryDiff,
  type SnapshotDiff,
  type StateDiff,
} from "./src/snapshot/diff.ts";
export type { JsonChange, JsonDifference } from "./src/snapshot/json_changes.ts";
export { type LargestParts, largestParts, type LargestPartsOptions, type SizedPart } from "./src/snapshot/top.ts";
export { type CopiedSnapshot, copySnapshots, type CopySnapshotsOptions } from "./src/store/copy_snapshots.ts";
export { type EntryChange, type EntryHistory, historyOfEntry } from "./src/store/history.ts";
export { locate, type LocateOptions, type SnapshotSource } from "./src/snapshot/locate.ts";
export { type LabelChanges, SnapshotLocator, type SnapshotStat } from "./src/snapshot/locator.ts";
export { pathState, type PathStateMethods } from "./src/states/path_state.ts";
export type { ProgressOptions, SnapshotProgress } from "./src/snapshot/progress.ts";
export { SnapshotReader, type VerifyAllOptions } from "./src/snapshot/snapshot_reader.ts";
export { StateStore } from "./src/store/state_store.ts";
export type { SweepOptions } from "./src/store/sweeping.ts";
export type { ImportOptions } from "./src/store/importing.ts";
export type { LoadReport } from "./src/store/loader.ts";
export type { RegisterOptions, StateMigration } from "./src/store/registry.ts";
export type { SaveOptions, StateStream, StreamOptions } from "./src/store/save_options.ts";
export type { StateStoreOptions, StoreLocation } from "./src/store/store_options.ts";
export type { HeldState, SavePhase, SaveProgress } from "./src/store/capture.ts";
export { StatesKeeper } from "./src/retention/states_keeper.ts";
export type { VerifyFinding, VerifyOptions, VerifyReport, VerifyStep } from "./src/snapshot/verification.ts";
export type { PathOrUrl } from "./src/model/address.ts";
export type { Backend } from "./src/model/backend.ts";
export {
  isSnapshotError,
  type RejectionReason,
  SnapshotError,
  type SnapshotErrorCode,
  type SnapshotErrorDetails,
} from "./src/model/errors.ts";
export type {
  Digest,
  JsonValue,
  Labels,
  Manifest,
  ManifestEntry,
  ManifestState,
  RetentionSnapshot,
  SnapshotFacts,
} from "./src/model/snapshot.ts";
export type { SchemaIssue, SchemaResult, StandardSchema } from "./src/model/standard_schema.ts";
export type {
  EntryBody,
  EntryInfo,
  PersistentState,
  StateHome,
  StateReader,
  StateWriter,
  WriteJsonOptions,
  WriteOptions,
} from "./src/model/state.ts";
export type { LayoutKind } from "./src/model/unit.ts";
export type { SignalOptions } from "./src/model/options.ts";
export { VERSION } from "./src/model/version.ts";
