// What a running program leaves at its place for the next run: that it lives, how far it is, and in the end how it ended.
import { reasonOf } from "../model/errors.ts";
import type { IdleClock } from "../runtime/idle.ts";
import { loggerOf } from "../runtime/logging.ts";
import { BEAT_MS, LAST_RUN_NOTE, renderRun, type RunRecord } from "../store/last_run.ts";
import type { StateStore } from "../store/state_store.ts";

/** How a run ended, and the snapshot that holds all it did, if there is one. */
export type RunEnd = Pick<RunRecord, "ended" | "signal" | "saved">;

/** Renews the heartbeat until it ends. A renewal that fails is logged and costs nothing else. */
export class SignOfLife {
  readonly #store: StateStore;
  readonly #clock: IdleClock;
  readonly #step: () => number | undefined;
  readonly #startedAtMs: number;
  #cancel: (() => void) | undefined;
  #writing: Promise<void> = Promise.resolve();
  #hasBegun = false;
  #hasPlace = false;

  /** Begins nothing yet: the note of the last run must be read first. */
  constructor(store: StateStore, clock: IdleClock, step: () => number | undefined) {
    this.#store = store;
    this.#clock = clock;
    this.#step = step;
    this.#startedAtMs = store.now();
  }

  /** Begins, unless it has. */
  begin(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    this.#beat();
  }

  /** Ends; resolves when the note says so. */
  async end(end: RunEnd): Promise<void> {
    this.#cancel?.();
    if (this.#hasBegun) await this.#write(end);
    this.#hasBegun = true;
  }

  #beat(): void {
    this.#cancel = this.#clock.later(() => this.#beat(), BEAT_MS);
    void this.#write({});
  }

  /** One after the other: the last must be the last. */
  #write(end: RunEnd): Promise<void> {
    const { backend, run, programs } = this.#store;
    const record = {
      run,
      program: programs[0],
      startedAtMs: this.#startedAtMs,
      aliveAtMs: this.#store.now(),
      step: this.#step(),
      ...end,
    };
    const write = async () => {
      if (!this.#hasPlace) await backend.create();
      this.#hasPlace = true;
      await backend.notes.put(LAST_RUN_NOTE, renderRun(record));
    };
    return this.#writing = this.#writing.then(write).catch((error) => {
      loggerOf("Autosaver").debug("Cannot renew the heartbeat: {reason}", { reason: reasonOf(error) });
    });
  }
}
