// States whose bytes are known beforehand, archives of them, and how their bytes are got at: through the public API alone.
import { createHash } from "node:crypto";
import { type Backend, memoryBackend, type PersistentState, type SnapshotLocator, StateStore } from "snapkeep";
import type { StateReader, StateStoreOptions, StateWriter } from "snapkeep";
import { contentOf, INSTANT_MS, type Tree } from "./content.ts";

export { contentOf, INSTANT_MS, noise, type Tree } from "./content.ts";

/** How a file is handed over. */
export type Handing = "bytes" | "owned" | "sized stream" | "stream";

const PIECE_BYTES = 100_000;

/** Bytes that compress well but are no zeros. */
export function pattern(sizeBytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(sizeBytes).map((_, index) => index % 251);
}

/** What large bytes are compared by: comparing them one by one takes seconds. */
export function sha256(content: Uint8Array | string): string {
  return createHash("sha256").update(content).digest("hex");
}

/** A tree by what its files hold. */
export function digests(tree: Tree): Record<string, string> {
  return Object.fromEntries(Object.entries(tree).map(([path, content]) => [path, sha256(content)]));
}

/** Bytes in pieces, as a generator hands them over. */
export async function* pieces(bytes: Uint8Array, pieceBytes = PIECE_BYTES): AsyncGenerator<Uint8Array, void> {
  for (let start = 0; start < bytes.length; start += pieceBytes) yield bytes.subarray(start, start + pieceBytes);
}

/** A state that is a tree of files; `loaded` is what it was given last. */
export class TreeState implements PersistentState {
  tree: Tree;
  readonly #handing: Handing;
  loads = 0;
  loaded: Record<string, Uint8Array> = Object.create(null) as Record<string, Uint8Array>; // "__proto__" is a path too

  constructor(tree: Tree, handing: Handing = "bytes") {
    this.tree = tree;
    this.#handing = handing;
  }

  async saveState(out: StateWriter): Promise<void> {
    await Promise.all(
      Object.entries(this.tree).map(([path, content]) => {
        const bytes = contentOf(content);
        if (this.#handing === "bytes") return out.write(path, content);
        if (this.#handing === "owned") return out.write(path, bytes, { owned: true });
        return out.write(path, pieces(bytes), this.#handing === "stream" ? {} : { sizeBytes: bytes.length });
      }),
    );
  }

  async loadState(from: StateReader): Promise<void> {
    this.loads++;
    this.loaded = Object.create(null) as Record<string, Uint8Array>;
    for (const { path } of from.entries) this.loaded[path] = await from.bytes(path);
  }
}

/** What a program hands over; one tree a state. */
export type States = Readonly<Record<string, Tree>>;

/** All files of states, by their path in a snapshot, in order. */
export function filesOf(states: States): Map<string, Uint8Array> {
  return new Map(
    Object.entries(states).flatMap(([name, tree]) =>
      Object.entries(tree).map(([path, content]) => [`${name}/${path}`, contentOf(content)] as const)
    ),
  );
}

/** A store with states registered, at a clock that stands still. */
export function storeOf(
  states: States,
  options: StateStoreOptions & { readonly backend?: Backend; readonly handing?: Handing } = {},
): StateStore {
  const { backend = memoryBackend(), handing, ...storeOptions } = options;
  const store = new StateStore(backend, {
    layout: "tar.gz",
    now: () => INSTANT_MS,
    run: "one", // bytes are compared
    ...storeOptions,
  });
  for (const [name, tree] of Object.entries(states)) store.register(name, new TreeState(tree, handing));
  return store;
}

/** Everything a stream holds. */
export async function bytesOf(stream: ReadableStream<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await new Response(stream as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer());
}

/** Bytes as a stream, in pieces of a size. */
export function streamOf(bytes: Uint8Array, pieceBytes = 65_536): ReadableStream<Uint8Array> {
  let start = 0;
  return new ReadableStream({
    pull(controller) {
      if (start >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(start, start + pieceBytes));
      start += pieceBytes;
    },
  });
}

/** Saves states as an archive, and reads the file it became. */
export async function archiveOf(
  states: States,
  options: Parameters<typeof storeOf>[1] = {},
): Promise<{ store: StateStore; locator: SnapshotLocator; bytes: Uint8Array<ArrayBuffer> }> {
  const store = storeOf(states, options);
  const locator = await store.saveState();
  return { store, locator, bytes: await bytesOf(locator.stream()) };
}

/** Puts a file into a place as if it had been copied there by hand. */
export async function place(backend: Backend, unit: string, bytes: Uint8Array): Promise<void> {
  const stage = await backend.stage(unit);
  await stage.publish("", [bytes]);
}

/** Fails in place of a promise that never settles: what hangs on hostile input is a fault of its own. */
export async function within<T>(seconds: number, what: string, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const watchdog = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} hangs: nothing after ${seconds} s`)), seconds * 1000);
  });
  try {
    return await Promise.race([work, watchdog]);
  } finally {
    clearTimeout(timer);
  }
}
