// Hostile archives, one for each way to attack a reader of tars that is known, and beside each its benign twin: the same
// archive without the attack, which must be accepted, so that no reader passes by refusing everything.
import { deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { crc32 } from "../fuzz/members.ts";
import { isLong } from "../torture/budget.ts";
import { noise, type Tree } from "./samples.ts";
import {
  binary,
  concatenated,
  END,
  extended,
  file,
  header,
  longName,
  manifestOf,
  octal,
  padded,
  record,
  sealed,
  ZERO_BLOCK,
} from "./tar_maker.ts";
import type { RejectionReason, SnapshotErrorCode } from "snapkeep";

/** One attack. */
export interface Attack {
  /** What it does, unique. */
  readonly name: string;
  /** A tar is also tried compressed; the others are files as they are. */
  readonly form: "tar" | "file";
  /** The hostile bytes. */
  make(): Uint8Array;
  /** Why it must be refused: a reason of `ARCHIVE_REJECTED`, or another code. */
  readonly reason: RejectionReason | Exclude<SnapshotErrorCode, "ARCHIVE_REJECTED">;
  /** The same without the attack. */
  benign(): Uint8Array;
}

/** What every archive here holds beside what it is about. */
export const BASE: Tree = { "one.txt": "one", "two/two.bin": noise(700) };

const GNU = { magic: "ustar  \0" } as const;
const V7 = { magic: "\0".repeat(8) } as const;
const text = (length: number, letter = "p") => letter.repeat(length);

/** A prefix with the two times behind it that star and node-tar write. */
const starTimes = (prefix: string) => prefix.padEnd(131, "\0") + octal(1).repeat(2);

/** A sound tar: the files of the base, some bytes, the manifest of the base and what else it is to list, the end. */
function tar(
  middle: Uint8Array | readonly Uint8Array[],
  more: Tree = {},
  end: Uint8Array = END,
): Uint8Array<ArrayBuffer> {
  return concatenated(
    ...Object.entries(BASE).map(([path, content]) => file(`a/${path}`, content)),
    ...middle instanceof Uint8Array ? [middle] : middle,
    file("manifest.json", manifestOf({ ...BASE, ...more })),
    end,
  );
}

/** MiBs of zeros, each a gzip member. */
function zeros(count: number): Uint8Array[] {
  const member = gzipSync(new Uint8Array(2 ** 20), { level: 9 });
  return Array.from({ length: count }, () => member);
}

const NOTHING = new Uint8Array();
const NULS = "\0".repeat(8);
const SPACES = " ".repeat(8);
const sound = () => tar(NOTHING);

/** An attack by bytes between the files; the twin is the file "extra" in their place, unless it is given. */
function between(
  name: string,
  reason: Attack["reason"],
  bytes: () => Uint8Array | readonly Uint8Array[],
  benign: () => Uint8Array = () => file("a/extra", "extra"),
  more: Tree = { extra: "extra" },
): Attack {
  return { name, form: "tar", reason, make: () => tar(bytes(), more), benign: () => tar(benign(), more) };
}

/** An attack on the file as a whole; the twin is the sound tar, compressed. */
function whole(name: string, reason: Attack["reason"], make: () => Uint8Array, benign?: () => Uint8Array): Attack {
  return { name, form: "file", reason, make, benign: benign ?? (() => gzipSync(sound())) };
}

/** An attack by the bytes of a tar; the twin is the sound tar. */
function ofTar(
  name: string,
  reason: Attack["reason"],
  make: () => Uint8Array,
  benign: () => Uint8Array = sound,
): Attack {
  return { name, form: "tar", reason, make, benign };
}

// A path can stand in four places; each reader of it is attacked.
const CARRIERS: Readonly<Record<string, (path: string | Uint8Array, content: string) => Uint8Array>> = {
  "in the header": (path, content) => file("", content, { name: path }),
  "in PAX": (path, content) => concatenated(extended(record("path", path)), file("a/short", content)),
  "in a GNU long name": (path, content) => concatenated(longName(path), file("a/short", content, GNU)),
};

const UNSAFE_PATHS: Readonly<Record<string, string | Uint8Array>> = {
  "goes up": "a/../../evil",
  "goes up and comes back": "a/../a/extra",
  "ends with ..": "a/..",
  "begins with ..": "../a/extra",
  "is ..": "..",
  "is absolute": "/a/extra",
  "has several leading slashes": "///a/extra",
  "has an empty part": "a//extra",
  "has a . part": "a/./extra",
  "is . as a file": ".",
  "is nothing but ./": "./",
  "ends with a slash but is a file": "a/extra/",
  "has a backslash": "a\\extra",
  "goes up with backslashes": "a\\..\\..\\evil",
  "has a drive": "C:/extra",
  "has a drive and no slash": "C:extra",
  "is a UNC path": "\\\\server\\share\\extra",
  "is a device path": "\\\\?\\C:\\extra",
  "has an alternate stream": "a/extra:stream",
  "has a control character": "a/ex\x01tra",
  "has a line break": "a/ex\ntra",
  "has DEL": "a/ex\x7ftra",
  "has a bidi override": "a/ex\u202etra",
  "has a zero-width space": "a/ex\u200btra",
  "has a zero-width non-joiner": "a/ex\u200ctra",
  "has a byte order mark": "a/\ufeffextra",
  "has a line separator": "a/ex\u2028tra",
  "is not UTF-8": Uint8Array.from([0x61, 0x2f, 0x66, 0xff, 0x66]),
  "is overlong UTF-8": Uint8Array.from([0x61, 0x2f, 0xc0, 0xaf, 0x66]),
  "has a lone surrogate": Uint8Array.from([0x61, 0x2f, 0xed, 0xa0, 0x80, 0x66]),
  "has <": "a/ex<tra",
  "has >": "a/ex>tra",
  "has quotes": 'a/ex"tra',
  "has a pipe": "a/ex|tra",
  "has a question mark": "a/ex?tra",
  "has an asterisk": "a/ex*tra",
  "has a trailing dot": "a/extra.",
  "has a folder with a trailing dot": "a./extra",
  "has a trailing space": "a/extra ",
  "is CON": "a/CON",
  "is nul.txt": "a/nul.txt",
  "is COM1": "a/com1",
  "is COM with a superscript": "a/com¹.log",
  "is a fullwidth ..": "a/．．/extra",
  "has a fullwidth slash": "a／extra",
};

const LONG_PATHS: Readonly<Record<string, string>> = {
  "is deeper than 64 folders": `${"d/".repeat(65)}f`,
  "has a part of 256 bytes": `a/${text(256)}`,
  "has more than 1024 bytes": `a/${Array.from({ length: 9 }, () => text(120)).join("/")}`,
};

function unsafePaths(): Attack[] {
  const found: Attack[] = [];
  for (const [where, carry] of Object.entries(CARRIERS)) {
    const paths = where === "in the header" ? UNSAFE_PATHS : { ...UNSAFE_PATHS, ...LONG_PATHS };
    for (const [what, path] of Object.entries(paths)) {
      found.push(
        between(
          `a path that ${what}, ${where}`,
          "PATH_UNSAFE",
          () => carry(path, "extra"),
          () => carry("a/extra", "extra"),
        ),
      );
    }
  }
  const prefixed = (prefix: string) => file("extra", "extra", { prefix });
  for (const prefix of ["..", "/", "a/..", "C:", "a\\b", "CON"]) {
    found.push(between(`the prefix ${prefix}`, "PATH_UNSAFE", () => prefixed(prefix), () => prefixed("a")));
  }
  const folder = (path: string) => concatenated(file(path, "", { type: "5" }), file("a/extra", "extra"));
  for (const path of ["../", "/", "/a/", "a/../", "a/./b/", "C:/", "a//"]) {
    found.push(between(`the folder ${path}`, "PATH_UNSAFE", () => folder(path), () => folder("./a/more/")));
  }
  found.push(
    between("a folder whose name has a NUL in PAX", "PAX_INVALID", () => {
      return concatenated(extended(record("path", "a/ex\0tra")), file("a/short", "extra"));
    }, () => concatenated(extended(record("path", "a/extra")), file("a/short", "extra"))),
  );
  return found;
}

// Two files that some file system takes for one.
const COLLISIONS: Readonly<Record<string, readonly [string, string]>> = {
  "the same": ["a/extra", "a/extra"],
  "the same with ./": ["a/extra", "./a/extra"],
  "another case": ["a/extra", "a/EXTRA"],
  "another case of a folder": ["a/more/extra", "a/MORE/other"],
  "NFC and NFD": ["a/é", "a/e\u0301"],
  "a sharp s": ["a/straße", "a/STRASSE"],
  "a capital sharp s": ["a/straße", "a/STRAẞE"],
  "a ligature": ["a/ﬁle", "a/file"],
  "the Kelvin sign": ["a/\u212aelvin", "a/kelvin"],
  "the long s": ["a/ſtate", "a/state"],
  "final sigma": ["a/ΟΔΟΣ", "a/οδος"],
  "fullwidth": ["a/ｅxtra", "a/extra"],
  "a variation selector": ["a/e\ufe0fxtra", "a/extra"],
  "a file and then a file in it": ["a/extra", "a/extra/inner"],
  "a file in what is a file then": ["a/extra/inner", "a/extra"],
  "another manifest": ["a/extra", "MANIFEST.JSON"],
};

function collisions(): Attack[] {
  const both = (first: string, second: string) => concatenated(paxFile(first, "extra"), paxFile(second, "extra"));
  const found = Object.entries(COLLISIONS).map(([what, [first, second]]) =>
    between(
      `two files, ${what}`,
      "PATH_COLLISION",
      () => both(first, second),
      () => both("a/extra", "a/other"),
      { extra: "extra", other: "extra" },
    )
  );
  const folderAndFile = (folder: string, path: string) => () =>
    concatenated(file(folder, "", { type: "5" }), file(path, "extra"));
  return [
    ...found,
    between("a folder where a file is", "PATH_COLLISION", () => [
      file("a/extra", "extra"),
      file("a/extra/", "", { type: "5" }),
    ]),
    between(
      "a file where a folder is",
      "PATH_COLLISION",
      folderAndFile("a/extra/", "a/extra"),
      folderAndFile("a/", "a/extra"),
    ),
    between(
      "a folder of another case",
      "PATH_COLLISION",
      folderAndFile("A/", "a/extra"),
      folderAndFile("a/", "a/extra"),
    ),
    between("a file without a name", "PATH_UNSAFE", () => file("", "extra")),
    between("a folder without a name", "PATH_UNSAFE", () => [
      file("", "", { type: "5" }),
      file("a/extra", "extra"),
    ]),
    between("a folder twice", "PATH_COLLISION", () => [
      file("a/more/", "", { type: "5" }),
      file("a/more/", "", { type: "5" }),
      file("a/extra", "extra"),
    ]),
    between("the manifest twice", "PATH_COLLISION", () => [
      file("manifest.json", manifestOf({ ...BASE, extra: "extra" })),
      file("a/extra", "extra"),
    ]),
  ];
}

/** A file with its path in PAX, whatever it is. */
function paxFile(path: string, content: string): Uint8Array {
  return concatenated(extended(record("path", path)), file("a/short", content));
}

function types(): Attack[] {
  const names: Readonly<Record<string, string>> = {
    "1": "a hard link",
    "2": "a symbolic link",
    "3": "a character device",
    "4": "a block device",
    "6": "a FIFO",
    "7": "a contiguous file",
    "S": "an old sparse file",
    "V": "a volume label",
    "M": "a continued volume",
    "D": "a folder dump",
    "K": "a long link",
    "N": "an old long name",
    "A": "a Solaris ACL",
    "X": "a Solaris header",
    "Z": "an unknown letter",
    "8": "an unknown digit",
  };
  return Object.entries(names).map(([type, name]) =>
    between(
      name,
      "TYPE_FORBIDDEN",
      () => file("a/extra", type === "1" || type === "2" ? "" : "extra", { type, link: "a/one.txt" }),
    )
  );
}

// What a size may not be. Each is the size of a file whose payload is "extra", or is meant to be.
const SIZES: Readonly<Record<string, string | Uint8Array>> = {
  "not octal": "00000000008\0",
  "hexadecimal": "0x000000005\0",
  "digits and then junk": "00000000005x",
  "junk and then digits": "x0000000005\0",
  "a NUL within": "0000\x00000005\0",
  "a space within": "0000 000005\0",
  "a minus": "-0000000005\0",
  "a plus": "+0000000005\0",
  "without an end": "000000000005",
  "empty": "\0\0\0\0\0\0\0\0\0\0\0\0",
  "only spaces": "            ",
  "negative in base 256": binary(-5n, 12, 0xff),
  "2^53 in base 256": binary(2n ** 53n),
  "8 EiB": binary(2n ** 63n),
  "base 256 with another first byte": binary(5n, 12, 0x81),
};

function numbers(): Attack[] {
  const other = (fields: Parameters<typeof file>[2]) => () => file("a/extra", "extra", fields);
  return [
    ...Object.entries(SIZES).map(([what, size]) => between(`a size that is ${what}`, "HEADER_NUMBER", other({ size }))),
    between("a wrong checksum", "HEADER_CHECKSUM", other({ checksum: "0000000\0" })),
    between("a checksum that is one too high", "HEADER_CHECKSUM", () => {
      const bytes = file("a/extra", "extra");
      const digit = bytes.subarray(148, 154).findLastIndex((byte) => byte < 0x37);
      bytes[148 + digit] = (bytes[148 + digit] as number) + 1;
      return bytes;
    }),
    between("a checksum that is no number", "HEADER_NUMBER", other({ checksum: "checksum" })),
    between("a mode that is no number", "HEADER_NUMBER", other({ mode: "rw-r--r-" })),
    between("an owner that is no number", "HEADER_NUMBER", other({ uid: "root\0\0\0\0" })),
    between(
      "an owner with a minus",
      "HEADER_NUMBER",
      other({ uid: "-000002\0" }),
      other({ uid: binary(-2n, 8, 0xff) }),
    ),
    between(
      "an owner of digits, NUL and junk",
      "HEADER_NUMBER",
      other({ uid: "12\0\x005\0\0" }),
      other({ uid: "12\0\0\0\0\0\0" }),
    ),
    between(
      "a group in base 256 with another first byte",
      "HEADER_NUMBER",
      other({ gid: binary(5n, 8, 0x81) }),
      other({ gid: binary(5n, 8) }),
    ),
    between("a group in base 64, as of the first GNU tars", "HEADER_NUMBER", other({ gid: "+AAAC3GA" })),
    between("a time that is no number", "HEADER_NUMBER", other({ mtime: "yesterday\0\0\0" })),
    // Python's tarfile takes such a header for the end.
    ...(["devmajor", "devminor"] as const).map((field) =>
      between(
        `a ${field} that is no number`,
        "HEADER_NUMBER",
        other({ [field]: "nonsense" }),
        other({ [field]: "       \0" }),
      )
    ),
    between(
      "a folder with a size",
      "HEADER_NUMBER",
      () => [file("a/", "payload", { type: "5" }), file("a/extra", "extra")],
    ),
    ofTar(
      "a size of 1 GiB and no payload",
      "TRUNCATED",
      () => concatenated(header({ name: "a/one.txt", size: octal(2 ** 30) }), END),
    ),
  ];
}

function formats(): Attack[] {
  const other = (fields: Parameters<typeof file>[2]) => () => file("a/extra", "extra", fields);
  const patched = (offset: number, ...bytes: number[]) => () => {
    const fields = file("a/extra", "extra");
    fields.set(bytes, offset);
    fields.fill(0x20, 148, 156);
    const sum = fields.subarray(0, 512).reduce((total, byte) => total + byte, 0);
    fields.set(new TextEncoder().encode(`${octal(sum, 6)} `), 148);
    return fields;
  };
  return [
    between("a prefix without a magic", "HEADER_FORMAT", other({ ...V7, prefix: "b" }), other(V7)),
    between("times without a magic", "HEADER_FORMAT", other({ ...V7, prefix: starTimes("") }), other(V7)),
    between("the magic of star", "HEADER_FORMAT", other({ magic: "tar\0\0\0\0\0" })),
    between("a version of NULs", "HEADER_FORMAT", other({ magic: "ustar\0\0\0" })),
    between("half of the GNU magic", "HEADER_FORMAT", other({ magic: "ustar \0\0" })),
    between("a prefix on a GNU header", "HEADER_FORMAT", other({ magic: GNU.magic, prefix: "b" }), other(GNU)),
    between(
      "an access time on a GNU header that is no time",
      "HEADER_FORMAT",
      other({ ...GNU, prefix: "0000000001/\0" }),
      other({ ...GNU, prefix: octal(1) }),
    ),
    between(
      "a third number on a GNU header, as of a continued volume",
      "HEADER_FORMAT",
      other({ ...GNU, prefix: octal(1).repeat(3) }),
      other({ ...GNU, prefix: octal(1).repeat(2) }),
    ),
    between(
      "a real size on a GNU header, as of a sparse file",
      "HEADER_FORMAT",
      other({ ...GNU, prefix: `${octal(1).repeat(2)}${"\0".repeat(114)}${octal(5)}` }),
      other({ ...GNU, prefix: `${octal(1).repeat(2)}${"\0".repeat(126)}` }),
    ),
    between(
      "times behind a prefix that has no end",
      "HEADER_FORMAT",
      other({ prefix: `a\0${text(129)}${octal(1).repeat(2)}` }),
      other({ prefix: starTimes("") }),
    ),
    between(
      "bytes between the end of a prefix and its times",
      "HEADER_FORMAT",
      other({ prefix: starTimes("\0b") }),
      other({ prefix: starTimes("") }),
    ),
    between(
      "a time behind a prefix that is no number",
      "HEADER_FORMAT",
      other({ prefix: starTimes("").replace("00000000001", "0000000000x") }),
      other({ prefix: starTimes("") }),
    ),
    between("bytes after the NUL of a name", "HEADER_FORMAT", patched(9, 0x78), patched(9, 0)),
    between("bytes after the NUL of a prefix", "HEADER_FORMAT", patched(347, 0x78), patched(347, 0)),
    between(
      "padding that is not zero",
      "PADDING_NOT_ZERO",
      () => [header({ name: "a/extra", size: octal(5) }), padded("extra", 1)],
    ),
    between("padding whose last byte is not zero", "PADDING_NOT_ZERO", () => {
      const bytes = file("a/extra", "extra");
      bytes[bytes.length - 1] = 1;
      return bytes;
    }),
  ];
}

function pax(): Attack[] {
  const with_ = (records: Uint8Array | string, rest: Uint8Array = file("a/extra", "extra")) => () =>
    concatenated(extended(records), rest);
  const invalid: Readonly<Record<string, Uint8Array | string>> = {
    "a length of 0": "0 path=a/extra\n",
    "a negative length": "-16 path=a/extra\n",
    "a length that is too long": "99 path=a/extra\n",
    "a length that is too short": "9 path=a/extra\n",
    "a length that is one too short": "15 path=a/extra\n",
    "a length that is no number": "xx path=a/extra\n",
    "a length with zeros before it": "016 path=a/extra\n",
    "a length with a space before it": " 17 path=a/extra\n",
    "no length": "path=a/extra\n",
    "a length of 1e2": "1e1 path=a/extra\n",
    "a length beyond all numbers": `${text(400, "9")} path=a/extra\n`,
    "no line break": "16 path=a/extra ",
    "no =": "16 path a/extra\n",
    "no key": "12 =a/extra\n",
    "no value of path": "8 path=\n",
    "no value of size": "8 size=\n",
    "a NUL in the value": record("comment", "com\0ment"),
    "a key twice": concatenated(record("path", "a/evil"), record("path", "a/extra")),
    "a harmless key twice": concatenated(record("mtime", "1"), record("mtime", "2")),
    "a size that is not decimal": record("size", "0x5"),
    "a negative size": record("size", "-5"),
    "a size with a sign": record("size", "+5"),
    "a size with zeros before it": record("size", "005"),
    "a size with a fraction": record("size", "5.0"),
    "a size with an exponent": record("size", "5e0"),
    "a size beyond 2^53": record("size", "9007199254740993"),
    "a size that differs from the header's": record("size", "6"),
    "zeros": new Uint8Array(20),
    "something behind the records": concatenated(record("mtime", "1"), "\0\0\0"),
  };
  const forbidden: Readonly<Record<string, Uint8Array>> = {
    "linkpath": record("linkpath", "a/one.txt"),
    "GNU.sparse of 0.0": concatenated(record("GNU.sparse.size", "5"), record("GNU.sparse.numblocks", "1")),
    "GNU.sparse of 0.1": record("GNU.sparse.map", "0,5"),
    "GNU.sparse of 1.0": concatenated(record("GNU.sparse.major", "1"), record("GNU.sparse.name", "a/extra")),
    "another hdrcharset": record("hdrcharset", "ISO-IR 8859 1 1998"),
    "a SCHILY file type of a folder": record("SCHILY.filetype", "directory"),
    "a SCHILY file type of a sparse file": record("SCHILY.filetype", "sparse"),
    "a SCHILY real size": record("SCHILY.realsize", "6"),
    "a SCHILY offset": record("SCHILY.offset", "5"),
    "a Sun map of holes": record("SUN.holesdata", " 0 5"),
    "a GNU volume": record("GNU.volume.filename", "a/evil"),
    "a GNU dump of a folder": record("GNU.dumpdir", "Yextra"),
    "a vendor in small letters": record("gnu.sparse.major", "1"),
    "a vendor and no key": record("VENDOR.", "1"),
    "a vendor's key with a line break": record("VENDOR.a\nb", "1"),
    "charset": record("charset", "ISO-IR 8859 1 1998"),
    "realtime": record("realtime.x", "1"),
    "__proto__": record("__proto__", "x"),
    "constructor": record("constructor", "x"),
    "toString": record("toString", "x"),
    "Path": record("Path", "a/extra"),
  };
  const plain = () => with_(record("mtime", "1.5"))();
  return [
    ...Object.entries(invalid).map(([what, records]) =>
      between(`PAX with ${what}`, "PAX_INVALID", with_(records), plain)
    ),
    ...Object.entries(forbidden).map(([key, records]) =>
      between(`PAX with ${key}`, "PAX_FORBIDDEN", with_(records), plain)
    ),
    between("PAX with a key that is not UTF-8", "PAX_INVALID", () => {
      return with_(concatenated("7 ", Uint8Array.from([0xff]), "=aa\n"))();
    }, plain),
    between("PAX of no bytes", "PAX_INVALID", with_(""), plain),
    between(
      "PAX of no bytes before a file that reads like PAX",
      "PAX_INVALID",
      () => [extended(""), file("a/extra", record("mtime", "1")), file("a/more", "more")],
      () => concatenated(file("a/extra", record("mtime", "1")), file("a/more", "more")),
      { extra: record("mtime", "1"), more: "more" },
    ),
    between("two PAX headers in a row", "PAX_INVALID", () => [extended(record("mtime", "1")), plain()], plain),
    between(
      "two long names in a row",
      "PAX_INVALID",
      () => [longName("a/evil"), longName("a/extra"), file("a/x", "extra", GNU)],
    ),
    between(
      "PAX and a long name together",
      "PAX_INVALID",
      () => [longName("a/evil"), extended(record("path", "a/extra")), file("a/x", "extra")],
    ),
    between(
      "a long name and PAX together",
      "PAX_INVALID",
      () => [extended(record("path", "a/extra")), longName("a/evil"), file("a/x", "extra", GNU)],
    ),
    between(
      "a long name without NUL",
      "PAX_INVALID",
      () => [file("././@LongLink", "a/extra", { type: "L", ...GNU }), file("a/x", "extra", GNU)],
    ),
    between("a long name with two NULs", "PAX_INVALID", () => [longName("a/extra\0evil"), file("a/x", "extra", GNU)]),
    between("a long name that is empty", "PAX_INVALID", () => [longName(""), file("a/extra", "extra", GNU)]),
    ofTar(
      "a PAX header that belongs to nothing",
      "PAX_INVALID",
      () => tar(NOTHING, {}, concatenated(extended(record("mtime", "1")), END)),
    ),
    ofTar(
      "a long name that belongs to nothing",
      "PAX_INVALID",
      () => tar(NOTHING, {}, concatenated(longName("a/x"), END)),
    ),
    between(
      "a global header with a path",
      "PAX_FORBIDDEN",
      () => [extended(record("path", "a/x"), { type: "g" }), file("a/extra", "extra")],
    ),
    between(
      "a global header with a link",
      "PAX_FORBIDDEN",
      () => [extended(record("linkpath", "a/one.txt"), { type: "g" }), file("a/extra", "extra")],
    ),
    between(
      "PAX with a size that is meant for another header",
      "PAX_INVALID",
      () => [extended(record("size", "700")), longName("a/extra"), file("a/x", "extra", GNU)],
    ),
    between(
      "PAX with a map of many sparse segments",
      "PAX_FORBIDDEN",
      with_(record("GNU.sparse.map", "0,1,".repeat(10_000))),
      plain,
    ),
    ...["hdrcharset=BINARY", "SCHILY.filetype=file", "GNU.sparse.major=1", "SCHILY.realsize=5"].map((line) => {
      const [key = "", value = ""] = line.split("=");
      return between(
        `a global header with ${key}`,
        "PAX_FORBIDDEN",
        () => [extended(record(key, value), { type: "g" }), file("a/extra", "extra")],
        () => concatenated(extended(record("mtime", "1"), { type: "g" }), file("a/extra", "extra")),
      );
    }),
    between("an owner who is not UTF-8", "PATH_UNSAFE", with_(record("uname", Uint8Array.of(0xff))), plain),
    between(
      "a path that is not UTF-8 in a header that says so",
      "PATH_UNSAFE",
      () => [
        extended(concatenated(record("hdrcharset", "BINARY"), record("path", Uint8Array.of(0x61, 0x2f, 0xff)))),
        file("a/short", "extra"),
      ],
      () =>
        concatenated(
          extended(concatenated(record("hdrcharset", "BINARY"), record("path", "a/extra"))),
          file("a/short", "extra"),
        ),
    ),
    between(
      "a global header with a size",
      "PAX_FORBIDDEN",
      () => [extended(record("size", "5"), { type: "g" }), file("a/extra", "extra")],
    ),
    between("PAX of more than 64 KiB", "LIMIT_HEADER", with_(record("comment", text(65_536))), plain),
    between(
      "PAX of 1 GiB that is not there",
      "LIMIT_HEADER",
      () => header({ name: "x", type: "x", size: octal(2 ** 30) }),
      plain,
    ),
    between(
      "a long name of 1 GiB that is not there",
      "LIMIT_HEADER",
      () => header({ name: "x", type: "L", size: octal(2 ** 30), ...GNU }),
      plain,
    ),
  ];
}

function structure(): Attack[] {
  const body = () => sound().subarray(0, -END.length);
  return [
    whole("no byte at all", "TRUNCATED", () => NOTHING),
    whole("zeros and no compression", "COMPRESSION_UNKNOWN", () => new Uint8Array(10_240)),
    whole("text", "COMPRESSION_UNKNOWN", () => new TextEncoder().encode("This is no archive.\n".repeat(60))),
    ofTar("no end marker", "END_MARKER_MISSING", body),
    ofTar("a single zero block as end marker", "END_MARKER_MISSING", () => concatenated(body(), ZERO_BLOCK)),
    between("a zero block between files", "END_MARKER_MISSING", () => [ZERO_BLOCK, file("a/extra", "extra")]),
    ofTar("a file after the end marker", "TRAILING_DATA", () => concatenated(sound(), file("a/evil", "evil"), END)),
    ofTar("another archive after the end marker", "TRAILING_DATA", () => concatenated(sound(), sound())),
    ofTar("a byte after the end marker", "TRUNCATED", () => concatenated(sound(), "x")),
    ofTar("a zero byte after the end marker", "TRUNCATED", () => concatenated(sound(), "\0")),
    ofTar("a block of junk after the end marker", "TRAILING_DATA", () => concatenated(sound(), padded("junk"))),
    whole(
      "more than a MiB of zeros after the end marker",
      "LIMIT_BYTES",
      () => gzipSync(concatenated(sound(), new Uint8Array(2 ** 20 + 512))),
      () => gzipSync(concatenated(sound(), new Uint8Array(9 * 1024))),
    ),
    ofTar("a cut in a header", "TRUNCATED", () => sound().subarray(0, 700)),
    ofTar("a cut in a payload", "TRUNCATED", () => sound().subarray(0, 514)),
    ofTar("a cut in the padding", "TRUNCATED", () => sound().subarray(0, 1000)),
    ofTar("a cut between files", "END_MARKER_MISSING", () => sound().subarray(0, 1024)),
  ];
}

function compression(): Attack[] {
  const packed = () => gzipSync(sound());
  const changed = (index: number, value?: number) => () => {
    const bytes = Uint8Array.from(packed());
    const at = index < 0 ? bytes.length + index : index;
    bytes[at] = value ?? (bytes[at] as number) ^ 1;
    return bytes;
  };
  const half = () => {
    const bytes = sound();
    return [gzipSync(bytes.subarray(0, 1024)), gzipSync(bytes.subarray(1024))] as const;
  };
  const cut = (count: number) => () => packed().subarray(0, -count);
  const headCrc = (crc: readonly number[]) => () => {
    const bytes = packed();
    return concatenated(
      bytes.subarray(0, 3),
      Uint8Array.from([(bytes[3] ?? 0) | 2]),
      bytes.subarray(4, 10),
      Uint8Array.from(crc),
      bytes.subarray(10),
    );
  };
  const rightHeadCrc = () => {
    const bytes = headCrc([0, 0])();
    const crc = crc32(bytes.subarray(0, 10));
    bytes.set([crc & 255, crc >>> 8 & 255], 10);
    return bytes;
  };
  return [
    whole("gzip with a wrong CRC", "COMPRESSION_DAMAGED", changed(-8)),
    whole("gzip with a wrong length", "COMPRESSION_DAMAGED", changed(-4)),
    whole("gzip with a reserved flag", "COMPRESSION_DAMAGED", changed(3, 0x20)),
    whole("gzip with another method", "COMPRESSION_DAMAGED", changed(2, 7)),
    whole("gzip with a wrong header CRC", "COMPRESSION_DAMAGED", headCrc([0, 0]), rightHeadCrc),
    whole("gzip cut in its header", "TRUNCATED", () => packed().subarray(0, 5)),
    whole("gzip cut in its body", "TRUNCATED", cut(100)),
    whole("gzip without its trailer", "TRUNCATED", cut(8)),
    whole("gzip cut in its trailer", "TRUNCATED", cut(1)),
    whole("gzip with bytes behind it", "COMPRESSION_DAMAGED", () => concatenated(packed(), "junk")),
    whole(
      "gzip with more than a MiB of NULs behind it",
      "TRAILING_DATA",
      () => concatenated(packed(), new Uint8Array(2 ** 20 + 1)),
      () => concatenated(packed(), new Uint8Array(2 ** 20)),
    ),
    whole(
      "gzip with NULs between its members",
      "TRAILING_DATA",
      () => concatenated(half()[0], new Uint8Array(512), half()[1]),
      () => concatenated(...half(), new Uint8Array(512)),
    ),
    whole(
      "gzip with NULs and a byte behind them",
      "TRAILING_DATA",
      () => concatenated(packed(), new Uint8Array(10_239), "x"),
    ),
    whole("gzip cut in its trailer, with NULs behind it", "COMPRESSION_DAMAGED", () => {
      return concatenated(packed().subarray(0, -3), new Uint8Array(512));
    }),
    whole("gzip with a NUL and junk behind it", "TRAILING_DATA", () => concatenated(packed(), "\0junk")),
    whole("gzip with a NUL and another gzip behind it", "TRAILING_DATA", () => concatenated(packed(), "\0", packed())),
    whole(
      "gzip whose second member is cut",
      "TRUNCATED",
      () => concatenated(half()[0], half()[1].subarray(0, -9)),
      () => concatenated(...half()),
    ),
    whole("gzip whose second member is damaged", "COMPRESSION_DAMAGED", () => {
      const [first, second] = half();
      second[second.length - 8] = (second[second.length - 8] as number) ^ 1;
      return concatenated(first, second);
    }, () => concatenated(...half())),
    whole("gzip whose second member is half a magic", "TRUNCATED", () => concatenated(packed(), Uint8Array.of(0x1f))),
    whole("gzip in gzip", "HEADER_NUMBER", () => gzipSync(concatenated(packed(), new Uint8Array(2048)))),
    whole("raw deflate", "COMPRESSION_UNKNOWN", () => deflateRawSync(sound())),
    whole("zlib", "COMPRESSION_UNKNOWN", () => deflateSync(sound())),
    whole("two archives in two members", "TRAILING_DATA", () => concatenated(packed(), packed())),
    whole(
      "a bomb of zeros behind the end marker",
      "LIMIT_BYTES",
      () => concatenated(gzipSync(sound()), ...zeros(1024)),
    ),
    whole(
      "300,000 empty gzip members",
      "LIMIT_MEMBERS",
      () => concatenated(emptyMembers(300_000), gzipSync(sound())),
      () => concatenated(emptyMembers(1000), gzipSync(sound())),
    ),
    whole("a gzip name of 5 MiB", "LIMIT_MEMBERS", () => longGzipName(5 * 2 ** 20), () => longGzipName(2 ** 10)),
    whole(
      "gzip with a name that does not end",
      "TRUNCATED",
      () => concatenated(longGzipName(100).subarray(0, 100)),
      () => longGzipName(100),
    ),
    whole("gzip with an extra field that does not end", "TRUNCATED", () => {
      return concatenated(Uint8Array.of(0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 255, 255), packed().subarray(10, 600));
    }),
    whole("a bomb of zeros as a file that the manifest lacks", "MANIFEST_MISMATCH", () => {
      return concatenated(
        gzipSync(header({ name: "a/evil", size: octal(32 * 2 ** 20) })),
        ...zeros(32),
        gzipSync(sound()),
      );
    }),
    whole(
      "many empty files that the manifest lacks",
      "MANIFEST_MISMATCH",
      () => gzipSync(tar(Array.from({ length: isLong ? 20_000 : 1500 }, (_, index) => file(`a/${index}`, "")))),
    ),
  ];
}

function manifests(): Attack[] {
  const withManifest = (bytes: () => Uint8Array) => () =>
    concatenated(
      ...Object.entries(BASE).map(([path, content]) => file(`a/${path}`, content)),
      file("manifest.json", bytes()),
      END,
    );
  const changed = (change: (json: string) => string) =>
    withManifest(() => {
      const json = new TextDecoder().decode(manifestOf(BASE));
      return sealed(change(json.slice(0, json.lastIndexOf('\n  "digest"'))));
    });
  const { "one.txt": one, ...rest } = BASE;
  return [
    ofTar("no manifest", "MANIFEST_MISSING", () => concatenated(file("a/one.txt", "one"), END)),
    whole("no files at all", "MANIFEST_MISSING", () => gzipSync(END)),
    ofTar(
      "a manifest in a folder",
      "MANIFEST_MISSING",
      () => concatenated(file("x/a/one.txt", "one"), file("x/manifest.json", manifestOf({ "one.txt": "one" })), END),
    ),
    ofTar("an empty manifest", "MANIFEST_INVALID", withManifest(() => NOTHING)),
    ofTar("a manifest that lists more", "MANIFEST_MISMATCH", withManifest(() => manifestOf({ ...BASE, more: "" }))),
    ofTar("a manifest that lists fewer", "MANIFEST_MISMATCH", withManifest(() => manifestOf(rest))),
    ofTar(
      "a manifest that lists another",
      "MANIFEST_MISMATCH",
      withManifest(() => manifestOf({ ...rest, "other.txt": one ?? "" })),
    ),
    ofTar("a manifest of another state", "MANIFEST_MISMATCH", withManifest(() => manifestOf(BASE, "b"))),
    ofTar(
      "a manifest with another size",
      "MANIFEST_MISMATCH",
      withManifest(() => manifestOf({ ...BASE, "one.txt": "longer" })),
    ),
    ofTar(
      "a manifest with another digest",
      "SNAPSHOT_CORRUPT",
      withManifest(() => manifestOf({ ...BASE, "one.txt": "eno" })),
    ),
    ofTar(
      "a manifest with a digest line that is not its own",
      "MANIFEST_INVALID",
      withManifest(() => {
        const bytes = manifestOf(BASE).slice();
        bytes[20] = (bytes[20] as number) ^ 1;
        return bytes;
      }),
    ),
    ofTar(
      "a manifest that goes on after its digest",
      "MANIFEST_INVALID",
      withManifest(() => concatenated(manifestOf(BASE), "\n")),
    ),
    ofTar(
      "a manifest of the future",
      "FORMAT_UNSUPPORTED",
      changed((json) => json.replace(/"formatVersion": \d+/, '"formatVersion": 1000')),
    ),
    ofTar(
      "a manifest with __proto__",
      "MANIFEST_INVALID",
      changed((json) => json.replace('"parent"', '"__proto__": {"x":1},\n  "parent"')),
    ),
    ofTar(
      "a manifest with __proto__ deep down",
      "MANIFEST_INVALID",
      changed((json) => json.replace('"labels": {}', '"labels": {"metrics":{"__proto__":1}}')),
    ),
    ofTar(
      "a manifest with a path that goes up",
      "MANIFEST_INVALID",
      changed((json) => json.replace("one.txt", "../one.txt")),
    ),
    ofTar(
      "a manifest with a state that goes up",
      "MANIFEST_INVALID",
      changed((json) => json.replace('"name":"a"', '"name":".."')),
    ),
    ofTar(
      "a manifest with a name that goes up",
      "MANIFEST_INVALID",
      changed((json) => json.replace("made.state", "../made.state")),
    ),
    ofTar(
      "a manifest with totals that are no sums",
      "MANIFEST_INVALID",
      changed((json) => json.replace(/"entries":2/, '"entries":3')),
    ),
    whole("a manifest nested deep", "MANIFEST_INVALID", () => {
      const nested = `"labels": {"x":${text(200_000, "[")}${text(200_000, "]")}}`;
      return gzipSync(changed((json) => json.replace('"labels": {}', nested))());
    }),
    ofTar(
      "a manifest of another format",
      "MANIFEST_INVALID",
      changed((json) => json.replace('"format": "snapkeep"', '"format": "other"')),
    ),
    whole("a manifest of 300 MiB", "MANIFEST_INVALID", () => {
      return concatenated(
        gzipSync(header({ name: "manifest.json", size: octal(300 * 2 ** 20) })),
        ...zeros(300),
        gzipSync(END),
      );
    }),
  ];
}

/** All attacks on what a tar or its compression is. */
export const ATTACKS: readonly Attack[] = [
  ...unsafePaths(),
  ...collisions(),
  ...types(),
  ...numbers(),
  ...formats(),
  ...pax(),
  ...structure(),
  ...compression(),
  ...manifests(),
];

/** An archive that is to be read. */
export interface Harmless {
  readonly name: string;
  make(): Uint8Array;
  /** What it has beside the base. */
  readonly more: Tree;
}

/** Odd but honest: what must be read, though it looks strange. */
export const HARMLESS: readonly Harmless[] = [
  ...[
    { name: "setuid, setgid and sticky", fields: { mode: octal(0o7777, 7) } },
    { name: "no mode at all", fields: { mode: octal(0, 7) } },
    { name: "a huge owner", fields: { uid: octal(0o7777777, 7) } },
    { name: "an owner in base 256", fields: { uid: binary(4_000_000_000n, 8) } },
    { name: "a huge time", fields: { mtime: octal(0o77777777777) } },
    { name: "a time in base 256", fields: { mtime: binary(2n ** 40n) } },
    { name: "a time before 1970", fields: { mtime: binary(-5n, 12, 0xff) } },
    { name: "no time", fields: { mtime: octal(0) } },
    { name: "an owner of eight digits without an end", fields: { uid: "13343300", gid: "77777777" } },
    { name: "an owner below zero", fields: { uid: binary(-2n, 8, 0xff), gid: binary(-2n, 8, 0xff) } },
    { name: "an owner beyond 2^53", fields: { uid: binary(2n ** 55n, 8) } },
    { name: "a mode without an end", fields: { mode: "00100644" } },
    { name: "a mode below zero", fields: { mode: binary(-1n, 8, 0xff) } },
    { name: "a time without an end", fields: { mtime: "014731465473" } },
    { name: "devices in base 256", fields: { devmajor: binary(-1n, 8, 0xff), devminor: binary(300n, 8) } },
    { name: "numbers of NULs", fields: { mode: NULS, uid: NULS, gid: NULS, mtime: "\0".repeat(12) } },
    {
      name: "numbers of spaces",
      fields: { mode: SPACES, uid: SPACES, gid: SPACES, mtime: " ".repeat(12), devmajor: SPACES },
    },
    { name: "no magic, as of v7", fields: V7 },
    {
      name: "no magic, and what GNU tar writes as v7",
      fields: { ...V7, devmajor: octal(0, 7), devminor: octal(0, 7) },
    },
    { name: "no magic, and the old type of a file", fields: { ...V7, type: "\0" } },
    { name: "access times on a GNU header", fields: { ...GNU, prefix: octal(1).repeat(2) } },
    { name: "a change time on a GNU header", fields: { ...GNU, prefix: "\0".repeat(12) + octal(1) } },
    { name: "access times as of star", fields: { prefix: starTimes("") } },
    {
      name: "access times as of star, that end with spaces",
      fields: { prefix: starTimes("").replaceAll("1\0", "1 ") },
    },
    { name: "the mark of star", fields: { prefix: `${starTimes("")}${"\0".repeat(8)}tar\0` } },
    { name: "numbers with spaces before them", fields: { mode: "   644 \0", uid: "     0 \0", size: "          5 " } },
    { name: "the owner's name", fields: { owner: "root" } },
    { name: "the old type of a file", fields: { type: "\0" } },
    { name: "a GNU header", fields: GNU },
  ].map(({ name, fields }) => ({
    name,
    make: () => tar(file("a/extra", "extra", fields), { extra: "extra" }),
    more: { extra: "extra" },
  })),
  ...[
    { name: "PAX times and owners", records: [record("atime", "1.5"), record("uid", "1"), record("gname", "größe")] },
    { name: "PAX of bsdtar", records: [record("SCHILY.dev", "1"), record("LIBARCHIVE.creationtime", "1")] },
    {
      name: "PAX with extended attributes that are binary",
      records: [record("SCHILY.xattr.user.x", Uint8Array.from([0, 255, 10]))],
    },
    { name: "a PAX size that is the header's", records: [record("size", "5")] },
    { name: "PAX of SELinux", records: [record("RHT.security.selinux", "unconfined_u:object_r:user_home_t:s0\0")] },
    { name: "PAX of star", records: [record("SCHILY.filetype", "file"), record("SCHILY.nlink", "1")] },
    { name: "PAX of ACLs", records: [record("SCHILY.acl.access", "user::rw-"), record("SCHILY.acl.default", "")] },
    { name: "PAX of a vendor with a small letter", records: [record("Vendor.key", "1")] },
    { name: "PAX with the label of a volume", records: [record("GNU.volume.label", "weekly")] },
    { name: "PAX of an unknown vendor", records: [record("APK-TOOLS.checksum.SHA1", "abc")] },
    {
      name: "PAX of macOS",
      records: [record("LIBARCHIVE.xattr.com.apple.quarantine", "eA"), record("SCHILY.xattr.com.apple.x", "\0\n")],
    },
    { name: "PAX that says its names are bytes", records: [record("hdrcharset", "BINARY"), record("path", "a/extra")] },
    {
      name: "PAX that says its names are bytes, with an owner who is not UTF-8",
      records: [record("hdrcharset", "BINARY"), record("uname", Uint8Array.of(0xff)), record("path", "a/extra")],
    },
    { name: "PAX that says its names are UTF-8", records: [record("hdrcharset", "ISO-IR 10646 2000 UTF-8")] },
  ].map(({ name, records }) => ({
    name,
    make: () => tar(concatenated(extended(concatenated(...records)), file("a/extra", "extra")), { extra: "extra" }),
    more: { extra: "extra" },
  })),
  {
    name: "a folder with GNU's list of what it held",
    make: () =>
      tar([
        extended(record("GNU.dumpdir", "Yextra\0\0")),
        file("a/", "", { type: "5" }),
        file("a/extra", "extra"),
      ], { extra: "extra" }),
    more: { extra: "extra" },
  },
  {
    name: "a global header with a comment, as of git",
    make: () =>
      tar([extended(record("comment", text(40, "f")), { type: "g" }), file("a/extra", "extra")], { extra: "extra" }),
    more: { extra: "extra" },
  },
  {
    name: "a global header with times, and of star",
    make: () =>
      tar([
        extended(concatenated(record("mtime", "1"), record("SCHILY.archtype", "exustar")), { type: "g" }),
        file("a/extra", "extra"),
      ], { extra: "extra" }),
    more: { extra: "extra" },
  },
  {
    name: "a prefix with the times of star behind it",
    make: () => tar(file("extra", "extra", { prefix: starTimes("a") }), { extra: "extra" }),
    more: { extra: "extra" },
  },
  {
    name: "a folder of v7",
    make: () => tar([file("a/", "", { ...V7, type: "\0" }), file("a/extra", "extra", V7)], { extra: "extra" }),
    more: { extra: "extra" },
  },
  {
    name: "nothing but v7",
    make: () =>
      concatenated(
        ...Object.entries(BASE).map(([path, content]) => file(`a/${path}`, content, { ...V7, type: "\0" })),
        file("manifest.json", manifestOf(BASE), V7),
        END,
      ),
    more: {},
  },
  {
    name: "names that are cut within a character, where PAX or GNU has the whole",
    make: () => {
      const cut = Uint8Array.of(0x61, 0x2f, 0xc3);
      const path = `a/${text(120, "é")}`;
      return tar([
        extended(record("path", path), { name: cut }),
        file("", "extra", { name: cut }),
        longName(`a/${text(120, "ü")}`, { name: cut }),
        file("", "extra", { name: cut, ...GNU }),
      ], { [text(120, "é")]: "extra", [text(120, "ü")]: "extra" });
    },
    more: { [text(120, "é")]: "extra", [text(120, "ü")]: "extra" },
  },
  {
    name: "what desktops leave in folders",
    make: () =>
      tar(
        ["._.", "._a", ".DS_Store", "a/.DS_Store", "a/two/._two.bin", "a/two/Thumbs.db", "desktop.ini", "a/desktop.ini"]
          .map((path) => file(path, "left")),
      ),
    more: {},
  },
  {
    name: "what desktops leave in folders, in another letter case",
    make: () => tar(["Desktop.ini", "a/DESKTOP.INI", "thumbs.db", "a/.ds_store"].map((path) => file(path, "left"))),
    more: {},
  },
  {
    name: "what desktops leave in folders, where the manifest lists it",
    make: () =>
      tar([file("a/.DS_Store", "left"), file("a/two/._two.bin", ""), file("a/Thumbs.db", "t")], {
        ".DS_Store": "left",
        "two/._two.bin": "",
        "Thumbs.db": "t",
      }),
    more: { ".DS_Store": "left", "two/._two.bin": "", "Thumbs.db": "t" },
  },
  {
    name: "NULs behind gzip up to a record of 10 KiB",
    make: () => {
      const packed = gzipSync(sound());
      return concatenated(packed, new Uint8Array(10_240 - packed.length % 10_240));
    },
    more: {},
  },
  { name: "a NUL behind gzip", make: () => concatenated(gzipSync(sound()), "\0"), more: {} },
  {
    name: "a MiB of NULs behind gzip of several members",
    make: () =>
      concatenated(gzipSync(sound().subarray(0, 700)), gzipSync(sound().subarray(700)), new Uint8Array(2 ** 20)),
    more: {},
  },
  {
    name: "files called like members of objects",
    make: () =>
      tar(["__proto__", "constructor", "toString", "hasOwnProperty"].map((name) => file(`a/${name}`, name)), members()),
    more: members(),
  },
  {
    name: "folders, with and without ./",
    make: () =>
      tar([file("./", "", { type: "5" }), file("a/", "", { type: "5" }), file("./a/extra", "extra")], {
        extra: "extra",
      }),
    more: { extra: "extra" },
  },
  { name: "zeros up to a record of 10 KiB", make: () => tar(NOTHING, {}, new Uint8Array(10_240)), more: {} },
  { name: "the manifest before all else", make: manifestFirst, more: {} },
  {
    name: "landmark files and a table at the root",
    make: () => tar([file(".no.prefetch.landmark", "\x0f"), file("stargz.index.json", "{}")]),
    more: {},
  },
  {
    name: "ten thousand empty gzip members",
    make: () => concatenated(emptyMembers(10_000), gzipSync(sound())),
    more: {},
  },
  { name: "a gzip name of a MiB", make: () => longGzipName(2 ** 20), more: {} },
  { name: "a zeroed time and another system in the gzip header", make: gzipHeader, more: {} },
];

function members(): Tree {
  const entries = ["__proto__", "constructor", "toString", "hasOwnProperty"].map((name) => [name, name]);
  return Object.fromEntries(entries) as Tree;
}

function manifestFirst(): Uint8Array {
  const files = Object.entries(BASE).map(([path, content]) => file(`a/${path}`, content));
  return concatenated(file("manifest.json", manifestOf(BASE)), ...files.reverse(), END);
}

function emptyMembers(count: number): Uint8Array {
  const empty = gzipSync(NOTHING);
  const many = new Uint8Array(empty.length * count);
  for (let index = 0; index < count; index++) many.set(empty, index * empty.length);
  return many;
}

function longGzipName(length: number): Uint8Array {
  const packed = gzipSync(sound());
  const head = Uint8Array.from(packed.subarray(0, 10));
  head[3] = 8;
  return concatenated(head, text(length), "\0", packed.subarray(10));
}

function gzipHeader(): Uint8Array {
  const packed = Uint8Array.from(gzipSync(sound()));
  packed.set([1, 2, 3, 4, 2, 11], 4);
  return packed;
}
