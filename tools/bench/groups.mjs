// What is measured: groups of contenders that do the same with the same input.

/**
 * @typedef {{ id: string, job?: any, label?: string, note?: string, fittingLevel?: string }} Row A contender, and what is special
 *   about its part; `fittingLevel` names the group that found its level.
 * @typedef {{ title: string, about: string, operation: string, workload?: string, source?: "memory" | "folder", level?: number,
 *   rows: readonly Row[], once?: boolean, times?: number, columns: readonly string[] }} Group `times` more repetitions than others.
 */

const RUNTIMES = [["node", "Node 20"], ["node24", "Node 24"], ["bun", "Bun"], [
  "deno",
  "Deno",
]];
const ZSTD_RUNTIMES = RUNTIMES.slice(1); // Node 20 has no zstd
const MEMORY_PEERS = ["tarStream", "modernTar", "archiver"];
const FOLDER_PEERS = ["nodeTar", "tarFs", "modernTar", "tarStream", "archiver"];
const COMMANDS = ["gnuGzip", "gnuPigz", "bsdtar", "gnuZstd"];
const LEVELS = [1, 2, 3, 4, 5, 6, 7, 8, 9];
const ONE_RUN = " One run each.";
const SAVES = { times: 20, warmUp: 5 };
const SAVE_COLUMNS = ["seconds", "speed", "size", "ratio", "peak"];
const LOAD_COLUMNS = ["seconds", "speed", "size", "ratio", "peak"];
const READ_COLUMNS = [
  "first",
  "again",
  "open",
  "ratio",
  "reads",
  "read",
  "share",
];

/** @param {readonly string[]} ids @returns {Row[]} */
const rows = (ids) => ids.map((id) => ({ id }));

/** @param {string} workload @param {string} what @param {{ once?: boolean }} [options] @returns {Record<string, Group>} */
function saves(workload, what, { once = false } = {}) {
  return {
    [`${workload}-memory`]: {
      title: `Save ${workload} from memory`,
      about: `${what}, one file, gzip level 6 unless the row says zstd.${once ? ONE_RUN : ""}`,
      once,
      operation: "save",
      workload,
      source: "memory",
      level: 6,
      rows: [
        ...rows(["ours", "oursCopied", ...MEMORY_PEERS]),
        { id: "oursZstd", job: { level: 3 } },
      ],
      columns: SAVE_COLUMNS,
    },
    [`${workload}-folder`]: {
      title: `Save ${workload} from a folder`,
      about: `The same as files in one folder; gzip level 6 unless the row says zstd.${once ? ONE_RUN : ""}`,
      once,
      operation: "save",
      workload,
      source: "folder",
      level: 6,
      rows: [
        { id: "oursExport", job: { directory: "ours" } },
        {
          id: "ours",
          label: "snapkeep, a state that reads the files",
          note: "SHA-256, manifest, table",
        },
        ...rows([...FOLDER_PEERS, ...COMMANDS.slice(0, 3)]),
        { id: "gnuZstd", job: { level: 3 } },
        ...ZSTD_RUNTIMES.map(([runtime, label]) => ({
          id: "oursZstdExport",
          label: `snapkeep, \`exportTo\`, zstd, ${label}`,
          note: "level 3, each file verified",
          job: { directory: "ours", level: 3, runtime },
        })),
      ],
      columns: SAVE_COLUMNS,
    },
  };
}

/** A contender that reads a fixture. @param {string} id @param {string} fixture @param {object} [more] */
const from = (id, fixture, more = {}) => ({ id, job: { fixture }, ...more });

/** The first contenders of every group that reads. */
const readRows = [
  from("ours", "ours.tar.gz", { label: "snapkeep, gzip archive", note: "SHA-256 compared" }),
  from("oursZstd", "ours.tar.zst", { label: "snapkeep, zstd archive", note: "SHA-256 compared; Node 24" }),
  from("oursDirectory", "ours", { note: "SHA-256 compared" }),
  from("tarStream", "plain.tar.gz"),
  from("modernTar", "plain.tar.gz"),
];

/** @param {string} workload @param {string} what @param {readonly string[]} stores @returns {Record<string, Group>} */
function reads(workload, what, stores) {
  return {
    [`read-${workload}`]: {
      title: `Read one entry out of ${workload}`,
      about:
        `${what}; the entry in the middle. "First" opens and reads as the first thing a process does (nothing compiled yet; the ` +
        'file is in the page cache), "again" does the same over in a running program, "open" reads other entries through a reader that stays open.',
      operation: "read",
      workload,
      times: workload === "giant" ? 1 : 3,
      rows: [
        ...readRows,
        from("nodeTar", "plain.tar.gz", {
          note: "no digest; reads on to the end",
        }),
        from("yauzl", "plain.zip"),
        ...stores.map((id) => from(id, id)),
      ],
      columns: READ_COLUMNS,
    },
  };
}

/** @param {string} workload @returns {Record<string, Group>} */
function loads(workload) {
  return {
    [`load-${workload}`]: {
      title: `Load all of ${workload}`,
      about: "Every entry into memory. Ours verifies the whole snapshot before it hands over the first byte.",
      operation: "load",
      workload,
      rows: [
        ...readRows,
        from("nodeTar", "plain.tar.gz"),
        from("yauzl", "plain.zip"),
        from("gnuGzip", "plain.tar.gz", {
          label: "GNU tar",
          note: "into /dev/null",
        }),
        ...["jsonFile", "sqlite", "lmdb", "cacache"].map((id) => from(id, id)),
        from("plainFiles", "plainFiles"),
      ],
      columns: LOAD_COLUMNS,
    },
  };
}

/** @param {string} workload @returns {Record<string, Group>} */
function stores(workload) {
  return {
    [`stores-${workload}`]: {
      title: `Instead of snapshots: save ${workload}`,
      about:
        "What programs use to keep their state; each with its own durability. None of them compresses as used here.",
      operation: "save",
      workload,
      source: "memory",
      rows: [
        {
          id: "ours",
          label: "snapkeep, gzip archive",
          note: "SHA-256, manifest, table; default level",
        },
        ...rows([
          "oursDirectory",
          "oursDirectoryUnsynced",
          "jsonFile",
          "sqlite",
          "lmdb",
          "cacache",
          "plainFiles",
          "plainFilesSynced",
        ]),
      ],
      columns: SAVE_COLUMNS,
    },
  };
}

/** @param {string} id @param {object} job @param {readonly (readonly string[])[]} [among] */
const onRuntimes = (id, job, among = RUNTIMES) =>
  among.map(([runtime, label]) => ({
    id,
    label: `${label}`,
    note: "",
    job: { ...job, runtime },
  }));

/** @type {Record<string, Group>} */
export const groups = {
  ...saves("mixed", "Entries that are half float32 noise, half JSON lines"),
  "mixed-levels": {
    title: "npm peers at every level, mixed from memory",
    about:
      "To find the level at which a peer is fastest without being larger than ours with its defaults. One run each.",
    operation: "save",
    workload: "mixed",
    source: "memory",
    once: true,
    rows: [
      { id: "ours", note: "defaults" },
      ...MEMORY_PEERS.flatMap((id) => LEVELS.map((level) => ({ id, note: `level ${level}`, job: { level } }))),
    ],
    columns: ["seconds", "size"],
  },
  "mixed-defaults": {
    title: "Save mixed from memory, with our defaults",
    about:
      "What a call without options does, beside each npm peer at the fastest level whose output is not larger than ours.",
    operation: "save",
    workload: "mixed",
    source: "memory",
    rows: [
      ...rows(["ours", "oursCopied"]),
      ...MEMORY_PEERS.map((id) => ({ id, fittingLevel: "mixed-levels" })),
    ],
    columns: SAVE_COLUMNS,
  },
  ...saves("small", "Entries of 4 KiB JSON"),
  ...saves("big", "One entry of float32 noise", { once: true }),
  ...stores("mixed"),
  ...stores("small"),
  ...reads("mixed", "Entries of 2 MiB", [
    "jsonFile",
    "sqlite",
    "lmdb",
    "cacache",
  ]),
  ...reads("small", "Entries of 4 KiB", [
    "jsonFile",
    "sqlite",
    "lmdb",
    "cacache",
  ]),
  ...reads("giant", "Entries of 2 MiB, 1 GiB in all", ["sqlite", "lmdb"]),
  ...loads("mixed"),
  ...loads("small"),
  usual: {
    title: "A usual save",
    about:
      "Five JSON values of 10 KB and 256 KiB of floats, again and again: the median of 15 saves after 5. Ours lies beside 60 older snapshots.",
    operation: "saves",
    times: 3,
    rows: [
      { id: "oursDirectory", job: SAVES },
      { id: "oursDirectoryUnsynced", job: SAVES },
      { id: "ours", label: "snapkeep, gzip archive", note: "SHA-256, manifest, table; synced", job: SAVES },
      { id: "jsonFile", note: "written, synced and renamed, and its folder synced; no digest", job: SAVES },
    ],
    columns: ["seconds", "size", "ratio"],
  },
  stream: {
    title: "Memory, and the event loop, while a stream is saved",
    about:
      'One entry that comes as a stream of float32 noise. "Stall" is the longest time between two turns of a 1 ms timer loop.' +
      ONE_RUN,
    operation: "stream",
    once: true,
    rows: [
      {
        id: "ours",
        label: "snapkeep",
        note: "SHA-256, manifest, table",
        job: { streamBytes: "loop", isSized: true },
      },
      {
        id: "ours",
        label: "snapkeep, size unknown",
        note: "spooled first, for a tar header tells the size",
        job: { streamBytes: "loop", isSized: false },
      },
      { id: "tarStream", job: { streamBytes: "loop", isSized: true } },
      {
        id: "ours",
        label: "snapkeep, large",
        note: "",
        job: { streamBytes: "large", isSized: true },
      },
    ],
    columns: ["input", "seconds", "speed", "stall", "peak"],
  },
  "stream-load": {
    title: "Memory, and the event loop, while a stream is loaded",
    about: "The same entry read back as a stream. Ours reads it twice: once to verify it, once for the program.",
    operation: "loadStream",
    rows: [
      {
        id: "ours",
        label: "snapkeep",
        note: "SHA-256 compared, before and while",
        job: { fixture: "stream/ours" },
      },
      { id: "tarStream", job: { fixture: "stream/tarStream" } },
    ],
    columns: ["input", "seconds", "speed", "stall", "peak"],
  },
  capture: {
    title: "How long a save holds its caller",
    about:
      "Bytes handed over without `owned` are copied before `saveState` returns its promise: the price of one instant. Buffers are kept for the next save.",
    operation: "capture",
    workload: "mixed",
    rows: [{ id: "ours", label: "snapkeep", note: "bytes copied, layout directory" }],
    columns: ["captureFirst", "captureAgain"],
  },
  "runtimes-mixed": {
    title: "Ours on other runtimes: save mixed from memory, gzip with defaults",
    about: "",
    operation: "save",
    workload: "mixed",
    source: "memory",
    rows: onRuntimes("ours", {}),
    columns: SAVE_COLUMNS,
  },
  "runtimes-mixed-zstd": {
    title: "Ours on other runtimes: save mixed from memory, zstd with defaults",
    about: "Node 20 has no zstd.",
    operation: "save",
    workload: "mixed",
    source: "memory",
    rows: onRuntimes("oursZstd", {}, ZSTD_RUNTIMES),
    columns: SAVE_COLUMNS,
  },
  "runtimes-small": {
    title: "Ours on other runtimes: save small from memory",
    about: "",
    operation: "save",
    workload: "small",
    source: "memory",
    rows: onRuntimes("ours", {}),
    columns: SAVE_COLUMNS,
  },
  "runtimes-load": {
    title: "Ours on other runtimes: load all of mixed, gzip",
    about: "",
    operation: "load",
    workload: "mixed",
    rows: onRuntimes("ours", { fixture: "ours.tar.gz" }),
    columns: LOAD_COLUMNS,
  },
  "runtimes-read": {
    title: "Ours on other runtimes: read one entry out of small, gzip",
    about: "",
    operation: "read",
    workload: "small",
    rows: onRuntimes("ours", { fixture: "ours.tar.gz" }),
    columns: ["first", "again", "open", "ratio"],
  },
};

/** How many bytes streams have. */
export const streamBytes = {
  full: { loop: 2 ** 30, large: 4 * 2 ** 30 },
  quick: { loop: 64 * 2 ** 20, large: 128 * 2 ** 20 },
};
