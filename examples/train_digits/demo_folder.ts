// The demo's own folder: made, cleared, looked at, and damaged on purpose.
import { mkdir, open, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { LatestStatesKeeper, locate, type SnapshotLocator, StateStore } from "snapkeep";

const MARK = "made-by-the-snapkeep-demo.txt";

/**
 * Makes the folder, or clears away what an earlier demo left in it. Deletes snapshots only, through the library, and only
 * where the demo made the folder itself.
 *
 * @param folder Path of the folder.
 * @param stores The folders of snapshots in it.
 * @param exportFile A single snapshot beside them.
 * @throws {Error} If the demo did not make the folder.
 */
export async function prepareFolder(folder: string, stores: readonly string[], exportFile: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const names = await readdir(folder);
  if (names.length > 0 && !names.includes(MARK)) {
    throw new Error(
      `Cannot use the folder "${folder}": it is not empty, and the demo did not make it; name another one`,
    );
  }
  await writeFile(
    path.join(folder, MARK),
    "The demo of snapkeep made this folder, and clears it whenever it starts.\n",
  );
  for (const states of stores) {
    const store = new StateStore(states);
    await new LatestStatesKeeper(store, 0).cleanup();
    await store.sweep({ olderThanMs: 0 });
    await store.backend.notes.remove("last-run"); // of another demo
  }
  await locate(exportFile).remove();
}

/**
 * Describes the snapshots of a store, a line each, oldest first.
 *
 * @param store The store.
 * @returns The lines.
 */
export async function describeSnapshots(store: StateStore): Promise<string[]> {
  return await Promise.all((await store.list()).map(async (snapshot) => {
    const { layout, storedBytes } = await snapshot.stat();
    const { labels: { step } } = await snapshot.manifest();
    return `${snapshot.name}  ${layout.padEnd(9)}  after batch ${String(step).padStart(4)}  ${kilobytes(storedBytes)}`;
  }));
}

/** A size as people read it. */
export function kilobytes(sizeBytes: number): string {
  return `${Math.round(sizeBytes / 1000)} kB`;
}

/**
 * Does what a failing disk does: flips a single bit in the middle of a snapshot.
 *
 * @param snapshot The victim.
 */
export async function flipBit(snapshot: SnapshotLocator): Promise<void> {
  // An archive is one file; in a directory the entries of a state are the files of its folder.
  const file = snapshot.layout !== "directory"
    ? String(snapshot)
    : path.join(String(snapshot), "network", "parameters.bin");
  const handle = await open(file, "r+");
  try {
    const position = Math.floor((await handle.stat()).size / 2);
    const byte = new Uint8Array(1);
    await handle.read(byte, 0, 1, position);
    byte[0]! ^= 1;
    await handle.write(byte, 0, 1, position);
  } finally {
    await handle.close();
  }
}
