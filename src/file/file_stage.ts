// Writing a unit on a file system: claim the name, write under a hidden name, make durable, publish whole. The order of
// the calls here is the commit sequence; docs/durability.md explains each.
import { dirname, join } from "node:path";
import { showAddress } from "../model/address.ts";
import { type ByteSource, NAME_IS_HELD, type Scratch, type Stage } from "../model/backend.ts";
import { errnoOf, isSnapshotError, reasonOf, SnapshotError, storageError } from "../model/errors.ts";
import { mapBounded } from "../runtime/concurrency.ts";
import { loggerOf } from "../runtime/logging.ts";
import { isGroup, type Unit, UNIT_SUFFIXES } from "../model/unit.ts";
import { FileScratch, writeFile } from "./file_blob.ts";
import { type FilePlace, orLater, pathOfUnit, sweepName } from "./file_place.ts";
import type { OpenFile } from "./file_system.ts";
import { removeTree } from "./file_tree.ts";
import { assertRoom } from "./free_space.ts";
import { Heartbeat } from "./heartbeat.ts";
import { claimName, stageName, tokenName } from "./hidden_name.ts";

// What is being made durable beside the file being written; file systems merge concurrent syncs.
const SYNCS_IN_FLIGHT = 8;
// EPERM is what Windows says of a rename onto a folder.
const TAKEN = new Set(["EEXIST", "ENOTEMPTY", "ENOTDIR", "EISDIR", "EPERM"]);
const WORTH_A_LOOK_BYTES = 1024 * 1024;
const BLOB_NAME = "blob"; // within the stage of a single-blob unit
// What a link fails with where a rename would fail or do harm. All else may mean that there are no links here: file systems and
// sandboxes say so in many ways (EPERM, ENOTSUP, EACCES on Termux and under SELinux, "Unknown system error -524").
const LINK_FAILED = new Set(["EEXIST", "ENOSPC", "EDQUOT", "EROFS", "ENOENT"]);

function existsError(name: string, uri: string, cause?: unknown, writing?: string): SnapshotError {
  const reason = writing ?? `${showAddress(uri)} exists already; remove it, or choose another name`;
  return new SnapshotError("SNAPSHOT_EXISTS", `Cannot save "${name}": ${reason}`, { name, uri }, { cause });
}

/** A unit being written. */
export class FileStage implements Stage {
  readonly borrows = true;
  readonly unit: Unit;
  readonly #place: FilePlace;
  readonly #name: string;
  readonly #claimPath: string;
  readonly #stagePath: string;
  readonly #heartbeat: Heartbeat;
  readonly #folders = new Map<string, Promise<void>>();
  readonly #writing = new Set<Promise<unknown>>();
  readonly #syncing = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;
  #abandoning: Promise<void> | undefined;
  #hasFolder = false;
  #state: "open" | "published" | "abandoned" = "open";

  private constructor(place: FilePlace, unit: Unit, name: string) {
    this.unit = unit;
    this.#place = place;
    this.#name = name;
    this.#claimPath = join(place.root, claimName(name));
    this.#stagePath = join(place.root, stageName(unit));
    this.#heartbeat = new Heartbeat(place.files, [this.#claimPath], [this.#claimPath, this.#stagePath]);
  }

  /** Claims the name of a unit, in every layout, and starts its stage. */
  static async claim(place: FilePlace, unit: Unit, name: string, allowOtherLayouts: boolean): Promise<FileStage> {
    const claimPath = join(place.root, claimName(name));
    const create = () =>
      place.files.create(claimPath).catch((error) => {
        if (errnoOf(error) !== "EEXIST") throw error;
        throw existsError(name, pathOfUnit(place, unit), error, NAME_IS_HELD);
      });
    const claim = await create().catch(async (error) => {
      if (!isSnapshotError(error, "SNAPSHOT_EXISTS")) throw error;
      await sweepName(place, name); // its writer may be dead, and here perhaps no other program sweeps
      return await create();
    });
    const stage = new FileStage(place, unit, name);
    try {
      await claim.close();
      // Only after claiming: a writer that published meanwhile kept its claim until its unit was there to be seen.
      for (const other of allowOtherLayouts ? [unit] : UNIT_SUFFIXES.map((suffix) => name + suffix)) {
        const path = pathOfUnit(place, other);
        if (await place.look(path) !== undefined) {
          throw existsError(name, path);
        }
      }
      await place.files.makeFolder(stage.#stagePath);
      stage.#hasFolder = true;
      return stage;
    } catch (error) {
      await stage.abandon();
      throw error;
    }
  }

  write(path: string, body: ByteSource, options: { readonly sizeBytes?: number } = {}): Promise<{ sizeBytes: number }> {
    return this.#track(this.#write(path, body, options.sizeBytes));
  }

  publish(path: string, body: ByteSource): Promise<void> {
    return this.#track(this.#publish(path, body));
  }

  async scratch(): Promise<Scratch> {
    return await FileScratch.create(this.#place.files, join(this.#place.root, tokenName("scratch")));
  }

  abandon(): Promise<void> {
    return this.#abandoning ??= this.#abandon();
  }

  async #abandon(): Promise<void> {
    if (this.#state === "open") this.#state = "abandoned";
    // Deleting what is just being published could leave a part of it to be seen.
    while (this.#writing.size + this.#syncing.size > 0) {
      await Promise.allSettled([...this.#writing, ...this.#syncing]); // a write that ends leaves a sync behind
    }
    this.#heartbeat.stop();
    if (this.#state === "published") return;
    // Where the stage was swept, so was the claim, and the one that may be there now is another writer's.
    const wasSwept = this.#hasFolder && await this.#isThere(this.#stagePath) === false;
    if (wasSwept) return;
    await this.#discardStage();
    await this.#releaseClaim();
  }

  async #publish(path: string, body: ByteSource): Promise<void> {
    this.#assertOpen();
    await this.#orLost(() => isGroup(this.unit) ? this.#publishGroup(path, body) : this.#publishBlob(body));
    this.#state = "published";
    this.#heartbeat.stop();
    if (!isGroup(this.unit)) await this.#discardStage();
    try {
      await this.#place.sync.folder(this.#place.root);
    } catch (cause) {
      const uri = pathOfUnit(this.#place, this.unit);
      const message = `Cannot be sure that ${showAddress(uri)} survives a power loss: ${reasonOf(cause)}`;
      throw new SnapshotError("COMMIT_UNCERTAIN", message, { uri }, { cause });
    } finally {
      await this.#releaseClaim();
    }
  }

  async #publishGroup(path: string, body: ByteSource): Promise<void> {
    const { files, sync } = this.#place;
    // All names exist, below a hidden one: files and folders may become durable in any order.
    const folders = [...this.#folders.keys()];
    await this.#beside(mapBounded(folders, (folder) => sync.folder(join(this.#stagePath, folder)), SYNCS_IN_FLIGHT));
    await this.#settleSyncs();
    await this.#write(path, body); // the manifest, when all it lists is durable
    await this.#beside(sync.folder(this.#stagePath));
    await this.#settleSyncs();
    this.#assertOpen();
    // Onto a folder that is not empty this fails; final names are never reserved, so there is no empty one.
    await files.rename(this.#stagePath, pathOfUnit(this.#place, this.unit));
  }

  async #publishBlob(body: ByteSource): Promise<void> {
    const { files } = this.#place;
    const blobPath = join(this.#stagePath, BLOB_NAME);
    const { file } = await writeFile(files, blobPath, body, () => this.#state === "open");
    await this.#syncAndClose(file, blobPath);
    this.#assertOpen();
    const finalPath = pathOfUnit(this.#place, this.unit);
    try {
      await files.link(blobPath, finalPath); // a rename would overwrite
    } catch (error) {
      const found = await files.stat(finalPath, false, true).catch((second) => {
        throw LINK_FAILED.has(errnoOf(error)) ? error : second;
      });
      // It is what was staged: the link was made, and only its answer was lost.
      if (found?.identity !== undefined && found.identity === await this.#identityOf(blobPath)) return;
      if (LINK_FAILED.has(errnoOf(error))) throw error;
      if (found !== undefined) {
        throw existsError(this.#name, finalPath, error);
      }
      await files.rename(blobPath, finalPath);
    }
  }

  #identityOf(path: string): Promise<string | undefined> {
    return this.#place.files.stat(path, false, true).then((stat) => stat?.identity, () => undefined);
  }

  async #write(path: string, body: ByteSource, leastBytes = 0): Promise<{ sizeBytes: number }> {
    this.#assertOpen();
    if (this.#failure !== undefined) throw this.#failure.error;
    const fullPath = join(this.#stagePath, path);
    // States that write one after the other tell only now what comes; small files are not worth a look.
    if (leastBytes >= WORTH_A_LOOK_BYTES) await assertRoom(this.#place.files, this.#stagePath, leastBytes);
    const { file, sizeBytes } = await this.#orLost(async () => {
      if (path.includes("/")) await this.#makeFolder(dirname(path));
      return await writeFile(this.#place.files, fullPath, body, () => this.#state === "open");
    });
    // Synced late and concurrently, through the very handle that wrote, or an error could be missed.
    await this.#beside(this.#syncAndClose(file, fullPath));
    return { sizeBytes };
  }

  /** Lets a sync go on beside what comes next, which throws its failure; waits for one of many. */
  async #beside(sync: Promise<unknown>): Promise<void> {
    const task: Promise<void> = sync.then(() => {}, (error) => {
      this.#failure ??= { error };
    }).finally(() => this.#syncing.delete(task));
    this.#syncing.add(task);
    if (this.#syncing.size >= SYNCS_IN_FLIGHT) await Promise.race(this.#syncing);
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
    if (this.#failure !== undefined) throw this.#failure.error;
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

  #assertOpen(): void {
    if (this.#state === "open") return;
    throw storageError("write", this.#stagePath, new Error(`the stage was ${this.#state}`));
  }

  /** Names the two failures that are no fault of the storage: swept away by others, and outrun by another writer. */
  async #orLost<T>(operation: () => Promise<T>): Promise<T> {
    try {
      return await operation();
    } catch (cause) {
      const errno = errnoOf(cause);
      if (errno === "ENOENT" && await this.#isThere(this.#stagePath) === false) {
        const reason = "a sweep took its writer for dead and removed its stage, or the folder was deleted otherwise";
        const message = `Cannot save "${this.#name}": ${reason}; save again`;
        throw new SnapshotError("STAGE_LOST", message, { unit: this.unit }, { cause });
      }
      const finalPath = pathOfUnit(this.#place, this.unit);
      if (TAKEN.has(errno) && await this.#isThere(finalPath)) {
        throw existsError(this.#name, finalPath, cause);
      }
      throw cause;
    }
  }

  /** Whether there is something at a path; `undefined` if that is unknown. */
  #isThere(path: string): Promise<boolean | undefined> {
    return this.#place.files.stat(path).then((stat) => stat !== undefined, () => undefined);
  }

  async #discardStage(): Promise<void> {
    await orLater(this.#place, this.#stagePath, () => removeTree(this.#place.files, this.#stagePath));
  }

  async #releaseClaim(): Promise<void> {
    const path = this.#claimPath;
    try {
      await removeTree(this.#place.files, path);
    } catch (error) {
      loggerOf("FileBackend").warn("Cannot remove '{path}', it is left to the next sweep: {error}", { path, error });
    }
  }
}
