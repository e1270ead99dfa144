// Private room: in memory as long as it is small, then in objects beside the units.
import type { ByteSource, Scratch } from "../model/backend.ts";
import { chunkOf, copyOf } from "../runtime/bytes.ts";
import { clearInterval, setInterval } from "../runtime/clock.ts";
import { storageError } from "../model/errors.ts";
import { BEAT_MS } from "./claim.ts";
import type { ObjectStore } from "./client.ts";
import { SCRATCH } from "./place.ts";

const SEGMENT_BYTES = 16 * 1024 * 1024;
const PIECE_BYTES = 4 * 1024 * 1024;

/** Bytes that are written first and read after. */
export class S3Scratch implements Scratch {
  static readonly #living = new Set<S3Scratch>();
  readonly borrows = true;
  readonly #store: ObjectStore;
  readonly #folder = `${SCRATCH}${globalThis.crypto.randomUUID()}/`;
  #segments = 0;
  #tail = new Uint8Array();
  #tailBytes = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(store: ObjectStore) {
    this.#store = store;
  }

  get sizeBytes(): number {
    return this.#segments * SEGMENT_BYTES + this.#tailBytes;
  }

  async write(body: ByteSource): Promise<void> {
    for await (const given of body) {
      for (let rest = chunkOf(given); rest.length > 0;) {
        if (this.#tailBytes === SEGMENT_BYTES) await this.#flush();
        const taken = rest.subarray(0, SEGMENT_BYTES - this.#tailBytes);
        this.#grow(this.#tailBytes + taken.length);
        this.#tail.set(taken, this.#tailBytes);
        this.#tailBytes += taken.length;
        rest = rest.subarray(taken.length);
      }
    }
  }

  async *read(offset: number, lengthBytes: number): AsyncGenerator<Uint8Array, void> {
    const end = Math.min(offset + lengthBytes, this.sizeBytes);
    for (let position = offset; position < end;) {
      const segment = Math.floor(position / SEGMENT_BYTES);
      const inner = position - segment * SEGMENT_BYTES;
      const partBytes = Math.min(end - position, SEGMENT_BYTES - inner, PIECE_BYTES);
      yield await this.#part(segment, inner, partBytes);
      position += partBytes;
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async remove(): Promise<void> {
    clearInterval(this.#timer);
    S3Scratch.#living.delete(this);
    const keys = Array.from({ length: this.#segments }, (_, segment) => this.#keyOf(segment));
    [this.#segments, this.#tail, this.#tailBytes] = [0, new Uint8Array(), 0];
    await this.#store.deleteAll(keys).catch(() => {}); // what stays is swept
  }

  /** Removes rooms that no program uses any more. */
  static async sweep(store: ObjectStore, folder: string, olderThanMs: number): Promise<void> {
    const rooms = new Map<string, { keys: string[]; ageMs: number }>();
    for await (const { key, ageMs } of store.list(folder)) {
      const room = key.slice(0, key.lastIndexOf("/") + 1);
      const found = rooms.get(room) ?? { keys: [], ageMs };
      found.keys.push(key);
      found.ageMs = Math.min(found.ageMs, ageMs);
      rooms.set(room, found);
    }
    const living = new Set([...S3Scratch.#living].map((scratch) => scratch.#folder));
    for (const [room, { keys, ageMs }] of rooms) {
      if (olderThanMs < 0 || ageMs >= olderThanMs && !living.has(room)) await store.deleteAll(keys);
    }
  }

  async #part(segment: number, offset: number, lengthBytes: number): Promise<Uint8Array> {
    if (segment >= this.#segments) return this.#tail.subarray(offset, offset + lengthBytes);
    const key = this.#keyOf(segment);
    const part = await this.#store.get(key, { offset, lengthBytes });
    if (part?.bytes.length === lengthBytes) return part.bytes;
    throw storageError("read", this.#store.uriOf(key), new Error("a sweep removed it"));
  }

  async #flush(): Promise<void> {
    const bytes = this.#tail.subarray(0, this.#tailBytes);
    if (this.#timer === undefined) this.#beat();
    await this.#store.put(this.#keyOf(this.#segments), copyOf(bytes));
    this.#segments++;
    this.#tailBytes = 0;
  }

  /** Its first object is written again now and then, so that a sweep sees that it is in use. */
  #beat(): void {
    S3Scratch.#living.add(this);
    const key = `${this.#folder}alive`;
    this.#timer = setInterval(() => {
      this.#store.put(key, new Uint8Array()).catch(() => {});
    }, 2 * BEAT_MS);
    this.#timer.unref();
  }

  #grow(neededBytes: number): void {
    if (neededBytes <= this.#tail.length) return;
    const grown = new Uint8Array(Math.min(SEGMENT_BYTES, Math.max(neededBytes, 2 * this.#tail.length)));
    grown.set(this.#tail.subarray(0, this.#tailBytes));
    this.#tail = grown;
  }

  #keyOf(segment: number): string {
    return `${this.#folder}${segment}`;
  }
}
