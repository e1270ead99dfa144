// Which conditions a store respects. Its name says nothing: stores differ by version and setting, and some ignore conditions in
// silence. So each place is asked once, by writes that must fail.
import { showAddress } from "../model/address.ts";
import { SnapshotError } from "../model/errors.ts";
import type { ObjectStore } from "./client.ts";
import { isRefusedByCondition, wordOf } from "./faults.ts";

/** Which conditional requests a store respects, as a probe found it. */
export interface Conditions {
  /** Whether `If-None-Match: *` keeps a PUT from replacing an object. Saving needs it. */
  readonly create: boolean;
  /** Whether `If-Match` keeps a PUT from replacing another object, and how it wants the ETag. */
  readonly replace: "quoted" | "unquoted" | false;
  /** Whether `If-None-Match: *` keeps the completion of an upload from replacing an object. */
  readonly complete: boolean;
  /** Whether `If-Match` keeps a DELETE from removing another object. */
  readonly remove: boolean;
}

const FOLDER = ".probe/";
const BODY = new TextEncoder().encode("snapkeep probes this store\n");

/** Probes a store; what it writes, it removes. */
export async function probe(store: ObjectStore): Promise<Conditions> {
  const key = FOLDER + globalThis.crypto.randomUUID();
  try {
    const etag = (await store.put(key, BODY)).replaceAll('"', "");
    const other = "0".repeat(32);
    const isRefused = (ifMatch: string) => refuses(() => store.put(key, BODY, { condition: { ifMatch } }));
    const create = await refuses(() => store.put(key, BODY, { condition: { ifNoneMatch: "*" } }));
    // The body stays the same, and so does the ETag.
    const replace = !await isRefused(other)
      ? false
      : !await isRefused(etag)
      ? "unquoted" as const
      : !await isRefused(`"${etag}"`)
      ? "quoted" as const
      : false;
    const complete = await refusesCompletion(store, key);
    const remove = await refuses(() => store.delete(key, `"${other}"`));
    return { create, replace, complete, remove };
  } finally {
    await store.delete(key).catch(() => {}); // what stays is swept
  }
}

/** The conditions of a store that may be saved to. */
export function assertConditions(store: ObjectStore, conditions: Conditions): void {
  const { uri, withoutConditions } = store.address;
  if (conditions.create || withoutConditions) return;
  throw new SnapshotError(
    "CONDITIONS_IGNORED",
    `Cannot save to ${
      showAddress(uri)
    }: the store ignores conditional writes, so two programs could overwrite each other; ` +
      "if only one program writes at a time, pass withoutConditions: true, or --without-conditions on the command line",
    { uri },
  );
}

async function refusesCompletion(store: ObjectStore, key: string): Promise<boolean> {
  const uploadId = await store.createUpload(key, "probe");
  try {
    const part = await store.uploadPart(key, uploadId, 1, BODY, new AbortController().signal);
    return await refuses(() => store.completeUpload(key, uploadId, [part], { ifNoneMatch: "*" }));
  } finally {
    await store.abortUpload(key, uploadId);
  }
}

/** Whether a request is refused because of its condition; a store that knows no conditions may carry it out, or refuse it as a whole. */
async function refuses(request: () => Promise<unknown>): Promise<boolean> {
  try {
    await request();
    return false;
  } catch (error) {
    if (isRefusedByCondition(error)) return true;
    if (["NotImplemented", "MethodNotAllowed", "InvalidArgument", "InvalidRequest"].includes(wordOf(error))) {
      return false;
    }
    throw error;
  }
}
