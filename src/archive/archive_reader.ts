// Reading an archive: by its table where it has one (see indexed_reader.ts), else (a tar that other tools made) unpacked once
// into scratch; or scanned in sequence. The set of files must equal the manifest, and nothing is believed.
import type { Codec } from "../compression/codec.ts";
import { codecOf, compressionOf } from "../compression/codecs.ts";
import { Digester } from "../runtime/digest.ts";
import { openManifest } from "../manifest/manifest.ts";
import type { BlobReader, Scratch } from "../model/backend.ts";
import { bodyFor } from "../runtime/bytes.ts";
import { inSlices, Pace, type Work } from "../runtime/concurrency.ts";
import { readBytes, streamBytes } from "../runtime/reading.ts";
import type { ManifestEntry, ScannedFile, UnitReader } from "../model/snapshot.ts";
import { isLeftByDesktop, MANIFEST_PATH } from "../model/unit.ts";
import { LAYOUTS } from "./container.ts";
import { openIndexed } from "./indexed_reader.ts";
import { mostPackedBytes } from "./member_runs.ts";
import { asRejection, assertManifestSize, manifestMissing, rejected } from "./rejection.ts";
import { IGNORED } from "./table.ts";
import { decodeTar, type TarFile } from "./tar_decoder.ts";
import { type ArchiveLimits, DEFAULT_LIMITS, FREE_RATIO_BYTES } from "./tar_guard.ts";
import { BLOCK_BYTES, isTarHeader } from "./tar_header.ts";

const MOST_OPEN = 64;
const ENTRIES_AT_ONCE = 256; // which take less than a millisecond

/**
 * Opens an archive, by its table where it has one.
 *
 * @param blob The file; closed by the reader's `close`, and where opening fails.
 * @param uri Address, for errors.
 * @param newScratch Room to unpack an archive that has no table.
 * @param limits What must not be exceeded.
 * @throws {SnapshotError} `ARCHIVE_REJECTED`, `MANIFEST_MISSING`, `MANIFEST_INVALID`, `FORMAT_UNSUPPORTED`,
 *   `COMPRESSION_UNAVAILABLE`.
 */
export async function openArchive(
  blob: BlobReader,
  uri: string,
  newScratch: () => Promise<Scratch>,
  limits: ArchiveLimits = DEFAULT_LIMITS,
): Promise<UnitReader> {
  try {
    const codec = await codecOfBlob(blob, uri);
    return await openIndexed(blob, uri, codec) ?? await openUnindexed(blob, uri, codec, newScratch, limits);
  } catch (error) {
    await blob.close();
    throw asRejection(error, uri);
  }
}

/**
 * All files of an archive in sequence, with their digests, the manifest among them, read to the very end of the file;
 * `MANIFEST_MISSING` where the tar has none, whatever a table may say.
 */
export async function* scanArchive(
  blob: BlobReader,
  uri: string,
  signal?: AbortSignal,
  limits: ArchiveLimits = DEFAULT_LIMITS,
): AsyncGenerator<ScannedFile, void> {
  let hasManifest = false;
  const pace = new Pace(); // a table that is passed over may be long
  try {
    for await (const { path, sizeBytes, body } of filesOf(blob, uri, await codecOfBlob(blob, uri), limits)) {
      const digester = new Digester();
      for await (const chunk of body) {
        signal?.throwIfAborted();
        digester.update(chunk);
        if (pace.isDue) await pace.rest();
      }
      if (!IGNORED.has(path)) yield { path, sizeBytes, isRegular: true, digest: digester.digest() };
      hasManifest ||= path === MANIFEST_PATH;
    }
    if (!hasManifest) throw manifestMissing(uri);
  } catch (error) {
    throw asRejection(error, uri);
  } finally {
    await blob.close();
  }
}

async function codecOfBlob(blob: BlobReader, uri: string): Promise<Codec> {
  if (blob.sizeBytes === 0) throw rejected(uri, "TRUNCATED", 0, "it is empty");
  const head = await readBytes(blob, 0, BLOCK_BYTES);
  const compression = compressionOf(head) ?? (isTarHeader(head) ? "none" : undefined);
  if (compression === undefined) throw rejected(uri, "COMPRESSION_UNKNOWN", 0, "it is not a gzip, zstd or tar file");
  return codecOf(compression);
}

async function* filesOf(
  blob: BlobReader,
  uri: string,
  codec: Codec,
  limits: ArchiveLimits,
): AsyncGenerator<TarFile, void> {
  let sizeBytes = 0;
  const packed = async function* () {
    let packedBytes = 0;
    for await (const chunk of streamBytes(blob)) {
      // Of what was taken before: this is asked for once nearly all of that was decompressed.
      if (packedBytes > mostPackedBytes(sizeBytes)) {
        throw rejected(uri, "LIMIT_MEMBERS", packedBytes, "it has more members than its content needs");
      }
      packedBytes += chunk.length;
      yield chunk;
    }
  };
  const expanded = async function* () {
    for await (const chunk of codec.decodeStream(packed())) {
      sizeBytes += chunk.length;
      if (sizeBytes > FREE_RATIO_BYTES + blob.sizeBytes * codec.mostRatio) {
        throw rejected(uri, "LIMIT_RATIO", sizeBytes, "it expands beyond all reason");
      }
      yield chunk;
    }
  };
  yield* decodeTar(expanded(), uri, limits);
}

/** Unpacks an archive that has no table into scratch, as files behind each other. */
async function openUnindexed(
  blob: BlobReader,
  uri: string,
  codec: Codec,
  newScratch: () => Promise<Scratch>,
  limits: ArchiveLimits,
): Promise<UnitReader> {
  const scratch = await newScratch();
  try {
    const places = new Map<string, { offset: number; sizeBytes: number }>();
    for await (const { path, sizeBytes, body } of filesOf(blob, uri, codec, limits)) {
      if (path === MANIFEST_PATH) assertManifestSize(sizeBytes, uri);
      if (!IGNORED.has(path)) places.set(path, { offset: scratch.sizeBytes, sizeBytes });
      await scratch.write(bodyFor(scratch, body));
    }
    const place = places.get(MANIFEST_PATH);
    if (place === undefined) throw manifestMissing(uri, places.keys());
    const bytes = await readBytes(scratch, place.offset, place.sizeBytes);
    const sealed = await openManifest(bytes, uri);
    const difference = await inSlices(comparingFiles(places, await sealed.index()));
    if (difference !== undefined) throw rejected(uri, "MANIFEST_MISMATCH", 0, difference);
    await blob.close();
    return {
      layout: LAYOUTS[codec.compression],
      mostOpen: MOST_OPEN,
      sealed,
      check: () => Promise.resolve(), // was done above
      open: (entryPath) => {
        const found = places.get(entryPath);
        return Promise.resolve(
          found && {
            sizeBytes: found.sizeBytes,
            read: (offset, lengthBytes, into) => scratch.read(found.offset + offset, lengthBytes, into),
          },
        );
      },
      close: () => scratch.remove(),
    };
  } catch (error) {
    await scratch.remove();
    throw error;
  }
}

function* comparingFiles(
  files: ReadonlyMap<string, { sizeBytes: number }>,
  listed: ReadonlyMap<string, ManifestEntry>,
): Work<string | undefined> {
  let count = 0;
  for (const [path, entry] of listed) {
    if (++count % ENTRIES_AT_ONCE === 0) yield;
    const sizeBytes = files.get(path)?.sizeBytes;
    if (sizeBytes === undefined) return `"${path}" is in the manifest and not in the archive`;
    if (sizeBytes !== entry.sizeBytes) {
      return `"${path}" has ${sizeBytes} bytes and not ${entry.sizeBytes} as the manifest says`;
    }
  }
  for (const path of files.keys()) {
    if (++count % ENTRIES_AT_ONCE === 0) yield;
    if (listed.has(path) || path === MANIFEST_PATH || isLeftByDesktop(path)) continue;
    return `"${path}" is in the archive and not in the manifest`;
  }
  return undefined;
}
