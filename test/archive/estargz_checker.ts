// eStargz read from its specification alone: nothing of the library is used here, so that what it writes is compared with
// another reading of the format. Members are found by inflating, the tar is walked by hand, and each rule has its number.
import { createHash } from "node:crypto";
import { Buffer } from "node:buffer";
import { gunzipSync, inflateRawSync } from "node:zlib";

/** A tar entry as it lies. */
export interface CheckedEntry {
  readonly path: string;
  readonly headerOffset: number;
  readonly payloadOffset: number;
  readonly endOffset: number;
  readonly bytes: Uint8Array;
}

/** What an archive was found to be. */
export interface CheckedArchive {
  /** The tar, of all members together. */
  readonly tar: Uint8Array;
  /** Ordinary entries but the manifest, in tar order. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** The manifest, parsed. */
  readonly manifest: { readonly name: string; readonly savedAt: string; readonly states: readonly CheckedState[] };
  /** Rows of the table. */
  readonly rows: readonly Row[];
  /** Members: where each begins in the file and in the tar. */
  readonly members: readonly Member[];
  /** Where the table's header begins in the tar; all before it is the same on every runtime. */
  readonly tableTarOffset: number;
}

interface CheckedState {
  readonly name: string;
  readonly entries: readonly { readonly path: string; readonly sizeBytes: number; readonly digest: string }[];
}

interface Member {
  readonly offset: number;
  readonly tarOffset: number;
  readonly sizeBytes: number;
}

interface Row {
  readonly name: string;
  readonly type: string;
  readonly size?: number;
  readonly mode?: number;
  readonly modtime?: string;
  readonly digest?: string;
  readonly offset?: number;
  readonly innerOffset?: number;
  readonly chunkOffset?: number;
  readonly chunkSize?: number;
  readonly chunkDigest?: string;
}

const MANIFEST = "manifest.json";
const TABLE = "stargz.index.json";
const FOOTER_BYTES = 51;
const REG_KEYS = ["name", "type", "modtime", "mode", "digest"];
const PIECE_KEYS = ["offset", "chunkDigest"];

/** Fails with the number of the rule that is broken. */
function rule(number: number, holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`eStargz rule ${number} is broken: ${what}`);
}

function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

function latin1(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Checks a file against rules 1 to 7 and its own manifest; throws if it breaks one. */
export function checkEstargz(file: Uint8Array): CheckedArchive {
  const { members, tar } = membersOf(file);
  const footer = members.at(-1);
  rule(6, footer !== undefined && footer.sizeBytes === 0, "the last member is not the footer");
  rule(6, file.length - footer.offset === FOOTER_BYTES, `the footer has ${file.length - footer.offset} bytes`);
  const tableOffset = tableOffsetOf(file.subarray(file.length - FOOTER_BYTES));
  const table = members.at(-2);
  rule(1, table?.offset === tableOffset, "the member before the footer is not the table that the footer points at");
  rule(1, members[0]?.offset === 0, "no member begins at byte 0");

  const { entries, endOffset } = entriesOf(tar);
  rule(5, tar.length - endOffset === 1024, `${tar.length - endOffset} bytes end the tar instead of two zero blocks`);
  const last = entries.at(-1);
  rule(5, last?.path === TABLE, `the last entry is ${last?.path}`);
  rule(5, last.headerOffset === table.tarOffset, "the table's member does not begin with its header");
  rule(5, last.payloadOffset === last.headerOffset + 512, "the table has a PAX header");
  const rows = rowsOf(utf8.decode(last.bytes));
  const ordinary = entries.slice(0, -1);
  const bytesAt = new Map(members.map((member) => [member.offset, member]));
  checkRows(rows, ordinary, bytesAt, tar);
  checkManifestMember(rows, ordinary.at(-1), last, bytesAt);
  readAsOthersDo(file, rows, ordinary);
  const manifest = checkManifest(ordinary);
  const mtime = Math.floor(Date.parse(manifest.savedAt) / 1000);
  for (const { path, headerOffset, payloadOffset } of entries) {
    for (const header of headerOffset === payloadOffset - 512 ? [headerOffset] : [headerOffset, payloadOffset - 512]) {
      const found = Number.parseInt(latin1(tar.subarray(header + 136, header + 147)), 8);
      rule(1, found === mtime, `${path} has the time ${found} instead of ${mtime}`);
    }
  }
  for (const { name, type, modtime } of rows) {
    if (type === "reg") rule(5, Date.parse(modtime ?? "") === mtime * 1000, `${name} has the modtime ${modtime}`);
  }
  const files = new Map(ordinary.slice(0, -1).map(({ path, bytes }) => [path, bytes]));
  return { tar, files, manifest, rows, members, tableTarOffset: last.headerOffset };
}

/** Splits a file into gzip members, each decompressed by itself; nothing may be left. */
function membersOf(file: Uint8Array): { members: Member[]; tar: Uint8Array } {
  const members: Member[] = [];
  const parts: Uint8Array[] = [];
  let tarOffset = 0;
  for (let offset = 0; offset < file.length;) {
    const headBytes = gzipHeadBytes(file, offset);
    const inflated = inflateRawSync(file.subarray(offset + headBytes), { info: true }) as unknown as {
      engine: { bytesWritten: number };
    };
    const end = offset + headBytes + inflated.engine.bytesWritten + 8;
    rule(1, end <= file.length, "the last member is cut");
    const part = gunzipSync(file.subarray(offset, end)); // checks CRC and length
    members.push({ offset, tarOffset, sizeBytes: part.length });
    parts.push(part);
    tarOffset += part.length;
    offset = end;
  }
  const tar = new Uint8Array(tarOffset);
  for (const [index, part] of parts.entries()) tar.set(part, members[index]?.tarOffset);
  return { members, tar };
}

function gzipHeadBytes(file: Uint8Array, offset: number): number {
  const head = file.subarray(offset, offset + 12);
  rule(1, head[0] === 0x1f && head[1] === 0x8b && head[2] === 8, `no member begins at byte ${offset}`);
  const flags = head[3] ?? 0;
  rule(1, flags === 0 || flags === 4, `the member at byte ${offset} has the flags ${flags}`);
  return flags === 4 ? 12 + (head[10] ?? 0) + 256 * (head[11] ?? 0) : 10;
}

function tableOffsetOf(footer: Uint8Array): number {
  const digits = latin1(footer.subarray(16, 32));
  rule(6, /^[0-9a-f]{16}$/.test(digits), `the footer says ${JSON.stringify(digits)}`);
  const hex = (text: string) => text.replaceAll(" ", "").match(/../g)?.map((byte) => Number.parseInt(byte, 16)) ?? [];
  const expected = [
    ...hex("1f8b0804 00000000 00ff 1a00 5347 1600"),
    ...new TextEncoder().encode(`${digits}STARGZ`),
    ...hex("01 0000 ffff"),
    ...hex("00 00 00 00 00 00 00 00"),
  ];
  rule(6, expected.length === FOOTER_BYTES, "this checker is wrong");
  rule(6, expected.every((byte, index) => byte === footer[index]), "the footer has other bytes");
  return Number.parseInt(digits, 16);
}

/** Walks the tar by the letter of POSIX: ustar headers, PAX for a path alone, zero padding, zero blocks at the end. */
function entriesOf(tar: Uint8Array): { entries: CheckedEntry[]; endOffset: number } {
  const entries: CheckedEntry[] = [];
  let pax: string | undefined;
  let start: number | undefined;
  let offset = 0;
  while (offset < tar.length && tar.subarray(offset, offset + 512).some((byte) => byte !== 0)) {
    const header = tar.subarray(offset, offset + 512);
    const type = latin1(header.subarray(156, 157));
    const sizeBytes = sizeOf(header);
    checkHeader(header, offset);
    const payloadOffset = offset + 512;
    const endOffset = payloadOffset + Math.ceil(sizeBytes / 512) * 512;
    rule(1, endOffset <= tar.length, `the entry at ${offset} is cut`);
    const bytes = tar.subarray(payloadOffset, payloadOffset + sizeBytes);
    rule(1, tar.subarray(payloadOffset + sizeBytes, endOffset).every((byte) => byte === 0), "padding is not zero");
    start ??= offset;
    if (type === "x") {
      rule(1, pax === undefined, "two PAX headers stand in a row");
      const match = /^(\d+) path=(.+)\n$/su.exec(utf8.decode(bytes));
      rule(1, match !== null && Number(match[1]) === bytes.length, "a PAX header says more than a path");
      pax = match[2];
    } else {
      rule(1, type === "0", `the entry at ${offset} has the type ${type}`);
      const name = text(header, 0, 100);
      const prefix = text(header, 345, 155);
      const path = pax ?? (prefix === "" ? name : `${prefix}/${name}`);
      entries.push({ path, headerOffset: start, payloadOffset, endOffset, bytes });
      pax = undefined;
      start = undefined;
    }
    offset = endOffset;
  }
  rule(1, tar.subarray(offset).every((byte) => byte === 0), "something follows the end of the tar");
  return { entries, endOffset: offset };
}

function checkHeader(header: Uint8Array, offset: number): void {
  const sum = header.reduce((total, byte, index) => total + (index >= 148 && index < 156 ? 32 : byte), 0);
  const stated = Number.parseInt(latin1(header.subarray(148, 156)).replace(/[\0 ]+$/, ""), 8);
  rule(1, sum === stated, `the checksum at ${offset} is ${stated} instead of ${sum}`);
  rule(1, latin1(header.subarray(257, 265)) === "ustar\x0000", `the header at ${offset} is not ustar`);
  for (const [field, at, expected] of [["mode", 100, 0o644], ["uid", 108, 0], ["gid", 116, 0]] as const) {
    const found = Number.parseInt(latin1(header.subarray(at, at + 7)), 8);
    rule(1, found === expected, `the ${field} at ${offset} is ${found.toString(8)}`);
  }
  rule(1, header.subarray(265, 329).every((byte) => byte === 0), `the header at ${offset} names an owner`);
}

function text(header: Uint8Array, at: number, length: number): string {
  const field = header.subarray(at, at + length);
  const end = field.indexOf(0);
  return utf8.decode(end === -1 ? field : field.subarray(0, end));
}

function sizeOf(header: Uint8Array): number {
  const field = header.subarray(124, 136);
  if (field[0] === 0x80) return field.subarray(1).reduce((value, byte) => value * 256 + byte, 0);
  return Number.parseInt(latin1(field).replace(/[\0 ]+$/, ""), 8);
}

function rowsOf(json: string): Row[] {
  rule(5, json.endsWith("}"), "bytes follow the final brace of the table");
  const table = JSON.parse(json) as { version: number; entries: Row[] };
  rule(5, Object.keys(table).join() === "version,entries" && table.version === 1, "the table is no table of version 1");
  return table.entries;
}

/** Rows against entries: order, names, digests, and that each piece lies where its row says. */
function checkRows(
  rows: readonly Row[],
  entries: readonly CheckedEntry[],
  members: ReadonlyMap<number, Member>,
  tar: Uint8Array,
): void {
  const names = rows.filter(({ type }) => type === "reg").map(({ name }) => name);
  rule(5, new Set(names).size === names.length, "the table has a name twice");
  const paths = entries.map(({ path }) => path);
  rule(5, names.join("\n") === paths.join("\n"), "the table has not every other entry in tar order");
  rule(5, paths.every((path) => !path.startsWith("./")), "a name begins with ./");
  rule(7, paths.every((path) => !path.endsWith(".landmark")), "there is a landmark file");
  let next = 0;
  for (const entry of entries) {
    const head = rows[next++] as Row;
    const found: Row[] = [head];
    while (rows[next]?.type === "chunk") found.push(rows[next++] as Row);
    checkEntry(entry, found, members, tar);
  }
  rule(2, next === rows.length, "a piece belongs to no entry");
  const heads = new Set(rows.filter(({ innerOffset }) => innerOffset === undefined).map(({ offset }) => offset));
  const lost = rows.find(({ innerOffset, offset }) => innerOffset !== undefined && !heads.has(offset));
  rule(3, lost === undefined, `${lost?.name} is in a group without a head`);
}

function checkEntry(
  entry: CheckedEntry,
  rows: readonly Row[],
  members: ReadonlyMap<number, Member>,
  tar: Uint8Array,
): void {
  const { path, bytes, payloadOffset } = entry;
  const [head] = rows as [Row];
  rule(5, head.digest === sha256(bytes), `${path} has the digest ${head.digest}`);
  rule(5, head.mode === 0o644, `${path} has the mode ${head.mode}`);
  rule(5, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(head.modtime ?? ""), `${path} has the modtime ${head.modtime}`);
  if (bytes.length === 0) {
    rule(5, rows.length === 1 && hasKeys(head, REG_KEYS), `the empty ${path} has ${Object.keys(head).join()}`);
    return;
  }
  rule(5, head.size === bytes.length, `${path} has the size ${head.size}`);
  let chunkOffset = 0;
  for (const [index, row] of rows.entries()) {
    const isLast = index === rows.length - 1;
    const sizeBytes = isLast ? bytes.length - chunkOffset : row.chunkSize ?? 0;
    rule(2, isLast === (row.chunkSize === undefined), `piece ${index} of ${path} has the chunkSize ${row.chunkSize}`);
    rule(2, sizeBytes > 0 && chunkOffset + sizeBytes <= bytes.length, `piece ${index} of ${path} is of no size`);
    rule(2, index === 0 || row.chunkOffset === chunkOffset, `piece ${index} of ${path} is at ${row.chunkOffset}`);
    const wanted = [
      ...index === 0 ? [...REG_KEYS, "size"] : ["name", "type", "chunkOffset"],
      ...PIECE_KEYS,
      ...isLast ? [] : ["chunkSize"],
      ...row.innerOffset === undefined ? [] : ["innerOffset"],
    ];
    rule(5, hasKeys(row, wanted), `piece ${index} of ${path} has ${Object.keys(row).join()}`);
    rule(5, row.name === path, `a piece of ${path} is named ${row.name}`);
    const piece = bytes.subarray(chunkOffset, chunkOffset + sizeBytes);
    rule(5, row.chunkDigest === sha256(piece), `piece ${index} of ${path} has the digest ${row.chunkDigest}`);
    const member = members.get(row.offset ?? -1);
    rule(1, member !== undefined, `no member begins where piece ${index} of ${path} is to lie`);
    const start = payloadOffset + chunkOffset; // in the tar: pieces follow each other without a gap there
    if (row.innerOffset === undefined) {
      rule(1, member.tarOffset === start, `piece ${index} of ${path} begins elsewhere`);
    } else {
      rule(3, row.innerOffset > 0 && rows.length === 1, `${path} is in a group and has pieces`);
      rule(3, member.tarOffset + row.innerOffset === start, `the innerOffset of ${path} is ${row.innerOffset}`);
      rule(3, start + sizeBytes <= member.tarOffset + member.sizeBytes, `${path} reaches beyond its group`);
    }
    rule(
      2,
      Buffer.compare(tar.subarray(start, start + sizeBytes), piece) === 0,
      `piece ${index} of ${path} is another`,
    );
    chunkOffset += sizeBytes;
  }
}

function hasKeys(row: Row, wanted: readonly string[]): boolean {
  return [...wanted].sort().join() === Object.keys(row).sort().join();
}

/** Rule 4: an ordinary entry right before the table, whose members hold nothing else. */
function checkManifestMember(
  rows: readonly Row[],
  manifest: CheckedEntry | undefined,
  table: CheckedEntry,
  members: ReadonlyMap<number, Member>,
): void {
  rule(4, manifest?.path === MANIFEST, `${manifest?.path} stands before the table`);
  const own = rows.filter(({ name }) => name === MANIFEST);
  const offsets = new Set(own.map(({ offset }) => offset));
  rule(4, own.every(({ innerOffset }) => innerOffset === undefined), "the manifest is in a group");
  const sharers = rows.filter(({ name, offset }) => name !== MANIFEST && offsets.has(offset));
  rule(4, sharers.length === 0, `${sharers[0]?.name} shares a member with the manifest`);
  rule(4, members.get(own[0]?.offset ?? -1)?.tarOffset === manifest.payloadOffset, "the manifest has no own member");
  rule(4, manifest.endOffset === table.headerOffset, "something stands between the manifest and the table");
}

/**
 * Reads every piece in the way of containerd's reader, which knows members only by the table: from a row's offset up to
 * the next offset of a head, through as many members as there are, past `innerOffset` bytes.
 */
function readAsOthersDo(file: Uint8Array, rows: readonly Row[], entries: readonly CheckedEntry[]): void {
  const contents = new Map(entries.map(({ path, bytes }) => [path, bytes]));
  const ends = new Map<Row, number>();
  let end = file.length;
  for (const row of rows.toReversed()) {
    ends.set(row, end);
    if (row.offset !== undefined && row.innerOffset === undefined) end = row.offset;
  }
  for (const row of rows) {
    if (row.offset === undefined) continue;
    const bytes = contents.get(row.name) as Uint8Array;
    const chunkOffset = row.chunkOffset ?? 0;
    const sizeBytes = row.chunkSize ?? bytes.length - chunkOffset;
    const inflated = gunzipSync(file.subarray(row.offset, ends.get(row)));
    const start = row.innerOffset ?? 0;
    const piece = inflated.subarray(start, start + sizeBytes);
    rule(3, sha256(piece) === row.chunkDigest, `another reader finds other bytes for ${row.name} at ${chunkOffset}`);
  }
}

/** The manifest against the files, and against its own digest line. */
function checkManifest(entries: readonly CheckedEntry[]): CheckedArchive["manifest"] {
  const { bytes } = entries.at(-1) as CheckedEntry;
  const json = utf8.decode(bytes);
  const cut = json.lastIndexOf('\n  "digest": ');
  const body = bytes.subarray(0, new TextEncoder().encode(json.slice(0, cut)).length);
  rule(4, json.slice(cut) === `\n  "digest": "${sha256(body)}"\n}\n`, "the manifest's digest line is another");
  const manifest = JSON.parse(json) as CheckedArchive["manifest"];
  const listed = manifest.states.flatMap((state) =>
    state.entries.map(({ path, sizeBytes, digest }) => `${state.name}/${path} ${sizeBytes} ${digest}`)
  );
  const found = entries.slice(0, -1).map(({ path, bytes: file }) => `${path} ${file.length} ${sha256(file)}`);
  rule(
    4,
    listed.join("\n") === found.join("\n"),
    "the manifest lists other files than the archive has, or in another order",
  );
  return manifest;
}
