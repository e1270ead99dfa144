// What must hold of any archive, whatever its bytes: it is refused by a SnapshotError that speaks of it, or what it gives is
// what its manifest says, for every reader, in every way.
import { archiveLayout } from "../../src/layout/archive_layout.ts";
import { SnapshotReader } from "../../src/snapshot/snapshot_reader.ts";
import { verifyUnit } from "../../src/snapshot/verification.ts";
import { isSnapshotError } from "../../src/model/errors.ts";
import { FOOTER_BYTES } from "../archive/footer.ts";
import { digestOf, unpack } from "./members.ts";
import { faultOfText } from "./slow_manifest.ts";
import { MANNERS, readNaively } from "./naive_tar.ts";
import { type OneFile, oneFile } from "./memory_blob.ts";
import type { Random } from "./random.ts";
import { faultOfTable } from "./slow_table.ts";

/** Something that must not be. */
export class Fault extends Error {}

const DAMAGE = new Set([
  "ARCHIVE_REJECTED",
  "MANIFEST_MISSING",
  "MANIFEST_INVALID",
  "FORMAT_UNSUPPORTED",
  "SNAPSHOT_CORRUPT",
  "COMPRESSION_UNAVAILABLE",
]);

/** What a refusal says; throws a {@link Fault} where it is none. */
export function refusalOf(error: unknown): string {
  if (!isSnapshotError(error) || !DAMAGE.has(error.code)) {
    throw new Fault(`it failed with ${error instanceof Error ? error.stack ?? String(error) : String(error)}`, {
      cause: error,
    });
  }
  if (!isSnapshotError(error, "ARCHIVE_REJECTED")) return error.code;
  const { reason, offset } = error.details;
  if (!(Number.isSafeInteger(offset) && offset >= 0)) throw new Fault(`${reason} at no offset: ${offset}`);
  return reason;
}

const layout = archiveLayout("tar.gz");
const UNIT = "x.state.tar.gz";

async function opened(file: OneFile): Promise<SnapshotReader> {
  return new SnapshotReader("memory:fuzz", await layout.open(file.backend, UNIT), () => Promise.resolve(false));
}

/** What an archive gives. */
interface Loaded {
  readonly manifestBytes: Uint8Array;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** Reads all, as a load does. */
async function load(file: OneFile): Promise<Loaded | string> {
  let reader;
  try {
    reader = await opened(file);
    await reader.verifyAll();
    const files = new Map<string, Uint8Array>();
    for (const { path } of reader.entries) files.set(path, await reader.bytes(path));
    return { manifestBytes: reader.manifestBytes, files };
  } catch (error) {
    return refusalOf(error);
  } finally {
    await reader?.close();
  }
}

/** Reads entries one by one, each by itself, as who needs only some of them does. */
async function assertSameOneByOne(file: OneFile, { files }: Loaded, random: Random): Promise<void> {
  const reader = await opened(file);
  try {
    for (const [path, bytes] of files) {
      const alone = await reader.bytes(path).catch(refusalOf);
      if (typeof alone !== "string" && !isSame(alone, bytes)) {
        throw new Fault(`"${path}" is another one when read alone`);
      }
      const offset = random.below(bytes.length);
      const part = await reader.range(path, offset, 1 + random.below(600)).catch(refusalOf);
      // Parts are believed by the digests of the table; of what it cuts in pieces, nothing else vouches for one of them.
      if (typeof part !== "string" && part.length !== Math.min(part.length, bytes.length - offset)) {
        throw new Fault(`a part of "${path}" is longer than the rest of it`);
      }
    }
  } finally {
    await reader.close();
  }
}

/** Verifies, which reads both by the table and in sequence. */
async function verify(file: OneFile): Promise<boolean> {
  try {
    return (await verifyUnit(file.backend, layout, UNIT)).isWhole;
  } catch (error) {
    // What verification throws speaks of this program and not of the archive.
    if (isSnapshotError(error, "COMPRESSION_UNAVAILABLE")) return false;
    throw new Fault(`verification failed with ${String(error)}`, { cause: error });
  }
}

/** Reads in sequence, from a stream that comes in pieces of these sizes; tells what became of it. */
export async function readInSequence(bytes: Uint8Array, pieces: readonly number[]): Promise<string> {
  const file = oneFile(bytes, pieces);
  const found: string[] = [];
  let refusal;
  try {
    for await (const { path, digest } of layout.scan(file.backend, UNIT, { digest: true })) {
      found.push(`${path} ${digest}`);
    }
  } catch (error) {
    refusal = refusalOf(error);
  }
  if (file.unreturned() > 0) throw new Fault("something was not given back");
  return refusal ?? `accepted: ${digestOf(found.join("\n"))}`;
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}

/** What was loaded is what the manifest says, by an independent reading of it. */
function assertAsManifestSays({ manifestBytes, files }: Loaded): void {
  const fault = faultOfText(manifestBytes);
  if (fault !== undefined) throw new Fault(`it was loaded by a manifest that is none: ${fault}`);
  const { states } = JSON.parse(new TextDecoder().decode(manifestBytes)) as {
    states: { name: string; entries: { path: string; sizeBytes: number; digest: string }[] }[];
  };
  const listed = states.flatMap(({ name, entries }) =>
    entries.map((entry) => ({ ...entry, path: `${name}/${entry.path}` }))
  );
  if (listed.length !== files.size) throw new Fault(`it has ${files.size} entries and not ${listed.length}`);
  for (const { path, sizeBytes, digest } of listed) {
    const bytes = files.get(path);
    if (bytes === undefined) throw new Fault(`"${path}" is missing`);
    if (bytes.length !== sizeBytes || digestOf(bytes) !== digest) {
      throw new Fault(`"${path}" is not what the manifest says`);
    }
  }
}

const IGNORED = new Set(["stargz.index.json", ".prefetch.landmark", ".no.prefetch.landmark"]);
const LEFT_BY_DESKTOP = /^(?:\.DS_Store|\._.+|Thumbs\.db|desktop\.ini)$/i;

/** Whether a file that the manifest does not list may be there. */
const mayBeThere = (path: string) => IGNORED.has(path) || LEFT_BY_DESKTOP.test(path.split("/").at(-1) ?? "");

/** Careless decoders find the same files in a whole archive, and the same manifest. */
function assertAllReadTheSame(bytes: Uint8Array, { manifestBytes, files }: Loaded): void {
  let tar;
  try {
    tar = unpack(bytes);
  } catch (error) {
    throw new Fault(`an independent decompressor refuses what was found whole: ${String(error)}`);
  }
  for (const manner of MANNERS) {
    const found = readNaively(tar, manner).filter(([path]) => files.has(path) || !mayBeThere(path));
    const what = `to a decoder that is ${JSON.stringify(manner)}`;
    if (found.length !== files.size + 1) throw new Fault(`it has ${found.length} files ${what}, not ${files.size + 1}`);
    for (const [path, content] of found) {
      const wanted = path === "manifest.json" ? manifestBytes : files.get(path);
      if (wanted === undefined || !isSame(content, wanted)) throw new Fault(`"${path}" is another one ${what}`);
    }
  }
}

/** Checks an archive against all rules; returns the verdict. */
export async function judge(bytes: Uint8Array, random: Random): Promise<string> {
  const file = oneFile(bytes, random.chance(0.5) ? [65_536] : [1 + random.below(2000), 1 + random.below(600)]);
  const loaded = await load(file);
  const isWhole = await verify(file);
  if (typeof loaded === "string") {
    if (isWhole) throw new Fault(`it is found whole, but refused with ${loaded}`);
  } else {
    assertAsManifestSays(loaded);
    const fault = faultOfTable(bytes, loaded.files);
    if (fault !== undefined) throw new Fault(`its table was believed, though ${fault}`);
    await assertSameOneByOne(file, loaded, random);
    if (isWhole) {
      assertAllReadTheSame(bytes, loaded);
      await assertSameWithoutTable(bytes, loaded);
    }
  }
  if (file.unreturned() > 0) throw new Fault("something was not given back");
  if (typeof loaded === "string") return loaded;
  return isWhole ? "whole" : "loads, but verification finds fault with it";
}

/** Without its footer it is read in sequence: to the same, or it is refused. */
async function assertSameWithoutTable(bytes: Uint8Array, { manifestBytes, files }: Loaded): Promise<void> {
  if (bytes[0] !== 0x1f) return;
  const file = oneFile(bytes.subarray(0, -FOOTER_BYTES));
  const other = await load(file);
  if (file.unreturned() > 0) throw new Fault("something was not given back");
  if (typeof other === "string") return;
  if (!isSame(other.manifestBytes, manifestBytes)) throw new Fault("in sequence it has another manifest");
  for (const [path, content] of files) {
    if (!isSame(other.files.get(path) ?? new Uint8Array(), content)) {
      throw new Fault(`in sequence "${path}" is another one`);
    }
  }
}
