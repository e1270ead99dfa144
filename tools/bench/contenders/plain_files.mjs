// Files written with node:fs: no digest, no manifest, not atomic. The floor of what a folder of files costs.
import { execFileSync } from "node:child_process";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";

const AT_ONCE = 8;

/** @param {import("../job.mjs").SaveJob} job */
export function saveMemory({ entries, out, options }) {
  return async () => {
    await mkdir(out);
    for (let start = 0; start < entries.length; start += AT_ONCE) {
      await Promise.all(
        entries.slice(start, start + AT_ONCE).map(({ name, bytes }) => writeFile(path.join(out, name), bytes)),
      );
    }
    if (options?.sync) execFileSync("sync", ["-f", out]);
  };
}

/** @param {import("../job.mjs").LoadJob} job */
export function load({ from }) {
  return async () => {
    const names = await readdir(from);
    const loaded = [];
    for (let start = 0; start < names.length; start += AT_ONCE) {
      loaded.push(
        ...await Promise.all(
          names.slice(start, start + AT_ONCE).map((name) => readFile(path.join(from, name))),
        ),
      );
    }
    return loaded;
  };
}
