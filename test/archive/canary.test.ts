// Hostile snapshots in a tree full of files that must not change: whatever is imported, loaded, copied, exported, verified
// or removed, nothing outside of the store's own folder is another afterwards, and nothing of it was read into a state.
import { createHash } from "node:crypto";
import { cp, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { gzipSync } from "node:zlib";
import { isSnapshotError, locate, StateStore } from "snapkeep";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeArchive } from "../fuzz/archive_case.ts";
import { Random } from "../fuzz/random.ts";
import { amount } from "../torture/budget.ts";
import { ATTACKS } from "./attacks.ts";
import { assembled } from "./rewrite.ts";
import { noise, streamOf, TreeState } from "./samples.ts";
import { concatenated, END, extended, file, longName, manifestOf, record } from "./tar_maker.ts";

const EVERY = amount("attacks", "every");

const cwd = process.cwd();
let tree = "";
let before = "";
const storeFolder = () => path.join(tree, "home", "states");

// Where attacks point at: beside the store, above it, and where they would lie if they were taken for relative paths.
const CANARIES = ["evil", "canary.txt", "home/evil", "home/a/extra", "home/deep/er/canary.bin", "home/manifest.json"];

beforeAll(async () => {
  tree = await mkdtemp(path.join(tmpdir(), "snapkeep-canary-"));
  for (const [index, name] of CANARIES.entries()) {
    await mkdir(path.dirname(path.join(tree, name)), { recursive: true });
    await writeFile(path.join(tree, name), noise(100 + index, index + 1));
  }
  await mkdir(storeFolder());
  before = await digestOfTree();
  process.chdir(path.join(tree, "home")); // relative paths would lead here
});
afterAll(async () => {
  process.chdir(cwd);
  await rm(tree, { recursive: true, force: true });
});

/** Everything in the tree but the store's folder: kinds, names, sizes, times and bytes. */
async function digestOfTree(): Promise<string> {
  const lines: string[] = [];
  const walk = async (folder: string): Promise<void> => {
    for (const entry of (await readdir(folder, { withFileTypes: true })).sort((a, b) => a.name < b.name ? -1 : 1)) {
      const full = path.join(folder, entry.name);
      if (full === storeFolder()) continue;
      const { mode, mtimeMs } = await stat(full);
      lines.push(`${full} ${mode} ${entry.isDirectory() ? "" : mtimeMs}`);
      if (entry.isDirectory()) await walk(full);
      else if (entry.isSymbolicLink()) lines.push(await readlink(full));
      else lines.push(createHash("sha256").update(await readFile(full)).digest("hex"));
    }
  };
  await walk(tree);
  return lines.join("\n");
}

/** Does with an archive all that reads or writes one; tells what loaded. */
async function ransack(bytes: Uint8Array, suffix = ".tar.gz"): Promise<TreeState> {
  const state = new TreeState({});
  const store = new StateStore(storeFolder(), { durability: "none" }).register("a", state);
  const unit = path.join(storeFolder(), `placed.state${suffix}`);
  await writeFile(unit, bytes);
  const placed = locate(unit);
  const works = [
    () => store.importSnapshot(streamOf(bytes)),
    () => store.loadState(placed),
    () => store.loadState(streamOf(bytes)),
    () => placed.exportTo(path.join(storeFolder(), "exported.state")),
    () => placed.verify(),
    () => placed.remove(),
  ];
  for (const work of works) {
    await (work() as Promise<unknown>).catch((error: unknown) => {
      if (!isSnapshotError(error)) throw error;
    });
  }
  expect((await readdir(storeFolder())).filter((name) => name.startsWith("."))).toEqual([]);
  await rm(storeFolder(), { recursive: true });
  await mkdir(storeFolder());
  return state;
}

/** No state may have been given what a canary holds. */
async function expectUntouched(state: TreeState, what: string): Promise<void> {
  expect(await digestOfTree(), what).toBe(before);
  const canaries = await Promise.all(CANARIES.map((name) => readFile(path.join(tree, name), "latin1")));
  for (const content of Object.values(state.loaded)) {
    const text = Array.from(content, (byte) => String.fromCharCode(byte)).join("");
    expect(canaries.includes(text), `${what}: a canary was read`).toBe(false);
  }
}

describe("nothing outside of the store changes", () => {
  it("by any known attack", async () => {
    // The others have ordinary names.
    const pointing = ATTACKS.filter(({ name, reason }) => /^(PATH|TYPE)_/.test(reason) || /goes up/.test(name));
    for (const { name, form, make } of pointing.filter((_, index) => index % EVERY === 0)) {
      const bytes = make();
      const state = await ransack(form === "tar" ? gzipSync(bytes) : bytes);
      expect(await digestOfTree(), name).toBe(before);
      expect(state.loads, name).toBe(0);
    }
  });

  it("by paths that lead to the canaries, in every place where a path can stand", async () => {
    const targets = CANARIES.flatMap((name) => [
      path.join(tree, name),
      `../${name}`,
      `a/../../../${name}`,
    ]);
    const stolen = "stolen";
    const tree_ = (target: string) => ({ [target]: stolen });
    for (const target of targets.filter((_, index) => index % EVERY === 0)) {
      const carriers = [
        target.length <= 100
          ? file(target, stolen)
          : file("a/x", stolen, { prefix: path.posix.dirname(target).slice(0, 155) }),
        concatenated(extended(record("path", target)), file("a/x", stolen)),
        concatenated(longName(target), file("a/x", stolen, { magic: "ustar  \0" })),
        concatenated(file("a/link", "", { type: "2", link: target.slice(0, 100) }), file("a/link/x", stolen)),
        concatenated(file("a/link", "", { type: "1", link: target.slice(0, 100) }), file("a/x", stolen)),
      ];
      for (const carrier of carriers) {
        const bytes = concatenated(carrier, file("manifest.json", manifestOf(tree_(target), "..")), END);
        await expectUntouched(await ransack(gzipSync(bytes)), target);
      }
      await expectUntouched(await ransack(assembled([{ path: target, content: stolen }])), target);
      await expectUntouched(
        await ransack(assembled([{ path: "x", content: "x" }, { path: target, content: stolen, isHidden: true }])),
        target,
      );
    }
  });

  it("by archives that chance made", async () => {
    const chances = { tar: 0.9, manifest: 0.2, table: 0.2, members: 0.05, bytes: 0.05 };
    for (let seed = 1; seed <= 40; seed += EVERY) {
      const { bytes } = makeArchive(new Random(seed), chances);
      await ransack(bytes);
      expect(await digestOfTree(), `seed ${seed}`).toBe(before);
    }
  });
});

describe.skipIf(process.platform === "win32")("links in a folder that says it is a snapshot", () => {
  const folder = () => path.join(storeFolder(), "made.state");

  /** A snapshot of one canary, laid out by hand; the link leads out of the store. */
  async function lay(link: (canary: string) => Promise<void>): Promise<void> {
    const canary = path.join(tree, "home", "evil");
    await mkdir(folder());
    await writeFile(path.join(folder(), "manifest.json"), manifestOf({ evil: await readFile(canary) }));
    await link(canary);
  }

  it.each([
    ["a link in place of a file", async (canary: string) => {
      await mkdir(path.join(folder(), "a"));
      await symlink(canary, path.join(folder(), "a", "evil"));
    }],
    ["a link in place of a state's folder", async (canary: string) => {
      await symlink(path.dirname(canary), path.join(folder(), "a"));
    }],
    ["a link beside the files", async (canary: string) => {
      await mkdir(path.join(folder(), "a"));
      await cp(canary, path.join(folder(), "a", "evil"));
      await symlink(path.dirname(canary), path.join(folder(), "out"));
    }],
  ])("%s: nothing behind it changes, whatever is done", async (name, link) => {
    await lay(link);
    const state = new TreeState({});
    const store = new StateStore(storeFolder(), { durability: "none" }).register("a", state);
    const snapshot = locate(folder());
    expect((await snapshot.verify()).isWhole, name).toBe(false);
    for (
      const work of [
        () => store.loadState(snapshot),
        () => snapshot.exportTo(path.join(storeFolder(), "copy.state.tar.gz")),
        () => snapshot.exportTo(path.join(storeFolder(), "copy.state")),
        () => snapshot.label({ tags: ["x"] }),
        () => snapshot.remove(),
        () => store.sweep(),
      ]
    ) {
      await (work() as Promise<unknown>).catch((error: unknown) => {
        if (!isSnapshotError(error)) throw error;
      });
    }
    expect(await digestOfTree()).toBe(before);
    await rm(storeFolder(), { recursive: true });
    await mkdir(storeFolder());
  });
});
