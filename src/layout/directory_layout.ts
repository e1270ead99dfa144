// The directory layout: `<state>/<path>` as blobs of a group, and `manifest.json` as its commit blob.
import { MAX_MANIFEST_BYTES, parseManifest } from "../rules/manifest.ts";
import { MeasuredEntry } from "../rules/measured_entry.ts";
import type { Backend, BlobReader } from "../words/backend.ts";
import { SnapshotError } from "../words/errors.ts";
import type { Layout, UnitReader, WrittenEntry } from "../words/snapshot.ts";
import { MANIFEST_PATH, type Unit } from "../words/unit.ts";

async function* released(reader: BlobReader): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  try {
    yield* reader.stream();
  } finally {
    await reader.close();
  }
}

/** A folder of files. */
export const directoryLayout: Layout = {
  kind: "directory",
  suffix: "/",

  async write(stage, entries, seal) {
    const written: WrittenEntry[] = [];
    for await (const source of entries) {
      const entry = new MeasuredEntry(source);
      await stage.write(entry.path, entry.chunks());
      written.push(entry.finish());
    }
    const { manifest, bytes } = seal(written);
    await stage.publish(MANIFEST_PATH, [bytes]);
    return manifest;
  },

  async open(backend: Backend, unit: Unit): Promise<UnitReader> {
    const uri = backend.uri + unit;
    const blob = await backend.open(unit, MANIFEST_PATH);
    if (blob === undefined) throw await absence(backend, unit);
    const open = new Set<BlobReader>();
    let manifest;
    try {
      manifest = parseManifest(await blob.read(0, MAX_MANIFEST_BYTES + 1), uri);
    } finally {
      await blob.close();
    }
    return {
      manifest,
      async stream(entryPath) {
        const reader = await backend.open(unit, entryPath);
        if (reader === undefined) return undefined;
        open.add(reader);
        return released(reader);
      },
      async close() {
        for (const reader of open) await reader.close();
        open.clear();
      },
    };
  },
};

/** Why a unit cannot be opened: it has blobs but no manifest, or nothing is there. */
async function absence(backend: Backend, unit: Unit): Promise<SnapshotError> {
  const uri = backend.uri + unit;
  for await (const _blob of backend.blobs(unit)) {
    return new SnapshotError(
      "MANIFEST_MISSING",
      `Cannot open "${uri}": it has no ${MANIFEST_PATH}, so it was never committed or is not ours`,
      { uri },
    );
  }
  return new SnapshotError("SNAPSHOT_NOT_FOUND", `Cannot open "${uri}": there is no such snapshot`, { uri });
}
