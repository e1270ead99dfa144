// The table and the footer are an index into the file, and hostile input like the rest: what they say must equal the
// manifest, and where they point must be what they say.
import { Buffer } from "node:buffer";
import * as zlib from "node:zlib";
import { type Backend, isSnapshotError, locate, StateStore } from "snapkeep";
import type { BlobReader } from "snapkeep/backend";
import { describe, expect, it } from "vitest";
import { openIndexed } from "../../src/archive/indexed_reader.ts";
import type { Codec } from "../../src/compression/codec.ts";
import { codecOf } from "../../src/compression/codecs.ts";
import type { UnitReader } from "../../src/model/snapshot.ts";
import { hasZstd, skippable } from "../fuzz/members.ts";
import { oneFile } from "../fuzz/memory_blob.ts";
import { rejection } from "../store/states.ts";
import { isLong } from "../torture/budget.ts";
import { footer } from "./footer.ts";
import { assembled, tableMember, tableOf, withFooter, withTable, withTableMember } from "./rewrite.ts";
import { archiveOf, bytesOf, digests, noise, place, sha256, streamOf, TreeState, within } from "./samples.ts";
import { binary, concatenated, END, extended, file, header, manifestOf, record, sealed } from "./tar_maker.ts";
import { watchedBackend } from "./watched_backend.ts";

const CHUNK = 2 * 1024 * 1024;
const TREE = { "big.bin": noise(2.5 * CHUNK), "small.txt": "small", "empty": "" };
const { bytes: SOUND } = await archiveOf({ a: TREE });

type Row = Record<string, unknown>;

/** Changes a row of the table. */
function row(name: string, index: number, change: (row: Row) => object) {
  return (json: string) => {
    const table = JSON.parse(json) as { entries: Row[] };
    const found = table.entries.filter((entry) => entry["name"] === name)[index] as Row;
    table.entries[table.entries.indexOf(found)] = change(found) as Row;
    return JSON.stringify(table);
  };
}

const set = (name: string, index: number, fields: object) => row(name, index, (found) => ({ ...found, ...fields }));
const entries = (change: (rows: Row[]) => unknown[]) => (json: string) => {
  return JSON.stringify({ version: 1, entries: change((JSON.parse(json) as { entries: Row[] }).entries) });
};
const digestOf = (text: string) => `sha256:${sha256(text)}`;

/** Members of no content, behind each other, about as long as told. */
function emptyMembers(sizeBytes: number): Uint8Array {
  const empty = zlib.gzipSync(new Uint8Array());
  return Buffer.alloc(sizeBytes - sizeBytes % empty.length, empty);
}

async function verdictOf(bytes: Uint8Array): Promise<string> {
  const backend = watchedBackend();
  const unit = "x.state.tar.gz";
  await place(backend, unit, bytes);
  const state = new TreeState({});
  const store = new StateStore(backend).register("a", state);
  let verdict: string;
  try {
    await within(20, "Loading it", store.loadState(locate(backend, unit)));
    verdict = "accepted";
  } catch (error) {
    if (!isSnapshotError(error)) throw error;
    verdict = isSnapshotError(error, "ARCHIVE_REJECTED") ? error.details.reason : error.code;
    if (isSnapshotError(error, "ARCHIVE_REJECTED")) {
      expect(Number.isSafeInteger(error.details.offset) && error.details.offset >= 0).toBe(true);
    }
    expect(state.loads).toBe(0);
  }
  const { isWhole } = await within(20, "Verifying it", locate(backend, unit).verify());
  expect(isWhole).toBe(verdict === "accepted");
  const imported = new StateStore(watchedBackend()).importSnapshot(streamOf(bytes));
  const isImported = await within(20, "Importing it", imported).then(() => true, (error) => {
    if (!isSnapshotError(error)) throw error;
    return false;
  });
  expect(isImported).toBe(verdict === "accepted");
  const copied = bytesOf(locate(backend, unit).stream({ layout: "tar" }));
  const isCopied = await within(20, "Copying it", copied).then(() => true, (error) => {
    if (!isSnapshotError(error)) throw error;
    return false;
  });
  expect(isCopied).toBe(verdict === "accepted");
  expect([...backend.unreturned]).toEqual([]);
  return verdict;
}

const tables: readonly [string, string, (json: string) => string][] = [
  ["TABLE_INVALID", "is no JSON", () => "{"],
  ["TABLE_INVALID", "is empty", () => ""],
  ["TABLE_INVALID", "is null", () => "null"],
  ["TABLE_INVALID", "is nested deep", () => "[".repeat(500_000)],
  ["TABLE_INVALID", "has another version", (json) => json.replace('"version":1', '"version":2')],
  ["TABLE_INVALID", "has no version", (json) => json.replace('"version":1,', "")],
  ["TABLE_INVALID", "has no entries", () => '{"version":1}'],
  ["TABLE_INVALID", "has entries that are no list", () => '{"version":1,"entries":{"length":0}}'],
  ["TABLE_INVALID", "has a row that is null", entries((rows) => [null, ...rows])],
  ["TABLE_INVALID", "has a row that is a number", entries((rows) => [1, ...rows])],
  ["MANIFEST_MISSING", "has no rows", entries(() => [])],
  ["MANIFEST_MISSING", "lacks the manifest", entries((rows) => rows.filter(({ name }) => name !== "manifest.json"))],
  ["MANIFEST_MISMATCH", "lacks a file", entries((rows) => rows.filter(({ name }) => name !== "a/small.txt"))],
  ["MANIFEST_MISMATCH", "lacks an empty file", entries((rows) => rows.filter(({ name }) => name !== "a/empty"))],
  ["MANIFEST_MISMATCH", "has a file more", entries((rows) => [...rows, { ...rows.at(-1), name: "a/more" }])],
  ["MANIFEST_MISMATCH", "has an unsafe file more", entries((rows) => [...rows, { ...rows.at(-1), name: "../evil" }])],
  ["TABLE_INVALID", "has a file twice", entries((rows) => [...rows, ...rows.filter(({ name }) => name === "a/empty")])],
  ["MANIFEST_MISMATCH", "names a file otherwise", set("a/small.txt", 0, { name: "a/SMALL.txt" })],
  [
    "TABLE_INVALID",
    "has a file twice, once with ./",
    entries((rows) => [
      ...rows,
      ...rows.filter(({ name }) => name === "a/empty").map((found) => ({ ...found, name: "./a/empty" })),
    ]),
  ],
  ["TABLE_INVALID", "has a name that is no text", set("a/small.txt", 0, { name: 1 })],
  ["TABLE_INVALID", "has a symbolic link", set("a/empty", 0, { type: "symlink", linkName: "/etc/passwd" })],
  ["TABLE_INVALID", "has a hard link", set("a/empty", 0, { type: "hardlink", linkName: "a/small.txt" })],
  ["TABLE_INVALID", "has a device", set("a/empty", 0, { type: "char" })],
  ["TABLE_INVALID", "has a row without a type", row("a/empty", 0, ({ type: _type, ...rest }) => rest)],
  [
    "TABLE_INVALID",
    "has a type by its prototype",
    row("a/empty", 0, ({ type, ...rest }) => ({ ...rest, ["__proto__"]: { type } })),
  ],
  [
    "MANIFEST_MISMATCH",
    "has another digest",
    set("a/small.txt", 0, { digest: digestOf("x"), chunkDigest: digestOf("x") }),
  ],
  ["TABLE_INVALID", "has no digest", row("a/small.txt", 0, ({ digest: _digest, ...rest }) => rest)],
  ["TABLE_INVALID", "has no digest of an empty file", row("a/empty", 0, ({ digest: _digest, ...rest }) => rest)],
  ["TABLE_INVALID", "has a digest of another kind", set("a/small.txt", 0, { digest: `sha512:${"0".repeat(128)}` })],
  ["TABLE_INVALID", "has another digest of an only piece", set("a/small.txt", 0, { chunkDigest: digestOf("x") })],
  ["TABLE_INVALID", "has another digest of a piece", set("a/big.bin", 1, { chunkDigest: digestOf("x") })],
  ["TABLE_INVALID", "has no digest of a piece", row("a/big.bin", 1, ({ chunkDigest: _digest, ...rest }) => rest)],
  ["MANIFEST_MISMATCH", "has another size", set("a/small.txt", 0, { size: 4 })],
  [
    "MANIFEST_MISMATCH",
    "has a size for an empty file",
    set("a/empty", 0, { size: 5, offset: 0, chunkDigest: digestOf("") }),
  ],
  ["TABLE_INVALID", "has a negative size", set("a/small.txt", 0, { size: -5 })],
  ["TABLE_INVALID", "has a fraction of a size", set("a/small.txt", 0, { size: 5.5 })],
  ["TABLE_INVALID", "has a size as text", set("a/small.txt", 0, { size: "5" })],
  ["TABLE_INVALID", "has a size beyond 2^53", (json) => json.replace('"size":5,', '"size":1e300,')],
  ["MANIFEST_INVALID", "has a manifest of a TiB", set("manifest.json", 0, { size: 2 ** 40 })],
  ["MANIFEST_INVALID", "has a manifest of 2^53 - 1 bytes", set("manifest.json", 0, { size: 2 ** 53 - 1 })],
  ["TABLE_INVALID", "has pieces in another order", entries((rows) => [rows[0], rows[2], rows[1], ...rows.slice(3)])],
  ["TABLE_INVALID", "has a piece less", entries((rows) => rows.filter((_, index) => index !== 1))],
  ["TABLE_INVALID", "lacks the last piece", entries((rows) => rows.filter((_, index) => index !== 2))],
  ["TABLE_INVALID", "has a piece at another place", set("a/big.bin", 1, { chunkOffset: CHUNK + 1 })],
  ["TABLE_INVALID", "has pieces that overlap", set("a/big.bin", 1, { chunkOffset: CHUNK - 1 })],
  ["TABLE_INVALID", "has a piece of another size", set("a/big.bin", 0, { chunkSize: CHUNK - 1 })],
  ["TABLE_INVALID", "has a piece that is too large", set("a/big.bin", 0, { chunkSize: 2 ** 50 })],
  ["TABLE_INVALID", "has a piece of another file", set("a/big.bin", 1, { name: "a/small.txt" })],
  ["TABLE_INVALID", "has a piece of nothing", entries((rows) => [{ ...rows[1], name: "a/x" }, ...rows])],
  ["TABLE_INVALID", "has pieces in one place", row("a/big.bin", 1, (found) => ({ ...found, offset: 1 }))],
  ["TABLE_INVALID", "points behind the file", set("a/small.txt", 0, { offset: 2 ** 40 })],
  ["TABLE_INVALID", "points at itself", (json) => set("a/small.txt", 0, { offset: tableOf(SOUND).offset })(json)],
  [
    "COMPRESSION_DAMAGED",
    "points into a member",
    row("a/small.txt", 0, (found) => ({ ...found, offset: Number(found["offset"]) + 1 })),
  ],
  [
    "SNAPSHOT_CORRUPT",
    "points at another member",
    row("a/small.txt", 0, (found) => ({ ...found, offset: 0, innerOffset: 1 })),
  ],
  ["TABLE_INVALID", "points at a negative place", set("a/small.txt", 0, { offset: -1 })],
  ["LIMIT_RATIO", "points far into a member", set("a/small.txt", 0, { innerOffset: 2 ** 45 })],
  ["TABLE_INVALID", "points beyond the end of a member", set("a/small.txt", 0, { innerOffset: 100_000 })],
  ["TABLE_INVALID", "points before a member", set("a/small.txt", 0, { innerOffset: -1 })],
];

describe("a table is refused that", () => {
  it.each(tables)("%s: %s", async (reason, _, change) => {
    const bytes = withTable(SOUND, change);
    expect(await verdictOf(bytes)).toBe(reason);
  });

  it.each([
    ["is cut", zlib.gzipSync(file("stargz.index.json", "{}").subarray(0, 600))],
    ["has no end marker", zlib.gzipSync(file("stargz.index.json", tableOf(SOUND).json))],
    ["is another file", tableMember(tableOf(SOUND).json, "table.json")],
    ["is a folder", zlib.gzipSync(concatenated(file("stargz.index.json/", "", { type: "5" }), END))],
    ["is a symbolic link", zlib.gzipSync(concatenated(file("stargz.index.json", "", { type: "2", link: "x" }), END))],
    [
      "is there twice",
      zlib.gzipSync(concatenated(...[1, 2].map(() => file("stargz.index.json", tableOf(SOUND).json)), END)),
    ],
    [
      "has a file beside it",
      zlib.gzipSync(concatenated(file("stargz.index.json", tableOf(SOUND).json), file("x", ""), END)),
    ],
    [
      "is a TiB long by its header",
      zlib.gzipSync(concatenated(header({ name: "stargz.index.json", size: binary(2n ** 40n) }), END)),
    ],
    [
      "is 15 TiB long by PAX",
      zlib.gzipSync(
        concatenated(extended(record("size", "16000000000000")), header({ name: "stargz.index.json" }), END),
      ),
    ],
    ["is no gzip", new Uint8Array(1000)],
    ["is raw", file("stargz.index.json", tableOf(SOUND).json)],
    ["has something behind it", concatenated(tableMember(tableOf(SOUND).json), "junk")],
    [
      "has a wrong CRC",
      tableMember(tableOf(SOUND).json).map((byte, index, all) => index === all.length - 8 ? byte ^ 1 : byte),
    ],
    ["is nothing", new Uint8Array()],
  ])("%s", async (_, member) => {
    expect(await verdictOf(withTableMember(SOUND, member))).not.toBe("accepted");
  });

  it("has very many values in an unknown field, which would take up many times their size", async () => {
    const many = `"x":[${"{},".repeat(100_000)}{}],"entries"`;
    expect(await verdictOf(withTable(SOUND, (json) => json.replace('"entries"', many)))).toBe("TABLE_INVALID");
    const row = `{"name":"a/small.txt","type":"reg","x":[${"{},".repeat(100_000)}{}],`;
    const change = (json: string) => json.replace('{"name":"a/small.txt","type":"reg",', row);
    expect(await verdictOf(withTable(SOUND, change))).toBe("TABLE_INVALID");
  });

  it("is a bomb", async () => {
    const started = performance.now();
    expect(await verdictOf(withTableMember(SOUND, zlib.gzipSync(new Uint8Array(48 * 2 ** 20))))).not.toBe("accepted");
    expect(performance.now() - started).toBeLessThan(60_000);
  });
});

/** A file that is all zeros but for some parts, and that counts what is read of it. */
function sparse(sizeBytes: number, parts: readonly [offset: number, bytes: Uint8Array][]) {
  const inner = watchedBackend();
  const counted = { readBytes: 0 };
  const read = (offset: number, lengthBytes: number): Promise<Uint8Array<ArrayBuffer>> => {
    const bytes = new Uint8Array(Math.min(lengthBytes, sizeBytes - offset));
    counted.readBytes += bytes.length;
    for (const [at, part] of parts) {
      const from = Math.max(at, offset);
      const to = Math.min(at + part.length, offset + bytes.length);
      if (to > from) bytes.set(part.subarray(from - at, to - at), from - offset);
    }
    return Promise.resolve(bytes);
  };
  const blob: BlobReader = { sizeBytes, read, async *stream() {}, close: () => Promise.resolve() };
  const backend: Backend = { ...inner, open: () => Promise.resolve(blob) };
  return { counted, locator: locate(backend, "x.state.tar.gz") };
}

describe("a file of a TiB, of which nearly nothing is there, is refused and not read", () => {
  const SIZE = 2 ** 40;
  const begin: [number, Uint8Array] = [0, Uint8Array.of(0x1f, 0x8b)];

  it("where the table is said to be nearly all of it", async () => {
    const { locator, counted } = sparse(SIZE, [begin, [SIZE - 51, footer(20)]]);
    expect(await rejection(locator.open())).toMatchObject({ details: { reason: "TABLE_INVALID" } });
    expect(counted.readBytes).toBeLessThan(2 ** 20);
  });

  it.each([["nothing", begin], ["members that hold nothing", [0, emptyMembers(8 * 2 ** 20)] as [number, Uint8Array]]])(
    "where the manifest is said to lie in it, behind %s",
    async (_, first) => {
      const row = { name: "manifest.json", type: "reg", size: 1000, digest: digestOf(""), offset: 0 };
      const table = tableMember(JSON.stringify({ version: 1, entries: [{ ...row, chunkDigest: digestOf("") }] }));
      const offset = SIZE - 51 - table.length;
      const { locator, counted } = sparse(SIZE, [first, [offset, concatenated(table, footer(offset))]]);
      expect(await rejection(locator.open())).toMatchObject({ code: "ARCHIVE_REJECTED" });
      expect(counted.readBytes).toBeLessThan(8 * 2 ** 20);
    },
  );
});

describe("a table is read that", () => {
  it("is so long that what it might expand to is more than some runtimes hold", async () => {
    const padding = Buffer.from(noise(4_500_000)).toString("base64");
    const bytes = withTable(SOUND, (json) => json.replace("{", `{"padding":"${padding}",`));
    expect(await verdictOf(bytes)).toBe("accepted");
  });
});

describe("a piece is refused that", () => {
  it("is larger than may be held in memory, though its bytes could hold it", async () => {
    const content = noise(5_000_000);
    const sizeBytes = 5 * 2 ** 30;
    const manifest = new TextDecoder().decode(manifestOf({ x: content }));
    const body = manifest.slice(0, manifest.lastIndexOf('\n  "digest"')).replaceAll(
      `:${content.length}`,
      `:${sizeBytes}`,
    );
    const bytes = assembled([{ path: "x", content, toldBytes: sizeBytes }], sealed(body));
    expect(await verdictOf(bytes)).toBe("LIMIT_BYTES");
  });

  it("is one of an entry that no memory could hold, however small the pieces before it are", async () => {
    const sizeBytes = 2 ** 50;
    const pieces = ["x", "x", "x", "x"].map((text) => zlib.gzipSync(text));
    const manifest = new TextDecoder().decode(manifestOf({ x: "x" }));
    const body = manifest.slice(0, manifest.lastIndexOf('\n  "digest"'));
    const told = sealed(body.replaceAll('"sizeBytes":1', `"sizeBytes":${sizeBytes}`));
    const rows: Row[] = [];
    let offset = 0;
    for (const [index, piece] of pieces.entries()) {
      const head = index === 0 ? { type: "reg", size: sizeBytes, digest: digestOf("x") } : { type: "chunk" };
      const chunkSize = index < 3 ? { chunkSize: 1 } : {};
      rows.push({ name: "a/x", ...head, offset, chunkOffset: index, ...chunkSize, chunkDigest: digestOf("x") });
      offset += piece.length;
    }
    const digest = `sha256:${sha256(told)}`;
    rows.push({ name: "manifest.json", type: "reg", size: told.length, digest, offset, chunkDigest: digest });
    const last = zlib.gzipSync(told);
    const table = tableMember(JSON.stringify({ version: 1, entries: rows }));
    const backend = watchedBackend();
    await place(
      backend,
      "x.state.tar.gz",
      concatenated(...pieces, last, table, footer(offset + last.length)),
    );
    await using reader = await locate(backend, "x.state.tar.gz").open();
    expect(await rejection(reader.bytes("a/x"))).toMatchObject({ code: "ARCHIVE_REJECTED" });
  });

  it("is another entry's, whichever part is asked for, before all of the table was looked at", async () => {
    const { bytes } = await archiveOf({ a: { honest: "amount=0010", forged: "amount=9999" } });
    const swapped = (json: string) => {
      const { entries } = JSON.parse(json) as { entries: Row[] };
      const [one, other] = ["a/honest", "a/forged"].map((name) => entries.find((found) => found["name"] === name));
      return JSON.stringify({
        version: 1,
        entries: [{ ...other, name: "a/honest" }, { ...one, name: "a/forged" }, ...entries.slice(2)],
      });
    };
    const backend = watchedBackend();
    await place(backend, "x.state.tar.gz", withTable(bytes, swapped));
    await using reader = await locate(backend, "x.state.tar.gz").open();
    expect(await rejection(reader.range("a/honest", 0, 11))).toMatchObject({ code: "SNAPSHOT_CORRUPT" });
  });

  it("has bytes behind its member that a NUL hides", async () => {
    const { offset, json } = tableOf(SOUND);
    const { entries } = JSON.parse(json) as { entries: Row[] };
    const hidden = concatenated("\0hidden");
    const moved = json.replaceAll(/"offset":(\d+)/g, (whole, at: string) => {
      return Number(at) > 0 && Number(at) >= Number(entries[1]?.["offset"])
        ? `"offset":${Number(at) + hidden.length}`
        : whole;
    });
    const at = Number(entries[1]?.["offset"]);
    const bytes = concatenated(
      SOUND.subarray(0, at),
      hidden,
      SOUND.subarray(at, offset),
      tableMember(moved),
      footer(offset + hidden.length),
    );
    expect(await verdictOf(bytes)).toBe("TRAILING_DATA");
  });
});

describe("entries that share members, each small beside all that its member holds", () => {
  const MEMBERS = 12;
  const SMALL = 60;
  // All small entries hold the same, so that the table may say of each that it lies where another does.
  const tree = Object.fromEntries(
    Array.from({ length: MEMBERS }, (_, member): [string, Uint8Array | string][] => [
      ...Array.from({ length: SMALL }, (_, index): [string, string] => [`${member}/${index}`, "x"]),
      // What has 64 KiB ends its member; what is smaller fills it.
      ...Array.from(
        { length: 64 },
        (_, index): [string, Uint8Array] => [`${member}/zeros-${index}`, new Uint8Array(65_000)],
      ),
      [`${member}/end`, new Uint8Array(64 * 2 ** 10)],
    ]).flat(),
  );
  /** The table with the places of small entries taken from one member after the other, as often as told. */
  const scattered = (rounds: number) => (json: string) => {
    const { entries } = JSON.parse(json) as { entries: Row[] };
    const small = entries.filter(({ size }) => size === 1);
    const places = small.map(({ offset, innerOffset }) => ({ offset, innerOffset }));
    for (const [index, row] of small.entries()) {
      if (index < rounds * MEMBERS) Object.assign(row, places[SMALL * (index % MEMBERS) + Math.floor(index / MEMBERS)]);
    }
    return JSON.stringify({ version: 1, entries });
  };

  it.skipIf(!isLong)(
    "are read in any order, as long as that does not take decompressing the same over and over",
    async () => {
      const archive = { level: 1, chunkBytes: 2 ** 23, groupBytes: 2 ** 23 };
      const { bytes } = await archiveOf({ a: tree }, { archive });
      expect(await verdictOf(withTable(bytes, scattered(2)))).toBe("accepted");
      expect(await verdictOf(withTable(bytes, scattered(60)))).toBe("LIMIT_MEMBERS");
      const boasting = (json: string) => set("a/11/59", 0, { innerOffset: 2 ** 45 })(scattered(59)(json));
      expect(await verdictOf(withTable(bytes, boasting))).toBe("LIMIT_MEMBERS");
    },
  );
});

describe("entries of members that are mostly members of no content", () => {
  it("are not read one member after the other, over and over", async () => {
    const MEMBERS = 9; // one more than are kept
    const ENTRIES = 3000;
    const member = concatenated(emptyMembers(400_000), zlib.gzipSync("x".repeat(16)));
    const names = Array.from({ length: ENTRIES }, (_, index) => String(index));
    const manifest = manifestOf(Object.fromEntries(names.map((name) => [name, "x"])));
    const told = (name: string, bytes: Uint8Array | string, place: object) => {
      const digest = `sha256:${sha256(bytes)}`;
      return { name, type: "reg", size: bytes.length, digest, ...place, chunkDigest: digest };
    };
    const rows = names.map((name, index) => {
      return told(`a/${name}`, "x", { offset: member.length * (index % MEMBERS), innerOffset: 1 + index % 15 });
    });
    const offset = member.length * MEMBERS;
    rows.push(told("manifest.json", manifest, { offset }));
    const last = zlib.gzipSync(manifest);
    const table = tableMember(JSON.stringify({ version: 1, entries: rows }));
    const members = Array.from({ length: MEMBERS }, () => member);
    const bytes = concatenated(...members, last, table, footer(offset + last.length));
    expect(await verdictOf(bytes)).toBe("LIMIT_MEMBERS");
  });
});

describe("members that are large for what is read of them", () => {
  it("are decompressed one after the other as soon as several at once would take up much memory", async () => {
    const NEEDED = 64 * 2 ** 20;
    const member = zlib.gzipSync(new Uint8Array(NEEDED));
    const names = Array.from({ length: 8 }, (_, index) => String(index));
    const manifest = manifestOf(Object.fromEntries(names.map((name) => [name, "\0"])));
    const told = (name: string, bytes: Uint8Array | string, place: object) => {
      const digest = `sha256:${sha256(bytes)}`;
      return { name, type: "reg", size: bytes.length, digest, ...place, chunkDigest: digest };
    };
    const rows = names.map((name, index) => {
      return told(`a/${name}`, "\0", { offset: index * member.length, innerOffset: NEEDED - 1 });
    });
    const offset = names.length * member.length;
    rows.push(told("manifest.json", manifest, { offset }));
    const last = zlib.gzipSync(manifest);
    const table = tableMember(JSON.stringify({ version: 1, entries: rows }));
    const bytes = concatenated(...names.map(() => member), last, table, footer(offset + last.length));
    const gzip = codecOf("gzip");
    let [nowBytes, mostBytes] = [0, 0];
    const codec: Codec = {
      ...gzip,
      async decodeHead(source, sizeBytes, slackBytes) {
        mostBytes = Math.max(mostBytes, nowBytes += sizeBytes);
        const head = await gzip.decodeHead(source, sizeBytes, slackBytes);
        nowBytes -= sizeBytes;
        return head;
      },
    };
    const blob = await oneFile(bytes).backend.open("x.state.tar.gz") as BlobReader;
    const unit = await openIndexed(blob, "memory", codec) as UnitReader;
    const found = await Promise.all(names.map(async (name) => await (await unit.open(`a/${name}`))?.bytes()));
    expect(found).toEqual(names.map(() => new Uint8Array(1)));
    expect(mostBytes).toBeLessThanOrEqual(2 * NEEDED);
  });
});

describe("a footer is refused that", () => {
  const { offset } = tableOf(SOUND);
  it.each([
    ["points at itself", SOUND.length - 51],
    ["points behind the file", SOUND.length],
    ["points far behind the file", 2 ** 52],
    ["points beyond all numbers", 2 ** 60],
    ["points at the first member", 0],
    ["points into the table", offset + 1],
    ["points before the table", offset - 1],
    [
      "points at the manifest",
      Number((JSON.parse(tableOf(SOUND).json) as { entries: Row[] }).entries.at(-1)?.["offset"]),
    ],
  ])("%s", async (_, place) => {
    const verdict = await verdictOf(withFooter(SOUND, place));
    // Beyond 2^53 it is no footer of ours, and the file is read in sequence, in which there is nothing wrong.
    expect(verdict === "accepted").toBe(place > 2 ** 53);
  });
});

describe.skipIf(!hasZstd)("the footer of a zstd archive", async () => {
  const FRAME_BYTES = 48; // a header of 8, then offset, size and size when decompressed, each of 64 bits
  const { bytes } = hasZstd ? await archiveOf({ a: TREE }, { layout: "tar.zst" }) : { bytes: SOUND };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const told = (at: number) => Number(view.getBigUint64(bytes.length - FRAME_BYTES + at, true));
  const [offset, sizeBytes, rawBytes] = [told(8), told(16), told(24)];

  /** The archive with other numbers in its footer. */
  function withNumbers(archive: Uint8Array, numbers: readonly number[]): Uint8Array {
    const copy = archive.slice();
    const footer = new DataView(copy.buffer, copy.length - FRAME_BYTES);
    for (const [index, number] of numbers.entries()) footer.setBigUint64(8 + 8 * index, BigInt(number), true);
    return copy;
  }

  it("is believed where it says what is there", async () => {
    expect(await verdictOf(withNumbers(bytes, [offset, sizeBytes, rawBytes]))).toBe("accepted");
  });

  it.each([
    ["points behind the table", [offset + 1, sizeBytes, rawBytes]],
    ["points before the table", [offset - 1, sizeBytes, rawBytes]],
    ["has a table of one byte less", [offset, sizeBytes - 1, rawBytes]],
    ["has a table of nothing", [offset + sizeBytes, 0, 0]],
    ["points beyond all numbers", [2 ** 60, 2 ** 60, rawBytes]],
    ["has a table that is one byte larger", [offset, sizeBytes, rawBytes + 1]],
    ["has a table beyond all numbers", [offset, sizeBytes, 2 ** 60]],
  ])("is refused that %s", async (_, numbers) => {
    expect(await verdictOf(withNumbers(bytes, numbers))).toBe("TABLE_INVALID");
  });

  it.each([
    ["points behind the first byte of the table", [offset + 1, sizeBytes - 1, rawBytes]],
    ["has a table of all the file", [0, offset + sizeBytes, rawBytes]],
    ["has a table that is one byte smaller", [offset, sizeBytes, rawBytes - 1]],
    ["has a table that is of no size", [offset, sizeBytes, 0]],
  ])("is refused that %s, in whichever way", async (_, numbers) => {
    expect(await verdictOf(withNumbers(bytes, numbers))).not.toBe("accepted");
  });

  it("is refused where its table is a bomb", async () => {
    const json = Buffer.from(zlib.zstdDecompressSync(bytes.subarray(offset, offset + sizeBytes)));
    const spread = (spaces: number) => {
      const raw = concatenated(Buffer.alloc(spaces, " "), json);
      const packed = zlib.zstdCompressSync(raw);
      const archive = concatenated(bytes.subarray(0, offset - 8), skippable(packed), bytes.subarray(-FRAME_BYTES));
      return withNumbers(archive, [offset, packed.length, raw.length]);
    };
    expect(await verdictOf(spread(1000))).toBe("accepted");
    expect(await verdictOf(spread(64 * 2 ** 20))).toBe("TABLE_INVALID");
    const packed = concatenated(zlib.zstdCompressSync(json), new Uint8Array(5_000_000));
    const large = concatenated(bytes.subarray(0, offset - 8), skippable(packed), bytes.subarray(-FRAME_BYTES));
    expect(await verdictOf(withNumbers(large, [offset, packed.length, 5e9]))).toBe("TABLE_INVALID");
  });
});

describe("an archive whose table and tar say different things", () => {
  it("is accepted where they say the same", async () => {
    expect(await verdictOf(withTable(SOUND, (json) => json))).toBe("accepted");
    expect(await verdictOf(assembled([{ path: "x", content: "one" }, { path: "y", content: noise(3000) }]))).toBe(
      "accepted",
    );
  });

  it("may have folders in its table, and unknown fields", async () => {
    const bytes = withTable(SOUND, entries((rows) => [{ name: "a/", type: "dir", mode: 493, xattrs: {} }, ...rows]));
    expect(await verdictOf(bytes)).toBe("accepted");
  });

  it("may name its entries with ./, as other builders do that are given the tar of a folder", async () => {
    const bytes = withTable(
      SOUND,
      entries((rows) => [
        { name: "./", type: "dir", mode: 493 },
        ...rows.map((found) => ({ ...found, name: `./${String(found["name"])}` })),
      ]),
    );
    expect(await verdictOf(bytes)).toBe("accepted");
  });

  it("is refused where a payload is not what the manifest says", async () => {
    const bytes = assembled([{ path: "x", content: "one", told: "two" }]);
    expect(await verdictOf(bytes)).toBe("SNAPSHOT_CORRUPT");
  });

  it("is refused where a payload is shorter than the manifest says", async () => {
    expect(await verdictOf(assembled([{ path: "x", content: "", told: "one" }]))).not.toBe("accepted");
    expect(await verdictOf(assembled([{ path: "x", content: "on", told: "one" }]))).not.toBe("accepted");
  });

  it("gives what the manifest says of a payload that is longer, and verify tells the rest", async () => {
    const backend = watchedBackend();
    await place(backend, "x.state.tar.gz", assembled([{ path: "x", content: "one and more", told: "one" }]));
    const state = new TreeState({});
    await new StateStore(backend).register("a", state).loadState(locate(backend, "x.state.tar.gz"));
    expect(digests(state.loaded)).toEqual(digests({ x: "one" }));
    expect(await locate(backend, "x.state.tar.gz").verify()).toMatchObject({
      isWhole: false,
      findings: [{ path: "a/x", problem: "damaged", expected: "3 bytes", actual: "12 bytes" }],
    });
  });

  it("is not whole where the table takes for the manifest what the tar calls otherwise", async () => {
    const manifest = manifestOf({ x: "one" });
    const other = manifestOf({ x: "one", y: "" });
    for (const inTar of [[], [file("manifest.json", other)]]) {
      const first = zlib.gzipSync(concatenated(file("a/x", "one").subarray(0, 512)));
      const second = zlib.gzipSync(concatenated(
        file("a/x", "one").subarray(512),
        ...inTar,
        file(".no.prefetch.landmark", manifest).subarray(0, 512),
      ));
      const third = zlib.gzipSync(file(".no.prefetch.landmark", manifest).subarray(512));
      const row = { type: "reg", modtime: "2026-02-03T04:05:06Z", mode: 420 };
      const told = (name: string, bytes: Uint8Array | string, offset: number) => {
        const digest = `sha256:${sha256(bytes)}`;
        return { ...row, name, size: bytes.length, digest, offset, chunkDigest: digest };
      };
      const offset = first.length + second.length;
      const rows = [told("a/x", "one", first.length), told("manifest.json", manifest, offset)];
      const table = tableMember(JSON.stringify({ version: 1, entries: rows }));
      const backend = watchedBackend();
      await place(backend, "x.state.tar.gz", concatenated(first, second, third, table, footer(offset + third.length)));
      const { isWhole, findings } = await locate(backend, "x.state.tar.gz").verify();
      expect(isWhole).toBe(false);
      expect(findings).toHaveLength(1);
    }
  });

  it("gives what the manifest lists and no more, and verify tells what is too many", async () => {
    for (const path of ["hidden.txt", "../evil", "CON"]) {
      const backend = watchedBackend();
      await place(
        backend,
        "x.state.tar.gz",
        assembled([{ path: "x", content: "one" }, { path, content: "evil", isHidden: true }]),
      );
      const state = new TreeState({});
      const store = new StateStore(backend).register("a", state);
      const locator = locate(backend, "x.state.tar.gz");
      await store.loadState(locator);
      expect(digests(state.loaded)).toEqual(digests({ x: "one" }));
      expect((await locator.verify()).isWhole).toBe(false);
      const directory = watchedBackend();
      const copy = await new StateStore(directory).importSnapshot(locator, { layout: "directory" });
      const blobs: string[] = [];
      for await (const blob of directory.blobs(`${copy.name}/`)) blobs.push(blob.path);
      expect(blobs.sort()).toEqual(["a/x", "manifest.json"]);
    }
  });
});

describe("an archive whose members are not ours", () => {
  it("loads with headers of any length between two payloads", async () => {
    const many = Array.from({ length: 5000 }, (_, index) => ({ path: `empty/${index}`, content: "" }));
    const tree = Object.fromEntries([["first", "x"], ...many.map(({ path }) => [path, ""]), ["last", "y"]]);
    const { locator, store } = await archiveOf({ a: tree });
    const state = new TreeState({});
    await new StateStore(store.backend).register("a", state).loadState(locator);
    expect(Object.keys(state.loaded)).toHaveLength(5002);
    await within(15, "Copying it", bytesOf(locator.stream({ layout: "tar" })));
  });
});
