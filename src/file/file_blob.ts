// Reading an open file as a blob, and private scratch files that are written first and read after.
import type { BlobReader, ByteSource, Scratch } from "../model/backend.ts";
import { chunkOf } from "../runtime/bytes.ts";
import { hasNoRoom, storageError } from "../model/errors.ts";
import type { FileSystem, OpenFile, QuickFile } from "./file_system.ts";
import { removeTree } from "./file_tree.ts";
import { Heartbeat } from "./heartbeat.ts";

const LENT_BYTES = 512 * 1024;
const MAX_READ_BYTES = 1024 * 1024 * 1024; // Node refuses 2 GiB and more
// Each write costs a call, and often a trip to the thread pool, whatever it carries.
const GATHERED_BYTES = 256 * 1024;
const SMALL_BYTES = 64 * 1024;

/** A file of a published unit; the open handle stays readable even when the unit is removed. */
export class FileBlob implements BlobReader {
  protected readonly file: OpenFile;
  #sizeBytes: number;
  #closed = false;
  // Untouched memory costs more to fill than bytes cost to read.
  readonly #spare: Uint8Array<ArrayBuffer>[] = [];

  constructor(file: OpenFile, sizeBytes: number) {
    this.file = file;
    this.#sizeBytes = sizeBytes;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  protected grow(addedBytes: number): void {
    this.#sizeBytes += addedBytes;
  }

  async *read(
    offset: number,
    lengthBytes: number,
    into?: (mostBytes: number) => Uint8Array<ArrayBuffer>,
  ): AsyncGenerator<Uint8Array, void> {
    const end = Math.min(offset + lengthBytes, this.#sizeBytes);
    const own = into === undefined ? this.#spare.pop() ?? new Uint8Array(LENT_BYTES) : undefined;
    try {
      for (let position = offset; position < end;) {
        const room = own ?? into?.(end - position) ?? new Uint8Array();
        const piece = room.subarray(0, Math.min(end - position, MAX_READ_BYTES));
        const readBytes = await this.readInto(piece, position);
        if (readBytes === 0) return; // the file was cut: verification will miss the bytes
        position += readBytes;
        yield piece.subarray(0, readBytes);
      }
    } finally {
      if (own !== undefined) this.#spare.push(own);
    }
  }

  protected readInto(target: Uint8Array, position: number): number | Promise<number> {
    return this.file.read(target, position);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#spare.length = 0;
    await this.file.close().catch(() => {}); // nothing was written through this handle that a close could lose
  }
}

// What memory takes some tens of microseconds to read.
const GLANCED_BYTES = 128 * 1024;

/** A file of a published unit that was opened for a glance: few bytes are read without waiting. */
export class GlancedBlob extends FileBlob {
  readonly tailBytes: number = 32 * 1024;
  readonly #quickFile: QuickFile;

  constructor(file: QuickFile) {
    super(file, file.openedBytes);
    this.#quickFile = file;
  }

  protected override readInto(target: Uint8Array, position: number): number | Promise<number> {
    if (target.length > GLANCED_BYTES) return super.readInto(target, position);
    return this.#quickFile.readNow(target, position);
  }
}

/** A private file in the folder of the units; where that has no room to give, among the system's temporary files. */
export class FileScratch extends FileBlob implements Scratch {
  readonly borrows = true;
  readonly #giveBack: () => Promise<void>;

  private constructor(file: OpenFile, giveBack: () => Promise<void>) {
    super(file, 0);
    this.#giveBack = giveBack;
  }

  static async create(
    files: FileSystem,
    path: string,
    create: () => Promise<OpenFile> = () => files.create(path),
  ): Promise<FileScratch> {
    let file: OpenFile;
    try {
      file = await create();
    } catch (error) {
      const temporary = hasNoRoom(error) ? await files.createTemporary?.().catch(() => undefined) : undefined;
      if (temporary === undefined) throw error;
      return new FileScratch(temporary, () => Promise.resolve());
    }
    const heartbeat = new Heartbeat(files, [path]);
    return new FileScratch(file, async () => {
      heartbeat.stop();
      await removeTree(files, path);
    });
  }

  async write(body: ByteSource): Promise<void> {
    const appender = new Appender(this.file, this.sizeBytes);
    for await (const chunk of body) await appender.append(chunk);
    await appender.flush();
    this.grow(appender.sizeBytes - this.sizeBytes);
  }

  async remove(): Promise<void> {
    await this.close();
    await this.#giveBack().catch(() => {}); // what stays is swept
  }
}

/** Writes behind what a file holds; small chunks that follow others are gathered first, so the end needs a flush. */
class Appender {
  readonly #file: OpenFile;
  #writtenBytes: number;
  #gathered: Uint8Array<ArrayBuffer> | undefined;
  #gatheredBytes = 0;

  constructor(file: OpenFile, startBytes: number) {
    this.#file = file;
    this.#writtenBytes = startBytes;
  }

  /** Size of the file, with what is not written yet. */
  get sizeBytes(): number {
    return this.#writtenBytes + this.#gatheredBytes;
  }

  async append(given: Uint8Array): Promise<void> {
    const chunk = chunkOf(given);
    if (chunk.length >= SMALL_BYTES || this.sizeBytes === 0) {
      await this.flush();
      return await this.#write(chunk);
    }
    if (this.#gatheredBytes + chunk.length > GATHERED_BYTES) await this.flush();
    this.#gathered ??= new Uint8Array(GATHERED_BYTES);
    this.#gathered.set(chunk, this.#gatheredBytes);
    this.#gatheredBytes += chunk.length;
  }

  async flush(): Promise<void> {
    const gatheredBytes = this.#gatheredBytes;
    this.#gatheredBytes = 0;
    await this.#write(this.#gathered?.subarray(0, gatheredBytes) ?? new Uint8Array());
  }

  async #write(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) return;
    await this.#file.write(bytes, this.#writtenBytes);
    this.#writtenBytes += bytes.length;
  }
}

/** Writes all bytes of a source to a new file and leaves it open; a failure closes it. */
export async function writeFile(
  files: FileSystem,
  path: string,
  body: ByteSource,
  isWanted: () => boolean,
): Promise<{ file: OpenFile; sizeBytes: number }> {
  const file = await files.create(path);
  try {
    const appender = new Appender(file, 0);
    for await (const chunk of body) {
      if (!isWanted()) throw storageError("write", path, new Error("the stage was abandoned"));
      await appender.append(chunk);
    }
    await appender.flush();
    return { file, sizeBytes: appender.sizeBytes };
  } catch (error) {
    await file.close().catch(() => {}); // the first error is the one to tell
    throw error;
  }
}
