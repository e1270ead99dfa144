// Copying snapshots: from one layout to another, from one place to another, and out as a stream. A copy has the manifest of
// its source to the byte, and every entry is verified on its way.
import { openArchive } from "../archive/archive_reader.ts";
import { type PathOrUrl, readAddress, showAddress } from "../model/address.ts";
import type { Backend, BlobReader, Scratch, Stage } from "../model/backend.ts";
import { bodyFor, chunkOf, iterate } from "../runtime/bytes.ts";
import { inSlices, unlessAborted } from "../runtime/concurrency.ts";
import { storageError } from "../model/errors.ts";
import { ARCHIVE_OPTIONS, type ArchiveKind, type ArchiveOptions } from "../layout/archive_layout.ts";
import { assertOptions, type OptionNames, type SignalOptions } from "../model/options.ts";
import type { EntrySource, Labels, Layout, SealedManifest } from "../model/snapshot.ts";
import { streamBytes } from "../runtime/reading.ts";
import { handOver } from "../runtime/sources.ts";
import { type LayoutKind, nameOfUnit, suffixOf, suffixOfLayout, type Unit, unitOfFileName } from "../model/unit.ts";
import { relabelling } from "../manifest/manifest.ts";
import { archiveKindOf, archiveLayoutOf, assertKind, layoutOfKind, layoutOfUnit } from "../layout/layouts.ts";
import { dropPin, notePin } from "./notes.ts";
import type { RawSnapshot } from "./raw_snapshot.ts";
import { placeAt, type S3Promise, splitPlace } from "./place.ts";
import { ProgressCounter, type ProgressOptions } from "./progress.ts";
import { rawOf, SnapshotReader } from "./snapshot_reader.ts";

/** How a snapshot is exported, where the target's name does not say it. */
export interface ExportOptions extends ProgressOptions {
  /**
   * Layout of the copy. It must not contradict the suffix of the target.
   *
   * @default by the suffix of the target; into a folder (`backups/`) the layout of the source
   */
  readonly layout?: LayoutKind;
  /**
   * How an archive is written.
   *
   * @default the defaults of `ArchiveOptions`
   */
  readonly archive?: ArchiveOptions;
  /**
   * Aborts the export at once, in the middle of an entry too; nothing stays. After the commit has begun, it has no effect.
   *
   * @default none
   */
  readonly signal?: AbortSignal;
}

const EXPORT_OPTIONS: OptionNames<ExportOptions> = {
  layout: true,
  archive: ARCHIVE_OPTIONS,
  signal: "an AbortSignal",
  onProgress: "a function",
};

/** How a snapshot is streamed as one archive. */
export interface ArchiveStreamOptions {
  /**
   * Layout of the archive.
   *
   * @default the layout of the snapshot if it is an archive, else `tar.gz`
   */
  readonly layout?: ArchiveKind;
  /**
   * How the archive is written, unless it is passed on unchanged.
   *
   * @default the defaults of `ArchiveOptions`
   */
  readonly archive?: ArchiveOptions;
  /**
   * Aborts the stream, in the middle of an entry too: a read that waits or comes later rejects with the signal's reason.
   *
   * @default none
   */
  readonly signal?: AbortSignal;
}

/** The options of a stream. */
export const ARCHIVE_STREAM_OPTIONS: OptionNames<ArchiveStreamOptions> = {
  layout: true,
  archive: ARCHIVE_OPTIONS,
  signal: "an AbortSignal",
};

// A folder of such a name would be taken for what it is not.
const LIKE_ARCHIVE = /\.(?:7z|bz2|gz|lz4|rar|tar|tbz2?|txz|xz|zip|zst)$/i;

/** Why a file of this name is not exported: it is named like an archive of another kind. `undefined` if it may be. */
export function faultOfFileName(fileName: string): string | undefined {
  if (suffixOf(fileName) !== undefined || !LIKE_ARCHIVE.test(fileName)) return undefined;
  return "a file that is exported ends with .tar.gz, .tar.zst or .tar";
}

/** Where an export goes. */
export function targetOf(
  target: PathOrUrl,
  name: string,
  options: ExportOptions,
  source: LayoutKind,
  promise?: S3Promise,
): { backend: Backend; unit: Unit; layout: Layout } {
  const { endsWithSlash } = readAddress(target);
  assertOptions(`export to ${showAddress(target)}`, options, EXPORT_OPTIONS);
  const kind = options.layout ?? (endsWithSlash ? source : "directory");
  assertKind(kind);
  const suffix = suffixOfLayout(kind);
  if (endsWithSlash) {
    return {
      backend: placeAt(target, undefined, promise),
      unit: name + suffix,
      layout: layoutOfKind(kind, options.archive),
    };
  }
  const { backend, fileName } = splitPlace(target, promise);
  const fault = options.layout === "directory" ? undefined : faultOfFileName(fileName);
  if (fault !== undefined) {
    throw new TypeError(
      `Cannot export to ${showAddress(target)}: ${fault}; for a folder of this name say { layout: "directory" }`,
    );
  }
  const unit = unitOfFileName(fileName);
  const layout = layoutOfUnit(unit, options.archive);
  if (options.layout !== undefined && options.layout !== layout.kind) {
    throw new TypeError(`Cannot export to ${showAddress(target)}: the layout "${kind}" ends with "${suffix}"`);
  }
  return { backend, unit, layout };
}

/** The entries of an open snapshot; each is compared with its digest where it is written. */
async function* entriesOf(
  snapshot: RawSnapshot,
  { uri = "", signal, ...options }: WatchOptions = {},
): AsyncGenerator<EntrySource | readonly EntrySource[], void> {
  const { totals } = await snapshot.sealed.read();
  const progress = new ProgressCounter(uri, "copy", totals, options);
  const watched = (source: EntrySource): EntrySource => {
    const path = `${source.state}/${source.path}`;
    const { body, sizeBytes } = source;
    if (Array.isArray(body)) return { ...source, release: () => progress.entry(path, sizeBytes) };
    const pieces = counted(untilAborted(body as AsyncIterable<Uint8Array>, signal), path, progress);
    return { ...source, body: pieces, release: () => progress.entry(path) };
  };
  for await (const next of untilAborted(snapshot.entries(), signal)) {
    signal?.throwIfAborted();
    if (options.onProgress === undefined && signal === undefined) yield next;
    else yield "body" in next ? watched(next) : next.map(watched);
  }
}

/** What comes until the signal aborts. Does not wait for a read that hangs: closing the reader ends it. */
async function* untilAborted<T>(items: AsyncIterable<T>, signal: AbortSignal | undefined): AsyncGenerator<T, void> {
  if (signal === undefined) return yield* items;
  const iterator = items[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await unlessAborted(iterator.next(), signal);
      if (done === true) return;
      yield value;
    }
  } finally {
    const ending = iterator.return?.();
    if (signal.aborted) ending?.catch(() => {});
    else await ending;
  }
}

async function* counted(
  body: AsyncIterable<Uint8Array>,
  path: string,
  progress: ProgressCounter,
): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of body) {
    yield chunk;
    progress.chunk(path, chunk.length);
  }
}

/** The manifest of a copy: that of its source, to the byte unless the labels were changed since. */
async function sealedCopy(snapshot: RawSnapshot, labels: Labels): Promise<SealedManifest> {
  const { bytes } = snapshot.sealed;
  const manifest = await snapshot.sealed.read();
  const isSame = JSON.stringify(labels) === JSON.stringify(manifest.labels);
  return isSame ? { manifest, bytes } : await inSlices(relabelling(manifest, labels));
}

/** What a copy takes up at least, in bytes. */
export async function leastBytesOf(snapshot: RawSnapshot, layout: Layout): Promise<number> {
  const { states } = await snapshot.sealed.read();
  const sizes = function* () {
    for (const { entries } of states) for (const { sizeBytes } of entries) yield sizeBytes;
  };
  return await inSlices(layout.leastBytes(sizes()));
}

/** How a copy is watched. */
interface WatchOptions extends ProgressOptions {
  /** Address of the source, for progress. */
  readonly uri?: string;
  /** Aborts at once. */
  readonly signal?: AbortSignal | undefined;
}

/** What a copy is written to, and with. */
export interface CopyOptions extends WatchOptions {
  /** Where it is to lie. */
  readonly backend: Backend;
  /** Its stage, which becomes the copy's own. */
  readonly stage: Stage;
  /** Its labels. */
  readonly labels: Labels;
}

/** Writes a copy and publishes it, with its pin noted; a failure leaves nothing. */
export async function writeCopy(
  snapshot: RawSnapshot,
  layout: Layout,
  { backend, stage, labels, ...watch }: CopyOptions,
): Promise<void> {
  const name = nameOfUnit(stage.unit);
  let hasPin = false;
  try {
    hasPin = await notePin(backend, name, labels);
    const sealed = await sealedCopy(snapshot, labels);
    const savedAt = new Date(sealed.manifest.savedAt);
    const unit = await layout.write(stage, entriesOf(snapshot, watch), {
      savedAt,
      signal: watch.signal,
    });
    await unit.publish(sealed);
  } catch (error) {
    if (hasPin) await dropPin(backend, name, error);
    await stage.abandon();
    throw error;
  }
}

const STREAM_URI = "the stream";

/** The incoming bytes; a broken connection is reported in the same way on every runtime. */
async function* arriving(
  pieces: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void> {
  try {
    for await (const piece of pieces) yield chunkOf(piece);
  } catch (cause) {
    signal?.throwIfAborted(); // who gave it up may have ended its source as well
    throw storageError("read", STREAM_URI, cause);
  }
  signal?.throwIfAborted(); // what was cancelled looks as if it had ended
}

/**
 * Opens an archive that comes as a stream: its compressed bytes are spooled at the place of the store.
 *
 * @param backend The place of the store.
 * @param stream The archive; it is cancelled where it is not read to its end.
 * @param options Aborts waiting for it; rejects with the reason of the signal.
 * @throws {SnapshotError} `STORAGE_FAILED` where the stream fails, with its error as cause, and what opening an archive throws.
 * @throws {TypeError} If the stream is being read, or was read or handed over before.
 */
export async function openStream(
  backend: Backend,
  stream: ReadableStream<Uint8Array>,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<SnapshotReader> {
  handOver(stream);
  const pieces = iterate(stream);
  const giveUp = () => void pieces.return?.();
  signal?.addEventListener("abort", giveUp);
  let scratch: Scratch | undefined;
  try {
    signal?.throwIfAborted();
    scratch = await backend.scratch();
    await scratch.write(bodyFor(scratch, arriving(pieces, signal)));
  } catch (error) {
    giveUp();
    await scratch?.remove();
    throw error;
  } finally {
    signal?.removeEventListener("abort", giveUp);
  }
  // The reader closes what it reads; a scratch closed so is to vanish.
  const spool: BlobReader = {
    sizeBytes: scratch.sizeBytes,
    read: scratch.read.bind(scratch),
    close: () => scratch.remove(),
  };
  const unit = await openArchive(spool, STREAM_URI, () => backend.scratch());
  return new SnapshotReader(STREAM_URI, unit, () => Promise.resolve(false), backend.workFolder?.bind(backend));
}

/** What copying needs to know of a snapshot; a locator knows it. */
export interface CopySource {
  /** Where it lies. */
  readonly backend: Backend;
  /** Opens it. */
  open(options: SignalOptions): Promise<SnapshotReader>;
  /** Its labels now. */
  labels(): Promise<Labels>;
  /** Its note, where labels were changed since it was saved. */
  note(): Promise<unknown>;
}

/** A snapshot as the bytes of an archive. */
export async function* streamSnapshot(
  source: CopySource,
  unit: Unit,
  { layout: kind, archive, signal }: ArchiveStreamOptions,
): AsyncGenerator<Uint8Array, void> {
  signal?.throwIfAborted();
  const own = layoutOfUnit(unit);
  if (
    own.kind !== "directory" && (kind === undefined || archiveLayoutOf(kind).kind === own.kind) &&
    await unlessAborted(source.note(), signal) === undefined
  ) {
    const opening = source.backend.open(unit);
    const blob = await unlessAborted(opening, signal).catch((error: unknown) => {
      opening.then((late) => late?.close(), () => {}); // no caller waits for it any more
      throw error;
    });
    if (blob !== undefined) {
      try {
        return yield* untilAborted(streamBytes(blob), signal);
      } finally {
        await blob.close();
      }
    }
  }
  const reader = await source.open({ signal });
  try {
    const labels = await unlessAborted(source.labels(), signal);
    const raw = rawOf(reader);
    const sealed = await sealedCopy(raw, labels);
    const layout = archiveLayoutOf(kind ?? archiveKindOf(own.kind), archive);
    const encoder = layout.encoder(new Date(sealed.manifest.savedAt), () => source.backend.scratch());
    yield* encoder.encode(entriesOf(raw, { signal }));
    yield* encoder.end(sealed);
  } finally {
    await reader.close();
  }
}
