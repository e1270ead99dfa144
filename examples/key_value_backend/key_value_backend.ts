// A complete backend of your own: snapshots in a key-value store. It passes `backendConformance` of `snapkeep/testing`.
//
//   names/<name>          a small record: who is writing under this name, and which units of it are published
//   blobs/<token>/<path>  what a stage wrote, under a token that no other stage has
//   notes/<name>          labels
//   locks/<name>          who changes them just now, and since when
//
// Every step that others must see whole or not at all is one swap of one record. So a unit becomes visible, or vanishes,
// in one step, and of many writers that race for a name one wins.
import { type Backend, SnapshotError } from "snapkeep";
import {
  assertSnapshotName,
  type BlobReader,
  type ByteSource,
  type Scratch,
  splitUnit,
  type Stage,
  storageError,
  type Unit,
} from "snapkeep/backend";
import type { KeyValue } from "./key_value.ts";

/** A unit that is published: where its blobs lie, and their sizes. */
type Published = { readonly token: string; readonly sizes: Record<string, number> };

/** What is known of a snapshot's name; units by their suffixes. */
interface NameRecord {
  claim?: { readonly token: string; readonly unit: Unit; readonly aliveAtMs: number } | undefined;
  units: Record<string, Published>;
}

// A lock is held for a moment; a program that was killed gives none back.
const LOCK_STALE_AFTER_MS = 10_000;

async function gather(body: ByteSource): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(new Uint8Array(chunk)); // lent; the slice of a Buffer would be no copy
  return new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
}

/** A unit's name and suffix; whatever is no safe name is refused before the storage sees it. */
function split(unit: Unit): { name: string; suffix: string } {
  const { name, suffix } = splitUnit(unit) ?? { name: unit, suffix: "" };
  assertSnapshotName(name);
  return { name, suffix };
}

/** Bytes in memory, to read and to append to. */
function scratchOf(bytes = new Uint8Array()): Scratch {
  return {
    get sizeBytes() {
      return bytes.length;
    },
    read: async (offset, lengthBytes) => bytes.slice(offset, offset + lengthBytes),
    async *stream() {
      if (bytes.length > 0) yield bytes.slice();
    },
    write: async (body) => void (bytes = await gather([bytes, await gather(body)])),
    close: async () => {},
    remove: async () => void (bytes = new Uint8Array()),
  };
}

/**
 * Keeps snapshots in a key-value store.
 *
 * @param store The store; its failures become `STORAGE_FAILED`.
 * @param uri Address of the place, for messages.
 */
export function keyValueBackend(store: KeyValue, uri: string): Backend {
  const tried = async <T>(operation: string, key: string, run: () => Promise<T>): Promise<T> => {
    try {
      return await run();
    } catch (cause) {
      throw storageError(operation, uri + key, cause);
    }
  };
  const get = (key: string) => tried("read", key, () => store.get(key));
  const set = (key: string, value: Uint8Array | undefined) => tried("write", key, () => store.set(key, value));
  const keys = (prefix: string) => tried("list", prefix, () => store.keys(prefix));

  const parse = (bytes: Uint8Array | undefined): NameRecord =>
    bytes === undefined ? { units: {} } : JSON.parse(new TextDecoder().decode(bytes));
  const recordOf = async (name: string): Promise<NameRecord> => parse(await get(`names/${name}`));

  /** Changes a name's record in one step; `change` runs again where another writer was faster. */
  const update = async <T>(name: string, change: (record: NameRecord) => T): Promise<T> => {
    const key = `names/${name}`;
    while (true) {
      const before = await get(key);
      const record = parse(before);
      const result = change(record);
      const isEmpty = record.claim === undefined && Object.keys(record.units).length === 0;
      const after = isEmpty ? undefined : new TextEncoder().encode(JSON.stringify(record));
      if (await tried("write", key, () => store.swap(key, before, after))) return result;
    }
  };
  const removeBlobs = async (token: string) => {
    for (const key of await keys(`blobs/${token}/`)) await set(key, undefined);
  };

  async function stage(unit: Unit, { allowOtherLayouts = false } = {}): Promise<Stage> {
    const { name, suffix } = split(unit);
    const token = crypto.randomUUID();
    const sizes: Record<string, number> = {};
    await update(name, (record) => {
      const isTaken = allowOtherLayouts ? suffix in record.units : Object.keys(record.units).length > 0;
      if (isTaken || record.claim !== undefined) {
        throw new SnapshotError("SNAPSHOT_EXISTS", `Cannot save "${name}": it is there already`, { name, uri });
      }
      record.claim = { token, unit, aliveAtMs: Date.now() };
    });
    /** Changes the record as long as the name is ours. */
    const whileClaimed = (change: (record: NameRecord) => void) =>
      update(name, (record) => {
        if (record.claim?.token !== token) {
          throw new SnapshotError("STAGE_LOST", `Cannot save "${name}": its stage was swept or abandoned`, { unit });
        }
        change(record);
      });
    const write = async (path: string, body: ByteSource) => {
      const bytes = await gather(body);
      await whileClaimed((record) => record.claim = { token, unit, aliveAtMs: Date.now() }); // a heartbeat
      await set(`blobs/${token}/${path}`, bytes);
      sizes[path] = bytes.length;
      return { sizeBytes: bytes.length };
    };
    return {
      unit,
      write,
      async publish(path, body) {
        await write(path, body);
        await whileClaimed((record) => {
          record.claim = undefined;
          record.units[suffix] = { token, sizes };
        });
      },
      scratch: async () => scratchOf(),
      async abandon() {
        try {
          const isPublished = await update(name, (record) => {
            if (record.claim?.token === token) record.claim = undefined;
            return record.units[suffix]?.token === token;
          });
          if (!isPublished) await removeBlobs(token);
        } catch {
          // must not throw: what is left is swept some day
        }
      },
    };
  }

  return {
    uri,
    stage,
    create: async () => false, // there is nothing to make
    scratch: async () => scratchOf(),

    async *list({ after = "", signal } = {}) {
      const units: Unit[] = [];
      for (const key of await keys("names/")) {
        signal?.throwIfAborted();
        const name = key.slice("names/".length);
        for (const suffix of Object.keys((await recordOf(name)).units)) units.push(name + suffix);
      }
      yield* units.filter((unit) => unit > after).sort();
    },

    async *blobs(unit) {
      const { name, suffix } = split(unit);
      const sizes = (await recordOf(name)).units[suffix]?.sizes ?? {};
      for (const [path, sizeBytes] of Object.entries(sizes)) yield { path, sizeBytes, isRegular: true };
    },

    async open(unit, path = ""): Promise<BlobReader | undefined> {
      const { name, suffix } = split(unit);
      const published = (await recordOf(name)).units[suffix];
      if (published === undefined || !Object.hasOwn(published.sizes, path)) return undefined;
      const bytes = await get(`blobs/${published.token}/${path}`);
      return bytes && scratchOf(new Uint8Array(bytes)); // undefined where it was removed just now
    },

    async remove(unit) {
      const { name, suffix } = split(unit);
      const removed = await update(name, ({ units }) => {
        const published = units[suffix];
        delete units[suffix];
        return published;
      });
      if (removed !== undefined) await removeBlobs(removed.token);
      return removed !== undefined;
    },

    async sweep(olderThanMs) {
      const blobs = await keys("blobs/"); // before the records: a stage has its record before it has a blob
      const owners = new Set<string | undefined>();
      const swept: Unit[] = [];
      for (const key of await keys("names/")) {
        const { dead, record } = await update(key.slice("names/".length), (record) => {
          const { claim } = record;
          const isDead = claim !== undefined && Date.now() - claim.aliveAtMs > olderThanMs;
          if (isDead) record.claim = undefined;
          return { dead: isDead ? claim : undefined, record };
        });
        if (dead !== undefined) swept.push(dead.unit);
        for (const owner of [record.claim, ...Object.values(record.units)]) owners.add(owner?.token);
      }
      for (const key of blobs) if (!owners.has(key.split("/")[1])) await set(key, undefined);
      return swept;
    },

    notes: {
      async lock(name, { wait = true } = {}) {
        assertSnapshotName(name);
        const key = `locks/${name}`;
        const swap = (before: Uint8Array | undefined, after: Uint8Array | undefined) =>
          tried("lock", key, () => store.swap(key, before, after));
        while (true) {
          const held = await get(key);
          const lockedAtMs = held && JSON.parse(new TextDecoder().decode(held)).lockedAtMs;
          if (held === undefined || Date.now() - lockedAtMs > LOCK_STALE_AFTER_MS) {
            const ours = new TextEncoder().encode(
              JSON.stringify({ token: crypto.randomUUID(), lockedAtMs: Date.now() }),
            );
            if (await swap(held, ours)) return async () => void await swap(ours, undefined); // unless another took it over
          } else if (!wait) return undefined;
          else await new Promise((resolve) => setTimeout(resolve, 10));
        }
      },
      async get(name) {
        const note = await get(`notes/${name}`);
        return note && new Uint8Array(note);
      },
      async put(name, note) {
        assertSnapshotName(name);
        await set(`notes/${name}`, new Uint8Array(note));
      },
      remove: (name) => set(`notes/${name}`, undefined),
      async *list() {
        yield* (await keys("notes/")).map((key) => key.slice("notes/".length)).sort();
      },
    },
  };
}
