// Saves go to a folder, where they are fast. Copies go to a second store, such as one on an object store. The keeper of the folder
// removes a snapshot only after its copy was verified there.
import { isSnapshotError, LatestStatesKeeper, type SnapshotLocator, type StateStore } from "snapkeep";

/** Copies all snapshots to another store that are not there yet, oldest first, and returns the copies. Run it again after any error. */
export async function copyAll(from: StateStore, to: StateStore): Promise<SnapshotLocator[]> {
  const there = new Set((await to.list()).map(({ name }) => name));
  const copies: SnapshotLocator[] = [];
  for (const snapshot of await from.list()) {
    if (there.has(snapshot.name)) continue;
    try {
      copies.push(await to.importSnapshot(snapshot, { layout: "tar.gz" })); // streamed, and verified on the way
    } catch (error) {
      // The keeper removed it meanwhile, or another program has copied it.
      if (!isSnapshotError(error, "SNAPSHOT_GONE") && !isSnapshotError(error, "SNAPSHOT_EXISTS")) throw error;
    }
  }
  return copies;
}

/** Keeps the latest snapshots, and all whose copy in the other store is missing or damaged. */
export class MirroredStatesKeeper extends LatestStatesKeeper {
  readonly #mirror: StateStore;
  readonly #verified = new Set<string>();

  constructor(store: StateStore, mirror: StateStore, keep: number) {
    super(store, keep);
    this.#mirror = mirror;
  }

  protected override async selectRemovalStates(): Promise<readonly SnapshotLocator[]> {
    const removals = await super.selectRemovalStates();
    const copies = new Map((await this.#mirror.list()).map((copy) => [copy.name, copy]));
    const spared = new Set<SnapshotLocator>();
    for (const snapshot of removals) {
      const copy = copies.get(snapshot.name);
      if (copy !== undefined && (this.#verified.has(copy.name) || (await copy.verify()).isWhole)) {
        this.#verified.add(copy.name);
      } else spared.add(snapshot);
    }
    return removals.filter((snapshot) => !spared.has(snapshot));
  }
}
