// Local folders in which the stores of this program keep snapshots. A state that replaces files must leave them alone, whichever snapshot
// it loads. All copies of the library share one list.
import { pathOfUri } from "../model/address.ts";

const KEY = Symbol.for("snapkeep.placesInUse");

function places(): Set<string> {
  const shared = globalThis as { [KEY]?: Set<string> };
  return shared[KEY] ??= new Set();
}

/** Notes the place of a store, if it is a local folder. */
export function notePlace(uri: string): void {
  if (uri.startsWith("file:")) places().add(pathOfUri(uri));
}

/** Absolute paths of all noted places. */
export function placesInUse(): readonly string[] {
  return [...places()];
}
