// Uses the packed package as a stranger would: installs the tarball into an empty project outside of the repository,
// type-checks a program against it, and runs a program with it on every runtime. Deno gets no permission but the folder.
//
//   node tools/consumers.mjs [tarball]      without a tarball, npm pack makes one
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, realpath, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { bin, root, run, script, secondsSince } from "./run.mjs";

const nodes = path.join(root, "tools", "runtimes", "node_modules");
const further = ["node22", "node24"];

/**
 * @param {string} from Where the package is imported from.
 * @param {string} states Where its ready-made states are.
 * @param {string} s3 Where its object stores are.
 */
const program = (from, states, s3) =>
  `import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { StateStore } from ${JSON.stringify(from)};
import { s3Backend } from ${JSON.stringify(s3)};
import { folderState, structuredState } from ${JSON.stringify(states)};

const [folder] = process.argv.slice(2);
let value = 1;
const counter = {
  saveState(out) {
    return out.json("value.json", { value });
  },
  async loadState(from) {
    ({ value } = await from.json("value.json"));
  },
};
for (const layout of ["directory", "tar.gz"]) {
  value = layout.length;
  const store = new StateStore(\`\${folder}/\${layout}\`).register("counter", counter);
  const saved = await store.saveState({ layout });
  value = 0;
  const [found] = await store.list();
  if (found?.name !== saved.name) throw new Error(\`saved \${saved.name}, listed \${found?.name}\`);
  await new StateStore(\`\${folder}/\${layout}\`).register("counter", counter).loadState(found);
  if (value !== layout.length) throw new Error(\`loaded \${value} instead of \${layout.length} from \${layout}\`);
}
let seen = new Map([["here", new Date(0)]]);
const work = \`\${folder}/work\`;
mkdirSync(work, { recursive: true });
writeFileSync(\`\${work}/plan\`, "saved");
const ready = new StateStore(\`\${folder}/ready\`)
  .register("seen", structuredState({ get: () => seen, set: (value) => seen = value }))
  .register("work", folderState(work));
const snapshot = await ready.saveState();
seen = new Map();
writeFileSync(\`\${work}/plan\`, "lost");
await ready.loadState(snapshot);
const plan = readFileSync(\`\${work}/plan\`, "utf8");
if (seen.get("here")?.getTime() !== 0 || plan !== "saved") throw new Error("ready-made states lost something");
// Without its client, which is loaded with the first request.
if (s3Backend({ url: "s3://bucket/p" }).uri !== "s3://bucket/p/") throw new Error("s3Backend is not whole");
console.log("consumer ok");
`;

const typed = `import { type PersistentState, type SnapshotLocator, StateStore } from "snapkeep";
import type {} from "snapkeep/backend";
import { structuredState } from "snapkeep/states";
import type {} from "snapkeep/s3";
import type {} from "snapkeep/testing";

const counter: PersistentState = {
  saveState: (out) => out.json("value.json", { value: 1 }),
  async loadState(from) {
    const value: unknown = await from.json("value.json");
    void value;
  },
};
let seen = new Map<string, Date>();
const store: StateStore = new StateStore("folder")
  .register("counter", counter)
  .register("seen", structuredState({ get: () => seen, set: (value) => seen = value }));
const saved: SnapshotLocator = await store.saveState();
export const name: string = saved.name;
await store.loadState(saved);
// @ts-expect-error: the types must be there; were all of them any, this would pass.
store.noSuchMember();
`;

let failed = 0;

/**
 * @param {string} name
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd: string, says?: string }} options
 */
async function check(name, command, args, { cwd, says = "" }) {
  const since = performance.now();
  const { code, output, stdout } = await run(command, args, { cwd });
  const ok = code === 0 && stdout.includes(says);
  if (!ok) failed++;
  console.log(`  ${ok ? "ok    " : "FAILED"} ${name} (${secondsSince(since).toFixed(1)} s)`);
  if (!ok) console.log(`$ ${command} ${args.join(" ")} -> exit code ${code}\n${output}`);
  return ok;
}

/** Further Node versions, installed once; elsewhere than on x64 Linux there are none. */
async function installNodes() {
  if (further.every((name) => existsSync(path.join(nodes, name, "bin", "node")))) return further;
  if (process.platform !== "linux" || process.arch !== "x64") {
    console.log(`  skipped ${further.join(", ")}: no binaries for ${process.platform} ${process.arch}`);
    return [];
  }
  await check("npm ci of further Nodes", "npm", ["ci", "--prefix", "tools/runtimes"], { cwd: root });
  return further;
}

/** @param {string} project @param {string | undefined} given */
async function install(project, given) {
  let tarball = given;
  if (tarball === undefined) {
    if (!await check("npm pack", "npm", ["pack", "--pack-destination", project], { cwd: root })) return;
    tarball = path.join(project, (await readdir(project)).find((name) => name.endsWith(".tgz")) ?? "");
  }
  await writeFile(path.join(project, "package.json"), JSON.stringify({ private: true, type: "module" }));
  await check("npm install of the tarball", "npm", ["install", "--ignore-scripts", path.resolve(tarball)], {
    cwd: project,
  });
  const licenses = "node_modules/snapkeep/dist/chunks/licenses.txt";
  await check("licenses of bundled packages", "cat", [licenses], { cwd: project, says: "zod " });
}

/** @param {string} project */
async function typecheck(project) {
  await writeFile(path.join(project, "consumer.ts"), typed);
  for (const [module, moduleResolution] of /** @type {const} */ ([["nodenext", "nodenext"], ["esnext", "bundler"]])) {
    const config = {
      compilerOptions: {
        strict: true,
        target: "es2022",
        lib: ["es2023", "dom"],
        module,
        moduleResolution,
        noEmit: true,
        types: [],
        skipLibCheck: true,
      },
      files: ["consumer.ts"],
    };
    await writeFile(path.join(project, "tsconfig.json"), JSON.stringify(config));
    await check(`types, ${moduleResolution}`, process.execPath, [script("typescript/bin/tsc"), "-p", project], {
      cwd: project,
    });
  }
  // Deno would read it.
  await rm(path.join(project, "tsconfig.json"));
}

/** @param {string} project */
async function runInstalled(project) {
  await writeFile(path.join(project, "consumer.mjs"), program("snapkeep", "snapkeep/states", "snapkeep/s3"));
  const commands = [
    { name: `Node ${process.versions.node}`, command: process.execPath, before: [] },
    ...(await installNodes()).map((name) => ({ name, command: path.join(nodes, name, "bin", "node"), before: [] })),
    { name: "Bun", command: bin("bun"), before: ["--bun"] },
    {
      name: "Deno with the folder's permissions",
      command: bin("deno"),
      before: ["run", "--no-prompt", `--allow-read=${project}`, `--allow-write=${project}`],
    },
  ];
  for (const [index, { name, command, before }] of commands.entries()) {
    await check(name, command, [...before, "consumer.mjs", path.join(project, `store_${index}`)], {
      cwd: project,
      says: "consumer ok",
    });
  }
}

/**
 * Runs the command line as operators do: by npx, by bunx, and by Deno with the packed file as npm:snapkeep.
 *
 * @param {string} project
 */
async function runCommandLine(project) {
  const store = path.join(project, "store_0", "directory"); // which Node has filled
  const archive = path.join(project, "moved.tar.gz");
  const runners = [
    { name: "npx", on: "Node", command: "npx", before: ["--no-install", "snapkeep"] },
    { name: "bunx", on: "Node", command: bin("bun"), before: ["x", "--no-install", "snapkeep"] },
    { name: "bunx --bun", on: "Bun", command: bin("bun"), before: ["--bun", "x", "--no-install", "snapkeep"] },
    { name: "deno run", on: "Deno", command: bin("deno"), before: ["run", "-A", "npm:snapkeep"] },
  ];
  for (const [index, { name, on, command, before }] of runners.entries()) {
    const copy = path.join(project, `copy_${index}`);
    for (
      const { args, says = "" } of [
        { args: ["--help"], says: "Usage: snapkeep" },
        { args: ["list", "-s", store], says: ".state" },
        { args: ["cat", "latest", "counter/value.json", "-s", store], says: '{"value":9}' },
        { args: ["export", "latest", "-s", store, "-o", archive, "--force"] },
        { args: ["import", archive, "-s", copy], says: ".state" },
        { args: ["verify", "-s", copy, "--json"], says: '"damaged":0' },
        { args: ["doctor", "-s", copy], says: `runtime      ${on} ` },
      ]
    ) await check(`${name} snapkeep ${args[0]}`, command, [...before, ...args], { cwd: project, says });
  }
}

/** @param {string} project */
async function runSources(project) {
  const [from = "", states = "", s3 = ""] = ["mod.ts", "src/states/mod.ts", "src/s3/mod.ts"].map((file) =>
    pathToFileURL(path.join(root, file)).href
  );
  await writeFile(
    path.join(project, "sources.ts"),
    `// @ts-nocheck\n${program(from, states, s3)}`,
  );
  await check("Bun from the sources", bin("bun"), ["--bun", "sources.ts", path.join(project, "bun_sources")], {
    cwd: project,
    says: "consumer ok",
  });
  await check(
    "Deno from the sources",
    bin("deno"),
    [
      "run",
      "--no-prompt",
      "--config",
      path.join(root, "deno.json"),
      `--allow-read=${project}`,
      `--allow-write=${project}`,
      "sources.ts",
      path.join(project, "deno_sources"),
    ],
    { cwd: project, says: "consumer ok" },
  );
}

// Deno compares permissions with real paths.
const project = await realpath(await mkdtemp(path.join(os.tmpdir(), "snapkeep-consumer-")));
try {
  await mkdir(project, { recursive: true });
  await install(project, process.argv[2]);
  if (failed === 0) {
    await typecheck(project);
    await runInstalled(project);
    await runCommandLine(project);
    await runSources(project);
  }
} finally {
  await rm(project, { recursive: true, force: true });
}
process.exitCode = failed === 0 ? 0 : 1;
