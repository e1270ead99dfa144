// node-tar (the package `tar`), after its README. It takes files, no bytes in memory.
import { c, t } from "tar";
import { STATE } from "../inputs.mjs";
import { syncFile } from "../probes.mjs";

/** @param {import("../job.mjs").SaveJob} job */
export function saveFolder({ folder, out, level }) {
  return async () => {
    await c({ file: out, cwd: folder, gzip: { level } }, [STATE]);
    await syncFile(out);
  };
}

/** @param {import("../job.mjs").LoadJob} job */
export function load({ from }) {
  return async () => {
    /** @type {Promise<Uint8Array>[]} */
    const reading = [];
    await t({
      file: from,
      onReadEntry: (entry) => void (entry.type === "File" && reading.push(entry.concat())),
    });
    return await Promise.all(reading);
  };
}

/** @param {string} from @param {string} name */
export async function readOne(from, name) {
  /** @type {Promise<Uint8Array> | undefined} */
  let reading;
  await t({
    file: from,
    onReadEntry: (entry) => void (reading = entry.concat()),
  }, [`${STATE}/${name}`]);
  if (reading === undefined) throw new Error(`there is no ${name}`);
  return await reading;
}
