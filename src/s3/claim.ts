// A claim: the right to write or remove under a name. It is an object that is created under a condition, renewed under a condition
// while its holder works, and removed when all is done. Its age, by the clock of the store, tells whether its holder lives.
import { STALE_AFTER_MS } from "../model/backend.ts";
import { clearInterval, monotonicMs, setInterval } from "../runtime/clock.ts";
import { SnapshotError } from "../model/errors.ts";
import type { Unit } from "../model/unit.ts";
import { loggerOf } from "../runtime/logging.ts";
import type { ObjectInfo } from "./client.ts";
import { decide, undoubted } from "./decide.ts";
import { CLAIMS, namedKey, type S3Place } from "./place.ts";

/** How far apart a living holder renews its claim. */
export const BEAT_MS = 30_000;
const FORMAT = "snapkeep-claim";
const MOST_BYTES = 4096;

/** What a claim is for. */
export type Purpose = "stage" | "remove" | "sweep";

/** A claim as it is found. */
export interface FoundClaim extends ObjectInfo {
  readonly unit: Unit | undefined;
  readonly purpose: Purpose | undefined;
}

/** A claim that this program holds. */
export class Claim {
  static readonly #living = new Set<Claim>();
  readonly key: string;
  readonly unit: Unit;
  readonly #place: S3Place;
  readonly #name: string;
  readonly #purpose: Purpose;
  readonly #token: string = globalThis.crypto.randomUUID();
  #etag = "";
  #beats = 0;
  #renewedAtMs = -Infinity;
  #isLost = false;
  #renewing: Promise<void> = Promise.resolve();
  #timer: ReturnType<typeof setInterval> | undefined;

  private constructor(place: S3Place, name: string, unit: Unit, purpose: Purpose) {
    this.key = namedKey(CLAIMS, name);
    this.unit = unit;
    this.#place = place;
    this.#name = name;
    this.#purpose = purpose;
  }

  /**
   * Takes a claim: a new one, or one in the place of `dead`.
   *
   * @returns The claim; `undefined` where another has one, or has taken over the dead one.
   */
  static async take(
    place: S3Place,
    name: string,
    unit: Unit,
    purpose: Purpose,
    dead?: { readonly etag: string },
  ): Promise<Claim | undefined> {
    const claim = new Claim(place, name, unit, purpose);
    if (!await claim.#write(dead?.etag)) return undefined;
    if (dead !== undefined) { for (const other of Claim.#living) other.#loseTo(claim); }
    claim.#start();
    return claim;
  }

  /** The claim of a name as it is now. */
  static async find(place: S3Place, name: string): Promise<FoundClaim | undefined> {
    const found = await place.store.get(namedKey(CLAIMS, name), { offset: 0, lengthBytes: MOST_BYTES });
    return found && { ...found, ...parse(found.bytes) };
  }

  /** Whether this program holds the claim of a key. */
  static isHeldHere(place: S3Place, key: string): boolean {
    return [...Claim.#living].some((claim) => claim.#isAt(place, key) && !claim.#isLost);
  }

  /** The id that all that is written under this claim is stamped with. */
  get writeId(): string {
    return this.#token;
  }

  /** Whether another has taken over. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /**
   * Renews it: another cannot take over for as long as claims live.
   *
   * @throws {SnapshotError} `STAGE_LOST` if another has taken over; else what the store fails with.
   */
  async renew(): Promise<void> {
    const renewing = this.#renewing.catch(() => {}).then(async () => {
      this.#assertHeld();
      if (!await this.#write(this.#etag)) this.#isLost = true;
      this.#assertHeld();
    });
    this.#renewing = renewing;
    await renewing;
  }

  /** Renews it if the last time is so long ago that its holder may be taken for dead soon. */
  async renewIfOld(): Promise<void> {
    this.#assertHeld();
    if (monotonicMs() - this.#renewedAtMs > STALE_AFTER_MS / 2) await this.renew();
  }

  /** Stops renewing it, and removes it unless it is to be left to a sweep; never throws. */
  async release({ isLeft = false }: { readonly isLeft?: boolean } = {}): Promise<void> {
    clearInterval(this.#timer);
    await this.#renewing.catch(() => {});
    if (Claim.#living.delete(this) && !this.#isLost && !isLeft) await this.#remove();
  }

  async #remove(): Promise<void> {
    const { store } = this.#place;
    try {
      const { remove } = await this.#place.conditions();
      if (remove) return await store.delete(this.key, this.#etag);
      const found = await store.head(this.key);
      if (this.#isMine(found)) await store.delete(this.key);
    } catch (error) {
      const uri = store.uriOf(this.key);
      loggerOf("S3Backend").warn("Cannot remove '{uri}', it is left to the next sweep: {error}", { uri, error });
    }
  }

  async #write(etag: string | undefined): Promise<boolean> {
    const writeId = `${this.#token}.${++this.#beats}`;
    const record = { format: FORMAT, unit: this.unit, purpose: this.#purpose, id: writeId };
    const condition = etag === undefined ? { ifNoneMatch: "*" } as const : { ifMatch: etag };
    const body = new TextEncoder().encode(`${JSON.stringify(record)}\n`);
    try {
      const sentAtMs = monotonicMs();
      const decision = await decide(this.#place.store, await this.#place.conditions(), this.key, body, {
        condition,
        writeId,
      });
      if (decision === "lost") return false;
      this.#etag = decision.etag;
      this.#renewedAtMs = sentAtMs;
      return true;
    } catch (error) {
      throw undoubted(error);
    }
  }

  #start(): void {
    Claim.#living.add(this);
    this.#timer = setInterval(() => {
      this.renew().catch(() => {}); // the next write, or the commit, tells
    }, BEAT_MS);
    this.#timer.unref();
  }

  #isMine(found: ObjectInfo | undefined): boolean {
    return found?.writeId?.startsWith(this.#token) ?? false;
  }

  #isAt(place: S3Place, key: string): boolean {
    const [own, other] = [this.#place.store.address, place.store.address];
    return this.key === key && own.uri === other.uri && own.endpoint === other.endpoint;
  }

  #loseTo(other: Claim): void {
    if (other !== this && this.#isAt(other.#place, other.key)) this.#isLost = true;
  }

  #assertHeld(): void {
    if (!this.#isLost) return;
    const reason = "a sweep took its writer for dead and removed what it had written";
    throw new SnapshotError("STAGE_LOST", `Cannot save "${this.#name}": ${reason}; save again`, { unit: this.unit });
  }
}

/** Reads a claim, which may be anything. */
function parse(bytes: Uint8Array): { unit: Unit | undefined; purpose: Purpose | undefined } {
  try {
    const { format, unit, purpose } = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
    const isPurpose = purpose === "stage" || purpose === "remove" || purpose === "sweep";
    if (format === FORMAT && typeof unit === "string" && isPurpose) return { unit, purpose };
  } catch {
    // not ours, or cut
  }
  return { unit: undefined, purpose: undefined };
}
