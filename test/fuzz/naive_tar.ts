// Tars as careless decoders read them, each in a way of its own. Where the library accepts an archive, all of them must have
// found the same files: else what is in it depends on who looks.

/** How a decoder is careless. */
export interface Manner {
  /** Whether the first or the last of several PAX records, or of several names, counts. */
  readonly wins: "first" | "last";
  /** Whether PAX and GNU sizes count. */
  readonly believesSizes: boolean;
  /** Whether it goes on behind zero blocks. */
  readonly ignoresZeros: boolean;
}

/** Decoders that exist, by what they do. */
export const MANNERS: readonly Manner[] = [
  { wins: "last", believesSizes: true, ignoresZeros: false },
  { wins: "first", believesSizes: true, ignoresZeros: false },
  { wins: "last", believesSizes: false, ignoresZeros: true },
];

const BLOCK = 512;
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

function textUntilNul(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return utf8.decode(end === -1 ? bytes : bytes.subarray(0, end));
}

function numberOf(field: Uint8Array): number {
  if (((field[0] ?? 0) & 0x80) === 0) return Number.parseInt(textUntilNul(field).trim(), 8) || 0;
  const isNegative = ((field[0] ?? 0) & 0x40) !== 0;
  const bits = field.subarray(1).reduce((value, byte) => value * 256 + byte, 0);
  return isNegative ? bits - 256 ** (field.length - 1) : bits;
}

function recordsOf(bytes: Uint8Array, wins: Manner["wins"]): Map<string, string> {
  const records = new Map<string, string>();
  for (let start = 0; start < bytes.length;) {
    const space = bytes.indexOf(0x20, start);
    const length = Number.parseInt(utf8.decode(bytes.subarray(start, space)), 10);
    if (!(length > 0)) break;
    const text = utf8.decode(bytes.subarray(space + 1, start + length - 1));
    const key = text.slice(0, text.indexOf("="));
    if (wins === "last" || !records.has(key)) records.set(key, text.slice(text.indexOf("=") + 1));
    start += length;
  }
  return records;
}

/** The files of a tar, by path as it stands there without a leading `./`; a path may stand there twice. */
export function readNaively(tar: Uint8Array, manner: Manner): [string, Uint8Array][] {
  const files: [string, Uint8Array][] = [];
  let records = new Map<string, string>();
  let longName: string | undefined;
  for (let at = 0; at + BLOCK <= tar.length;) {
    const block = tar.subarray(at, at + BLOCK);
    at += BLOCK;
    if (block.every((byte) => byte === 0)) {
      if (manner.ignoresZeros) continue;
      break;
    }
    const type = String.fromCharCode(block[156] || 0x30);
    const isExtended = type === "x" || type === "g" || type === "L";
    const told = manner.believesSizes && !isExtended ? Number(records.get("size") ?? Number.NaN) : Number.NaN;
    // Below zero, careless as it is, it goes on: it must not go back.
    const sizeBytes = Math.max(0, Number.isNaN(told) ? numberOf(block.subarray(124, 136)) : told);
    const payload = tar.subarray(at, at + sizeBytes);
    at += Math.ceil(sizeBytes / BLOCK) * BLOCK;
    if (type === "x" || type === "g") {
      for (const [key, value] of recordsOf(payload, manner.wins)) {
        if (manner.wins === "last" || !records.has(key)) records.set(key, value);
      }
      continue;
    }
    if (type === "L") {
      longName ??= textUntilNul(payload);
      continue;
    }
    const prefix = utf8.decode(block.subarray(257, 263)) === "ustar\0" ? textUntilNul(block.subarray(345, 500)) : "";
    const name = textUntilNul(block.subarray(0, 100));
    const path = records.get("path") ?? longName ?? (prefix === "" ? name : `${prefix}/${name}`);
    if (type !== "5" && !path.endsWith("/")) files.push([path.replace(/^(?:\.\/)+/, ""), payload]);
    records = new Map();
    longName = undefined;
  }
  return files;
}
