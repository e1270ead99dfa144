// What writers have left at the place of a store, in a folder or on an object store.
import { type Leftover, leftoversIn } from "../file/leftovers.ts";
import { readAddress } from "../model/address.ts";
import { isS3Url } from "../s3/address.ts";
import { leftoversOn, type S3Leftover } from "../s3/leftovers.ts";
import type { StateStore } from "../store/state_store.ts";

/** The URL of a store on an object store. */
export function objectStoreOf({ backend }: StateStore): URL | undefined {
  const url = new URL(backend.uri);
  return isS3Url(url) ? url : undefined;
}

/** Lists the hidden files or objects of writers, living or dead. */
export async function leftoversOf(store: StateStore): Promise<(Leftover | S3Leftover)[]> {
  const { path } = readAddress(new URL(store.backend.uri));
  if (path !== undefined) return await leftoversIn(path);
  const url = objectStoreOf(store);
  return url === undefined ? [] : await leftoversOn({ url });
}
