// Which layout arranges which unit: the one list of layouts there are.
import {
  type ArchiveKind,
  type ArchiveLayout,
  archiveLayout,
  type ArchiveOptions,
  checkedArchiveOptions,
} from "./archive_layout.ts";
import { directoryLayout } from "./directory_layout.ts";
import { codecOf } from "../compression/codecs.ts";
import { show } from "../model/show.ts";
import type { Layout } from "../model/snapshot.ts";
import { type LayoutKind, suffixOf, suffixOfLayout, type Unit } from "../model/unit.ts";

const ARCHIVES: readonly ArchiveKind[] = ["tar.gz", "tar.zst", "tar"];
const LAYOUTS: readonly LayoutKind[] = ["directory", ...ARCHIVES];

/** The layout of a unit, to read with. */
export function layoutOfUnit(unit: Unit, options: ArchiveOptions = {}): Layout {
  const suffix = suffixOf(unit);
  const kind = LAYOUTS.find((candidate) => suffixOfLayout(candidate) === suffix);
  if (kind === undefined) throw new TypeError(`Cannot tell the layout of "${unit}"`);
  return kind === "directory" ? directoryLayout : archiveLayout(kind, options);
}

/**
 * The layout that users call `kind`, to write with.
 *
 * @throws {TypeError} If there is no such layout.
 * @throws {SnapshotError} `COMPRESSION_UNAVAILABLE` if the runtime lacks its compression.
 */
export function layoutOfKind(kind: LayoutKind, options: ArchiveOptions = {}): Layout {
  assertKind(kind);
  if (kind !== "directory") return archiveLayoutOf(kind, options);
  checkedArchiveOptions(options); // for archives that may be made later
  return directoryLayout;
}

/** The same for layouts that are one archive. */
export function archiveLayoutOf(kind: ArchiveKind, options: ArchiveOptions = {}): ArchiveLayout {
  assertKind(kind, ARCHIVES);
  const layout = archiveLayout(kind, options);
  codecOf(layout.compression);
  return layout;
}

/** Which archive a stream becomes, unless its caller says: one as the source, or `tar.gz` of a directory. */
export function archiveKindOf(source: LayoutKind): ArchiveKind {
  return source === "directory" ? "tar.gz" : source;
}

/** Throws a TypeError if there is no such layout, whether or not the runtime can write it. */
export function assertKind(kind: LayoutKind, known: readonly LayoutKind[] = LAYOUTS): void {
  if (known.includes(kind)) return;
  const words = known.map((word) => `"${word}"`).join(", ");
  throw new TypeError(`Cannot use the layout ${show(kind)}: expected one of ${words}`);
}
