// Who takes part: a name for the tables, what runs it, and what a reader must know to compare fairly.
import { existsSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { spawnSync } from "node:child_process";
import { bin, root } from "../run.mjs";

/**
 * @typedef {{ label: string, module: string, options?: any, note: string, runtime?: string, kind: "ours" | "npm" | "command" | "store",
 *   commands?: readonly string[] }} Contender
 */

const UNCHECKED = "no digest, no manifest";

/** @type {Record<string, Contender>} */
export const contenders = {
  ours: {
    label: "snapkeep",
    module: "snapkeep",
    kind: "ours",
    note: "SHA-256, manifest, table; buffers handed over (`owned`)",
  },
  oursCopied: {
    label: "snapkeep, buffers copied",
    module: "snapkeep",
    kind: "ours",
    options: { owned: false },
    note: "the same, but the save first copies all bytes, so that they may change at once",
  },
  oursExport: {
    label: "snapkeep, `exportTo`",
    module: "snapkeep",
    kind: "ours",
    note: "out of a directory snapshot, each file verified against its SHA-256",
  },
  oursZstd: {
    label: "snapkeep, zstd",
    module: "snapkeep",
    kind: "ours",
    runtime: "node24",
    options: { layout: "tar.zst" },
    note: "level 3, on Node 24",
  },
  oursZstdExport: {
    label: "snapkeep, `exportTo`, zstd",
    module: "snapkeep",
    kind: "ours",
    runtime: "node24",
    options: { layout: "tar.zst" },
    note: "level 3, on Node 24, each file verified",
  },
  oursDirectory: {
    label: "snapkeep, directory",
    module: "snapkeep",
    kind: "ours",
    options: { layout: "directory" },
    note: "SHA-256, manifest; every file synced",
  },
  oursDirectoryUnsynced: {
    label: "snapkeep, directory, durability none",
    module: "snapkeep",
    kind: "ours",
    options: { layout: "directory", durability: "none" },
    note: "SHA-256, manifest; nothing synced",
  },
  tarStream: {
    label: "tar-stream + node:zlib",
    module: "tar_stream",
    kind: "npm",
    note: UNCHECKED,
  },
  nodeTar: {
    label: "node-tar",
    module: "node_tar",
    kind: "npm",
    note: UNCHECKED,
  },
  tarFs: {
    label: "tar-fs + node:zlib",
    module: "tar_fs",
    kind: "npm",
    note: UNCHECKED,
  },
  modernTar: {
    label: "modern-tar + node:zlib",
    module: "modern_tar",
    kind: "npm",
    note: UNCHECKED,
  },
  archiver: {
    label: "archiver",
    module: "archiver",
    kind: "npm",
    note: UNCHECKED,
  },
  archiverZip: {
    label: "archiver, zip",
    module: "archiver",
    kind: "npm",
    options: { zip: true },
    note: "CRC-32",
  },
  yauzl: {
    label: "yauzl (zip)",
    module: "yauzl",
    kind: "npm",
    note: "CRC-32 not compared by default",
  },
  gnuGzip: {
    label: "GNU tar + gzip",
    module: "commands",
    kind: "command",
    options: { command: "gzip" },
    note: UNCHECKED,
    commands: ["tar", "gzip"],
  },
  gnuPigz: {
    label: "GNU tar + pigz",
    module: "commands",
    kind: "command",
    options: { command: "pigz" },
    note: UNCHECKED,
    commands: ["tar", "pigz"],
  },
  gnuZstd: {
    label: "GNU tar + zstd -3 -T0",
    module: "commands",
    kind: "command",
    options: { command: "zstd" },
    note: UNCHECKED,
    commands: ["tar", "zstd"],
  },
  bsdtar: {
    label: "bsdtar",
    module: "commands",
    kind: "command",
    options: { command: "bsdtar" },
    note: UNCHECKED,
    commands: ["bsdtar"],
  },
  jsonFile: {
    label: "one JSON file",
    module: "json_file",
    kind: "store",
    note: "write-file-atomic; no digest, no compression",
  },
  sqlite: {
    label: "SQLite, blobs",
    module: "sqlite",
    kind: "store",
    runtime: "node24",
    note: "node:sqlite on Node 24; no digest, no compression",
  },
  lmdb: {
    label: "LMDB",
    module: "lmdb",
    kind: "store",
    note: "lmdb-js; no digest, no compression",
  },
  cacache: {
    label: "cacache",
    module: "cacache",
    kind: "store",
    note: "SHA-512, no compression; syncs nothing, so one `sync -f` at its end",
  },
  plainFiles: {
    label: "plain files",
    module: "plain_files",
    kind: "store",
    note: "`writeFile`; no digest, not atomic, nothing synced",
  },
  plainFilesSynced: {
    label: "plain files, synced",
    module: "plain_files",
    kind: "store",
    options: { sync: true },
    note: "the same with one `sync -f`",
  },
};

/** Peers that were wanted and are not measured. */
export const absent = [
  "better-sqlite3: a native add-on whose install downloads its binary from outside the npm registry; node:sqlite stands for SQLite.",
];

const deno = bin("deno");
const further = path.join(root, "tools", "runtimes", "node_modules");

/** How each runtime is started. @type {Record<string, readonly string[]>} */
export const runtimes = {
  node: [process.execPath],
  node24: [
    path.join(further, "node24", "bin", "node"),
    "--disable-warning=ExperimentalWarning",
  ],
  bun: [bin("bun")],
  deno: [deno, "run", "-A"],
};

/** @param {string} name @returns {string | undefined} Why a runtime is not there. */
export function missingRuntime(name) {
  return existsSync(runtimes[name]?.[0] ?? "") ? undefined : `the runtime ${name} is not installed`;
}

/** @param {string} command */
const hasCommand = (command) => spawnSync("which", [command]).status === 0;

/** @param {Contender} contender @returns {string | undefined} Why it cannot take part. */
export function missing({ commands = [], runtime = "node" }) {
  const lacking = commands.filter((command) => !hasCommand(command));
  return lacking.length > 0 ? `the command ${lacking.join(" and ")} is not installed` : missingRuntime(runtime);
}
