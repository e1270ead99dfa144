// gzip where the runtime has no zlib: the same format, written and read in plain JavaScript, compared with the native path.
import { Buffer } from "node:buffer";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { nativeGzip } from "../../src/compression/gzip_codec.ts";
import { pureGzip } from "../../src/compression/pure_gzip_codec.ts";
import { amount } from "../torture/budget.ts";
import { checkEstargz } from "../archive/estargz_checker.ts";
import { noise, pattern, sha256, type Tree } from "../archive/samples.ts";

type Library = typeof import("snapkeep");
type ArchiveOptions = import("snapkeep").ArchiveOptions;

const TREE: Tree = {
  "noise.bin": noise(700_000),
  "pattern.bin": pattern(2_300_000),
  "zeros.bin": new Uint8Array(300_000),
  "empty": "",
  ...Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`small/${index}.json`, `{"index":${index}}`])),
};
const DIGESTS = Object.fromEntries(Object.entries(TREE).map(([path, content]) => [path, sha256(content)]));

const OPTIONS_TRIED = amount("readers", "options");
const DAMAGES = Math.min(40, amount("readers", "damages"));

let native: Library;
let pure: Library;

beforeAll(async () => {
  native = await import("snapkeep");
  vi.resetModules();
  vi.doMock("node:zlib", () => ({ gzip: undefined, zstdCompress: undefined, default: {} }));
  pure = await import("snapkeep");
  vi.doUnmock("node:zlib");
});

afterAll(() => vi.resetModules());

/** The tree as an archive, by one of the two. */
async function saved({ StateStore, memoryBackend }: Library, archive: ArchiveOptions = {}): Promise<Uint8Array> {
  const store = new StateStore(memoryBackend(), {
    layout: "tar.gz",
    archive,
    run: "one",
    now: () => 1_770_091_445_000,
  });
  store.register("a", {
    saveState: async (out) => {
      for (const [path, content] of Object.entries(TREE)) await out.write(path, content);
    },
    loadState: () => {},
  });
  const snapshot = await store.saveState();
  return new Uint8Array(await new Response(snapshot.stream() as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer());
}

/** What one of the two makes of an archive: digests of what it loads, or the code of its refusal. */
async function loaded({ StateStore, memoryBackend, isSnapshotError }: Library, bytes: Uint8Array) {
  const found: Record<string, string> = {};
  const store = new StateStore(memoryBackend()).register("a", {
    saveState: () => {},
    loadState: async (from) => {
      for (const { path } of from.entries) found[path] = sha256(await from.bytes(path));
    },
  });
  try {
    await store.loadState(new Blob([bytes as Uint8Array<ArrayBuffer>]).stream());
    return found;
  } catch (error) {
    if (!isSnapshotError(error)) throw error;
    return error.code;
  }
}

const OPTIONS: readonly ArchiveOptions[] = [
  {},
  { level: 0 },
  { level: 1, groupBytes: 0 },
  { level: 9, chunkBytes: 64 * 1024 },
  { chunkBytes: 4096, level: 1 },
  { chunkBytes: 4 * 1024 * 1024, groupBytes: 1024 * 1024 },
];

describe("gzip without zlib", () => {
  it("is really without: zstd is not there, and its members are not those of zlib", async () => {
    await expect(pure.locate(pure.memoryBackend(), "x.state.tar.zst").open()).rejects.toThrow();
    const store = new pure.StateStore(pure.memoryBackend()).register("a", { saveState: () => {}, loadState: () => {} });
    const error = await store.saveState({ layout: "tar.zst" }).catch((reason: unknown) => reason);
    expect(pure.isSnapshotError(error, "COMPRESSION_UNAVAILABLE")).toBe(true);
    expect(sha256(await saved(pure))).not.toBe(sha256(await saved(native)));
  });

  it.for(OPTIONS.map((options, index) => ({ options, index })))(
    "with $options writes and reads what the native path reads and writes",
    async ({ options, index }, { skip }) => {
      skip(index >= OPTIONS_TRIED, "left to the long form");
      const [ours, theirs] = [await saved(pure, options), await saved(native, options)];
      for (const bytes of [ours, theirs]) {
        expect(await loaded(native, bytes)).toEqual(DIGESTS);
        expect(await loaded(pure, bytes)).toEqual(DIGESTS);
      }
      const [tar, other] = [checkEstargz(ours), checkEstargz(theirs)];
      expect(tar.members.length).toBe(other.members.length);
      const payload = ({ tar, members }: typeof other) => sha256(tar.subarray(0, members.at(-2)?.tarOffset));
      expect(payload(tar)).toBe(payload(other));
      expect(gunzipSync(ours).length).toBe(tar.tar.length);
    },
  );

  it("reads a gzip of other tools, in members of any length", async () => {
    const { tar } = checkEstargz(await saved(native));
    const cuts = [0, 1, 2, 700, 65_536, 65_537, 1_000_000, tar.length];
    const members = cuts.slice(1).map((end, index) => gzipSync(tar.subarray(cuts[index], end), { level: index }));
    const whole = Buffer.concat(members);
    expect(await loaded(pure, whole)).toEqual(DIGESTS);
    expect(await loaded(native, whole)).toEqual(DIGESTS);
  });

  it("finds every damage, by CRC and length of each member, wherever a bit or the end is another", async () => {
    const { tar } = checkEstargz(await saved(native, { groupBytes: 0, level: 1 }));
    const small = Buffer.concat([gzipSync(tar.subarray(0, 512)), gzipSync(tar.subarray(512))]);
    for (const bytes of [small, await saved(pure)]) {
      for (let trial = 0; trial < 40; trial += 40 / DAMAGES) {
        const damaged = new Uint8Array(bytes);
        const at = trial < 20 ? trial * 3 : Math.floor(bytes.length * (trial - 19.5) / 20);
        damaged[at] = (damaged[at] as number) ^ 1 << trial % 8;
        const [found, reference] = [await loaded(pure, damaged), await loaded(native, damaged)];
        expect(typeof found).toBe(typeof reference); // a bit that is unused, or means the same, changes nothing
        if (typeof found === "object") expect(found).toEqual(DIGESTS);
        expect(await loaded(pure, bytes.subarray(0, at))).toBe("ARCHIVE_REJECTED");
      }
    }
  });

  it("compares each member with its CRC and its length, bit by bit", async () => {
    const [one, two] = [gzipSync(noise(3000)), gzipSync("end")];
    const members = Buffer.concat([one, two]);
    expect((await pureGzip.decode(members, 4000)).length).toBe(3003);
    for (const endOffset of [one.length, members.length]) {
      for (let bit = 0; bit < 64; bit++) {
        const damaged = Buffer.from(members);
        const at = endOffset - 8 + (bit >> 3);
        damaged[at] = (damaged[at] as number) ^ 1 << bit % 8;
        await expect(pureGzip.decode(damaged, 4000)).rejects.toMatchObject({ reason: "COMPRESSION_DAMAGED" });
      }
    }
  });

  it("expands members to no more than was said, as zlib does", async () => {
    const members = Buffer.concat([gzipSync(new Uint8Array(200_000)), gzipSync("end")]);
    for (const codec of [pureGzip, nativeGzip ?? pureGzip]) {
      expect((await codec.decode(members, 200_003)).length).toBe(200_003);
      await expect(codec.decode(members, 200_002)).rejects.toMatchObject({ reason: "LIMIT_BYTES" });
    }
  });
});
