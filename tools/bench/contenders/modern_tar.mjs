// modern-tar, after its README: web streams from memory, node streams for folders.
import { createReadStream, createWriteStream } from "node:fs";
import path from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import { createTarDecoder, unpackTar } from "modern-tar";
import { packTar } from "modern-tar/fs";
import { STATE } from "../inputs.mjs";
import { bufferOf, gather } from "../job.mjs";
import { syncFile } from "../probes.mjs";

/** @param {import("../job.mjs").SaveJob} job */
export function saveMemory({ entries, out, level }) {
  return async () => {
    const sources = entries.map(({ name, bytes }) => ({
      type: /** @type {const} */ ("content"),
      content: bufferOf(bytes),
      target: `${STATE}/${name}`,
    }));
    await pipeline(
      packTar(sources),
      createGzip({ level }),
      createWriteStream(out),
    );
    await syncFile(out);
  };
}

/** @param {import("../job.mjs").SaveJob} job */
export function saveFolder({ folder, out, level }) {
  return async () => {
    await pipeline(
      packTar(path.join(folder, STATE)),
      createGzip({ level }),
      createWriteStream(out),
    );
    await syncFile(out);
  };
}

// Its README reads files in pieces of 256 KiB.
const READ = { highWaterMark: 256 * 1024 };

/** @param {string} from */
function expanded(from) {
  return Readable.toWeb(createReadStream(from, READ).pipe(createGunzip()));
}

/** @param {import("../job.mjs").LoadJob} job */
export function load({ from }) {
  return async () => (await unpackTar(expanded(from))).flatMap(({ data }) => data === undefined ? [] : [data]);
}

/** Reads until the entry was found, and no further. @param {string} from @param {string} name */
export async function readOne(from, name) {
  for await (const entry of expanded(from).pipeThrough(createTarDecoder())) {
    if (entry.header.name === `${STATE}/${name}`) {
      return await gather(entry.body);
    }
    await entry.body.cancel();
  }
  throw new Error(`there is no ${name}`);
}
