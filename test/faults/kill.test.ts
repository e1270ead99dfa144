// kill -9, again and again, over one store: whatever a program said it saved is there, whole, and nothing else is seen.
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { StateStore } from "snapkeep";
import { expect, it } from "vitest";
import { temporaryFolder } from "../backend/temporary.ts";
import { amount, limitMs } from "../torture/budget.ts";
import { startChild } from "./child.ts";

const KILLS = amount("kill", "kills");
const GREATEST_AGE = 4;

interface Life {
  /** Names and steps that were acknowledged, in order. */
  readonly saved: { readonly name: string; readonly step: number }[];
  readonly removed: string[];
  readonly complaints: string;
}

/** Lets the program save some snapshots, kills it somewhere in what it does next, and tells what it had said until then. */
async function live(folder: string, startAt: number, saves: number, nextMs: number): Promise<Life> {
  const child = startChild("save_for_ever", [folder, String(startAt)]);
  const life = { saved: [] as Life["saved"], removed: [] as string[], complaints: "" };
  child.stderr.setEncoding("utf8").on("data", (text: string) => life.complaints += text);
  const hasEnded = new Promise<NodeJS.Signals | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (_code, signal) => resolve(signal));
  });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => {
    const [verb, name = "", step] = line.split(" ");
    if (verb === "saved") life.saved.push({ name, step: Number(step) });
    if (verb === "removed") life.removed.push(name);
    if (life.saved.length >= saves) timer ??= setTimeout(() => child.kill("SIGKILL"), nextMs);
  });
  const hasRead = new Promise<void>((resolve) => lines.once("close", resolve));
  const [signal] = await Promise.all([hasEnded, hasRead]);
  clearTimeout(timer);
  expect(signal, life.complaints).toBe("SIGKILL");
  return life;
}

/** Snapshots that a keeper leaves for now: a killed program held their lock, and no record says that it did. */
async function lockedByUnknown(folder: string): Promise<Set<string>> {
  const locked = new Set<string>();
  for (const file of await readdir(folder).catch(() => [])) {
    const name = /^\.(.*)\.lock$/.exec(file)?.[1];
    if (name === undefined) continue;
    const owner = await readFile(path.join(folder, `${file}-owner`), "utf8").catch(() => "");
    if (owner === "" || process.platform !== "linux") locked.add(name); // only Linux proves that a process has ended
  }
  return locked;
}

it("a store survives kill -9 at any moment", async () => {
  const folder = path.join(await temporaryFolder(), "states");
  const store = new StateStore(folder);
  const expected = new Map<string, number>();
  let lastStep = 0;
  let hidden = 0;
  let locked = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    // From the making of the folder and the first save on; a save and a clean-up take some 10 to 60 ms here.
    const mayStay = await lockedByUnknown(folder);
    const [saves, nextMs] = [kill % GREATEST_AGE, Math.random() * 60];
    const life = await live(folder, lastStep, saves, nextMs);
    const seed = `kill ${kill}, ${nextMs.toFixed(1)} ms after save ${saves}`;
    expect(life.complaints, seed).toBe("");
    for (const { name, step } of life.saved) {
      expected.set(name, step);
      lastStep = step;
    }
    for (const name of life.removed) expected.delete(name);

    const listed = await store.list();
    const names = listed.map(({ name }) => name);
    // Names go on across lives, and everything listed is whole.
    expect(names, seed).toEqual([...names].sort());
    let newest = 0;
    for (const snapshot of listed) {
      expect(await snapshot.verify(), `${snapshot} after ${seed}`).toMatchObject({ isWhole: true, entries: 4 });
      await using reader = await snapshot.open();
      const step = await reader.json("model/step.json") as number;
      const part = await reader.bytes("model/parts/b/c.bin");
      expect([step > newest, part.every((byte) => byte === step % 251)], `${snapshot} after ${seed}`).toEqual([
        true,
        true,
      ]);
      if (expected.has(snapshot.name)) expect(step, seed).toBe(expected.get(snapshot.name));
      newest = step;
    }
    // What was acknowledged is there. The kill may have come between a removal and its line, oldest first, never the newest.
    const lost = [...expected.keys()].sort().filter((name) => !names.includes(name));
    const removable = [...expected.keys()].sort().filter((name) => lost.includes(name) || !mayStay.has(name));
    expect(lost, `${seed}; locked: ${[...mayStay]}`).toEqual(removable.slice(0, lost.length));
    expect(expected.size - lost.length, seed).toBeGreaterThanOrEqual(Math.min(expected.size, 6));
    for (const name of lost) expected.delete(name);
    // At most the one save whose line was cut off is there beyond that.
    const unsaid = names.filter((name) => !expected.has(name));
    expect(unsaid.length, seed).toBeLessThanOrEqual(1);
    for (const name of unsaid) expected.set(name, newest);
    lastStep = Math.max(lastStep, newest);
    locked += mayStay.size;
    hidden += (await readdir(folder).catch(() => [])).filter((name) => name.startsWith(".")).length;
  }
  expect(lastStep, "saves in all lives").toBeGreaterThanOrEqual(KILLS);

  await store.sweep({ force: true });
  expect((await readdir(folder)).filter((name) => name.startsWith("."))).toEqual([]);
  expect((await store.list()).map(({ name }) => name)).toEqual([...expected.keys()].sort());
  console.log(
    `${KILLS} kills over ${lastStep} saves left ${hidden} hidden names, all swept, and ${locked} locks of unknown programs`,
  );
}, limitMs("kill", "kills", 4));
