// States to save in tests, and streams to save in them.
import type { PersistentState, StateReader, StateWriter } from "snapkeep";

/** A state out of what it saves; loading it does nothing. */
export function saving(save: (out: StateWriter) => void | Promise<void>): PersistentState {
  return { saveState: save, loadState: () => {} };
}

/** One JSON value that counts how often it was saved and loaded. */
export class Cell implements PersistentState {
  value: unknown;
  saves = 0;
  loads = 0;
  readonly log: string[];

  constructor(value: unknown, log: string[] = []) {
    this.value = value;
    this.log = log;
  }

  saveState(out: StateWriter): Promise<void> {
    this.saves++;
    this.log.push(`save ${out.name}`);
    return out.json("value.json", this.value);
  }

  async loadState(from: StateReader): Promise<void> {
    this.loads++;
    this.log.push(`load ${from.name}`);
    this.value = await from.json("value.json");
  }
}

/** Files by path, saved and loaded as they are. */
export class Files implements PersistentState {
  files: ReadonlyMap<string, Uint8Array>;
  loads = 0;

  constructor(files: Record<string, string | Uint8Array> = {}) {
    const encoder = new TextEncoder();
    this.files = new Map(
      Object.entries(files).map(([path, body]) => [path, typeof body === "string" ? encoder.encode(body) : body]),
    );
  }

  saveState(out: StateWriter): void {
    for (const [path, body] of this.files) void out.write(path, body);
  }

  async loadState(from: StateReader): Promise<void> {
    this.loads++;
    const files = new Map<string, Uint8Array>();
    for (const { path } of from.entries) files.set(path, await from.bytes(path));
    this.files = files;
  }
}

/** A promise with its hands outside. */
export function deferred<T = void>() {
  let resolve: (value: T) => void = () => {};
  let reject: (reason: unknown) => void = () => {};
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

/** A stream that yields `first`, if given, then hangs; it tells when it is waited for and when cancelled. */
export function hangingStream(first?: Uint8Array) {
  const waitedFor = deferred();
  const cancelled = deferred<unknown>();
  let isFirst = first !== undefined;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (isFirst && first !== undefined) {
        isFirst = false;
        controller.enqueue(first);
        return;
      }
      waitedFor.resolve();
      return new Promise<void>(() => {});
    },
    cancel: (reason) => cancelled.resolve(reason),
  }, { highWaterMark: 0 });
  return { stream, waitedFor: waitedFor.promise, cancelled: cancelled.promise };
}

/** A stream out of chunks. */
export function streamOf(...chunks: unknown[]): ReadableStream<Uint8Array> {
  const queue = [...chunks];
  return new ReadableStream({
    pull(controller) {
      const chunk = queue.shift();
      if (chunk === undefined) controller.close();
      else controller.enqueue(chunk as Uint8Array);
    },
  }, { highWaterMark: 0 });
}

/** An async iterable out of chunks, that tells whether its end or a return was reached. */
export function iterableOf(...chunks: unknown[]) {
  const state = { isEnded: false };
  async function* iterate() {
    try {
      yield* chunks as Uint8Array[];
    } finally {
      state.isEnded = true;
    }
  }
  return Object.assign(iterate(), { state });
}

/** Lets everything that is pending in memory come to rest: not a delay, but turns of the event loop. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** What a promise was rejected with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it did not fail");
}
