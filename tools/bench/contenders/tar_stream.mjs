// tar-stream with node:zlib, after its README.
import { createReadStream, createWriteStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import tar from "tar-stream";
import { STATE } from "../inputs.mjs";
import { bufferOf, gather } from "../job.mjs";
import { syncFile } from "../probes.mjs";

/** @param {import("../job.mjs").SaveJob} job */
export function saveMemory({ entries, out, level }) {
  return async () => {
    const pack = tar.pack();
    const written = pipeline(
      pack,
      createGzip({ level }),
      createWriteStream(out),
    );
    for (const { name, bytes } of entries) {
      // With its callback, or all entries would wait in memory.
      await new Promise((resolve, reject) =>
        pack.entry(
          { name: `${STATE}/${name}` },
          bufferOf(bytes),
          (error) => error ? reject(error) : resolve(undefined),
        )
      );
    }
    pack.finalize();
    await written;
    await syncFile(out);
  };
}

/** @param {import("../job.mjs").SaveJob} job */
export function saveFolder({ folder, out, level }) {
  return async () => {
    const pack = tar.pack();
    const written = pipeline(
      pack,
      createGzip({ level }),
      createWriteStream(out),
    );
    for (const name of (await readdir(path.join(folder, STATE))).sort()) {
      const file = path.join(folder, STATE, name);
      const { size, mtime } = await stat(file);
      await pipeline(
        createReadStream(file),
        pack.entry({ name: `${STATE}/${name}`, size, mtime }),
      );
    }
    pack.finalize();
    await written;
    await syncFile(out);
  };
}

/** @param {string} from */
function extractor(from) {
  const extract = tar.extract();
  const piped = pipeline(createReadStream(from), createGunzip(), extract);
  piped.catch(() => {}); // the loop gets it, too
  return extract;
}

/** @param {import("../job.mjs").LoadJob} job */
export function load({ from }) {
  return async () => {
    const loaded = [];
    for await (const entry of extractor(from)) {
      if (entry.header.type === "file") loaded.push(await gather(entry));
      else entry.resume();
    }
    return loaded;
  };
}

/** Reads until the entry was found, and no further. @param {string} from @param {string} name */
export async function readOne(from, name) {
  const extract = extractor(from);
  for await (const entry of extract) {
    if (entry.header.name === `${STATE}/${name}`) return await gather(entry);
    entry.resume();
  }
  throw new Error(`there is no ${name}`);
}

/** Saves a stream as one entry. @param {{ folder: string, source: () => AsyncIterable<Uint8Array>, sizeBytes: number }} job */
export async function saveStream({ folder, source, sizeBytes }) {
  const out = path.join(folder, "stream.tar.gz");
  const pack = tar.pack();
  const written = pipeline(
    pack,
    createGzip({ level: 6 }),
    createWriteStream(out),
  );
  await pipeline(
    source,
    pack.entry({ name: `${STATE}/stream.bin`, size: sizeBytes }),
  );
  pack.finalize();
  await written;
  await syncFile(out);
  return out;
}

/** @param {string} from */
export async function loadStream(from) {
  let bytes = 0;
  for await (const entry of extractor(from)) {
    for await (const chunk of entry) bytes += chunk.length;
  }
  return bytes;
}
