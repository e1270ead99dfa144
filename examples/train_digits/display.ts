// What people see of a running training: a bar on a terminal, else a line for each epoch, fit for a log file.
import process from "node:process";
import cliProgress from "cli-progress";
import type { Report } from "./report.ts";

/** Shows the reports of one run, whose trainer may have several lives. */
export interface Display {
  /** Takes in what the trainer told. */
  show(report: Report): void;
  /** Ends the bar of one life, so that other text can follow. */
  stop(): void;
}

/**
 * Makes a display that suits standard output.
 *
 * @param epochs Epochs that the training takes.
 */
export function openDisplay(epochs: number): Display {
  return process.stdout.isTTY ? new Bar(epochs) : new Lines(epochs);
}

/** A sentence about a report, for those that deserve one on any output. */
function sentence(report: Report): string | undefined {
  if (report.kind === "damaged") return `  passed over ${report.snapshot}: it is damaged (${report.code})`;
  if (report.kind !== "started") return undefined;
  const start = report.resumedFrom === null ? "  starts from scratch" : `  resumes from ${report.resumedFrom}`;
  return report.lastRun === null ? start : `  ${report.lastRun}\n${start}`;
}

class Lines implements Display {
  readonly #epochs: number;

  constructor(epochs: number) {
    this.#epochs = epochs;
  }

  show(report: Report): void {
    const text = sentence(report);
    if (text !== undefined) console.log(text);
    if (report.kind !== "epoch") return;
    const { epoch, loss, accuracy } = report;
    console.log(`  epoch ${epoch} of ${this.#epochs}: loss ${loss.toFixed(3)}, test accuracy ${percent(accuracy)}`);
  }

  stop(): void {}
}

class Bar implements Display {
  readonly #epochs: number;
  readonly #facts = { epoch: 0, loss: "-", accuracy: "-", saves: 0 };
  #bar: cliProgress.SingleBar | undefined;

  constructor(epochs: number) {
    this.#epochs = epochs;
  }

  show(report: Report): void {
    const text = sentence(report);
    if (text !== undefined) console.log(text);
    switch (report.kind) {
      case "started":
        this.#bar = this.#open(report.share);
        break;
      case "progress":
        this.#facts.loss = report.loss.toFixed(3);
        this.#bar?.update(report.share, this.#facts);
        break;
      case "epoch":
        this.#facts.epoch = report.epoch;
        this.#facts.accuracy = percent(report.accuracy);
        break;
      case "saved":
        this.#facts.saves++;
        break;
      case "done":
        this.#bar?.update(1, this.#facts);
    }
  }

  stop(): void {
    this.#bar?.stop();
  }

  #open(share: number): cliProgress.SingleBar {
    const bar = new cliProgress.SingleBar({
      stream: process.stdout,
      format:
        `  {bar} {percentage} % | epoch {epoch}/${this.#epochs} | loss {loss} | accuracy {accuracy} | {saves} saves`,
      barCompleteChar: "#",
      barIncompleteChar: ".",
      barsize: 24,
    });
    bar.start(1, share, this.#facts);
    return bar;
  }
}

/** A share of 0 to 1 as people read it. */
export function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
