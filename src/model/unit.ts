// What a backend keeps: units, and how a unit is named after its snapshot. Everything that must agree on these names
// (layouts, backends, store, keepers) reads them here.
import { assertString } from "./options.ts";

/** A unit's name: `X.state/` is a group of blobs, `X.state.tar.gz` one blob. */
export type Unit = string;

/** Path of the commit blob of a group, and of the manifest within an archive. */
export const MANIFEST_PATH = "manifest.json";

/** Path of the eStargz table of contents within an archive. */
export const TABLE_PATH = "stargz.index.json";

// What macOS and Windows leave in folders that a user opens or copies; `._name` lies beside any `name`, and `._.` in a root.
const LEFT_BY_DESKTOP = /(?:^|\/)(?:\.DS_Store|\._[^/]+|Thumbs\.db|desktop\.ini)$/i;

/**
 * Tells whether a file that the manifest does not list is passed over, because a desktop leaves such files in folders.
 * The case of letters does not count: Windows ignores it.
 *
 * @param path Path within a snapshot.
 * @returns Whether its last part is `.DS_Store`, `._*`, `Thumbs.db` or `desktop.ini`.
 */
export function isLeftByDesktop(path: string): boolean {
  return LEFT_BY_DESKTOP.test(path);
}

/** How a snapshot is arranged: as a folder of files, or as one tar archive. `tar` is for exports and streams only. */
export type LayoutKind = "directory" | "tar.gz" | "tar.zst" | "tar";

/** What a unit's name has after the snapshot's name, per way of lying in storage; `.tar` is for exports only. */
export type UnitSuffix = "/" | ".tar.gz" | ".tar.zst" | ".tar";

/** All of them, in the order in which a name that lies in several is read. */
export const UNIT_SUFFIXES: readonly UnitSuffix[] = ["/", ".tar.gz", ".tar.zst", ".tar"];

/**
 * Splits a unit into the snapshot's name and the suffix of its layout.
 *
 * @param unit A unit, or any file or folder name.
 * @returns Both parts, or `undefined` where it is no unit of ours.
 */
export function splitUnit(unit: Unit): { name: string; suffix: UnitSuffix } | undefined {
  assertString("split a unit", "it", unit);
  for (const suffix of UNIT_SUFFIXES) {
    if (unit.length > suffix.length && unit.endsWith(suffix)) return { name: unit.slice(0, -suffix.length), suffix };
  }
  return undefined;
}

/** Name of the snapshot that a unit holds; of what is no unit, all of it. */
export function nameOfUnit(unit: Unit): string {
  return splitUnit(unit)?.name ?? unit;
}

/** Path of the blob that commits a unit: its manifest, or the unit's only blob. */
export function commitPathOf(unit: Unit): string {
  return isGroup(unit) ? MANIFEST_PATH : "";
}

/** The unit of a file name: what is not named like an archive is a folder. */
export function unitOfFileName(fileName: string): Unit {
  return suffixOf(fileName) === undefined ? `${fileName}/` : fileName;
}

/** The suffix of a layout's units. */
export function suffixOfLayout(layout: LayoutKind): UnitSuffix {
  return layout === "directory" ? "/" : `.${layout}`;
}

// What other tools call such archives. Who names one gets it; no store makes or lists it.
const OTHER_ENDINGS: Readonly<Record<string, UnitSuffix>> = { ".tgz": ".tar.gz", ".tzst": ".tar.zst" };

/**
 * Tells how a unit lies in storage, also one that has another tool's ending.
 *
 * @param unit A unit, or any file or folder name.
 * @returns The suffix that its layout has with us, or `undefined` where it is neither a unit nor named like an archive of ours.
 */
export function suffixOf(unit: Unit): UnitSuffix | undefined {
  return splitUnit(unit)?.suffix ?? Object.entries(OTHER_ENDINGS).find(([ending]) => unit.endsWith(ending))?.[1];
}

/**
 * Tells whether a unit is a group of blobs rather than one blob.
 *
 * @param unit A unit.
 * @returns Whether it is a group.
 */
export function isGroup(unit: Unit): boolean {
  return unit.endsWith("/");
}
