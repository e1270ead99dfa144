// Units in memory: for tests, for programs that only stream snapshots out, and as the shortest reading of the contract.
import type {
  Backend,
  BlobInfo,
  BlobReader,
  ByteSource,
  Scratch,
  SnapshotNotes,
  Stage,
  StageOptions,
} from "../model/backend.ts";
import { chunkOf, concatenating, copyOf, filling, viewOf } from "../runtime/bytes.ts";
import { inSlices } from "../runtime/concurrency.ts";
import { assertSnapshotName } from "../model/entry_path.ts";
import { SnapshotError } from "../model/errors.ts";
import { assertNumber } from "../model/options.ts";
import { commitPathOf, nameOfUnit, type Unit } from "../model/unit.ts";

const PIECE_BYTES = 2 * 1024 * 1024;

let count = 0;

async function gather(body: ByteSource): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const given of body) {
    const chunk = chunkOf(given);
    chunks.push(chunk.length <= PIECE_BYTES ? copyOf(chunk) : await inSlices(concatenating([chunk], chunk.length)));
  }
  return chunks.length === 1 ? chunks[0] as Uint8Array : await inSlices(concatenating(chunks, sizeOf(chunks)));
}

const sizeOf = (chunks: readonly Uint8Array[]): number => chunks.reduce((sum, chunk) => sum + chunk.length, 0);

class MemoryBlob implements BlobReader {
  protected bytes: Uint8Array;

  constructor(bytes: Uint8Array = new Uint8Array()) {
    this.bytes = bytes;
  }

  get sizeBytes(): number {
    return this.bytes.length;
  }

  async *read(offset: number, lengthBytes: number): AsyncGenerator<Uint8Array, void> {
    const bytes = this.bytes.subarray(offset, offset + lengthBytes);
    for (let start = 0; start < bytes.length; start += PIECE_BYTES) yield bytes.subarray(start, start + PIECE_BYTES);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

class MemoryScratch extends MemoryBlob implements Scratch {
  readonly borrows = true;

  async write(body: ByteSource): Promise<void> {
    for await (const given of body) {
      const chunk = chunkOf(given);
      const { buffer, length } = this.bytes;
      const sizeBytes = length + chunk.length;
      // Twice the room each time, so that many small writes copy no byte often.
      const room = sizeBytes <= buffer.byteLength ? buffer : new ArrayBuffer(Math.max(sizeBytes, 2 * length));
      const grown = new Uint8Array(room, 0, sizeBytes);
      if (room !== buffer) await inSlices(filling(grown, [this.bytes]));
      grown.set(chunk, length);
      this.bytes = grown;
    }
  }

  remove(): Promise<void> {
    this.bytes = new Uint8Array();
    return Promise.resolve();
  }
}

class MemoryBackend implements Backend {
  readonly uri = `memory:${++count}/`;
  readonly notes: SnapshotNotes;
  readonly #units = new Map<Unit, ReadonlyMap<string, Uint8Array>>();
  readonly #stages = new Set<MemoryStage>();

  constructor() {
    const notes = new Map<string, Uint8Array>();
    const locks = new Map<string, Promise<void>>();
    this.notes = {
      async lock(name, { wait = true } = {}) {
        assertSnapshotName(name);
        for (let held = locks.get(name); held !== undefined; held = locks.get(name)) {
          if (!wait) return undefined;
          await held;
        }
        let giveBack = () => {};
        const held = new Promise<void>((resolve) => giveBack = resolve);
        locks.set(name, held);
        return async () => {
          if (locks.get(name) === held) locks.delete(name);
          giveBack();
        };
      },
      get: (name) => Promise.resolve(notes.get(name)?.slice()),
      put: async (name, note) => {
        assertSnapshotName(name);
        notes.set(name, copyOf(viewOf(note)));
      },
      remove: (name) => Promise.resolve(void notes.delete(name)),
      async *list() {
        yield* [...notes.keys()].sort();
      },
    };
  }

  create(): Promise<boolean> {
    return Promise.resolve(false);
  }

  async *list(options: { after?: Unit; signal?: AbortSignal } = {}): AsyncGenerator<Unit, void> {
    for (const unit of [...this.#units.keys()].sort()) {
      options.signal?.throwIfAborted();
      if (unit > (options.after ?? "")) yield unit;
    }
  }

  async *blobs(unit: Unit): AsyncGenerator<BlobInfo, void> {
    for (const [path, bytes] of this.#units.get(unit) ?? []) yield { path, sizeBytes: bytes.length, isRegular: true };
  }

  open(unit: Unit, path = ""): Promise<BlobReader | undefined> {
    const bytes = this.#units.get(unit)?.get(path);
    return Promise.resolve(bytes === undefined ? undefined : new MemoryBlob(bytes));
  }

  async stage(unit: Unit, options: StageOptions = {}): Promise<Stage> {
    const name = nameOf(unit);
    const isTaken = options.allowOtherLayouts
      ? this.#units.has(unit)
      : [...this.#units.keys()].some((other) => nameOf(other) === name);
    if (isTaken || [...this.#stages].some((stage) => nameOf(stage.unit) === name)) throw this.#existsError(name);
    const stage = new MemoryStage(unit, (blobs) => {
      if (!this.#stages.delete(stage)) {
        throw new SnapshotError("STAGE_LOST", `Cannot save "${name}": its stage was swept away`, { unit });
      }
      if (blobs === undefined) return;
      this.#units.set(unit, blobs);
    });
    this.#stages.add(stage);
    return stage;
  }

  scratch(): Promise<Scratch> {
    return Promise.resolve(new MemoryScratch());
  }

  remove(unit: Unit): Promise<boolean> {
    return Promise.resolve(this.#units.delete(unit));
  }

  async sweep(olderThanMs: number): Promise<readonly Unit[]> {
    assertNumber("sweep", "olderThanMs", olderThanMs);
    // A stage in memory lives as long as its writer; only a limit below zero declares living writers dead.
    if (olderThanMs >= 0) return [];
    const swept = [...this.#stages].map((stage) => stage.unit).sort();
    this.#stages.clear();
    return swept;
  }

  #existsError(name: string): SnapshotError {
    return new SnapshotError("SNAPSHOT_EXISTS", `Cannot save "${name}": it is there already`, {
      name,
      uri: this.uri + name,
    });
  }
}

function nameOf(unit: Unit): string {
  const name = nameOfUnit(unit);
  assertSnapshotName(name);
  return name;
}

class MemoryStage implements Stage {
  readonly borrows = true;
  readonly unit: Unit;
  readonly #end: (blobs?: ReadonlyMap<string, Uint8Array>) => void;
  readonly #blobs = new Map<string, Uint8Array>();
  #ended = false;

  constructor(unit: Unit, end: (blobs?: ReadonlyMap<string, Uint8Array>) => void) {
    this.unit = unit;
    this.#end = end;
  }

  async write(path: string, body: ByteSource): Promise<{ sizeBytes: number }> {
    const bytes = await gather(body);
    this.#blobs.set(path, bytes);
    return { sizeBytes: bytes.length };
  }

  async publish(path: string, body: ByteSource): Promise<void> {
    await this.write(path || commitPathOf(this.unit), body);
    this.#end(this.#blobs);
    this.#ended = true;
  }

  scratch(): Promise<Scratch> {
    return Promise.resolve(new MemoryScratch());
  }

  async abandon(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    try {
      this.#end();
    } catch {
      // swept before: nothing is left to give back
    }
  }
}

/**
 * Keeps snapshots in the memory of this program.
 *
 * @returns A new, empty backend; stores that are to see the same snapshots must share it.
 */
export function memoryBackend(): Backend {
  return new MemoryBackend();
}
