// How well the training went so far. Nothing is learned from it, but a curve with a hole where the program died, or with
// the same epoch twice, is of no use.

/** What is known about a complete epoch. */
export interface EpochMetrics {
  /** Mean loss of its images. */
  readonly loss: number;
  /** Share of test images classified right afterwards, 0 to 1. */
  readonly accuracy: number;
}

/** The running epoch's loss, and the results of those before. All of it is in its properties, so that they can be saved. */
export class Metrics {
  /** Complete epochs. */
  epochs: EpochMetrics[] = [];
  lossSum = 0;
  images = 0;

  /** Mean loss of the running epoch so far, or of the one before where it has not begun. */
  get loss(): number {
    return this.images === 0 ? this.epochs.at(-1)?.loss ?? 0 : this.lossSum / this.images;
  }

  /** Counts an image that was learned from. */
  add(loss: number): void {
    this.lossSum += loss;
    this.images++;
  }

  /** Closes the epoch. */
  endEpoch(accuracy: number): void {
    this.epochs.push({ loss: this.loss, accuracy });
    this.lossSum = 0;
    this.images = 0;
  }
}
