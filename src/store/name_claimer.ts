// Names for new snapshots: each later than all that are there, claimed before anything is written.
import type { Backend, Stage } from "../model/backend.ts";
import { isSnapshotError } from "../model/errors.ts";
import { Pace } from "../runtime/concurrency.ts";
import { loggerOf } from "../runtime/logging.ts";
import type { SnapshotNameFormat } from "../model/snapshot_name.ts";
import { splitUnit, type Unit, type UnitSuffix } from "../model/unit.ts";

const CLOCK_BEHIND_US = 60_000_000n;

/** Microseconds out of milliseconds, both since 1970. */
export function microseconds(timeMs: number): bigint {
  if (!Number.isFinite(timeMs)) throw new RangeError(`Cannot name a snapshot: the clock says ${timeMs}`);
  return BigInt(Math.floor(timeMs * 1000));
}

/** A snapshot that was listed. */
export interface ListedUnit {
  /** Its name. */
  readonly name: string;
  /** How it lies. */
  readonly unit: Unit;
}

/** Makes and claims names at one place. */
export class NameClaimer {
  readonly #backend: Backend;
  readonly #format: SnapshotNameFormat;
  #latest: string | undefined;
  #hasWarned = false;

  constructor(backend: Backend, format: SnapshotNameFormat) {
    this.#backend = backend;
    this.#format = format;
  }

  /** Tells whether a name has the format. */
  isTimed(name: string): boolean {
    return this.#format.parse(name) !== undefined;
  }

  /** A name for what is saved now, later than all that were seen here; it is not claimed. */
  propose(nowMs: number): string {
    try {
      return this.#format.next(microseconds(nowMs), this.#latest);
    } catch (error) {
      if (isSnapshotError(error, "NAMES_EXHAUSTED")) this.#latest = undefined; // it may be renamed or removed meanwhile
      throw error;
    }
  }

  /** The snapshots whose names have the format, and come after `after`; learns the latest. */
  async list(after: string | undefined): Promise<ListedUnit[]> {
    const listed: ListedUnit[] = [];
    const pace = new Pace();
    for await (const unit of this.#backend.list(after === undefined ? {} : { after })) {
      if (pace.isDue) await pace.rest(); // a page of names comes without a wait
      const name = splitUnit(unit)?.name;
      if (name === undefined || !this.isTimed(name)) continue;
      listed.push({ name, unit });
      if (this.#latest === undefined || name > this.#latest) this.#latest = name;
    }
    return listed;
  }

  /**
   * Claims the earliest name that is free, not before now, and later than all names that were listed, for at least so many
   * bytes.
   */
  async claim(nowMs: number, suffix: UnitSuffix, leastBytes: number): Promise<{ stage: Stage; name: string }> {
    this.#warnOfClock(microseconds(nowMs));
    while (true) {
      const name = this.propose(nowMs);
      try {
        const stage = await this.#backend.stage(name + suffix, { leastBytes });
        this.#latest = name;
        return { stage, name };
      } catch (error) {
        if (!isSnapshotError(error, "SNAPSHOT_EXISTS")) throw error;
        this.#latest = name; // taken by another writer: go on from there
      }
    }
  }

  /** Fails with `NAMES_EXHAUSTED` if a snapshot of this name would be the last one that can be saved here. */
  assertCanFollow(name: string): void {
    if (this.isTimed(name)) this.#format.next(0n, name);
  }

  #warnOfClock(nowUs: bigint): void {
    const latestUs = this.#latest === undefined ? undefined : this.#format.parse(this.#latest);
    if (this.#hasWarned || latestUs === undefined || latestUs - nowUs < CLOCK_BEHIND_US) return;
    this.#hasWarned = true;
    const message =
      "The clock is behind the newest snapshot '{name}'; names go on from there, savedAt tells the clock's time";
    loggerOf("StateStore").warn(message, { name: this.#latest });
  }
}
