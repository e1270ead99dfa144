// Units in a folder of the file system: X.state/ is a folder, X.state.tar.gz a file, all else has a dot-name.
import { dirname, join, sep } from "node:path";
import { pathToFileURL } from "node:url";
import type {
  Backend,
  BlobInfo,
  BlobReader,
  ForeignFolders,
  Journal,
  ListOptions,
  Scratch,
  SnapshotNotes,
  Stage,
  StageOptions,
  WorkFolder,
} from "../model/backend.ts";
import { mapBounded, Pace } from "../runtime/concurrency.ts";
import { assertSnapshotName } from "../model/entry_path.ts";
import { errnoOf, isNotAllowed, storageError } from "../model/errors.ts";
import { warnUser } from "../runtime/logging.ts";
import { assertNumber, assertOptions, type OptionNames } from "../model/options.ts";
import { type PathOrUrl, readPath, showAddress } from "../model/address.ts";
import { isGroup, MANIFEST_PATH, nameOfUnit, splitUnit, suffixOf, type Unit } from "../model/unit.ts";
import { type Durability, Syncer } from "./durability.ts";
import { FileBlob, FileScratch, GlancedBlob } from "./file_blob.ts";
import { type FilePlace, pathOfUnit, removeToTrash, sweepPlace } from "./file_place.ts";
import { FileStage } from "./file_stage.ts";
import type { FileKind, FileStat, FileSystem, QuickFile } from "./file_system.ts";
import { removeTree, unlessGone, walkTree } from "./file_tree.ts";
import { assertNoSnapshot } from "./free_folder.ts";
import { assertRoom } from "./free_space.ts";
import { FileJournal } from "./file_journal.ts";
import { FileNotes } from "./file_notes.ts";
import { Haste } from "./haste.ts";
import { Heartbeat } from "./heartbeat.ts";
import { lendSmallFiles, TOLD_BY_OPENING } from "./small_files.ts";
import { tokenName } from "./hidden_name.ts";
import { nodeFileSystem } from "./node_file_system.ts";
import { modeOf, privateFileSystem } from "./private_file_system.ts";

const ABSENT = new Set(["ENOENT", "ENOTDIR"]);
const LISTED_AT_ONCE = 256;
const FEW_NAMES = 512; // which take less than a millisecond to list
const NOWHERE = "it is a link that leads nowhere";
// Made by file systems themselves at the root of a volume; often only the system may read them.
const OF_FILE_SYSTEMS = new Set(["lost+found", "System Volume Information", "$RECYCLE.BIN"]);

/** How a {@link fileBackend} keeps snapshots. */
export interface FileBackendOptions {
  /**
   * `full`: a snapshot survives power loss after its save resolves. `none`: it survives the end of the program, but
   * not of the machine. Cost: `full` syncs each file and folder of a directory, and an archive twice.
   *
   * @default "full"
   */
  readonly durability?: Durability;
  /**
   * Permissions of folders that the backend creates, such as `0o700` for a private folder. Files get the same
   * without execute permission. The root folder gets them if the backend creates it; existing folders, folders above
   * it and exports do not. Cost: up to three system calls per file and folder.
   *
   * @default `0o777` and `0o666`, less the umask of the process
   */
  readonly mode?: number;
  /**
   * Another file system, for tests that inject failures.
   *
   * @default the file system of the runtime
   */
  readonly fileSystem?: FileSystem;
}

const FILE_OPTIONS: OptionNames<FileBackendOptions> = { durability: true, mode: true, fileSystem: "an object" };
/** A unit as listed, with the stamp of its commit where the file system tells it. */
interface Commit {
  readonly unit: Unit;
  readonly stamp?: string | undefined;
}

class FileBackend implements Backend {
  readonly uri: string;
  readonly notes: SnapshotNotes;
  readonly foreign: ForeignFolders;
  readonly workFolder?: () => WorkFolder;
  readonly journal?: (name: string) => Journal;
  readonly #place: FilePlace;
  readonly #prefix: string;
  // Folders whose entries are to be made durable before anything is saved below them. The place's own is among them also
  // where it is there already: who made it may have been killed before it was durable.
  readonly #unsyncedParents = new Set<string>();
  /** Absent until the place was listed: a mount that hangs must not stop the program. */
  #haste: Haste | undefined;
  /** How many names the place had the last time; infinite before, for the same reason. */
  #namesBefore = Infinity;
  #isFree: boolean;

  constructor(root: string, options: FileBackendOptions) {
    const system = options.fileSystem ?? nodeFileSystem;
    const files = options.mode === undefined ? system : privateFileSystem(system, root, modeOf(options.mode));
    const look = async (path: string, followsLink = false) => {
      const haste = this.#haste;
      if (files.statNow === undefined || !haste?.pays) return await files.stat(path, followsLink);
      return haste.look(() => files.statNow?.(path, followsLink));
    };
    this.#place = { root, files, sync: new Syncer(files, options.durability ?? "full"), look };
    this.#prefix = root.endsWith(sep) ? root : root + sep;
    const uri = pathToFileURL(root).href;
    this.uri = uri.endsWith("/") ? uri : `${uri}/`;
    this.#unsyncedParents.add(dirname(root));
    this.#isFree = system !== nodeFileSystem; // another file system has other paths
    this.notes = new FileNotes(this.#place);
    if (system === nodeFileSystem) this.workFolder = () => this.#workFolder();
    if (files.openToAppend !== undefined) this.journal = (name) => this.#journal(name);
    this.foreign = { list: () => this.#foreign(), remove: (name) => this.#removeForeign(name) };
  }

  async create(): Promise<boolean> {
    this.#assertFree();
    const isNew = await this.#createFolder(this.#place.root);
    await this.#syncParents();
    return isNew;
  }

  async *list(options: ListOptions = {}): AsyncGenerator<Unit, void> {
    this.#assertFree();
    const { after = "", signal, onStamp } = options;
    // A folder's unit ends with a slash, so it may come after `after` though its file name does not.
    const names = (await this.#visibleNames()).filter((name) => `${name}/` > after);
    const units: Unit[] = [];
    const add = (commit: Commit | undefined): void => {
      if (commit === undefined || commit.unit <= after) return;
      units.push(commit.unit);
      if (commit.stamp !== undefined) onStamp?.(commit.unit, commit.stamp);
    };
    const others: string[] = [];
    const pace = new Pace();
    this.#haste = new Haste();
    for (const name of names) {
      signal?.throwIfAborted();
      const commit = this.#commitNow(name);
      if (commit === undefined) others.push(name);
      else add(commit);
      if (pace.isDue) await pace.rest();
    }
    for (let begin = 0; begin < others.length; begin += LISTED_AT_ONCE) {
      signal?.throwIfAborted();
      (await mapBounded(others.slice(begin, begin + LISTED_AT_ONCE), (name) => this.#commit(name))).forEach(add);
    }
    yield* units.sort();
  }

  async *blobs(unit: Unit): AsyncGenerator<BlobInfo, void> {
    const path = this.#pathOf(unit);
    const { files } = this.#place;
    const stat = await files.stat(path, true);
    if (stat === undefined) return;
    if (isGroup(unit)) {
      if (stat.kind === "folder") yield* walkTree(files, path);
    } else yield { path: "", sizeBytes: stat.sizeBytes, isRegular: stat.kind === "file" };
  }

  async open(unit: Unit, path = ""): Promise<BlobReader | undefined> {
    const { files } = this.#place;
    const unitPath = this.#pathOf(unit);
    const fullPath = join(unitPath, path);
    const isUnit = path === ""; // which may be a link to where there is more room; what lies within a unit may not
    // A keeper asks for the units that a name could have: most are not there, and a look tells.
    const isCommit = isUnit || path === MANIFEST_PATH;
    if (isCommit && this.#haste !== undefined && await this.#place.look(unitPath) === undefined) return undefined;
    try {
      const file = await files.open(fullPath, isUnit);
      try {
        return new FileBlob(file, await file.sizeBytes());
      } catch (error) {
        await file.close().catch(() => {});
        throw error;
      }
    } catch (error) {
      if (ABSENT.has(errnoOf(error))) {
        if (await leadsNowhere(files, unitPath)) throw storageError("open", unitPath, new Error(NOWHERE));
        return undefined;
      }
      // A link or folder in the place of a file is no blob.
      const stat = await files.stat(fullPath, isUnit).catch(() => {
        throw error;
      });
      if (stat === undefined || stat.kind !== "file") return undefined;
      throw error;
    }
  }

  glance(unit: Unit, path = ""): BlobReader | undefined {
    const { files } = this.#place;
    const fullPath = join(this.#pathOf(unit), path);
    const haste = this.#haste;
    if (files.openNow === undefined || !haste?.pays) return undefined;
    try {
      return new GlancedBlob(haste.look(() => files.openNow?.(fullPath, path === "") as QuickFile));
    } catch (error) {
      if (!TOLD_BY_OPENING.has(errnoOf(error))) throw error;
      return undefined;
    }
  }

  lendSmall(unit: Unit, paths: Iterable<string>, mostBytes: number): AsyncIterable<(Uint8Array | undefined)[]> {
    const unitPath = this.#pathOf(unit);
    const fullPaths = function* () {
      for (const path of paths) yield join(unitPath, path);
    };
    return lendSmallFiles(this.#place.files, fullPaths(), mostBytes);
  }

  async stage(unit: Unit, options: StageOptions = {}): Promise<Stage> {
    this.#assertFree();
    this.#pathOf(unit);
    const claim = () => FileStage.claim(this.#place, unit, nameOfUnit(unit), options.allowOtherLayouts ?? false);
    const stage = await this.#inPlace(claim);
    try {
      await assertRoom(this.#place.files, this.#place.root, options.leastBytes ?? 0);
      await this.#syncParents();
      return stage;
    } catch (error) {
      await stage.abandon();
      throw error;
    }
  }

  async scratch(): Promise<Scratch> {
    this.#assertFree();
    const { files, root } = this.#place;
    const path = join(root, tokenName("scratch"));
    return await FileScratch.create(files, path, () => this.#inPlace(() => files.create(path)));
  }

  async remove(unit: Unit): Promise<boolean> {
    return await removeToTrash(this.#place, this.#pathOf(unit));
  }

  async sweep(olderThanMs: number): Promise<readonly Unit[]> {
    assertNumber("sweep", "olderThanMs", olderThanMs);
    this.#assertFree();
    return await sweepPlace(this.#place, await this.#fileNames(), olderThanMs);
  }

  async freeBytes(): Promise<number | undefined> {
    return await this.#place.files.freeBytes?.(this.#place.root);
  }

  /** Throws a TypeError where the place is a snapshot or inside one; looks once. */
  #assertFree(): void {
    if (!this.#isFree) assertNoSnapshot(this.#place.root);
    this.#isFree = true;
  }

  #journal(name: string): Journal {
    assertSnapshotName(name);
    return new FileJournal(this.#place, name, () => this.create());
  }

  #workFolder(): WorkFolder {
    this.#assertFree();
    const { files, root } = this.#place;
    const path = join(root, tokenName("work"));
    this.#makeFoldersNow(path);
    const heartbeat = new Heartbeat(files, [path]);
    return {
      path,
      remove: async () => {
        heartbeat.stop();
        await removeTree(files, path).catch(() => {}); // what stays is swept
      },
    };
  }

  /** Makes something in the place; the place before it, where that is missing. */
  async #inPlace<T>(make: () => Promise<T>): Promise<T> {
    try {
      return await make();
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
      await this.create();
      return await make();
    }
  }

  /** Makes missing folders from the top down, and remembers the parents in which they are to be made durable. */
  async #createFolder(path: string, hasParent = false): Promise<boolean> {
    const { files } = this.#place;
    try {
      await files.makeFolder(path);
    } catch (error) {
      // Once: some folders, those of /proc for instance, say so of whatever is to be made in them.
      if (errnoOf(error) === "ENOENT" && dirname(path) !== path && !hasParent) {
        await this.#createFolder(dirname(path));
        return await this.#createFolder(path, true);
      }
      const stat = await files.stat(path).catch((second) => {
        throw errnoOf(error) === "EEXIST" ? second : error;
      });
      if (stat?.kind === "folder") return false;
      // A link to a folder is a fine place for units.
      if (errnoOf(error) === "EEXIST" && await files.readFolder(path).then(() => true, () => false)) return false;
      throw error;
    }
    this.#madeIn(dirname(path));
    return true;
  }

  #madeIn(parent: string): void {
    this.#unsyncedParents.delete(parent); // what is made first is synced first
    this.#unsyncedParents.add(parent);
  }

  async #syncParents(): Promise<void> {
    for (const parent of this.#unsyncedParents) {
      await this.#syncParent(parent);
      this.#unsyncedParents.delete(parent); // only now: if the sync failed, the next save must not take it for durable
    }
  }

  async #syncParent(path: string): Promise<void> {
    try {
      await this.#place.sync.folder(path);
    } catch (error) {
      if (!isNotAllowed(error)) throw error;
      const { root } = this.#place;
      const reason = `${showAddress(path)} may not be read by this program, so it cannot be synced`;
      const message = `Cannot be sure that ${
        showAddress(root)
      } survives a power loss if it is new: ${reason}; allow it to read that folder`;
      warnUser({ className: "FileBackend", kind: "PARENT_NOT_SYNCED", address: root, message });
    }
  }

  #makeFoldersNow(path: string): void {
    try {
      this.#place.files.makeFolderNow(path);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT" || dirname(path) === path) throw error;
      this.#makeFoldersNow(dirname(path));
      this.#madeIn(dirname(dirname(path))); // synced by the next stage
      this.#place.files.makeFolderNow(path);
    }
  }

  async #fileNames(): Promise<string[]> {
    const { files, root } = this.#place;
    const names = await unlessGone(files.readFolder(root, this.#namesBefore <= FEW_NAMES));
    // A disk that is not mounted is not an empty place.
    if (names === undefined && await leadsNowhere(files, root)) throw storageError("list", root, new Error(NOWHERE));
    this.#namesBefore = names?.length ?? Infinity;
    return names ?? [];
  }

  async #visibleNames(): Promise<string[]> {
    return (await this.#fileNames()).filter((name) => !name.startsWith(".") && !OF_FILE_SYSTEMS.has(name)).sort();
  }

  /** As `#commit`, where a single look without waiting tells that there is one. */
  #commitNow(fileName: string): Commit | undefined {
    const { files } = this.#place;
    const haste = this.#haste;
    if (files.statNow === undefined || !haste?.pays) return undefined;
    const { unit, path, isArchive } = this.#commitPath(fileName);
    try {
      const commit = haste.look(() => files.statNow?.(path, isArchive));
      return commit?.kind === "file" ? { unit, stamp: commit.stamp } : undefined;
    } catch {
      return undefined;
    }
  }

  /** The unit of a name, if there is one; what cannot be looked at counts as one, for opening it tells more. */
  async #commit(fileName: string): Promise<Commit | undefined> {
    const { files, root } = this.#place;
    const { unit, path, isArchive } = this.#commitPath(fileName);
    const unitPath = join(root, fileName);
    let commit: FileStat | undefined;
    try {
      commit = await files.stat(path, isArchive);
    } catch {
      const kind = isArchive ? "unknown" : await kindAt(files, unitPath, true);
      return kind === "folder" || kind === "unknown" ? { unit } : undefined;
    }
    if (commit?.kind === "file") return { unit, stamp: commit.stamp };
    return commit === undefined && await leadsNowhere(files, unitPath) ? { unit } : undefined;
  }

  /** Where the commit of a unit of such a name lies. */
  #commitPath(fileName: string): { readonly unit: Unit; readonly path: string; readonly isArchive: boolean } {
    // Of thousands of files that are listed, join would take as long as looking at them.
    const path = this.#prefix + fileName;
    return splitUnit(fileName) === undefined
      ? { unit: `${fileName}/`, path: path + sep + MANIFEST_PATH, isArchive: false }
      : { unit: fileName, path, isArchive: true };
  }

  async *#foreign(): AsyncGenerator<{ name: string; modifiedAtMs: number }, void> {
    this.#assertFree();
    for (const name of await this.#visibleNames()) {
      if ((this.#commitNow(name) ?? await this.#commit(name)) !== undefined) continue;
      const stat = await this.#place.files.stat(join(this.#place.root, name));
      if (stat?.kind === "folder") yield { name, modifiedAtMs: stat.modifiedAtMs };
    }
  }

  async #removeForeign(name: string): Promise<boolean> {
    const path = this.#pathOf(`${name}/`);
    const stat = await this.#place.files.stat(path);
    if (stat?.kind !== "folder" || await this.#commit(name) !== undefined) return false;
    return await removeToTrash(this.#place, path);
  }

  /** A unit's path; what is no safe name directly in the root is refused before any I/O. */
  #pathOf(unit: Unit): string {
    if (suffixOf(unit) === undefined) throw storageError("address", unit, new Error("it is not the name of a unit"));
    assertSnapshotName(nameOfUnit(unit));
    return pathOfUnit(this.#place, unit);
  }
}

/**
 * Keeps snapshots in a folder of the file system, which is made when it is first saved to.
 *
 * Several programs may share the folder. The folder, and each snapshot in it, may be a symbolic link to where it really lies;
 * removing such a snapshot removes the link. Other links are no part of a snapshot, and nothing they lead to is ever removed.
 *
 * A folder that is a snapshot, or lies inside one, is refused as a TypeError by the first call that lists or writes.
 *
 * @param folder Path or `file:` URL of the folder. A relative path is made absolute at once: a later `chdir` changes nothing.
 * @param options Durability, and the rights of what it makes.
 * @returns The backend.
 * @throws {TypeError} If it is a URL, or a text with `://`, of another scheme than `file:`, the path is empty, or it is `~` or
 *   begins with `~/`, which only shells replace; or `mode` is no number.
 * @throws {RangeError} If `mode` is not a whole number from `0o700` to `0o777`.
 * @example Leave out the syncs where speed counts and a power loss does not
 * ```ts
 * import { fileBackend, StateStore } from "snapkeep";
 *
 * const store = new StateStore(fileBackend("states", { durability: "none" }));
 * await store.saveState();
 * ```
 */
export function fileBackend(folder: PathOrUrl, options: FileBackendOptions = {}): Backend {
  assertOptions("keep snapshots in a folder", options, FILE_OPTIONS);
  return new FileBackend(readPath(folder), options);
}

/** What there is at a path; `unknown` if even that cannot be read. */
async function kindAt(
  files: FileSystem,
  path: string,
  followsLink: boolean,
): Promise<FileKind | "nothing" | "unknown"> {
  return await files.stat(path, followsLink).then((stat) => stat?.kind ?? "nothing", () => "unknown");
}

/** Whether a path is a link to what is not there. */
async function leadsNowhere(files: FileSystem, path: string): Promise<boolean> {
  return await kindAt(files, path, false) === "link" && await kindAt(files, path, true) === "nothing";
}

export type { Durability };
