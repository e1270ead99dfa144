// Tables out of results: docs/benchmarks.md.
import { absent } from "./contenders.mjs";
import { amount, median, time } from "./figures.mjs";
import { targetsOf } from "./targets.mjs";

const GUARD =
  "`npm run bench -- --guard` runs six of these comparisons in under three minutes, and CI fails if one is lost. It measures ours and a " +
  "peer in turns, each sample in a process of its own, and divides the median of the peer's times by the median of ours. " +
  "`tools/bench/guard.json` has the least ratio of each case, a little below the ratio of a quiet machine. Our output may have 1.05 " +
  "times the bytes of the peer's, unless the case has a limit of its own there. The guard also reads back the output of both and " +
  "compares it with the input. It measures a slow case again, once, before it fails.";

/** @param {any} row @param {string} field @returns {number | undefined} */
export function medianOf(row, field) {
  return median(row.runs.map((run) => run[field]));
}

/** @param {number | undefined} bytes */
const mebibytes = (bytes) => bytes === undefined ? "" : `${Math.round(bytes / 2 ** 20)} MiB`;

/** @param {readonly (readonly string[])[]} rows */
function table(rows) {
  const [head = [], ...body] = rows;
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [
    line(head),
    line(
      head.map((_, index) => index === 0 || index === head.length - 1 ? "---" : "---:"),
    ),
    ...body.map(line),
  ].join("\n");
}

/** @type {Record<string, { head: string, cell: (row: any, group: any) => string }>} */
const columns = {
  input: { head: "input", cell: (row) => mebibytes(row.job?.streamBytes) },
  seconds: { head: "median", cell: (row) => time(medianOf(row, "seconds")) },
  speed: {
    head: "MB/s",
    cell: (row) =>
      ((row.job?.inputBytes ?? row.job?.streamBytes) /
        (medianOf(row, "seconds") ?? Number.NaN) / 1e6).toFixed(0),
  },
  size: { head: "stored", cell: (row) => amount(medianOf(row, "bytes")) },
  ratio: {
    head: "time to ours",
    cell: (row, group) =>
      ((medianOf(row, "seconds") ?? Number.NaN) /
        (medianOf(group.rows[0], "seconds") ?? Number.NaN)).toFixed(2),
  },
  peak: {
    head: "peak memory",
    cell: (row) => row.kind === "command" ? "" : `+${mebibytes(medianOf(row, "peakBytes"))}`,
  },
  stall: {
    head: "longest stall",
    cell: (row) => time(Math.max(...row.runs.map(({ stallMs }) => stallMs)) / 1000),
  },
  first: { head: "first", cell: (row) => time(medianOf(row, "seconds")) },
  again: { head: "again", cell: (row) => time(medianOf(row, "againSeconds")) },
  open: { head: "open", cell: (row) => time(medianOf(row, "openSeconds")) },
  reads: {
    head: "reads",
    cell: (row) => counted(row)?.reads?.toString() ?? "",
  },
  read: {
    head: "bytes read",
    cell: (row) => row.id === "lmdb" ? "mapped" : amount(counted(row)?.bytes),
  },
  share: {
    head: "of the file",
    cell: (row) => percent(counted(row)?.bytes, medianOf(row, "bytes")),
  },
  captureFirst: {
    head: "first save",
    cell: (row) => time((medianOf(row, "firstMs") ?? Number.NaN) / 1000),
  },
  captureAgain: {
    head: "second save",
    cell: (row) => time((medianOf(row, "againMs") ?? Number.NaN) / 1000),
  },
};

// node:fs was watched; what these read they read past it, and the system counted bytes.
const UNWATCHED = new Set(["sqlite", "jsonFile", "cacache"]);

/** @param {any} row @returns {{ reads?: number, bytes: number } | undefined} What it read for one entry. */
export function counted(row) {
  const { read, systemReadBytes } = row.runs[0] ?? {};
  if (row.id === "lmdb") return undefined;
  return UNWATCHED.has(row.id) ? systemReadBytes === undefined ? undefined : { bytes: systemReadBytes } : read;
}

/** @param {number | undefined} part @param {number | undefined} whole */
function percent(part, whole) {
  return part === undefined || whole === undefined ? "" : `${(100 * part / whole).toFixed(2)} %`;
}

/** @param {any} group */
function section(group) {
  const rows = [[
    "",
    ...group.columns.map((name) => columns[name]?.head ?? name),
    "note",
  ]];
  for (const row of group.rows) {
    if (row.runs.length === 0) {
      rows.push([
        row.label,
        ...group.columns.map(() => ""),
        row.missing ?? "",
      ]);
    } else {rows.push([
        row.label,
        ...group.columns.map((name) => columns[name]?.cell(row, group) ?? ""),
        row.note,
      ]);}
  }
  return [`### ${group.title}`, group.about, table(rows)].filter((part) => part !== "").join("\n\n");
}

/** @param {any[]} costs */
function costSection(costs) {
  const share = (part, whole) => `${amount(part)} (${(100 * part / whole).toFixed(2)} %)`;
  return [
    "## What the table and the manifest cost",
    "One gzip archive of ours, taken apart, beside `tar` and `gzip -6` of the same files. Digests are random bytes in hex: they do not " +
    "compress below half, and each entry has one in the manifest and two in the table.",
    table([
      ["", ...costs.map(({ workload }) => workload), ""],
      ["Entries", ...costs.map(({ entries }) => String(entries)), ""],
      ["Members", ...costs.map(({ members }) => String(members)), ""],
      ["Whole file", ...costs.map(({ fileBytes }) => amount(fileBytes)), ""],
      [
        "Payload, headers",
        ...costs.map((cost) => share(cost.payloadBytes, cost.fileBytes)),
        "",
      ],
      [
        "Manifest",
        ...costs.map((cost) => share(cost.manifestBytes, cost.fileBytes)),
        "",
      ],
      [
        "Table",
        ...costs.map((cost) => share(cost.tableBytes, cost.fileBytes)),
        "",
      ],
      [
        "`tar`, `gzip -6`",
        ...costs.map(({ plainBytes }) => amount(plainBytes)),
        "",
      ],
      [
        "Payload to that",
        ...costs.map((cost) => (cost.payloadBytes / cost.plainBytes).toFixed(3)),
        "",
      ],
      [
        "Whole file to that",
        ...costs.map((cost) => (cost.fileBytes / cost.plainBytes).toFixed(3)),
        "",
      ],
    ]),
  ].join("\n\n");
}

/**
 * @param {{ facts: [string, string][], results: Record<string, any>, costs: any[], objectStore?: string[][][] | undefined, size: string, repeat: number, minutes: number }} run
 * @returns {string}
 */
export function renderReport({ facts, results, costs, objectStore, size, repeat, minutes }) {
  const targets = targetsOf(results, costs);
  const parts = [
    "# Benchmarks",
    "Generated by `npm run bench`, in one run, except the last part. Edit `tools/bench`, not this file." +
    (size === "full" ? "" : "\n\n**Small inputs: this says whether the benchmark works, not how fast anything is.**"),
    table([
      ["Measured on", ""],
      ...facts,
      ["Repetitions", `${repeat}, medians`],
      ["Took", `${minutes.toFixed(0)} min`],
    ]),
    "## How it is measured",
    [
      "- Same input, made from a fixed seed; every measurement is a process of its own, and contenders take turns.",
      "- Inputs lie in memory, or in the page cache, before the clock starts; starting the process and importing do not count.",
      "- Same durability: the clock stops when the output was synced. Ours syncs file and folder; for npm peers and commands that write " +
      "one file the benchmark syncs it; SQLite, LMDB and write-file-atomic sync by themselves.",
      "- Ours includes a SHA-256 of every entry, the manifest and the table. No tar peer has digests or a manifest.",
      "- Peers are used as their documentation says; the code is in `tools/bench/contenders`.",
      "- MB/s is input per second. Peak memory is the growth of the process' peak (`VmHWM`) since just before the save or load, so beyond an " +
      "input in memory; commands run in processes of their own and are not counted.",
      `- Not measured: ${absent.join(" ")}`,
    ].join("\n"),
    "```sh\nnpm ci\nnpm run bench                       # installs the peers into tools/bench; about an hour\nnpm run bench -- --quick            # small inputs, to see that it works\nnpm run bench -- --only read-small  # some of it; prints instead of writing\nnpm run bench -- --guard            # six ratios, each compared with its least\n```",
    GUARD,
    "pigz, zstd and bsdtar come from the system (`apt-get install pigz zstd libarchive-tools`); what is missing is skipped and named.",
  ];
  if (targets.length > 0) {
    parts.push(
      "## Targets",
      table([
        ["target", "wanted", "measured", "held"],
        ...targets.map(({ what, wanted, measured, held }) => [
          what,
          wanted,
          measured,
          held === undefined ? "not measured" : held ? "yes" : "**no**",
        ]),
      ]),
    );
  }
  parts.push("## Results", ...Object.values(results).map(section));
  if (costs.length > 0) parts.push(costSection(costs));
  if (objectStore !== undefined) {
    parts.push(
      "### An object store",
      "Ceph's gateway on the same machine, in memory, and the bare AWS client beside it. Ratios are the client's time over ours.",
      ...objectStore.map(table),
    );
  }
  return `${parts.join("\n\n")}\n`;
}
