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
import { jsonState, propertiesState } from "snapkeep/states";
import { Adam } from "./adam.ts";
import { DataOrder } from "./data_order.ts";
import { copyMoved, type Digits, loadDigits, PIXELS } from "./digits.ts";
import { Metrics } from "./metrics.ts";
import { Network } from "./network.ts";
import { Random } from "./random.ts";
import { tell } from "./report.ts";

const SEED = 20;
const BATCH = 32;
const BATCHES_PER_REPORT = 20;
const KEEP = 3;

const [folder = "states", epochs = "12", fraction = "1", saveSeconds = "0.5", layout = "directory"] = process.argv
  .slice(2);

const { training, test } = await loadDigits(Number(fraction));
const total = training.labels.length * Number(epochs);

// All that changes while it learns. What is forgotten here would make a resumed run end elsewhere.
const random = new Random(SEED);
const order = new DataOrder(training.labels.length, random);
const network = new Network(random);
const optimizer = new Adam(network.parameters.length);
const metrics = new Metrics();

const store = new StateStore(folder)
  .register("random", jsonState({ get: () => random.state, set: (state) => random.state = state }))
  .register("order", order)
  .register("network", network)
  .register("optimizer", optimizer)
  .register("metrics", propertiesState(metrics));
const image = new Float32Array(PIXELS);

const { snapshot: resumedFrom, tried, lastRun } = await store.resume();
for (const { snapshot, error } of tried) {
  await tell({ kind: "damaged", snapshot: snapshot.name, code: isSnapshotError(error) ? error.code : "unknown" });
}
const share = order.taken / total;
await tell({ kind: "started", resumedFrom: resumedFrom?.name ?? null, lastRun: lastRun?.sentence ?? null, share });

const saver = autosave(store, {
  condition: new PeriodicSaveCondition(Number(saveSeconds)),
  keeper: new LatestStatesKeeper(store, KEEP),
  signals: true, // SIGTERM saves once more, and then ends the process
  layout: layout as LayoutKind,
  labels: () => ({ step: optimizer.steps, metrics: { loss: metrics.loss } }),
  pause: async () => (await tell({ kind: "saving" }), null), // a loop that awaits tick() rests by itself
  onEvent: (event) => void (event.outcome === "saved" && tell({ kind: "saved", snapshot: event.snapshot.name })),
});

while (order.taken < total) {
  learn(order.nextBatch(BATCH));
  if (order.epochs > metrics.epochs.length) {
    metrics.endEpoch(accuracyOn(test));
    const { loss, accuracy } = metrics.epochs.at(-1)!;
    await tell({ kind: "epoch", epoch: order.epochs, loss, accuracy });
  }
  if (optimizer.steps % BATCHES_PER_REPORT === 0) {
    await tell({ kind: "progress", share: order.taken / total, loss: metrics.loss });
  }
  await saver.tick();
}
await saver.close();
await tell({
  kind: "done",
  accuracy: metrics.epochs.at(-1)?.accuracy ?? 0,
  weightsDigest: `sha256:${createHash("sha256").update(network.parameters).digest("hex")}`,
});

/** One step of training. Each image is moved a little at random, so that 8,000 of them teach as much as many more. */
function learn(batch: Uint16Array): void {
  network.gradient.fill(0);
  for (const index of batch) {
    copyMoved(training, index, random.below(3) - 1, random.below(3) - 1, image);
    metrics.add(network.learn(image, training.labels[index]!));
  }
  optimizer.step(network.parameters, network.gradient, batch.length);
}

function accuracyOn({ pixels, labels }: Digits): number {
  let right = 0;
  for (const [index, label] of labels.entries()) {
    copyMoved({ pixels, labels }, index, 0, 0, image);
    const probabilities = network.classify(image);
    if (probabilities.indexOf(Math.max(...probabilities)) === label) right++;
  }
  return right / labels.length;
}
