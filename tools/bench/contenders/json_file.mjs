// What many programs do: one JSON file, written atomically by write-file-atomic, which syncs it. Text goes in as text, other
// bytes in base64.
import { readFile } from "node:fs/promises";
import writeFileAtomic from "write-file-atomic";
import { bufferOf } from "../job.mjs";

/** @param {string} name */
const encodingOf = (name) => name.endsWith(".f32") ? "base64" : "utf8";

/** @param {import("../job.mjs").SaveJob} job */
export function saveMemory({ entries, out }) {
  return async () => {
    /** @type {Record<string, string>} */
    const state = {};
    for (const { name, bytes } of entries) {
      state[name] = bufferOf(bytes).toString(encodingOf(name));
    }
    await writeFileAtomic(out, JSON.stringify(state));
  };
}

/** @param {string} from @returns {Promise<Record<string, string>>} */
async function parse(from) {
  return JSON.parse(await readFile(from, "utf8"));
}

/** @param {import("../job.mjs").LoadJob} job */
export function load({ from }) {
  return async () => Object.entries(await parse(from)).map(([name, text]) => Buffer.from(text, encodingOf(name)));
}

/** @param {string} from @param {string} name */
export async function readOne(from, name) {
  return Buffer.from((await parse(from))[name] ?? "", encodingOf(name));
}

/** @param {string} from */
export async function openOnce(from) {
  const state = await parse(from);
  return {
    read: async (name) => Buffer.from(state[name] ?? "", encodingOf(name)),
    close: async () => {},
  };
}
