// Saves, streams or loads one large state in a fresh process, and tells by how much the process grew at its peak. Run with
// how the state is handed over (sized, stream, owned or copied), what is to be done, its size in bytes, a folder, and perhaps
// a layout; prints one line of JSON.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import process from "node:process";
import { type PersistentState, type StateReader, StateStore, type StateWriter } from "snapkeep";

const PIECE_BYTES = 1024 * 1024;

/** Bytes that deflate finds little in, different in each piece, and quick to make. */
const block = new Uint8Array(PIECE_BYTES);
for (let index = 0, word = 2463534242; index < PIECE_BYTES; index++) {
  word ^= word << 13;
  word ^= word >>> 17;
  word ^= word << 5;
  block[index] = word & 0x3f;
}

function mark(piece: Uint8Array, index: number): Uint8Array {
  new DataView(piece.buffer, piece.byteOffset).setUint32(0, index);
  return piece;
}

/** The highest resident size of this process so far, in bytes; Linux alone tells it. */
function peakBytes(): number {
  const line = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"));
  if (line === null) throw new Error("Cannot tell the peak of this process: there is no VmHWM");
  return Number(line[1]) * 1024;
}

/** A state that is made as it is read, or lies in memory. */
class Large implements PersistentState {
  readonly #sizeBytes: number;
  readonly #how: string;
  readonly #held: Uint8Array | undefined;

  constructor(sizeBytes: number, how: string) {
    this.#sizeBytes = sizeBytes;
    this.#how = how;
    if (how !== "owned" && how !== "copied") return;
    this.#held = new Uint8Array(sizeBytes);
    for (let start = 0; start < sizeBytes; start += PIECE_BYTES) {
      this.#held.set(mark(block, start / PIECE_BYTES).subarray(0, sizeBytes - start), start);
    }
  }

  saveState(out: StateWriter): Promise<void> {
    if (this.#held !== undefined) return out.write("large.bin", this.#held, { owned: this.#how === "owned" });
    return out.write("large.bin", this.#pieces(), this.#how === "sized" ? { sizeBytes: this.#sizeBytes } : {});
  }

  /** Reads it as it was handed over: into the memory it has, or piece by piece. */
  async loadState(from: StateReader): Promise<void> {
    let offset = 0;
    const found = createHash("sha256");
    for await (const chunk of from.stream("large.bin")) {
      if (this.#held === undefined) found.update(chunk);
      else this.#held.set(chunk, offset);
      offset += chunk.length;
    }
    if (offset !== this.#sizeBytes) throw new Error(`loaded ${offset} bytes instead of ${this.#sizeBytes}`);
    const wanted = createHash("sha256");
    for (let start = 0; start < offset; start += PIECE_BYTES) {
      wanted.update(mark(block, start / PIECE_BYTES).subarray(0, offset - start));
    }
    for (let start = 0; this.#held !== undefined && start < offset; start += PIECE_BYTES) {
      found.update(this.#held.subarray(start, start + PIECE_BYTES));
    }
    if (found.digest("hex") !== wanted.digest("hex")) throw new Error("loaded other bytes than were saved");
  }

  async *#pieces(): AsyncGenerator<Uint8Array, void> {
    for (let start = 0; start < this.#sizeBytes; start += PIECE_BYTES) yield this.#piece(start);
  }

  #piece(start: number): Uint8Array {
    return mark(block.slice(0, Math.min(PIECE_BYTES, this.#sizeBytes - start)), start / PIECE_BYTES);
  }
}

const [how = "sized", what = "save", size = "0", folder = "", layout = "tar.gz"] = process.argv.slice(2);
const sizeBytes = Number(size);
const store = new StateStore(folder, { layout: layout as "tar.gz" | "directory", durability: "none" });
store.register("large", new Large(sizeBytes, how));
const before = peakBytes();
const since = performance.now();
const newest = await store.latest();
if (what === "save") await store.saveState();
else if (what === "load" && newest !== undefined) await store.loadState(newest);
else if (what === "verify" && newest !== undefined) {
  if (!(await newest.verify()).isWhole) throw new Error("the snapshot is damaged");
} else if (what === "stream out") {
  for await (const _chunk of store.streamState().body);
} else if (what === "stream in" && newest !== undefined) await store.loadState(newest.stream());
else throw new Error(`Cannot "${what}" in "${folder}"`);
const seconds = (performance.now() - since) / 1000;
console.log(JSON.stringify({ growthBytes: peakBytes() - before, seconds }));
