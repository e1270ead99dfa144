// The table of docs/states.md says what the states keep now.
import { readFile } from "node:fs/promises";
import path from "node:path";
import * as snapkeep from "snapkeep";
import * as states from "snapkeep/states";
import { expect, it } from "vitest";
import { root } from "../../tools/run.mjs";
import { keptTable, withTable } from "../../tools/states_table.mjs";

it("docs/states.md says what each state keeps", async () => {
  // If it is meant to have changed: node tools/build.mjs && node tools/states_table.mjs
  const page = await readFile(path.join(root, "docs/states.md"), "utf8");
  expect(withTable(page, "kept", await keptTable({ snapkeep, states }))).toBe(page);
});

it("docs/states.md names every state there is", async () => {
  const page = await readFile(path.join(root, "docs/states.md"), "utf8");
  const names = Object.keys(states).filter((name) => name.endsWith("State"));
  expect(names.length).toBe(9);
  for (const name of names) expect(page).toContain(`\`${name}(`);
});
