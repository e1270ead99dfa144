// For libraries that insist on a real folder: a state that saves to one and loads from one. The folder lies in the store's
// own place where that is a folder, else among the system's temporary files.
import { filesIn, readFrom, workFolderOf, writeInto } from "../file/work_folder.ts";
import type { PersistentState, StateReader, StateWriter } from "../model/state.ts";
import { iterate } from "../runtime/bytes.ts";
import { isSnapshotError, reasonOf, SnapshotError, storageError } from "../model/errors.ts";

/** The two functions of a library that saves to a folder. */
export interface PathStateMethods {
  /** Writes files into an empty folder, sub-folders included; called once per save. */
  save(folder: string): void | Promise<void>;
  /** Reads the files that `save` wrote; the folder is gone afterwards. */
  load(folder: string): void | Promise<void>;
}

/**
 * Makes a state of two functions that need a real folder.
 *
 * Where the store's place has no room to give, as when it is read-only, the folder lies among the system's temporary files. Where
 * `save` finds it full (ENOSPC, EDQUOT), the save of the store fails with `STORAGE_FULL`.
 *
 * Empty folders are not saved. What `save` writes before its first await belongs to the instant of the save, the rest to whenever it is written.
 *
 * @param methods Saves to a folder, loads from one.
 * @returns The state, to be registered.
 * @throws {TypeError} If a method is missing.
 * @example
 * ```ts
 * import { readFile, writeFile } from "node:fs/promises";
 * import { pathState, StateStore } from "snapkeep";
 *
 * let text = "learned";
 * const notes = pathState({
 *   save: (folder) => writeFile(`${folder}/notes.txt`, text),
 *   load: async (folder) => void (text = await readFile(`${folder}/notes.txt`, "utf8")),
 * });
 * const store = new StateStore("states").register("notes", notes);
 * await store.loadState(await store.saveState());
 * ```
 */
export function pathState(methods: PathStateMethods): PersistentState {
  if (typeof methods?.save !== "function" || typeof methods.load !== "function") {
    throw new TypeError("Cannot make a state of a folder: it needs the methods save and load");
  }
  return {
    async saveState(out: StateWriter) {
      const folder = workFolderOf(out);
      try {
        await methods.save(folder.path);
        for await (const { path, sizeBytes } of filesIn(folder.path)) {
          await out.write(path, readFrom(folder.path, path), { sizeBytes });
        }
      } catch (error) {
        throw orFull(error, out.name, folder.path);
      } finally {
        await folder.remove();
      }
    },
    async loadState(from: StateReader) {
      const folder = workFolderOf(from);
      try {
        for (const { path } of from.entries) await writeInto(folder.path, path, iterate(from.stream(path)));
        await methods.load(folder.path);
      } finally {
        await folder.remove();
      }
    },
  };
}

/** The lack of room as the storage's failure, which can be helped; any other error is the state's own. */
function orFull(error: unknown, state: string, folder: string): unknown {
  if (isSnapshotError(error)) return error;
  const failure = storageError("save", folder, error);
  if (!isSnapshotError(failure, "STORAGE_FULL")) return error;
  const message = `Cannot save the state "${state}": ${reasonOf(error)}`;
  return new SnapshotError("STORAGE_FULL", message, failure.details, { cause: error });
}
