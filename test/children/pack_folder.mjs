// @ts-nocheck the packers bring no types
// Packs a folder into a .tar.gz by one of the tar writers that people use on npm. Runs on Node, whatever runs the tests.
import { createWriteStream } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";

const [kind, folder, archive] = process.argv.slice(2);

async function* files() {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const full = path.join(entry.parentPath ?? entry.path, entry.name);
    if (entry.isFile()) yield { name: path.relative(folder, full), body: await readFile(full) };
  }
}

const packers = {
  async "tar"() {
    const tar = await import("tar");
    await tar.c({ gzip: true, file: archive, cwd: folder }, ["."]);
  },
  async "tar, portable"() {
    const tar = await import("tar");
    await tar.c({ gzip: true, file: archive, cwd: folder, portable: true }, await readdir(folder));
  },
  async "tar-fs"() {
    const { pack } = await import("tar-fs");
    await pipeline(pack(folder), createGzip(), createWriteStream(archive));
  },
  async "tar-stream"() {
    const { pack } = await import("tar-stream");
    const packing = pack();
    const writing = pipeline(packing, createGzip(), createWriteStream(archive));
    for await (const { name, body } of files()) {
      await new Promise((resolve, reject) =>
        packing.entry({ name }, body, (error) => error ? reject(error) : resolve())
      );
    }
    packing.finalize();
    await writing;
  },
  async "archiver"() {
    const archiver = await import("archiver");
    const packing = archiver.TarArchive === undefined
      ? archiver.default("tar", { gzip: true })
      : new archiver.TarArchive({ gzip: true });
    const writing = pipeline(packing, createWriteStream(archive));
    packing.directory(folder, false);
    await packing.finalize();
    await writing;
  },
  async "modern-tar"() {
    const { packTar } = await import("modern-tar");
    const entries = [];
    for await (const { name, body } of files()) entries.push({ header: { name, size: body.length }, body });
    await pipeline(Readable.from([await packTar(entries)]), createGzip(), createWriteStream(archive));
  },
  async "modern-tar of a folder"() {
    const { packTar } = await import("modern-tar/fs");
    await pipeline(packTar(folder), createGzip(), createWriteStream(archive));
  },
};
await packers[kind]();
