// tar-fs with node:zlib, after its README. It takes folders, no bytes in memory.
import { createWriteStream } from "node:fs";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import tar from "tar-fs";
import { STATE } from "../inputs.mjs";
import { syncFile } from "../probes.mjs";

/** @param {import("../job.mjs").SaveJob} job */
export function saveFolder({ folder, out, level }) {
  return async () => {
    await pipeline(
      tar.pack(path.join(folder, STATE)),
      createGzip({ level }),
      createWriteStream(out),
    );
    await syncFile(out);
  };
}
