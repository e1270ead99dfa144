// Calls the keeper after a save: one call at a time, and no save waits long for it.
import type { IdleClock } from "../runtime/idle.ts";
import type { SnapshotLocator } from "../snapshot/locator.ts";

/**
 * How long a round waits for its keeper, in milliseconds. Removing many snapshots over a network takes some seconds, and a keeper that
 * takes longer is not aborted: it goes on while further rounds save.
 */
export const KEEPER_MS = 30_000;

/** What carries out retention after each save. */
export interface AutosaveKeeper {
  /** Takes in the snapshot that was saved. */
  append(snapshot: SnapshotLocator): void | Promise<void>;
  /** Removes what may go. */
  cleanup(): Promise<readonly SnapshotLocator[]>;
}

/** What a keeper has done since the last round. */
export interface Cleaning {
  readonly removed: readonly SnapshotLocator[];
  readonly keeperError?: unknown;
}

/** The keeper of one autosaver. */
export class Keeping {
  readonly #keeper: AutosaveKeeper | undefined;
  readonly #clock: IdleClock;
  readonly #missed: SnapshotLocator[] = [];
  readonly #removed: SnapshotLocator[] = [];
  #failure: { readonly error: unknown } | undefined;
  #isRunning = false;
  #hurry = () => {};

  /** Calls nothing yet. */
  constructor(keeper: AutosaveKeeper | undefined, clock: IdleClock) {
    this.#keeper = keeper;
    this.#clock = clock;
  }

  /**
   * Calls the keeper, unless it still runs: then it gets the snapshot when it has answered.
   *
   * @param snapshot What was saved; without one, the keeper only cleans up.
   * @param withinMs How long to wait for it at most, if that is less than {@link KEEPER_MS}.
   * @returns What it has done, also what it did after an earlier round had stopped waiting. Never rejects.
   */
  async clean(snapshot: SnapshotLocator | undefined, withinMs: number = Infinity): Promise<Cleaning> {
    if (this.#keeper === undefined) return { removed: [] };
    if (snapshot !== undefined) this.#missed.push(snapshot);
    let late = this.#isRunning ? "the keeper still runs since an earlier save" : undefined;
    if (late === undefined) {
      const beganMs = this.#clock.now();
      const isInTime = await this.#within(Math.max(0, Math.min(KEEPER_MS, withinMs)), this.#run(this.#keeper));
      if (!isInTime) late = `the keeper has not answered within ${Math.round(this.#clock.now() - beganMs)} ms`;
    }
    const failure = this.#failure ??
      (late === undefined ? undefined : { error: new DOMException(`${late}; saves go on without it`, "TimeoutError") });
    this.#failure = undefined;
    return { removed: this.#removed.splice(0), ...failure === undefined ? {} : { keeperError: failure.error } };
  }

  /** Ends waiting: a last save must begin. */
  hurry(): void {
    this.#hurry();
  }

  async #run(keeper: AutosaveKeeper): Promise<void> {
    this.#isRunning = true;
    do {
      try {
        for (let next = this.#missed.shift(); next !== undefined; next = this.#missed.shift()) {
          await keeper.append(next);
        }
        this.#removed.push(...await keeper.cleanup() ?? []);
      } catch (error) {
        this.#failure ??= { error };
      }
    } while (this.#missed.length > 0);
    this.#isRunning = false;
  }

  /** Whether something has ended in time. */
  async #within(limitMs: number, running: Promise<void>): Promise<boolean> {
    let cancel = () => {};
    const late = new Promise<boolean>((resolve) => {
      this.#hurry = () => resolve(false);
      cancel = this.#clock.later(this.#hurry, limitMs);
    });
    try {
      return await Promise.race([running.then(() => true), late]);
    } finally {
      cancel();
      this.#hurry = () => {};
    }
  }
}
