// The example of local saves and remote copies: nothing is removed here before it is verified there.
import path from "node:path";
import { type Backend, memoryBackend, StateStore } from "snapkeep";
import { expect, it } from "vitest";
import { copyAll, MirroredStatesKeeper } from "../../examples/local_first/mirrored_keeper.ts";
import { temporaryFolder } from "../backend/temporary.ts";

const state = {
  saveState: (out: { json(path: string, value: unknown): Promise<void> }) => out.json("a", 1),
  loadState() {},
};
const names = async (store: StateStore) => (await store.list()).map(({ name }) => name);

async function stores(backend: Backend = memoryBackend()) {
  const local = new StateStore(path.join(await temporaryFolder(), "states")).register("a", state);
  for (let count = 0; count < 4; count++) await local.saveState();
  return { local, remote: new StateStore(backend), all: await names(local) };
}

it("MirroredStatesKeeper spares all snapshots until their copies are verified", async () => {
  const { local, remote, all } = await stores();
  const keeper = new MirroredStatesKeeper(local, remote, 1);
  expect(await keeper.cleanup()).toEqual([]);
  expect((await copyAll(local, remote)).map(({ name }) => name)).toEqual(all);
  expect(await copyAll(local, remote)).toEqual([]);
  expect((await keeper.cleanup()).map(({ name }) => name)).toEqual(all.slice(0, 3));
  expect([await names(local), await names(remote)]).toEqual([all.slice(3), all]);
});

it("MirroredStatesKeeper spares a snapshot whose copy is damaged", async () => {
  const backend = memoryBackend();
  const { local, remote, all } = await stores(backend);
  await copyAll(local, remote);
  const [damaged = ""] = all;
  await backend.remove(`${damaged}.tar.gz`);
  const stage = await backend.stage(`${damaged}.tar.gz`);
  await stage.publish("", [new Uint8Array(1000)]);
  const removed = await new MirroredStatesKeeper(local, remote, 1).cleanup();
  expect(removed.map(({ name }) => name)).toEqual(all.slice(1, 3));
  expect(await names(local)).toEqual([damaged, all[3]]);
});

it("copyAll goes on after a failure, and the keeper removes nothing while the other store is out of reach", async () => {
  const backend = memoryBackend();
  const { local, remote, all } = await stores(backend);
  const { stage, list } = backend;
  let calls = 0;
  backend.stage = (...args) => ++calls === 3 ? Promise.reject(new Error("out of reach")) : stage.apply(backend, args);
  await expect(copyAll(local, remote)).rejects.toThrow("out of reach");
  expect(await names(remote)).toEqual(all.slice(0, 2));
  expect((await copyAll(local, remote)).map(({ name }) => name)).toEqual(all.slice(2));
  backend.list = () => {
    throw new Error("out of reach");
  };
  await expect(new MirroredStatesKeeper(local, remote, 1).cleanup()).rejects.toThrow("out of reach");
  backend.list = list;
  expect(await names(local)).toEqual(all);
});
