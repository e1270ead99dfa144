// Writing a unit on a file system: claim the name, write under a hidden name, make durable, publish whole. The order of
// the calls here is the commit sequence; docs/guarantees.md says what each is for.
import { dirname, join } from "node:path";
import type { ByteSource, Scratch, Stage } from "../words/backend.ts";
import { errnoOf, reasonOf, SnapshotError } from "../words/errors.ts";
import { loggerOf } from "../words/logging.ts";
import { isGroup, type Unit, UNIT_SUFFIXES } from "../words/unit.ts";
import { FileScratch, writeFile } from "./file_blob.ts";
import { type FilePlace, pathOfUnit } from "./file_place.ts";
import type { OpenFile } from "./file_system.ts";
import { removeTree } from "./file_tree.ts";
import { Heartbeat } from "./heartbeat.ts";
import { claimName, stageName, tokenName } from "./hidden_name.ts";

// Files being made durable beside the one being written; file systems merge syncs that run side by side.
const SYNCS_IN_FLIGHT = 8;
const TAKEN = new Set(["EEXIST", "ENOTEMPTY", "ENOTDIR", "EISDIR"]);
const NO_LINKS = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "EXDEV", "ENOSYS", "EMLINK"]);

function existsError(name: string, uri: string, reason: string, cause?: unknown): SnapshotError {
  return new SnapshotError("SNAPSHOT_EXISTS", `Cannot save "${name}": ${reason}`, { name, uri }, { cause });
}

/** A unit being written. */
export class FileStage implements Stage {
  readonly unit: Unit;
  readonly #place: FilePlace;
  readonly #name: string;
  readonly #claimPath: string;
  readonly #stagePath: string;
  readonly #heartbeat: Heartbeat;
  readonly #folders = new Map<string, Promise<void>>();
  readonly #writing = new Set<Promise<unknown>>();
  readonly #syncing = new Set<Promise<void>>();
  #failure: unknown;
  #state: "open" | "published" | "abandoned" = "open";

  private constructor(place: FilePlace, unit: Unit, name: string) {
    this.unit = unit;
    this.#place = place;
    this.#name = name;
    this.#claimPath = join(place.root, claimName(name));
    this.#stagePath = join(place.root, stageName(unit));
    this.#heartbeat = new Heartbeat(place.files, this.#claimPath);
  }

  /** Claims the name of a unit, in every layout, and starts its stage. */
  static async claim(place: FilePlace, unit: Unit, name: string): Promise<FileStage> {
    const claimPath = join(place.root, claimName(name));
    try {
      await (await place.files.create(claimPath)).close();
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
      throw existsError(name, pathOfUnit(place, unit), "another writer is saving under this name", error);
    }
    const stage = new FileStage(place, unit, name);
    try {
      // Only after claiming: a writer that published meanwhile kept its claim until its unit was there to be seen.
      for (const suffix of UNIT_SUFFIXES) {
        const path = pathOfUnit(place, name + suffix);
        if (await place.files.stat(path) !== undefined) throw existsError(name, path, `"${path}" is there already`);
      }
      if (isGroup(unit)) await place.files.makeFolder(stage.#stagePath);
      return stage;
    } catch (error) {
      await stage.abandon();
      throw error;
    }
  }

  write(path: string, body: ByteSource): Promise<{ sizeBytes: number }> {
    return this.#track(this.#write(path, body));
  }

  async publish(path: string, body: ByteSource): Promise<void> {
    if (isGroup(this.unit)) await this.#publishGroup(path, body);
    else await this.#publishBlob(body);
    this.#state = "published";
    this.#heartbeat.stop();
    try {
      await this.#place.sync.folder(this.#place.root);
    } catch (cause) {
      const uri = pathOfUnit(this.#place, this.unit);
      const message = `Cannot be sure that "${uri}" survives a power loss: ${reasonOf(cause)}`;
      throw new SnapshotError("COMMIT_UNCERTAIN", message, { uri }, { cause });
    } finally {
      await this.#discard(this.#claimPath);
    }
  }

  async scratch(): Promise<Scratch> {
    return await FileScratch.create(this.#place.files, join(this.#place.root, tokenName("scratch")));
  }

  async abandon(): Promise<void> {
    if (this.#state !== "open") return;
    this.#state = "abandoned";
    this.#heartbeat.stop();
    await Promise.allSettled([...this.#writing, ...this.#syncing]);
    await this.#discard(this.#stagePath);
    await this.#discard(this.#claimPath);
  }

  async #publishGroup(path: string, body: ByteSource): Promise<void> {
    const { files, sync } = this.#place;
    await this.#settleSyncs();
    const deepestFirst = [...this.#folders.keys()].sort((a, b) => b.split("/").length - a.split("/").length);
    for (const folder of deepestFirst) await sync.folder(join(this.#stagePath, folder));
    await this.write(path, body); // the manifest, when all it lists is durable
    await this.#settleSyncs();
    await this.#orLost(() => sync.folder(this.#stagePath));
    // Onto a folder that is not empty this fails; final names are never reserved, so there is no empty one.
    await this.#orLost(() => files.rename(this.#stagePath, pathOfUnit(this.#place, this.unit)));
  }

  async #publishBlob(body: ByteSource): Promise<void> {
    const { files, sync } = this.#place;
    await this.#track((async () => {
      const { file } = await writeFile(files, this.#stagePath, body, () => this.#state === "open");
      await this.#syncAndClose(file, this.#stagePath);
    })());
    const finalPath = pathOfUnit(this.#place, this.unit);
    try {
      await this.#orLost(() => files.link(this.#stagePath, finalPath)); // a rename would overwrite
    } catch (error) {
      if (!NO_LINKS.has(errnoOf(error))) throw error;
      if (await files.stat(finalPath) !== undefined) {
        throw existsError(this.#name, finalPath, `"${finalPath}" is there already`);
      }
      await this.#orLost(() => files.rename(this.#stagePath, finalPath));
      return;
    }
    await this.#discard(this.#stagePath);
  }

  async #write(path: string, body: ByteSource): Promise<{ sizeBytes: number }> {
    if (this.#failure !== undefined) throw this.#failure;
    const fullPath = join(this.#stagePath, path);
    const { file, sizeBytes } = await this.#orLost(async () => {
      if (path.includes("/")) await this.#makeFolder(dirname(path));
      return await writeFile(this.#place.files, fullPath, body, () => this.#state === "open");
    });
    // Synced late and side by side, through the very handle that wrote, or an error could be missed.
    const task = this.#syncAndClose(file, fullPath).catch((error) => {
      this.#failure ??= error;
    }).finally(() => this.#syncing.delete(task));
    this.#syncing.add(task);
    if (this.#syncing.size >= SYNCS_IN_FLIGHT) await Promise.race(this.#syncing);
    return { sizeBytes };
  }

  async #syncAndClose(file: OpenFile, path: string): Promise<void> {
    try {
      await this.#place.sync.file(file, path);
    } catch (error) {
      await file.close().catch(() => {}); // the sync's error is the one to tell
      throw error;
    }
    await file.close();
  }

  async #settleSyncs(): Promise<void> {
    await Promise.all(this.#syncing);
    if (this.#failure !== undefined) throw this.#failure;
  }

  #makeFolder(folder: string): Promise<void> {
    const known = this.#folders.get(folder);
    if (known !== undefined) return known;
    const making = (async () => {
      const parent = dirname(folder);
      if (parent !== ".") await this.#makeFolder(parent);
      await this.#place.files.makeFolder(join(this.#stagePath, folder));
    })();
    this.#folders.set(folder, making);
    return making;
  }

  async #track<T>(work: Promise<T>): Promise<T> {
    this.#writing.add(work);
    try {
      return await work;
    } finally {
      this.#writing.delete(work);
    }
  }

  /** Names the two failures that are no fault of the storage: swept away by others, and outrun by another writer. */
  async #orLost<T>(operation: () => Promise<T>): Promise<T> {
    try {
      return await operation();
    } catch (cause) {
      const errno = errnoOf(cause);
      if (errno === "ENOENT" && await this.#place.files.stat(this.#stagePath) === undefined) {
        const message =
          `Cannot save "${this.#name}": its stage was swept away, because this program gave no sign of life for too long`;
        throw new SnapshotError("STAGE_LOST", message, { unit: this.unit }, { cause });
      }
      const finalPath = pathOfUnit(this.#place, this.unit);
      if (TAKEN.has(errno) && await this.#place.files.stat(finalPath) !== undefined) {
        throw existsError(this.#name, finalPath, `"${finalPath}" is there already`, cause);
      }
      throw cause;
    }
  }

  async #discard(path: string): Promise<void> {
    try {
      await removeTree(this.#place.files, path);
    } catch (error) {
      loggerOf("FileBackend").warn("Cannot remove '{path}', it is left to the next sweep: {error}", { path, error });
    }
  }
}
