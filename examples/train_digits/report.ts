// What the trainer tells its parent: one line of JSON on standard output for each report.
import process from "node:process";

/** Something the trainer has to tell; `share` is how much of the training is done, 0 to 1. */
export type Report =
  | {
    readonly kind: "started";
    readonly resumedFrom: string | null;
    readonly lastRun: string | null;
    readonly share: number;
  }
  | { readonly kind: "damaged"; readonly snapshot: string; readonly code: string }
  | { readonly kind: "progress"; readonly share: number; readonly loss: number }
  | { readonly kind: "epoch"; readonly epoch: number; readonly loss: number; readonly accuracy: number }
  | { readonly kind: "saving" }
  | { readonly kind: "saved"; readonly snapshot: string }
  | Done;

/** The trainer's last words. */
export interface Done {
  readonly kind: "done";
  /** Share of test images classified right, 0 to 1. */
  readonly accuracy: number;
  /** Digest of the weights as they are in memory. */
  readonly weightsDigest: string;
}

/** Tells the parent; resolves once the line has left the program. */
export function tell(report: Report): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(`${JSON.stringify(report)}\n`, (error) => error ? reject(error) : resolve());
  });
}
