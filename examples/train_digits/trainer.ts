// The program that learns, and may be stopped or killed at any moment: started again with the same arguments, it goes on from its
// newest whole snapshot. Nothing in here knows that it is part of a demo.
//
//   trainer <folder of its snapshots> <epochs> <fraction of the data> <seconds between saves> <layout>
import { createHash } from "node:crypto";
import process from "node:process";
import {
  autosave,
  isSnapshotError,
  LatestStatesKeeper,
  type LayoutKind,
  PeriodicSaveCondition,
  StateStore,
} from "snapkeep";
import { loadDigits } from "./digits.ts";
import { tell } from "./report.ts";
import { Training } from "./training.ts";

const BATCHES_PER_REPORT = 20;
const KEEP = 3;

const [folder = "states", epochs = "12", fraction = "1", saveSeconds = "0.5", layout = "directory"] = process.argv
  .slice(2);

const training = new Training(await loadDigits(Number(fraction)), Number(epochs));
const { metrics, network, optimizer } = training;
const store = new StateStore(folder);
training.register(store);

const { snapshot: resumedFrom, tried, lastRun } = await store.resume();
for (const { snapshot, error } of tried) {
  await tell({ kind: "damaged", snapshot: snapshot.name, code: isSnapshotError(error) ? error.code : "unknown" });
}
await tell({
  kind: "started",
  resumedFrom: resumedFrom?.name ?? null,
  lastRun: lastRun?.sentence ?? null,
  share: training.share,
});

const saver = autosave(store, {
  condition: new PeriodicSaveCondition(Number(saveSeconds)),
  keeper: new LatestStatesKeeper(store, KEEP),
  signals: true, // SIGTERM saves once more, and then ends the process
  layout: layout as LayoutKind,
  labels: () => ({ step: optimizer.steps, metrics: { loss: metrics.loss } }),
  pause: async () => (await tell({ kind: "saving" }), null), // a loop that awaits tick() rests by itself
  onEvent: (event) => void (event.outcome === "saved" && tell({ kind: "saved", snapshot: event.snapshot.name })),
});

while (training.share < 1) {
  if (training.step()) await tell({ kind: "epoch", epoch: metrics.epochs.length, ...metrics.epochs.at(-1)! });
  if (optimizer.steps % BATCHES_PER_REPORT === 0) {
    await tell({ kind: "progress", share: training.share, loss: metrics.loss });
  }
  await saver.tick();
}
await saver.close();
await tell({
  kind: "done",
  accuracy: metrics.epochs.at(-1)?.accuracy ?? 0,
  weightsDigest: `sha256:${createHash("sha256").update(network.parameters).digest("hex")}`,
});
