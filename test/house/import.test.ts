// What `import "snapkeep"` costs, and what bundlers make of it: the package as it is published, from dist/.
import { spawnSync } from "node:child_process";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { runInNewContext } from "node:vm";
import { build as esbuild } from "esbuild";
import { build as vite } from "vite";
import { describe, expect, it } from "vitest";
import { root } from "../../tools/run.mjs";
import { temporaryFolder } from "../backend/temporary.ts";
import { amount, runtime } from "../torture/budget.ts";

const isElsewhere = runtime !== "node" || amount("package", "tests") === 0;
const ROUNDS = 5;

const PROGRAM = `
import { LatestStatesKeeper, memoryBackend, StateStore } from "snapkeep";
import { Faults } from "snapkeep/testing";

let value = 1;
const store = new StateStore(memoryBackend()).register("counter", {
  saveState: (out) => out.json("value.json", value),
  loadState: async (from) => void (value = await from.json("value.json")),
});
for (const layout of ["directory", "tar.gz"]) {
  const snapshot = await store.saveState({ layout, labels: { step: value } });
  const saved = value++;
  await store.loadState(snapshot);
  if (value !== saved) throw new Error("loaded " + value);
}
const removed = await new LatestStatesKeeper(store, 1, "*.state").cleanup();
console.log("ran", removed.length, typeof Faults);
`;

function spawned(args: readonly string[]): string {
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return stdout.trim();
}

/** CPU milliseconds that a process took until it had imported a module. */
function cpuMsOf(url: string): number {
  const script = `import(${JSON.stringify(url)}).then(() => {
    const { user, system } = process.cpuUsage();
    console.log((user + system) / 1000);
  })`;
  return Number(spawned(["-e", script]));
}

const median = (values: readonly number[]): number =>
  values.toSorted((one, other) => one - other)[values.length >> 1] ?? NaN;

/** A project that has the package installed. */
async function project(program: string): Promise<string> {
  const folder = await temporaryFolder();
  await mkdir(path.join(folder, "node_modules"));
  await symlink(root, path.join(folder, "node_modules", "snapkeep"));
  await writeFile(path.join(folder, "package.json"), '{ "type": "module" }');
  await writeFile(path.join(folder, "main.js"), program);
  return folder;
}

const quiet = { configFile: false, logLevel: "silent" } as const;

describe.skipIf(runtime !== "node")("import of snapkeep", () => {
  it.skipIf(isElsewhere)("takes less time than the runtime takes to start", () => {
    const empty: number[] = [];
    const library: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      empty.push(cpuMsOf("data:text/javascript,"));
      library.push(cpuMsOf(pathToFileURL(path.join(root, "dist/mod.js")).href));
    }
    expect(median(library)).toBeLessThan(2 * median(empty));
  });

  it("loads few files", async () => {
    const bundle = await esbuild({
      entryPoints: [path.join(root, "dist/mod.js")],
      bundle: true,
      packages: "external",
      platform: "node",
      format: "esm",
      write: false,
      metafile: true,
    });
    const eager = Object.values(bundle.metafile.outputs).flatMap(({ imports }) => imports)
      .filter(({ kind, path }) => kind === "import-statement" && !path.startsWith("node:"));
    expect([...new Set(eager.map(({ path }) => path))]).toEqual(["leven"]);
    expect(Object.keys(bundle.metafile.inputs).length).toBeLessThan(10);
  });
});

describe.skipIf(isElsewhere)("a bundle with snapkeep", () => {
  it("for Node by esbuild runs", async () => {
    const folder = await project(PROGRAM);
    await esbuild({
      absWorkingDir: folder,
      entryPoints: ["main.js"],
      outfile: "out.mjs",
      bundle: true,
      platform: "node",
      format: "esm",
      logLevel: "silent",
    });
    expect(spawned([path.join(folder, "out.mjs")])).toBe("ran 1 function");
  });

  it.each(
    [
      ["with all packages in it", { noExternal: true }],
      ["", {}],
    ] as const,
  )("for a server by vite runs %s", async (_, ssr) => {
    const folder = await project(PROGRAM);
    await vite({
      ...quiet,
      root: folder,
      ssr,
      build: { ssr: "main.js", outDir: "out" },
    });
    expect(spawned([path.join(folder, "out/main.js")])).toBe("ran 1 function");
  });

  const sentence = /^Cannot use "snapkeep" in a browser: it needs the file system of Node, Deno or Bun$/;

  it("for a browser by esbuild says in one sentence that it cannot run there", async () => {
    const folder = await project(PROGRAM.replaceAll(/\bawait /g, ""));
    const { outputFiles: [file] } = await esbuild({
      absWorkingDir: folder,
      entryPoints: ["main.js"],
      bundle: true,
      platform: "browser",
      format: "iife",
      write: false,
      logLevel: "silent",
    });
    expect(() => runInNewContext(file?.text ?? "", { console })).toThrow(sentence);
  });

  it("for a browser by vite says in one sentence that it cannot run there", async () => {
    const folder = await project(PROGRAM.replaceAll(/\bawait /g, ""));
    await vite({
      ...quiet,
      root: folder,
      build: { lib: { entry: "main.js", formats: ["iife"], name: "program" }, outDir: "out" },
    });
    const [name = ""] = (await readdir(path.join(folder, "out"))).filter((name) => name.endsWith(".js"));
    const text = await readFile(path.join(folder, "out", name), "utf8");
    expect(() => runInNewContext(text, { console })).toThrow(sentence);
  });
});
