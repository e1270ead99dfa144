// What writers have left at the place of a store, if that is a folder.
import { type Leftover, leftoversIn } from "../file/leftovers.ts";
import { readAddress } from "../model/address.ts";
import type { StateStore } from "../store/state_store.ts";

/** Lists the hidden files of writers, living or dead. */
export async function leftoversOf(store: StateStore): Promise<Leftover[]> {
  const { path } = readAddress(new URL(store.backend.uri));
  return path === undefined ? [] : await leftoversIn(path);
}
