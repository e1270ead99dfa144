// The demo in a short form, as users run it: from dist/ on Node, from its sources on Bun and Deno.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { assertResumeEquivalent } from "snapkeep/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Training } from "../../examples/train_digits/training.ts";
import { loadDigits } from "../../examples/train_digits/digits.ts";
import { root, run } from "../../tools/run.mjs";

const demo = (process.env["SNAPKEEP_RUNTIME"] ?? "node") === "node"
  ? path.join(root, "dist/examples/train_digits/main.js")
  : path.join(root, "examples/train_digits/main.ts");

describe("the demo", () => {
  let cwd: string;

  beforeAll(async () => {
    cwd = await mkdtemp(path.join(os.tmpdir(), "snapkeep-demo-"));
  });

  afterAll(async () => {
    await rm(cwd, { recursive: true, force: true });
  });

  it("is killed, and ends with the weights of a training that was left in peace", async () => {
    const args = [demo, "--epochs", "3", "--fraction", "0.15", "--save-seconds", "0.05"];
    const { code, output } = await run(process.execPath, args, { cwd });
    expect(output).toContain("KILLED with SIGKILL");
    expect(output).toContain("STOPPED with SIGTERM");
    expect(output).toMatch(/The last run was ended by SIGTERM at .*; nothing was lost\./);
    expect(output).toContain("IDENTICAL");
    expect(code).toBe(0);
    const digests = [...output.matchAll(/^ {2}weights, .* (sha256:[0-9a-f]{64})$/gm)].map(([, digest]) => digest);
    expect(digests).toHaveLength(2);
    expect(new Set(digests).size).toBe(1);
  }, 300_000);

  it("clears away what it left before, and nothing else", async () => {
    const folder = path.join(cwd, "demo-states");
    const states = path.join(folder, "uninterrupted");
    const before = (await readdir(states)).filter((name) => name !== ".notes"); // left by the test before this one
    await writeFile(path.join(folder, "notes.txt"), "mine");
    await writeFile(path.join(states, "notes.txt"), "mine too");
    // Too short to be killed, so that the verdict may be either.
    await run(process.execPath, [demo, "--epochs", "1", "--fraction", "0.01"], { cwd });
    const after = (await readdir(states)).filter((name) => name !== ".notes");
    expect(before.length).toBeGreaterThan(0);
    expect(after.length).toBeGreaterThan(1); // its own snapshots and the notes
    for (const name of before) expect(after).not.toContain(name);
    expect(await readFile(path.join(folder, "notes.txt"), "utf8")).toBe("mine");
    expect(await readFile(path.join(states, "notes.txt"), "utf8")).toBe("mine too");
  });

  it("leaves a folder alone that it did not make", async () => {
    const folder = path.join(cwd, "precious");
    await mkdir(folder);
    await writeFile(path.join(folder, "thesis.txt"), "years of work");
    const { code, output } = await run(process.execPath, [demo, "precious"], { cwd });
    expect(code).toBe(1);
    expect(output).toContain("the demo did not make it");
    expect(await readdir(folder)).toEqual(["thesis.txt"]);
    expect(await readFile(path.join(folder, "thesis.txt"), "utf8")).toBe("years of work");
  });

  it("resumes as if it was never cut, at any step", async () => {
    const digits = await loadDigits(0.012);
    const { steps } = await assertResumeEquivalent(async function* (store) {
      const training = new Training(digits, 3);
      training.register(store);
      await store.resume();
      while (training.share < 1) yield training.step();
    }, { randomCuts: 2 });
    expect(steps).toBe(9);
  });
});
