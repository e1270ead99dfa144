// Restores a folder from two snapshots in turn, until it is killed.
//
//   restore_folder FOLDER STORE FIRST SECOND
import process from "node:process";
import { StateStore } from "snapkeep";
import { folderState } from "snapkeep/states";

const [folder = "", states = "", ...names] = process.argv.slice(2);
const store = new StateStore(states).register("work", folderState(folder));
for (let turn = 0;; turn++) {
  const snapshot = await store.snapshot(names[turn % names.length] ?? "");
  if (snapshot === undefined) throw new Error("there is no snapshot");
  await store.loadState(snapshot);
  console.log("loaded");
}
