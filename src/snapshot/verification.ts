// Verification: re-read everything, report, repair nothing. The steps are named, so that a report says what was looked at.
import { digesting } from "../runtime/digest.ts";
import { addressOf } from "../model/address.ts";
import type { Backend } from "../model/backend.ts";
import { iterate } from "../runtime/bytes.ts";
import { inSlices, Pace, type Work } from "../runtime/concurrency.ts";
import { isSnapshotError, reasonOf } from "../model/errors.ts";
import { show } from "../model/show.ts";
import {
  type Layout,
  type ManifestEntry,
  type ScannedFile,
  type SealedManifest,
  SMALL_ENTRY_BYTES,
  type UnitReader,
} from "../model/snapshot.ts";
import { assertOptions, type OptionNames } from "../model/options.ts";
import { isGroup, isLeftByDesktop, MANIFEST_PATH, type Unit } from "../model/unit.ts";
import { ProgressCounter, type ProgressOptions } from "./progress.ts";
import { rawOf, SnapshotReader } from "./snapshot_reader.ts";

/**
 * What verification looks at, in this order: the manifest, the files there are, their bytes, the note beside the snapshot; and
 * where a store verifies all it has, whether the snapshot's name is the one it was saved with, and whether a name that lies in
 * several layouts is the same snapshot in each.
 */
export type VerifyStep = "manifest" | "inventory" | "content" | "note" | "name" | "layouts";

const ENTRIES_AT_ONCE = 256; // which take about a millisecond

const STEPS: readonly VerifyStep[] = ["manifest", "inventory", "content", "note", "name", "layouts"];

/** One problem found. */
export interface VerifyFinding {
  /** Step that found it. */
  readonly step: VerifyStep;
  /**
   * What is wrong: an entry is missing, not as recorded, of the wrong kind, or there is one too many; two things differ that
   * should agree; or the storage failed, so that nothing is known (told only where a store verifies all it has).
   */
  readonly problem: "missing" | "damaged" | "extra" | "wrong-kind" | "differs" | "unreadable";
  /** Which entry or file; `note` for the note, empty for the snapshot as a whole. */
  readonly path: string;
  /** What the manifest says. */
  readonly expected: string;
  /** What was found. */
  readonly actual: string;
}

/** Result of a verification. */
export interface VerifyReport {
  /** Address of the snapshot. */
  readonly uri: string;
  /** Whether there are no findings. A damaged note is a finding, even if all bytes of the states are intact. */
  readonly isWhole: boolean;
  /** Everything found, in order of the steps. */
  readonly findings: readonly VerifyFinding[];
  /** Entries that were read, and are as recorded. */
  readonly entries: number;
  /** Bytes of these entries. */
  readonly sizeBytes: number;
}

/** How thoroughly to verify. */
export interface VerifyOptions extends ProgressOptions {
  /**
   * `full` reads and hashes every byte. `quick` compares names and sizes with the manifest and reads no entry. Cost:
   * `full` reads the whole snapshot.
   *
   * @default "full"
   */
  readonly mode?: "quick" | "full";
  /**
   * Aborts the verification.
   *
   * @default none
   */
  readonly signal?: AbortSignal;
}

const VERIFY_OPTIONS: OptionNames<VerifyOptions> = { mode: true, signal: "an AbortSignal", onProgress: "a function" };

/** Throws a TypeError for options that do not exist or cannot be, before anything is read. */
export function assertVerifyOptions(options: VerifyOptions): void {
  assertOptions("verify", options, VERIFY_OPTIONS);
  const { mode } = options;
  if (mode === undefined || mode === "quick" || mode === "full") return;
  throw new TypeError(`Cannot verify in the mode ${show(mode)}: it must be "quick" or "full"`);
}

/** Verifies one unit. Only failures of the storage itself are thrown; what is wrong with the snapshot is a finding. */
export async function verifyUnit(
  backend: Backend,
  layout: Layout,
  unit: Unit,
  options: VerifyOptions = {},
): Promise<VerifyReport> {
  const uri = backend.uri + unit;
  const findings: VerifyFinding[] = [];
  let entries = 0;
  let sizeBytes = 0;
  const report = (): VerifyReport => {
    return withFindings({ uri, isWhole: true, findings: [], entries, sizeBytes }, findings);
  };

  let opened: UnitReader;
  try {
    opened = await layout.open(backend, unit);
    try {
      await opened.sealed.read(); // all of it
      await opened.check();
    } catch (error) {
      await opened.close();
      throw error;
    }
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    const problem = isSnapshotError(error, "MANIFEST_MISSING") ? "missing" : "damaged";
    findings.push({ step: "manifest", problem, path: MANIFEST_PATH, expected: "a manifest", actual: reasonOf(error) });
    return report();
  }
  const reader = new SnapshotReader(uri, opened, () => Promise.resolve(false));
  const isFull = options.mode !== "quick";
  const progress = new ProgressCounter(addressOf(uri), "verify", reader.manifest.totals, options);
  // A group is read blob by blob as it is scanned; an archive is also read the way a load reads it, by its table.
  const readsByTable = isFull && !isGroup(unit);
  const attempt = async (
    step: VerifyStep,
    path: string,
    expected: string,
    look: () => Promise<void>,
  ): Promise<void> => {
    try {
      options.signal?.throwIfAborted();
      await look();
    } catch (error) {
      if (!isDamage(error)) throw error;
      const told = isSnapshotError(error, "SNAPSHOT_CORRUPT") ? error.details : { expected, actual: reasonOf(error) };
      findings.push({ step, problem: "damaged", path, expected: told.expected, actual: told.actual });
    }
  };
  try {
    const listed = await rawOf(reader).sealed.index();
    const pace = new Pace();
    const files = new Map<string, ScannedFile>();
    const ofManifest: VerifyFinding[] = [];
    await attempt("inventory", "", "a sound archive", async () => {
      for await (const file of layout.scan(backend, unit, { ...options, digest: isFull })) {
        if (file.path === MANIFEST_PATH) ofManifest.push(...await inSlices(comparingManifest(opened.sealed, file)));
        else files.set(file.path, file);
        if (!readsByTable && listed.has(file.path)) progress.entry(file.path, file.sizeBytes);
        if (pace.isDue) await pace.rest();
      }
    });
    // An archive that cannot be read to its end has no inventory; its table still tells which entries are damaged.
    if (findings.length === 0) {
      for (const finding of ofManifest) findings.push(finding);
      for (const finding of await inSlices(comparingInventory(listed, files))) findings.push(finding);
    }
    if (!isFull) return report();
    for (const [path, { digest, sizeBytes }] of readsByTable ? listed : []) {
      if (pace.isDue) await pace.rest(); // entries that share a member are read without waiting
      await attempt("content", path, digest, async () => {
        if (sizeBytes <= SMALL_ENTRY_BYTES) {
          await reader.bytes(path);
          return progress.entry(path, sizeBytes);
        }
        for await (const chunk of iterate(reader.stream(path))) {
          options.signal?.throwIfAborted();
          progress.chunk(path, chunk.length);
        }
        progress.entry(path);
      });
    }
    const bad = new Set(findings.map(({ path }) => path));
    for (const [path, entry] of listed) {
      if (pace.isDue) await pace.rest();
      if (bad.has(path)) continue;
      entries++;
      sizeBytes += entry.sizeBytes;
    }
    return report();
  } finally {
    await reader.close();
  }
}

/** A report with more found, in order of the steps. */
export function withFindings(report: VerifyReport, more: readonly VerifyFinding[]): VerifyReport {
  const findings = [...report.findings, ...more].sort((a, b) => STEPS.indexOf(a.step) - STEPS.indexOf(b.step));
  return { ...report, isWhole: findings.length === 0, findings };
}

const DAMAGE = new Set([
  "SNAPSHOT_CORRUPT",
  "MANIFEST_MISSING",
  "MANIFEST_INVALID",
  "ARCHIVE_REJECTED",
]);

/** Whether a snapshot cannot be read by this program: it is damaged, or of a newer format. */
export function isUnreadable(error: unknown): boolean {
  return isDamage(error) || isSnapshotError(error, "FORMAT_UNSUPPORTED");
}

/** Whether an error speaks of the snapshot's bytes, and not of the way to them. */
export function isDamage(error: unknown): boolean {
  return isSnapshotError(error) && DAMAGE.has(error.code);
}

/** Compares the manifest that was opened with the one in sequence, where there is one: a table may point at another. */
function* comparingManifest({ bytes }: SealedManifest, { path, digest }: ScannedFile): Work<VerifyFinding[]> {
  if (digest === undefined) return [];
  const expected = yield* digesting([bytes]);
  return digest === expected ? [] : [{ step: "manifest", problem: "damaged", path, expected, actual: digest }];
}

/** Compares the files there are with the manifest. */
function* comparingInventory(
  listed: ReadonlyMap<string, ManifestEntry>,
  files: ReadonlyMap<string, ScannedFile>,
): Work<VerifyFinding[]> {
  const findings: VerifyFinding[] = [];
  let count = 0;
  for (const [path, { sizeBytes, digest }] of listed) {
    if (count++ % ENTRIES_AT_ONCE === 0) yield;
    const file = files.get(path);
    const found = (step: VerifyStep, problem: VerifyFinding["problem"], expected: string, actual: string) =>
      findings.push({ step, problem, path, expected, actual });
    if (file === undefined) found("inventory", "missing", `${sizeBytes} bytes`, "nothing");
    else if (!file.isRegular) found("inventory", "wrong-kind", "a file", "no ordinary file");
    else if (file.sizeBytes !== sizeBytes) {
      found("inventory", "damaged", `${sizeBytes} bytes`, `${file.sizeBytes} bytes`);
    } else if (file.digest !== undefined && file.digest !== digest) found("content", "damaged", digest, file.digest);
  }
  for (const { path, isRegular } of files.values()) {
    if (count++ % ENTRIES_AT_ONCE === 0) yield;
    if (!listed.has(path) && !(isRegular && isLeftByDesktop(path))) {
      findings.push({ step: "inventory", problem: "extra", path, expected: "nothing", actual: "a file" });
    }
  }
  return findings;
}
