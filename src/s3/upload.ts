// Bodies to objects. What fits one part is put at once; what is larger goes as parts of one size, several at a time, and becomes an
// object only when all are there.
import type { ByteSource } from "../model/backend.ts";
import { chunkOf } from "../runtime/bytes.ts";
import type { SnapshotError } from "../model/errors.ts";
import { type ObjectStore, PARTS_IN_FLIGHT, pause, sharedController, type UploadedPart } from "./client.ts";
import { decide, look } from "./decide.ts";
import { faultBeneath, isRefusedByCondition, storeError, StoreFault } from "./faults.ts";
import type { PartMemory } from "./part_memory.ts";
import type { Conditions } from "./probe.ts";

const MOST_PARTS = 10_000;
const FIRST_BYTES = 64 * 1024;
const MOST_TRIES = 4;

/** How a body is written. */
export interface UploadOptions {
  readonly conditions: Conditions;
  readonly writeId: string;
  /** Aborts the requests before the one that makes the object. */
  readonly signal: AbortSignal;
  /** Cancels also the request that makes a small object, which may be carried out all the same. */
  readonly cancelSignal?: AbortSignal | undefined;
  /** Lower bound of its size. */
  readonly leastBytes?: number | undefined;
  /** Called before the request that makes the object; a failure of it keeps the object from being made. */
  readonly beforeCommit: () => Promise<void>;
}

/**
 * Writes a body as one object, which must not exist.
 *
 * A failed upload leaves no object, but perhaps parts, which {@link removeUploads} removes.
 *
 * @returns Its size, and whether it won; it has lost where another object is there.
 * @throws {Doubt} If the request that makes the object may have been carried out, and the store cannot be asked.
 */
export async function upload(
  store: ObjectStore,
  key: string,
  body: ByteSource,
  options: UploadOptions,
): Promise<{ readonly sizeBytes: number; readonly hasWon: boolean }> {
  const partBytes = partBytesFor(store, options.leastBytes);
  const chunks = chunksOf(body, partBytes, options.leastBytes ?? 0, store.partMemory);
  const first = await chunks.next();
  const head: Uint8Array<ArrayBuffer> = first.done ? new Uint8Array() : first.value;
  const next = head.length < partBytes ? undefined : await chunks.next();
  if (next === undefined || next.done) {
    options.signal.throwIfAborted();
    await options.beforeCommit();
    const condition = { ifNoneMatch: "*" } as const;
    const { conditions, writeId, cancelSignal: signal } = options;
    const decision = await decide(store, conditions, key, head, { condition, writeId, signal });
    store.partMemory.give(head);
    return { sizeBytes: head.length, hasWon: decision !== "lost" };
  }
  return await uploadParts(store, key, [head, next.value], chunks, options);
}

async function uploadParts(
  store: ObjectStore,
  key: string,
  begun: readonly Uint8Array<ArrayBuffer>[],
  more: AsyncGenerator<Uint8Array<ArrayBuffer>, void>,
  options: UploadOptions,
): Promise<{ sizeBytes: number; hasWon: boolean }> {
  const stop = sharedController();
  const onAbort = () => stop.abort(options.signal.reason);
  options.signal.addEventListener("abort", onAbort);
  if (options.signal.aborted) onAbort();
  const sending = new Set<Promise<void>>();
  let cleaning: Promise<void> | undefined;
  const parts: UploadedPart[] = [];
  let failure: { readonly error: unknown } | undefined;
  let sizeBytes = 0;
  try {
    const uploadId = await store.createUpload(key, options.writeId, stop.signal);
    // One whose start had no answer: it holds no part, and what cannot be removed is no failure of the save.
    cleaning = removeUploads(store, key, (other, id) => other === key && id !== uploadId).catch(() => {});
    const send = async (bytes: Uint8Array<ArrayBuffer>) => {
      while (sending.size >= PARTS_IN_FLIGHT) await Promise.race(sending);
      if (failure !== undefined) throw failure.error;
      const number = ++partCount;
      if (number > MOST_PARTS) throw tooLarge(store, key);
      sizeBytes += bytes.length;
      const task = store.uploadPart(key, uploadId, number, bytes, stop.signal)
        .then((part) => {
          parts[number - 1] = part;
          store.partMemory.give(bytes);
        })
        .catch((error: unknown) => void (failure ??= { error }))
        .finally(() => sending.delete(task));
      sending.add(task);
    };
    let partCount = 0;
    for (const bytes of begun) await send(bytes);
    for await (const bytes of more) await send(bytes);
    await Promise.all(sending);
    if (failure !== undefined) throw (failure as { error: unknown }).error;
    stop.signal.throwIfAborted();
    return { sizeBytes, hasWon: await complete(store, key, uploadId, parts, options) };
  } catch (error) {
    stop.abort(error);
    throw error;
  } finally {
    // All have ended before anybody removes the parts: a part that is still sent would come after.
    await Promise.allSettled([...sending, cleaning]);
    options.signal.removeEventListener("abort", onAbort);
    await more.return().catch(() => {});
  }
}

/** Makes the object, and finds out whether it is there where the answer does not tell. */
async function complete(
  store: ObjectStore,
  key: string,
  uploadId: string,
  parts: readonly UploadedPart[],
  { conditions, writeId, beforeCommit }: UploadOptions,
): Promise<boolean> {
  // The condition helps where the store knows it. What keeps others out is the claim, which was held all the time.
  const condition = conditions.complete ? { ifNoneMatch: "*" } as const : undefined;
  const looking = condition === undefined ? store.head(key) : Promise.resolve(undefined);
  looking.catch(() => {}); // awaited below
  await beforeCommit();
  if (await looking !== undefined) return false;
  let first: unknown;
  for (let attempt = 0; attempt < MOST_TRIES; attempt++) {
    try {
      await store.completeUpload(key, uploadId, parts, condition);
      return true;
    } catch (error) {
      first ??= error;
      const found = await look(store, key, first);
      if (found !== undefined) return found.writeId === writeId;
      const { status = 0 } = faultBeneath(error) ?? {};
      // Refused for good, also 409, after which an upload must start anew.
      if (isRefusedByCondition(error) || status >= 400 && status < 500) throw first;
    }
    await pause(attempt);
  }
  throw first;
}

/** Removes all parts of uploads under some keys, and sees that none is left. */
export async function removeUploads(
  store: ObjectStore,
  prefix: string,
  isMeant: (key: string, uploadId: string) => boolean,
): Promise<void> {
  for (let attempt = 0;; attempt++) {
    const uploads = (await store.uploads(prefix)).filter(({ key, uploadId }) => isMeant(key, uploadId));
    if (uploads.length === 0) return;
    for (const { key, uploadId } of uploads) {
      await store.abortUpload(key, uploadId);
      if (await store.hasParts(key, uploadId)) await store.abortUpload(key, uploadId);
    }
    if (attempt >= MOST_TRIES) {
      throw storeError("remove the parts of", store.uriOf(prefix), new StoreFault("PartsLeft", 200, "parts are left"));
    }
    await pause(attempt);
  }
}

/** The size of parts: as it was set, or larger where so many would not do. */
function partBytesFor(store: ObjectStore, leastBytes = 0): number {
  const { partBytes } = store.address;
  return Math.max(partBytes, Math.ceil(leastBytes / MOST_PARTS / FIRST_BYTES) * FIRST_BYTES);
}

function tooLarge(store: ObjectStore, key: string): SnapshotError {
  const { partBytes } = store.address;
  const reason = `it is larger than ${MOST_PARTS} parts of ${partBytes} bytes; pass a larger partBytes`;
  return storeError("upload", store.uriOf(key), new StoreFault("EntityTooLarge", undefined, reason));
}

/** Cuts a body into pieces of one size, the last of which may be shorter. Their memory is new, or spare. */
async function* chunksOf(
  body: ByteSource,
  partBytes: number,
  leastBytes: number,
  memory: PartMemory,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  let room = new Uint8Array(Math.min(partBytes, Math.max(leastBytes, FIRST_BYTES)));
  let usedBytes = 0;
  for await (const given of body) {
    for (let rest = chunkOf(given); rest.length > 0;) {
      if (usedBytes === partBytes) {
        yield room;
        [room, usedBytes] = [memory.take(partBytes) ?? new Uint8Array(partBytes), 0];
      }
      const neededBytes = Math.min(partBytes, usedBytes + rest.length);
      if (neededBytes > room.length) {
        const grown = memory.take(partBytes) ??
          new Uint8Array(Math.min(partBytes, Math.max(neededBytes, 4 * room.length)));
        grown.set(room.subarray(0, usedBytes));
        room = grown;
      }
      const taken = rest.subarray(0, room.length - usedBytes);
      room.set(taken, usedBytes);
      usedBytes += taken.length;
      rest = rest.subarray(taken.length);
    }
  }
  if (usedBytes > 0) yield room.subarray(0, usedBytes);
}
