// What durability costs: a save in "full" against one in "none", on the disk that holds the current folder.
//
//   npm run torture -- costs
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { root, table } from "../run.mjs";

const { StateStore } = await import(path.join(root, "dist", "mod.js"));
const ENTRY_BYTES = 4096;
const rows = [["entries", "layout", "none, ms", "full, ms", "full / none"]];

/** @param {number} entries */
function stateOf(entries) {
  const bytes = crypto.getRandomValues(new Uint8Array(ENTRY_BYTES));
  return {
    /** @param {{ write(path: string, body: Uint8Array): Promise<void> }} out */
    async saveState(out) {
      const writing = [];
      for (let entry = 0; entry < entries; entry++) writing.push(out.write(`${entry % 10}/${entry}.bin`, bytes));
      await Promise.all(writing);
    },
    loadState() {},
  };
}

/** @param {number} entries @param {string} layout @param {string} durability */
async function medianMs(entries, layout, durability) {
  const folder = await mkdtemp(path.join(root, ".scratch", "costs-"));
  try {
    const store = new StateStore(path.join(folder, "states"), { durability, layout }).register("it", stateOf(entries));
    await store.saveState();
    const times = [];
    for (let save = 0; save < (entries > 1000 ? 3 : 9); save++) {
      const since = performance.now();
      const saved = await store.saveState();
      times.push(performance.now() - since);
      await saved.remove();
    }
    return times.sort((a, b) => a - b)[times.length >> 1] ?? NaN;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

for (const entries of [10, 100, 10_000]) {
  for (const layout of ["directory", "archive"]) {
    const none = await medianMs(entries, layout, "none");
    const full = await medianMs(entries, layout, "full");
    const ratio = (full / none).toFixed(1);
    rows.push([String(entries), layout, none.toFixed(1), full.toFixed(1), ratio]);
  }
}
const [cpu] = os.cpus();
console.log(table(rows));
console.log(
  `entries of ${ENTRY_BYTES} bytes; ${cpu?.model.trim()}, ${os.cpus().length} cores, Linux ${os.release()}, Node ${process.version}`,
);
