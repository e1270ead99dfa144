// What is saved on one side and loaded on the other: a small world that goes on by itself.
import { createHash } from "node:crypto";
import type { PersistentState, StateReader, StateWriter } from "snapkeep";

/** A field of numbers, and how often it has changed. */
export class World implements PersistentState {
  cells = new Float64Array(200_000);
  steps = 0;

  /** Goes on by one step. */
  step(): void {
    this.steps++;
    for (let index = 0; index < this.cells.length; index++) {
      this.cells[index] = Math.sin((this.cells[index] as number) + index + this.steps);
    }
  }

  saveState(out: StateWriter): void {
    void out.json("world.json", { steps: this.steps });
    void out.write("cells.f64", this.cells);
  }

  async loadState(from: StateReader): Promise<void> {
    const { steps } = await from.json("world.json") as { steps: number };
    this.cells = new Float64Array((await from.bytes("cells.f64")).buffer);
    this.steps = steps;
  }

  /** A fingerprint: two worlds of one fingerprint are the same. */
  toString(): string {
    const digest = createHash("sha256").update(new Uint8Array(this.cells.buffer)).digest("hex").slice(0, 16);
    return `step ${this.steps}, cells ${digest}`;
  }
}
