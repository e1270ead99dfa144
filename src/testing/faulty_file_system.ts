// The file-system port with planned failures. A failing call has no effect, but for two that cannot be without: a write
// leaves half of its bytes, as a full disk does, and a close gives the file back, as systems do.
import type { FileSystem, OpenFile, QuickFile } from "../file/file_system.ts";
import { assertMethods } from "../model/options.ts";
import type { Faults } from "./faults.ts";

class FaultyFile<File extends OpenFile = OpenFile> implements OpenFile {
  protected readonly file: File;
  protected readonly path: string;
  protected readonly faults: Faults;

  constructor(file: File, path: string, faults: Faults) {
    this.file = file;
    this.path = path;
    this.faults = faults;
    faults.opened(this, path);
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    this.faults.count("read", this.path);
    return await this.file.read(target, position);
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    try {
      this.faults.count("write", this.path);
    } catch (error) {
      await this.file.write(bytes.subarray(0, bytes.length >> 1), position);
      throw error;
    }
    await this.file.write(bytes, position);
  }

  async sizeBytes(): Promise<number> {
    this.faults.count("sizeBytes", this.path);
    return await this.file.sizeBytes();
  }

  async identity(): Promise<string | undefined> {
    this.faults.count("identity", this.path);
    return await this.file.identity?.();
  }

  async sync(): Promise<void> {
    this.faults.count("sync", this.path);
    await this.file.sync();
  }

  async close(): Promise<void> {
    this.faults.closed(this);
    try {
      this.faults.count("close", this.path);
    } finally {
      await this.file.close();
    }
  }
}

class FaultyQuickFile extends FaultyFile<QuickFile> implements QuickFile {
  get openedBytes(): number {
    return this.file.openedBytes;
  }

  readNow(target: Uint8Array, position: number): number {
    this.faults.count("read", this.path);
    return this.file.readNow(target, position);
  }

  closeNow(): void {
    this.faults.closed(this);
    try {
      this.faults.count("close", this.path);
    } finally {
      this.file.closeNow();
    }
  }
}

/**
 * Puts planned failures into a file system; `fileBackend` takes it as `fileSystem`.
 *
 * @param files The file system beneath, such as `nodeFileSystem`.
 * @param faults What fails; it also records every call, those of open files included.
 * @returns A file system that behaves as the one beneath, but for the planned failures.
 */
export function faultyFileSystem(files: FileSystem, faults: Faults): FileSystem {
  assertMethods("inject failures", files, "a file system", "open", "stat");
  const counted = async <T>(operation: string, path: string, run: () => Promise<T>): Promise<T> => {
    faults.count(operation, path);
    return await run();
  };
  assertMethods("inject failures", faults, "Faults", "count", "opened");
  const { statNow, openNow } = files;
  return {
    create: (path, mode) =>
      counted("create", path, async () => new FaultyFile(await files.create(path, mode), path, faults)),
    ...files.createTemporary === undefined ? {} : {
      createTemporary: () =>
        counted("createTemporary", "", async () => {
          const file = await files.createTemporary?.();
          if (file === undefined) throw new TypeError("Cannot create a temporary file: there are none any more");
          return new FaultyFile(file, "", faults);
        }),
    },
    open: (path, followsLink) =>
      counted("open", path, async () => new FaultyFile(await files.open(path, followsLink), path, faults)),
    ...files.openToAppend === undefined ? {} : {
      openToAppend: (path: string, mode?: number) =>
        counted("openToAppend", path, async () => {
          const file = await files.openToAppend?.(path, mode);
          if (file === undefined) throw new TypeError("Cannot append to a file: there is no way any more");
          return new FaultyFile(file, path, faults);
        }),
    },
    makeFolder: (path, mode) => counted("makeFolder", path, () => files.makeFolder(path, mode)),
    makeFolderNow: (path, mode) => {
      faults.count("makeFolderNow", path);
      files.makeFolderNow(path, mode);
    },
    readFolder: (path, isSmall) => counted("readFolder", path, () => files.readFolder(path, isSmall)),
    syncFolder: (path) => counted("syncFolder", path, () => files.syncFolder(path)),
    stat: (path, followsLink, withIdentity) => counted("stat", path, () => files.stat(path, followsLink, withIdentity)),
    ...files.unlockFolder === undefined
      ? {}
      : { unlockFolder: (path: string) => counted("unlockFolder", path, async () => await files.unlockFolder?.(path)) },
    rename: (from, to) => counted("rename", to, () => files.rename(from, to)),
    link: (from, to) => counted("link", to, () => files.link(from, to)),
    removeFile: (path) => counted("removeFile", path, () => files.removeFile(path)),
    removeFolder: (path) => counted("removeFolder", path, () => files.removeFolder(path)),
    touch: (path, atMs) => counted("touch", path, () => files.touch(path, atMs)),
    ...files.freeBytes === undefined
      ? {}
      : { freeBytes: (path: string) => counted("freeBytes", path, async () => await files.freeBytes?.(path)) },
    // Counted as what they do, whether or not their caller waits.
    ...statNow && {
      statNow: (path: string, followsLink?: boolean) => {
        faults.count("stat", path);
        return statNow.call(files, path, followsLink);
      },
    },
    ...openNow && {
      openNow: (path: string, followsLink?: boolean) => {
        faults.count("open", path);
        const file = new FaultyQuickFile(openNow.call(files, path, followsLink), path, faults);
        try {
          faults.count("sizeBytes", path);
        } catch (error) {
          file.closeNow();
          throw error;
        }
        return file;
      },
    },
  };
}
