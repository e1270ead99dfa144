// How the network is improved. The optimizer remembers past gradients: resumed with the weights alone, without these
// memories, a training goes on, but on another way.
import type { PersistentState, StateReader, StateWriter } from "snapkeep";

const RATE = 0.002;
const DECAY_1 = 0.9;
const DECAY_2 = 0.999;
const EPSILON = 1e-8;

/** The Adam optimizer (Kingma and Ba, 2014). */
export class Adam implements PersistentState {
  #means: Float32Array<ArrayBuffer>;
  #squares: Float32Array<ArrayBuffer>;
  #steps = 0;

  constructor(size: number) {
    this.#means = new Float32Array(size);
    this.#squares = new Float32Array(size);
  }

  /** Steps made so far. */
  get steps(): number {
    return this.#steps;
  }

  /**
   * Makes one step downhill.
   *
   * @param parameters What is to be improved, in place.
   * @param gradient The direction uphill, times `scale`.
   * @param scale Number of images the gradient was summed up over.
   */
  step(parameters: Float32Array, gradient: Float32Array, scale: number): void {
    this.#steps++;
    const means = this.#means;
    const squares = this.#squares;
    const correction1 = 1 / (1 - DECAY_1 ** this.#steps);
    const correction2 = 1 / (1 - DECAY_2 ** this.#steps);
    for (let at = 0; at < parameters.length; at++) {
      const slope = gradient[at]! / scale;
      const mean = means[at] = DECAY_1 * means[at]! + (1 - DECAY_1) * slope;
      const square = squares[at] = DECAY_2 * squares[at]! + (1 - DECAY_2) * slope * slope;
      parameters[at]! -= RATE * mean * correction1 / (Math.sqrt(square * correction2) + EPSILON);
    }
  }

  saveState(out: StateWriter): void {
    void out.write("means.bin", this.#means);
    void out.write("squares.bin", this.#squares);
    void out.json("steps.json", this.#steps);
  }

  async loadState(from: StateReader): Promise<void> {
    const means = new Float32Array((await from.bytes("means.bin")).buffer);
    const squares = new Float32Array((await from.bytes("squares.bin")).buffer);
    const size = this.#means.length;
    if (means.length !== size || squares.length !== size) {
      throw new RangeError(`Moments of ${size} parameters expected`);
    }
    this.#means = means;
    this.#squares = squares;
    this.#steps = await from.json("steps.json") as number;
  }
}
