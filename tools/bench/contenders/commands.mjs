// The commands of the system: GNU tar alone and with compressors, bsdtar.
import { spawn } from "node:child_process";
import { open } from "node:fs/promises";
import { STATE } from "../inputs.mjs";
import { syncFile } from "../probes.mjs";

/** @param {string} line @param {number | "ignore"} output */
async function shell(line, output = "ignore") {
  const child = spawn("bash", ["-o", "pipefail", "-c", line], {
    stdio: ["ignore", output, "inherit"],
  });
  const code = await new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
  if (code !== 0) throw new Error(`"${line}" ended with ${code}`);
}

/** @type {Record<string, (level: number | undefined) => string>} */
const COMPRESSORS = {
  gzip: (level) => `gzip -${level ?? 6}`,
  pigz: (level) => `pigz -${level ?? 6}`,
  zstd: (level) => `zstd -q -c -${level ?? 3} -T0`,
};

/** @param {import("../job.mjs").SaveJob} job */
export function saveFolder({ folder, out, level, options }) {
  const line = options.command === "bsdtar"
    ? `bsdtar -C '${folder}' --options gzip:compression-level=${level ?? 6} -czf - ${STATE}`
    : `tar -C '${folder}' --sort=name -cf - ${STATE} | ${COMPRESSORS[options.command]?.(level)}`;
  return async () => {
    const handle = await open(out, "w");
    await shell(line, handle.fd);
    await handle.close();
    await syncFile(out);
  };
}

/** Expands into nothing, which is all a command can do towards memory. @param {import("../job.mjs").LoadJob} job */
export function load({ from }) {
  return async () => {
    await shell(`tar -xzOf '${from}' > /dev/null`);
    return [];
  };
}
