// From units to snapshots: the same name in two layouts is one snapshot.
import type { Backend } from "../model/backend.ts";
import { Pace } from "../runtime/concurrency.ts";
import { faultOfSnapshotName } from "../model/entry_path.ts";
import type { SignalOptions } from "../model/options.ts";
import { byName } from "../model/snapshot_name.ts";
import { splitUnit, type Unit, UNIT_SUFFIXES } from "../model/unit.ts";
import { listedStamps } from "./commit.ts";
import { SnapshotLocator } from "./locator.ts";

/** All committed snapshots of a backend, ordered by name, each name once. */
export async function listSnapshots(
  backend: Backend,
  { signal }: SignalOptions = {},
): Promise<SnapshotLocator[]> {
  const stamps = new Map<Unit, string>();
  const units = new Map<string, Unit[]>();
  const pace = new Pace();
  const onStamp = (unit: Unit, stamp: string) => void stamps.set(unit, stamp);
  for await (const unit of backend.list({ ...signal === undefined ? {} : { signal }, onStamp })) {
    if (pace.isDue) await pace.rest();
    const name = splitUnit(unit)?.name;
    if (name === undefined || faultOfSnapshotName(name) !== undefined) continue;
    const found = units.get(name);
    if (found === undefined) units.set(name, [unit]);
    else found.push(unit);
  }
  const rank = (unit: Unit) => UNIT_SUFFIXES.findIndex((suffix) => unit.endsWith(suffix));
  const locators: SnapshotLocator[] = [];
  for (const found of units.values()) {
    if (pace.isDue) await pace.rest();
    const ordered = (found.length === 1 ? found : found.sort((a, b) => rank(a) - rank(b))) as [Unit, ...Unit[]];
    const locator = new SnapshotLocator(backend, ordered);
    const stamp = stamps.get(ordered[0]);
    if (stamp !== undefined) listedStamps.set(locator, stamp);
    locators.push(locator);
  }
  return locators.sort(byName);
}
