// Runs the agent, and saves after each step; or rewinds it to a tag.
//   node dist/examples/agent/main.js FOLDER [rewind TAG]    on Node, after npm ci and npm run build; bun and deno run -A take main.ts
import process from "node:process";
import { autosave, everySteps, keepLatest, keepTagged, RetentionKeeper, StateStore } from "snapkeep";
import { run } from "./agent.ts";
import { rewind } from "./rewind.ts";

const [folder = "agent", verb, tag = "before-refactor"] = process.argv.slice(2);
const store = new StateStore(`${folder}/states`, { program: "agent" });
if (verb === "rewind") await rewind(store, folder, tag);
else {
  let step = 0;
  const keeper = new RetentionKeeper(store, [keepLatest(3), keepTagged("before-refactor")]);
  const saver = autosave(store, { condition: everySteps(1), keeper, labels: () => ({ step }) });
  for await (const messages of run(store, folder)) {
    step = messages.length;
    await saver.tick();
    console.log(`step ${step}`);
  }
  await saver.close();
  console.log("done");
}
