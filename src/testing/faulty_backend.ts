// The backend contract with planned failures. Methods that must never throw are recorded and never fail.
import type {
  Backend,
  BlobInfo,
  BlobReader,
  ByteSource,
  ForeignFolders,
  Journal,
  ListOptions,
  LockOptions,
  Scratch,
  SnapshotNotes,
  Stage,
  StageOptions,
  WorkFolder,
} from "../model/backend.ts";
import { assertMethods } from "../model/options.ts";
import type { Unit } from "../model/unit.ts";
import type { Faults } from "./faults.ts";

async function* counted<T>(
  faults: Faults,
  operation: string,
  path: string,
  items: AsyncIterable<T>,
): AsyncGenerator<T> {
  faults.count(operation, path);
  for await (const item of items) {
    yield item;
    faults.count(operation, path);
  }
}

class FaultyBlob<Blob extends BlobReader> implements BlobReader {
  protected readonly blob: Blob;
  protected readonly path: string;
  protected readonly faults: Faults;

  constructor(blob: Blob, path: string, faults: Faults) {
    this.blob = blob;
    this.path = path;
    this.faults = faults;
    faults.opened(this, path);
  }

  get sizeBytes(): number {
    return this.blob.sizeBytes;
  }

  // The blob beneath is read within: Bun's compiler loses a generator that is handed to another one as it is made.
  async *read(
    offset: number,
    lengthBytes: number,
    into?: (mostBytes: number) => Uint8Array<ArrayBuffer>,
  ): AsyncGenerator<Uint8Array, void> {
    this.faults.count("read", this.path);
    for await (const piece of this.blob.read(offset, lengthBytes, into)) {
      yield piece;
      this.faults.count("read", this.path);
    }
  }

  async close(): Promise<void> {
    this.faults.closed(this);
    await this.blob.close();
  }
}

class FaultyScratch extends FaultyBlob<Scratch> implements Scratch {
  get borrows(): boolean {
    return this.blob.borrows ?? false;
  }

  async write(body: ByteSource): Promise<void> {
    this.faults.count("write", this.path);
    await this.blob.write(body);
  }

  async remove(): Promise<void> {
    this.faults.closed(this);
    await this.blob.remove();
  }
}

class FaultyStage implements Stage {
  readonly unit: Unit;
  readonly borrows: boolean;
  readonly #stage: Stage;
  readonly #faults: Faults;

  constructor(stage: Stage, faults: Faults) {
    this.unit = stage.unit;
    this.borrows = stage.borrows ?? false;
    this.#stage = stage;
    this.#faults = faults;
    faults.opened(this, stage.unit);
  }

  async write(
    path: string,
    body: ByteSource,
    options?: { readonly sizeBytes?: number },
  ): Promise<{ sizeBytes: number }> {
    this.#faults.count("write", this.unit + path);
    return await this.#stage.write(path, body, options);
  }

  async publish(path: string, body: ByteSource): Promise<void> {
    this.#faults.count("publish", this.unit);
    await this.#stage.publish(path, body);
    this.#faults.closed(this);
  }

  async scratch(): Promise<Scratch> {
    this.#faults.count("scratch", this.unit);
    return new FaultyScratch(await this.#stage.scratch(), "scratch", this.#faults);
  }

  async abandon(): Promise<void> {
    this.#faults.closed(this);
    await this.#stage.abandon();
  }
}

class FaultyBackend implements Backend {
  readonly uri: string;
  readonly notes: SnapshotNotes;
  readonly foreign?: ForeignFolders;
  readonly workFolder?: () => WorkFolder;
  readonly journal?: (name: string) => Journal;
  readonly glance?: (unit: Unit, path?: string) => BlobReader | undefined;
  readonly #backend: Backend;
  readonly #faults: Faults;

  constructor(backend: Backend, faults: Faults) {
    this.uri = backend.uri;
    this.#backend = backend;
    this.#faults = faults;
    const { notes, foreign } = backend;
    const lock = notes.lock?.bind(notes);
    this.notes = {
      get: (name) => this.#counted("notes.get", name, () => notes.get(name)),
      put: (name, note, options) => this.#counted("notes.put", name, () => notes.put(name, note, options)),
      remove: (name) => this.#counted("notes.remove", name, () => notes.remove(name)),
      list: () => counted(faults, "notes.list", this.uri, notes.list()),
      ...lock && {
        lock: (name: string, options?: LockOptions) => this.#counted("notes.lock", name, () => lock(name, options)),
      },
    };
    if (foreign !== undefined) {
      this.foreign = {
        list: () => counted(faults, "foreign.list", this.uri, foreign.list()),
        remove: (name) => this.#counted("foreign.remove", name, () => foreign.remove(name)),
      };
    }
    const glance = backend.glance?.bind(backend);
    if (glance !== undefined) {
      this.glance = (unit, path = "") => {
        faults.count("open", unit + path);
        const blob = glance(unit, path);
        return blob === undefined ? undefined : new FaultyBlob(blob, unit + path, faults);
      };
    }
    const journal = backend.journal?.bind(backend);
    if (journal !== undefined) {
      this.journal = (name) => {
        const plain = journal(name);
        return {
          lines: () => counted(faults, "journal.lines", name, plain.lines()),
          append: (lines) => this.#counted("journal.append", name, () => plain.append(lines)),
          rewrite: (keeps) => this.#counted("journal.rewrite", name, () => plain.rewrite(keeps)),
        };
      };
    }
    if (backend.workFolder !== undefined) this.workFolder = () => this.#workFolder();
  }

  create(): Promise<boolean> {
    return this.#counted("create", this.uri, () => this.#backend.create());
  }

  list(options?: ListOptions): AsyncIterable<Unit> {
    return counted(this.#faults, "list", this.uri, this.#backend.list(options));
  }

  blobs(unit: Unit): AsyncIterable<BlobInfo> {
    return counted(this.#faults, "blobs", unit, this.#backend.blobs(unit));
  }

  async open(unit: Unit, path = ""): Promise<BlobReader | undefined> {
    const blob = await this.#counted("open", unit + path, () => this.#backend.open(unit, path));
    return blob === undefined ? undefined : new FaultyBlob(blob, unit + path, this.#faults);
  }

  async stage(unit: Unit, options?: StageOptions): Promise<Stage> {
    return new FaultyStage(await this.#counted("stage", unit, () => this.#backend.stage(unit, options)), this.#faults);
  }

  async scratch(): Promise<Scratch> {
    const scratch = await this.#counted("scratch", this.uri, () => this.#backend.scratch());
    return new FaultyScratch(scratch, "scratch", this.#faults);
  }

  remove(unit: Unit): Promise<boolean> {
    return this.#counted("remove", unit, () => this.#backend.remove(unit));
  }

  sweep(olderThanMs: number): Promise<readonly Unit[]> {
    return this.#counted("sweep", this.uri, () => this.#backend.sweep(olderThanMs));
  }

  #workFolder(): WorkFolder {
    this.#faults.count("workFolder", this.uri);
    const folder = this.#backend.workFolder?.();
    if (folder === undefined) throw new TypeError("Cannot make a work folder: the backend offers none any more");
    return folder;
  }

  async #counted<T>(operation: string, path: string, run: () => Promise<T>): Promise<T> {
    this.#faults.count(operation, path);
    return await run();
  }
}

/**
 * Puts planned failures into a backend and all it hands out; what must never throw (`close`, `remove` of scratch, `abandon`)
 * does not fail. A failing call has no effect.
 *
 * @param backend The backend beneath.
 * @param faults What fails; it also records the calls, each item of a list and each piece that is read as one.
 * @returns A backend that behaves as the one beneath, but for the planned failures.
 */
export function faultyBackend(backend: Backend, faults: Faults): Backend {
  assertMethods("inject failures", backend, "a backend", "stage", "open");
  assertMethods("inject failures", faults, "Faults", "count", "opened");
  return new FaultyBackend(backend, faults);
}
