// What writers that died have left at a place, for a report. Removes nothing: a sweep decides that by itself.
import { faultOfSnapshotName } from "../model/entry_path.ts";
import { mapBounded } from "../runtime/concurrency.ts";
import { readS3Options, type S3Options } from "./address.ts";
import { Claim } from "./claim.ts";
import { type ListedObject, ObjectStore } from "./client.ts";
import { hasCommitted } from "./debris.ts";
import { CLAIMS, LOCKS, nameOfKey, PROBES, S3Place, SCRATCH } from "./place.ts";

/** A hidden object of a writer, living or dead. */
export interface S3Leftover {
  /** Its key. */
  readonly fileName: string;
  /** What it is. The claim of an unfinished snapshot is a `stage`. */
  readonly kind: "claim" | "lock" | "stage" | "scratch";
  /** Name of the snapshot it belongs to, if it belongs to one. */
  readonly name: string;
  /** Time since its last heartbeat, by the clock of the store, in milliseconds. */
  readonly idleMs: number;
}

/**
 * Lists the names of all groups of objects, also of those that are no snapshots.
 *
 * @param options How the place is reached.
 * @returns The names, without what is hidden.
 * @throws {SnapshotError} If the store fails.
 */
export async function groupsOn(options: S3Options): Promise<string[]> {
  const names: string[] = [];
  for await (const group of new ObjectStore(readS3Options(options)).groups()) {
    if (!/^[./]/.test(group)) names.push(group.slice(0, -1));
  }
  return names;
}

/**
 * Lists the hidden objects of writers. A living writer has some as well: its `idleMs` is small.
 *
 * @param options How the place is reached.
 * @returns What lies there, in order of keys within each kind.
 * @throws {SnapshotError} If the store fails.
 */
export async function leftoversOn(options: S3Options): Promise<S3Leftover[]> {
  const place = new S3Place(new ObjectStore(readS3Options(options)));
  const listed = async (folder: string) => {
    const objects: ListedObject[] = [];
    for await (const object of place.store.list(folder)) objects.push(object);
    return objects;
  };
  const as = (kind: S3Leftover["kind"], name: string) => ({ key, ageMs }: ListedObject): S3Leftover => ({
    fileName: key,
    kind,
    name,
    idleMs: ageMs,
  });
  const claims = await mapBounded(await listed(CLAIMS), async (object): Promise<S3Leftover | undefined> => {
    const name = nameOfKey(CLAIMS, object.key);
    if (name === undefined || faultOfSnapshotName(name) !== undefined) return undefined; // not ours
    const found = await Claim.find(place, name);
    if (found === undefined) return undefined; // released meanwhile
    const isUnfinished = found.purpose === "stage" && !await hasCommitted(place, found);
    return as(isUnfinished ? "stage" : "claim", name)(object);
  });
  return [
    ...claims.filter((claim) => claim !== undefined),
    ...(await listed(LOCKS)).map((object) => as("lock", nameOfKey(LOCKS, object.key) ?? "")(object)),
    ...[...await listed(SCRATCH), ...await listed(PROBES)].map(as("scratch", "")),
  ];
}
