// The texts of this repository name the actor and use the field's terms: README, docs, docstrings, comments, messages, test names.
// The list names the phrases that broke this rule before, with what to write instead.
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { root } from "../../tools/run.mjs";
import { runtime } from "../torture/budget.ts";

const INSTEAD: readonly (readonly [RegExp, string])[] = [
  [/\b(?:whoever|whosoever|nobody|somebody)\b/i, "name the caller, the store, the backend, another program"],
  [/\b(?:is|are|was|were|be|been) told\b/i, "receives, reports, is called with"],
  [/\b(?:gives?|gave|giving|given) up\b/i, "abort, cancel, abandon"],
  [/\bside by side\b/i, "concurrently"],
  [/\bheld against\b/i, "compared with"],
  [/\bsigns? of life\b/i, "heartbeat"],
  [/\b(?:is|are|was|were) wanted\b/i, "expected, needed"],
  [/\bfor ever\b/i, "permanently, without end"],
  [/\bthe seed's\b/i, "pamiq-core's"],
  [/\bof one's own\b/i, "your own"],
  [/\bit is none of\b/i, "must be one of"],
  [/\bit is no text\b/i, "must be a string"],
];

/** Words with a meaning of their own here. Each is in the glossary; a new one is added to both. */
const COINED = [
  ..."archive backend blob borrows capture chunk claim codec commit complete condition damaged digest directory durability entry"
    .split(" "),
  ..."finding floor footer foreign fresh group guard heartbeat join keeper keepsake labels layout lend lineage locator"
    .split(" "),
  ..."manifest member moment mutant note pin place plan program proof publish register resume rollback round rule run scratch seal"
    .split(" "),
  ..."slab snapshot stage stamp state store sweep table torn trash turn unit".split(" "),
];

/** Texts that may have the phrases: this list, and files that are generated or of others. */
const LEFT_OUT = /^test\/house\/words\.test\.ts$|^test\/fixtures\/|^docs\/benchmarks\.md$|^docs\/images\//;

async function texts(): Promise<string[]> {
  const below = async (folder: string) =>
    (await readdir(path.join(root, folder), { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)).split(path.sep).join("/"));
  const folders = await Promise.all(["docs", "src", "test", "examples"].map(below));
  return ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "mod.ts", ...folders.flat()]
    .filter((name) => /\.(?:md|ts|mjs)$/.test(name) && !LEFT_OUT.test(name));
}

/** A text with the markers of comments and Markdown left out, so that a phrase is found across lines. */
const prose = (text: string) => text.replaceAll(/\n\s*(?:\*|\/\/|>|-)?\s*/g, " ");

describe.skipIf(runtime !== "node")("the texts of the repository", () => {
  it("have no phrase without an actor, and no term that the field does not use", async () => {
    const found: string[] = [];
    const names = await texts();
    expect(names.length).toBeGreaterThan(200);
    for (const name of names) {
      const text = prose(await readFile(path.join(root, name), "utf8"));
      for (const [phrase, instead] of INSTEAD) {
        const at = phrase.exec(text);
        if (at !== null) found.push(`${name}: "${text.slice(at.index - 30, at.index + 50)}"; write: ${instead}`);
      }
    }
    expect(found).toEqual([]);
  });

  it("use words with a meaning of their own only as the glossary defines them", async () => {
    const glossary = await readFile(path.join(root, "docs/glossary.md"), "utf8");
    const defined = [...glossary.matchAll(/^\| ([a-z ]+) \| \S.* \|$/gm)].map(([, word]) => word as string).slice(1);
    expect(COINED.filter((word) => !defined.includes(word))).toEqual([]);
    expect(defined).toEqual([...defined].sort());
    const text = (await Promise.all((await texts()).map((name) => readFile(path.join(root, name), "utf8")))).join("\n");
    expect(defined.filter((word) => !new RegExp(`\\b${word}`, "i").test(text))).toEqual([]);
  });
});
