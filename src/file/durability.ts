// What "durable" means on file systems: which syncs are made, and which refusals of a sync are survivable.
import { errnoOf } from "../model/errors.ts";
import { show } from "../model/show.ts";
import { loggerOf } from "../runtime/logging.ts";
import type { FileSystem, OpenFile } from "./file_system.ts";

/** `full`: a snapshot survives power loss once its save resolved. `none`: it survives the end of the program only. */
export type Durability = "full" | "none";

// Network and FUSE file systems that know no sync answer with these. EIO, ENOSPC, EDQUOT and EROFS are never among them.
const UNSUPPORTED = new Set(["ENOTSUP", "EOPNOTSUPP", "EINVAL", "ENOTTY", "ENOSYS"]);

/** Makes files and folders durable, or does not, as asked. */
export class Syncer {
  readonly #files: FileSystem;
  readonly #isOn: boolean;
  #warned = false;

  constructor(files: FileSystem, durability: Durability) {
    if (durability !== "full" && durability !== "none") {
      throw new TypeError(`Cannot use the durability ${show(durability)}: it must be "full" or "none"`);
    }
    this.#files = files;
    this.#isOn = durability === "full";
  }

  /** Makes a file's content durable. */
  async file(file: OpenFile, path: string): Promise<void> {
    if (this.#isOn) await this.#attempt(path, () => file.sync());
  }

  /** Makes a folder's entries durable. */
  async folder(path: string): Promise<void> {
    if (this.#isOn) await this.#attempt(path, () => this.#files.syncFolder(path));
  }

  async #attempt(path: string, sync: () => Promise<void>): Promise<void> {
    try {
      await sync();
    } catch (error) {
      if (!UNSUPPORTED.has(errnoOf(error))) throw error;
      if (!this.#warned) {
        loggerOf("FileBackend").warn("Durability is not available at '{path}': {error}", { path, error });
      }
      this.#warned = true;
    }
  }
}
