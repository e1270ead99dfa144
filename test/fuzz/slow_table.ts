// The table of contents, found and read without the library: what it says of entries must be what they are.
import { FOOTER_BYTES } from "../archive/footer.ts";
import { digestOf, unpack } from "./members.ts";

interface Row {
  readonly name?: unknown;
  readonly type?: unknown;
  readonly size?: unknown;
  readonly digest?: unknown;
}

/** The table's JSON; `undefined` where there is none. */
function jsonOf(bytes: Uint8Array): string | undefined {
  if (bytes[0] === 0x1f) {
    const text = new TextDecoder("latin1").decode(bytes.subarray(-FOOTER_BYTES));
    const [, hex] = /^\x1f\x8b\x08\x04\0{5}\xff\x1a\0SG\x16\0([0-9a-f]{16})STARGZ\x01\0\0\xff\xff\0{8}$/.exec(text) ??
      [];
    if (hex === undefined || !Number.isSafeInteger(Number.parseInt(hex, 16))) return undefined;
    const tar = unpack(bytes.subarray(Number.parseInt(hex, 16), -FOOTER_BYTES));
    const sizeBytes = Number.parseInt(new TextDecoder().decode(tar.subarray(124, 135)), 8);
    return new TextDecoder().decode(tar.subarray(512, 512 + sizeBytes));
  }
  if (bytes[0] !== 0x28 || new TextDecoder().decode(bytes.subarray(-8)) !== "GnUlInUx") return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset + bytes.length - 40);
  const [offset, sizeBytes] = [Number(view.getBigUint64(0, true)), Number(view.getBigUint64(8, true))];
  return new TextDecoder().decode(unpack(bytes.subarray(offset, offset + sizeBytes)));
}

/** Says what an archive's table tells wrongly of what was loaded; `undefined` where nothing, or where there is none. */
export function faultOfTable(bytes: Uint8Array, files: ReadonlyMap<string, Uint8Array>): string | undefined {
  let json;
  try {
    json = jsonOf(bytes);
  } catch (error) {
    return `no other reader can read it: ${String(error)}`;
  }
  if (json === undefined) return undefined;
  const { entries } = JSON.parse(json) as { entries: Row[] };
  for (const [path, content] of files) {
    const rows = entries.filter(({ name, type }) => type === "reg" && String(name).replace(/^(?:\.\/)+/, "") === path);
    if (rows.length !== 1) return `it has "${path}" ${rows.length} times`;
    const [row = {}] = rows;
    if (row.digest !== digestOf(content)) return `it has another digest for "${path}"`;
    if ((row.size ?? 0) !== content.length) return `it has another size for "${path}"`;
  }
  return undefined;
}
