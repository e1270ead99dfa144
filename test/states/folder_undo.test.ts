// An undo that is killed half-way leaves what the next load can finish, and no save takes the mixture for complete.
import { mkdir, rename, rm } from "node:fs/promises";
import path from "node:path";
import { folderState } from "snapkeep/states";
import { beforeEach, expect, it, vi } from "vitest";
import { temporaryFolder } from "../store/places.ts";
import { rejection } from "../store/states.ts";
import { grow, grown } from "./folders.ts";
import { saved, storeOf } from "./kept.ts";

const killed = vi.hoisted(() => ({ discards: false }));

vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>();
  return {
    ...real,
    async rm(...[target, options]: Parameters<typeof real.rm>) {
      if (!killed.discards) return await real.rm(target, options);
      killed.discards = false;
      // Names in a folder are removed in any order: what was staged is gone, and the rest is left.
      for (const part of await real.readdir(path.join(String(target), "new"))) {
        await real.rm(path.join(String(target), "new", part));
      }
      throw new Error("killed");
    },
  };
});

let root = "";
let state = folderState("unused");

beforeEach(async () => {
  root = path.join(await temporaryFolder(), "work");
  await grow(root, { "a": "2", "b": "2" });
  const target = await saved(folderState(root));
  await rm(root, { recursive: true });
  await grow(root, { "a": "1" });
  state = folderState(root);
  await storeOf(state).loadState(target);
});

it("saves nothing after a rollback that was killed half-way, until a load has undone it", async () => {
  const staged = path.join(path.dirname(root), ".work.snapkeep-restore/1/new");
  await rm(staged, { recursive: true }); // no step can be undone
  expect(await rejection(state.undoLoad())).toBeDefined();
  expect(await rejection(saved(folderState(root)))).toMatchObject({ message: expect.stringMatching(/not finished/) });
  await mkdir(staged);
  await grow(`${root}2`, { "c": "3" });
  const other = await saved(folderState(`${root}2`));
  await storeOf(folderState(root)).loadState(other);
  expect(await grown(root)).toEqual({ "c": "3" });
});

it("moves out nothing that has come back, after an undo that was killed while it discarded what was staged", async () => {
  const staging = path.join(path.dirname(root), ".work.snapkeep-restore/1");
  await rename(path.join(staging, "done.json"), path.join(staging, "plan.json")); // killed after its last step
  await grow(`${root}2`, { "c": "3" });
  const other = await saved(folderState(`${root}2`));
  killed.discards = true;
  expect(await rejection(storeOf(state).loadState(other))).toBeDefined();
  expect(await grown(root)).toEqual({ "a": "1" });
  const again = folderState(root);
  await storeOf(again).loadState(other);
  expect(await grown(root)).toEqual({ "c": "3" });
  await again.undoLoad();
  expect(await grown(root)).toEqual({ "a": "1" });
});
