// A file in memory that is handed over in pieces, and that knows whether it was given back.
import type { Backend, BlobReader, ByteSource, Scratch } from "../../src/model/backend.ts";
import { concat } from "../../src/runtime/bytes.ts";

/** A place with one file in it. */
export interface OneFile {
  /** As a backend, as far as reading an archive needs one. */
  readonly backend: Backend;
  /** How many readers and rooms were not given back. */
  unreturned(): number;
}

/** Cuts bytes into pieces of these sizes, over and over. */
export function* cutInto(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array<ArrayBuffer>, void> {
  for (let start = 0, index = 0; start < bytes.length; index++) {
    const size = sizes[index % sizes.length] as number;
    yield bytes.slice(start, start + size);
    start += size;
  }
}

/** A place with a file in it, which is read in pieces. */
export function oneFile(bytes: Uint8Array, pieces: readonly number[] = [65_536]): OneFile {
  const held = new Set<object>();
  const readerOf = (content: Uint8Array): BlobReader => {
    const reader: BlobReader = {
      sizeBytes: content.length,
      async *read(offset, lengthBytes) {
        yield* cutInto(content.subarray(offset, offset + lengthBytes), pieces);
      },
      close() {
        held.delete(reader);
        return Promise.resolve();
      },
    };
    held.add(reader);
    return reader;
  };
  const backend = {
    uri: "memory:fuzz/",
    open: () => Promise.resolve(readerOf(bytes)),
    scratch: () => Promise.resolve(memoryScratch(held)),
  };
  return { backend: backend as unknown as Backend, unreturned: () => held.size };
}

function memoryScratch(held: Set<object>): Scratch {
  let content = new Uint8Array();
  const scratch: Scratch = {
    get sizeBytes() {
      return content.length;
    },
    async write(body: ByteSource) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of body) chunks.push(chunk.slice());
      content = concat([content, ...chunks]);
    },
    async *read(offset, lengthBytes) {
      const piece = content.slice(offset, offset + lengthBytes);
      if (piece.length > 0) yield piece;
    },
    close: () => Promise.resolve(),
    remove() {
      held.delete(scratch);
      return Promise.resolve();
    },
  };
  held.add(scratch);
  return scratch;
}
