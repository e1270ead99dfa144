// One file of a program's own as a state.
import { dirname, join } from "node:path";
import { lookAt, makeFolders, move, piecesOf, readSteady, realPath, removeName, writeNew } from "../file/real_tree.ts";
import { readPath } from "../model/address.ts";
import { iterate } from "../runtime/bytes.ts";
import type { PersistentState } from "../model/state.ts";
import { SMALL_BYTES } from "./folder/plan.ts";

const PATH = "file.bin";

/**
 * Returns a state that is one file: a database, a log, an input that the program writes itself.
 *
 * A file that changes while it is read is read again; one that keeps changing, or has more than 8 MiB, fails the save. So does a file that
 * is missing. A load writes a new file beside it and renames that into its place, so that it is the old or the new one at any moment; rights
 * stay those of the old one. It makes the folder if that is missing. A link is followed, and stays a link.
 *
 * @param file Path or `file:` URL; made absolute at once.
 * @returns The state, to be registered.
 * @throws {TypeError} If `file` is no path.
 * @example
 * ```ts
 * import { writeFile } from "node:fs/promises";
 * import { StateStore } from "snapkeep";
 * import { fileState } from "snapkeep/states";
 *
 * await writeFile("notes.txt", "learned");
 * const store = new StateStore("states").register("notes", fileState("notes.txt"));
 * const snapshot = await store.saveState();
 * await writeFile("notes.txt", "forgotten");
 * await store.loadState(snapshot);
 * ```
 */
export function fileState(file: string | URL): PersistentState {
  if (!(typeof file === "string" && file !== "" || file instanceof URL)) {
    throw new TypeError("Cannot make a fileState: give it the path of a file");
  }
  const given = readPath(file);
  return {
    async saveState(out) {
      const path = realPath(given);
      const node = lookAt(path);
      if (node === undefined) {
        throw new TypeError(`Cannot save "${path}": there is no file; make it first, or save its folder`);
      }
      if (node.kind !== "file") throw new TypeError(`Cannot save "${path}": it is not an ordinary file`);
      const small = node.sizeBytes <= SMALL_BYTES ? readSteady(path)?.bytes : undefined;
      if (small !== undefined) return await out.write(PATH, small, { owned: true });
      await out.write(PATH, piecesOf(path, node), { sizeBytes: node.sizeBytes });
    },
    async loadState(from) {
      const path = realPath(given);
      const node = lookAt(path);
      if (node !== undefined && node.kind !== "file") {
        throw new TypeError(`Cannot restore "${path}": a ${node.kind} lies there`);
      }
      const fresh = join(dirname(path), `.${crypto.randomUUID()}.snapkeep-restore`);
      makeFolders(dirname(path));
      try {
        await writeNew(fresh, iterate(from.stream(PATH)), {
          mode: node?.mode,
          isExecutable: node?.isExecutable ?? false,
          sync: true,
        });
        move(fresh, path);
      } finally {
        removeName(fresh);
      }
    },
  };
}
