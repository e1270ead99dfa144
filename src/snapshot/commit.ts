// Reads the commit of a snapshot and no entry: a manifest, or the end of an archive. Retention asks for the facts again and again,
// so they are read once a commit: its stamp, or the end of its bytes, tells whether another has come in its place.
import { layoutOfUnit } from "../layout/layouts.ts";
import type { Backend, BlobReader } from "../model/backend.ts";
import type { SnapshotFacts, UnitSource } from "../model/snapshot.ts";
import { commitPathOf, isGroup, type Unit } from "../model/unit.ts";
import { digestOf } from "../runtime/digest.ts";
import { readBytes } from "../runtime/reading.ts";

// In the end of a manifest lies its digest, and in that of an archive the table, whose last row is the manifest's.
const ENDING_BYTES = 4096;

// Commits that are read without waiting follow each other in one turn of the event loop, so each of several at once only holds it up
// longer. Where the storage turns out to be slow, the thread pool has four threads.
const GLANCED_AT_ONCE = 8;
const AWAITED_AT_ONCE = 32;

interface Commit {
  readonly stamp: string | undefined;
  readonly ending: string | undefined;
}

// The commits that facts were read of.
const commits = new WeakMap<SnapshotFacts, Commit>();

/** Stamps of commits, as a listing told them, by locator. */
export const listedStamps: WeakMap<object, string> = new WeakMap();

/** Tells whether the commit that facts were read of was listed with the same stamp when the locator was made. */
export function isAsListed(locator: object, facts: SnapshotFacts): boolean {
  const stamp = listedStamps.get(locator);
  return stamp !== undefined && stamp === commits.get(facts)?.stamp;
}

/** How many commits of a backend are to be read at once. */
export function commitsAtOnce(backend: Backend): number {
  return backend.glance === undefined ? AWAITED_AT_ONCE : GLANCED_AT_ONCE;
}

/** Reads the facts; returns those that are known where the commit that they were read of is still there. */
export async function readFacts(
  backend: Backend,
  unit: Unit,
  stamp: string | undefined,
  known: SnapshotFacts | undefined,
): Promise<SnapshotFacts> {
  const commit = known && commits.get(known);
  // Where a stamp tells, the end of the bytes need not.
  const ending = stamp === undefined || commit?.ending !== undefined ? await endingOf(backend, unit) : undefined;
  if (known !== undefined && ending !== undefined && ending === commit?.ending) {
    commits.set(known, { stamp, ending });
    return known;
  }
  let commitBytes: number | undefined;
  const reader = await layoutOfUnit(unit).open(glancing(backend, (sizeBytes) => commitBytes ??= sizeBytes), unit);
  await reader.close();
  const { savedAt, totals, program, labels: { tags, metrics, step, pinned } } = await reader.sealed.read();
  const sizeBytes = isGroup(unit) ? totals.sizeBytes : commitBytes;
  const facts = { savedAtMs: Date.parse(savedAt), sizeBytes, tags, metrics, step, pinned, program };
  commits.set(facts, { stamp, ending });
  return facts;
}

/** The backend, for a reader of no more than the commit. */
export function glancing(
  backend: Backend,
  onOpen: (sizeBytes: number | undefined) => void = () => {},
): UnitSource {
  return {
    uri: backend.uri,
    blobs: (unit) => backend.blobs(unit),
    scratch: () => backend.scratch(),
    open: async (unit, path) => {
      const blob = await glanceOrOpen(backend, unit, path);
      onOpen(blob?.sizeBytes);
      return blob;
    },
  };
}

async function glanceOrOpen(backend: Backend, unit: Unit, path?: string): Promise<BlobReader | undefined> {
  return backend.glance?.(unit, path) ?? await backend.open(unit, path);
}

/** Tells one commit from another that came in its place, as an import does; `undefined` where there is none. */
async function endingOf(backend: Backend, unit: Unit): Promise<string | undefined> {
  const blob = await glanceOrOpen(backend, unit, commitPathOf(unit));
  if (blob === undefined) return undefined;
  try {
    const { sizeBytes } = blob;
    return `${sizeBytes} ${digestOf(await readBytes(blob, Math.max(0, sizeBytes - ENDING_BYTES), ENDING_BYTES))}`;
  } finally {
    await blob.close();
  }
}
