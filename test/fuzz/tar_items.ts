// A tar as a list of headers with what follows each: sound ones to begin with, and mutations that know what a header is.
import { type Header, header, longName, octal, record } from "../archive/tar_maker.ts";
import { contentOf, noise } from "../archive/content.ts";
import { concat } from "../../src/runtime/bytes.ts";
import type { Random } from "./random.ts";

/** A header block and what follows it. */
export interface Item {
  header: Uint8Array<ArrayBuffer>;
  payload: Uint8Array;
  /** Byte that the padding is made of. */
  filler: number;
  /** What tables are to call it; absent for what is no file. */
  path?: string;
}

const BLOCK = 512;
const MANIFEST = "manifest.json";

/** Headers of other kinds before, then the file; now and then as other writers make them. */
export function fileItems(path: string, content: Uint8Array | string, random: Random): Item[] {
  const items = soundItems(path, content, random);
  if (random.chance(0.2)) asOthersWrite(random, random.pick(items).header);
  const vendors = ["SCHILY.filetype=file", "hdrcharset=BINARY", "SCHILY.dev=5", "LIBARCHIVE.creationtime=1.5"];
  if (items.length > 1 || random.chance(0.9)) return items;
  const [key = "", value = ""] = random.pick(vendors).split("=");
  return [metadata("x", record(key, value)), ...items];
}

function soundItems(path: string, content: Uint8Array | string, random: Random): Item[] {
  const payload = contentOf(content);
  const size = octal(payload.length);
  const short = random.pick(["PaxHeader", "a/short", path.slice(0, 90)]);
  const style = contentOf(path).length > 100 ? 1 + random.below(2) : random.below(6);
  if (style === 1) return [metadata("x", record("path", path)), fileItem({ name: short, size }, payload, path)];
  if (style === 2) return [rawItem(longName(path)), fileItem({ name: short, size, magic: "ustar  \0" }, payload, path)];
  return [fileItem({ name: style === 3 ? `./${path}` : path, size }, payload, path)];
}

function fileItem(fields: Header, payload: Uint8Array, path: string): Item {
  return { header: header(fields), payload, filler: 0, path };
}

const fill = (block: Uint8Array, offset: number, bytes: Uint8Array) => block.set(bytes, offset);

// Headers as other writers make them: none of it changes which files there are, so all of it must be accepted.
const FOREIGN_FORMS: readonly ((random: Random, block: Uint8Array) => void)[] = [
  // Blank numbers: owner, time, devices.
  (random, block) => block.fill(random.pick([0, 0x20]), 108, 124),
  (random, block) => block.fill(random.pick([0, 0x20]), 136, 148),
  (random, block) => block.fill(random.pick([0, 0x20]), 329, 345),
  // Numbers as wide as their fields.
  (random, block) => fill(block, random.pick([100, 108, 116]), contentOf("77777777")),
  (_random, block) => fill(block, 136, contentOf("123456701234")),
  // Base 256, below zero too.
  (random, block) => fill(block, random.pick([108, 116]), Uint8Array.of(0x80, 0, 0, 0, 0, 45, 198, 192)),
  (_random, block) => fill(block, 136, Uint8Array.of(...new Array<number>(11).fill(0xff), 0xfe)),
  // No magic, as of v7.
  (_random, block) => block.fill(0, 257),
];

/** Makes a header what another writer would have made, with the right checksum. */
function asOthersWrite(random: Random, block: Uint8Array): void {
  for (let count = 1 + random.below(2); count > 0; count--) random.pick(FOREIGN_FORMS)(random, block);
  fixChecksum(block);
}

function takeForeignForm(random: Random, items: Item[]): void {
  asOthersWrite(random, random.pick(items).header);
}

/** An extended header. */
export function metadata(type: string, records: Uint8Array | string): Item {
  const payload = contentOf(records);
  return { header: header({ name: "PaxHeader", type, size: octal(payload.length) }), payload, filler: 0 };
}

/** An item of a header and padded payload as they lie. */
export function rawItem(bytes: Uint8Array<ArrayBuffer>): Item {
  const sizeBytes = Number.parseInt(new TextDecoder().decode(bytes.subarray(124, 135)), 8);
  return { header: bytes.slice(0, BLOCK), payload: bytes.slice(BLOCK, BLOCK + sizeBytes), filler: 0 };
}

/** The bytes behind a payload. */
export function paddingBehind({ payload, filler }: Item): Uint8Array {
  return new Uint8Array((BLOCK - payload.length % BLOCK) % BLOCK).fill(filler);
}

/** All bytes of items, without an end. */
export function bytesOfItems(items: readonly Item[]): Uint8Array<ArrayBuffer> {
  return concat(items.flatMap((item) => [item.header, item.payload, paddingBehind(item)]));
}

const NAMES = ["one.txt", "two/two.bin", "two/deep/three", "empty", "é", "großß.txt", `long/${"n".repeat(120)}`, "x"];
const SIZES = [0, 1, 5, 511, 512, 513, 700, 1024, 1500, 3000];

/** Some files of some states, by path in the archive. */
export function someFiles(random: Random): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  const count = 1 + random.below(4);
  while (files.size < count) {
    const path = `${random.pick(["a", "a", "b"])}/${random.pick(NAMES)}`;
    if (files.has(path)) continue;
    const sizeBytes = random.pick(SIZES);
    files.set(path, random.chance(0.5) ? noise(sizeBytes, 1 + random.below(9)) : new Uint8Array(sizeBytes).fill(0x61));
  }
  return files;
}

// Where fields lie in a header.
const FIELDS: readonly (readonly [number, number])[] = [
  [0, 100],
  [100, 8],
  [108, 8],
  [116, 8],
  [124, 12],
  [136, 12],
  [148, 8],
  [156, 1],
  [157, 100],
  [257, 6],
  [263, 2],
  [265, 32],
  [297, 32],
  [329, 8],
  [337, 8],
  [345, 155],
  [500, 12],
];

const TEXTS = [
  "",
  "0",
  "1",
  "5",
  "2",
  "7",
  "L",
  "x",
  "g",
  "S",
  "00000000005\0",
  "0000005\0",
  "          5 ",
  "000000000000",
  "77777777777\0",
  "-0000000005\0",
  "0x5\0",
  "5\0junk",
  "ustar\0",
  "ustar ",
  "00",
  " \0",
  "../evil",
  "a/../../evil",
  "/evil",
  "a/x",
  "A/ONE.TXT",
  "a/one.txt",
  "a/one.txt\0x",
  "manifest.json",
  "./manifest.json",
  "stargz.index.json",
  ".prefetch.landmark",
  "a/CON",
  "a/\u202e",
  "a\\b",
];

/** What hostile paths are made of. */
export const PATHS = [
  "../evil",
  "a/../../evil",
  "/evil",
  "a//x",
  "a/./x",
  "a/x/",
  "a/ONE.TXT",
  "a/one.txt",
  "./a/one.txt",
  "a/one.txt/x",
  "a",
  "A/x",
  "a/e\u0301",
  "a/ﬁ",
  "a/nul",
  "a/x.",
  "a/x:y",
  "manifest.json",
  "Manifest.json",
  "./stargz.index.json",
  "a/stargz.index.json",
  ".no.prefetch.landmark",
  "x",
  "a/\ud800",
  "a/__proto__",
  "__proto__/x",
];

/** Writes the right checksum into a header. */
export function fixChecksum(block: Uint8Array): void {
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.set(contentOf(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
}

function setField(random: Random, items: Item[]): void {
  const { header: block } = random.pick(items);
  const [offset, length] = random.pick(FIELDS);
  const value = random.chance(0.85) ? contentOf(random.pick(TEXTS)) : random.bytes(length);
  block.fill(0, offset, offset + length);
  block.set(value.subarray(0, length), offset);
  if (offset !== 148 && random.chance(0.9)) fixChecksum(block);
}

function flipBit(random: Random, items: Item[]): void {
  const { header: block } = random.pick(items);
  const at = random.below(BLOCK);
  block[at] = (block[at] as number) ^ 1 << random.below(8);
  if (random.chance(0.7)) fixChecksum(block);
}

const KEYS = ["path", "path", "size", "size", "comment", "mtime", "linkpath", "GNU.sparse.size", "hdrcharset", "uid"];
const VENDORS = ["__proto__", "SCHILY.xattr.x", "SCHILY.filetype", "SCHILY.realsize", "LIBARCHIVE.creationtime", ""];

/** A PAX record: right, with another length, or with something odd in it. */
function someRecord(random: Random): Uint8Array {
  const key = random.pick([...KEYS, ...VENDORS]);
  const value = key === "path"
    ? random.pick([...PATHS, "a/one.txt"])
    : random.pick(["0", "5", "6", "1500", "1.5", "05", "-1", "9007199254740993", "8589934592", "", "x\0", "a=b\n"]);
  const right = record(key, value);
  if (random.chance(0.85)) return right;
  const wrong = right.slice();
  wrong[random.below(wrong.length)] = random.pick([0, 0x20, 0x30, 0x39, 0x3d, 0x0a]);
  return wrong;
}

function insertPax(random: Random, items: Item[]): void {
  const records = concat(Array.from({ length: 1 + random.below(3) }, () => someRecord(random)));
  items.splice(random.below(items.length + 1), 0, metadata(random.pick(["x", "x", "x", "g"]), records));
}

function insertLongName(random: Random, items: Item[]): void {
  const name = random.pick([...PATHS, "", "a/x\0y"]);
  items.splice(random.below(items.length + 1), 0, rawItem(longName(name)));
}

function insertItem(random: Random, items: Item[]): void {
  const type = random.pick(["0", "5", "5", "\0", "1", "2", "3", "6", "7", "S", "V", "K", "A"]);
  const path = random.pick([...PATHS, "a/new", "a/new/", "./", "b/"]);
  const payload = contentOf(random.pick(["", "", "five!", "x".repeat(700)]));
  const item: Item = { header: header({ name: path, type, size: octal(payload.length) }), payload, filler: 0 };
  if (random.chance(0.5)) item.path = path;
  items.splice(random.below(items.length + 1), 0, item);
}

function rename(random: Random, items: Item[]): void {
  const item = random.pick(items.filter(({ path }) => path !== undefined)) as Item | undefined;
  if (item === undefined) return;
  const path = random.pick([...PATHS, `a/${random.pick(NAMES)}`]);
  if (random.chance(0.5)) items.splice(items.indexOf(item), 0, metadata("x", record("path", path)));
  else {
    item.header.fill(0, 0, 100);
    item.header.set(contentOf(path).subarray(0, 100));
    fixChecksum(item.header);
  }
  if (random.chance(0.7)) item.path = path;
}

function changePayload(random: Random, items: Item[]): void {
  const item = random.pick(items);
  const { payload } = item;
  const change = random.below(4);
  if (change === 0) item.payload = payload.subarray(0, random.below(payload.length + 1));
  else if (change === 1) item.payload = concat([payload, random.bytes(random.pick([1, 5, 512, 600]))]);
  else if (change === 2) item.filler = random.pick([0, 1, 0x20, 0xff]);
  else if (payload.length > 0) {
    item.payload = payload.slice();
    item.payload[random.below(payload.length)] = random.below(256);
  }
}

function moveItems(random: Random, items: Item[]): void {
  const at = random.below(items.length);
  const item = items[at] as Item;
  const change = random.below(4);
  if (change === 0) items.splice(at, 1);
  else if (change === 1) items.splice(random.below(items.length + 1), 0, copyOf(item));
  else if (change === 2) items.splice(random.below(items.length), 0, ...items.splice(at, 1));
  else {
    const other = random.pick(items);
    const swapped = random.pick(["header", "payload"] as const);
    if (swapped === "header") [item.header, other.header] = [other.header, item.header];
    else [item.payload, other.payload] = [other.payload, item.payload];
  }
}

function insertZeros(random: Random, items: Item[]): void {
  const zeros = Array.from({ length: random.pick([1, 1, 2, 3]) }, (): Item => ({
    header: new Uint8Array(BLOCK),
    payload: new Uint8Array(),
    filler: 0,
  }));
  items.splice(random.below(items.length + 1), 0, ...zeros);
}

function copyOf(item: Item): Item {
  return { ...item, header: item.header.slice() };
}

const MUTATIONS = [
  setField,
  setField,
  setField,
  flipBit,
  flipBit,
  insertPax,
  insertPax,
  insertLongName,
  insertItem,
  takeForeignForm,
  rename,
  changePayload,
  moveItems,
  insertZeros,
];

/** Mutates items once. */
export function mutateItems(random: Random, items: Item[]): void {
  if (items.length === 0) insertItem(random, items);
  else random.pick(MUTATIONS)(random, items);
}

/** Whether an item is the manifest, as it was made. */
export const isManifest = ({ path }: Item): boolean => path === MANIFEST;
