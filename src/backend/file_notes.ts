// Notes as small files in .notes, each replaced atomically.
import { join } from "node:path";
import type { Notes } from "../words/backend.ts";
import { concat, viewOf } from "../words/bytes.ts";
import { monotonicMs, setTimeout, systemMs } from "../words/clock.ts";
import { assertSnapshotName } from "../words/entry_path.ts";
import { errnoOf, storageError } from "../words/errors.ts";
import { loggerOf } from "../words/logging.ts";
import { FileBlob, writeFile } from "./file_blob.ts";
import type { FilePlace } from "./file_place.ts";
import { removeTree, unlessGone } from "./file_tree.ts";
import { Heartbeat } from "./heartbeat.ts";
import { lockName, NOTES_FOLDER, tokenName } from "./hidden_name.ts";

const SUFFIX = ".json";
const LOCK_STALE_AFTER_MS = 10_000; // it is held for a read and a synced write
const LOCK_LOOK_AGAIN_MS = 10;

/** The notes beside the units of a folder. */
export class FileNotes implements Notes {
  readonly #place: FilePlace;
  readonly #folder: string;
  #isFolderDurable = false;

  constructor(place: FilePlace) {
    this.#place = place;
    this.#folder = join(place.root, NOTES_FOLDER);
  }

  async get(name: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const file = await unlessGone(this.#place.files.open(this.#pathOf(name)));
    if (file === undefined) return undefined;
    const blob = new FileBlob(file, 0);
    try {
      return await new FileBlob(file, await file.sizeBytes()).read(0, Infinity);
    } finally {
      await blob.close();
    }
  }

  async put(name: string, note: Uint8Array): Promise<void> {
    const { files, root, sync } = this.#place;
    const path = this.#pathOf(name);
    try {
      await files.makeFolder(this.#folder);
      this.#isFolderDurable = false;
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
    }
    // Also where it is there already: who made it may have been killed before it was durable.
    if (!this.#isFolderDurable) await sync.folder(root);
    this.#isFolderDurable = true;
    const temporary = join(root, tokenName("scratch"));
    const heartbeat = new Heartbeat(files, temporary);
    try {
      const { file } = await writeFile(files, temporary, [concat([viewOf(note)])], () => true);
      try {
        await sync.file(file, temporary);
      } finally {
        await file.close();
      }
      await files.rename(temporary, path);
    } catch (error) {
      await removeTree(files, temporary).catch(() => {}); // what stays is swept; the first error is the one to tell
      throw error;
    } finally {
      heartbeat.stop();
    }
    await sync.folder(this.#folder);
  }

  async remove(name: string): Promise<void> {
    if (await unlessGone(this.#place.files.removeFile(this.#pathOf(name)).then(() => true))) {
      await this.#place.sync.folder(this.#folder);
    }
  }

  async lock(name: string): Promise<() => Promise<void>> {
    assertSnapshotName(name);
    const { files, root } = this.#place;
    const path = join(root, lockName(name));
    let heartbeat: Heartbeat | undefined;
    const unlock = async () => {
      heartbeat?.stop();
      try {
        await removeTree(files, path);
      } catch (error) {
        loggerOf("FileBackend").warn("Cannot remove '{path}', it is left to the next sweep: {error}", { path, error });
      }
    };
    let seen: { readonly modifiedAtMs: number; readonly sinceMs: number } | undefined;
    while (true) {
      const file = await files.create(path).catch((error) => {
        if (errnoOf(error) !== "EEXIST") throw error;
      });
      if (file !== undefined) {
        heartbeat = new Heartbeat(files, path);
        try {
          await file.close();
          return unlock;
        } catch (error) {
          await unlock();
          throw error;
        }
      }
      const stat = await files.stat(path);
      if (stat === undefined) continue;
      if (stat.kind !== "file" || stat.sizeBytes > 0) {
        throw storageError("lock", path, new Error("what lies there is another program's"));
      }
      const { modifiedAtMs } = stat;
      if (seen?.modifiedAtMs !== modifiedAtMs) seen = { modifiedAtMs, sinceMs: monotonicMs() };
      // Clocks may jump, so a lock that was watched for as long is stale too, whatever its time says.
      const ageMs = Math.max(systemMs() - modifiedAtMs, monotonicMs() - seen.sinceMs);
      if (ageMs > LOCK_STALE_AFTER_MS) await unlessGone(files.removeFile(path));
      else await new Promise((resolve) => setTimeout(resolve, LOCK_LOOK_AGAIN_MS));
    }
  }

  async *list(): AsyncGenerator<string, void> {
    const names = await unlessGone(this.#place.files.readFolder(this.#folder)) ?? [];
    for (const name of names.sort()) if (name.endsWith(SUFFIX)) yield name.slice(0, -SUFFIX.length);
  }

  #pathOf(name: string): string {
    assertSnapshotName(name);
    return join(this.#folder, name + SUFFIX);
  }
}
