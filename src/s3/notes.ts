// Notes and their locks. A note that was read under a lock is put under a condition, so that a program whose lock was taken over
// cannot undo what came after.
import type { LockOptions, SnapshotNotes } from "../model/backend.ts";
import { clearInterval, setInterval } from "../runtime/clock.ts";
import { storageError } from "../model/errors.ts";
import { loggerOf } from "../runtime/logging.ts";
import { type Condition, pause } from "./client.ts";
import { decide, undoubted } from "./decide.ts";
import { LOCKS, namedKey, nameOfKey, NOTES, type S3Place } from "./place.ts";

// A lock is held for a moment, and renewed while it is held.
const STALE_AFTER_MS = 30_000;
const BEAT_MS = 5_000;
const MOST_BYTES = 64 * 1024 * 1024;

/** A lock that this program holds. */
interface Held {
  /** What the note was when it was read under the lock; `undefined` before it was read. */
  seen: Condition | undefined;
}

/** Notes as objects. */
export class S3Notes implements SnapshotNotes {
  readonly #place: S3Place;
  readonly #held = new Map<string, Held>();

  constructor(place: S3Place) {
    this.#place = place;
  }

  async get(name: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const key = this.#keyOf(name);
    if (key === undefined) return undefined;
    const found = await this.#place.store.get(key, { offset: 0, lengthBytes: MOST_BYTES });
    const held = this.#held.get(name);
    if (held !== undefined) held.seen = found === undefined ? { ifNoneMatch: "*" } : { ifMatch: found.etag };
    return found?.bytes;
  }

  async put(name: string, note: Uint8Array): Promise<void> {
    const key = namedKey(NOTES, name);
    const body = new Uint8Array(note); // lent
    const held = this.#held.get(name);
    if (held?.seen === undefined) {
      await this.#place.store.put(key, body);
      return;
    }
    const writeId = globalThis.crypto.randomUUID();
    const decision = await this.#decide(key, body, { condition: held.seen, writeId });
    if (decision === "lost") {
      const reason = "another program changed it meanwhile; try again";
      throw storageError("label", this.#place.store.uriOf(key), new Error(reason));
    }
    held.seen = { ifMatch: decision.etag };
  }

  async remove(name: string): Promise<void> {
    const key = this.#keyOf(name);
    if (key === undefined) return;
    await this.#place.store.delete(key);
    const held = this.#held.get(name);
    if (held !== undefined) held.seen = undefined;
  }

  async *list(): AsyncGenerator<string, void> {
    const names: string[] = [];
    for await (const { key } of this.#place.store.list(NOTES)) {
      const name = nameOfKey(NOTES, key);
      if (name !== undefined && this.#keyOf(name) === key) names.push(name);
    }
    yield* names.sort();
  }

  async lock(name: string, { wait = true }: LockOptions = {}): Promise<(() => Promise<void>) | undefined> {
    const key = namedKey(LOCKS, name);
    const { store } = this.#place;
    const token = globalThis.crypto.randomUUID();
    let beats = 0;
    const write = async (condition: Condition) => {
      const writeId = `${token}.${++beats}`;
      return await this.#decide(key, new TextEncoder().encode(`${writeId}\n`), { condition, writeId });
    };
    for (let attempt = 0;; attempt++) {
      let taken = await write({ ifNoneMatch: "*" });
      if (taken === "lost") {
        const found = await store.head(key);
        if (found !== undefined && found.ageMs >= STALE_AFTER_MS) taken = await write({ ifMatch: found.etag });
      }
      if (taken !== "lost") return this.#unlock(name, key, token, taken.etag, write);
      if (!wait) return undefined;
      await pause(Math.min(attempt, 4));
    }
  }

  #unlock(
    name: string,
    key: string,
    token: string,
    etag: string,
    write: (condition: Condition) => Promise<{ readonly etag: string } | "lost">,
  ): () => Promise<void> {
    const { store } = this.#place;
    const held: Held = { seen: undefined };
    this.#held.set(name, held);
    let beating = Promise.resolve();
    const timer = setInterval(() => {
      beating = beating.then(async () => {
        const beaten = await write({ ifMatch: etag });
        if (beaten !== "lost") ({ etag } = beaten);
      }).catch(() => {}); // the note's own condition tells
    }, BEAT_MS);
    timer.unref();
    return async () => {
      clearInterval(timer);
      await beating;
      if (this.#held.get(name) === held) this.#held.delete(name);
      try {
        const { remove } = await this.#place.conditions();
        if (remove) return await store.delete(key, etag);
        const found = await store.head(key);
        if (found?.writeId?.startsWith(token)) await store.delete(key);
      } catch (error) {
        const uri = store.uriOf(key);
        loggerOf("S3Backend").warn("Cannot remove the lock '{uri}', it ends by itself: {error}", { uri, error });
      }
    };
  }

  async #decide(key: string, body: Uint8Array, options: { readonly condition: Condition; readonly writeId: string }) {
    try {
      return await decide(this.#place.store, await this.#place.writable(), key, body, options);
    } catch (error) {
      throw undoubted(error);
    }
  }

  /** The key of a note; `undefined` where a name is unsafe, and so has none. */
  #keyOf(name: string): string | undefined {
    try {
      return namedKey(NOTES, name);
    } catch {
      return undefined;
    }
  }
}
