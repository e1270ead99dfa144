// The archive layout: one compressed tar, written and read as a stream. What an archive is stands in src/archive; here it
// meets the backend.
import { ArchiveEncoder } from "../archive/archive_encoder.ts";
import { openArchive, scanArchive } from "../archive/archive_reader.ts";
import type { Compression } from "../compression/codec.ts";
import { codecOf } from "../compression/codecs.ts";
import { showAddress, uriOfUnit } from "../model/address.ts";
import type { BlobReader, Scratch } from "../model/backend.ts";
import { bodyFor } from "../runtime/bytes.ts";
import { deferred, unlessAborted } from "../runtime/concurrency.ts";
import { SnapshotError } from "../model/errors.ts";
import type { OptionNames } from "../model/options.ts";
import { show } from "../model/show.ts";
import type { Layout, SealedManifest, UnitSource } from "../model/snapshot.ts";
import { type LayoutKind, suffixOfLayout, type Unit } from "../model/unit.ts";

/** How archives are made; equal options give equal bytes on the same runtime version. */
export interface ArchiveOptions {
  /**
   * Compression level: 0 to 9 for gzip, 1 to 22 for zstd. Higher levels give smaller files. Cost: CPU time.
   *
   * @default 6 for gzip, 3 for zstd
   */
  readonly level?: number;
  /**
   * Largest payload of one compressed member, in bytes. Cost: a read of a part of an entry decompresses at least one
   * chunk, and a save holds five chunks in memory.
   *
   * @default 2 MiB
   */
  readonly chunkBytes?: number;
  /**
   * Small entries share a member of up to this size in bytes. 0 gives each entry a member of its own, as some
   * readers of eStargz require. Cost: a read of one entry decompresses its whole member; 0 makes archives of small
   * entries about a fifth larger.
   *
   * @default 128 KiB, at most `chunkBytes`
   */
  readonly groupBytes?: number;
}

/** The options of archives; their ranges are looked at where they are used. */
export const ARCHIVE_OPTIONS: OptionNames<ArchiveOptions> = { level: true, chunkBytes: true, groupBytes: true };

const CHUNK_BYTES = 2 * 1024 * 1024;
const GROUP_BYTES = 128 * 1024;
const MAX_CHUNK_BYTES = 64 * 1024 * 1024;
const IN_FLIGHT = 4;
const MAX_LEVEL = 22; // of zstd

/** Layouts that are one archive. */
export type ArchiveKind = Exclude<LayoutKind, "directory">;

const FORMS: Readonly<Record<ArchiveKind, { compression: Compression; mediaType: string; level: number }>> = {
  "tar.gz": { compression: "gzip", mediaType: "application/gzip", level: 6 },
  "tar.zst": { compression: "zstd", mediaType: "application/zstd", level: 3 },
  "tar": { compression: "none", mediaType: "application/x-tar", level: 0 },
};

/** The archive layout, which can also encode without a stage. */
export interface ArchiveLayout extends Layout {
  /** Compression of the archive. */
  readonly compression: Compression;
  /** Media type of the archive. */
  readonly mediaType: string;
  /** The encoder of one archive. */
  encoder(savedAt: Date, newScratch: () => Promise<Scratch>): ArchiveEncoder;
}

/**
 * Throws a RangeError for options that suit no archive, before any is made.
 *
 * @returns The options, with the defaults of those that all archives share.
 */
export function checkedArchiveOptions(
  options: ArchiveOptions,
): Required<Pick<ArchiveOptions, "chunkBytes" | "groupBytes">> {
  const { level = 0, chunkBytes = CHUNK_BYTES, groupBytes = Math.min(GROUP_BYTES, chunkBytes) } = options;
  assertWithin("level", level, 0, MAX_LEVEL);
  assertWithin("chunkBytes", chunkBytes, 512, MAX_CHUNK_BYTES);
  assertWithin("groupBytes", groupBytes, 0, chunkBytes);
  return { chunkBytes, groupBytes };
}

/** One compressed tar. */
export function archiveLayout(kind: ArchiveKind, options: ArchiveOptions = {}): ArchiveLayout {
  const { compression, mediaType, level } = FORMS[kind];
  const { chunkBytes, groupBytes } = checkedArchiveOptions(options);
  assertWithin("level", options.level ?? level, 0, compression === "zstd" ? MAX_LEVEL : 9);
  const encoder = (savedAt: Date, newScratch: () => Promise<Scratch>) =>
    new ArchiveEncoder(savedAt, {
      codec: codecOf(compression),
      level: options.level ?? level,
      chunkBytes,
      groupBytes,
      inFlight: IN_FLIGHT,
    }, newScratch);
  return {
    kind,
    suffix: suffixOfLayout(kind),
    compression,
    mediaType,
    encoder,
    *leastBytes() {
      yield;
      return 0; // what is compressed may become next to nothing
    },

    async write(stage, entries, { savedAt, signal }) {
      const archive = encoder(savedAt, () => stage.scratch());
      const written = deferred<void>();
      const sealed = deferred<SealedManifest>();
      let isRead = false;
      // An archive is one blob, and its manifest a part of it: the body of the publication waits for it.
      const body = async function* () {
        yield* archive.encode(entries);
        written.resolve();
        yield* archive.end(await unlessAborted(sealed.promise, signal));
        isRead = true;
      };
      const published = stage.publish("", bodyFor(stage, body())).then(() => {
        if (!isRead) throw new TypeError(`Cannot save "${stage.unit}": its stage published less than it was given`);
      });
      await unlessAborted(Promise.race([written.promise, published]), signal);
      return {
        entries: archive.written,
        async publish(manifest) {
          sealed.resolve(manifest);
          await published;
        },
      };
    },

    async open(backend, unit) {
      return await openArchive(await openBlob(backend, unit), uriOfUnit(backend, unit), () => backend.scratch());
    },

    async *scan(backend, unit, { digest, signal }) {
      if (digest) return yield* scanArchive(await openBlob(backend, unit), uriOfUnit(backend, unit), signal);
      const reader = await this.open(backend, unit); // which holds the table, or every header, against the manifest
      await reader.close();
      for (const state of (await reader.sealed.read()).states) {
        for (const { path, sizeBytes } of state.entries) {
          yield { path: `${state.name}/${path}`, sizeBytes, isRegular: true };
        }
      }
    },
  };
}

function assertWithin(option: keyof ArchiveOptions, value: number, least: number, most: number): void {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return;
  throw new RangeError(
    `Cannot make archives with the ${option} ${show(value)}: it must be a whole number from ${least} to ${most}`,
  );
}

async function openBlob(backend: UnitSource, unit: Unit): Promise<BlobReader> {
  const blob = await backend.open(unit);
  if (blob !== undefined) return blob;
  const uri = uriOfUnit(backend, unit);
  throw new SnapshotError("SNAPSHOT_NOT_FOUND", `Cannot open ${showAddress(uri)}: there is no such snapshot`, { uri });
}
