// Notes as small files in .notes, each replaced atomically.
import { join } from "node:path";
import type { LockOptions, NoteOptions, SnapshotNotes } from "../model/backend.ts";
import { concat, viewOf } from "../runtime/bytes.ts";
import { assertSnapshotName } from "../model/entry_path.ts";
import { errnoOf } from "../model/errors.ts";
import { readBytes } from "../runtime/reading.ts";
import { Syncer } from "./durability.ts";
import { FileBlob } from "./file_blob.ts";
import { type FilePlace, replaceFile } from "./file_place.ts";
import { unlessGone } from "./file_tree.ts";
import { NOTES_FOLDER } from "./hidden_name.ts";
import { lockNote } from "./note_lock.ts";

const SUFFIX = ".json";

/** The notes beside the units of a folder. */
export class FileNotes implements SnapshotNotes {
  readonly #place: FilePlace;
  readonly #folder: string;
  #isFolderDurable = false;

  constructor(place: FilePlace) {
    this.#place = place;
    this.#folder = join(place.root, NOTES_FOLDER);
  }

  async get(name: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const path = this.#pathOf(name);
    if (await this.#place.look(path) === undefined) return undefined; // as most are
    const file = await unlessGone(this.#place.files.open(path));
    if (file === undefined) return undefined;
    const blob = new FileBlob(file, 0);
    try {
      return await readBytes(new FileBlob(file, await file.sizeBytes()));
    } finally {
      await blob.close();
    }
  }

  async put(name: string, note: Uint8Array, options: NoteOptions = {}): Promise<void> {
    const { files, root } = this.#place;
    const sync = options.sync === false ? new Syncer(files, "none") : this.#place.sync;
    const path = this.#pathOf(name);
    try {
      await files.makeFolder(this.#folder);
      this.#isFolderDurable = false;
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
    }
    // Also where it is there already: who made it may have been killed before it was durable.
    if (!this.#isFolderDurable) await sync.folder(root);
    this.#isFolderDurable ||= sync === this.#place.sync;
    await replaceFile({ ...this.#place, sync }, path, [concat([viewOf(note)])]);
  }

  async remove(name: string): Promise<void> {
    if (await unlessGone(this.#place.files.removeFile(this.#pathOf(name)).then(() => true))) {
      await this.#place.sync.folder(this.#folder);
    }
  }

  async lock(name: string, { wait = true }: LockOptions = {}): Promise<(() => Promise<void>) | undefined> {
    assertSnapshotName(name);
    return await lockNote(this.#place, name, wait);
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
