// The public surface, name by name: what is exported is a promise, so that each change to it must be meant.
// After a change that is meant: npm test -- --runtime node test/house/surface.test.ts -u
import { readFileSync } from "node:fs";
import path from "node:path";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { root } from "../../tools/run.mjs";

interface Surface {
  readonly values: string[];
  readonly types: string[];
}

/** Reads an entry point's exports. It must name them: with `export *` the surface could not be read there. */
function surface(file: string): Surface {
  const source = ts.createSourceFile(file, readFileSync(path.join(root, file), "utf8"), ts.ScriptTarget.ESNext, true);
  const values: string[] = [];
  const types: string[] = [];
  for (const statement of source.statements) {
    if (ts.isExportDeclaration(statement)) {
      if (!statement.exportClause || !ts.isNamedExports(statement.exportClause)) {
        throw new SyntaxError(`Cannot read the surface of ${file}: ${statement.getText()}`);
      }
      for (const { name, isTypeOnly } of statement.exportClause.elements) {
        (statement.isTypeOnly || isTypeOnly ? types : values).push(name.text);
      }
    } else if (ts.canHaveModifiers(statement)) {
      if (!ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) continue;
      if (ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement)) types.push(statement.name.text);
      else if (ts.isVariableStatement(statement)) {
        values.push(...statement.declarationList.declarations.map(({ name }) => name.getText()));
      } else if (ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)) {
        values.push(statement.name?.text ?? "default");
      }
    }
  }
  // An overloaded function is declared more than once.
  return { values: [...new Set(values)].sort(), types: [...new Set(types)].sort() };
}

describe("the public surface", () => {
  it("of snapkeep is what was promised", async () => {
    const { values, types } = surface("mod.ts");
    expect(Object.keys(await import("snapkeep")).sort()).toEqual(values);
    expect(values).toMatchInlineSnapshot(`
      [
        "AUTOSAVE_CHANNEL",
        "LatestStatesKeeper",
        "PeriodicSaveCondition",
        "RetentionKeeper",
        "RetentionPlan",
        "SnapshotError",
        "SnapshotLocator",
        "SnapshotReader",
        "StateStore",
        "StatesKeeper",
        "VERSION",
        "allOf",
        "anyOf",
        "atFirst",
        "atLeast",
        "atSteps",
        "autosave",
        "copySnapshots",
        "diffSnapshots",
        "differenceOf",
        "everySteps",
        "fileBackend",
        "historyOfEntry",
        "isSnapshotError",
        "keepBest",
        "keepDaily",
        "keepEvery",
        "keepEverySteps",
        "keepHourly",
        "keepLatest",
        "keepMonthly",
        "keepTagged",
        "keepUnder",
        "keepWeekly",
        "keepWithin",
        "keepYearly",
        "largestParts",
        "locate",
        "memoryBackend",
        "not",
        "pathState",
        "planRetention",
        "simulateRetention",
        "withinBudget",
      ]
    `);
    expect(types).toMatchInlineSnapshot(`
      [
        "ArchiveKind",
        "ArchiveOptions",
        "ArchiveStreamOptions",
        "AutosaveHealth",
        "AutosaveKeeper",
        "AutosaveOptions",
        "Autosaver",
        "Backend",
        "CopiedSnapshot",
        "CopySnapshotsOptions",
        "DiffOptions",
        "DifferenceKind",
        "Digest",
        "Durability",
        "Duration",
        "EndPause",
        "EndSignal",
        "EntryBody",
        "EntryChange",
        "EntryDiff",
        "EntryDifference",
        "EntryHistory",
        "EntryInfo",
        "ExportOptions",
        "FailedEvent",
        "FileBackendOptions",
        "FreshReport",
        "HeldState",
        "ImportOptions",
        "JoinedEvent",
        "JsonChange",
        "JsonDifference",
        "JsonValue",
        "KeptSnapshot",
        "KnownSnapshot",
        "LabelChanges",
        "Labels",
        "LargestParts",
        "LargestPartsOptions",
        "LastRun",
        "LatestStatesKeeperOptions",
        "LayoutKind",
        "LoadOptions",
        "LoadReport",
        "LoadedStates",
        "LocateOptions",
        "Manifest",
        "ManifestEntry",
        "ManifestState",
        "PathOrUrl",
        "PathStateMethods",
        "Pause",
        "PauseOptions",
        "PersistentState",
        "PlanRetentionOptions",
        "ProgressOptions",
        "RegisterOptions",
        "RejectionReason",
        "ResumeOptions",
        "ResumeRefusal",
        "ResumeReport",
        "ResumedReport",
        "RetentionCalendar",
        "RetentionCalendarUnit",
        "RetentionChoice",
        "RetentionContext",
        "RetentionDecision",
        "RetentionFunction",
        "RetentionKeeperOptions",
        "RetentionRule",
        "RetentionSnapshot",
        "RoundFacts",
        "SaveCondition",
        "SaveEvent",
        "SaveMoment",
        "SaveOptions",
        "SavePhase",
        "SavePhases",
        "SaveProgress",
        "SaveReason",
        "SavedEvent",
        "SchemaIssue",
        "SchemaResult",
        "SignalOptions",
        "SimulateRetentionOptions",
        "SimulatedMoment",
        "SizedPart",
        "SkipReason",
        "SkippedEvent",
        "SnapshotDiff",
        "SnapshotDifference",
        "SnapshotErrorCode",
        "SnapshotErrorDetails",
        "SnapshotFacts",
        "SnapshotProgress",
        "SnapshotSource",
        "SnapshotStat",
        "StandardSchema",
        "StateDiff",
        "StateDifference",
        "StateHome",
        "StateMigration",
        "StateReader",
        "StateStoreOptions",
        "StateStream",
        "StateWriter",
        "StoreLocation",
        "StreamOptions",
        "SweepOptions",
        "VerifyAllOptions",
        "VerifyFinding",
        "VerifyOptions",
        "VerifyReport",
        "VerifyStep",
        "WriteJsonOptions",
        "WriteOptions",
      ]
    `);
  });

  it("of snapkeep/s3 is what was promised", async () => {
    const { values, types } = surface("src/s3/mod.ts");
    expect(Object.keys(await import("snapkeep/s3")).sort()).toEqual(values);
    expect([...values, ...types]).toEqual(["s3Backend", "S3Backend", "S3Conditions", "S3Credentials", "S3Options"]);
  });

  it("of snapkeep/states is what was promised", async () => {
    const { values, types } = surface("src/states/mod.ts");
    expect(Object.keys(await import("snapkeep/states")).sort()).toEqual(values);
    expect(values).toMatchInlineSnapshot(`
      [
        "Ledger",
        "ProgramClock",
        "Random",
        "Timers",
        "bytesState",
        "fileState",
        "folderState",
        "jsonState",
        "linesState",
        "propertiesState",
        "randomAt",
        "savedClass",
        "sqliteState",
        "structuredState",
        "tensorState",
      ]
    `);
    expect(types).toMatchInlineSnapshot(`
      [
        "Accessors",
        "FolderPreview",
        "FolderState",
        "FolderStateOptions",
        "IgnoreRule",
        "JsonStateOptions",
        "LedgerRecord",
        "LinesAccessors",
        "LinesStateOptions",
        "OnceOptions",
        "ProgramClockOptions",
        "SavedClass",
        "SavedClasses",
        "SchemaInput",
        "SchemaOutput",
        "SqliteAccessors",
        "SqliteDatabase",
        "SqliteStatement",
        "StructuredOptions",
        "Tensor",
        "TensorData",
        "TensorDtype",
        "TimerOptions",
      ]
    `);
  });

  it("of snapkeep/testing is what was promised", async () => {
    const { values, types } = surface("src/testing/mod.ts");
    expect(Object.keys(await import("snapkeep/testing")).sort()).toEqual(values);
    expect(values).toMatchInlineSnapshot(`
      [
        "Faults",
        "assertResumeEquivalent",
        "backendConformance",
        "faultyBackend",
        "faultyFileSystem",
        "forEachFault",
        "nodeFileSystem",
        "stateConformance",
      ]
    `);
    expect(types).toMatchInlineSnapshot(`
      [
        "ConformanceCase",
        "ConformanceContext",
        "ConformanceOptions",
        "FaultCall",
        "FaultPlan",
        "FileKind",
        "FileStat",
        "FileSystem",
        "OpenFile",
        "QuickFile",
        "ResumableProgram",
        "ResumeEquivalenceOptions",
        "ResumeEquivalenceReport",
        "StateConformanceOptions",
      ]
    `);
  });
});
