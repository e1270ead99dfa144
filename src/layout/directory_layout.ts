// The directory layout: `<state>/<path>` as blobs of a group, and `manifest.json` as its commit blob.
import { Digester, digestOf } from "../runtime/digest.ts";
import { MAX_MANIFEST_BYTES, openManifest } from "../manifest/manifest.ts";
import { MeasuredEntry } from "../manifest/measured_entry.ts";
import type { BlobInfo, BlobReader, Stage } from "../model/backend.ts";
import { showAddress, uriOfUnit } from "../model/address.ts";
import { mapBounded, Pace, unlessAborted } from "../runtime/concurrency.ts";
import { bodyFor } from "../runtime/bytes.ts";
import { readBytes } from "../runtime/reading.ts";
import { SnapshotError } from "../model/errors.ts";
import {
  type EntrySource,
  type Layout,
  listOfSources,
  type ScannedFile,
  SMALL_ENTRY_BYTES,
  type UnitReader,
  type UnitSource,
  type WrittenEntry,
} from "../model/snapshot.ts";
import { MANIFEST_PATH, TABLE_PATH, type Unit } from "../model/unit.ts";

// What reads like the name of a file, and no store of ours makes.
const LIKE_FILE = /\.(?!state\/)[a-z0-9]{1,8}\/$/i;
// The manifest is read apart; the table is what an untarred archive brings along.
const OWN_FILES = new Set([MANIFEST_PATH, TABLE_PATH]);
const SCANNED_AT_ONCE = 64;
const WRITTEN_AT_ONCE = 8;
const BLOCK_BYTES = 4096;
const SIZES_AT_ONCE = 4096; // which take less than a millisecond
const MOST_OPEN = 64; // each is a file

async function* released(
  reader: BlobReader,
  onClose: () => void,
  offset = 0,
  lengthBytes: number = reader.sizeBytes,
  into?: (mostBytes: number) => Uint8Array<ArrayBuffer>,
): AsyncGenerator<Uint8Array, void> {
  try {
    yield* reader.read(offset, lengthBytes, into);
  } finally {
    await reader.close();
    onClose();
  }
}

/** A folder of files. */
export const directoryLayout: Layout = {
  kind: "directory",
  suffix: "/",

  *leastBytes(sizesBytes) {
    let [sum, count] = [0, 0];
    for (const sizeBytes of sizesBytes) {
      if (sizeBytes >= BLOCK_BYTES) sum += sizeBytes; // what is smaller than a block may lie within its inode
      if (++count % SIZES_AT_ONCE === 0) yield;
    }
    return sum;
  },

  async write(stage, entries, { signal }) {
    // A write that hangs ends when the stage is abandoned.
    const written = await unlessAborted(writeEntries(stage, entries), signal);
    return {
      entries: written,
      async publish({ bytes }) {
        // The stage asks for it when all else is durable: until then the save can be aborted.
        const manifest = function* () {
          signal?.throwIfAborted();
          yield bytes;
        };
        await stage.publish(MANIFEST_PATH, bodyFor(stage, manifest()));
      },
    };
  },

  async open(backend: UnitSource, unit: Unit): Promise<UnitReader> {
    const uri = uriOfUnit(backend, unit);
    const blob = await backend.open(unit, MANIFEST_PATH);
    if (blob === undefined) throw await absence(backend, unit);
    let bytes;
    try {
      bytes = await readBytes(blob, 0, MAX_MANIFEST_BYTES + 1);
    } finally {
      await blob.close();
    }
    const lendSmall = backend.lendSmall?.bind(backend);
    const open = new Set<BlobReader>();
    const opening = new Set<Promise<unknown>>();
    return {
      layout: "directory",
      mostOpen: MOST_OPEN,
      sealed: await openManifest(bytes, uri),
      check: () => Promise.resolve(), // the file names are the index
      async open(entryPath) {
        const task = backend.open(unit, entryPath).then((opened) => {
          if (opened !== undefined) open.add(opened); // before the task settles, or close() could slip in between
          return opened;
        });
        opening.add(task);
        const reader = await task.finally(() => opening.delete(task));
        if (reader === undefined) return undefined;
        const { sizeBytes } = reader;
        const onClose = () => open.delete(reader);
        return {
          sizeBytes,
          read: (offset, lengthBytes, into) => released(reader, onClose, offset, lengthBytes, into),
        };
      },
      ...lendSmall && { lendSmall: (entryPaths) => lendSmall(unit, entryPaths, SMALL_ENTRY_BYTES) },
      async close() {
        await Promise.allSettled(opening); // of readers ahead
        for (const reader of open) await reader.close();
        open.clear();
      },
    };
  },

  async *scan(backend, unit, { digest, signal }) {
    const scan = async ({ path, sizeBytes, isRegular }: BlobInfo): Promise<ScannedFile> => {
      signal?.throwIfAborted();
      const reader = digest && isRegular ? await backend.open(unit, path) : undefined;
      if (reader === undefined) return { path, sizeBytes, isRegular };
      const digester = new Digester();
      for await (const chunk of released(reader, () => {})) digester.update(chunk);
      return { path, sizeBytes: digester.sizeBytes, isRegular, digest: digester.digest() };
    };
    const [small, rest]: [BlobInfo[], BlobInfo[]] = [[], []];
    const pace = new Pace();
    for await (const blob of backend.blobs(unit)) {
      if (pace.isDue) await pace.rest();
      const { path, isRegular, sizeBytes } = blob;
      if (OWN_FILES.has(path) && isRegular) continue;
      const isLent = backend.lendSmall !== undefined && digest && isRegular && sizeBytes <= SMALL_ENTRY_BYTES;
      (isLent ? small : rest).push(blob);
    }
    let index = 0;
    for await (const batch of backend.lendSmall?.(unit, small.map(({ path }) => path), SMALL_ENTRY_BYTES) ?? []) {
      signal?.throwIfAborted();
      for (const bytes of batch) {
        const blob = small[index++] as BlobInfo;
        if (bytes === undefined) rest.push(blob);
        else yield { path: blob.path, sizeBytes: bytes.length, isRegular: true, digest: digestOf(bytes) };
      }
    }
    for (; index < small.length; index++) rest.push(small[index] as BlobInfo);
    for (let start = 0; start < rest.length; start += SCANNED_AT_ONCE) {
      yield* await mapBounded(rest.slice(start, start + SCANNED_AT_ONCE), scan);
    }
  },
};

/** Why a unit cannot be opened: it has blobs but no manifest, or nothing is there. */
async function absence(backend: UnitSource, unit: Unit): Promise<SnapshotError> {
  const uri = uriOfUnit(backend, unit);
  for await (const _blob of backend.blobs(unit)) {
    return new SnapshotError(
      "MANIFEST_MISSING",
      `Cannot open ${
        showAddress(uri)
      }: it has no ${MANIFEST_PATH}, so it was never committed or is no snapshot of snapkeep`,
      { uri },
    );
  }
  const hint = LIKE_FILE.test(unit) ? "; a file of one ends with .tar.gz, .tar.zst or .tar" : "";
  const reason = `there is no such snapshot${hint}`;
  return new SnapshotError("SNAPSHOT_NOT_FOUND", `Cannot open ${showAddress(uri)}: ${reason}`, { uri });
}

/** Writes all entries, several at a time; the first failure is reported at once. */
async function writeEntries(
  stage: Stage,
  entries: AsyncIterable<EntrySource | readonly EntrySource[]>,
): Promise<readonly WrittenEntry[]> {
  const written: WrittenEntry[] = [];
  const writing = new Set<Promise<unknown>>();
  let failure: { readonly error: unknown } | undefined;
  let interrupt = () => {};
  const interrupted = new Promise<void>((resolve) => interrupt = resolve);
  const throwIfFailed = (): void => {
    if (failure !== undefined) throw failure.error;
  };
  const write = async (source: EntrySource, index: number): Promise<void> => {
    const entry = new MeasuredEntry(source);
    await stage.write(
      entry.path,
      bodyFor(stage, entry.chunks()),
      source.sizeBytes === undefined ? {} : { sizeBytes: source.sizeBytes },
    );
    written[index] = entry.finish();
  };
  const start = (source: EntrySource): void => {
    const task = write(source, written.length++).catch((error: unknown) => {
      failure ??= { error };
      interrupt();
    }).finally(() => writing.delete(task));
    writing.add(task);
  };
  const iterator = entries[Symbol.asyncIterator]();
  const pace = new Pace(); // for backends whose writes never wait
  while (true) {
    // A failed write is reported at once, also while a slow state keeps its next entry waiting.
    const next = await Promise.race([iterator.next(), interrupted]);
    throwIfFailed();
    if (next === undefined || next.done) break;
    const sources = listOfSources(next.value);
    for (const source of sources) {
      if (writing.size >= WRITTEN_AT_ONCE) await Promise.race(writing);
      if (pace.isDue) await pace.rest();
      throwIfFailed();
      start(source);
    }
    // A list, also of one, is valid until the next is asked for. Streams are written one by one: they may depend on each other.
    if (!("body" in next.value) || !Array.isArray(next.value.body)) await Promise.all(writing);
  }
  await Promise.all(writing);
  throwIfFailed();
  return written;
}
