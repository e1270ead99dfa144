// The targets, each compared with what was measured.
import { amount, time } from "./figures.mjs";
import { counted, medianOf } from "./report.mjs";

const MIB = 2 ** 20;

/** @typedef {{ what: string, wanted: string, measured: string, held: boolean | undefined }} Target */

/**
 * @param {Record<string, any>} results
 * @param {any[]} costs
 * @returns {Target[]} Those whose groups were measured.
 */
export function targetsOf(results, costs) {
  /** @type {Target[]} */
  const targets = [];
  /** @param {string} group @param {string} id @param {number} [nth] */
  const row = (group, id, nth = 0) => results[group]?.rows.filter((candidate) => candidate.id === id)[nth];
  /** @param {any} found */
  const seconds = (found) => found === undefined ? undefined : medianOf(found, "seconds");
  /** @param {string} group @param {readonly string[]} [among] */
  const fastestPeer = (group, among) =>
    results[group]?.rows.filter(({ id, kind, runs }) => runs.length > 0 && (among?.includes(id) ?? kind === "npm"))
      .sort((a, b) => (seconds(a) ?? 0) - (seconds(b) ?? 0))[0];
  /**
   * @param {string} what @param {string} wanted @param {readonly (number | undefined)[]} needed
   * @param {() => { measured: string, held: boolean }} judge
   */
  const target = (what, wanted, needed, judge) => {
    if (needed.every((value) => value === undefined)) return;
    const isMeasured = needed.every((value) => value !== undefined);
    targets.push({
      what,
      wanted,
      ...isMeasured ? judge() : { measured: "", held: undefined },
    });
  };
  /** @param {string} what @param {number} least @param {any} ours @param {any} peer @param {(row: any) => number | undefined} [of] */
  const faster = (what, least, ours, peer, of = seconds) => {
    const [mine, theirs] = [ours && of(ours), peer && of(peer)];
    target(what, `at least ${least}x`, [mine, theirs], () => {
      const factor = theirs / mine;
      return {
        measured: `${factor.toFixed(2)}x (${time(mine)} to ${time(theirs)}, ${peer.label})`,
        held: factor >= least,
      };
    });
  };

  for (const [source, id] of [["memory", "ours"], ["folder", "oursExport"]]) {
    const group = `mixed-${source}`;
    const [ours, peer] = [row(group, id ?? ""), fastestPeer(group)];
    faster(
      `Save mixed from ${source === "memory" ? "memory" : "a folder"}, equal level: the fastest npm peer`,
      1.7,
      ours,
      peer,
    );
    const [mine, theirs] = [
      ours && medianOf(ours, "bytes"),
      peer && medianOf(peer, "bytes"),
    ];
    target("... size beside that peer's", "within 1 %", [mine, theirs], () => ({
      measured: `${(100 * (mine / theirs - 1)).toFixed(2)} %`,
      held: mine / theirs <= 1.01,
    }));
  }
  faster(
    "Save mixed from a folder, equal level: GNU tar + pigz",
    1,
    row("mixed-folder", "oursExport"),
    row("mixed-folder", "gnuPigz"),
  );

  const defaults = row("mixed-defaults", "ours");
  const fitting = fastestPeer("mixed-defaults");
  const what = "Save mixed, our defaults: the fastest npm peer at the fastest level whose output is not larger";
  target(what, "at least 3x (aim: 5x)", [seconds(defaults)], () => {
    const size = amount(medianOf(defaults, "bytes"));
    if (fitting === undefined) {
      return {
        measured: `no peer fits into our ${size} at any level`,
        held: true,
      };
    }
    const factor = (seconds(fitting) ?? 0) / (seconds(defaults) ?? 1);
    const peer = `${fitting.label} at level ${fitting.job.level}, ${amount(medianOf(fitting, "bytes"))} to our ${size}`;
    return {
      measured: `${factor.toFixed(2)}x (${time(seconds(defaults))} to ${time(seconds(fitting))}, ${peer})`,
      held: factor >= 3,
    };
  });

  const gnuZstd = seconds(row("mixed-folder", "gnuZstd"));
  for (
    const ours of results["mixed-folder"]?.rows.filter(({ id }) => id === "oursZstdExport") ?? []
  ) {
    const mine = seconds(ours);
    target(
      `Save mixed from a folder: ${ours.label}: GNU tar + zstd -3 -T0`,
      "within 1.3x",
      [mine, gnuZstd],
      () => ({
        measured: `${((mine ?? 0) / (gnuZstd ?? 1)).toFixed(2)}x (${time(mine)} to ${time(gnuZstd)})`,
        held: (mine ?? 0) / (gnuZstd ?? 1) <= 1.3,
      }),
    );
  }

  faster(
    "Save small from memory: the fastest npm peer from memory (aim: 4x)",
    3,
    row("small-memory", "ours"),
    fastestPeer("small-memory"),
  );
  const exported = row("small-folder", "oursExport");
  faster("Save small from a folder, equal level: the fastest npm peer", 2.5, exported, fastestPeer("small-folder"));
  faster("Save small from a folder, equal level: GNU tar + gzip", 1, exported, row("small-folder", "gnuGzip"));
  for (
    const [what, most, group, ours, peer] of /** @type {const} */ ([
      [
        "Save small as a directory, nothing synced: plain files",
        1.3,
        "stores-small",
        "oursDirectoryUnsynced",
        "plainFiles",
      ],
      ["Load all of small from a directory, verified: plain files", 1.2, "load-small", "oursDirectory", "plainFiles"],
      ["A usual save as a directory, synced: one JSON file", 1.3, "usual", "oursDirectory", "jsonFile"],
    ])
  ) {
    const [mine, theirs] = [seconds(row(group, ours)), seconds(row(group, peer))];
    target(what, `within ${most}x`, [mine, theirs], () => {
      const factor = (mine ?? 0) / (theirs ?? 1);
      return { measured: `${factor.toFixed(2)}x (${time(mine)} to ${time(theirs)})`, held: factor <= most };
    });
  }
  const small = costs.find(({ workload }) => workload === "small");
  for (
    const [what, part, most] of [["payload members", "payloadBytes", 1.03], [
      "whole file",
      "fileBytes",
      1.2,
    ]]
  ) {
    target(
      `Small, ${what}: one gzip -6 stream`,
      `within ${Math.round((most - 1) * 100)} %`,
      [small?.[part]],
      () => ({
        measured: `${(100 * (small[part] / small.plainBytes - 1)).toFixed(1)} %`,
        held: small[part] / small.plainBytes <= most,
      }),
    );
  }

  for (
    const [workload, least, most] of [
      ["mixed", 50, 2],
      ["small", 4, undefined],
      ["giant", 200, 0.5],
    ]
  ) {
    const [ours, peer] = [
      row(`read-${workload}`, "ours"),
      row(`read-${workload}`, "tarStream"),
    ];
    faster(
      `Read one entry of ${workload}, first in its process: tar-stream`,
      least,
      ours,
      peer,
    );
    faster(
      "... again, in a running program",
      least,
      ours,
      peer,
      (found) => medianOf(found, "againSeconds"),
    );
    if (most === undefined) continue;
    const read = ours && counted(ours);
    target(`... bytes read`, `under ${most} %`, [read?.bytes], () => {
      const share = 100 * read.bytes / (medianOf(ours, "bytes") ?? 1);
      return {
        measured: `${share.toFixed(2)} % in ${read.reads} reads`,
        held: share < most,
      };
    });
  }

  for (const workload of ["mixed", "small"]) {
    const peer = fastestPeer(`load-${workload}`, [
      "tarStream",
      "modernTar",
      "nodeTar",
    ]);
    faster(
      `Load all of ${workload}, verified: the fastest npm peer, which verifies nothing`,
      1.5,
      row(`load-${workload}`, "ours"),
      peer,
    );
  }

  const peaks = [
    ["Peak growth saving big, owned", row("big-memory", "ours")],
    ["Peak growth saving a large stream", row("stream", "ours", 2)],
  ];
  for (const [what, found] of peaks) {
    const peak = found &&
      Math.max(...found.runs.map(({ peakBytes }) => peakBytes));
    target(
      what,
      "under 128 MiB",
      [peak],
      () => ({
        measured: `${Math.round(peak / MIB)} MiB`,
        held: peak < 128 * MIB,
      }),
    );
  }
  for (
    const [what, group] of [["saving", "stream"], ["loading", "stream-load"]]
  ) {
    const found = row(group, "ours");
    const stall = found &&
      Math.max(...found.runs.map(({ stallMs }) => stallMs));
    target(
      `Longest stall of the event loop while ${what} a stream`,
      "below 50 ms",
      [stall],
      () => ({
        measured: `${stall.toFixed(1)} ms`,
        held: stall < 50,
      }),
    );
  }
  return targets;
}
