// Copying snapshots: from one layout to another, from one place to another, and out as a stream. A copy has the manifest of
// its source to the byte, and every entry is verified on its way.
import { openArchive } from "../archive/archive_reader.ts";
import { fileBackend, splitPath } from "../backend/file_backend.ts";
import type { Compression } from "../rules/compression.ts";
import type { Backend, BlobReader, Scratch, Stage } from "../words/backend.ts";
import { iterate } from "../words/bytes.ts";
import type { EntrySource, Layout, LayoutKind, Seal } from "../words/snapshot.ts";
import { splitUnit, type Unit } from "../words/unit.ts";
import { archiveLayoutOf, layoutOfKind, layoutOfUnit } from "./layouts.ts";
import { SnapshotReader } from "./snapshot_reader.ts";

/** How a snapshot is exported, where the target's name does not say it. */
export interface ExportOptions {
  /** How the copy is arranged. */
  readonly layout?: LayoutKind;
  /** How an archive is compressed; gzip unless given. */
  readonly compression?: Compression;
}

/** Where an export goes. */
export function targetOf(
  target: string | URL,
  name: string,
  options: ExportOptions,
): { backend: Backend; unit: Unit; layout: Layout } {
  const compression = options.compression ?? "gzip";
  const isInto = /[/\\]$/.test(target instanceof URL ? target.pathname : target);
  const { folder, fileName } = splitPath(target);
  const wanted = options.layout ?? (options.compression === undefined ? "directory" : "archive");
  const into = layoutOfKind(wanted, compression);
  if (isInto) {
    const unit = name + into.suffix;
    return { backend: fileBackend(target), unit, layout: into };
  }
  const split = splitUnit(fileName);
  const unit = split === undefined ? `${fileName}/` : fileName;
  const layout = layoutOfUnit(unit);
  const isContradiction = options.layout !== undefined && options.layout !== layout.kind ||
    options.compression !== undefined && layout.suffix !== layoutOfKind("archive", compression).suffix;
  if (isContradiction) {
    const suffix = layoutOfKind(options.layout ?? "archive", compression).suffix;
    throw new TypeError(`Cannot export to "${target}": an export with these options ends with "${suffix}"`);
  }
  return { backend: fileBackend(folder), unit, layout };
}

/** The entries of an open snapshot, verified as they are read. */
export async function* entriesOf(reader: SnapshotReader): AsyncGenerator<EntrySource, void> {
  for (const state of reader.manifest.states) {
    for (const { path, sizeBytes } of state.entries) {
      yield {
        state: state.name,
        path,
        sizeBytes,
        body: iterate(reader.stream(`${state.name}/${path}`)),
        release: () => {},
      };
    }
  }
}

/** The seal of a copy: the manifest of its source. */
function sealOf(reader: SnapshotReader): Seal {
  const { manifest, manifestBytes } = reader;
  return { savedAt: new Date(manifest.savedAt), seal: () => ({ manifest, bytes: manifestBytes }) };
}

/** Writes a copy and publishes it; a failure leaves nothing. */
export async function writeCopy(reader: SnapshotReader, layout: Layout, stage: Stage): Promise<void> {
  try {
    await layout.write(stage, entriesOf(reader), sealOf(reader));
  } catch (error) {
    await stage.abandon();
    throw error;
  }
}

/** Opens an archive that comes as a stream: its compressed bytes are spooled at the place of the store. */
export async function openStream(backend: Backend, stream: ReadableStream<Uint8Array>): Promise<SnapshotReader> {
  const scratch = await backend.scratch();
  try {
    await scratch.write(iterate(stream));
  } catch (error) {
    await scratch.remove();
    throw error;
  }
  // The reader closes what it reads; a scratch closed so is to vanish.
  const spool: BlobReader = {
    sizeBytes: scratch.sizeBytes,
    read: (offset, lengthBytes) => scratch.read(offset, lengthBytes),
    stream: () => scratch.stream(),
    close: () => scratch.remove(),
  };
  const uri = "the stream";
  const unit = await openArchive(spool, uri, () => backend.scratch());
  return new SnapshotReader(uri, unit, () => Promise.resolve(false), backend.workFolder?.bind(backend));
}

/** A snapshot as the bytes of an archive. */
export async function* streamSnapshot(
  source: { readonly backend: Backend; open(): Promise<SnapshotReader> },
  unit: Unit,
  compression?: Compression,
): AsyncGenerator<Uint8Array, void> {
  const own = layoutOfUnit(unit);
  if (own.kind === "archive" && (compression === undefined || archiveLayoutOf(compression).suffix === own.suffix)) {
    const blob = await source.backend.open(unit);
    if (blob !== undefined) {
      try {
        return yield* blob.stream();
      } finally {
        await blob.close();
      }
    }
  }
  const reader = await source.open();
  try {
    const newScratch = (): Promise<Scratch> => source.backend.scratch();
    yield* archiveLayoutOf(compression ?? "gzip").encoder(sealOf(reader), newScratch).encode(entriesOf(reader));
  } finally {
    await reader.close();
  }
}
