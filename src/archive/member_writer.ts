// Cutting the tar into members that stand alone, and compressing several at once: bytes go in in order, compressed members
// come out in order, and never more than a window of them is on the way.
import type { Codec } from "../compression/codec.ts";
import { leaving } from "../runtime/memory.ts";
import type { Member } from "./table.ts";

// Room behind a full chunk for its padding and the headers that follow it in the same member.
const SLACK_BYTES = 64 * 1024;
// Of small members more are on the way: each is done before the next could be begun.
const WINDOW_BYTES = 1024 * 1024;
const ZEROS = new Uint8Array(1024);
// Where a buffer begins: memory is slow to touch for the first time, and most archives are small.
const FIRST_BYTES = 64 * 1024;
const NOTHING = new Uint8Array(0);

/** How members are made. */
export interface MemberOptions {
  /** Compression of the members. */
  readonly codec: Codec;
  /** Level of the compression. */
  readonly level: number;
  /** Most payload in one member, in bytes. */
  readonly chunkBytes: number;
  /** Members being compressed at once; more where they are small. */
  readonly inFlight: number;
}

interface Job {
  readonly member: Member;
  readonly output: Promise<readonly Uint8Array<ArrayBuffer>[]>;
  readonly buffer: Uint8Array;
  readonly sizeBytes: number;
}

/** Turns tar bytes into compressed members. */
export class MemberWriter {
  readonly #options: MemberOptions;
  readonly #capacity: number;
  readonly #spare: Uint8Array[] = [];
  readonly #jobs: Job[] = [];
  #jobsBytes = 0;
  #buffer: Uint8Array = NOTHING;
  #firstBytes = FIRST_BYTES;
  #usedBytes = 0;
  #member: Member = { offset: -1 };
  #writtenBytes = 0;

  constructor(options: MemberOptions) {
    this.#options = options;
    this.#capacity = options.chunkBytes + SLACK_BYTES;
  }

  /** The member being filled. */
  get member(): Readonly<Member> {
    return this.#member;
  }

  /** Bytes in the member being filled. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Compressed bytes handed out. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Adds header or padding bytes, to the member being filled or, where that is full, to new ones. */
  put(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      if (this.#usedBytes === this.#capacity) this.cut();
      done += this.fill(bytes.subarray(done), this.#capacity);
    }
  }

  /** Adds zeros, as {@link MemberWriter.put} adds bytes. */
  pad(count: number): void {
    if (count > 0) this.put(ZEROS.subarray(0, count));
  }

  /** Adds payload bytes to the member being filled, until it holds `limitBytes`; returns how many it took. */
  fill(bytes: Uint8Array, limitBytes: number): number {
    const taken = Math.min(bytes.length, limitBytes - this.#usedBytes);
    if (this.#usedBytes + taken > this.#buffer.length) this.#grow(this.#usedBytes + taken);
    this.#buffer.set(taken === bytes.length ? bytes : bytes.subarray(0, taken), this.#usedBytes);
    this.#usedBytes += taken;
    return taken;
  }

  /** The last bytes that were added. */
  lastBytes(count: number): Uint8Array {
    return this.#buffer.subarray(this.#usedBytes - count, this.#usedBytes);
  }

  /** Ends the member being filled, if it holds anything, and starts to compress it. */
  cut(): void {
    if (this.#usedBytes === 0) return;
    const output = this.#options.codec.encode(this.#buffer.subarray(0, this.#usedBytes), this.#options.level);
    output.catch(() => {}); // told when it is its turn; before that it must not count as unhandled
    this.#jobs.push({ member: this.#member, output, buffer: this.#buffer, sizeBytes: this.#usedBytes });
    this.#jobsBytes += this.#usedBytes;
    if (this.#usedBytes > this.#firstBytes) this.#firstBytes = this.#capacity; // others as large will follow
    this.#buffer = this.#spare.pop() ?? NOTHING;
    this.#usedBytes = 0;
    this.#member = { offset: -1 };
  }

  #grow(leastBytes: number): void {
    const buffer = new Uint8Array(
      Math.min(this.#capacity, Math.max(this.#firstBytes, leastBytes, 2 * this.#buffer.length)),
    );
    buffer.set(this.#buffer.subarray(0, this.#usedBytes));
    this.#buffer = buffer;
  }

  /** Whether more than a window of members are on the way, so that finished ones must be handed out first. */
  get isBehind(): boolean {
    return this.#jobs.length > this.#options.inFlight && this.#jobsBytes > WINDOW_BYTES;
  }

  /** Hands out finished members, in order, until no more than a window (or all, to the end) are on the way. */
  async *ready(untilEnd = false): AsyncGenerator<Uint8Array, void> {
    while (this.isBehind || (untilEnd && this.#jobs.length > 0)) {
      const { output, buffer, sizeBytes, member } = this.#jobs.shift() as Job;
      const pieces = await output;
      if (buffer.length >= this.#firstBytes) this.#spare.push(buffer);
      this.#jobsBytes -= sizeBytes;
      member.offset = this.#writtenBytes;
      for (const piece of pieces) {
        this.#writtenBytes += piece.length;
        yield* leaving(piece);
      }
    }
  }
}
