// LMDB by lmdb-js, after its README: a put that resolved is durable.
import { open } from "lmdb";
import { bufferOf } from "../job.mjs";

/** @param {import("../job.mjs").SaveJob} job */
export function saveMemory({ entries, out }) {
  return async () => {
    const database = open(out, { encoding: "binary" });
    await Promise.all(
      entries.map(({ name, bytes }) => database.put(name, bufferOf(bytes))),
    );
    await database.flushed;
    return () => database.close();
  };
}

/** @param {import("../job.mjs").LoadJob} job */
export function load({ from }) {
  return async () => {
    const database = open(from, { encoding: "binary", readOnly: true });
    const loaded = [...database.getRange()].map(({ value }) => value);
    await database.close();
    return loaded;
  };
}

/** @param {string} from */
export async function openOnce(from) {
  const database = open(from, { encoding: "binary", readOnly: true });
  return {
    read: async (name) => database.get(name),
    close: () => database.close(),
  };
}

/** @param {string} from @param {string} name */
export async function readOne(from, name) {
  const { read, close } = await openOnce(from);
  const bytes = await read(name);
  await close();
  return bytes;
}
