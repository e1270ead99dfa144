// One archive to a seed: files, a tar, a compression, a table, each of them perhaps mutated.
import { concat } from "../../src/runtime/bytes.ts";
import { footer } from "../archive/footer.ts";
import { INSTANT_MS } from "../archive/content.ts";
import { header, octal } from "../archive/tar_maker.ts";
import { mutateText, mutateValue } from "./json_mutations.ts";
import { digestOf, hasZstd, member, mutateBytes, mutateMembers, type Packing, skippable } from "./members.ts";
import { MANNERS, readNaively } from "./naive_tar.ts";
import type { Random } from "./random.ts";
import { bytesOfItems, fileItems, isManifest, type Item, mutateItems, paddingBehind, someFiles } from "./tar_items.ts";

/** Where a case is mutated, and how likely. */
export interface Chances {
  readonly tar: number;
  readonly manifest: number;
  readonly table: number;
  readonly members: number;
  readonly bytes: number;
  /** Whether there is always a table. */
  readonly isIndexed?: boolean;
}

/** An archive that was made. */
export interface ArchiveCase {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** What was done to it; where nothing was, it must be accepted. */
  readonly mutations: readonly string[];
  /** Whether its bytes, and so what becomes of it, are the same on every runtime. */
  readonly isPortable: boolean;
  readonly packing: Packing | "none";
}

interface Row {
  readonly [key: string]: unknown;
}

const TABLE = "stargz.index.json";

/** A manifest of files by their paths in the archive, as our writer lays it out. */
export function manifestText(files: ReadonlyMap<string, Uint8Array>): string {
  const states = new Map<string, { path: string; sizeBytes: number; digest: string }[]>();
  for (const [path, bytes] of files) {
    const slash = path.indexOf("/");
    if (slash === -1) continue;
    const entries = states.get(path.slice(0, slash)) ?? [];
    states.set(path.slice(0, slash), entries);
    entries.push({ path: path.slice(slash + 1), sizeBytes: bytes.length, digest: digestOf(bytes) });
  }
  const all = [...states.values()].flat();
  return layOut({
    format: "snapkeep",
    formatVersion: 1,
    name: "made.state",
    savedAt: new Date(INSTANT_MS).toISOString(),
    library: { name: "snapkeep", version: "0.0.0" },
    parent: null,
    totals: {
      states: states.size,
      entries: all.length,
      sizeBytes: all.reduce((sum, entry) => sum + entry.sizeBytes, 0),
    },
    labels: {},
    states: [...states].map(([name, entries]) => ({ name, version: 1, entries })),
  });
}

/** A manifest's text without its end, laid out as our writer does where its states are such. */
export function layOut(manifest: Readonly<Record<string, unknown>>): string {
  const lines = Object.entries(manifest).map(([key, value]) => {
    const isLaidOut = key === "states" && Array.isArray(value) && value.length > 0 &&
      value.every((state) => Array.isArray((state as Row | null)?.["entries"]));
    return `  ${JSON.stringify(key)}: ${isLaidOut ? layOutStates(value as Row[]) : JSON.stringify(value)},`;
  });
  return `{\n${lines.join("\n")}`;
}

function layOutStates(states: readonly Row[]): string {
  const parts = states.map(({ entries, ...state }) => {
    const rows = (entries as unknown[]).map((entry) => `\n      ${JSON.stringify(entry)}`).join(",");
    return `\n    ${JSON.stringify(state).slice(0, -1)},"entries":[${rows}${rows === "" ? "" : "\n    "}]}`;
  });
  return `[${parts.join(",")}\n  ]`;
}

/** The manifest's bytes, with the end that vouches for them. */
export function sealText(body: string): Uint8Array {
  const digest = digestOf(body);
  return new TextEncoder().encode(`${body}\n  "digest": "${digest}"\n}\n`);
}

/** Mutates a manifest's text some times. */
export function mutateManifest(random: Random, body: string): string {
  let text = body;
  for (let count = 1 + random.below(3); count > 0; count--) {
    if (random.chance(0.4)) text = mutateText(random, text);
    else {
      const value = parse(`${text}\n"digest":""}`);
      if (value === undefined) continue;
      mutateValue(random, value);
      const { digest: _digest, ...rest } = value;
      text = layOut(rest);
    }
  }
  return text;
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? value as Record<string, unknown>
      : undefined;
  } catch {
    return undefined;
  }
}

/** Puts a manifest among the items: of the files as they were, or of what a careless reader finds now. */
function addManifest(
  random: Random,
  items: Item[],
  files: ReadonlyMap<string, Uint8Array>,
  chances: Chances,
): string[] {
  const isTold = random.chance(0.5);
  const found = isTold
    ? new Map(readNaively(bytesOfItems(items), random.pick(MANNERS)).filter(([path]) => path !== "manifest.json"))
    : files;
  const isMutated = random.chance(chances.manifest);
  const body = manifestText(found);
  const manifest = fileItems("manifest.json", sealText(isMutated ? mutateManifest(random, body) : body), random);
  // Before an item and the headers that belong to it; at the end, as ours have it, most of the time.
  const places = items.flatMap((_, index) => index === 0 || items[index - 1]?.path !== undefined ? [index] : []);
  if (places.length === 0 || random.chance(0.8)) items.push(...manifest);
  else items.splice(random.pick(places), 0, ...manifest);
  return isMutated ? ["manifest"] : [];
}

/** Makes the archive of a seed. */
export function makeArchive(random: Random, chances: Chances): ArchiveCase {
  const mutations: string[] = [];
  const isStored = random.chance(0.7);
  const form = random.below(chances.isIndexed ? 2 : 5);
  const isZstd = random.chance(0.25);
  const packing = isZstd && hasZstd ? "zstd" : "gzip";
  const files = someFiles(random);
  const items = [...files].flatMap(([path, bytes]) => fileItems(path, bytes, random));
  const isTarMutated = random.chance(chances.tar);
  const mutate = () => {
    for (let count = 1 + random.below(3); count > 0; count--) mutateItems(random, items);
    mutations.push("tar");
  };
  const isBefore = random.chance(0.7);
  if (isTarMutated && isBefore) mutate();
  mutations.push(...addManifest(random, items, files, chances));
  if (isTarMutated && !isBefore) mutate();
  if (form === 4) {
    const tar = concat([bytesOfItems(items), new Uint8Array(isTarMutated ? 512 * random.below(5) : 1024)]);
    const bytes = random.chance(chances.bytes) ? mutateBytes(random, tar) : tar;
    return {
      bytes,
      mutations: bytes === tar ? mutations : [...mutations, "bytes"],
      isPortable: !isZstd,
      packing: "none",
    };
  }
  const members = form < 2
    ? indexed(random, items, packing, isStored, chances, mutations)
    : sequential(random, items, packing, isStored, isTarMutated);
  if (random.chance(chances.members)) {
    mutateMembers(random, members, packing, isStored);
    mutations.push("members");
  }
  let bytes = concat(members);
  if (random.chance(chances.bytes)) {
    bytes = mutateBytes(random, bytes);
    mutations.push("bytes");
  }
  // How far a decompressor gets before it complains, and of what, is its own affair.
  const isDamaged = mutations.includes("members") || mutations.includes("bytes");
  return { bytes, mutations, isPortable: isStored && !isZstd && !isDamaged, packing };
}

/** Members that are cut anywhere, and no table. */
function sequential(
  random: Random,
  items: readonly Item[],
  packing: Packing,
  isStored: boolean,
  isTarMutated: boolean,
): Uint8Array[] {
  const end = new Uint8Array(isTarMutated && random.chance(0.2) ? 512 * random.below(4) : 1024);
  const tar = concat([bytesOfItems(items), end]);
  const cuts = Array.from({ length: random.below(4) }, () => random.below(tar.length)).sort((a, b) => a - b);
  return [0, ...cuts].map((start, index) => member(packing, tar.subarray(start, cuts[index] ?? tar.length), isStored));
}

/** Members as eStargz and zstd:chunked have them, with a table behind. */
function indexed(
  random: Random,
  items: readonly Item[],
  packing: Packing,
  isStored: boolean,
  chances: Chances,
  mutations: string[],
): Uint8Array[] {
  const members: Uint8Array[] = [];
  const rows: Row[] = [];
  let offset = 0;
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;
  const put = (bytes: Uint8Array) => {
    pending.push(bytes);
    pendingBytes += bytes.length;
  };
  const cut = () => {
    if (pendingBytes === 0) return;
    const made = member(packing, concat(pending), isStored);
    members.push(made);
    offset += made.length;
    pending = [];
    pendingBytes = 0;
  };
  for (const item of items) {
    put(item.header);
    const { path: name, payload } = item;
    const size = payload.length === 0 ? {} : { size: payload.length };
    const row = { name, type: "reg", ...size, modtime: "2026-02-03T04:05:06Z", mode: 420, digest: digestOf(payload) };
    if (payload.length === 0 && name !== undefined) rows.push(row);
    if (payload.length > 0 && (rows.length === 0 || isManifest(item) || random.chance(0.5))) cut();
    const first = payload.length > 1 && random.chance(0.3) ? 1 + random.below(payload.length - 1) : payload.length;
    for (let at = 0; at < payload.length; at = at === 0 ? first : payload.length) {
      const piece = payload.subarray(at, at === 0 ? first : payload.length);
      if (at > 0) cut();
      const place = {
        offset,
        ...at > 0 ? { chunkOffset: at } : {},
        ...at + piece.length < payload.length ? { chunkSize: piece.length } : {},
      };
      const inner = pendingBytes === 0 ? {} : { innerOffset: pendingBytes };
      const head = at === 0 ? row : { name, type: "chunk" };
      if (name !== undefined) rows.push({ ...head, ...place, chunkDigest: digestOf(piece), ...inner });
      put(piece);
    }
    put(paddingBehind(item));
  }
  if (packing === "zstd") put(new Uint8Array(1024));
  cut();
  const json = tableText(random, rows, chances, mutations);
  return [...members, ...endOf(random, json, offset, packing, isStored, mutations)];
}

function tableText(random: Random, rows: Row[], chances: Chances, mutations: string[]): string {
  const table = { version: 1, entries: rows };
  const render = () =>
    Array.isArray(table.entries)
      ? `{"version":${JSON.stringify(table.version)},"entries":[\n${
        table.entries.map((row) => JSON.stringify(row)).join(",\n")
      }]}`
      : JSON.stringify(table);
  if (!random.chance(chances.table)) return render();
  mutations.push("table");
  if (rows.length > 0 && random.chance(0.15)) {
    const chosen = random.pick(rows);
    if (random.chance(0.6)) swapDigest(random, rows);
    else rows.push(...rows.filter(({ name }) => name === chosen["name"]));
    return render();
  }
  let text = "";
  for (let count = 1 + random.below(3); count > 0; count--) {
    if (text !== "" || random.chance(0.3)) text = mutateText(random, text === "" ? render() : text);
    else mutateValue(random, table);
  }
  return text === "" ? render() : text;
}

/** Gives an entry another digest, in all places that must agree. */
function swapDigest(random: Random, rows: Row[]): void {
  const at = random.below(rows.length);
  const digest = digestOf(random.bytes(4));
  const row = rows[at] as Row;
  rows[at] = { ...row, digest, ...row["chunkDigest"] === undefined ? {} : { chunkDigest: digest } };
}

/** The table and what points to it. */
function endOf(
  random: Random,
  json: string,
  offset: number,
  packing: Packing,
  isStored: boolean,
  mutations: string[],
): Uint8Array[] {
  const bytes = new TextEncoder().encode(json);
  const isWrong = mutations.includes("table") && random.chance(0.15);
  const off = (value: number) => isWrong ? Math.max(0, value + random.pick([-1, 0, 1, 51, 2 ** 32])) : value;
  if (packing === "gzip") {
    const block = header({ name: TABLE, size: octal(off(bytes.length)) });
    const padding = new Uint8Array((512 - bytes.length % 512) % 512 + 1024);
    return [member("gzip", concat([block, bytes, padding]), isStored), footer(off(offset))];
  }
  const packed = member("zstd", bytes, isStored);
  const tail = new Uint8Array(40);
  const view = new DataView(tail.buffer);
  const numbers = [off(offset + 8), off(packed.length), off(bytes.length), 1];
  for (const [index, value] of numbers.entries()) view.setBigUint64(index * 8, BigInt(value), true);
  tail.set(new TextEncoder().encode("GnUlInUx"), 32);
  return [skippable(packed), skippable(tail)];
}
