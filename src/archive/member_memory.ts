// What decompressed members may take up: those kept for the next entry that lies in them, and those on the way.
import type { Member } from "./table.ts";

const KEPT_MEMBERS = 8;
// Ours are 2 MiB unless chosen otherwise: these bounds are met by members that are large for what is read of them.
const KEPT_BYTES = 64 * 1024 * 1024;
const ROOM_BYTES = 128 * 1024 * 1024;

/** The latest used of a few members, with what is known of them. */
export class LatestMembers<T> {
  readonly #held = new Map<Readonly<Member>, { readonly value: T; readonly sizeBytes: number }>();
  #heldBytes = 0;

  /** What is kept of a member; `undefined` where it is not among the latest. */
  get(member: Readonly<Member>): T | undefined {
    return this.#held.get(member)?.value;
  }

  /** Makes a member the latest; those used longest ago make room for it. */
  keep(member: Readonly<Member>, value: T, sizeBytes: number): void {
    this.#drop(member);
    for (const [oldest] of this.#held) {
      if (this.#held.size < KEPT_MEMBERS && this.#heldBytes + sizeBytes <= KEPT_BYTES) break;
      this.#drop(oldest);
    }
    this.#held.set(member, { value, sizeBytes });
    this.#heldBytes += sizeBytes;
  }

  /** Forgets all. */
  clear(): void {
    this.#held.clear();
    this.#heldBytes = 0;
  }

  #drop(member: Readonly<Member>): void {
    this.#heldBytes -= this.#held.get(member)?.sizeBytes ?? 0;
    this.#held.delete(member);
  }
}

/** Room for what is being decompressed at once; one member alone may be larger than that. */
export class Room {
  #takenBytes = 0;
  readonly #waiting: { readonly sizeBytes: number; readonly begin: () => void }[] = [];

  /** Does work that takes up `sizeBytes`, once there is room for it; in the order of the calls. */
  async use<T>(sizeBytes: number, work: () => Promise<T>): Promise<T> {
    if (this.#waiting.length > 0 || !this.#fits(sizeBytes)) {
      await new Promise<void>((begin) => this.#waiting.push({ sizeBytes, begin }));
    } else this.#takenBytes += sizeBytes;
    try {
      return await work();
    } finally {
      this.#takenBytes -= sizeBytes;
      for (let next = this.#waiting[0]; next !== undefined && this.#fits(next.sizeBytes); next = this.#waiting[0]) {
        this.#waiting.shift();
        this.#takenBytes += next.sizeBytes; // at once: another caller must not take its place before it continues
        next.begin();
      }
    }
  }

  #fits(sizeBytes: number): boolean {
    return this.#takenBytes === 0 || this.#takenBytes + sizeBytes <= ROOM_BYTES;
  }
}
