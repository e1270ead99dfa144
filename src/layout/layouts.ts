// Which layout arranges which unit: the one list of layouts there are.
import { type ArchiveLayout, archiveLayout, type ArchiveOptions } from "./archive_layout.ts";
import { directoryLayout } from "./directory_layout.ts";
import type { Compression } from "../compression/codec.ts";
import { codecOf } from "../compression/codecs.ts";
import { show } from "../model/show.ts";
import type { Layout, LayoutKind } from "../model/snapshot.ts";
import { suffixOf, type Unit, type UnitSuffix } from "../model/unit.ts";

const COMPRESSIONS: readonly Compression[] = ["gzip", "zstd", "none"];

/** The layout of a unit. */
export function layoutOfUnit(unit: Unit, options: ArchiveOptions = {}): Layout {
  const suffix = suffixOf(unit);
  if (suffix === directoryLayout.suffix) return directoryLayout;
  const compression = COMPRESSIONS.find((candidate) => archiveLayout(candidate).suffix === suffix);
  if (compression === undefined) throw new TypeError(`Cannot tell the layout of "${unit}"`);
  return archiveLayout(compression, options);
}

/** How a unit is arranged and compressed, by its name. */
export function formOfUnit(
  unit: Unit,
): { readonly layout: LayoutKind; readonly compression?: Compression | undefined } {
  const { kind, suffix } = layoutOfUnit(unit);
  return { layout: kind, compression: COMPRESSIONS.find((candidate) => archiveLayout(candidate).suffix === suffix) };
}

/** What the units of a layout end with, whether or not the runtime can write it. */
export function suffixOfKind(kind: LayoutKind, compression: Compression): UnitSuffix {
  if (!COMPRESSIONS.includes(compression)) throw unknownCompression(compression);
  return kind === "archive" ? archiveLayout(compression).suffix : layoutOfKind(kind, compression).suffix;
}

/** The archive layout of a compression, to write with; throws where the runtime lacks it. */
export function archiveLayoutOf(compression: Compression, options: ArchiveOptions = {}): ArchiveLayout {
  if (!COMPRESSIONS.includes(compression)) throw unknownCompression(compression);
  codecOf(compression);
  return archiveLayout(compression, options);
}

/** The layout that users call `kind`, to write with. */
export function layoutOfKind(kind: LayoutKind, compression: Compression, options: ArchiveOptions = {}): Layout {
  if (!COMPRESSIONS.includes(compression)) throw unknownCompression(compression);
  if (kind === "directory") return directoryLayout;
  if (kind === "archive") return archiveLayoutOf(compression, options);
  throw new TypeError(`Cannot use the layout ${show(kind)}: it is none of ${list(["directory", "archive"])}`);
}

function unknownCompression(compression: string): TypeError {
  return new TypeError(`Cannot use the compression ${show(compression)}: it is none of ${list(COMPRESSIONS)}`);
}

function list(words: readonly string[]): string {
  return words.map((word) => `"${word}"`).join(", ");
}
