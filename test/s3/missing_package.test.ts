// Where @aws-sdk/client-s3 is not installed: programs that do not use an object store notice nothing, the others learn what to do.
import { spawnSync } from "node:child_process";
import { cp, mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { expect, it } from "vitest";
import { root } from "../../tools/run.mjs";
import { temporaryFolder } from "../backend/temporary.ts";
import { runtime } from "../torture/budget.ts";

const PROGRAM = `
import { locate, memoryBackend, StateStore } from "snapkeep";
import { s3Backend } from "snapkeep/s3";

const store = new StateStore(memoryBackend()).register("a", { saveState: (out) => out.json("a", 1), loadState() {} });
await store.saveState();
const s3 = new StateStore(s3Backend({ url: "s3://bucket/p", endpoint: "http://127.0.0.1:1" }));
const said = [];
for (const work of [() => s3.list(), () => s3.resume(), () => locate("s3://bucket/p/x.state").stat()]) {
  said.push(await work().catch(({ code, message, details }) => ({ code, message, details })));
}
console.log(JSON.stringify(said));
`;

it("s3Backend fails with PACKAGE_MISSING and the command when the client is not installed", async () => {
  const folder = await temporaryFolder();
  const modules = path.join(folder, "node_modules");
  const own = path.join(modules, "snapkeep");
  await mkdir(path.join(own, "dist"), { recursive: true });
  for (const name of ["package.json", "dist/mod.js", "dist/chunks", "dist/src"]) {
    await cp(path.join(root, name), path.join(own, name), { recursive: true });
  }
  const installed = await readdir(path.join(root, "node_modules"));
  for (const name of installed) {
    if (!name.startsWith(".") && name !== "@aws-sdk") {
      await symlink(path.join(root, "node_modules", name), path.join(modules, name));
    }
  }
  await writeFile(path.join(folder, "package.json"), '{ "type": "module" }');
  await writeFile(path.join(folder, "main.js"), PROGRAM);
  const before = runtime === "deno" ? ["run", "-A", "--node-modules-dir=manual"] : [];
  const env = { ...process.env, NODE_OPTIONS: "", NODE_PATH: "", DENO_NO_UPDATE_CHECK: "1" };
  const run = (args: readonly string[]) =>
    spawnSync(process.execPath, [...before, ...args], { cwd: folder, encoding: "utf8", env });
  const { stdout, stderr } = run(["main.js"]);
  expect(stderr).not.toContain("rror");
  const said = JSON.parse(stdout) as { code: string; message: string; details: unknown }[];
  expect(said.map(({ code }) => code)).toEqual(["PACKAGE_MISSING", "RESUME_REFUSED", "PACKAGE_MISSING"]);
  expect(said[1]?.message).toContain("run `npm install @aws-sdk/client-s3`");
  expect(said[0]?.message).toBe(
    'Cannot use "s3://bucket/p": the package @aws-sdk/client-s3 cannot be imported; run `npm install @aws-sdk/client-s3`',
  );
  expect(said[0]?.details).toEqual({ package: "@aws-sdk/client-s3" });
  const command = run([path.join(own, "dist/src/bin.js"), "list", "-s", "s3://bucket/p"]);
  expect([command.status, command.stdout]).toEqual([1, ""]);
  expect(command.stderr).toContain("run `npm install @aws-sdk/client-s3`");
});
