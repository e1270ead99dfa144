// Runs the agent and saves after each step; or rewinds it to a tag.
//
//   node dist/examples/agent/main.js FOLDER [rewind TAG]    on Node, after npm ci and npm run build; bun and deno run -A take main.ts
import path from "node:path";
import process from "node:process";
import { autosave, everySteps, keepLatest, keepTagged, RetentionKeeper, StateStore } from "snapkeep";
import { register, run } from "./agent.ts";

const [folder = "agent", verb, tag = "before-refactor"] = process.argv.slice(2);
const store = new StateStore(path.join(folder, "states"), { program: "agent" });
if (verb === "rewind") {
  const { work, ledger } = await register(store, folder);
  await store.resume();
  for (const snapshot of await store.list()) {
    const { labels } = await snapshot.manifest();
    if (!labels.tags?.includes(tag)) continue;
    const reader = await snapshot.open();
    console.log(
      await work.preview(reader.state("work")!),
      (await store.compare(snapshot)).states.map(({ name }) => name),
    );
    await reader.close();
    await store.loadState(snapshot); // files, conversation and memory, in one call
    console.log("stays done:", ledger.since.map(({ key }) => key));
    await store.saveState(); // from here the next run goes on
    break;
  }
} else {
  let step = 0;
  const keeper = new RetentionKeeper(store, [keepLatest(3), keepTagged("before-refactor")]);
  const saver = autosave(store, { condition: everySteps(1), keeper, labels: () => ({ step }) });
  for await (const { call } of run(store, folder)) {
    ({ step } = call);
    if (call.tool === "checkpoint") await store.saveState({ labels: { step, tags: [call.text] } });
    else await saver.tick();
    console.log(`step ${step}`);
  }
  await saver.close();
  console.log("done");
}
