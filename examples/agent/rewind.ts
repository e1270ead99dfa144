// A tool for the agent's user: shows what a rewind to a tag would change, and rewinds files, conversation and memory in one call.
import type { StateStore } from "snapkeep";
import { register } from "./agent.ts";

/** Rewinds the agent to the first snapshot with a tag, and saves: from there the next run goes on. */
export async function rewind(store: StateStore, folder: string, tag: string): Promise<void> {
  const { work, ledger } = await register(store, folder);
  await store.resume();
  for (const snapshot of await store.list()) {
    const { labels } = await snapshot.manifest();
    if (!labels.tags?.includes(tag)) continue;
    const reader = await snapshot.open();
    console.log("files:", await work.preview(reader.state("work")!));
    await reader.close();
    console.log("states:", (await store.compare(snapshot)).states.map(({ name }) => name));
    await store.loadState(snapshot);
    console.log("stays done:", ledger.since.map(({ key }) => key));
    await store.saveState();
    return;
  }
  throw new Error(`no snapshot has the tag "${tag}"`);
}
