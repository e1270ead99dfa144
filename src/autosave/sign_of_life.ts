// What a running program leaves at its place for the next run: that it lives, how far it is, and in the end how it ended.
import { reasonOf } from "../model/errors.ts";
import type { IdleClock } from "../runtime/idle.ts";
import { loggerOf } from "../runtime/logging.ts";
import { BEAT_MS, LAST_RUN_NOTE, renderRun, type RunRecord } from "../store/last_run.ts";
import type { StateStore } from "../store/state_store.ts";

// A program waits so long for its first heartbeat, if the storage does not answer.
const MOST_WAIT_MS = 1_000;

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

  /** The first heartbeat, until it is written: the next run takes no earlier end for that of this one. */
  first: Promise<void> | undefined;

  /** Begins once the store has: the note of the last run must be read first. */
  constructor(store: StateStore, clock: IdleClock, step: () => number | undefined) {
    this.#store = store;
    this.#clock = clock;
    this.#step = step;
    this.#startedAtMs = store.now();
    void store.begun.then(() => this.begin());
  }

  /** Begins, unless it has. */
  begin(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    let cancel = () => {};
    const waited = new Promise<void>((resolve) => cancel = this.#clock.later(resolve, MOST_WAIT_MS));
    this.first = Promise.race([this.#write({}, false), waited]).then(() => {
      cancel();
      this.first = undefined;
    });
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

  /** One after the other: the last must be the last. The first is not synced: it is to be there before the program is killed. */
  #write(end: RunEnd, sync = true): Promise<void> {
    const { backend, run, programs } = this.#store;
    const record = {
      run,
      program: programs[0],
      startedAtMs: this.#startedAtMs,
      aliveAtMs: this.#store.now(),
      step: this.#step(),
      ...end,
    };
    const put = () => backend.notes.put(LAST_RUN_NOTE, renderRun(record), { sync });
    const create = async () => {
      await backend.create();
      this.#hasPlace = true;
      await put();
    };
    const write = () => this.#hasPlace ? put() : sync ? create() : put().catch(create);
    return this.#writing = this.#writing.then(write).catch((error) => {
      loggerOf("Autosaver").debug("Cannot renew the heartbeat: {reason}", { reason: reasonOf(error) });
    });
  }
}
