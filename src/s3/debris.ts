// What dead writers and unfinished removals leave, and taking it away. A claim is taken over before anything under its name is
// removed: from then on its old holder can publish nothing. Then its uploads, its blobs, and last the claim itself.
import { STALE_AFTER_MS } from "../model/backend.ts";
import { isGroup, type Unit } from "../model/unit.ts";
import { Claim, type FoundClaim, type Purpose } from "./claim.ts";
import type { ListedObject } from "./client.ts";
import { CLAIMS, LOCKS, nameOfKey, PROBES, type S3Place, safeNameOf, SCRATCH } from "./place.ts";
import { S3Scratch } from "./scratch.ts";
import { removeUploads } from "./upload.ts";

/** A lock is held for a moment, and renewed meanwhile. */
const LOCK_STALE_AFTER_MS = STALE_AFTER_MS;

/** Takes over the claim of a name where its holder is done or dead; `undefined` where it lives. */
export async function takeOver(
  place: S3Place,
  name: string,
  unit: Unit,
  purpose: Purpose,
): Promise<Claim | undefined> {
  while (true) {
    const found = await Claim.find(place, name);
    if (found === undefined) {
      const claim = await Claim.take(place, name, unit, purpose);
      if (claim !== undefined) return claim;
      continue;
    }
    const isDone = await hasCommitted(place, found);
    if (!isDone && found.ageMs < STALE_AFTER_MS) return undefined;
    const claim = await Claim.take(place, name, unit, purpose, found);
    if (claim === undefined) continue; // another was faster
    try {
      if (!isDone && found.unit !== undefined) await cleanUnit(place, found.unit);
    } catch (error) {
      await claim.release({ isLeft: true });
      throw error;
    }
    return claim;
  }
}

/** Whether a claim is one of a writer that has committed: it counts for nothing. */
export async function hasCommitted(place: S3Place, { unit, purpose }: FoundClaim): Promise<boolean> {
  if (unit === undefined || purpose === "remove" || !isSafe(unit)) return false;
  return await place.store.head(place.commitKey(unit)) !== undefined;
}

/** Removes what is left of a unit that is not published; the name must be claimed. */
export async function cleanUnit(place: S3Place, unit: Unit): Promise<void> {
  const { store } = place;
  if (!isSafe(unit)) return;
  const isOurs = (key: string) => isGroup(unit) ? key.startsWith(unit) : key === unit;
  await removeUploads(store, unit, isOurs);
  if (!isGroup(unit) || await store.head(place.commitKey(unit)) !== undefined) return;
  await removeBlobs(place, unit);
}

/** Removes all blobs of a group; the name must be claimed, and its commit blob gone. */
export async function removeBlobs({ store }: S3Place, unit: Unit): Promise<void> {
  while (true) {
    const { objects, next } = await store.page(unit, undefined);
    await store.deleteAll(objects.map(({ key }) => key));
    if (next === undefined) return;
  }
}

/** Removes what has had no heartbeat for `olderThanMs`, as `Backend.sweep` says. */
export async function sweepPlace(place: S3Place, olderThanMs: number): Promise<readonly Unit[]> {
  const { store } = place;
  const isDead = ({ ageMs }: ListedObject) => olderThanMs < 0 || ageMs >= olderThanMs;
  const swept: Unit[] = [];
  for await (const listed of store.list(CLAIMS)) {
    if (!isDead(listed) || olderThanMs >= 0 && Claim.isHeldHere(place, listed.key)) continue;
    const unit = await sweepClaim(place, listed);
    if (unit !== undefined) swept.push(unit);
  }
  await S3Scratch.sweep(store, SCRATCH, olderThanMs);
  for (const folder of [LOCKS, PROBES]) {
    for await (const listed of store.list(folder)) {
      if (listed.ageMs >= Math.max(olderThanMs, LOCK_STALE_AFTER_MS)) await store.delete(listed.key);
    }
  }
  return swept.sort();
}

async function sweepClaim(place: S3Place, listed: ListedObject): Promise<Unit | undefined> {
  const name = nameOfKey(CLAIMS, listed.key);
  if (name === undefined || !isSafe(`${name}/`)) return undefined;
  const found = await Claim.find(place, name);
  if (found === undefined || found.etag !== listed.etag) return undefined; // it lives
  const unit = found.unit ?? `${name}/`;
  const claim = await Claim.take(place, name, unit, "sweep", found);
  if (claim === undefined) return undefined;
  let isLeft = true;
  try {
    const isDone = await hasCommitted(place, found);
    if (found.unit !== undefined) await cleanUnit(place, found.unit);
    isLeft = false;
    return found.purpose === "stage" && !isDone ? found.unit : undefined;
  } finally {
    await claim.release({ isLeft });
  }
}

function isSafe(unit: Unit): boolean {
  try {
    safeNameOf(unit);
    return true;
  } catch {
    return false;
  }
}
