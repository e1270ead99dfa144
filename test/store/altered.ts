// Snapshots that are not as they were saved: damaged on their way out of a backend, or made by a library of the future.
import { createHash } from "node:crypto";
import type { Backend, LayoutKind, Manifest } from "snapkeep";
import { sealManifest } from "../../src/manifest/manifest.ts";
import { layoutOfKind } from "../../src/layout/layouts.ts";
import { changed } from "./places.ts";
import type { BlobReader } from "snapkeep/backend";
import { readBytes } from "../../src/runtime/reading.ts";

/** What becomes of a blob's bytes; `undefined` and it is not there. */
export type Alteration = (bytes: Uint8Array<ArrayBuffer>, path: string) => Uint8Array<ArrayBuffer> | undefined;

/** A backend that shows other bytes for the units of some names; what is written is not touched. */
export function altered(backend: Backend, alterations: Readonly<Record<string, Alteration>>): Backend {
  return changed(backend, {
    open: async (unit, path = "") => {
      const reader = await backend.open(unit, path);
      const alter = Object.entries(alterations).find(([name]) => unit.startsWith(name))?.[1];
      if (reader === undefined || alter === undefined) return reader;
      const bytes = alter(await readBytes(reader), path);
      await reader.close();
      if (bytes === undefined) return undefined;
      return blobOf(bytes);
    },
  });
}

/** A blob that holds these bytes. */
export function blobOf(bytes: Uint8Array): BlobReader {
  return {
    sizeBytes: bytes.length,
    async *read(offset, lengthBytes) {
      const piece = bytes.subarray(offset, offset + lengthBytes);
      if (piece.length > 0) yield piece;
    },
    close: () => Promise.resolve(),
  };
}

function flipped(bytes: Uint8Array<ArrayBuffer>, index: number): Uint8Array<ArrayBuffer> {
  const copy = bytes.slice();
  copy[index] = (copy[index] ?? 0) ^ 0x10;
  return copy;
}

const text = (content: string) => new TextEncoder().encode(content);
const only = (wanted: string, alter: Alteration): Alteration => (bytes, path) =>
  path === wanted ? alter(bytes, path) : bytes;
const manifest = (alter: Alteration) => only("manifest.json", alter);
const ENTRY = "model/weights.bin";

const ofArchives: Readonly<Record<string, Alteration>> = {
  "it is empty": () => text(""),
  "it is no archive": () => text("garbage"),
  "it is cut in half": (bytes) => bytes.slice(0, bytes.length / 2),
  "it lacks its last byte": (bytes) => bytes.slice(0, -1),
  "a bit of its payload is flipped": (bytes) => flipped(bytes, 2000),
  "a bit near its end is flipped": (bytes) => flipped(bytes, bytes.length - 100),
  "bytes follow it": (bytes) => new Uint8Array([...bytes, 1, 2, 3]),
  "all of it is zeros": (bytes) => new Uint8Array(bytes.length),
};

/** Each kind of damage, by layout, of a snapshot whose state `model` has the entry `weights.bin` of some kilobytes of noise. */
export const damages: Readonly<Record<LayoutKind, Readonly<Record<string, Alteration>>>> = {
  directory: {
    "the manifest is missing": manifest(() => undefined),
    "the manifest is empty": manifest(() => text("")),
    "the manifest is cut short": manifest((bytes) => bytes.slice(0, bytes.length / 2)),
    "the manifest lacks its last byte": manifest((bytes) => bytes.slice(0, -1)),
    "a bit of the manifest is flipped": manifest((bytes) => flipped(bytes, 30)),
    "a bit of the manifest's digest is flipped": manifest((bytes) => flipped(bytes, bytes.length - 10)),
    "the manifest is another JSON text": manifest(() => text('{"format":"other"}\n')),
    "an entry is missing": only(ENTRY, () => undefined),
    "an entry is empty": only(ENTRY, () => text("")),
    "an entry is cut short": only(ENTRY, (bytes) => bytes.slice(0, -1)),
    "an entry is longer": only(ENTRY, (bytes) => new Uint8Array([...bytes, 0])),
    "a bit of an entry is flipped": only(ENTRY, (bytes) => flipped(bytes, 100)),
    "all of it is zeros": (bytes) => new Uint8Array(bytes.length),
  },
  "tar.gz": ofArchives,
  "tar.zst": ofArchives,
  "tar": ofArchives,
};

/** What an archive can lose and still be whole: without a footer to jump by, it is read in sequence. */
export const losses: Readonly<Record<string, Alteration>> = {
  "it lacks its footer": (bytes) => bytes.slice(0, -51),
  "a bit of its footer is flipped": (bytes) => flipped(bytes, bytes.length - 20),
};

/** Damage to the data of a snapshot whose manifest can be read. */
export const dataDamage: Readonly<Record<LayoutKind, Alteration>> = {
  directory: only(ENTRY, (bytes) => flipped(bytes, 100)),
  "tar.gz": (bytes) => flipped(bytes, 2000),
  "tar.zst": (bytes) => flipped(bytes, 2000),
  "tar": (bytes) => flipped(bytes, 2000),
};

/** What a manifest is made into before it is sealed again. */
export type Forgery = (manifest: Manifest) => object;

/**
 * Publishes a snapshot with one state, `model`, whose manifest says what no writer of ours says, under a digest that is right.
 *
 * @returns Its unit.
 */
export async function forge(
  backend: Backend,
  layout: LayoutKind,
  name: string,
  change: Forgery,
  entries: Readonly<Record<string, string>> = { "value.json": "1" },
): Promise<string> {
  const { write, suffix } = layoutOfKind(layout);
  const savedAt = new Date("2030-01-01T00:00:00Z");
  const facts = { name, savedAt, states: [{ name: "model", version: 1 }], parent: null, labels: {} };
  async function* sources() {
    for (const [path, content] of Object.entries(entries)) {
      const body = [text(content)];
      yield { state: "model", path, body, release() {} };
    }
  }
  const stage = await backend.stage(name + suffix);
  const written = await write(stage, sources(), { savedAt });
  const { manifest } = sealManifest(facts, written.entries);
  await written.publish({ manifest, bytes: sealed(change(manifest)) });
  return name + suffix;
}

function sealed(manifest: object): Uint8Array {
  const body = JSON.stringify({ format: "snapkeep", ...manifest }, null, 2).replace(/\n\}$/, ",");
  const digest = createHash("sha256").update(body).digest("hex");
  return text(`${body}\n  "digest": "sha256:${digest}"\n}\n`);
}
