// The proofs: which files each has, and how much it looks at in `npm test` and in `npm run prove`. This is the one place that
// says so: tests read their amounts here, through `amount` of test/torture/budget.ts.
//
// `npm test` runs every proof in its short form, and `npm run prove` in its long form. The environment chooses:
//   SNAPKEEP_PROVE=1             the long form of all amounts
//   SNAPKEEP_TASTE=1             as in `npm test` of all files: each runtime has a share of the tests that take long
//   SNAPKEEP_CRASH_TREES=1000    one amount, whatever the form: SNAPKEEP_<PROOF>_<AMOUNT>
import process from "node:process";

/**
 * An amount is a number, or two where one runtime does the bulk of the work: on Node, and on Bun and Deno.
 *
 * @typedef {number | readonly [node: number, others: number]} Amount
 * @typedef {{ short: Amount, long: Amount, what: string }} Measure
 * @typedef {{ group: string, about: string, files: readonly string[], measures: Readonly<Record<string, Measure>>,
 *   isWholeByFile?: true }} Proof With `isWholeByFile`, the short form is that of `npm test` of all files: a run of chosen files
 *   has the long one.
 */

/** An amount that is limited by another one, such as a time. */
export const ANY = 2 ** 32;

/** @type {Readonly<Record<string, Proof>>} */
export const proofs = {
  crash: {
    group: "durability",
    about: "the power fails at every call of every operation, on a file system in memory",
    files: ["test/torture/crash_loop.test.ts"],
    measures: { trees: { short: 300, long: [20_000, 3000], what: "trees that a crash leaves" } },
  },
  faults: {
    group: "durability",
    about: "every call fails, with every errno, in every operation",
    files: ["test/faults/system_calls.test.ts", "test/faults/backend_calls.test.ts"],
    measures: {
      errnos: {
        short: 1,
        long: 5,
        what: "errnos; with fewer than 5 each call site fails once, in the first operation that has it",
      },
    },
  },
  kill: {
    group: "durability",
    about: "kill -9 at any moment, over one store or ledger",
    files: ["test/faults/kill.test.ts", "test/faults/ledger_kill.test.ts"],
    measures: { kills: { short: 3, long: 15, what: "kills" } },
  },
  calls: {
    group: "durability",
    about: "the program dies at every system call, or the call fails, on the real kernel",
    files: ["test/torture/system_calls.test.ts"],
    measures: {
      most: { short: 1, long: 80, what: "the last call of each kind that is struck" },
      stride: { short: 1, long: [1, 6], what: "every how many calls one is struck" },
    },
  },
  disk: {
    group: "durability",
    about: "the disk fills up, of bytes and of inodes",
    files: ["test/torture/full_disk.test.ts"],
    measures: { step: { short: 396, long: 48, what: "KiB from one size of a disk to the next" } },
  },
  power: {
    group: "durability",
    about: "the power fails, on real file systems",
    files: ["test/torture/power_loss.test.ts"],
    measures: {
      ext4: { short: [3, 1], long: [200, 20], what: "points on ext4" },
      bare: { short: 1, long: [10, 5], what: "points on ext4 without delayed allocation's help" },
      xfs: { short: 1, long: [10, 5], what: "points on XFS" },
      btrfs: { short: 1, long: [20, 5], what: "points on btrfs" },
      ledger: { short: [2, 1], long: [50, 5], what: "points on each of them, of a ledger" },
    },
  },
  programs: {
    group: "durability",
    about: "many programs share one store, and some die",
    files: ["test/torture/many_programs.test.ts"],
    measures: {
      writers: { short: 3, long: 8, what: "programs that save; half as many read, and a quarter remove" },
      saves: { short: 12, long: 25, what: "saves of each writer" },
    },
  },
  store: {
    group: "durability",
    about: "an object store fails at every request or is killed, and programs race for its names",
    files: [
      "test/s3/conformance.test.ts",
      "test/s3/every_request.test.ts",
      "test/s3/killed.test.ts",
      "test/s3/race.test.ts",
    ],
    measures: {
      stride: { short: [9, 21], long: [2, 6], what: "every how many requests of an operation one is struck" },
      kills: { short: 1, long: [8, 3], what: "kills of the server at random moments" },
      racers: { short: 2, long: [4, 3], what: "programs that race" },
      races: { short: 4, long: 20, what: "names they race for" },
    },
  },
  model: {
    group: "model",
    about: "a store behaves as a Map, whatever is done to it",
    files: ["test/sequences/store.test.ts"],
    measures: {
      runs: { short: [40, 20], long: [800, 300], what: "sequences of commands" },
      seed: { short: 1, long: 1, what: "where the random begins" },
    },
  },
  laws: {
    group: "model",
    about: "the laws of retention hold for random histories and rules",
    files: ["test/retention/laws.test.ts"],
    measures: { share: { short: 20, long: 100, what: "percent of the random cases" } },
  },
  overlap: {
    group: "model",
    about: "calls that overlap at random moments tear no snapshot, and lose none",
    files: ["test/sequences/overlap.test.ts"],
    measures: {
      runs: { short: [30, 15], long: [600, 200], what: "sequences of calls" },
      seed: { short: 1, long: 1, what: "where the random begins" },
    },
  },
  fuzz: {
    group: "hostile",
    about: "mutated archives, tables, manifests and paths mean the same to every reader",
    files: ["test/fuzz/fuzz.test.ts"],
    measures: {
      seconds: { short: 1, long: [8, 4], what: "seconds for each target" },
      cases: { short: ANY, long: ANY, what: "the most cases for each target" },
      seed: { short: 1, long: 1, what: "the first seed" },
      planted: { short: 1, long: 9, what: "planted bugs that the fuzzers must find" },
    },
  },
  bits: {
    group: "hostile",
    about: "every prefix and every bit of small snapshots",
    files: ["test/archive/every_bit.test.ts", "test/archive/damage.test.ts"],
    measures: {
      stride: {
        short: 61,
        long: [5, 11],
        what: "every how many bits one is turned over, where several readers compare",
      },
      prefix: { short: 7, long: 1, what: "every how many bytes one is cut, where several readers compare" },
      load: { short: 29, long: 1, what: "every how many bits or bytes one is turned over or cut, where it is loaded" },
    },
  },
  attacks: {
    group: "hostile",
    about: "known attacks are refused, whatever the pieces they come in, and reach nothing outside",
    files: [
      "test/archive/attacks.test.ts",
      "test/archive/verdicts.test.ts",
      "test/archive/canary.test.ts",
      "test/archive/table.test.ts",
    ],
    measures: {
      pieces: { short: 1, long: 6, what: "sizes of pieces in which each archive comes" },
      seeds: { short: 20, long: 150, what: "seeds of each fuzz target whose verdicts are committed" },
      every: { short: 8, long: 1, what: "every how many attacks one is let loose in a tree of files" },
    },
  },
  readers: {
    group: "readers",
    about: "readers and writers that are not ours, or without zlib, agree with ours",
    files: [
      "test/archive/estargz.test.ts",
      "test/archive/interop.test.ts",
      "test/archive/other_readers.test.ts",
      "test/compression/pure_gzip.test.ts",
    ],
    measures: {
      options: { short: 1, long: 6, what: "sets of options that archives are made with" },
      runs: { short: 3, long: 25, what: "random sequences of sizes" },
      damages: { short: 2, long: 40, what: "damages that are met without zlib" },
    },
  },
  speed: {
    group: "resources",
    about: "plans and listings of many snapshots are quick, and stores of many states",
    files: ["test/retention/speed.test.ts", "test/store/many_states.test.ts"],
    measures: {
      states: { short: 5000, long: 20_000, what: "states of a store" },
      zones: { short: 1, long: 2, what: "time zones" },
      archives: { short: 1000, long: 10_000, what: "archives in a folder" },
    },
  },
  memory: {
    group: "resources",
    about: "large states go through in bounded memory",
    files: ["test/archive/memory.test.ts"],
    measures: { size: { short: 144, long: 256, what: "MiB of a state" } },
  },
  soak: {
    group: "resources",
    about: "hundreds of saves leave nothing open and nothing behind",
    files: ["test/torture/soak.test.ts"],
    measures: { saves: { short: 24, long: 200, what: "saves" } },
  },
  states: {
    group: "resources",
    about: "ready-made states of many records and files, and restores of folders that are killed",
    files: ["test/states/lines_state.test.ts", "test/states/folder_state.test.ts"],
    measures: {
      records: { short: 100_000, long: 1_000_000, what: "records of a linesState" },
      files: { short: 2000, long: 20_000, what: "files of a checkout in a folderState" },
      kills: { short: 2, long: 10, what: "kills of a restore" },
    },
  },
  whole: {
    group: "whole",
    about: "each test on the runtimes that `npm test` leaves out, where it gives each runtime a share of them",
    isWholeByFile: true,
    files: [
      "test/archive/attacks.test.ts",
      "test/archive/canary.test.ts",
      "test/archive/damage.test.ts",
      "test/archive/estargz.test.ts",
      "test/archive/every_bit.test.ts",
      "test/archive/interop.test.ts",
      "test/archive/memory.test.ts",
      "test/archive/other_readers.test.ts",
      "test/archive/ratio.test.ts",
      "test/archive/table.test.ts",
      "test/archive/tar_header.test.ts",
      "test/archive/verdicts.test.ts",
      "test/autosave/signals.test.ts",
      "test/backend/conformance.test.ts",
      "test/backend/http_backend.test.ts",
      "test/cli/commands.test.ts",
      "test/cli/day.test.ts",
      "test/cli/docs.test.ts",
      "test/cli/safety.test.ts",
      "test/cli/speed.test.ts",
      "test/cli/terminal.test.ts",
      "test/compression/gzip_codec.test.ts",
      "test/compression/pure_gzip.test.ts",
      "test/examples/agent.test.ts",
      "test/examples/game_server.test.ts",
      "test/examples/http_stream.test.ts",
      "test/examples/train_digits.test.ts",
      "test/faults/backend_calls.test.ts",
      "test/faults/system_calls.test.ts",
      "test/file/locks.test.ts",
      "test/file/systems.test.ts",
      "test/fuzz/fuzz.test.ts",
      "test/house/docs.test.ts",
      "test/layout/golden.test.ts",
      "test/layout/handed_out.test.ts",
      "test/layout/saving_archives.test.ts",
      "test/layout/streaming.test.ts",
      "test/manifest/manifest.test.ts",
      "test/model/entry_path.test.ts",
      "test/model/snapshot_name.test.ts",
      "test/retention/cost.test.ts",
      "test/retention/keeper.test.ts",
      "test/retention/latest_states_keeper.test.ts",
      "test/retention/laws.test.ts",
      "test/retention/simulation.test.ts",
      "test/retention/speed.test.ts",
      "test/retention/states_keeper.test.ts",
      "test/sequences/overlap.test.ts",
      "test/sequences/store.test.ts",
      "test/s3/command_line.test.ts",
      "test/s3/conformance.test.ts",
      "test/s3/every_request.test.ts",
      "test/s3/faults.test.ts",
      "test/s3/killed.test.ts",
      "test/s3/missing_package.test.ts",
      "test/s3/paging.test.ts",
      "test/s3/place.test.ts",
      "test/s3/programs.test.ts",
      "test/s3/race.test.ts",
      "test/snapshot/located_layouts.test.ts",
      "test/snapshot/progress.test.ts",
      "test/snapshot/snapshot_reader.test.ts",
      "test/states/folder_places.test.ts",
      "test/states/folder_state.test.ts",
      "test/states/ledger.test.ts",
      "test/states/lines_state.test.ts",
      "test/states/path_state.test.ts",
      "test/states/random.test.ts",
      "test/states/structured_state.test.ts",
      "test/states/tensor_state.test.ts",
      "test/store/busy.test.ts",
      "test/store/end_of_state.test.ts",
      "test/store/exclusion.test.ts",
      "test/store/history.test.ts",
      "test/store/idle_program.test.ts",
      "test/store/json_speed.test.ts",
      "test/store/labels.test.ts",
      "test/store/lineage.test.ts",
      "test/store/load.test.ts",
      "test/store/many_states.test.ts",
      "test/store/names.test.ts",
      "test/store/resume.test.ts",
      "test/store/save.test.ts",
      "test/store/sources.test.ts",
      "test/store/state_store.test.ts",
      "test/store/stretches.test.ts",
      "test/store/strict_json.test.ts",
      "test/store/verify_all.test.ts",
      "test/store/versions.test.ts",
      "test/testing/state_conformance.test.ts",
      "test/torture/full_disk.test.ts",
      "test/torture/many_programs.test.ts",
      "test/torture/power_loss.test.ts",
      "test/torture/soak.test.ts",
      "test/torture/system_calls.test.ts",
    ],
    measures: {
      runtimes: { short: 1, long: 2, what: "runtimes that run each test; all three if another proof has its file" },
    },
  },
  package: {
    group: "whole",
    about:
      "docs/reference is what the docstrings say, and bundles of the package run (on Node; parts of the gate as well)",
    isWholeByFile: true,
    files: ["test/house/reference.test.ts", "test/house/import.test.ts"],
    measures: { tests: { short: 0, long: 1, what: "whether they run" } },
  },
  mutants: {
    group: "mutants",
    about: "a safeguard is taken away, and some suite notices (on Node)",
    files: ["test/torture/mutants.test.ts"],
    measures: {
      sample: { short: 0, long: 8, what: "mutants, of some 570" },
      minutes: { short: 0, long: 2, what: "minutes within which the last one is begun" },
      seed: { short: 1, long: 1, what: "which mutants are drawn" },
    },
  },
};

/** Whether proofs run in their long form. */
export const isLong = process.env["SNAPKEEP_PROVE"] === "1";

/** Whether all files run as in `npm test`. */
export const isTaste = () => process.env["SNAPKEEP_TASTE"] === "1";

/** The environment variable that sets one amount. @param {string} proof @param {string} measure */
export const variableOf = (proof, measure) => `SNAPKEEP_${proof}_${measure}`.toUpperCase();

/**
 * How much a proof looks at in this run.
 *
 * @param {string} proof
 * @param {string} measure
 * @param {boolean} isNode Whether the tests run on Node.
 * @param {"short" | "long"} [form] The form, whatever the environment says.
 */
export function amountOf(proof, measure, isNode, form) {
  const { measures, isWholeByFile = false } = proofs[proof] ?? {};
  const amounts = measures?.[measure];
  if (amounts === undefined) {
    throw new RangeError(`Cannot tell ${measure} of ${proof}: tools/proofs.mjs has no such amount`);
  }
  const variable = variableOf(proof, measure);
  const given = process.env[variable];
  if (form === undefined && given !== undefined && given !== "") {
    const value = Number(given);
    if (!Number.isFinite(value)) throw new RangeError(`Cannot use ${variable}=${given}: not a number`);
    return value;
  }
  const usual = isLong || isWholeByFile && !isTaste() ? "long" : "short";
  const amount = amounts[form ?? usual];
  return typeof amount === "number" ? amount : amount[isNode ? 0 : 1];
}

/** The proofs by group. @returns {Map<string, string[]>} */
export function groups() {
  /** @type {Map<string, string[]>} */
  const found = new Map();
  for (const [name, { group }] of Object.entries(proofs)) found.set(group, [...found.get(group) ?? [], name]);
  return found;
}
