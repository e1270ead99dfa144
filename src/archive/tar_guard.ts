// The strict guard: it sees every block of a tar before any decoder does, and lets pass only what every decoder reads in
// the same way: files and folders with safe names, exact numbers, nothing after the end. The attack table in
// docs/threat-model.md lists what it rejects.
import { PathSet } from "../model/entry_path.ts";
import { isSnapshotError, reasonOf, type RejectionReason } from "../model/errors.ts";
import { Pace } from "../runtime/concurrency.ts";
import { rejected } from "./rejection.ts";
import { BLOCK_BYTES, checksumOf, paddingOf } from "./tar_header.ts";

/** What no honest archive comes near, and what a hostile one must not exceed. */
export interface ArchiveLimits {
  /** Most bytes of all files together. */
  readonly totalBytes: number;
  /** Most files and folders. */
  readonly entries: number;
  /** Most bytes of PAX and GNU headers of one file. */
  readonly headerBytes: number;
  /** Most zero bytes after the end marker. */
  readonly trailingZeroBytes: number;
}

/** So many bytes may come out of anything, whatever its ratio. */
export const FREE_RATIO_BYTES: number = 16 * 1024 * 1024;

/** Limits that real users never meet. */
export const DEFAULT_LIMITS: ArchiveLimits = {
  totalBytes: 2 ** 44,
  entries: 4_000_000,
  headerBytes: 64 * 1024,
  trailingZeroBytes: 1024 * 1024,
};

type Kind = "file" | "folder" | "pax" | "pax-global" | "gnu-long-name";
const KINDS: ReadonlyMap<number, Kind> = new Map<number, Kind>([
  [0x00, "file"],
  [0x30, "file"],
  [0x35, "folder"],
  [0x78, "pax"],
  [0x67, "pax-global"],
  [0x4c, "gnu-long-name"],
]);

// Keys that change nothing but what a reader ignores anyway: owners, times and comments.
const HARMLESS_KEY = /^(?:[amc]time|uid|gid|uname|gname|comment)$/;

// A vendor's name begins with a capital. GNU and Sun describe sparse files and volumes with such keys; of Schily's some change the size.
const VENDOR_KEY = /^(?!GNU\.|SUN\.|SCHILY\.)[A-Z][\w-]*\.\P{Cc}+$/u;
const GNU_KEY = /^GNU\.(?:dumpdir|volume\.label)$/;
/** What a folder held when GNU tar saved it for an incremental backup. */
const DUMP_KEY = "GNU.dumpdir";
const SCHILY_KEY = /^SCHILY\.(?:dev|devmajor|devminor|ino|nlink|fflags|release|archtype|(?:acl|xattr)\.\P{Cc}+)$/u;

/** Keys that may stand in a record, each with the values it may have; they are true of no entry but their own. */
const KEYS_WITH_VALUES: ReadonlyMap<string, RegExp> = new Map([
  ["hdrcharset", /^(?:BINARY|ISO-IR 10646 2000 UTF-8)$/],
  ["SCHILY.filetype", /^(?:file|directory)$/],
]);

/** Mode, owner, group, time and device numbers: offsets and lengths of the fields that a reader ignores. */
const IGNORED_NUMBERS = [[100, 8], [108, 8], [116, 8], [136, 12], [329, 8], [337, 8]] as const;

// Octal with or without an end, or blank. Python takes what it cannot parse for the end of the archive.
const OCTAL_OR_BLANK = /^ *[0-7]*[ \0]*$/;

// Access and change times, as GNU and star write them into the room of the prefix; zeros where there are none.
const TIMES_OR_ZEROS = /^(?:(?=.{12}$)[0-7]{10,11}[ \0]{1,2}|\0{12})$/s;

// What macOS has beside "./" for its attributes: the one name that is no safe path, and no entry either.
const DOUBLE_OF_ROOT = "._.";

/** Where GNU headers and those of star have these two times. */
const GNU_TIMES = [345, 357] as const;
const STAR_TIMES = [476, 488] as const;

// What is checked in less than a millisecond, also where it is headers and nothing else.
const PIECE_BYTES = 32 * 1024;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Where the payload of a file lies in a tar. */
export interface TarPlace {
  /** Path, without a leading `./`. */
  readonly path: string;
  /** Where its payload begins in the tar, in bytes. */
  readonly offset: number;
  /** How long it is, in bytes. */
  readonly sizeBytes: number;
}

/** The files of a tar that lies in memory, as strictly checked as one that streams by; fails with `ARCHIVE_REJECTED`. */
export function filesInTar(tar: Uint8Array, uri: string): readonly TarPlace[] {
  const files: TarPlace[] = [];
  new TarGuard(uri, DEFAULT_LIMITS, (file) => files.push(file)).checkWhole(tar);
  return files;
}

/** Checks a tar as it streams by. */
export class TarGuard {
  readonly #uri: string;
  readonly #limits: ArchiveLimits;
  readonly #onFile: (file: TarPlace) => void;
  readonly #paths = new PathSet();
  readonly #folders = new Set<string>();
  readonly #block = new Uint8Array(BLOCK_BYTES);
  #blockBytes = 0;
  #offset = 0;
  #headerStart = 0;
  #payloadBytes = 0;
  #paddingBytes = 0;
  #metadata: Uint8Array[] | undefined;
  #metadataKind: Kind | undefined;
  #zeroBlocks = 0;
  #trailingBytes = 0;
  #entries = 0;
  #totalBytes = 0;
  #headerBytes = 0;
  #longName: string | undefined;
  #pax: ReadonlyMap<string, string> | undefined;

  constructor(uri: string, limits: ArchiveLimits = DEFAULT_LIMITS, onFile: (file: TarPlace) => void = () => {}) {
    this.#uri = uri;
    this.#limits = limits;
    this.#onFile = onFile;
  }

  /** Checks a tar that lies in memory as a whole. */
  checkWhole(tar: Uint8Array): void {
    this.#take(tar);
    this.#end();
  }

  /** Passes the bytes on, once each was checked; fails with `ARCHIVE_REJECTED`. */
  async *check(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
    const pace = new Pace();
    for await (const chunk of source) {
      for (let start = 0; start < chunk.length; start += PIECE_BYTES) {
        if (pace.isDue) await pace.rest();
        this.#take(chunk.subarray(start, start + PIECE_BYTES));
      }
      yield chunk;
    }
    this.#end();
  }

  #take(chunk: Uint8Array): void {
    for (let done = 0; done < chunk.length;) {
      const rest = chunk.length - done;
      let taken: number;
      if (this.#payloadBytes > 0) {
        taken = Math.min(rest, this.#payloadBytes);
        this.#metadata?.push(chunk.slice(done, done + taken));
        this.#payloadBytes -= taken;
        if (this.#payloadBytes === 0 && this.#paddingBytes === 0) this.#endPayload();
      } else if (this.#paddingBytes > 0) {
        taken = Math.min(rest, this.#paddingBytes);
        const stray = chunk.subarray(done, done + taken).findIndex((byte) => byte !== 0);
        if (stray !== -1) {
          this.#refuse("PADDING_NOT_ZERO", "the padding behind a file is not zero", this.#offset + stray);
        }
        this.#paddingBytes -= taken;
        if (this.#paddingBytes === 0) this.#endPayload();
      } else {
        taken = Math.min(rest, BLOCK_BYTES - this.#blockBytes);
        this.#block.set(chunk.subarray(done, done + taken), this.#blockBytes);
        this.#blockBytes += taken;
      }
      done += taken;
      this.#offset += taken;
      if (this.#blockBytes === BLOCK_BYTES) {
        this.#blockBytes = 0;
        this.#takeBlock();
      }
    }
  }

  #end(): void {
    if (this.#payloadBytes > 0 || this.#paddingBytes > 0 || this.#blockBytes > 0) {
      this.#refuse("TRUNCATED", "it ends in the middle of a file", this.#offset);
    }
    if (this.#zeroBlocks < 2) this.#refuse("END_MARKER_MISSING", "it has no end marker", this.#offset);
  }

  #takeBlock(): void {
    const start = this.#offset - BLOCK_BYTES;
    if (isZero(this.#block)) {
      if (this.#pax !== undefined || this.#longName !== undefined) {
        this.#refuse("PAX_INVALID", "an extended header belongs to no file", start);
      }
      this.#zeroBlocks++;
      if (this.#zeroBlocks > 2) this.#trailingBytes += BLOCK_BYTES;
      if (this.#trailingBytes > this.#limits.trailingZeroBytes) {
        this.#refuse("LIMIT_BYTES", "too many zero bytes follow its end marker", start);
      }
      return;
    }
    if (this.#zeroBlocks === 1) this.#refuse("END_MARKER_MISSING", "a single zero block stands between files", start);
    if (this.#zeroBlocks > 1) this.#refuse("TRAILING_DATA", "something follows its end marker", start);
    this.#takeHeader(start);
  }

  #takeHeader(start: number): void {
    const block = this.#block;
    this.#headerStart = start;
    if (this.#number(148, 8, start) !== checksumOf(block)) {
      this.#refuse("HEADER_CHECKSUM", "the checksum of a header is wrong", start);
    }
    const magic = ascii(block, 257, 8);
    const isUstar = magic === "ustar\x0000";
    const isGnu = magic === "ustar  \x00";
    const isV7 = magic === "\0".repeat(8);
    if (!isUstar && !isGnu && !isV7) this.#refuse("HEADER_FORMAT", "a header must be ustar, GNU or v7", start);
    const kind = KINDS.get(block[156] as number);
    if (kind === undefined) {
      this.#refuse(
        "TYPE_FORBIDDEN",
        `an entry has the type ${JSON.stringify(ascii(block, 156, 1))}, not a file or folder`,
        start,
      );
    }
    // Python reads a prefix from any header, whatever its magic.
    if (isV7 && !isZero(block.subarray(345))) this.#refuse("HEADER_FORMAT", "a v7 header has more than a name", start);
    if (isGnu && !(this.#hasTimes(GNU_TIMES) && isZero(block.subarray(369)))) {
      this.#refuse("HEADER_FORMAT", "a GNU header has more than a name and times", start);
    }
    const sizeBytes = this.#number(124, 12, start);
    for (const [offset, length] of IGNORED_NUMBERS) this.#assertNumber(offset, length, start);
    const nameEnd = this.#endOfName(0, 100, start);
    const prefixEnd = isUstar ? this.#endOfPrefix(start) : 345;
    if (kind === "pax" || kind === "pax-global" || kind === "gnu-long-name") {
      return this.#takeMetadata(kind, sizeBytes, start);
    }
    // Where something else gives the name, this one may be cut anywhere, also within a character.
    const headerPath = () => {
      const name = this.#text(block.subarray(0, nameEnd));
      return prefixEnd === 345 ? name : `${this.#text(block.subarray(345, prefixEnd))}/${name}`;
    };
    this.#takeEntry(kind as "file" | "folder", headerPath, sizeBytes, start);
  }

  #takeMetadata(kind: Kind, sizeBytes: number, start: number): void {
    if (sizeBytes === 0) this.#refuse("PAX_INVALID", "an extended header is empty", start);
    this.#headerBytes += sizeBytes + BLOCK_BYTES;
    if (this.#headerBytes > this.#limits.headerBytes) {
      this.#refuse("LIMIT_HEADER", "the extended headers of a file are too long", start);
    }
    if (kind === "pax" && (this.#pax !== undefined || this.#longName !== undefined)) {
      this.#refuse("PAX_INVALID", "two extended headers belong to one file", start);
    }
    if (kind === "gnu-long-name" && (this.#pax !== undefined || this.#longName !== undefined)) {
      this.#refuse("PAX_INVALID", "two extended headers belong to one file", start);
    }
    this.#metadata = [];
    this.#metadataKind = kind;
    this.#payloadBytes = sizeBytes;
    this.#paddingBytes = paddingOf(sizeBytes);
  }

  #takeEntry(kind: "file" | "folder", headerPath: () => string, headerBytes: number, start: number): void {
    const pax = this.#pax;
    const sizeText = pax?.get("size");
    let sizeBytes = headerBytes;
    if (sizeText !== undefined) {
      if (!/^(?:0|[1-9]\d{0,15})$/.test(sizeText) || !Number.isSafeInteger(Number(sizeText))) {
        this.#refuse("PAX_INVALID", "a PAX size is not a size", start);
      }
      sizeBytes = Number(sizeText);
      // Readers that ignore PAX would go on elsewhere; only a size that no header can hold may differ.
      if (sizeBytes !== headerBytes && sizeBytes <= 0o77777777777) {
        this.#refuse("PAX_INVALID", "a PAX size differs from the header's", start);
      }
    }
    let path = pax?.get("path") ?? this.#longName ?? headerPath();
    const isFolder = kind === "folder" ||
      (path.endsWith("/") && kind === "file" && sizeBytes === 0 && this.#block[156] === 0);
    const fileType = pax?.get("SCHILY.filetype");
    if (fileType !== undefined && fileType !== (isFolder ? "directory" : "file")) {
      this.#refuse("PAX_FORBIDDEN", "a PAX file type differs from the header's", start);
    }
    if (!isFolder && pax?.has(DUMP_KEY) === true) {
      this.#refuse("PAX_FORBIDDEN", "a file has the PAX record of a folder", start);
    }
    const isRoot = isFolder && /^(?:\.\/)*\.?$/.test(path) && path !== "";
    path = path.replace(/^(?:\.\/)+/, "");
    if (isFolder) path = path.replace(/(?<=.)\/$/, "");
    if (isFolder && sizeBytes !== 0) this.#refuse("HEADER_NUMBER", "a folder has a size", start);
    if (!isRoot) this.#takePath(path, isFolder, start);
    if (!isFolder) this.#onFile({ path, offset: this.#offset, sizeBytes });
    this.#entries++;
    this.#totalBytes += sizeBytes;
    if (this.#entries > this.#limits.entries) this.#refuse("LIMIT_ENTRIES", "it has too many files", start);
    if (this.#totalBytes > this.#limits.totalBytes) this.#refuse("LIMIT_BYTES", "its files are too large", start);
    this.#pax = undefined;
    this.#longName = undefined;
    this.#headerBytes = 0;
    this.#payloadBytes = sizeBytes;
    this.#paddingBytes = paddingOf(sizeBytes);
  }

  #takePath(path: string, isFolder: boolean, start: number): void {
    try {
      // A folder is entered as what must be in it, so that it collides with a file of its name and not with its files.
      if (!isFolder && path !== DOUBLE_OF_ROOT) this.#paths.add(path);
      else if (this.#folders.has(path)) this.#refuse("PATH_COLLISION", `it has "${path}" twice`, start);
      else {
        this.#folders.add(path);
        if (isFolder) this.#paths.addFolder(path);
      }
    } catch (error) {
      if (isSnapshotError(error, "ARCHIVE_REJECTED")) throw error;
      this.#refuse(isSnapshotError(error, "ENTRY_EXISTS") ? "PATH_COLLISION" : "PATH_UNSAFE", reasonOf(error), start);
    }
  }

  #endPayload(): void {
    if (this.#metadata === undefined) return;
    const bytes = new Uint8Array(this.#metadata.reduce((sum, part) => sum + part.length, 0));
    let offset = 0;
    for (const part of this.#metadata) {
      bytes.set(part, offset);
      offset += part.length;
    }
    const kind = this.#metadataKind;
    this.#metadata = undefined;
    if (kind === "gnu-long-name") this.#longName = this.#longNameOf(bytes);
    else if (kind === "pax") this.#pax = this.#paxOf(bytes);
    else if ([...this.#paxOf(bytes).keys()].some((key) => !isWithoutEffect(key))) {
      this.#refuse("PAX_FORBIDDEN", "a global header has an effect");
    } else this.#headerBytes = 0;
  }

  #longNameOf(bytes: Uint8Array): string {
    const end = bytes.length - 1;
    if (bytes[end] !== 0 || bytes.indexOf(0) !== end || end === 0) {
      this.#refuse("PAX_INVALID", "a GNU long name does not end as it must");
    }
    return this.#text(bytes.subarray(0, end));
  }

  #paxOf(bytes: Uint8Array): ReadonlyMap<string, string> {
    const records = new Map<string, string>();
    for (let start = 0; start < bytes.length;) {
      const space = bytes.indexOf(0x20, start);
      const digits = space === -1 ? "" : ascii(bytes, start, space - start);
      const end = start + Number(digits);
      if (!/^[1-9]\d{0,8}$/.test(digits) || end > bytes.length || end <= space || bytes[end - 1] !== 0x0a) {
        this.#refuse("PAX_INVALID", "a PAX record has a wrong length");
      }
      const equals = bytes.indexOf(0x3d, space);
      if (equals === -1 || equals >= end || equals === space + 1) {
        this.#refuse("PAX_INVALID", "a PAX record has no key");
      }
      const key = this.#text(bytes.subarray(space + 1, equals), "PAX_INVALID");
      const values = KEYS_WITH_VALUES.get(key);
      const isBinary = values === undefined && isOfVendor(key);
      const raw = bytes.subarray(equals + 1, end - 1);
      if (records.has(key)) this.#refuse("PAX_INVALID", `the PAX key "${key}" stands twice`);
      if (!isBinary && raw.includes(0)) this.#refuse("PAX_INVALID", `the PAX key "${key}" has a value with NUL`);
      if (key === "path" || key === "size") {
        if (raw.length === 0) this.#refuse("PAX_INVALID", `the PAX key "${key}" has no value`);
      } else if (values === undefined && !isWithoutEffect(key)) {
        this.#refuse("PAX_FORBIDDEN", `the PAX key "${key}" is not allowed`);
      }
      // Owners and comments may be in any character set where the header says so.
      const isIgnored = isBinary || HARMLESS_KEY.test(key) && records.get("hdrcharset") === "BINARY";
      const value = isIgnored ? "" : this.#text(raw);
      if (values?.test(value) === false) {
        this.#refuse("PAX_FORBIDDEN", `the PAX key "${key}" has a value that is not allowed`);
      }
      records.set(key, value);
      start = end;
    }
    return records;
  }

  /** Where a name field ends: at its first NUL, with nothing but NULs behind it. */
  #endOfName(offset: number, length: number, start: number): number {
    const end = this.#block.indexOf(0, offset);
    if (end === -1 || end >= offset + length) return offset + length;
    if (!isZero(this.#block.subarray(end, offset + length))) {
      this.#refuse("HEADER_FORMAT", "bytes follow the end of a name", start);
    }
    return end;
  }

  /** Where the prefix ends: behind its first NUL there may be nothing but the two times of star. */
  #endOfPrefix(start: number): number {
    const [atime] = STAR_TIMES;
    if (this.#block[atime - 1] !== 0 || !this.#hasTimes(STAR_TIMES)) return this.#endOfName(345, 155, start);
    return this.#endOfName(345, atime - 345, start);
  }

  #hasTimes(offsets: readonly number[]): boolean {
    return offsets.every((offset) => TIMES_OR_ZEROS.test(ascii(this.#block, offset, 12)));
  }

  /** A number that is not needed: octal, blank, or GNU's base 256 with either sign. */
  #assertNumber(offset: number, length: number, start: number): void {
    const first = this.#block[offset];
    if (first === 0x80 || first === 0xff || OCTAL_OR_BLANK.test(ascii(this.#block, offset, length))) return;
    this.#refuse("HEADER_NUMBER", "a number of a header must be octal or in base 256", start);
  }

  /** A number that counts: octal digits with an end, or GNU's base 256; nothing that decoders read differently. */
  #number(offset: number, length: number, start: number): number {
    const field = this.#block.subarray(offset, offset + length);
    if (field[0] === 0x80) {
      let value = 0;
      for (const byte of field.subarray(1)) {
        value = value * 256 + byte;
        if (!Number.isSafeInteger(value)) this.#refuse("HEADER_NUMBER", "a number of a header is too large", start);
      }
      return value;
    }
    const text = ascii(this.#block, offset, length);
    if (!/^ {0,11}[0-7]+[ \0]{1,12}$/.test(text)) {
      this.#refuse("HEADER_NUMBER", "a number of a header must be octal", start);
    }
    return Number.parseInt(text.trim().replaceAll("\0", ""), 8);
  }

  #text(bytes: Uint8Array, reason: RejectionReason = "PATH_UNSAFE"): string {
    try {
      return decoder.decode(bytes);
    } catch {
      return this.#refuse(reason, "a name is not UTF-8");
    }
  }

  /** Where nothing else is said, the fault lies in the header read last; how the bytes came in pieces must not matter. */
  #refuse(reason: RejectionReason, what: string, offset = this.#headerStart): never {
    throw rejected(this.#uri, reason, offset, what);
  }
}

/** Whether a key may be ignored: a reader that knows it and one that does not find the same files. */
function isWithoutEffect(key: string): boolean {
  return HARMLESS_KEY.test(key) || isOfVendor(key);
}

function isOfVendor(key: string): boolean {
  return VENDOR_KEY.test(key) || GNU_KEY.test(key) || SCHILY_KEY.test(key);
}

function isZero(bytes: Uint8Array): boolean {
  for (let index = 0; index < bytes.length; index++) if (bytes[index] !== 0) return false;
  return true;
}

function ascii(bytes: Uint8Array, offset: number, length: number): string {
  let text = "";
  for (let index = offset; index < offset + length; index++) text += String.fromCharCode(bytes[index] ?? 0);
  return text;
}
