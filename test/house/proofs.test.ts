// The proofs are what the tools and the documentation say of them.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { afterEach, describe, expect, it } from "vitest";
import { amountOf, groups, proofs, variableOf } from "../../tools/proofs.mjs";
import { root, run } from "../../tools/run.mjs";

const text = (file: string) => readFile(path.join(root, file), "utf8");

describe("proofs", () => {
  it("consist of test files that exist and read their amounts", async () => {
    for (const [name, { files, measures }] of Object.entries(proofs)) {
      const sources = await Promise.all([...files, "test/faults/strike.ts", "test/shares.ts"].map(text));
      for (const measure of Object.keys(measures)) {
        const call = `amount("${name}", "${measure}")`;
        expect(sources.some((source) => source.includes(call)), `${call} in ${files.join(", ")}`).toBe(true);
      }
    }
  });

  it("are all named beside the guarantees, and nothing else is", async () => {
    const rows = (await text("docs/guarantees.md")).split("\n").filter((line) => /^\| G\d+ \|/.test(line));
    const named = rows.flatMap((row) => (row.split("|")[4] ?? "").split(",").map((name) => name.trim()));
    const others = ["mutants", "speed", "package"]; // these guard no promise
    const known = Object.keys(proofs).filter((name) => !others.includes(name));
    expect([...new Set(named)].filter((name) => name !== "" && name !== "all").sort()).toEqual(known.sort());
  });

  it("have no group with the name of a proof of another group", () => {
    for (const [group, members] of groups()) {
      if (group in proofs) expect(members).toContain(group);
    }
  });

  it("are refused by npm run prove when they do not exist, with the names of those that do", async () => {
    const { code, output } = await run(process.execPath, [path.join(root, "tools/prove.mjs"), "no-such-proof"]);
    expect(code).not.toBe(0);
    expect(output).toContain('Cannot prove "no-such-proof": not one of durability');
  });
});

describe("amountOf", () => {
  const variable = variableOf("crash", "trees");
  const { SNAPKEEP_TASTE: taste } = process.env;
  afterEach(() => {
    delete process.env[variable];
    if (taste === undefined) delete process.env["SNAPKEEP_TASTE"];
    else process.env["SNAPKEEP_TASTE"] = taste;
  });

  it("gives the amount of a form, by runtime where they differ", () => {
    expect(amountOf("crash", "trees", true, "short")).toBeLessThan(1000);
    expect(amountOf("crash", "trees", true, "long")).toBeGreaterThan(amountOf("crash", "trees", false, "long"));
  });

  it("gives what the environment says when it says something", () => {
    process.env[variable] = "77";
    expect([variable, amountOf("crash", "trees", true)]).toEqual(["SNAPKEEP_CRASH_TREES", 77]);
    process.env[variable] = "many";
    expect(() => amountOf("crash", "trees", true)).toThrow("Cannot use SNAPKEEP_CRASH_TREES=many: not a number");
  });

  it("gives the short amount of a proof of whole files in npm test of all files only", () => {
    process.env["SNAPKEEP_TASTE"] = "1";
    expect(amountOf("whole", "runtimes", true)).toBe(1);
    delete process.env["SNAPKEEP_TASTE"];
    expect(amountOf("whole", "runtimes", true)).toBe(2);
  });

  it("refuses an amount that no proof has", () => {
    expect(() => amountOf("crash", "tree", true)).toThrow("tools/proofs.mjs has no such amount");
  });
});

describe("the list of surviving mutants", () => {
  it("names sources that exist", async () => {
    const files = [...(await text("tools/torture/survivors.md")).matchAll(/`(src\/\S+\.ts) /g)].map(([, file]) =>
      file ?? ""
    );
    expect(files.length).toBeGreaterThan(20);
    expect(files.filter((file) => !existsSync(path.join(root, file)))).toEqual([]);
  });
});
