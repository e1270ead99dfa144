// Makes tars byte by byte, sound ones and broken ones: every field of a header can be set to anything. Nothing of the
// library is used for the tar; the manifest is the library's own, unless a test writes its text itself.
import { createHash } from "node:crypto";
import { sealManifest } from "../../src/manifest/manifest.ts";
import type { WrittenEntry } from "../../src/model/snapshot.ts";
import { contentOf, INSTANT_MS, type Tree } from "./content.ts";

/** A header's fields, as text or bytes, exactly as they are to stand there. */
export interface Header {
  readonly name?: string | Uint8Array;
  readonly mode?: string | Uint8Array;
  readonly uid?: string | Uint8Array;
  readonly gid?: string | Uint8Array;
  readonly size?: string | Uint8Array;
  readonly mtime?: string | Uint8Array;
  readonly type?: string;
  readonly link?: string;
  readonly magic?: string;
  readonly owner?: string;
  readonly devmajor?: string | Uint8Array;
  readonly devminor?: string | Uint8Array;
  readonly prefix?: string | Uint8Array;
  /** Instead of the right one. */
  readonly checksum?: string;
}

const FIELDS = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  type: [156, 1],
  link: [157, 100],
  magic: [257, 8],
  owner: [265, 32],
  devmajor: [329, 8],
  devminor: [337, 8],
  prefix: [345, 167],
} as const;

export const BLOCK = 512;

/** The end marker, and a block of it. */
export const ZERO_BLOCK: Uint8Array = new Uint8Array(BLOCK);
export const END: Uint8Array = new Uint8Array(2 * BLOCK);

export function concatenated(...parts: readonly (Uint8Array | string)[]): Uint8Array<ArrayBuffer> {
  const chunks = parts.map(contentOf);
  const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.length;
  }
  return whole;
}

/** Bytes and the padding to whole blocks. */
export function padded(content: Uint8Array | string, filler = 0): Uint8Array<ArrayBuffer> {
  const bytes = contentOf(content);
  const whole = new Uint8Array(Math.ceil(bytes.length / BLOCK) * BLOCK).fill(filler);
  whole.set(bytes);
  return whole;
}

export const octal = (value: number, digits = 11): string => `${value.toString(8).padStart(digits, "0")}\0`;

/** GNU's base 256, with any first byte. */
export function binary(value: bigint, length = 12, first = 0x80): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = length - 1, rest = value; index > 0; index--, rest >>= 8n) bytes[index] = Number(rest & 255n);
  bytes[0] = first;
  return bytes;
}

/** One header block, its checksum right unless it is given. */
export function header(fields: Header): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(BLOCK);
  const defaults = {
    mode: octal(0o644, 7),
    uid: octal(0, 7),
    gid: octal(0, 7),
    size: octal(0),
    mtime: octal(Math.floor(INSTANT_MS / 1000)),
    type: "0",
    magic: "ustar\x0000",
  };
  for (const [key, value] of Object.entries({ ...defaults, ...fields })) {
    if (key === "checksum") continue;
    const [offset, length] = FIELDS[key as keyof typeof FIELDS];
    const bytes = contentOf(value as string | Uint8Array);
    if (bytes.length > length) throw new RangeError(`"${key}" does not fit into a header`);
    block.set(bytes, offset);
  }
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.set(contentOf(fields.checksum ?? `${octal(sum, 6)} `), 148);
  return block;
}

/** A file: header, payload, padding. */
export function file(name: string, content: Uint8Array | string, fields: Header = {}): Uint8Array<ArrayBuffer> {
  const bytes = contentOf(content);
  return concatenated(header({ name, size: octal(bytes.length), ...fields }), padded(bytes));
}

/** A PAX record with its right length. */
export function record(key: string, value: Uint8Array | string): Uint8Array<ArrayBuffer> {
  const rest = concatenated(` ${key}=`, value, "\n");
  let length = rest.length;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return concatenated(String(length), rest);
}

/** An extended header, of PAX unless it is given another type. */
export function extended(content: Uint8Array | string, fields: Header = {}): Uint8Array<ArrayBuffer> {
  return file("PaxHeaders/x", content, { type: "x", ...fields });
}

/** GNU's long name. */
export function longName(name: Uint8Array | string, fields: Header = {}): Uint8Array<ArrayBuffer> {
  return file("././@LongLink", concatenated(name, "\0"), { type: "L", magic: "ustar  \0", ...fields });
}

/** What an entry is in a manifest. */
export function written(state: string, path: string, content: Uint8Array | string): WrittenEntry {
  const digest = `sha256:${createHash("sha256").update(content).digest("hex")}` as const;
  return { state, path, sizeBytes: contentOf(content).length, digest };
}

/** The manifest of a state "a" that has a tree of files. */
export function manifestOf(tree: Tree, state = "a"): Uint8Array {
  const facts = {
    name: "made.state",
    savedAt: new Date(INSTANT_MS),
    states: [{ name: state, version: 1 }],
    parent: null,
    labels: {},
  };
  return sealManifest(facts, Object.entries(tree).map(([path, content]) => written(state, path, content))).bytes;
}

/** A manifest of any text, with the digest line it must end with. */
export function sealed(body: string): Uint8Array {
  const digest = createHash("sha256").update(body).digest("hex");
  return contentOf(`${body}\n  "digest": "sha256:${digest}"\n}\n`);
}
