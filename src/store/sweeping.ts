// Sweeping: what dead writers and unfinished removals left at a place.
import { type Backend, STALE_AFTER_MS } from "../model/backend.ts";
import { assertOptions, type OptionNames } from "../model/options.ts";
import { show } from "../model/show.ts";
import { nameOfUnit } from "../model/unit.ts";
import { loggerOf } from "../runtime/logging.ts";

/** What {@link StateStore.sweep} removes. */
export interface SweepOptions {
  /**
   * Maximum age of the heartbeat of a writer, in milliseconds; older files are deleted.
   *
   * @default 600_000
   */
  readonly olderThanMs?: number;
  /**
   * Removes also what living writers are writing: their saves fail with `STAGE_LOST`.
   *
   * @default false
   */
  readonly force?: boolean;
}

const SWEEP_OPTIONS: OptionNames<SweepOptions> = { olderThanMs: true, force: "true or false" };

/** Removes leftovers, as `StateStore.sweep` says; returns the names of the snapshots that were never finished. */
export async function sweep(backend: Backend, options: SweepOptions = {}): Promise<string[]> {
  assertOptions("sweep", options, SWEEP_OPTIONS);
  const { olderThanMs = STALE_AFTER_MS, force = false } = options;
  if (!(typeof olderThanMs === "number" && olderThanMs >= 0)) {
    const reason = "it must be a number from 0 on; to remove what living writers have, say { force: true }";
    throw new RangeError(`Cannot sweep what is older than ${show(olderThanMs)} ms: ${reason}`);
  }
  if (force && options.olderThanMs !== undefined) {
    throw new TypeError(
      "Cannot sweep with force and olderThanMs at once: force removes everything that is unfinished",
    );
  }
  const units = await backend.sweep(force ? -1 : olderThanMs);
  const names = units.map(nameOfUnit);
  for (const name of names) loggerOf("StateStore").info("Swept: '{name}' was never finished", { name });
  return names;
}
