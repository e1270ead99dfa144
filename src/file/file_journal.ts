// Lines that are appended durably to one file beside the units. Several programs may append; a rewrite replaces the file by a new one.
//
// No append takes the lock, which would cost more than the sync. Instead a writer looks after each append, while the sync runs, in this order: a
// lock that is held, then the file at the path. If no lock was held, a later rewrite reads the new line. If another file lies there, the line is
// appended again.
import { join } from "node:path";
import { showAddress } from "../model/address.ts";
import type { Journal } from "../model/backend.ts";
import { storageError } from "../model/errors.ts";
import { chunkOf, concat, viewOf } from "../runtime/bytes.ts";
import { runtimeClock } from "../runtime/idle.ts";
import { streamBytes } from "../runtime/reading.ts";
import { FileBlob } from "./file_blob.ts";
import { type FilePlace, replaceFile } from "./file_place.ts";
import type { OpenFile } from "./file_system.ts";
import { unlessGone } from "./file_tree.ts";
import { journalName, lockName } from "./hidden_name.ts";
import { lockNote } from "./note_lock.ts";

const NEWLINE = 10;
const BREAK = new Uint8Array([NEWLINE]);
/** The longest line; longer ones are passed over. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;
/** How long the file stays open behind an append: opening it for each would cost half as much as the sync. */
const IDLE_MS = 1_000;

interface Pending {
  readonly lines: readonly Uint8Array[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface OpenJournal {
  readonly file: OpenFile;
  readonly identity: string | undefined;
  isEntryDurable: boolean;
}

/** A journal in a file. */
export class FileJournal implements Journal {
  readonly #place: FilePlace;
  readonly #name: string;
  readonly #path: string;
  readonly #makePlace: () => Promise<unknown>;
  #file: OpenJournal | undefined;
  #pending: Pending[] = [];
  /** What runs: one append or rewrite at a time. */
  #turn: Promise<void> = Promise.resolve();
  #turns = 0;
  #willClose = false;

  /**
   * Begins nothing.
   *
   * @param place The place.
   * @param name Name of the journal.
   * @param makePlace Makes the place where it is missing.
   */
  constructor(place: FilePlace, name: string, makePlace: () => Promise<unknown>) {
    this.#place = place;
    this.#name = journalName(name);
    this.#path = join(place.root, this.#name);
    this.#makePlace = makePlace;
  }

  async *lines(): AsyncGenerator<Uint8Array, void> {
    const file = await unlessGone(this.#place.files.open(this.#path));
    if (file === undefined) return;
    try {
      yield* linesOf(new FileBlob(file, await file.sizeBytes()));
    } finally {
      await file.close().catch(() => {}); // nothing was written through it
    }
  }

  append(lines: readonly Uint8Array[]): Promise<void> {
    for (const line of lines) {
      chunkOf(line); // a text would become zeros
      if (line.length > MAX_LINE_BYTES) {
        throw new RangeError(
          `Cannot append to ${showAddress(this.#path)}: a line has more than ${MAX_LINE_BYTES} bytes`,
        );
      }
      if (line.includes(NEWLINE)) {
        throw new TypeError(`Cannot append to ${showAddress(this.#path)}: a line has a newline`);
      }
    }
    // Lines that wait for the turn are written and synced together.
    return new Promise((resolve, reject) => {
      this.#pending.push({ lines, resolve, reject });
      if (this.#pending.length === 1) void this.#inTurn(() => this.#appendPending());
    });
  }

  rewrite(keeps: (line: Uint8Array) => boolean): Promise<void> {
    return this.#inTurn(async () => {
      if (await this.#place.files.stat(this.#path) === undefined) return; // the place may be missing, too
      const unlock = await lockNote(this.#place, this.#name, true) as () => Promise<void>;
      try {
        await this.#replace(keeps);
      } finally {
        await unlock();
      }
    });
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const running = this.#turn.then(run);
    this.#turn = running.then(() => {}, () => {});
    this.#turns++;
    if (!this.#willClose) this.#closeLater();
    return running;
  }

  /** Closes the file once there was no turn for a while. */
  #closeLater(): void {
    const turns = this.#turns;
    this.#willClose = true;
    runtimeClock.later(() => {
      this.#willClose = false;
      if (turns !== this.#turns) this.#closeLater();
      else this.#turn = this.#turn.then(() => this.#close());
    }, IDLE_MS);
  }

  async #appendPending(): Promise<void> {
    const pending = this.#pending;
    this.#pending = [];
    try {
      await this.#append(concat(pending.flatMap(({ lines }) => lines.flatMap(isolated))));
    } catch (error) {
      for (const { reject } of pending) reject(error);
      return;
    }
    for (const { resolve } of pending) resolve();
  }

  async #append(bytes: Uint8Array): Promise<void> {
    const { root, sync } = this.#place;
    while (true) {
      const open = this.#file ??= await this.#open();
      let isInPlace: boolean;
      try {
        await open.file.write(bytes, 0);
        const syncing = sync.file(open.file, this.#path);
        syncing.catch(() => {}); // awaited below
        try {
          isInPlace = await this.#isInPlace();
        } finally {
          await syncing;
        }
        // Also where the file was there already: the program that made it may have been killed before its entry was durable.
        if (!open.isEntryDurable) await sync.folder(root);
        open.isEntryDurable = true;
      } catch (error) {
        await this.#close(); // a file whose sync failed is not to be trusted any longer
        throw error;
      }
      if (isInPlace) return;
      await this.#close();
    }
  }

  async #open(): Promise<OpenJournal> {
    const { files } = this.#place;
    await this.#makePlace();
    if (files.openToAppend === undefined) {
      throw storageError("append", this.#path, new Error("it cannot be appended to"));
    }
    const file = await files.openToAppend(this.#path);
    try {
      await file.sizeBytes(); // fails for what is no ordinary file
      return { file, identity: await file.identity?.(), isEntryDurable: false };
    } catch (error) {
      await file.close().catch(() => {}); // the first error is the one to tell
      throw error;
    }
  }

  /** Whether what was appended lies, or will lie, in the file at the path; waits for a rewrite. */
  async #isInPlace(): Promise<boolean> {
    const { files, root } = this.#place;
    const lockPath = join(root, lockName(this.#name));
    const isLocked = files.statNow === undefined
      ? await files.stat(lockPath) !== undefined
      : files.statNow(lockPath) !== undefined;
    if (isLocked) await (await lockNote(this.#place, this.#name, true))?.();
    const now = files.statNow?.(this.#path);
    const found = now?.identity === undefined ? await files.stat(this.#path, false, true) : now;
    return found !== undefined && found.identity === this.#file?.identity;
  }

  async #replace(keeps: (line: Uint8Array) => boolean): Promise<void> {
    const kept: Uint8Array[] = [];
    let isChanged = false;
    for await (const line of this.lines()) {
      if (keeps(line)) kept.push(...isolated(line));
      else isChanged = true;
    }
    if (!isChanged) return;
    await this.#close(); // Windows replaces no file that is open
    await replaceFile(this.#place, this.#path, kept);
  }

  async #close(): Promise<void> {
    const file = this.#file?.file;
    this.#file = undefined;
    await file?.close().catch(() => {}); // what was written was synced, or is not believed
  }
}

/**
 * A line with a newline at both ends: it continues no torn line of a killed writer, and no remains of a later append, such as zeros after a loss of
 * power, continue it.
 */
function isolated(line: Uint8Array): Uint8Array[] {
  return [BREAK, viewOf(line), BREAK]; // it waited for its turn, and may have lost its memory since
}

/** Lines that are not empty; those that are too long are passed over. */
async function* linesOf(blob: FileBlob): AsyncGenerator<Uint8Array, void> {
  let parts: Uint8Array[] = [];
  let sizeBytes = 0;
  const take = (part: Uint8Array): void => {
    sizeBytes += part.length;
    if (sizeBytes <= MAX_LINE_BYTES) parts.push(part);
    else parts = [];
  };
  for await (const chunk of streamBytes(blob)) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      take(chunk.subarray(start, end));
      if (sizeBytes > 0 && sizeBytes <= MAX_LINE_BYTES) yield concat(parts);
      [parts, sizeBytes, start] = [[], 0, end + 1];
    }
    take(chunk.subarray(start));
  }
  if (sizeBytes > 0 && sizeBytes <= MAX_LINE_BYTES) yield concat(parts);
}
