// An operator's day: a program saves; then nothing but the command line, until the program resumes.
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { StateStore } from "snapkeep";
import { expect, it } from "vitest";
import { temporaryFolder } from "../backend/temporary.ts";
import { fill, snapkeep, snapkeepBytes } from "./snapkeep.ts";

it("lists, verifies, finds damage, moves a snapshot through a pipe, prunes, and the program resumes", async () => {
  const [states, backup] = [await temporaryFolder(), await temporaryFolder()];
  const keep = (...args: string[]) => snapkeep(args, { env: { SNAPKEEP_STORE: states } });
  await fill(states, { count: 6 });

  // In the morning all is well.
  expect((await keep("list")).stdout.trim().split("\n").length).toBe(7);
  expect((await keep("verify")).code).toBe(0);
  expect((await keep("label", "latest~2", "--tag", "good")).code).toBe(0);

  // A byte of the newest is damaged; verify finds it, and says where.
  const newest = String(await new StateStore(states).latest());
  const file = path.join(newest, "model/weights.bin");
  const bytes = await readFile(file);
  bytes[100] = (bytes[100] ?? 0) ^ 0x10;
  await writeFile(file, bytes);
  const verified = await keep("verify");
  expect([verified.code, verified.stdout]).toEqual([4, expect.stringContaining("model/weights.bin is damaged")]);
  expect((await keep("doctor")).code).toBe(0); // manifests are as they were

  // The good one goes into another store through a pipe, the rest by copy; the damaged one does not.
  const { stdout: archive } = await snapkeepBytes(["export", "@good", "-s", states]);
  expect((await snapkeep(["import", "-", "-s", backup], { input: archive })).code).toBe(0);
  const copied = await keep("copy", "--all", "--to", backup);
  expect([copied.code, copied.stderr]).toEqual([3, expect.stringContaining("4 copied, 1 was there, 1 failed")]);
  expect((await snapkeep(["verify", "-s", backup])).code).toBe(0);
  expect((await snapkeep(["cat", "@good", "run/run.json", "-s", backup])).stdout).toBe('{"step":4,"loss":0.25}');

  // What to prune is seen before it is done.
  const rules = ["prune", "--keep-latest", "2", "--keep-tagged", "good"];
  const plan = await keep(...rules, "--dry-run", "--json");
  expect((JSON.parse(plan.stdout) as { plan: { isKept: boolean }[] }).plan.map(({ isKept }) => isKept))
    .toEqual([false, false, false, true, true, true]);
  expect((await keep(...rules)).code).toBe(2);
  expect((await keep(...rules, "--yes")).code).toBe(0);

  // The program passes over the damaged one.
  let run: unknown;
  const store = new StateStore(states, { program: "trainer" })
    .register("run", { saveState: () => {}, loadState: async (from) => void (run = await from.json("run.json")) })
    .register("model", { saveState: () => {}, loadState: () => {} });
  const { outcome, tried } = await store.resume();
  expect([outcome, tried.length, run]).toEqual(["resumed", 1, { step: 5, loss: 0.2 }]);
});
