// Writing a unit: claim the name, write the blobs, write the one that commits. What is there without a commit counts for nothing.
import { showAddress } from "../model/address.ts";
import { type ByteSource, NAME_IS_HELD, type Scratch, type Stage, type StageOptions } from "../model/backend.ts";
import { clearTimeout, setTimeout } from "../runtime/clock.ts";
import { reasonOf, SnapshotError, storageError } from "../model/errors.ts";
import { loggerOf } from "../runtime/logging.ts";
import { isGroup, type Unit, UNIT_SUFFIXES } from "../model/unit.ts";
import { Claim } from "./claim.ts";
import { sharedController } from "./client.ts";
import { Doubt, undoubted } from "./decide.ts";
import { takeOver } from "./debris.ts";
import { type S3Place, safeNameOf } from "./place.ts";
import type { Conditions } from "./probe.ts";
import { S3Scratch } from "./scratch.ts";
import { removeUploads, upload } from "./upload.ts";

/** How long an abandoned stage waits for blobs that are on their way. */
const SETTLE_MS = 2_000;

/** A unit being written. */
export class S3Stage implements Stage {
  readonly borrows = true;
  readonly unit: Unit;
  readonly #place: S3Place;
  readonly #name: string;
  readonly #claim: Claim;
  readonly #conditions: Conditions;
  readonly #leastBytes: number | undefined;
  readonly #aborter = sharedController();
  readonly #canceller = sharedController();
  readonly #working = new Set<Promise<unknown>>();
  readonly #written = new Set<string>();
  #mayHaveParts = false;
  /** Whether a blob that was cancelled may appear after all the others were removed. */
  #mayAppear = false;
  #state: "open" | "committing" | "published" | "uncertain" | "abandoned" = "open";
  #abandoning: Promise<void> | undefined;

  private constructor(place: S3Place, claim: Claim, conditions: Conditions, leastBytes: number | undefined) {
    this.unit = claim.unit;
    this.#place = place;
    this.#name = safeNameOf(claim.unit);
    this.#claim = claim;
    this.#conditions = conditions;
    this.#leastBytes = leastBytes;
  }

  /** Claims the name of a unit, in every layout, and starts its stage. */
  static async claim(place: S3Place, unit: Unit, options: StageOptions): Promise<S3Stage> {
    const name = safeNameOf(unit);
    const conditions = await place.writable();
    const claim = await Claim.take(place, name, unit, "stage") ?? await takeOver(place, name, unit, "stage");
    if (claim === undefined) throw exists(place, name, unit, NAME_IS_HELD);
    const stage = new S3Stage(place, claim, conditions, options.leastBytes);
    try {
      // Only after claiming: a writer that published meanwhile kept its claim until its unit was there to be seen.
      const units = options.allowOtherLayouts ? [unit] : UNIT_SUFFIXES.map((suffix) => name + suffix);
      const taken = await Promise.all(units.map((other) => isTaken(place, other)));
      const other = units.find((_, index) => taken[index]);
      if (other !== undefined) {
        throw exists(
          place,
          name,
          unit,
          `${showAddress(place.store.uriOf(other))} exists already; remove it, or choose another name`,
        );
      }
      return stage;
    } catch (error) {
      await stage.abandon();
      throw error;
    }
  }

  write(path: string, body: ByteSource, options: { readonly sizeBytes?: number } = {}): Promise<{ sizeBytes: number }> {
    return this.#track(this.#write(path, body, options.sizeBytes));
  }

  publish(path: string, body: ByteSource): Promise<void> {
    return this.#track(this.#publish(path, body));
  }

  scratch(): Promise<Scratch> {
    return Promise.resolve(new S3Scratch(this.#place.store));
  }

  abandon(): Promise<void> {
    return this.#abandoning ??= this.#abandon();
  }

  async #write(path: string, body: ByteSource, sizeBytes?: number): Promise<{ sizeBytes: number }> {
    this.#assertOpen();
    await this.#claim.renewIfOld();
    const key = this.unit + path;
    this.#written.add(key);
    try {
      const written = await this.#upload(key, body, sizeBytes, async () => {
        this.#assertOpen();
        await this.#claim.renewIfOld();
      }, this.#canceller.signal);
      if (written.hasWon) return { sizeBytes: written.sizeBytes };
    } catch (error) {
      if (this.#canceller.signal.aborted) this.#mayAppear = true;
      throw undoubted(error);
    }
    await this.#claim.renew(); // STAGE_LOST where that is the reason
    throw storageError("write", this.#place.store.uriOf(key), new Error("there is such an object already"));
  }

  async #publish(path: string, body: ByteSource): Promise<void> {
    this.#assertOpen();
    const key = this.unit + path;
    let hasWon: boolean;
    try {
      ({ hasWon } = await this.#upload(key, body, this.#leastBytes, async () => {
        this.#assertOpen();
        await this.#claim.renew(); // no other program can take over before the commit ends
        this.#assertOpen();
        this.#state = "committing";
      }));
    } catch (error) {
      if (!(error instanceof Doubt)) {
        if (this.#state === "committing") this.#state = "open";
        if (this.#claim.isLost) await this.#claim.renew(); // STAGE_LOST is the reason of all else
        throw error;
      }
      this.#state = "uncertain";
      const uri = this.#place.store.uriOf(this.unit);
      const reason = reasonOf(error.cause);
      const message = `Cannot tell whether ${showAddress(uri)} was saved: ${reason}; list again`;
      throw new SnapshotError("COMMIT_UNCERTAIN", message, { uri }, { cause: error.cause });
    }
    if (!hasWon) {
      this.#state = "open";
      throw exists(
        this.#place,
        this.#name,
        this.unit,
        `${showAddress(this.#place.store.uriOf(key))} exists already; remove it, or choose another name`,
      );
    }
    this.#state = "published";
    await this.#claim.release();
  }

  async #upload(
    key: string,
    body: ByteSource,
    leastBytes: number | undefined,
    beforeCommit: () => Promise<void>,
    cancelSignal?: AbortSignal,
  ) {
    const { signal } = this.#aborter;
    const { partBytes } = this.#place.store.address;
    let sizeBytes = 0;
    const counted = async function* () {
      for await (const chunk of body) {
        signal.throwIfAborted();
        sizeBytes += chunk.length;
        yield chunk;
      }
    };
    try {
      return await upload(this.#place.store, key, counted(), {
        conditions: this.#conditions,
        writeId: this.#claim.writeId,
        signal,
        cancelSignal,
        leastBytes,
        beforeCommit,
      });
    } finally {
      if (sizeBytes > partBytes) this.#mayHaveParts = true;
    }
  }

  async #abandon(): Promise<void> {
    if (this.#state === "open") {
      this.#state = "abandoned";
      this.#aborter.abort(this.#ended());
    }
    // Deleting what is just being published could leave a part of it to be seen.
    const settling = setTimeout(() => this.#canceller.abort(this.#ended()), SETTLE_MS);
    while (this.#working.size > 0) await Promise.allSettled(this.#working);
    clearTimeout(settling);
    if (this.#state === "published") return;
    // Perhaps it can be seen: what was written must stay. A sweep finds out.
    if (this.#state === "uncertain") return await this.#claim.release({ isLeft: true });
    this.#state = "abandoned";
    let isLeft = this.#mayAppear; // then a sweep removes it
    try {
      await this.#discard();
    } catch (error) {
      isLeft = true;
      const uri = this.#place.store.uriOf(this.unit);
      loggerOf("S3Backend").warn("Cannot remove '{uri}', it is left to the next sweep: {error}", { uri, error });
    }
    await this.#claim.release({ isLeft });
  }

  /** Removes what was written: all of it while the claim is held, else only what is stamped as ours. */
  async #discard(): Promise<void> {
    const { store } = this.#place;
    const hasWritten = this.#written.size > 0 || this.#mayHaveParts;
    if (!hasWritten) return;
    const isHeld = !this.#claim.isLost && await this.#claim.renew().then(() => true, (error: unknown) => {
      if (this.#claim.isLost) return false;
      throw error;
    });
    if (isHeld) {
      if (this.#mayHaveParts) await removeUploads(store, this.unit, (key) => this.#isOurs(key));
      return await store.deleteAll([...this.#written]);
    }
    for (const key of this.#written) {
      const found = await store.head(key);
      if (found?.writeId === this.#claim.writeId) await store.delete(key);
    }
  }

  #isOurs(key: string): boolean {
    return isGroup(this.unit) ? key.startsWith(this.unit) : key === this.unit;
  }

  async #track<T>(work: Promise<T>): Promise<T> {
    this.#working.add(work);
    try {
      return await work;
    } finally {
      this.#working.delete(work);
    }
  }

  #assertOpen(): void {
    if (this.#state !== "open") throw this.#ended();
  }

  #ended(): SnapshotError {
    return storageError("write", this.#place.store.uriOf(this.unit), new Error(`the stage was ${this.#state}`));
  }
}

/** Whether a unit is published, or something lies in its place; of a group also what is no snapshot. */
async function isTaken({ store }: S3Place, unit: Unit): Promise<boolean> {
  if (!isGroup(unit)) return await store.head(unit) !== undefined;
  return (await store.page(unit, undefined, { mostKeys: 1 })).objects.length > 0;
}

function exists({ store }: S3Place, name: string, unit: Unit, reason: string): SnapshotError {
  return new SnapshotError("SNAPSHOT_EXISTS", `Cannot save "${name}": ${reason}`, { name, uri: store.uriOf(unit) });
}
