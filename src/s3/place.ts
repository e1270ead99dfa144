// What all parts of the backend share: the store, what it respects, and which key holds what.
//
//   <name>.state/<path>         blobs of a group; its manifest.json commits it
//   <name>.state.tar.gz         a single blob, which commits itself
//   .claims/<name>.json         who writes or removes under a name just now
//   .notes/<name>.json          labels; as the file backend has them
//   .locks/<name>.json          who changes labels just now
//   .scratch/<token>/<number>   private room
import { assertSnapshotName } from "../model/entry_path.ts";
import { storageError } from "../model/errors.ts";
import { commitPathOf, nameOfUnit, splitUnit, type Unit } from "../model/unit.ts";
import type { ObjectStore } from "./client.ts";
import { assertConditions, type Conditions, probe } from "./probe.ts";

export const CLAIMS = ".claims/";
export const NOTES = ".notes/";
export const LOCKS = ".locks/";
export const SCRATCH = ".scratch/";
export const PROBES = ".probe/";

/** By endpoint, bucket and prefix: each place is probed once by a program. */
const probes = new Map<string, Promise<Conditions>>();

/** A place on an object store. */
export class S3Place {
  readonly store: ObjectStore;

  constructor(store: ObjectStore) {
    this.store = store;
  }

  /** What the store respects. Probed once. */
  async conditions(): Promise<Conditions> {
    const { endpoint = "", uri } = this.store.address;
    const key = `${endpoint} ${uri}`;
    let found = probes.get(key);
    if (found === undefined) {
      found = probe(this.store);
      probes.set(key, found);
      found.catch(() => probes.delete(key));
    }
    return await found;
  }

  /** The same, where the place is to be written to. */
  async writable(): Promise<Conditions> {
    const conditions = await this.conditions();
    assertConditions(this.store, conditions);
    return conditions;
  }

  /** Key of the blob that commits a unit. */
  commitKey(unit: Unit): string {
    return unit + commitPathOf(unit);
  }
}

/** The key that a note-like object of a name has in a folder. */
export function namedKey(folder: string, name: string): string {
  assertSnapshotName(name);
  return `${folder}${name}.json`;
}

/** The name that such a key stands for; `undefined` for what is none of ours. */
export function nameOfKey(folder: string, key: string): string | undefined {
  return key.endsWith(".json") ? key.slice(folder.length, -".json".length) : undefined;
}

/** The name of a unit; what is no safe unit is refused. */
export function safeNameOf(unit: Unit): string {
  if (splitUnit(unit) === undefined) throw storageError("address", unit, new Error("it is no unit"));
  const name = nameOfUnit(unit);
  assertSnapshotName(name);
  return name;
}
