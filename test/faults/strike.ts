// SQLite's method: fail the first call of an operation, then the second, and so on through all of them, and look each time
// whether every guarantee held.
import process from "node:process";
import { isSnapshotError, SnapshotLocator, StateStore } from "snapkeep";
import { type FaultCall, type FaultPlan, Faults, forEachFault } from "snapkeep/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { collectWarnings } from "../backend/warnings.ts";
import { amount, report, runtime } from "../torture/budget.ts";
import { framesOf, Struck } from "./call_sites.ts";
import { type Operation, operations, type Outcome } from "./operations.ts";
import { fingerprint, type MakeWorld, Model } from "./worlds.ts";

const HANGS_AFTER_MS = 10_000;

// In the long form. In the short one each call site fails once, with the first of these.
const ERRNOS = ["EIO", "ENOSPC", "EACCES", "EMFILE", "EROFS"];
const TRIED = ERRNOS.slice(0, amount("faults", "errnos"));
const isWhole = TRIED.length === ERRNOS.length;

const plans: Record<string, Omit<FaultPlan, "at">> = Object.fromEntries(
  ERRNOS.flatMap((errno) => [[`${errno} once`, { errno }], [`${errno} permanently`, { errno, forever: true }]]),
);

/** Whether a failure struck a removal, which then may leave what it was to remove. */
const struckRemoval = (faults: Faults) =>
  faults.injected.some((error) => framesOf(error).some((frame) => /^file\/(file_tree|file_place)\.ts/.test(frame)));

async function settle(operation: Promise<unknown>): Promise<Outcome> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const hang = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`It hangs: nothing for ${HANGS_AFTER_MS} ms`)), HANGS_AFTER_MS);
  });
  try {
    return { value: await Promise.race([operation, hang]) };
  } catch (error) {
    return { error };
  } finally {
    clearTimeout(timer);
  }
}

async function strike(makeWorld: MakeWorld, operation: Operation, faults: Faults, plan: FaultPlan, struck: Struck) {
  const world = await makeWorld(faults);
  await operation.prepare?.(world);
  const before = await fingerprint(world.plain);

  const outcome = await settle(operation.run(world));

  const [first] = faults.injected;
  if (first !== undefined) struck.add(first);
  const where = first === undefined ? "nothing" : `${first.message}, from ${framesOf(first).join(" < ")}`;
  faults.heal();
  // What is open now was forgotten, or is still being read by code that does not know of the failure.
  expect(faults.open, `left open after ${where}`).toEqual([]);

  // The error thrown is the system's, not one of what went wrong because of it.
  if ("error" in outcome) {
    expect(first, `failed by itself: ${String(outcome.error)}`).toBeDefined();
    expect(faults.isBeneath(outcome.error), `${String(outcome.error)} hides ${where}`).toBe(true);
    expect(isSnapshotError(outcome.error), `${String(outcome.error)} is no SnapshotError`).toBe(true);
  }

  // Older snapshots are as they were, to the byte, and nothing partial is to be seen.
  const after = await fingerprint(world.plain);
  const isUncertain = "error" in outcome && isSnapshotError(outcome.error, "COMMIT_UNCERTAIN");
  const unitOf = (blob: string) => blob.replace(/(?<=\.state)\/.*$/, "/");
  const added = new Set(Object.keys(after).filter((blob) => !(blob in before)).map(unitOf));
  const removed = new Set(Object.keys(before).filter((blob) => !(blob in after)).map(unitOf));
  for (const [blob, digest] of Object.entries(before)) {
    if (!removed.has(unitOf(blob))) expect(after[blob], `"${blob}" after ${where}`).toBe(digest);
    else expect(after[blob], `"${blob}" of a removed unit after ${where}`).toBeUndefined();
  }
  const isDone = "value" in outcome || isUncertain;
  expect(added.size, `units added after ${where}`).toBe(operation.changes === "adds" && isDone ? 1 : 0);
  if (operation.changes !== "removes") expect(removed.size, `units removed after ${where}`).toBe(0);
  const plainStore = new StateStore(world.plain, { startFresh: true });
  const name = "value" in outcome && outcome.value instanceof SnapshotLocator ? outcome.value.name : undefined;
  for (const locator of await plainStore.list()) {
    if (!added.has(`${locator.name}/`) && !added.has(`${locator.name}.tar.gz`)) continue;
    expect(await locator.verify(), where).toMatchObject({ isWhole: true, findings: [], entries: 4 });
    if (name !== undefined) expect(locator.name).toBe(name);
  }
  await operation.check?.(world, outcome);

  // No room is held any more, but where giving it back was what failed.
  if (!plan.forever && !struckRemoval(faults) && operation !== operations["sweeping"]) {
    expect(await world.leftovers(), `left behind after ${where}`).toEqual([]);
  }

  // The program goes on: the same store saves again, and what it saves is whole and newest.
  world.model.step = 9;
  const next = await world.store.saveState();
  const reloaded = new Model();
  await new StateStore(world.plain).register("model", reloaded).loadState((await plainStore.latest()) ?? next);
  expect(reloaded.step, `loaded after ${where}`).toBe(9);
  await world.plain.sweep(-1);
  expect(await world.leftovers(), `left behind after a sweep after ${where}`).toEqual([]);
}

/**
 * The calls, by number, that are the first ones to be made from their places, in a run in which none fails.
 *
 * @param known Places that other operations have shown, which count only if an operation has no others; grows.
 */
async function firstCalls(run: (faults: Faults) => Promise<void>, known: Set<string>): Promise<number[]> {
  const sites = new Map<string, number>();
  let calls = 0;
  const only = ({ operation }: FaultCall) => {
    const site = `${operation} at ${framesOf(new Error("here"))[0]}`;
    calls++;
    if (!sites.has(site)) sites.set(site, calls);
    return true;
  };
  await run(new Faults({ at: Number.POSITIVE_INFINITY, only }));
  const unknown = [...sites].filter(([site]) => !known.has(site));
  for (const site of sites.keys()) known.add(site);
  return (unknown.length > 0 ? unknown : [...sites].slice(-1)).map(([, call]) => call);
}

/** Defines the tests of all operations, with any call failing in the worlds that are made. */
export function everyCallFails(kind: string, makeWorlds: (isFurnished: boolean) => Promise<MakeWorld>, sites: number) {
  describe(`when ${kind} fails`, () => {
    const struck = new Struck();
    const since = performance.now();
    // By operation: the calls, counted from 1, that are the first ones from their places in the sources.
    const firstOfSites = new Map<string, readonly number[]>();
    const known = new Set<string>();
    const unhandled: unknown[] = [];
    const onUnhandled = (reason: unknown) => unhandled.push(reason);
    beforeAll(() => void process.on("unhandledRejection", onUnhandled));
    beforeEach(async () => void await collectWarnings()); // thousands of them tell what is meant to happen here
    afterAll(() => void process.off("unhandledRejection", onUnhandled));

    for (const [name, operation] of Object.entries(operations)) {
      for (const [how, plan] of Object.entries(plans)) {
        const isLeftOut = !isWhole && (plan.errno !== TRIED[0] || plan.forever === true);
        it.skipIf(isLeftOut)(`${name} succeeds whole or fails whole, with ${how}`, async () => {
          const makeWorld = await makeWorlds(!operation.isFirst);
          struck.begin(name, plan.errno ?? "");
          const run = (faults: Faults) => strike(makeWorld, operation, faults, plan, struck);
          // Every call on Node; elsewhere every call once, and with the other errors every place in the sources.
          const isEveryCall = isWhole && (how === "EIO once" ||
            runtime === "node" && (plan.errno === "EIO" || plan.errno === "ENOSPC" && operation.fillsDisk));
          if (isEveryCall) {
            expect((await forEachFault(run, plan)).length).toBeGreaterThan(0);
            return;
          }
          let calls = firstOfSites.get(name);
          if (calls === undefined) firstOfSites.set(name, calls = await firstCalls(run, isWhole ? new Set() : known));
          expect(calls.length).toBeGreaterThan(0);
          for (const at of calls) {
            const faults = new Faults({ ...plan, at });
            await run(faults);
            expect(faults.injected.length, `failures at call ${at}`).toBeGreaterThan(0);
          }
        }, 60_000);
      }
    }

    it("all that was promised was tried, and no failure went unhandled", async () => {
      await new Promise((resolve) => setTimeout(resolve, 10));
      expect(unhandled).toEqual([]);
      report(`${kind} fails`, since, String(struck));
      expect(struck.sites.size).toBeGreaterThanOrEqual(sites);
    });
  });
}
