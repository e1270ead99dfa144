// archiver, after its README: tar with its own gzip, and the zip files that others read.
import { createWriteStream } from "node:fs";
import path from "node:path";
import { once } from "node:events";
import { TarArchive, ZipArchive } from "archiver";
import { STATE } from "../inputs.mjs";
import { bufferOf } from "../job.mjs";
import { syncFile } from "../probes.mjs";

/** @param {any} archive @param {string} out @param {() => void} fill */
async function write(archive, out, fill) {
  const output = createWriteStream(out);
  const closed = once(output, "close");
  archive.on("error", (error) => output.destroy(error));
  archive.pipe(output);
  fill();
  await archive.finalize();
  await closed;
  await syncFile(out);
}

/** @param {import("../job.mjs").SaveJob} job */
function archiveOf({ level, options }) {
  return options?.zip ? new ZipArchive({ zlib: { level } }) : new TarArchive({ gzip: true, gzipOptions: { level } });
}

/** @param {import("../job.mjs").SaveJob} job */
export function saveMemory(job) {
  return async () => {
    const archive = archiveOf(job);
    await write(archive, job.out, () => {
      for (const { name, bytes } of job.entries) {
        archive.append(bufferOf(bytes), { name: `${STATE}/${name}` });
      }
    });
  };
}

/** @param {import("../job.mjs").SaveJob} job */
export function saveFolder(job) {
  return async () => {
    const archive = archiveOf(job);
    await write(
      archive,
      job.out,
      () => archive.directory(path.join(job.folder, STATE), STATE),
    );
  };
}
