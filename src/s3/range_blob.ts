// An object read by ranges. Ranges that are asked for together and lie near each other are read by one request; large ones by
// several at a time, in bounded memory.
import { showAddress } from "../model/address.ts";
import type { BlobReader } from "../model/backend.ts";
import { deferred, mapAhead, turn } from "../runtime/concurrency.ts";
import { SnapshotError } from "../model/errors.ts";
import { type ObjectInfo, type ObjectPart, type ObjectStore, sharedController } from "./client.ts";
import { isRefusedByCondition } from "./faults.ts";

/** What the first request reads: the end of an archive, the beginning of any other object. */
const OPENED_BYTES = 256 * 1024;
/** Neighbouring ranges are read together over gaps of this many bytes at most. */
const OVER_READ_BYTES = 128 * 1024;
const PIECE_BYTES = 8 * 1024 * 1024;
const PIECES_AHEAD = 4;

interface Asked {
  readonly offset: number;
  readonly end: number;
  readonly resolve: (bytes: Promise<Uint8Array<ArrayBuffer>>) => void;
}

/** An open object; it fails with `SNAPSHOT_GONE` or `SNAPSHOT_CHANGED` where the object is removed or replaced. */
export class RangeBlob implements BlobReader {
  readonly #store: ObjectStore;
  readonly #key: string;
  readonly #info: ObjectInfo;
  readonly #opened: ObjectPart;
  readonly #aborter = sharedController();
  #asked: Asked[] = [];

  private constructor(store: ObjectStore, key: string, opened: ObjectPart) {
    this.#store = store;
    this.#key = key;
    this.#info = opened;
    this.#opened = opened;
  }

  /** Opens an object by one request for its beginning or end; `undefined` where there is none. */
  static async open(store: ObjectStore, key: string, from: "beginning" | "end"): Promise<RangeBlob | undefined> {
    const range = from === "end" ? { tailBytes: OPENED_BYTES } : { offset: 0, lengthBytes: OPENED_BYTES };
    const opened = await store.get(key, range);
    return opened && new RangeBlob(store, key, opened);
  }

  get sizeBytes(): number {
    return this.#info.sizeBytes;
  }

  async *read(offset: number, lengthBytes: number): AsyncGenerator<Uint8Array, void> {
    const end = Math.min(offset + lengthBytes, this.sizeBytes);
    if (end > offset) yield* this.#pieces(offset, end);
  }

  close(): Promise<void> {
    this.#aborter.abort(new DOMException("The blob was closed", "AbortError"));
    return Promise.resolve();
  }

  #pieces(offset: number, end: number): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
    const starts: number[] = [];
    for (let start = offset; start < end; start += PIECE_BYTES) starts.push(start);
    const piece = (start: number) => this.#range(start, Math.min(end, start + PIECE_BYTES));
    return mapAhead(starts, piece, PIECES_AHEAD);
  }

  /** The bytes of a range, which may be part of a larger piece of memory. */
  async #range(offset: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    const { offset: openedOffset, bytes } = this.#opened;
    if (offset >= openedOffset && end <= openedOffset + bytes.length) {
      return bytes.slice(offset - openedOffset, end - openedOffset);
    }
    const { promise, resolve } = deferred<Uint8Array<ArrayBuffer> | PromiseLike<Uint8Array<ArrayBuffer>>>();
    this.#asked.push({ offset, end, resolve });
    if (this.#asked.length === 1) void turn().then(() => this.#ask());
    return await promise;
  }

  /** Asks for all ranges of this turn of the event loop. */
  #ask(): void {
    const asked = this.#asked.sort((one, other) => one.offset - other.offset);
    this.#asked = [];
    let group: Asked[] = [];
    let groupEnd = 0;
    const send = () => {
      const [first] = group;
      if (first === undefined) return;
      const got = this.#get(first.offset, groupEnd);
      for (const { offset, end, resolve } of group) {
        const part = got.then((bytes) => bytes.subarray(offset - first.offset, end - first.offset));
        part.catch(() => {}); // its reader receives it
        resolve(part);
      }
    };
    for (const each of asked) {
      const start = group[0]?.offset ?? 0;
      const isNear = each.offset - groupEnd <= OVER_READ_BYTES && Math.max(groupEnd, each.end) - start <= PIECE_BYTES;
      if (group.length > 0 && !isNear) {
        send();
        group = [];
        groupEnd = 0;
      }
      group.push(each);
      groupEnd = Math.max(groupEnd, each.end);
    }
    send();
  }

  async #get(offset: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    const { etag } = this.#info;
    const { signal } = this.#aborter;
    let part: ObjectPart | undefined;
    try {
      part = await this.#store.get(this.#key, { offset, lengthBytes: end - offset }, { etag, signal });
    } catch (error) {
      if (isRefusedByCondition(error)) throw this.#gone("SNAPSHOT_CHANGED", "it was replaced meanwhile");
      throw error;
    }
    if (part === undefined) throw this.#gone("SNAPSHOT_GONE", "it was removed meanwhile");
    if (part.etag !== etag || part.bytes.length !== end - offset) {
      throw this.#gone("SNAPSHOT_CHANGED", "it was replaced meanwhile");
    }
    return part.bytes;
  }

  #gone(code: "SNAPSHOT_GONE" | "SNAPSHOT_CHANGED", reason: string): SnapshotError {
    const uri = this.#store.uriOf(this.#key);
    return new SnapshotError(code, `Cannot read ${showAddress(uri)}: ${reason}`, { uri });
  }
}
