// A snapshot's reader seen from one state: its paths lack the state's name.
import { assertString } from "../model/options.ts";
import type { WorkFolder } from "../model/backend.ts";
import type { ManifestState } from "../model/snapshot.ts";
import type { StandardSchema } from "../model/standard_schema.ts";
import type { EntryInfo, StateReader } from "../model/state.ts";

type Bytes = Uint8Array<ArrayBuffer>;
type Entries = Pick<StateReader, "has" | "bytes" | "text" | "json" | "stream">;

/** An entry that a state's reader can hand out without waiting, which takes the most time of many small ones; it is the caller's then. */
export function takeKept(from: StateReader, path: string): Bytes | undefined {
  return from instanceof ScopedReader ? from.takeKept(path) : undefined;
}

/** What a state's `loadState` reads from. */
export class ScopedReader implements StateReader {
  readonly name: string;
  readonly version: number;
  readonly entries: readonly EntryInfo[];
  readonly uri: string;
  readonly workFolder: (() => WorkFolder) | undefined;
  readonly #snapshot: Entries;
  readonly #takeKept: (path: string) => Bytes | undefined;

  /**
   * Wraps a snapshot's reader; `SnapshotReader.state` does it.
   *
   * @param state The state in the manifest.
   * @param uri Address of the snapshot.
   * @param snapshot Reads entries by `<state>/<path>`.
   * @param takeKept Takes an entry that lies in memory by `<state>/<path>`.
   * @param workFolder Gives states that need one a real folder.
   */
  constructor(
    state: ManifestState,
    uri: string,
    snapshot: Entries,
    takeKept: (path: string) => Bytes | undefined,
    workFolder: (() => WorkFolder) | undefined,
  ) {
    this.uri = uri;
    this.workFolder = workFolder;
    this.name = state.name;
    this.version = state.version;
    this.entries = state.entries;
    this.#snapshot = snapshot;
    this.#takeKept = takeKept;
  }

  has(path: string): boolean {
    return this.#snapshot.has(this.#pathOf(path));
  }

  bytes(path: string): Promise<Bytes> {
    return this.#snapshot.bytes(this.#pathOf(path));
  }

  takeKept(path: string): Bytes | undefined {
    return this.#takeKept(this.#pathOf(path));
  }

  text(path: string): Promise<string> {
    return this.#snapshot.text(this.#pathOf(path));
  }

  json(path: string): Promise<unknown>;
  json<Output>(path: string, schema: StandardSchema<Output>): Promise<Output>;
  json(path: string, schema?: StandardSchema): Promise<unknown> {
    return this.#snapshot.json(this.#pathOf(path), schema as StandardSchema);
  }

  stream(path: string): ReadableStream<Uint8Array> {
    return this.#snapshot.stream(this.#pathOf(path));
  }

  #pathOf(path: string): string {
    assertString("read an entry", "its path", path);
    return `${this.name}/${path}`;
  }
}
