// One of many programs on one store: a writer, a pruner or a reader, until it is killed or its input ends.
import process from "node:process";
import { isSnapshotError, LatestStatesKeeper, type StateReader, StateStore, type StateWriter } from "../../mod.ts";

const [folder = "", role = "", id = "", rounds = "0"] = process.argv.slice(2);

let step = 0;
const seen = { loads: 0, gone: 0 };

const tell = (line: string): Promise<void> =>
  new Promise((resolve, reject) => {
    process.stdout.write(`${line}\n`, (error) => error ? reject(error) : resolve());
  });

const model = {
  async saveState(out: StateWriter): Promise<void> {
    await out.json("who.json", `${id} ${step}`);
    for (const part of ["a", "b/c"]) await out.write(`${part}.bin`, new Uint8Array(20_000).fill(step % 251));
  },
  async loadState(from: StateReader): Promise<void> {
    const who = await from.json("who.json") as string;
    const [a, b] = [await from.bytes("a.bin"), await from.bytes("b/c.bin")];
    const wanted = Number(who.split(" ")[1]) % 251;
    if (!a.every((byte) => byte === wanted) || !b.every((byte) => byte === wanted)) await tell(`mixed ${who}`);
  },
};

const store = new StateStore(folder, { startFresh: true, run: "shared" }).register("model", model);
const keeper = new LatestStatesKeeper(store, 12);

async function write(): Promise<void> {
  step++;
  const { name } = await store.saveState({ layout: step % 2 ? "directory" : "tar.gz" });
  await tell(`saved ${name} ${id} ${step}`);
}

async function prune(): Promise<void> {
  for (const { name } of await keeper.cleanup()) await tell(`removed ${name}`);
  await new Promise((resolve) => setTimeout(resolve, 20));
}

async function read(): Promise<void> {
  // The newest, or the one that is removed next.
  const from = (await store.list()).at(step++ % 2 ? -1 : 0);
  if (from === undefined) return await new Promise((resolve) => setTimeout(resolve, 5));
  try {
    await store.loadState(from);
    seen.loads++;
  } catch (error) {
    if (!isSnapshotError(error, "SNAPSHOT_GONE") && !isSnapshotError(error, "SNAPSHOT_NOT_FOUND")) throw error;
    seen.gone++;
  }
}

const act = role === "writer" ? write : role === "pruner" ? prune : read;
let isOver = false;
process.stdin.on("end", () => isOver = true);
process.stdin.resume();
await tell("ready");
for (let round = 0; !isOver && (rounds === "0" || round < Number(rounds)); round++) {
  try {
    await act();
  } catch (error) {
    await tell(`failed ${role} ${isSnapshotError(error) ? error.code : ""} ${String(error)}`);
  }
}
await tell(`done ${seen.loads} ${seen.gone}`);
process.exit(0);
