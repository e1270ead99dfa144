// yauzl, after its README: zip files have an index, so one entry can be read by itself.
import { openPromise } from "yauzl";
import { STATE } from "../inputs.mjs";
import { gather } from "../job.mjs";

/** @param {import("../job.mjs").LoadJob} job */
export function load({ from }) {
  return async () => {
    const loaded = [];
    const zip = await openPromise(from);
    for await (const entry of zip.eachEntry()) {
      if (!entry.fileName.endsWith("/")) {
        loaded.push(await gather(await zip.openReadStreamPromise(entry)));
      }
    }
    return loaded;
  };
}

/** @param {string} from @param {string} name */
export async function readOne(from, name) {
  const zip = await openPromise(from, { autoClose: false });
  try {
    for await (const entry of zip.eachEntry()) {
      if (entry.fileName === `${STATE}/${name}`) {
        return await gather(await zip.openReadStreamPromise(entry));
      }
    }
  } finally {
    zip.close();
  }
  throw new Error(`there is no ${name}`);
}

/** @param {string} from */
export async function openOnce(from) {
  const zip = await openPromise(from, { autoClose: false });
  const entries = new Map();
  for await (const entry of zip.eachEntry()) entries.set(entry.fileName, entry);
  return {
    read: async (name) =>
      await gather(
        await zip.openReadStreamPromise(entries.get(`${STATE}/${name}`)),
      ),
    close: async () => zip.close(),
  };
}
