// docs/cli.md says what the commands are, and README.md shows what they print.
import { readFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { loadCommands } from "../../src/cli/commands.ts";
import * as program from "../../src/cli/program.ts";
import { cliReference } from "../../tools/cli_reference.mjs";
import { root } from "../../tools/run.mjs";
import { temporaryFolder } from "../backend/temporary.ts";
import { fill, snapkeep } from "./snapkeep.ts";

const text = (file: string) => readFile(path.join(root, file), "utf8");

describe("docs/cli.md", () => {
  it("is what node tools/cli_reference.mjs makes of the commands", async () => {
    expect(await text("docs/cli.md")).toBe(cliReference(await loadCommands(), program));
  });

  it("shows command lines that the parser accepts", async () => {
    for (const { name, options, examples } of await loadCommands()) {
      const flags = [...options, ...program.GLOBAL_OPTIONS].flatMap(({ flags }) =>
        flags.match(/--?[a-zA-Z][\w-]*/g) ?? []
      );
      for (const [line] of examples) {
        expect(line).toContain(`snapkeep ${name}`);
        const given = line.split("|").filter((part) =>
          part.includes("snapkeep")
        ).join(" ").match(/(?<= )--?[a-zA-Z][\w-]*/g) ?? [];
        expect(given.filter((flag) => !flags.includes(flag)), line).toEqual([]);
      }
    }
  });
});

describe("README.md", () => {
  it("shows list, prune --dry-run and diff as they print", async () => {
    const folder = await temporaryFolder();
    await fill(folder, {
      count: 4,
      labels: (step) => ({ step: step * 100, metrics: { loss: 1 / step }, tags: step === 2 ? ["good"] : [] }),
      value: (step) => ({ step: step * 100, rates: { learning: 0.1 / step } }),
      bytes: (step) => new Uint8Array(40_000 + step * 4000).fill(step),
    });
    const outputs: string[] = [];
    for (const line of ["list", "prune --keep-latest 2 --keep-tagged good --dry-run", "diff"]) {
      const { stdout, stderr } = await snapkeep([...line.split(" "), "-s", folder]);
      outputs.push(`$ npx snapkeep ${line} -s states\n${stdout}${stderr}`);
    }
    // The times of the names are those of the page.
    const names = new Map<string, string>();
    const shown = outputs.join("").replaceAll(/\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d,\d{6}/g, (name) => {
      names.set(name, names.get(name) ?? `2026-11-28_${String(9 + names.size).padStart(2, "0")}-00-00,000000`);
      return names.get(name) as string;
    });
    expect(await text("README.md")).toContain(shown);
  });
});
