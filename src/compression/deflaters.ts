// Compressors that serve again and again. Making one takes a quarter of a megabyte of untouched memory, which
// costs small members more than their compression.
import { plain } from "../runtime/bytes.ts";
import { setImmediate } from "../runtime/clock.ts";
import { Idle } from "../runtime/idle.ts";
import { isCollectedLate } from "../runtime/memory.ts";
import { zlib } from "../runtime/native_zlib.ts";

// Members come out back to back in buffers of this size, so that one is mostly one piece and no buffer is half empty.
const OUTPUT_BYTES = 1024 * 1024;
const IDLE_OF_EACH_METHOD = 8;
// A compressor that served before makes other bytes of the same input now and then on Deno, where the input is larger than zlib's window
// and moves it.
const MOST_REUSED_BYTES = "Deno" in globalThis ? 64 * 1024 : Infinity;

/** How bytes are deflated. */
export interface DeflateMethod {
  /** 0 (stored) to 9. */
  readonly level: number;
  /** One of zlib's strategies. */
  readonly strategy: number;
}

/** A compressor that makes one member after the other. */
class Deflater {
  readonly #stream: ReturnType<typeof zlib.createGzip> & { reset(): void };
  #pieces: Uint8Array<ArrayBuffer>[] = [];
  #reject: (error: unknown) => void = () => {};

  constructor(method: DeflateMethod) {
    const options = { ...method, flush: zlib.constants.Z_FINISH, chunkSize: OUTPUT_BYTES };
    this.#stream = zlib.createGzip(options) as ReturnType<typeof zlib.createGzip> & { reset(): void }; // not typed, documented
    this.#stream.on("data", (piece: Uint8Array<ArrayBuffer>) => this.#pieces.push(piece));
    this.#stream.on("error", (error) => this.#reject(error));
  }

  /** Makes one member; must not be called while an earlier call runs. */
  member(bytes: Uint8Array): Promise<readonly Uint8Array<ArrayBuffer>[]> {
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      const finish = (): void => {
        if (this.#stream.readableLength > 0) return void setImmediate(finish); // not all was handed out yet
        this.#stream.reset();
        resolve(this.#pieces);
        this.#pieces = []; // who waits for work holds no buffers
      };
      this.#stream.write(bytes, (error) => error ? reject(error) : finish());
    });
  }

  /** Gives its memory back; must not be called while a member is made. */
  close(): void {
    this.#stream.destroy();
  }
}

const idle = new Map<string, Deflater[]>();
const givingBack = new Idle(() => {
  for (const deflater of [...idle.values()].flat()) deflater.close();
  idle.clear();
});

/**
 * Compresses bytes into one gzip member.
 *
 * @param bytes What is compressed; must not change meanwhile.
 * @param method How.
 * @returns The member, in pieces; the same for the same bytes on the same runtime version.
 */
export async function deflate(bytes: Uint8Array, method: DeflateMethod): Promise<readonly Uint8Array<ArrayBuffer>[]> {
  // What is stored is cut after the room that is left for it: only a buffer of its own gives the same bytes each time. And
  // where buffers are collected late, only one that is not shared can be freed at once.
  if (method.level === 0 || isCollectedLate) return [await alone(bytes, method)];
  const key = `${method.level} ${method.strategy}`;
  let waiting = idle.get(key);
  if (waiting === undefined) idle.set(key, waiting = []);
  const isReused = bytes.length <= MOST_REUSED_BYTES;
  const deflater = (isReused ? waiting.pop() : undefined) ?? new Deflater(method);
  const pieces = await deflater.member(bytes); // one that failed is dropped
  if (isReused && waiting.length < IDLE_OF_EACH_METHOD) waiting.push(deflater);
  else deflater.close();
  givingBack.used();
  return pieces;
}

function alone(bytes: Uint8Array, method: DeflateMethod): Promise<Uint8Array<ArrayBuffer>> {
  // If zlib gets all input at once, it makes one piece of it; otherwise it would join two in a third buffer.
  const chunkSize = Math.max(1024, bytes.length + (bytes.length >> 9) + 256);
  const options = { ...method, flush: zlib.constants.Z_FINISH, chunkSize };
  return new Promise((resolve, reject) => {
    zlib.gzip(bytes, options, (error, member) => error ? reject(error) : resolve(plain(member)));
  });
}
