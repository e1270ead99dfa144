// Which layout arranges which unit: the one list of layouts there are.
import { directoryLayout } from "../layout/directory_layout.ts";
import type { Layout, LayoutKind } from "../words/snapshot.ts";
import { splitUnit, type Unit } from "../words/unit.ts";

const LAYOUTS: readonly Layout[] = [directoryLayout];

/** The layout of a unit. */
export function layoutOfUnit(unit: Unit): Layout {
  const suffix = splitUnit(unit)?.suffix;
  const layout = LAYOUTS.find((candidate) => candidate.suffix === suffix);
  if (layout === undefined) throw new TypeError(`Cannot tell the layout of "${unit}"`);
  return layout;
}

/** The layout that users call `kind`. */
export function layoutOfKind(kind: LayoutKind): Layout {
  const layout = LAYOUTS.find((candidate) => candidate.kind === kind);
  if (layout === undefined) {
    throw new TypeError(
      `Cannot use the layout "${kind}": it is none of ${LAYOUTS.map(({ kind }) => `"${kind}"`).join(", ")}`,
    );
  }
  return layout;
}
