// Units on an object store: X.state/ is a group of objects, X.state.tar.gz one object, all else has a key that begins with a dot.
import type {
  Backend,
  BlobInfo,
  BlobReader,
  ListOptions,
  Scratch,
  SnapshotNotes,
  Stage,
  StageOptions,
} from "../model/backend.ts";
import { monotonicMs } from "../runtime/clock.ts";
import { isGroup, MANIFEST_PATH, splitUnit, type Unit } from "../model/unit.ts";
import { faultOfSnapshotName } from "../model/entry_path.ts";
import { assertNumber } from "../model/options.ts";
import { loggerOf } from "../runtime/logging.ts";
import { readS3Options, type S3Options } from "./address.ts";
import { Claim } from "./claim.ts";
import { type ListedObject, ObjectStore, pause } from "./client.ts";
import { hasCommitted, removeBlobs, sweepPlace, takeOver } from "./debris.ts";
import { S3Notes } from "./notes.ts";
import { S3Place, safeNameOf } from "./place.ts";
import type { Conditions } from "./probe.ts";
import { RangeBlob } from "./range_blob.ts";
import { S3Scratch } from "./scratch.ts";
import { S3Stage } from "./stage.ts";

// A removal by another program without a heartbeat for so long is taken over.
const REMOVAL_STALE_AFTER_MS = 60_000;
// The writer of a committed unit is about to remove its claim: who took it over just then could lose it.
const COMMITTED_STALE_AFTER_MS = 5_000;
const COMMIT_SEEN_MS = 60_000;
const AFTER_DOTS = "/"; // the character behind the dot
const BEFORE_COMMIT = "manifest.jsom\u{10ffff}";

/** A backend on an object store. */
export interface S3Backend extends Backend {
  /**
   * Probes which conditional requests the store respects. The answer is cached per place in this program.
   *
   * @returns What the probe found.
   */
  probe(): Promise<Conditions>;
}

class ObjectBackend implements S3Backend {
  readonly uri: string;
  readonly notes: SnapshotNotes;
  readonly #place: S3Place;
  /** When the commits of groups were seen last, so that not each of their blobs costs another look. */
  readonly #seenAtMs = new Map<Unit, number>();

  constructor(options: S3Options) {
    const address = readS3Options(options);
    this.uri = address.uri;
    this.#place = new S3Place(new ObjectStore(address));
    this.notes = new S3Notes(this.#place);
  }

  async probe(): Promise<Conditions> {
    return await this.#place.conditions();
  }

  async create(): Promise<boolean> {
    await this.#place.store.page("", undefined, { mostKeys: 1 }); // a prefix needs no making, but the bucket must be there
    return false;
  }

  async *list({ after = "", signal, onStamp }: ListOptions = {}): AsyncGenerator<Unit, void> {
    signal?.throwIfAborted();
    const { store } = this.#place;
    const found: { readonly unit: Unit; readonly stamp: string }[] = [];
    let cursor = startOf(after);
    while (true) {
      const { objects, next } = await store.page("", cursor, { signal });
      signal?.throwIfAborted();
      for (const { key, etag, sizeBytes } of objects) {
        const unit = committedBy(key);
        if (unit !== undefined && unit > after) found.push({ unit, stamp: `${etag} ${sizeBytes}` });
      }
      if (next === undefined) break;
      cursor = nextOf(objects);
    }
    found.sort((one, other) => one.unit < other.unit ? -1 : 1);
    for (const { unit, stamp } of found) {
      onStamp?.(unit, stamp);
      yield unit;
    }
  }

  async *blobs(unit: Unit): AsyncGenerator<BlobInfo, void> {
    safeNameOf(unit);
    const { store } = this.#place;
    const commit = await store.head(this.#place.commitKey(unit));
    if (commit === undefined) return;
    if (!isGroup(unit)) return yield { path: "", sizeBytes: commit.sizeBytes, isRegular: true };
    for await (const { key, sizeBytes } of store.list(unit)) {
      const path = key.slice(unit.length);
      // What consoles make where a user asks for a folder.
      const isFolderMark = sizeBytes === 0 && (path === "" || path.endsWith("/"));
      if (!isFolderMark) yield { path, sizeBytes, isRegular: isPlainPath(path) };
    }
  }

  async open(unit: Unit, path = ""): Promise<BlobReader | undefined> {
    safeNameOf(unit);
    if (isGroup(unit) ? !isPlainPath(path) : path !== "") return undefined;
    const { store } = this.#place;
    if (!isGroup(unit)) return await RangeBlob.open(store, unit, "end");
    if (path !== MANIFEST_PATH && !await this.#isCommitted(unit)) return undefined;
    const blob = await RangeBlob.open(store, unit + path, "beginning");
    if (path === MANIFEST_PATH) this.#saw(unit, blob !== undefined);
    return blob;
  }

  async stage(unit: Unit, options: StageOptions = {}): Promise<Stage> {
    this.#seenAtMs.delete(unit);
    return await S3Stage.claim(this.#place, unit, options);
  }

  scratch(): Promise<Scratch> {
    return Promise.resolve(new S3Scratch(this.#place.store));
  }

  async remove(unit: Unit): Promise<boolean> {
    const name = safeNameOf(unit);
    const { store } = this.#place;
    const key = this.#place.commitKey(unit);
    this.#seenAtMs.delete(unit);
    if (await store.head(key) === undefined) return false;
    await this.#place.writable();
    const claim = await this.#claimToRemove(name, unit, key);
    if (claim === undefined) return false;
    let isRemoved = false;
    let isLeft = false;
    try {
      const commit = await store.head(key);
      if (commit === undefined) return false;
      await store.delete(key);
      isRemoved = true;
      if (isGroup(unit)) await removeBlobs(this.#place, unit);
      return true;
    } catch (error) {
      isLeft = true; // a sweep finds out, and ends it
      if (!isRemoved) throw error;
      const uri = store.uriOf(unit);
      loggerOf("S3Backend").warn("Cannot remove all of '{uri}', it is left to the next sweep: {error}", { uri, error });
      return true;
    } finally {
      await claim.release({ isLeft });
    }
  }

  async sweep(olderThanMs: number): Promise<readonly Unit[]> {
    assertNumber("sweep", "olderThanMs", olderThanMs);
    return await sweepPlace(this.#place, olderThanMs);
  }

  /** Claims a name to remove a unit; `undefined` where another has removed it meanwhile. */
  async #claimToRemove(name: string, unit: Unit, key: string): Promise<Claim | undefined> {
    for (let attempt = 0;; attempt++) {
      const claim = await Claim.take(this.#place, name, unit, "remove");
      if (claim !== undefined) return claim;
      const found = await Claim.find(this.#place, name);
      const isDead = found !== undefined &&
        (found.ageMs >= REMOVAL_STALE_AFTER_MS && found.purpose === "remove" ||
          found.ageMs >= COMMITTED_STALE_AFTER_MS && await hasCommitted(this.#place, found));
      const taken = isDead
        ? await Claim.take(this.#place, name, unit, "remove", found)
        : found !== undefined && found.purpose !== "remove" && !await hasCommitted(this.#place, found)
        ? await takeOver(this.#place, name, unit, "remove")
        : undefined;
      if (taken !== undefined) return taken;
      if (await this.#place.store.head(key) === undefined) return undefined;
      await pause(Math.min(attempt, 4));
    }
  }

  async #isCommitted(unit: Unit): Promise<boolean> {
    const seenAtMs = this.#seenAtMs.get(unit) ?? -Infinity;
    if (monotonicMs() - seenAtMs < COMMIT_SEEN_MS) return true;
    const isThere = await this.#place.store.head(this.#place.commitKey(unit)) !== undefined;
    this.#saw(unit, isThere);
    return isThere;
  }

  #saw(unit: Unit, isThere: boolean): void {
    this.#seenAtMs.delete(unit);
    if (!isThere) return;
    this.#seenAtMs.set(unit, monotonicMs());
    for (const [other, seenAtMs] of this.#seenAtMs) {
      if (monotonicMs() - seenAtMs < COMMIT_SEEN_MS) break; // the oldest come first
      this.#seenAtMs.delete(other);
    }
  }
}

/** The unit that an object commits. */
function committedBy(key: string): Unit | undefined {
  const slash = key.indexOf("/");
  const isCommit = slash < 0
    ? splitUnit(key) !== undefined
    : slash > 0 && key.length === slash + 1 + MANIFEST_PATH.length && key.endsWith(`/${MANIFEST_PATH}`);
  if (!isCommit) return undefined;
  const unit = slash < 0 ? key : key.slice(0, slash + 1);
  return faultOfSnapshotName(splitUnit(unit)?.name ?? "") === undefined ? unit : undefined;
}

/** Where a listing of the units after a text begins; stores order by UTF-8, which is our order only of ASCII. */
function startOf(after: string): string | undefined {
  if (after === "" || !/^[\x20-\x7e]*$/.test(after)) return undefined;
  return after.endsWith("/") ? behind(after) : after;
}

/** The first key behind all that begin with a group. */
function behind(group: string): string {
  return `${group.slice(0, -1)}0`; // the character behind the slash
}

/** Where a listing goes on: what cannot be a commit is passed over, however much it is. */
function nextOf(objects: readonly ListedObject[]): string | undefined {
  const [first, last] = [objects[0]?.key ?? "", objects.at(-1)?.key ?? ""];
  if (last.startsWith(".")) return AFTER_DOTS;
  const group = last.slice(0, last.indexOf("/") + 1);
  if (group === "" || !first.startsWith(group)) return last;
  // A page of nothing but blobs of one group.
  return last < group + BEFORE_COMMIT ? group + BEFORE_COMMIT : behind(group);
}

/** A path that names one object, also where a proxy resolves dots. */
function isPlainPath(path: string): boolean {
  return !path.split("/").some((segment) => segment === "" || segment === "." || segment === "..");
}

/**
 * Keeps snapshots on an S3-compatible object store, such as AWS S3, Ceph or R2. It needs the package `@aws-sdk/client-s3`, which it
 * loads with the first request.
 *
 * Several programs may share the place. A snapshot becomes visible when its last object is written, and never overwrites another:
 * the store must respect conditional writes, which the backend probes once before it writes.
 *
 * @param options Bucket and prefix, and how to reach them.
 * @returns The backend.
 * @throws {TypeError} If an option is not what it must be, or a URL contains credentials.
 * @throws {RangeError} If `partBytes` or `idleMs` is out of its range.
 * @throws {SnapshotError} From its methods: `PACKAGE_MISSING` if the package is not installed; `STORAGE_UNREACHABLE`,
 *   `STORAGE_FORBIDDEN`, `STORAGE_THROTTLED`, `STORAGE_FULL` or `STORAGE_FAILED` if the store fails; `CONDITIONS_IGNORED` if it ignores
 *   conditional writes and something is to be written.
 * @example Save to a bucket
 * ```ts no-run
 * import { StateStore } from "snapkeep";
 * import { s3Backend } from "snapkeep/s3";
 *
 * const store = new StateStore(s3Backend({ url: "s3://backups/counter" }), { layout: "tar.gz" });
 * ```
 */
export function s3Backend(options: S3Options): S3Backend {
  return new ObjectBackend(options);
}
