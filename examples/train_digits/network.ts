// What learns: a neural network with one hidden layer, in plain loops. The order of its additions never changes, so that
// the same numbers go in and come out, bit by bit.
import type { PersistentState, StateReader, StateWriter } from "snapkeep";
import { CLASSES, PIXELS } from "./digits.ts";
import type { Random } from "./random.ts";

const HIDDEN = 64;
const SIZE = PIXELS * HIDDEN + HIDDEN + HIDDEN * CLASSES + CLASSES;

/** All numbers of a network in one array, and views on its parts. */
class Layers {
  readonly all = new Float32Array(SIZE);
  readonly #end = { at: 0 };
  readonly hiddenWeights = this.#view(PIXELS * HIDDEN);
  readonly hiddenBiases = this.#view(HIDDEN);
  readonly outputWeights = this.#view(HIDDEN * CLASSES);
  readonly outputBiases = this.#view(CLASSES);

  #view(length: number): Float32Array {
    return this.all.subarray(this.#end.at, this.#end.at += length);
  }
}

/** Classifies images of digits: 784 pixels, 64 hidden units (ReLU), 10 probabilities (softmax). */
export class Network implements PersistentState {
  readonly #layers = new Layers();
  readonly #slopes = new Layers();
  readonly #hidden = new Float32Array(HIDDEN);
  readonly #hiddenSlopes = new Float32Array(HIDDEN);
  readonly #probabilities = new Float32Array(CLASSES);

  constructor(random: Random) {
    fill(this.#layers.hiddenWeights, random, Math.sqrt(6 / PIXELS));
    fill(this.#layers.outputWeights, random, Math.sqrt(6 / HIDDEN));
  }

  /** Everything that is learned. */
  get parameters(): Float32Array<ArrayBuffer> {
    return this.#layers.all;
  }

  /** In which direction the loss grows, summed up over the images learned from since this was last filled with zeros. */
  get gradient(): Float32Array<ArrayBuffer> {
    return this.#slopes.all;
  }

  /**
   * Classifies an image.
   *
   * @param image Brightness of the pixels, 0 to 1.
   * @returns Probability of each digit; valid until the next call.
   */
  classify(image: Float32Array): Float32Array {
    const { hiddenWeights, hiddenBiases, outputWeights, outputBiases } = this.#layers;
    const hidden = this.#hidden;
    hidden.set(hiddenBiases);
    for (let pixel = 0; pixel < PIXELS; pixel++) {
      const brightness = image[pixel]!;
      if (brightness === 0) continue; // four of five are
      for (let unit = 0, at = pixel * HIDDEN; unit < HIDDEN; unit++, at++) {
        hidden[unit]! += brightness * hiddenWeights[at]!;
      }
    }
    const outputs = this.#probabilities;
    outputs.set(outputBiases);
    for (let unit = 0; unit < HIDDEN; unit++) {
      const value = hidden[unit] = Math.max(0, hidden[unit]!);
      for (let digit = 0, at = unit * CLASSES; digit < CLASSES; digit++, at++) {
        outputs[digit]! += value * outputWeights[at]!;
      }
    }
    return softmax(outputs);
  }

  /**
   * Adds to the gradient what an image teaches.
   *
   * @param image Brightness of the pixels, 0 to 1.
   * @param label The digit it shows.
   * @returns The loss: how surprised the network was.
   */
  learn(image: Float32Array, label: number): number {
    const probabilities = this.classify(image);
    const loss = -Math.log(Math.max(1e-12, probabilities[label]!));
    const { hiddenWeights, hiddenBiases, outputWeights, outputBiases } = this.#slopes;
    const { outputWeights: weights } = this.#layers;
    const outputSlopes = probabilities;
    outputSlopes[label]! -= 1; // the derivative of softmax and logarithm together
    for (let digit = 0; digit < CLASSES; digit++) outputBiases[digit]! += outputSlopes[digit]!;
    for (let unit = 0; unit < HIDDEN; unit++) {
      const value = this.#hidden[unit]!;
      let slope = 0;
      for (let digit = 0, at = unit * CLASSES; digit < CLASSES; digit++, at++) {
        outputWeights[at]! += value * outputSlopes[digit]!;
        slope += weights[at]! * outputSlopes[digit]!;
      }
      this.#hiddenSlopes[unit] = value > 0 ? slope : 0;
      hiddenBiases[unit]! += this.#hiddenSlopes[unit]!;
    }
    for (let pixel = 0; pixel < PIXELS; pixel++) {
      const brightness = image[pixel]!;
      if (brightness === 0) continue;
      for (let unit = 0, at = pixel * HIDDEN; unit < HIDDEN; unit++, at++) {
        hiddenWeights[at]! += brightness * this.#hiddenSlopes[unit]!;
      }
    }
    return loss;
  }

  saveState(out: StateWriter): Promise<void> {
    // Typed arrays are handed over as they are. They are copied at this call, so training may go on while they are written.
    return out.write("parameters.bin", this.parameters);
  }

  async loadState(from: StateReader): Promise<void> {
    // The bytes are ours and start at the beginning of their buffer, so floats can be laid over them without a copy.
    const parameters = new Float32Array((await from.bytes("parameters.bin")).buffer);
    // `set` would take fewer numbers than there are, and leave the rest as it was.
    if (parameters.length !== SIZE) throw new RangeError(`${SIZE} parameters expected, ${parameters.length} found`);
    this.parameters.set(parameters); // into the old array: others hold views on it
  }
}

function fill(weights: Float32Array, random: Random, limit: number): void {
  for (let at = 0; at < weights.length; at++) weights[at] = (random.next() * 2 - 1) * limit;
}

function softmax(values: Float32Array): Float32Array {
  const highest = Math.max(...values);
  let sum = 0;
  for (let at = 0; at < values.length; at++) sum += values[at] = Math.exp(values[at]! - highest);
  for (let at = 0; at < values.length; at++) values[at]! /= sum;
  return values;
}
