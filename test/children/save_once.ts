// Carries out its arguments one after the other, and says on a line of its own how each ended.
//
//   directory, archive     saves, in this layout
//   cleanup                removes all but the newest
//   slow                   saves a stream that goes on when the file "go" is there
import { existsSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { fileBackend, isSnapshotError, LatestStatesKeeper, StateStore, type StateWriter } from "../../mod.ts";
import { oneThreadFileSystem } from "./one_thread.ts";

const [folder = "", startAt = "0", ...tasks] = process.argv.slice(2);

let step = Number(startAt);
let isSlow = false;

const tell = (line: string): Promise<void> =>
  new Promise((resolve, reject) => {
    process.stdout.write(`${line}\n`, (error) => error ? reject(error) : resolve());
  });

async function* slowly(): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(10);
  await tell("staged");
  while (!existsSync(path.join(path.dirname(folder), "go"))) await new Promise((resolve) => setTimeout(resolve, 10));
  yield new Uint8Array(10);
}

/** Some entries whose bytes all tell the step, so that a mixture would be seen. */
const model = {
  async saveState(out: StateWriter): Promise<void> {
    await out.json("step.json", step);
    for (const part of ["a", "b/c", "b/d"]) {
      await out.write(`parts/${part}.bin`, new Uint8Array(5_000).fill(step % 251));
    }
    if (isSlow) await out.write("slow.bin", slowly());
  },
  loadState(): void {},
};

const isOneThread = process.env["SNAPKEEP_ONE_THREAD"] === "1";
const place = isOneThread ? fileBackend(folder, { fileSystem: oneThreadFileSystem }) : fileBackend(folder);
const store = new StateStore(place, { startFresh: true, run: "shared" }).register("model", model);

async function perform(task: string): Promise<void> {
  if (task === "cleanup") {
    const removed = await new LatestStatesKeeper(store, 1).cleanup();
    return await tell(`removed ${removed.map(({ name }) => name).join(" ")}`);
  }
  step++;
  isSlow = task === "slow";
  const snapshot = await store.saveState({ layout: task === "tar.gz" ? "tar.gz" : "directory" });
  await tell(`saved ${snapshot.name} ${step}`);
}

await tell("ready");
for (const task of tasks) {
  await tell(`begin ${task}`);
  try {
    await perform(task);
  } catch (error) {
    await tell(`failed ${task} ${isSnapshotError(error) ? error.code : String(error)}`);
  }
}
await tell("done");
