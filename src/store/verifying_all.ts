// Verifying all that lies at a place: each snapshot alone, and then what only a look at all of them shows.
import { inSlices, mapAhead } from "../runtime/concurrency.ts";
import { showAddress } from "../model/address.ts";
import { isSnapshotError, reasonOf } from "../model/errors.ts";
import type { Manifest } from "../model/snapshot.ts";
import { MANIFEST_PATH } from "../model/unit.ts";
import { matchingStates } from "../snapshot/difference.ts";
import type { SnapshotLocator } from "../snapshot/locator.ts";
import { type VerifyFinding, type VerifyOptions, type VerifyReport, withFindings } from "../snapshot/verification.ts";
import type { Place } from "./place.ts";

// Each reads up to 64 files of a folder concurrently already.
const VERIFIED_AT_ONCE = 2;

/** Verifies all snapshots, in each layout they lie in, in their order; those that vanish meanwhile are left out. */
export async function* verifyAll(place: Place, options: VerifyOptions): AsyncGenerator<VerifyReport, void> {
  const { signal } = options;
  const snapshots = await place.listAll({ signal });
  const verify = (snapshot: SnapshotLocator, signal: AbortSignal) =>
    verifyLayouts(snapshot, place.isTimed(snapshot.name), { ...options, signal });
  for await (const reports of mapAhead(snapshots, verify, VERIFIED_AT_ONCE, signal)) yield* reports;
}

interface Verified {
  readonly locator: SnapshotLocator;
  readonly report: VerifyReport;
  /** Its manifest, where it can be read. */
  readonly manifest: Manifest | undefined;
}

async function verifyLayouts(
  snapshot: SnapshotLocator,
  isTimed: boolean,
  options: VerifyOptions,
): Promise<VerifyReport[]> {
  const reports: VerifyReport[] = [];
  let first: Verified | undefined;
  for (const locator of snapshot.alternatives()) {
    options.signal?.throwIfAborted();
    const verified = await verifyOne(locator, options);
    if (verified === undefined) continue;
    const { report, manifest } = verified;
    reports.push(withFindings(
      report,
      manifest === undefined ? [] : [
        ...isTimed ? findingsOfName(locator, manifest) : [], // a keepsake is called as its keeper likes
        ...first?.manifest === undefined ? [] : await findingsOfLayouts(first.locator, first.manifest, manifest),
      ],
    ));
    if (manifest !== undefined) first ??= verified;
  }
  return reports;
}

/** What one snapshot is, `undefined` where it has gone; a storage that fails here may not fail for the others. */
async function verifyOne(locator: SnapshotLocator, options: VerifyOptions): Promise<Verified | undefined> {
  try {
    const report = await locator.verify(options);
    const isReadable = report.findings.every(({ step }) => step !== "manifest");
    return { locator, report, manifest: isReadable ? await locator.manifest() : undefined };
  } catch (error) {
    options.signal?.throwIfAborted();
    if (!isSnapshotError(error)) throw error;
    if (error.code === "SNAPSHOT_NOT_FOUND" || error.code === "SNAPSHOT_GONE") return undefined;
    const finding = { step: "manifest", problem: "unreadable", path: "", expected: "bytes" } as const;
    const nothing = { uri: String(locator), isWhole: true, findings: [], entries: 0, sizeBytes: 0 };
    return { locator, report: withFindings(nothing, [{ ...finding, actual: reasonOf(error) }]), manifest: undefined };
  }
}

function findingsOfName({ name }: SnapshotLocator, manifest: Manifest): VerifyFinding[] {
  if (manifest.name === name) return [];
  return [{ step: "name", problem: "differs", path: MANIFEST_PATH, expected: manifest.name, actual: name }];
}

async function findingsOfLayouts(
  locator: SnapshotLocator,
  expected: Manifest,
  manifest: Manifest,
): Promise<VerifyFinding[]> {
  // Labels may differ: an export writes those of the note into the copy.
  const isSame = manifest.name === expected.name && manifest.savedAt === expected.savedAt &&
    await inSlices(matchingStates(manifest.states, expected.states));
  if (isSame) return [];
  return [{
    step: "layouts",
    problem: "differs",
    path: MANIFEST_PATH,
    expected: `the states of ${showAddress(locator)}, which is read`,
    actual: "other states",
  }];
}
