// How an archive ends, per compression: where its table lies and how a reader finds it from the file's last bytes. gzip is
// eStargz, zstd is stargz-snapshotter's dialect of zstd:chunked, a plain tar has no table.
import type { Codec, Compression } from "../compression/codec.ts";
import { concat, concatenating } from "../runtime/bytes.ts";
import { inSlices } from "../runtime/concurrency.ts";
import { type LayoutKind, TABLE_PATH } from "../model/unit.ts";
import { TableFault } from "./table.ts";
import { filesInTar } from "./tar_guard.ts";
import { BLOCK_BYTES, encodeTarHeader, paddingOf } from "./tar_header.ts";

/** Where the table lies in a file. */
export interface TablePlace {
  /** Where it begins; no member of an entry lies behind. */
  readonly membersEndOffset: number;
  /** Where its compressed bytes begin. */
  readonly offset: number;
  /** How many compressed bytes it has. */
  readonly sizeBytes: number;
  /** How many bytes it has decompressed, where the file says it. */
  readonly rawBytes?: number;
}

/** The end of an archive. */
export interface Container {
  /** Whether the table is an entry of the tar, which therefore ends behind it. */
  readonly isTableInTar: boolean;
  /** The bytes that follow the last member: the table and what points to it. */
  end(
    codec: Codec,
    level: number,
    table: readonly Uint8Array[],
    offset: number,
    mtimeSeconds: number,
  ): Promise<Uint8Array[]>;
  /** Finds the table in the file's last bytes; `undefined` where there is none. */
  find(tail: Uint8Array, fileBytes: number): TablePlace | undefined;
  /** Decompresses the table's JSON; throws `TableFault` or `ARCHIVE_REJECTED`. */
  read(codec: Codec, packed: Uint8Array, maxBytes: number, place: TablePlace, uri: string): Promise<Uint8Array>;
}

const FOOTER_BYTES = 51;

function sizeOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0);
}

/** The footer of eStargz: an empty gzip member whose extra field says where the table is. */
export function encodeFooter(tableOffset: number): Uint8Array {
  const head = "\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff\x1a\x00";
  const extra = `SG\x16\x00${tableOffset.toString(16).padStart(16, "0")}STARGZ`;
  const tail = "\x01\x00\x00\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00";
  const text = head + extra + tail;
  const footer = new Uint8Array(text.length); // Uint8Array.from takes a string letter by letter, as strings
  for (let index = 0; index < text.length; index++) footer[index] = text.charCodeAt(index);
  return footer;
}

const estargz: Container = {
  isTableInTar: true,

  async end(codec, level, table, offset, mtimeSeconds) {
    const sizeBytes = sizeOf(table);
    const header = encodeTarHeader(TABLE_PATH, sizeBytes, mtimeSeconds);
    const tarBytes = header.length + sizeBytes + paddingOf(sizeBytes) + 2 * BLOCK_BYTES;
    const tar = await inSlices(concatenating([header, ...table], tarBytes));
    return [...await codec.encode(tar, level), encodeFooter(offset)];
  },

  find(tail, fileBytes) {
    const footer = tail.subarray(-FOOTER_BYTES);
    const text = String.fromCharCode(...footer.subarray(16, 32));
    if (footer.length < FOOTER_BYTES || !/^[0-9a-f]{16}$/.test(text)) return undefined;
    const offset = Number.parseInt(text, 16);
    if (!Number.isSafeInteger(offset) || !encodeFooter(offset).every((byte, index) => byte === footer[index])) {
      return undefined;
    }
    return { membersEndOffset: offset, offset, sizeBytes: fileBytes - FOOTER_BYTES - offset };
  },

  /** The table's own tar entry, held to the rules of any tar. */
  async read(codec, packed, maxBytes, _place, uri) {
    const tar = await codec.decode(packed, maxBytes);
    const [table, ...others] = filesInTar(tar, uri);
    const stranger = [table, ...others].find((file) => file !== undefined && file.path !== TABLE_PATH);
    if (stranger !== undefined) throw new TableFault(`"${stranger.path}" stands where its table should be`);
    if (table === undefined) throw new TableFault("its table is missing");
    return tar.subarray(table.offset, table.offset + table.sizeBytes);
  },
};

const SKIPPABLE_HEADER_BYTES = 8;
const ZSTD_FOOTER_BYTES = 40;
const ZSTD_MAGIC = "GnUlInUx";

/** A zstd frame that decoders skip. */
function skippableFrame(content: Uint8Array): Uint8Array {
  const frame = new Uint8Array(SKIPPABLE_HEADER_BYTES + content.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, 0x184d2a50, true);
  view.setUint32(4, content.length, true);
  frame.set(content, SKIPPABLE_HEADER_BYTES);
  return frame;
}

const zstdChunked: Container = {
  isTableInTar: false,

  async end(codec, level, table, offset) {
    const json = await inSlices(concatenating(table, sizeOf(table)));
    const packed = concat(await codec.encode(json, level));
    const footer = new Uint8Array(ZSTD_FOOTER_BYTES);
    const view = new DataView(footer.buffer);
    view.setBigUint64(0, BigInt(offset + SKIPPABLE_HEADER_BYTES), true);
    view.setBigUint64(8, BigInt(packed.length), true);
    view.setBigUint64(16, BigInt(json.length), true);
    view.setBigUint64(24, 1n, true);
    footer.set(new TextEncoder().encode(ZSTD_MAGIC), 32);
    return [skippableFrame(packed), skippableFrame(footer)];
  },

  find(tail, fileBytes) {
    const frameBytes = SKIPPABLE_HEADER_BYTES + ZSTD_FOOTER_BYTES;
    const frame = tail.subarray(-frameBytes);
    if (frame.length < frameBytes) return undefined;
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    const isOurs = view.getUint32(0, true) === 0x184d2a50 && view.getUint32(4, true) === ZSTD_FOOTER_BYTES &&
      String.fromCharCode(...frame.subarray(-8)) === ZSTD_MAGIC &&
      view.getBigUint64(SKIPPABLE_HEADER_BYTES + 24, true) === 1n;
    if (!isOurs) return undefined;
    const [offset, sizeBytes, rawBytes] = [0, 8, 16].map((at) =>
      Number(view.getBigUint64(SKIPPABLE_HEADER_BYTES + at, true))
    ) as [
      number,
      number,
      number,
    ];
    if (offset + sizeBytes !== fileBytes - frameBytes) throw new TableFault("its footer points nowhere");
    return { membersEndOffset: offset - SKIPPABLE_HEADER_BYTES, offset, sizeBytes, rawBytes };
  },

  async read(codec, packed, maxBytes, place) {
    const rawBytes = place.rawBytes ?? 0;
    if (rawBytes > maxBytes) throw new TableFault("its table is said to be larger than it can be");
    const json = await codec.decode(packed, rawBytes);
    if (json.length !== rawBytes) throw new TableFault("its table has another size than its footer says");
    return json;
  },
};

/** The layout that an archive of each compression has. */
export const LAYOUTS: Readonly<Record<Compression, LayoutKind>> = { gzip: "tar.gz", zstd: "tar.zst", none: "tar" };

/** How an archive of this compression ends; `undefined` for a plain tar, which has no table. */
export function containerOf(compression: Compression): Container | undefined {
  return { gzip: estargz, zstd: zstdChunked, none: undefined }[compression];
}
