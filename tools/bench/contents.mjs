// One digest of many entries, whatever their order, so that an input, an archive of it and what a process loaded compare.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import tar from "tar-stream";
import { STATE } from "./inputs.mjs";
import { gather } from "./job.mjs";

/** @typedef {readonly [name: string, bytes: Uint8Array]} Content A name is empty where only the bytes are known. */

/** @param {Iterable<Content> | AsyncIterable<Content>} contents @returns {Promise<string>} */
export async function digestOf(contents) {
  const lines = [];
  for await (const [name, bytes] of contents) {
    lines.push(`${createHash("sha256").update(bytes).digest("hex")}  ${name}\n`);
  }
  return createHash("sha256").update(lines.sort().join("")).digest("hex");
}

/** @param {string} folder Of an input. @returns {AsyncGenerator<Content>} */
export async function* contentsOfFolder(folder) {
  for (const name of await readdir(path.join(folder, STATE))) {
    yield [name, await readFile(path.join(folder, STATE, name))];
  }
}

/** Reads with tar-stream, also what snapkeep wrote. @param {string} file A gzip archive. @returns {AsyncGenerator<Content>} */
export async function* contentsOfArchive(file) {
  const extract = tar.extract();
  const piped = pipeline(createReadStream(file), createGunzip(), extract);
  piped.catch(() => {}); // the loop throws it, too
  for await (const entry of extract) {
    const { name, type } = entry.header;
    if (type === "file" && name.startsWith(`${STATE}/`)) {
      yield [name.slice(STATE.length + 1), await gather(entry)];
    } else entry.resume();
  }
  await piped;
}
