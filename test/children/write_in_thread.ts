// A thread that stages a snapshot and takes scratch and a lock, says so, and publishes on a message.
import { parentPort, workerData } from "node:worker_threads";
import { fileBackend } from "../../mod.ts";

const backend = fileBackend((workerData as { folder: string }).folder);
const stage = await backend.stage("x.state/");
await stage.write("a.bin", [new Uint8Array(10)]);
const scratch = await backend.scratch();
await scratch.write([new Uint8Array(10)]);
const unlock = await backend.notes.lock?.("x.state");

async function publish(): Promise<void> {
  try {
    await stage.publish("manifest.json", [new Uint8Array(10)]);
    await scratch.remove();
    await unlock?.();
    parentPort?.postMessage("published");
  } catch (error) {
    parentPort?.postMessage(String(error));
  }
}

parentPort?.once("message", () => void publish());
parentPort?.postMessage("staged");
