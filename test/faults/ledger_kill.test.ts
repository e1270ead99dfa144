// kill -9, again and again, over one ledger: each action happens once, and what may have happened is reported.
import { readFile } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { expect, it } from "vitest";
import { temporaryFolder } from "../backend/temporary.ts";
import { amount, limitMs } from "../torture/budget.ts";
import { startChild } from "./child.ts";

const KILLS = amount("kill", "kills");

it("a ledger survives kill -9 at any moment", async () => {
  const room = await temporaryFolder();
  const [folder, world] = [path.join(room, "states"), path.join(room, "world.txt")];
  const reported = new Set<string>();
  const done = new Set<string>();
  for (let kill = 0; kill < KILLS; kill++) {
    const child = startChild("act_for_ever", [folder, world]);
    let complaints = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => complaints += text);
    const lines = createInterface({ input: child.stdout });
    let ended = 0;
    lines.on("line", (line) => {
      const [verb, key = ""] = line.split(" ");
      if (verb === "in-flight") reported.add(key);
      if (verb === "done") done.add(key);
      // Somewhere in what it does after so many actions, which are perhaps answered from the record.
      if (verb === "done" && ++ended === 1 + kill % 9) setTimeout(() => child.kill("SIGKILL"), Math.random() * 40);
    });
    await new Promise<void>((resolve) => lines.once("close", resolve));
    expect(complaints).toBe("");
  }
  const happened = (await readFile(world, "utf8")).trimEnd().split("\n");
  expect(new Set(happened).size, "each action happened once").toBe(happened.length);
  const known = new Set(happened);
  expect([...done].filter((key) => !known.has(key) && !reported.has(key)), "what was answered for").toEqual([]);
  expect(happened.length).toBeGreaterThan(KILLS / 2);
  console.log(`${KILLS} kills over ${happened.length} actions; ${reported.size} reported as in flight`);
}, limitMs("kill", "kills", 4));
