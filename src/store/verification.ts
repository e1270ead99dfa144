// Verification: re-read everything, report, repair nothing. The steps are named, so that a report says what was looked at.
import { mapBounded } from "../words/bounded.ts";
import type { Backend, BlobInfo } from "../words/backend.ts";
import { iterate } from "../words/bytes.ts";
import { isSnapshotError, reasonOf } from "../words/errors.ts";
import type { Layout, UnitReader } from "../words/snapshot.ts";
import { isGroup, MANIFEST_PATH, TABLE_PATH, type Unit } from "../words/unit.ts";
import { SnapshotReader } from "./snapshot_reader.ts";

/** What verification looks at, in this order. */
export type VerifyStep = "manifest" | "inventory" | "content";

/** One problem found. */
export interface Finding {
  /** Step that found it. */
  readonly step: VerifyStep;
  /** What is wrong: an entry is missing, not as recorded, of the wrong kind, or there is one too many. */
  readonly problem: "missing" | "damaged" | "extra" | "wrong-kind";
  /** Which entry or file. */
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
  /** Whether nothing was found. */
  readonly isWhole: boolean;
  /** Everything found, in order of the steps. */
  readonly findings: readonly Finding[];
  /** Entries that were read and compared. */
  readonly entries: number;
  /** Bytes that were read and compared. */
  readonly sizeBytes: number;
}

/** How thoroughly to verify. */
export interface VerifyOptions {
  /** `full` (the default) reads and hashes everything; `quick` compares the inventory with the manifest, reading no entry. */
  readonly mode?: "quick" | "full";
  /** Gives up. */
  readonly signal?: AbortSignal;
}

/** Verifies one unit. Only failures of the storage itself are thrown; what is wrong with the snapshot is a finding. */
export async function verifyUnit(
  backend: Backend,
  layout: Layout,
  unit: Unit,
  options: VerifyOptions = {},
): Promise<VerifyReport> {
  const uri = backend.uri + unit;
  const findings: Finding[] = [];
  let entries = 0;
  let sizeBytes = 0;
  const report = (): VerifyReport => ({ uri, isWhole: findings.length === 0, findings, entries, sizeBytes });

  let opened: UnitReader;
  try {
    opened = await layout.open(backend, unit);
  } catch (error) {
    if (!isDamage(error)) throw error;
    findings.push({
      step: "manifest",
      problem: "damaged",
      path: MANIFEST_PATH,
      expected: "a whole snapshot",
      actual: reasonOf(error),
    });
    return report();
  }
  const reader = new SnapshotReader(uri, opened, () => Promise.resolve(false));
  try {
    const isListed = isGroup(unit) ? await compareInventory(backend, unit, reader, findings) : () => true;
    if (options.mode === "quick") return report();
    await mapBounded(reader.entries, async (entry) => {
      options.signal?.throwIfAborted();
      if (!isListed(entry.path)) return;
      try {
        for await (const _chunk of iterate(reader.stream(entry.path))) options.signal?.throwIfAborted();
        entries++;
        sizeBytes += entry.sizeBytes;
      } catch (error) {
        if (!isDamage(error)) throw error;
        const { expected, actual } = isSnapshotError(error, "SNAPSHOT_CORRUPT")
          ? error.details
          : { expected: entry.digest, actual: reasonOf(error) };
        findings.push({ step: "content", problem: "damaged", path: entry.path, expected, actual });
      }
    }, 8);
    return report();
  } finally {
    await reader.close();
  }
}

const DAMAGE = new Set([
  "SNAPSHOT_CORRUPT",
  "MANIFEST_MISSING",
  "MANIFEST_INVALID",
  "FORMAT_UNSUPPORTED",
  "ARCHIVE_REJECTED",
]);

/** Whether an error speaks of the snapshot's bytes, and not of the way to them. */
export function isDamage(error: unknown): boolean {
  return isSnapshotError(error) && DAMAGE.has(error.code);
}

/** Compares the blobs there are with the manifest; returns which entries are there with the right size. */
async function compareInventory(
  backend: Backend,
  unit: Unit,
  reader: SnapshotReader,
  findings: Finding[],
): Promise<(path: string) => boolean> {
  const blobs = new Map<string, BlobInfo>();
  for await (const blob of backend.blobs(unit)) blobs.set(blob.path, blob);
  const good = new Set<string>();
  for (const { path, sizeBytes } of reader.entries) {
    const blob = blobs.get(path);
    const expected = `${sizeBytes} bytes`;
    const step = "inventory";
    if (blob === undefined) findings.push({ step, problem: "missing", path, expected, actual: "nothing" });
    else if (!blob.isRegular) {
      findings.push({ step, problem: "wrong-kind", path, expected: "a file", actual: "no ordinary file" });
    } else if (blob.sizeBytes !== sizeBytes) {
      findings.push({ step, problem: "damaged", path, expected, actual: `${blob.sizeBytes} bytes` });
    } else good.add(path);
  }
  for (const path of blobs.keys()) {
    if (path === MANIFEST_PATH || path === TABLE_PATH || reader.has(path)) continue;
    findings.push({ step: "inventory", problem: "extra", path, expected: "nothing", actual: "a file" });
  }
  return (path) => good.has(path);
}
