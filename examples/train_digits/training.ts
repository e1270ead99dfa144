// What is learned, step by step. Nothing in here knows of saves: all that changes while it learns is in the states that it registers.
import type { StateStore } from "snapkeep";
import { jsonState, propertiesState } from "snapkeep/states";
import { Adam } from "./adam.ts";
import { DataOrder } from "./data_order.ts";
import { copyMoved, type Digits, PIXELS } from "./digits.ts";
import { Metrics } from "./metrics.ts";
import { Network } from "./network.ts";
import { Random } from "./random.ts";

const SEED = 20;
const BATCH = 32;

/** A network that learns from digits, and what it has learned so far. */
export class Training {
  readonly network: Network;
  readonly optimizer: Adam;
  readonly metrics = new Metrics();
  readonly #random = new Random(SEED);
  readonly #order: DataOrder;
  readonly #digits: { readonly training: Digits; readonly test: Digits };
  readonly #total: number;
  readonly #image = new Float32Array(PIXELS);

  constructor(digits: { readonly training: Digits; readonly test: Digits }, epochs: number) {
    const { length } = digits.training.labels;
    this.#digits = digits;
    this.#total = length * epochs;
    this.#order = new DataOrder(length, this.#random);
    this.network = new Network(this.#random);
    this.optimizer = new Adam(this.network.parameters.length);
  }

  /** Registers all that changes while it learns. What is forgotten here would make a resumed run end elsewhere. */
  register(store: StateStore): void {
    store
      .register("random", jsonState({ get: () => this.#random.state, set: (state) => this.#random.state = state }))
      .register("order", this.#order)
      .register("network", this.network)
      .register("optimizer", this.optimizer)
      .register("metrics", propertiesState(this.metrics));
  }

  /** How much of it is done, 0 to 1. */
  get share(): number {
    return this.#order.taken / this.#total;
  }

  /** Learns from the next images. Returns whether that ended an epoch. */
  step(): boolean {
    this.#learn(this.#order.nextBatch(BATCH));
    const isEnd = this.#order.epochs > this.metrics.epochs.length;
    if (isEnd) this.metrics.endEpoch(this.#accuracy());
    return isEnd;
  }

  /** Each image is moved a little at random, so that 8,000 of them teach as much as many more. */
  #learn(batch: Uint16Array): void {
    const { network, optimizer, metrics } = this;
    const { training } = this.#digits;
    network.gradient.fill(0);
    for (const index of batch) {
      copyMoved(training, index, this.#random.below(3) - 1, this.#random.below(3) - 1, this.#image);
      metrics.add(network.learn(this.#image, training.labels[index]!));
    }
    optimizer.step(network.parameters, network.gradient, batch.length);
  }

  #accuracy(): number {
    const { test } = this.#digits;
    let right = 0;
    for (const [index, label] of test.labels.entries()) {
      copyMoved(test, index, 0, 0, this.#image);
      const probabilities = this.network.classify(this.#image);
      if (probabilities.indexOf(Math.max(...probabilities)) === label) right++;
    }
    return right / test.labels.length;
  }
}
