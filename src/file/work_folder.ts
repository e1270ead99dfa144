// Real folders for libraries that insist on one: where the store offers none, among the system's temporary files.
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { showAddress } from "../model/address.ts";
import type { BlobInfo, ByteSource, WorkFolder } from "../model/backend.ts";
import { errnoOf, hasNoRoom } from "../model/errors.ts";
import type { StateReader, StateWriter } from "../model/state.ts";
import { FileBlob, writeFile } from "./file_blob.ts";
import { removeTree, walkTree } from "./file_tree.ts";
import { nodeFileSystem } from "./node_file_system.ts";

/** An empty real folder, made at once: in the store's place if it offers one and has room for it, else a temporary one. */
export function workFolderOf(state: Pick<StateWriter | StateReader, "workFolder">): WorkFolder {
  if (state.workFolder === undefined) return temporaryFolder();
  try {
    return state.workFolder();
  } catch (error) {
    if (!hasNoRoom(error)) throw error;
    try {
      return temporaryFolder();
    } catch {
      throw error;
    }
  }
}

function temporaryFolder(): WorkFolder {
  const path = mkdtempSync(join(tmpdir(), "snapkeep-"));
  return {
    path,
    remove: async () => {
      await removeTree(nodeFileSystem, path).catch(() => {}); // the system clears its temporary files some day
    },
  };
}

/** All files below a folder; a link or device among them is a TypeError. */
export async function* filesIn(folder: string): AsyncGenerator<BlobInfo, void> {
  for await (const file of walkTree(nodeFileSystem, folder)) {
    if (!file.isRegular) {
      throw new TypeError(`Cannot save ${showAddress(file.path)}: only ordinary files and folders can be saved`);
    }
    yield file;
  }
}

/** The bytes of a file below a folder. */
export async function* readFrom(folder: string, path: string): AsyncGenerator<Uint8Array, void> {
  const file = await nodeFileSystem.open(join(folder, path));
  const blob = new FileBlob(file, await file.sizeBytes());
  try {
    yield* blob.stream();
  } finally {
    await blob.close();
  }
}

/** Writes a new file below a folder, making the folders it needs. */
export async function writeInto(folder: string, path: string, body: ByteSource): Promise<void> {
  let parent = folder;
  for (const part of dirname(path).split("/")) {
    parent = join(parent, part);
    if (parent === folder) continue;
    try {
      await nodeFileSystem.makeFolder(parent);
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
    }
  }
  const { file } = await writeFile(nodeFileSystem, join(folder, path), body, () => true);
  await file.close();
}
