// A place that counts what is open on it, and that hands bytes out in pieces of a chosen size: a verdict must depend on
// neither, and whatever happens, all is to be given back.
import { type Backend, memoryBackend } from "snapkeep";
import type { BlobReader, Scratch } from "snapkeep/backend";

/** A backend with a count of what is open on it. */
export interface WatchedBackend extends Backend {
  /** Readers and scratches that were not given back. */
  readonly unreturned: ReadonlySet<string>;
  /** Scratches that there ever were. */
  readonly scratches: number;
}

/**
 * Watches a backend.
 *
 * @param pieceBytes Size of the pieces in which blobs and scratches are read.
 */
export function watchedBackend(
  { inner = memoryBackend(), pieceBytes = 65_536 }: { inner?: Backend; pieceBytes?: number } = {},
): WatchedBackend {
  const open = new Set<string>();
  let count = 0;
  let scratches = 0;

  async function* inPieces(source: AsyncIterable<Uint8Array>) {
    for await (const chunk of source) {
      for (let start = 0; start < chunk.length; start += pieceBytes) yield chunk.slice(start, start + pieceBytes);
    }
  }

  const watchedReader = (reader: BlobReader, name: string): BlobReader => {
    open.add(name);
    return {
      get sizeBytes() {
        return reader.sizeBytes;
      },
      read: (offset, lengthBytes) => inPieces(reader.read(offset, lengthBytes)),
      close: async () => {
        open.delete(name);
        await reader.close();
      },
    };
  };
  const watchedScratch = (scratch: Scratch): Scratch => {
    const name = `scratch ${++count}`;
    scratches++;
    open.add(name);
    return {
      get sizeBytes() {
        return scratch.sizeBytes;
      },
      read: (offset, lengthBytes) => inPieces(scratch.read(offset, lengthBytes)),
      write: (body) => scratch.write(body),
      close: () => scratch.close(),
      remove: async () => {
        open.delete(name);
        await scratch.remove();
      },
    };
  };
  return {
    unreturned: open,
    get scratches() {
      return scratches;
    },
    uri: inner.uri,
    notes: inner.notes,
    create: () => inner.create(),
    list: (options) => inner.list(options),
    blobs: (unit) => inner.blobs(unit),
    remove: (unit) => inner.remove(unit),
    sweep: (olderThanMs) => inner.sweep(olderThanMs),
    async open(unit, path) {
      const reader = await inner.open(unit, path);
      return reader === undefined ? undefined : watchedReader(reader, `reader ${++count} of ${unit}${path ?? ""}`);
    },
    async stage(unit, options) {
      const stage = await inner.stage(unit, options);
      const name = `stage ${++count}`;
      open.add(name);
      return {
        unit: stage.unit,
        write: (path, body) => stage.write(path, body),
        async publish(path, body) {
          await stage.publish(path, body);
          open.delete(name);
        },
        scratch: async () => watchedScratch(await stage.scratch()),
        async abandon() {
          await stage.abandon();
          open.delete(name);
        },
      };
    },
    scratch: async () => watchedScratch(await inner.scratch()),
  };
}
