// All that lies at a place, in one look.
import { cp, mkdir, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { StateStore } from "snapkeep";
import { describe, expect, it } from "vitest";
import { leftoversIn } from "../../src/file/leftovers.ts";
import { surveyOf } from "../../src/store/survey.ts";
import { fastFolder } from "../backend/temporary.ts";
import { rejection, saving } from "./states.ts";

async function worldOf(count: number) {
  const folder = await fastFolder();
  let seconds = 0;
  const now = () => Date.UTC(2026, 0, 2) + seconds++ * 1000;
  const store = new StateStore(folder, { now, program: "p" }).register("a", saving((out) => out.json("x.json", 1)));
  const saved = [];
  for (let at = 0; at < count; at++) saved.push(await store.saveState({ labels: { step: at } }));
  return { folder, store, saved };
}

describe("surveyOf", () => {
  it("returns what each manifest and note says, oldest first", async () => {
    const { store, saved } = await worldOf(2);
    await saved[0]?.label({ tags: ["good"] });
    const { snapshots, partial, foreign } = await surveyOf(store);
    expect({ partial, foreign }).toEqual({ partial: [], foreign: [] });
    expect(snapshots.map(({ locator, labels, layouts, isTimed }) => ({ name: locator.name, labels, layouts, isTimed })))
      .toEqual([
        { name: saved[0]?.name, labels: { step: 0, tags: ["good"] }, layouts: ["directory"], isTimed: true },
        { name: saved[1]?.name, labels: { step: 1 }, layouts: ["directory"], isTimed: true },
      ]);
    expect(snapshots[0]?.manifest).toMatchObject({ program: "p", totals: { states: 1, entries: 1, sizeBytes: 1 } });
  });

  it("tells damaged, partial and foreign ones, keepsakes and damaged notes apart", async () => {
    const { folder, store, saved } = await worldOf(3);
    await writeFile(path.join(String(saved[0]), "manifest.json"), "{}");
    await cp(String(saved[1]), path.join(folder, "before-update.state"), { recursive: true });
    await saved[1]?.pin();
    await writeFile(path.join(folder, ".notes", `${saved[1]?.name}.json`), "?");
    await rename(String(saved[2]), path.join(folder, "2027-01-01_00-00-00,000000.state"));
    await rm(path.join(folder, "2027-01-01_00-00-00,000000.state", "manifest.json"));
    await mkdir(path.join(folder, "other"));
    const { snapshots, partial, foreign } = await surveyOf(store);
    expect(
      snapshots.map((
        { locator, damage, hasDamagedNote, isTimed },
      ) => [locator.name, damage !== undefined, hasDamagedNote, isTimed]),
    )
      .toEqual([
        [saved[0]?.name, true, false, true],
        [saved[1]?.name, false, true, true],
        ["before-update.state", false, false, false],
      ]);
    expect({ partial, foreign }).toEqual({ partial: ["2027-01-01_00-00-00,000000.state"], foreign: ["other"] });
  });

  it("lists a snapshot once that lies in two layouts", async () => {
    const { folder, store, saved } = await worldOf(1);
    await saved[0]?.exportTo(path.join(folder, `${saved[0].name}.tar.gz`));
    expect((await surveyOf(store)).snapshots.map(({ layouts }) => layouts)).toEqual([["directory", "tar.gz"]]);
  });

  it("aborts", async () => {
    const { store } = await worldOf(1);
    const reason = new Error("enough");
    expect(await rejection(surveyOf(store, { signal: AbortSignal.abort(reason) }))).toBe(reason);
  });
});

describe("leftoversIn", () => {
  it("returns the hidden files of a writer while it writes, and none after", async () => {
    const { folder, store } = await worldOf(1);
    const stage = await store.backend.stage("x.state/");
    expect((await leftoversIn(folder)).map(({ kind, name }) => [kind, name])).toEqual(
      expect.arrayContaining([["claim", "x.state"], ["stage", "x.state"]]),
    );
    await stage.abandon();
    expect(await leftoversIn(folder)).toEqual([]);
    expect(await leftoversIn(path.join(folder, "missing"))).toEqual([]);
  });
});
