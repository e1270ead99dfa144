// The pictures of docs/retention.md show what the planner does now, and the page leaves out neither rule nor picture.
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import * as library from "snapkeep";
import { describe, expect, it } from "vitest";
import { retentionPictures } from "../../tools/retention_pictures.mjs";
import { root } from "../../tools/run.mjs";

const folder = path.join(root, "docs/images");
const pictures = retentionPictures(library);

describe("docs/images", () => {
  it.each([...pictures.keys()])("%s is what the planner draws now", async (file) => {
    // If it is meant to have changed: node tools/build.mjs && node tools/retention_pictures.mjs
    expect(await readFile(path.join(folder, file), "utf8")).toBe(pictures.get(file));
  });

  it("are all shown in docs/retention.md, each once and with words for who cannot see it", async () => {
    const page = await readFile(path.join(root, "docs/retention.md"), "utf8");
    const shown = [...page.matchAll(/!\[([^\]]+)\]\(images\/([\w.]+)\)/g)];
    expect(shown.map(([, , file = ""]) => file).sort((a, b) => a < b ? -1 : 1)).toEqual(
      [...pictures.keys()].sort((a, b) => a < b ? -1 : 1),
    );
    for (const [, alternative] of shown) expect(alternative?.length).toBeGreaterThan(10);
    expect((await readdir(folder)).filter((file) => pictures.has(file)).length).toBe(pictures.size);
  });

  it("differ where the planner decides otherwise", () => {
    const other = retentionPictures({ ...library, keepLatest: (count) => library.keepLatest(count + 1) });
    expect(other.get("latest.svg")).not.toBe(pictures.get("latest.svg"));
    expect(other.get("weekly.svg")).toBe(pictures.get("weekly.svg"));
  });

  it("are well-formed and need nothing from elsewhere", () => {
    for (const svg of pictures.values()) {
      const tags = [...svg.matchAll(/<(\/?)([a-z]+)[^>]*?(\/?)>/g)];
      const open: string[] = [];
      for (const [, isEnd, tag = "", isEmpty] of tags) {
        if (isEmpty === "/") continue;
        if (isEnd === "/") expect(open.pop()).toBe(tag);
        else open.push(tag);
      }
      expect(open).toEqual([]);
      expect(svg).not.toMatch(/="[^"]*(NaN|undefined|Infinity)|>undefined|<script|href=|url\(/);
      expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" /);
    }
  });
});

describe("docs/retention.md", () => {
  it("has a section for every rule there is", async () => {
    const page = await readFile(path.join(root, "docs/retention.md"), "utf8");
    const rules = Object.keys(library).filter((name) => /^(keep|atLeast)/.test(name));
    expect(rules.length).toBeGreaterThan(12);
    const headings = page.match(/^#+ .*$/gm)?.join("\n") ?? "";
    for (const rule of rules) expect(headings).toContain(`\`${rule}(`);
  });
});
