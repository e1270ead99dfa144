// The inputs: the same bytes on every machine, out of a seeded generator, made once below the scratch folder.
import { existsSync } from "node:fs";
import { mkdir, open, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";

const MIB = 1024 * 1024;
/** Raise it when the generators change, so that no run measures old inputs. */
const GENERATION = 1;

/** The folder within an input, and the name of the state that holds the same entries. */
export const STATE = "data";

/**
 * @typedef {{ count: number, entryBytes: number, kinds: readonly ("floats" | "lines" | "record")[] }} Workload
 * @typedef {"mixed" | "small" | "big" | "giant"} WorkloadName
 */

/** @type {Record<"full" | "quick", Record<WorkloadName, Workload>>} */
export const sizes = {
  full: {
    mixed: { count: 100, entryBytes: 2 * MIB, kinds: ["floats", "lines"] },
    small: { count: 10_000, entryBytes: 4096, kinds: ["record"] },
    big: { count: 1, entryBytes: 512 * MIB, kinds: ["floats"] },
    giant: { count: 512, entryBytes: 2 * MIB, kinds: ["floats", "lines"] },
  },
  quick: {
    mixed: { count: 20, entryBytes: 2 * MIB, kinds: ["floats", "lines"] },
    small: { count: 1_000, entryBytes: 4096, kinds: ["record"] },
    big: { count: 1, entryBytes: 32 * MIB, kinds: ["floats"] },
    giant: { count: 48, entryBytes: 2 * MIB, kinds: ["floats", "lines"] },
  },
};

const SUFFIX = { floats: "f32", lines: "jsonl", record: "json" };

/** @param {Workload} workload @returns {string[]} The entries' names, in order. */
export function namesOf({ count, kinds }) {
  return Array.from({ length: count }, (_, index) => {
    const kind = kinds[index % kinds.length] ?? "record";
    return `part-${String(index).padStart(5, "0")}.${SUFFIX[kind]}`;
  });
}

/** mulberry32: short, and good enough for noise. @param {number} seed */
function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Gaussian noise as float32, as weights are. @param {() => number} random @param {number} bytes */
export function floats(random, bytes) {
  const numbers = new Float32Array(bytes / 4);
  for (let index = 0; index < numbers.length; index += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - random()));
    const angle = 2 * Math.PI * random();
    numbers[index] = radius * Math.cos(angle);
    if (index + 1 < numbers.length) {
      numbers[index + 1] = radius * Math.sin(angle);
    }
  }
  return new Uint8Array(numbers.buffer);
}

const ACTIONS = ["move", "look", "speak", "wait", "build"];

/** @param {() => number} random @param {number} step */
function event(random, step) {
  return {
    step,
    at: 1_700_000_000_000 + step * 37 + Math.floor(random() * 30),
    agent: `agent-${Math.floor(random() * 500)}`,
    action: ACTIONS[Math.floor(random() * ACTIONS.length)],
    reward: Math.round((random() - 0.5) * 1e6) / 1e6,
    position: [Math.round(random() * 4096), Math.round(random() * 4096)],
  };
}

/** Log lines, cut to size. @param {() => number} random @param {number} bytes */
function lines(random, bytes) {
  let text = "";
  for (let step = 0; text.length < bytes; step++) {
    text += `${JSON.stringify(event(random, step))}\n`;
  }
  return new TextEncoder().encode(text.slice(0, bytes));
}

/** A value whose JSON is a little smaller than `bytes`. @param {() => number} random @param {number} bytes */
function valueOf(random, bytes) {
  const history = [];
  const value = {
    id: Math.floor(random() * 1e9),
    health: random(),
    inventory: { wood: 3, iron: 1 },
    history,
  };
  for (let step = 0; JSON.stringify(value).length < bytes - 160; step++) {
    history.push(event(random, step));
  }
  return value;
}

/** One JSON object, padded to size with spaces after it. @param {() => number} random @param {number} bytes */
function record(random, bytes) {
  return new TextEncoder().encode(JSON.stringify(valueOf(random, bytes)).padEnd(bytes));
}

const GENERATORS = { floats, lines, record };

/**
 * Makes the input of a workload if it is not there yet.
 *
 * @param {string} folder Where inputs lie.
 * @param {"full" | "quick"} size
 * @param {WorkloadName} name
 * @returns {Promise<string>} A folder that holds the folder `data`.
 */
export async function makeInput(folder, size, name) {
  const target = path.join(folder, `${name}-${size}-${GENERATION}`);
  if (existsSync(target)) return target;
  const making = `${target}.making`;
  await rm(making, { recursive: true, force: true });
  await mkdir(path.join(making, STATE), { recursive: true });
  const workload = sizes[size][name];
  for (const [index, entry] of namesOf(workload).entries()) {
    const kind = workload.kinds[index % workload.kinds.length] ?? "record";
    const random = randomOf(1 + index * 7919 + name.length * 104729);
    const file = path.join(making, STATE, entry);
    if (workload.entryBytes <= 16 * MIB) {
      await writeFile(file, GENERATORS[kind](random, workload.entryBytes));
    } else {
      const handle = await open(file, "w");
      for (let done = 0; done < workload.entryBytes; done += 16 * MIB) {
        await handle.write(floats(random, 16 * MIB));
      }
      await handle.close();
    }
  }
  await rename(making, target);
  return target;
}

/** What a usual program saves: five JSON values of 10 KB and 256 KiB of floats. */
export class Program {
  weights = new Float32Array(floats(randomOf(43), 256 * 1024).buffer);
  /** @type {Record<string, any>} */
  values = Object.fromEntries(
    Array.from({ length: 5 }, (_, index) => [`value-${index}`, valueOf(randomOf(44 + index), 10_000)]),
  );

  /** Changes something of everything. @param {number} step */
  step(step) {
    this.weights[step] = step;
    for (const value of Object.values(this.values)) value.step = step;
  }

  /** The memory of the weights, not a copy. @returns {Uint8Array} */
  get weightBytes() {
    return new Uint8Array(this.weights.buffer);
  }
}

/** Noise to stream from, again and again. @param {number} bytes */
export function noise(bytes) {
  return floats(randomOf(42), bytes);
}
