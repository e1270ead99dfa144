// From units to snapshots: the same name in two layouts is one snapshot.
import type { Backend } from "../words/backend.ts";
import { faultOfSnapshotName } from "../words/entry_path.ts";
import { splitUnit, type Unit, UNIT_SUFFIXES } from "../words/unit.ts";
import { SnapshotLocator } from "./locator.ts";

/** All committed snapshots of a backend, ordered by name, each name once. */
export async function listSnapshots(
  backend: Backend,
  options: { readonly signal?: AbortSignal } = {},
): Promise<SnapshotLocator[]> {
  const units = new Map<string, Unit[]>();
  for await (const unit of backend.list(options)) {
    const name = splitUnit(unit)?.name;
    if (name === undefined || faultOfSnapshotName(name) !== undefined) continue;
    units.set(name, [...units.get(name) ?? [], unit]);
  }
  const rank = (unit: Unit) => UNIT_SUFFIXES.findIndex((suffix) => unit.endsWith(suffix));
  return [...units].sort(([a], [b]) => a < b ? -1 : 1).map(([, found]) => {
    return new SnapshotLocator(backend, found.sort((a, b) => rank(a) - rank(b)) as [Unit, ...Unit[]]);
  });
}
