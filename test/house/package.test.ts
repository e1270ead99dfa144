// The package is published from two files, package.json (npm) and deno.json (JSR): they must say the same.
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { VERSION } from "../../src/model/version.ts";
import { root } from "../../tools/run.mjs";

interface Package {
  name: string;
  version: string;
  license: string;
  exports: Record<string, string | { types: string; default: string }>;
  files: string[];
  dependencies: Record<string, string>;
  peerDependencies: Record<string, string>;
}

interface Deno {
  name: string;
  version: string;
  license: string;
  exports: Record<string, string>;
  imports: Record<string, string>;
}

async function json<T>(file: string): Promise<T> {
  return JSON.parse(await readFile(path.join(root, file), "utf8")) as T;
}

const npm = await json<Package>("package.json");
const deno = await json<Deno>("deno.json");

describe("package", () => {
  it("has one version and one licence", () => {
    expect({ deno: deno.version, source: VERSION }).toEqual({ deno: npm.version, source: npm.version });
    expect(deno.license).toBe(npm.license);
  });

  it("has the same dependencies on npm and JSR", () => {
    const declared = { ...npm.dependencies, ...npm.peerDependencies };
    const imports = Object.entries(declared).map(([name, range]) => [name, `npm:${name}@${range}`]);
    // Deno reads its own sources under their public names; without these it would resolve them to a build, through npm.
    const own = Object.entries(deno.exports).map(([name, source]) => [name.replace(".", "snapkeep"), source]);
    expect(deno.imports).toEqual(Object.fromEntries([...imports, ...own]));
  });

  it("has the same entry points on npm and JSR, and their sources exist", () => {
    const sources = Object.entries(npm.exports).filter(([name]) => name !== "./package.json").map(([name, target]) => {
      const { types, default: code } = target as { types: string; default: string };
      expect(code.replace(/\.js$/, "")).toBe(types.replace(/\.d\.ts$/, ""));
      return [name, code.replace("./dist/", "./").replace(/\.js$/, ".ts")] as const;
    });
    expect(deno.exports).toEqual(Object.fromEntries(sources));
    for (const [, source] of sources) expect(existsSync(path.join(root, source)), source).toBe(true);
  });

  it("has the files it promises to publish", () => {
    const promised = npm.files.filter((name) => !name.startsWith("dist/"));
    expect(promised.filter((name) => !existsSync(path.join(root, name)))).toEqual([]);
  });

  it("has in it what README.md links to, and in the repository what docs/ links to", async () => {
    const links = async (file: string) =>
      [...(await readFile(path.join(root, file), "utf8")).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)]
        .map(([, link]) => path.posix.join(path.posix.dirname(file), link as string));
    const isPacked = (name: string) => npm.files.some((file) => name === file || name.startsWith(`${file}/`));
    const docs = (await readdir(path.join(root, "docs"), { recursive: true })).filter((name) => name.endsWith(".md"));
    const linked = (await Promise.all(["README.md", ...docs.map((name) => `docs/${name}`)].map(links))).flat();
    expect(linked.filter((name) => !existsSync(path.join(root, name)))).toEqual([]);
    const ofReadme = await links("README.md");
    expect(ofReadme.length).toBeGreaterThan(5);
    expect(ofReadme.filter((name) => !isPacked(name))).toEqual([]);
  });

  it("has the headings that README.md and docs/ link to", async () => {
    const docs = (await readdir(path.join(root, "docs"), { recursive: true })).filter((name) => name.endsWith(".md"));
    const files = ["README.md", ...docs.map((name) => `docs/${name}`)];
    const texts = new Map(
      await Promise.all(files.map(async (file) => [file, await readFile(path.join(root, file), "utf8")] as const)),
    );
    // As GitHub makes them.
    const anchorOf = (heading: string) =>
      heading.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, "").trim().replaceAll(/\s/g, "-");
    const missing = [...texts].flatMap(([file, text]) =>
      [...text.matchAll(/\]\(([^)#:]*)#([^)]+)\)/g)].filter(([, to, anchor]) => {
        const target = to === "" ? file : path.posix.join(path.posix.dirname(file), to as string);
        const headings = [...(texts.get(target) ?? "").matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
          anchorOf(heading as string)
        );
        return texts.has(target) && !headings.includes(anchor as string);
      }).map(([link]) => `${file}: ${link}`)
    );
    expect(missing).toEqual([]);
  });

  it("locks its own version", async () => {
    const lock = await json<{ version: string; packages: Record<string, Partial<Package>> }>("package-lock.json");
    expect([lock.version, lock.packages[""]?.version]).toEqual([npm.version, npm.version]);
    expect(lock.packages[""]?.dependencies).toEqual(npm.dependencies);
  });

  it("locks the binaries of every platform, without which npm ci refuses the lock", async () => {
    // Some registries lack the newest binaries of some platforms; npm install passes over that in silence.
    const { packages } = await json<{ packages: Record<string, { optionalDependencies?: object }> }>(
      "package-lock.json",
    );
    const wanted = Object.values(packages).flatMap(({ optionalDependencies }) =>
      Object.keys(optionalDependencies ?? {})
    );
    const locked = (name: string) => Object.keys(packages).some((place) => place.endsWith(`node_modules/${name}`));
    expect(wanted.length).toBeGreaterThan(0);
    expect(wanted.filter((name) => !locked(name))).toEqual([]);
  });
});
