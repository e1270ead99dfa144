// The agent as users run it: killed twenty times, it ends as if it never was, and each payment is booked once.
import { spawn } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileBackend, StateStore } from "snapkeep";
import { assertResumeEquivalent } from "snapkeep/testing";
import { describe, expect, it } from "vitest";
import { register, run } from "../../examples/agent/agent.ts";
import { root } from "../../tools/run.mjs";
import { temporaryFolder } from "../store/places.ts";

const isNode = (process.env["SNAPKEEP_RUNTIME"] ?? "node") === "node";
const program = path.join(root, isNode ? "dist/examples/agent/main.js" : "examples/agent/main.ts");
const KILLS = 20;

/** Starts the agent; kills it soon after it has said something for the n-th time, or lets it end. */
async function start(folder: string, args: readonly string[] = [], killAfter = Infinity): Promise<string[]> {
  const runtime = process.versions["deno"] === undefined ? [] : ["run", "-A"];
  const child = spawn(process.execPath, [...runtime, program, folder, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => {
    lines.push(line);
    if (line.startsWith("step ") && lines.filter((said) => said.startsWith("step ")).length === killAfter) {
      setTimeout(() => child.kill("SIGKILL"), Math.random() * 20);
    }
  });
  await new Promise((resolve) => child.on("close", resolve));
  return lines;
}

/** What the agent has in the end: conversation, memory, files, and what the bank booked. */
async function endOf(folder: string) {
  const store = new StateStore(path.join(folder, "states"), { program: "agent" });
  const { agent } = await register(store, folder);
  await store.resume();
  const files: Record<string, string> = {};
  for (const name of (await readdir(path.join(folder, "work"))).sort()) {
    files[name] = await readFile(path.join(folder, "work", name), "utf8");
  }
  return { ...agent, files, booked: (await readFile(path.join(folder, "bank.txt"), "utf8")).trimEnd().split("\n") };
}

/** Keys of the payments that the journal has begun and not ended. */
async function openIn(folder: string): Promise<string[]> {
  const journal = await readFile(path.join(folder, "states", ".ledger.journal"), "utf8").catch(() => "");
  const last = new Map<string, string>();
  for (const line of journal.split("\n").filter((text) => text.endsWith("}"))) {
    const { key, status } = JSON.parse(line) as { key: string; status: string };
    last.set(key, status);
  }
  return [...last.keys()].filter((key) => last.get(key) === "started");
}

describe("the agent", () => {
  it("ends as if it was never killed, pays once, and reports what was in flight", async () => {
    const [whole, killed] = [await temporaryFolder(), await temporaryFolder()];
    expect((await start(whole)).at(-1)).toBe("done");
    let reported = 0;
    for (let kill = 0; kill <= KILLS; kill++) {
      const open = await openIn(killed);
      const said = await start(killed, [], kill < KILLS ? 1 : Infinity);
      expect(said.filter((line) => line.startsWith("in flight "))).toEqual(open.map((key) => `in flight ${key}`));
      reported += open.length;
      if (kill === KILLS) expect(said.at(-1)).toBe("done");
    }
    const [expected, found] = [await endOf(whole), await endOf(killed)];
    expect({ ...found, booked: [...found.booked].sort() }).toEqual({
      ...expected,
      booked: [...expected.booked].sort(),
    });
    expect(new Set(found.booked).size).toBe(found.booked.length);
    console.log(`${reported} in flight over ${KILLS} kills`);
  });

  it("rewinds files, conversation and memory to a tag, with a preview, and pays nothing again", async () => {
    const folder = await temporaryFolder();
    await start(folder);
    const before = await endOf(folder);
    const lines = (await start(folder, ["rewind", "before-refactor"])).join("\n");
    expect(lines).toMatch(/changed: \[\s*"?'?parser\.ts/);
    expect(lines).toMatch(/messages.*memory.*work/s);
    expect(lines).toMatch(/stays done:.*review-parser.*review-planner.*review-printer/s);
    const rewound = await endOf(folder);
    expect(rewound.messages.at(-1)).toMatchObject({ call: { text: "before-refactor" } });
    expect([...rewound.memory.keys()]).toEqual(["language"]);
    expect(rewound.files["parser.ts"]).not.toBe(before.files["parser.ts"]);
    expect((await start(folder)).at(-1)).toBe("done");
    expect(await endOf(folder)).toEqual(before);
  });

  it("resumes equivalently at each step", async () => {
    const folders = new Map<string, string>();
    const { steps } = await assertResumeEquivalent((store) => run(store, folders.get(store.backend.uri) as string), {
      place: async () => {
        const folder = await temporaryFolder();
        const backend = fileBackend(path.join(folder, "states"), { durability: "none" });
        folders.set(backend.uri, folder);
        return backend;
      },
      cuts: [1, 8, 17, 36],
      randomCuts: 2,
    });
    expect(steps).toBe(36);
  });

  it("has fewer than 60 lines beside its tools", async () => {
    const texts = await Promise.all(
      ["agent.ts", "main.ts"].map((name) => readFile(path.join(root, "examples/agent", name), "utf8")),
    );
    const code = texts.join("").split("\n").filter((line) => line.trim() !== "" && !/^\s*\/[/*]/.test(line));
    expect(code.length).toBeLessThan(60);
  });
});
