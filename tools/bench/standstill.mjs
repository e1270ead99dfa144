// How much of its time a program of 100 MiB stands still when it is saved every ten seconds, as CPU time of its main thread: wall time
// would count what other programs of the machine do. Linux only.
//
//   node tools/bench/standstill.mjs [layout] [folder]                         after npm run build; likewise with bun
//   deno run -A --config deno.json tools/bench/standstill.mjs [layout] [folder]
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const INTERVAL_MS = 10_000;
const STATES = 10;
const STATE_BYTES = 10 * 2 ** 20;
const SAVES = 6;

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const isDeno = "Deno" in globalThis;
const runtime = isDeno ? "deno" : "Bun" in globalThis ? "bun" : "node";
const { autosave, LatestStatesKeeper, StateStore } = await import(path.join(root, isDeno ? "mod.ts" : "dist/mod.js"));

/** CPU time of the main thread. */
const mainMs = () => Number(readFileSync("/proc/self/schedstat", "utf8").split(" ")[0]) / 1e6;

/** @param {readonly number[]} values */
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN;

const [layout = "directory", parent = os.tmpdir()] = process.argv.slice(2);
const folder = await mkdtemp(path.join(parent, "snapkeep-standstill-"));
const store = new StateStore(folder, { startFresh: true });
for (let state = 1; state <= STATES; state++) {
  const numbers = Float32Array.from({ length: STATE_BYTES / 4 }, (_, at) => Math.sin(at * state));
  store.register(`state-${state}`, { saveState: (out) => out.write("numbers.f32", numbers), loadState() {} });
}

/** @type {number[]} */
const held = [];
/** @type {number[]} */
const wholes = [];
const saver = autosave(store, {
  condition: () => false,
  layout,
  keeper: new LatestStatesKeeper(store, 2),
  pause: () => {
    const sinceMs = mainMs();
    return () => void held.push(mainMs() - sinceMs);
  },
});
for (let save = 0; save < SAVES; save++) {
  const sinceMs = mainMs();
  const { outcome, error } = await saver.requestSave();
  if (outcome !== "saved") throw error;
  wholes.push(mainMs() - sinceMs);
}
await saver[Symbol.asyncDispose]();
await rm(folder, { recursive: true, force: true });
const share = (/** @type {number} */ ms) => `${ms.toFixed(0)} ms (${(100 * ms / INTERVAL_MS).toFixed(2)} %)`;
console.log(
  `${runtime}, ${layout}: the first save holds it for ${share(held[0] ?? NaN)}, each later one for ` +
    `${share(median(held.slice(1)))}; with what its main thread does while it writes ${share(median(wholes.slice(1)))}`,
);
process.exit(0);
