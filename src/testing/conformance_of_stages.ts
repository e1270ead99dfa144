// The contract of writing: claims, races, abandoning, being swept.
import type { Backend, Stage } from "../model/backend.ts";
import { isSnapshotError } from "../model/errors.ts";
import { commitPathOf, MANIFEST_PATH, type Unit, UNIT_SUFFIXES } from "../model/unit.ts";
import {
  all,
  BLOB,
  type Cases,
  check,
  encode,
  failure,
  GROUP,
  isUnseen,
  publish,
  refuses,
  same,
  textOf,
} from "./expectations.ts";

const WRITERS = 16;
const GENEROUS_MS = 60 * 60 * 1000;

/** A body that waits half-way until it is let go. */
function halting(): { body: AsyncIterable<Uint8Array>; isHalfWay: Promise<void>; go(): void } {
  let arrive = () => {};
  let go = () => {};
  const isHalfWay = new Promise<void>((resolve) => arrive = resolve);
  const isGo = new Promise<void>((resolve) => go = resolve);
  const body = (async function* () {
    yield encode("half ");
    arrive();
    await isGo;
    yield encode("whole");
  })();
  return { body, isHalfWay, go };
}

/** Fails unless a unit's name can be claimed again and nothing was left behind. */
async function isFree(backend: Backend, unit: Unit, when: string): Promise<void> {
  await isUnseen(backend, unit, when);
  same(await backend.sweep(-1), [], `stages left ${when}`);
  await publish(backend, unit, "free");
  same(await textOf(backend, unit, commitPathOf(unit)), "free", `"${unit}" published ${when}`);
  await backend.remove(unit);
}

/** Situations in which a stage is abandoned. */
const HALF_WAYS: Readonly<Record<string, (stage: Stage) => Promise<void>>> = {
  "at once": async () => {},
  "after a write": async (stage) => {
    if (stage.unit === GROUP) await stage.write("a/b", [encode("ab")]);
  },
  "after a body failed": async (stage) => {
    const body = (function* () {
      yield encode("half");
      throw new Error("the body failed");
    })();
    await failure(stage.unit === GROUP ? stage.write("a/b", body) : stage.publish("", body), "a body that fails");
  },
  "while a body is written": async (stage) => {
    const { body, isHalfWay, go } = halting();
    const writing = stage.unit === GROUP ? stage.write("a/b", body) : stage.publish("", body);
    writing.catch(() => {}); // it may fail, for the stage is abandoned
    await isHalfWay;
    void Promise.resolve().then(go);
  },
};

/** Cases about stages. */
export const stageCases: Cases = {
  "a name is claimed once, in every layout, until it is abandoned": async (backend) => {
    for (const suffix of UNIT_SUFFIXES) {
      const stage = await backend.stage(`x.state${suffix}`);
      same(stage.unit, `x.state${suffix}`, "unit of the stage");
      for (const other of UNIT_SUFFIXES) {
        await refuses(backend.stage(`x.state${other}`), "SNAPSHOT_EXISTS", `claiming "x.state${other}" meanwhile`);
      }
      const neighbour = await backend.stage(`x.statesman${suffix}`);
      await neighbour.abandon();
      await stage.abandon();
    }
    same(await all(backend.list()), [], "units");
  },

  "a published name cannot be claimed in any layout, and stays as it is": async (backend) => {
    for (const suffix of UNIT_SUFFIXES) {
      const unit = `x.state${suffix}`;
      await publish(backend, unit, "first");
      for (const other of UNIT_SUFFIXES) {
        await refuses(backend.stage(`x.state${other}`), "SNAPSHOT_EXISTS", `claiming "x.state${other}" over "${unit}"`);
      }
      same(await all(backend.list()), [unit], "units");
      same(await textOf(backend, unit, commitPathOf(unit)), "first", "content");
      await backend.remove(unit);
    }
  },

  "a published name can be claimed beside others, in another layout only": async (backend) => {
    await publish(backend, GROUP, "first");
    const beside = GROUP.replace("/", ".tar.gz");
    await refuses(backend.stage(GROUP, { allowOtherLayouts: true }), "SNAPSHOT_EXISTS", "claiming the very same unit");
    const stage = await backend.stage(beside, { allowOtherLayouts: true });
    await refuses(backend.stage(beside, { allowOtherLayouts: true }), "SNAPSHOT_EXISTS", "claiming it twice");
    await stage.publish("", [encode("second")]);
    same(await all(backend.list()), [beside, GROUP], "units");
    same(await textOf(backend, GROUP, MANIFEST_PATH), "first", "content of the first");
    same(await textOf(backend, beside), "second", "content of the second");
  },

  "writes of one stage may run concurrently": async (backend) => {
    const stage = await backend.stage(GROUP);
    const paths = Array.from({ length: 60 }, (_, index) => `state_${index % 7}/part_${index % 3}/${index}.bin`);
    await Promise.all(paths.map((path) => stage.write(path, [encode(path), new Uint8Array(), encode("!")])));
    await stage.publish(MANIFEST_PATH, [encode("commit")]);
    for (const path of paths) same(await textOf(backend, GROUP, path), `${path}!`, "content");
    same((await all(backend.blobs(GROUP))).length, paths.length + 1, "blobs");
  },

  "stages of different names do not disturb each other": async (backend) => {
    const [group, blob] = [await backend.stage(GROUP), await backend.stage(BLOB)];
    await group.write("x", [encode("x")]);
    await blob.publish("", [encode("blob")]);
    same(await all(backend.list()), [BLOB], "units while the other is written");
    await group.publish(MANIFEST_PATH, [encode("commit")]);
    same(await all(backend.list()), [GROUP, BLOB], "units");
  },

  "of many writers that race for one name exactly one wins": async (backend) => {
    for (const round of ["1", "2", "3"]) {
      const attempts = await Promise.allSettled(Array.from({ length: WRITERS }, async (_, writer) => {
        const unit = `${round}.state${UNIT_SUFFIXES[writer % UNIT_SUFFIXES.length]}`;
        await publish(backend, unit, `writer ${writer}`, unit.endsWith("/") ? { who: `writer ${writer}` } : {});
        return { unit, writer };
      }));
      const wins = attempts.flatMap((attempt) => attempt.status === "fulfilled" ? [attempt.value] : []);
      for (const attempt of attempts) {
        if (attempt.status === "fulfilled") continue;
        await refuses(Promise.reject(attempt.reason), "SNAPSHOT_EXISTS", "the writer that lost");
      }
      same(wins.length, 1, "winners");
      const { unit, writer } = wins[0] ?? { unit: "", writer: -1 };
      same((await all(backend.list())).filter((listed) => listed.startsWith(round)), [unit], "units");
      same(await textOf(backend, unit, commitPathOf(unit)), `writer ${writer}`, "the winner's content");
    }
    same(await backend.sweep(-1), [], "stages left by the losers");
  },

  "many writers of different names all win": async (backend) => {
    const units = Array.from({ length: WRITERS }, (_, writer) => `${10 + writer}.state${writer % 2 ? "/" : ".tar.gz"}`);
    await Promise.all(units.map((unit) => publish(backend, unit, unit)));
    same(await all(backend.list()), units, "units");
  },

  ...Object.fromEntries(
    Object.entries(HALF_WAYS).map(([when, goHalfWay]) => [
      `abandoning ${when} leaves nothing, may be repeated, and frees the name`,
      async (backend: Backend) => {
        for (const unit of [GROUP, BLOB]) {
          const stage = await backend.stage(unit);
          await goHalfWay(stage);
          await Promise.all([stage.abandon(), stage.abandon()]);
          await stage.abandon();
          await isFree(backend, unit, `after abandoning ${when}`);
          await failure(stage.publish(commitPathOf(unit), [encode("late")]), "publishing a stage that was abandoned");
          await isFree(backend, unit, "after publishing an abandoned stage");
        }
      },
    ]),
  ),

  "abandoning after publishing changes nothing": async (backend) => {
    for (const unit of [GROUP, BLOB]) {
      const stage = await backend.stage(unit);
      await stage.publish(commitPathOf(unit), [encode("commit")]);
      await stage.abandon();
      same(await textOf(backend, unit, commitPathOf(unit)), "commit", "content");
    }
    same(await all(backend.list()), [GROUP, BLOB], "units");
  },

  "abandoning while it is published leaves the complete unit or nothing": async (backend) => {
    const blobs = Array.from({ length: 12 }, (_, index) => `folder_${index % 5}/${index}`);
    for (let turns = 0; turns < 16; turns++) {
      const stage = await backend.stage(GROUP);
      for (const path of blobs) await stage.write(path, [encode(path)]);
      const publishing = stage.publish(MANIFEST_PATH, [encode("commit")]).then(() => true, () => false);
      for (let turn = 0; turn < turns ** 2; turn++) await Promise.resolve();
      if (turns % 2) await new Promise((resolve) => setTimeout(resolve, turns / 6));
      await stage.abandon();
      const isPublished = await publishing;
      same(
        await all(backend.list()),
        isPublished ? [GROUP] : [],
        "units, after abandon settled while it was published",
      );
      if (isPublished) {
        same((await all(backend.blobs(GROUP))).length, blobs.length + 1, "blobs of what was published");
        await backend.remove(GROUP);
      }
      await isFree(backend, GROUP, "after abandoning while it was published");
    }
  },

  "sweeping with a generous limit leaves living stages alone": async (backend) => {
    const stages = [await backend.stage(GROUP), await backend.stage(BLOB)];
    await stages[0]?.write("x", [encode("x")]);
    same(await backend.sweep(GENEROUS_MS), [], "stages that were swept");
    await refuses(backend.stage(GROUP), "SNAPSHOT_EXISTS", "claiming a name whose writer lives");
    await stages[0]?.write("y", [encode("y")]);
    for (const stage of stages) await stage.publish(commitPathOf(stage.unit), [encode("commit")]);
    same(await textOf(backend, GROUP, "x"), "x", "what was written before the sweep");
    same(await all(backend.list()), [GROUP, BLOB], "units");
  },

  "a swept stage fails cleanly, and its name is free": async (backend) => {
    for (const unit of [GROUP, BLOB]) {
      for (const hasWritten of [false, true]) {
        const stage = await backend.stage(unit);
        if (hasWritten && unit === GROUP) await stage.write("a/x", [encode("x")]);
        same(await backend.sweep(-1), [unit], "stages that were swept");
        if (unit === GROUP) {
          // It need not notice yet; if it does, it says so.
          const late = await stage.write("a/y", [encode("y")]).catch((error: unknown) => error);
          check(!(late instanceof Error) || isSnapshotError(late, "STAGE_LOST"), `a late write failed with ${late}`);
        }
        await refuses(stage.publish(commitPathOf(unit), [encode("late")]), "STAGE_LOST", `publishing "${unit}", swept`);
        await stage.abandon();
        await isFree(backend, unit, "after it was swept");
      }
    }
  },

  "the writer of a swept stage does not disturb who took the name after it": async (backend) => {
    for (const unit of [GROUP, BLOB]) {
      const dead = await backend.stage(unit);
      await backend.sweep(-1);
      const next = await backend.stage(unit);
      await refuses(dead.publish(commitPathOf(unit), [encode("dead")]), "STAGE_LOST", "publishing what was swept");
      await dead.abandon();
      await refuses(backend.stage(unit), "SNAPSHOT_EXISTS", "claiming the name of the second writer");
      await next.publish(commitPathOf(unit), [encode("next")]);
      same(await textOf(backend, unit, commitPathOf(unit)), "next", "content");
    }
  },

  "sweeping touches nothing that is published, nor notes": async (backend) => {
    await publish(backend, GROUP, "commit", { "a/b": "ab" });
    await publish(backend, BLOB, "blob");
    await backend.notes.put("x.state", encode("note"));
    same(await backend.sweep(-1), [], "stages that were swept");
    same(await all(backend.list()), [GROUP, BLOB], "units");
    same(await textOf(backend, GROUP, "a/b"), "ab", "content");
    same(await all(backend.notes.list()), ["x.state"], "notes");
  },
};
