// What was measured on: without it a number says nothing.
import { execFileSync, spawnSync } from "node:child_process";
import os from "node:os";
import { missingRuntime, runtimes } from "./contenders.mjs";

/** @param {string} command @param {readonly string[]} args @returns {string} The first line it prints. */
function firstLine(command, args) {
  const { stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  return (stdout || stderr || "").split("\n")[0]?.trim() ?? "";
}

/** @param {string} folder Where it is measured. @returns {[string, string][]} */
export function machineFacts(folder) {
  const cpus = os.cpus();
  const [fileSystem, device] = execFileSync("df", ["--output=fstype,source", folder], { encoding: "utf8" })
    .trim().split("\n").at(-1)?.split(/\s+/) ?? [];
  const versions = Object.entries(runtimes).filter(([name]) => missingRuntime(name) === undefined).map((
    [, [command]],
  ) =>
    firstLine(command ?? "", ["--version"]).replace(/^v/, "Node ").replace(
      /^(?=\d)/,
      "Bun ",
    ).replace(/^deno ([\d.]+).*/, "Deno $1")
  );
  const tools = [["tar"], ["gzip"], ["pigz"], ["zstd"], ["bsdtar"]].map((
    [command = ""],
  ) =>
    firstLine(command, ["--version"]).replace(
      /^.*Zstandard.* v([\d.]+).*/,
      "zstd $1",
    )
  )
    .filter((line) => line !== "");
  return [
    [
      "Cores",
      `${os.availableParallelism()} (${cpus[0]?.model.trim() ?? "unknown"})`,
    ],
    ["Memory", `${(os.totalmem() / 2 ** 30).toFixed(1)} GiB`],
    ["System", `${os.type()} ${os.release()} ${os.arch()}`],
    ["File system", `${fileSystem} on ${device}`],
    ["Runtimes", versions.join(", ")],
    ["Commands", tools.join("; ")],
    ["Load before", os.loadavg().map((load) => load.toFixed(2)).join(", ")],
  ];
}
