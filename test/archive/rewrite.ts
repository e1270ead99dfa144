// Puts another table, or other files, into an archive that is sound else: what points into a file is hostile input too.
import { Buffer } from "node:buffer";
import { gzipSync } from "node:zlib";
import { checkEstargz } from "./estargz_checker.ts";
import { footer, FOOTER_BYTES } from "./footer.ts";
import { concatenated, END, file, type Header, manifestOf } from "./tar_maker.ts";
import { contentOf, sha256 } from "./samples.ts";

/** The table as a tar entry with the end of the tar, compressed. */
export function tableMember(json: string, name = "stargz.index.json", fields: Header = {}): Uint8Array {
  return gzipSync(concatenated(file(name, json, fields), END));
}

const tables = new WeakMap<Uint8Array, { offset: number; json: string }>();

/** Where the table's member begins, and its JSON. */
export function tableOf(archive: Uint8Array): { offset: number; json: string } {
  const known = tables.get(archive) ?? findTable(archive);
  tables.set(archive, known);
  return known;
}

function findTable(archive: Uint8Array): { offset: number; json: string } {
  const { tar, members } = checkEstargz(archive);
  const { offset, tarOffset } = members.at(-2) as { offset: number; tarOffset: number };
  const sizeBytes = Number.parseInt(new TextDecoder().decode(tar.subarray(tarOffset + 124, tarOffset + 135)), 8);
  return { offset, json: new TextDecoder().decode(tar.subarray(tarOffset + 512, tarOffset + 512 + sizeBytes)) };
}

/** The archive with another table, all else being right. */
export function withTable(archive: Uint8Array, change: (json: string) => string): Uint8Array {
  const { offset, json } = tableOf(archive);
  return Buffer.concat([archive.subarray(0, offset), tableMember(change(json)), archive.subarray(-FOOTER_BYTES)]);
}

/** The archive with other bytes in the place of its table's member. */
export function withTableMember(archive: Uint8Array, member: Uint8Array): Uint8Array {
  return Buffer.concat([archive.subarray(0, tableOf(archive).offset), member, archive.subarray(-FOOTER_BYTES)]);
}

/** The archive with another footer. */
export function withFooter(archive: Uint8Array, tableOffset: number): Uint8Array {
  return Buffer.concat([archive.subarray(0, -FOOTER_BYTES), footer(tableOffset)]);
}

/** A file of an archive that {@link assembled} makes. */
export interface Part {
  readonly path: string;
  /** What the tar holds. */
  readonly content: Uint8Array | string;
  /** What manifest and table say it holds, if that differs. */
  readonly told?: Uint8Array | string;
  /** What the table says how long it is, if that differs. */
  readonly toldBytes?: number;
  /** Whether manifest and table leave it out. */
  readonly isHidden?: boolean;
}

/** The manifest of parts, as far as they are shown. */
function manifestOfParts(parts: readonly Part[]): Uint8Array {
  const shown = parts.filter(({ isHidden }) => !isHidden);
  return manifestOf(Object.fromEntries(shown.map(({ path, content, told }) => [path, told ?? content])));
}

/** An eStargz archive of the state "a", each payload in a member of its own, made without the library. */
export function assembled(parts: readonly Part[], manifest: Uint8Array = manifestOfParts(parts)): Uint8Array {
  const chunks: Uint8Array[] = [];
  const rows: object[] = [];
  let offset = 0;
  let pending: Uint8Array = new Uint8Array();
  const flush = (bytes: Uint8Array) => {
    const member = gzipSync(bytes);
    chunks.push(member);
    offset += member.length;
  };
  for (
    const { path, content, told = content, toldBytes = contentOf(told).length, isHidden } of [
      ...parts.map((part) => ({ ...part, path: `a/${part.path}` })),
      { path: "manifest.json", content: manifest },
    ] as Part[]
  ) {
    const entry = file(path, content);
    flush(concatenated(pending, entry.subarray(0, 512)));
    const digest = `sha256:${sha256(contentOf(told))}`;
    const row = {
      name: path,
      type: "reg",
      size: toldBytes,
      modtime: "2026-02-03T04:05:06Z",
      mode: 420,
      digest,
    };
    if (!isHidden) rows.push({ ...row, offset, chunkDigest: digest });
    pending = entry.subarray(512);
  }
  flush(pending);
  chunks.push(tableMember(JSON.stringify({ version: 1, entries: rows })), footer(offset));
  return Buffer.concat(chunks);
}
