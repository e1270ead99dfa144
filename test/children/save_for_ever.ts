// Saves in a loop until it is killed, and says on a line of its own which snapshot was saved. It removes old ones too, so that
// removals are cut as saves are.
import process from "node:process";
import { LatestStatesKeeper, StateStore, type StateWriter } from "../../mod.ts";

const [folder = "", startAt = "0"] = process.argv.slice(2);

let step = Number(startAt);

/** Some entries whose bytes all tell the step, so that a mixture would be seen. */
const model = {
  async saveState(out: StateWriter): Promise<void> {
    await out.json("step.json", step);
    for (const part of ["a", "b/c", "b/d"]) {
      await out.write(`parts/${part}.bin`, new Uint8Array(50_000).fill(step % 251));
    }
  },
  loadState(): void {},
};

const store = new StateStore(folder, { startFresh: true }).register("model", model);
const keeper = new LatestStatesKeeper(store, 6);

/** Resolves once the line is in the pipe: it survives the kill. */
const tell = (line: string): Promise<void> =>
  new Promise((resolve, reject) => {
    process.stdout.write(`${line}\n`, (error) => error ? reject(error) : resolve());
  });

await tell("ready");
while (true) {
  step++;
  const snapshot = await store.saveState({ layout: step % 2 ? "directory" : "tar.gz" });
  await tell(`saved ${snapshot.name} ${step}`);
  if (step % 4 !== 0) continue;
  for (const removed of await keeper.cleanup()) await tell(`removed ${removed.name}`);
}
