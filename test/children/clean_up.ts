// Saves four snapshots, two in each layout, removes all but the newest, sweeps, and tells what it found as one line of JSON.
//
//   autosaves    does the same once more by an autosaver, with a last save in each layout, after it has resumed
//   read-only    takes the right to write from all that was saved before it cleans up
//   closed       takes all rights from a folder within the oldest snapshot as well
import { chmod, readdir } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { autosave, LatestStatesKeeper, StateStore, type StateWriter } from "../../mod.ts";

const [folder = "", ...options] = process.argv.slice(2);
const warnings: string[] = [];
process.on("warning", (warning) => warnings.push((warning as { code?: string }).code ?? String(warning)));

async function takeRights(target: string): Promise<void> {
  for (const entry of await readdir(target, { withFileTypes: true })) {
    const found = path.join(target, entry.name);
    if (entry.isDirectory()) await takeRights(found);
    await chmod(found, entry.isDirectory() ? 0o555 : 0o444);
  }
}

const model = {
  async saveState(out: StateWriter) {
    await out.write("a/b/c.bin", new Uint8Array(100));
    await out.write("d.bin", new Uint8Array(100));
  },
  loadState() {},
};
const store = new StateStore(folder).register("model", model);
const events: string[] = [];

/** A program that ticks, and saves on request and at its end. Its keeper takes all but the newest. */
async function liveOn(layout: "directory" | "tar.gz"): Promise<void> {
  const next = new StateStore(folder).register("model", model);
  const { lastRun } = await next.resume();
  events.push(`last run ${lastRun?.ended}`);
  const keeper = new LatestStatesKeeper(next, 1);
  const saver = autosave(next, {
    layout,
    keeper,
    condition: () => false,
    signals: true,
    onEvent: (event) => {
      const removed = event.outcome === "saved" ? event.removed.length : JSON.stringify(event);
      events.push(`${event.outcome} ${event.reason}, removed ${removed}`);
    },
  });
  const requested = saver.requestSave();
  await saver.tick();
  await requested;
  await saver.close();
}

let error: string | undefined;
let removed = 0;
try {
  for (const layout of ["directory", "tar.gz", "directory", "tar.gz"] as const) await store.saveState({ layout });
  const [oldest] = await store.list();
  await oldest?.label({ step: 1 });
  if (options.includes("read-only")) {
    await takeRights(folder);
    await chmod(path.join(folder, ".notes"), 0o755);
  }
  if (options.includes("closed") && oldest !== undefined) {
    await chmod(path.join(folder, oldest.name, "model", "a", "b"), 0);
  }
  removed = (await new LatestStatesKeeper(store, 1).cleanup()).length;
  await store.sweep({ olderThanMs: 0 });
  if (options.includes("autosaves")) {
    for (const layout of ["directory", "tar.gz"] as const) await liveOn(layout);
    await store.sweep({ olderThanMs: 0 });
  }
} catch (caught) {
  error = caught instanceof Error ? caught.stack : String(caught);
}
await new Promise((resolve) => setTimeout(resolve, 20)); // warnings come a moment later
const names = await readdir(folder);
process.stdout.write(`${JSON.stringify({ removed, error, warnings, events, names })}\n`);
