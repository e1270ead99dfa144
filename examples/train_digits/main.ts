// The demo: the same training twice, once left in peace and once killed three times and stopped once, must end with the same weights.
//
//   npm run demo                               on Node
//   bun examples/train_digits/main.ts          on Bun
//   deno run -A examples/train_digits/main.ts  on Deno
//
// Arguments: a folder for the snapshots (default demo-states), --epochs, --fraction of the images, --save-seconds.
import path from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { type LayoutKind, type SnapshotLocator, StateStore } from "snapkeep";
import { describeSnapshots, flipBit, kilobytes, prepareFolder } from "./demo_folder.ts";
import { openDisplay, percent } from "./display.ts";
import type { Done, Report } from "./report.ts";
import { runTrainer } from "./session.ts";

/** How the trainer is ended. */
interface Kill {
  readonly signal: "SIGKILL" | "SIGTERM";
  /** Asked at each report until it says in how many milliseconds. */
  readonly afterMs: (report: Report, share: number) => number | undefined;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    epochs: { type: "string", default: "12" },
    fraction: { type: "string", default: "1" },
    "save-seconds": { type: "string", default: "0.4" },
  },
});
const [folder = "demo-states"] = positionals;
const peaceful = path.join(folder, "uninterrupted");
const violent = path.join(folder, "killed");
const exportFile = path.join(folder, "trained.state.tar.gz");

/** A moment that neither the trainer nor the demo knows beforehand. */
function atRandom(signal: Kill["signal"], fromShare: number, toShare: number): Kill {
  const dueShare = fromShare + Math.random() * (toShare - fromShare);
  return { signal, afterMs: (_, share) => share >= dueShare ? Math.random() * 20 : undefined };
}

/** A moment within a save, which takes some ten milliseconds here: some files of the snapshot are there, others not yet. */
function amidSave(fromShare: number): Kill {
  const isSaving = ({ kind }: Report, share: number) => share >= fromShare && kind === "saving";
  return { signal: "SIGKILL", afterMs: (report, share) => isSaving(report, share) ? 4 + Math.random() * 3 : undefined };
}

/**
 * Runs the training to its end, starting it again whenever it was killed.
 *
 * @param states Folder of its snapshots.
 * @param layout How they are arranged.
 * @param kills When to kill it, one after the other.
 * @param onKilled Called after each kill, with the number of kills so far.
 * @returns What it reported at its end.
 */
async function train(
  states: string,
  layout: LayoutKind,
  kills: readonly Kill[] = [],
  onKilled: (count: number) => Promise<void> = async () => {},
): Promise<Done> {
  const display = openDisplay(Number(values.epochs));
  let share = 0;
  function show(report: Report): void {
    if ("share" in report) share = report.share;
    display.show(report);
  }
  for (let count = 0;;) {
    const args = [states, values.epochs, values.fraction, values["save-seconds"], layout];
    const kill = kills[count];
    share = 0;
    const { done, wasSaving } = await runTrainer(args, show, (report) => kill?.afterMs(report, share), kill?.signal);
    display.stop();
    if (done !== undefined) return done;
    const how = kill?.signal === "SIGTERM" ? "STOPPED with SIGTERM" : "KILLED with SIGKILL";
    console.log(`  ${how}, ${percent(share)} done${wasSaving ? ", while it was saving" : ""}`);
    await onKilled(++count);
  }
}

async function newestOf(store: StateStore): Promise<SnapshotLocator> {
  const newest = await store.latest();
  if (newest === undefined) throw new Error(`There is no snapshot in ${store.backend.uri}`);
  return newest;
}

/** Paths and digests of all entries of a snapshot, none of which is damaged. */
async function entriesOf(snapshot: SnapshotLocator): Promise<string[]> {
  await using reader = await snapshot.open();
  await reader.verifyAll();
  return reader.entries.map(({ path, digest }) => `${path} ${digest}`);
}

await prepareFolder(folder, [peaceful, violent], exportFile);
const stores = { peaceful: new StateStore(peaceful), violent: new StateStore(violent) };
let kills = 0;
let isFlipped = false;

console.log("A small neural network learns to read handwritten digits, twice. All that changes while it learns");
console.log("(weights, optimizer, random generator, order of the data, metrics) is saved every now and then.");

console.log(`\n1. Left in peace; snapshots in ${peaceful}`);
const expected = await train(peaceful, "directory");

console.log(`\n2. Killed three times without warning, and stopped once; snapshots in ${violent}`);
const blows = [
  atRandom("SIGKILL", 0.15, 0.25),
  amidSave(0.35),
  atRandom("SIGTERM", 0.5, 0.6),
  atRandom("SIGKILL", 0.75, 0.85),
];
const actual = await train(violent, "tar.gz", blows, async (count) => {
  kills = count;
  const [newest, older] = (await stores.violent.list()).reverse();
  // What a run saved at its end stays whole, to show that nothing was lost.
  const wasStopped = blows[count - 1]?.signal === "SIGTERM";
  // A slow machine may not have saved a second one yet, without which there would be nothing to resume from.
  if (count < 2 || wasStopped || isFlipped || newest === undefined || older === undefined) return;
  isFlipped = true;
  await flipBit(newest);
  console.log(`  and one bit of ${newest.name} FLIPPED, as a failing disk does`);
});

console.log("\n3. What lies on disk");
for (const store of [stores.peaceful, stores.violent]) {
  console.log(`  ${store === stores.peaceful ? peaceful : violent}`);
  for (const line of await describeSnapshots(store)) console.log(`    ${line}`);
}
// By itself a store sweeps leftovers only when their writer has been silent for ten minutes; this one is known to be dead.
const unfinished = await stores.violent.sweep({ olderThanMs: 0 });
console.log(`  never finished, never visible, now swept: ${unfinished.join(", ") || "nothing"}`);
const exported = await (await newestOf(stores.violent)).exportTo(exportFile);
console.log(
  `  newest exported as a single file: ${String(exported)}, ${kilobytes((await exported.stat()).storedBytes)}`,
);

console.log("\n4. Are they the same?");
const expectedEntries = await entriesOf(await newestOf(stores.peaceful));
const different = (await entriesOf(await newestOf(stores.violent))).filter((entry) => !expectedEntries.includes(entry));
const isIdentical = expected.weightsDigest === actual.weightsDigest && different.length === 0;
console.log(`  weights, left in peace   ${expected.weightsDigest}`);
console.log(`  weights, stopped ${kills} times ${actual.weightsDigest}`);
if (isIdentical) {
  console.log("  IDENTICAL, bit by bit, and so are optimizer, generator, order of the data and metrics.");
} else console.log(`  DIFFERENT. Entries of the last snapshots that differ:\n    ${different.join("\n    ")}`);
console.log(`  Each reads ${percent(actual.accuracy)} of the digits right that it has never seen.`);
if (kills === 0) console.log("  But the training was over before it could be killed, so this shows nothing.");
process.exitCode = isIdentical && kills > 0 ? 0 : 1;
