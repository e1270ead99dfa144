// From what an operator calls a snapshot to its address: a name, a unique prefix, latest, latest~1, @tag, a path or a URL.
import { basename, dirname, join } from "node:path";
import { fileBackend } from "../file/file_backend.ts";
import { nodeFileSystem } from "../file/node_file_system.ts";
import { readAddress, showAddress } from "../model/address.ts";
import { SnapshotError } from "../model/errors.ts";
import { nearest } from "../model/options.ts";
import { splitUnit } from "../model/unit.ts";
import { isS3Url } from "../s3/address.ts";
import { listSnapshots } from "../snapshot/listing.ts";
import { locate } from "../snapshot/locate.ts";
import type { SnapshotLocator } from "../snapshot/locator.ts";
import { type S3Promise, splitPlace } from "../snapshot/place.ts";
import type { StateStore } from "../store/state_store.ts";
import { type Survey, surveyOf } from "../store/survey.ts";
import { countText } from "./count_text.ts";
import { UsageError } from "./exit_code.ts";

/** How a snapshot can be called. */
export const WAYS = "a name, the beginning of one, latest, latest~1, @tag, a path or a URL";

/**
 * Finds a snapshot.
 *
 * @param text What the operator calls it.
 * @param promise What the operator promises about object stores.
 * @param store Opens the store, if one is named.
 * @returns Its address.
 * @throws {UsageError} If it is ambiguous, or needs a store and none is named.
 * @throws {SnapshotError} `SNAPSHOT_NOT_FOUND`.
 */
export async function resolveSnapshot(
  text: string,
  promise: S3Promise,
  store: (() => Promise<StateStore>) | undefined,
): Promise<SnapshotLocator> {
  if (text === "") throw new UsageError(`a snapshot needs a name: ${WAYS}`);
  const isTag = text.startsWith("@") && store !== undefined && !await isPath(text); // a tag may have a slash
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(text) || /[/\\]/.test(text) && !isTag) return await locateAt(text, promise);
  if (store === undefined) {
    if (await isPath(text)) return await locateAt(text, promise);
    throw new UsageError(`"${text}" is not a path; to find it by name, name the store with -s or SNAPKEEP_STORE`);
  }
  const place = await store();
  const found = await findByName(place, text);
  if (found !== undefined) return found;
  if (await isPath(text)) return await locateAt(text, promise);
  const names = (await listSnapshots(place.backend)).map(({ name }) => name);
  const uri = place.backend.uri;
  const near = nearest(text, ["latest", ...names], Math.ceil(text.length / 2));
  const remedy = names.length === 0
    ? `there are no snapshots in ${showAddress(uri)}`
    : near === undefined
    ? "no name is like it; snapkeep list shows them"
    : `the nearest name is "${near}"`;
  throw new SnapshotError("SNAPSHOT_NOT_FOUND", `Cannot find the snapshot "${text}": ${remedy}`, { uri });
}

/**
 * Finds a snapshot at a path or a URL.
 *
 * @returns Its address.
 * @throws {UsageError} If it is a folder of snapshots.
 * @throws {SnapshotError} `SNAPSHOT_NOT_FOUND` if a path leads nowhere.
 */
export async function locateAt(text: string, promise?: S3Promise): Promise<SnapshotLocator> {
  const { path, url } = readAddress(text);
  const place = url !== undefined && isS3Url(url) ? splitPlace(text, promise) : undefined;
  const found = place === undefined ? locate(text) : locate(place.backend, place.fileName);
  const kind = path === undefined ? undefined : (await nodeFileSystem.stat(path, true))?.kind;
  if (path === undefined || kind === "file") return found;
  if (kind === undefined) {
    const beside = await nodeFileSystem.readFolder(dirname(path)).catch(() => []);
    const name = basename(path);
    const near = nearest(name, beside.filter((each) => !each.startsWith(".")), Math.ceil(name.length / 3));
    const remedy = near === undefined ? "" : `; the nearest is "${join(dirname(path), near)}"`;
    const message = `Cannot find the snapshot ${showAddress(text)}: there is no such file or folder${remedy}`;
    throw new SnapshotError("SNAPSHOT_NOT_FOUND", message, { uri: found.uri });
  }
  if (await isPath(join(path, "manifest.json"))) return found;
  const count = (await listSnapshots(fileBackend(path))).length;
  if (count === 0) return found;
  throw new UsageError(
    `${showAddress(text)} is a folder of ${
      countText(count, "snapshot")
    }; name one of them, or the folder with -s; copy --all copies all`,
  );
}

async function findByName(store: StateStore, text: string): Promise<SnapshotLocator | undefined> {
  const all = await listSnapshots(store.backend);
  const isNamed = (name: string) => all.find((snapshot) => snapshot.name === name);
  if (text !== "latest") {
    const exact = isNamed(text) ?? isNamed(splitUnit(text)?.name ?? text);
    if (exact !== undefined) return exact;
  }
  if (text.startsWith("@")) {
    const carrier = carrierOf(await surveyOf(store), text.slice(1)); // a tag may end like @tag~1
    if (carrier !== undefined) return carrier;
  }
  const [, base = text, steps] = /^(.+)~(\d+)$/s.exec(text) ?? [];
  if (steps !== undefined) return await before(store, base, Number(steps));
  if (text === "latest") return await newest(store);
  if (text.startsWith("@")) return await notTagged(store, text.slice(1));
  const begun = all.filter(({ name }) => name.startsWith(text));
  if (begun.length <= 1) return begun[0];
  const first = begun.slice(0, 5).map(({ name }) => `"${name}"`).join(", ");
  const more = begun.length > 5 ? ` and ${begun.length - 5} more` : "";
  throw new UsageError(`"${text}" is the beginning of ${begun.length} names: ${first}${more}`);
}

async function isPath(text: string): Promise<boolean> {
  return await nodeFileSystem.stat(readAddress(text).path ?? text, true).catch(() => undefined) !== undefined;
}

async function newest(store: StateStore): Promise<SnapshotLocator> {
  const latest = await store.latest();
  if (latest !== undefined) return latest;
  const others = (await listSnapshots(store.backend)).length;
  const uri = store.backend.uri;
  const why = others === 0
    ? "the store has no snapshots"
    : `it has ${countText(others, "snapshot")}, none with a name of this format; name one, or give --name-format`;
  throw new SnapshotError("SNAPSHOT_NOT_FOUND", `Cannot find the latest snapshot: ${why}`, { uri });
}

async function before(store: StateStore, base: string, steps: number): Promise<SnapshotLocator> {
  const from = await findByName(store, base);
  const all = await store.list();
  const at = all.findIndex(({ name }) => name === from?.name);
  const found = at < 0 ? undefined : all[at - steps];
  if (found !== undefined) return found;
  const why = at < 0 ? `there is no "${base}"` : `there are only ${at} before "${base}"`;
  throw new SnapshotError("SNAPSHOT_NOT_FOUND", `Cannot find the snapshot "${base}~${steps}": ${why}`, {
    uri: store.backend.uri,
  });
}

function carrierOf({ snapshots }: Survey, tag: string): SnapshotLocator | undefined {
  const carriers = snapshots.filter(({ labels }) => labels.tags?.includes(tag));
  return (carriers.filter(({ isTimed }) => isTimed).at(-1) ?? carriers.at(-1))?.locator;
}

async function notTagged(store: StateStore, tag: string): Promise<never> {
  const { snapshots } = await surveyOf(store);
  const near = nearest(tag, snapshots.flatMap(({ labels }) => labels.tags ?? []));
  const remedy = near === undefined ? "no snapshot has a tag" : `the nearest tag is "@${near}"`;
  throw new SnapshotError("SNAPSHOT_NOT_FOUND", `Cannot find a snapshot with the tag "${tag}": ${remedy}`, {
    uri: store.backend.uri,
  });
}
