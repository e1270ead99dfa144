// What durability costs: a save in "full" against one in "none", on the disk that holds the current folder.
//
//   npm run build && node tools/torture/costs.mjs
import { mkdir, mkdtemp, rm, statfs } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { root, table } from "../run.mjs";

const { StateStore } = await import(path.join(root, "dist", "mod.js"));
await mkdir(path.join(root, ".scratch"), { recursive: true });
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

/**
 * The least time of some saves each, turn and turn about: what else the machine does can only add to it.
 *
 * @param {number} entries @param {string} layout @returns {Promise<[number, number]>}
 */
async function leastMs(entries, layout) {
  const folder = await mkdtemp(path.join(root, ".scratch", "costs-"));
  try {
    const ways = ["none", "full"].map((durability) => ({
      store: new StateStore(path.join(folder, durability), { durability, layout }).register("it", stateOf(entries)),
      least: Infinity,
    }));
    for (const { store } of ways) await (await store.saveState()).remove();
    for (let save = 0; save < (entries > 1000 ? 5 : 25); save++) {
      for (const way of ways) {
        const since = performance.now();
        const saved = await way.store.saveState();
        way.least = Math.min(way.least, performance.now() - since);
        await saved.remove();
      }
    }
    return [ways[0]?.least ?? NaN, ways[1]?.least ?? NaN];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

for (const entries of [10, 100, 10_000]) {
  for (const layout of ["directory", "tar.gz"]) {
    const [none, full] = await leastMs(entries, layout);
    rows.push([String(entries), layout, none.toFixed(1), full.toFixed(1), (full / none).toFixed(1)]);
  }
}
const { type } = await statfs(root);
const names = new Map([[0xef53, "ext4"], [0x58465342, "XFS"], [0x9123683e, "btrfs"], [0x01021994, "tmpfs"]]);
const [cpu] = os.cpus();
console.log(table(rows));
console.log(
  `entries of ${ENTRY_BYTES} bytes; ${cpu?.model.trim()}, ${os.cpus().length} cores, ${
    names.get(type) ?? `file system ${type.toString(16)}`
  }, Linux ${os.release()}, Node ${process.version}; load ${os.loadavg()[0]?.toFixed(1)}`,
);
