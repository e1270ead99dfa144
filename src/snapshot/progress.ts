// How far work on a snapshot is: counted where its bytes pass, reported to the caller.

/** How far a load, verification, import or export is. */
export interface SnapshotProgress {
  /** Address of the snapshot that is read. */
  readonly uri: string;
  /** What is done: every entry is read and verified, or copied, which verifies it as well. */
  readonly phase: "verify" | "copy";
  /** State whose entry was worked on last. */
  readonly state: string;
  /** Entries done in this phase. */
  readonly entries: number;
  /** Bytes done in this phase. */
  readonly sizeBytes: number;
  /** Entries that there are. */
  readonly totalEntries: number;
  /** Bytes that there are. */
  readonly totalBytes: number;
}

/** An option of all that reads whole snapshots. */
export interface ProgressOptions {
  /**
   * Called after each chunk and entry; the last call has the totals. What it throws fails the operation.
   *
   * @default none
   */
  readonly onProgress?: ((progress: SnapshotProgress) => void) | undefined;
}

/** Counts one phase. */
export class ProgressCounter {
  readonly #told: Pick<SnapshotProgress, "uri" | "phase" | "totalEntries" | "totalBytes">;
  readonly #onProgress: ProgressOptions["onProgress"];
  #entries = 0;
  #sizeBytes = 0;

  constructor(
    uri: string,
    phase: SnapshotProgress["phase"],
    totals: { readonly entries: number; readonly sizeBytes: number },
    { onProgress }: ProgressOptions,
  ) {
    this.#told = { uri, phase, totalEntries: totals.entries, totalBytes: totals.sizeBytes };
    this.#onProgress = onProgress;
  }

  /** Counts bytes of an entry, named `<state>/<path>`, that goes on. */
  chunk(path: string, sizeBytes: number): void {
    this.#sizeBytes += sizeBytes;
    this.#tell(path);
  }

  /** Counts an entry that is done, with those of its bytes that were not counted yet. */
  entry(path: string, sizeBytes = 0): void {
    this.#entries++;
    this.chunk(path, sizeBytes);
  }

  #tell(path: string): void {
    if (this.#onProgress === undefined) return;
    const state = path.slice(0, path.indexOf("/"));
    this.#onProgress({ ...this.#told, state, entries: this.#entries, sizeBytes: this.#sizeBytes });
  }
}
