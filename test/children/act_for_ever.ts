// Does action after action through a ledger, saves now and then, and says what it did; it is killed somewhere in between.
import { appendFileSync } from "node:fs";
import process from "node:process";
import { StateStore } from "snapkeep";
import { Ledger } from "snapkeep/states";

const [folder = "", world = ""] = process.argv.slice(2);
const ledger = new Ledger();
let next = 0;
let isPast = false; // whether the clock of the store stands in the past, so that an action can be forgotten at once
const store = new StateStore(folder, { now: () => isPast ? 1_000 : Date.now() }).register("ledger", ledger).register(
  "next",
  {
    saveState: (out) => out.json("next.json", next),
    loadState: async (from) => void (next = await from.json("next.json") as number),
  },
);
await store.resume();
for (const key of ledger.inFlight) {
  console.log(`in-flight ${key}`);
  await ledger.once(key, () => "found out", { inFlight: "run" });
}
console.log("ready");
for (;; next++) {
  const key = `action-${next}`;
  const outcome = await ledger.once(key, (name) => {
    appendFileSync(world, `${name}\n`); // the outside world, which remembers each time
    return name;
  });
  console.log(`done ${key} ${outcome}`);
  if (next % 7 === 6) await store.saveState();
  if (next % 10 !== 9) continue;
  isPast = true;
  await ledger.once(`past-${next}`, () => {}, { inFlight: "run" });
  isPast = false;
  await ledger.forget(new Date(2_000)); // rewrites the journal
}
