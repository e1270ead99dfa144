// What reading is measured on: archives, folders and databases of the inputs. Ours are made anew in every run, those of
// others only once.
import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import path from "node:path";

/** What makes a fixture, and how. @type {Record<string, { id: string, job?: object, source?: "folder" }>} */
const makers = {
  "ours.tar.gz": { id: "ours" },
  "ours.tar.zst": { id: "oursZstd" },
  ours: { id: "oursDirectory" },
  "plain.tar.gz": { id: "gnuGzip", source: "folder" },
  oursOlder: { id: "oursDirectoryUnsynced", job: { operation: "saves", times: 60 } },
  "plain.zip": { id: "archiverZip", job: { level: 6 } },
};

export class Fixtures {
  #folder;
  #measure;
  #fresh = new Set();

  /**
   * @param {string} folder
   * @param {(id: string, job: object) => Promise<any>} measure Runs a job.
   */
  constructor(folder, measure) {
    this.#folder = folder;
    this.#measure = measure;
  }

  /**
   * @param {string} input Folder of the input; its name is part of the fixture's.
   * @param {string} name
   * @returns {Promise<string>} Where it lies.
   */
  async get(input, name) {
    const target = path.join(this.#folder, path.basename(input), name);
    const isOurs = name.startsWith("ours");
    if (this.#fresh.has(target) || (!isOurs && existsSync(target))) {
      return target;
    }
    await mkdir(path.dirname(target), { recursive: true });
    const making = path.join(path.dirname(target), `making-${name}`);
    for (const stale of [target, making]) {
      await rm(stale, { recursive: true, force: true });
    }
    const { id, job = {}, source = "memory" } = makers[name] ?? { id: name };
    await this.#measure(id, {
      operation: "save",
      source,
      folder: input,
      out: making,
      ...job,
    });
    await rename(making, target);
    this.#fresh.add(target);
    return target;
  }
}
