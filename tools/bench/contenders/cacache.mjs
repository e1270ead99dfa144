// cacache, after its README. It hashes (SHA-512) and verifies, and syncs nothing: the sync of the file system is ours.
import cacache from "cacache";
import { execFileSync } from "node:child_process";
import { bufferOf } from "../job.mjs";

const AT_ONCE = 16;

/** @param {import("../job.mjs").SaveJob} job */
export function saveMemory({ entries, out }) {
  return async () => {
    for (let start = 0; start < entries.length; start += AT_ONCE) {
      await Promise.all(
        entries.slice(start, start + AT_ONCE).map(({ name, bytes }) => cacache.put(out, name, bufferOf(bytes))),
      );
    }
    execFileSync("sync", ["-f", out]);
  };
}

/** @param {import("../job.mjs").LoadJob} job */
export function load({ from }) {
  return async () => {
    const names = Object.keys(await cacache.ls(from));
    const loaded = [];
    for (let start = 0; start < names.length; start += AT_ONCE) {
      const some = await Promise.all(
        names.slice(start, start + AT_ONCE).map((name) => cacache.get(from, name)),
      );
      loaded.push(...some.map(({ data }) => data));
    }
    return loaded;
  };
}

/** @param {string} from @param {string} name */
export async function readOne(from, name) {
  return (await cacache.get(from, name)).data;
}
