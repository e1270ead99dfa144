// What many programs do: one JSON file, written atomically by write-file-atomic, which syncs it. Text goes in as text, other
// bytes in base64.
import { mkdir, open, readFile, rename } from "node:fs/promises";
import path from "node:path";
import writeFileAtomic from "write-file-atomic";
import { bufferOf } from "../job.mjs";
import { syncFile } from "../probes.mjs";

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

/**
 * As careful as it can be: written, synced, renamed, and the folder synced, which write-file-atomic leaves out.
 *
 * @param {import("../job.mjs").SavesJob} job
 * @returns {Promise<import("../job.mjs").Saves>}
 */
export async function saves({ program, out }) {
  await mkdir(out, { recursive: true });
  const file = path.join(out, "state.json");
  return {
    async save() {
      const weights = bufferOf(program.weightBytes).toString("base64");
      const handle = await open(`${file}.new`, "w");
      await handle.writeFile(JSON.stringify({ ...program.values, weights }));
      await handle.sync();
      await handle.close();
      await rename(`${file}.new`, file);
      await syncFile(out);
      return file;
    },
    async contents(saved) {
      const { weights, ...values } = JSON.parse(await readFile(saved, "utf8"));
      return [...Object.entries(values), ["weights", Buffer.from(weights, "base64")]];
    },
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
