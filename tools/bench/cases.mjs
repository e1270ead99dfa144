// What the guard measures: the same input, ours and a peer that does the same with it at the same level.

/**
 * @typedef {{ about: string, operation: "save" | "load" | "read" | "saves", workload?: "small" | "mixed",
 *   source?: "memory" | "folder", level?: number, ours: import("./groups.mjs").Row, peer: import("./groups.mjs").Row,
 *   rounds?: number }} Case `rounds` at least, where times vary much.
 */

/** @type {Record<string, Case>} */
export const cases = {
  "small-memory": {
    about: "10,000 entries of 4 KiB from memory into a gzip archive, level 6",
    operation: "save",
    workload: "small",
    source: "memory",
    level: 6,
    ours: { id: "ours" },
    peer: { id: "tarStream" },
  },
  "small-folder": {
    about: "a directory snapshot of the same entries into a gzip archive, level 6",
    operation: "save",
    workload: "small",
    source: "folder",
    level: 6,
    ours: { id: "oursExport", job: { directory: "ours" } },
    peer: { id: "nodeTar" },
  },
  "small-load": {
    about: "the same entries into memory, out of each one's own gzip archive; ours verifies them",
    operation: "load",
    workload: "small",
    ours: { id: "ours", job: { fixture: "ours.tar.gz" } },
    peer: { id: "nodeTar", job: { fixture: "tarStream" } },
    rounds: 7,
  },
  "mixed-memory": {
    about:
      "100 entries of 2 MiB, half floats and half JSON lines, from memory that is copied, into a gzip archive, level 6",
    operation: "save",
    workload: "mixed",
    source: "memory",
    level: 6,
    ours: { id: "oursCopied" },
    peer: { id: "tarStream" },
  },
  "mixed-entry": {
    about: "the middle one of those entries, out of each one's own gzip archive",
    operation: "read",
    workload: "mixed",
    ours: { id: "ours", job: { fixture: "ours.tar.gz" } },
    peer: { id: "tarStream", job: { fixture: "tarStream" } },
  },
  "usual-save": {
    about:
      "five JSON values of 10 KB and 256 KiB of floats, synced, again and again: a directory beside 60 older snapshots, " +
      "or one JSON file; the median of 15 saves after 5",
    operation: "saves",
    ours: { id: "oursDirectory", job: { times: 20, warmUp: 5 } },
    peer: { id: "jsonFile", job: { times: 20, warmUp: 5 } },
  },
};
