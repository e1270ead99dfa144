// The data of a health check.
import { PeriodicSaveCondition } from "snapkeep";
import { describe, expect, it } from "vitest";
import { ManualClock } from "./manual_clock.ts";
import { makeWorld, settle } from "./world.ts";

describe("health()", () => {
  it("tells the age of the last good snapshot, what is at risk, failures in a row, and when the next save is due", async () => {
    const clock = new ManualClock();
    let step = 10;
    const { saver, cell, store, until } = makeWorld({
      clock,
      condition: new PeriodicSaveCondition("1m", { now: clock.now }),
      labels: () => ({ step }),
      store: { startFresh: false },
    });
    expect(saver.health()).toMatchObject({
      status: "waiting",
      lastSnapshot: null,
      failuresInRow: 0,
      lastFailure: null,
    });
    store.startFresh();
    clock.pass(20_000);
    expect(saver.health()).toMatchObject({
      status: "running",
      lastSnapshot: null,
      atRisk: { ms: 20_000, steps: 10 },
      nextSaveInMs: 40_000,
    });
    clock.pass(41_000);
    await until(1);
    step = 25;
    clock.pass(5_000);
    const healthy = saver.health();
    expect(healthy.lastSnapshot).toMatchObject({ step: 10, sizeBytes: 1 });
    expect(healthy.lastSnapshot?.ageMs).toBe(healthy.atRisk.ms);
    expect(healthy.atRisk).toMatchObject({ steps: 15 });
    expect(healthy.nextSaveInMs).toBe(60_000 - healthy.atRisk.ms);
    cell.saveState = () => Promise.reject(new Error("broken"));
    clock.pass(60_000);
    await until(2);
    expect(saver.health()).toMatchObject({
      failuresInRow: 1,
      lastFailure: { code: "STATE_SAVE_FAILED", message: expect.stringContaining("broken") },
      nextSaveInMs: 1000,
    });
    expect(saver.health().lastSnapshot?.name).toBe(healthy.lastSnapshot?.name);
    await saver[Symbol.asyncDispose]();
    expect(saver.health()).toMatchObject({ status: "ended", nextSaveInMs: null });
  });

  it("is data that JSON carries", async () => {
    const { saver } = makeWorld({ condition: { check: () => false, dueInMs: () => Infinity } });
    await saver.requestSave();
    const health = saver.health();
    expect(JSON.parse(JSON.stringify(health))).toEqual(health);
    expect(health.nextSaveInMs).toBeNull();
  });

  it("tells free room, and for how many more snapshots, where the place can tell", async () => {
    const free = 10_000_000;
    const world = makeWorld({});
    world.backend.freeBytes = () => Promise.resolve(free);
    world.cell.value = "x".repeat(998);
    await world.saver.requestSave();
    world.saver.health();
    await settle();
    expect(world.saver.health().room).toEqual({ freeBytes: free, snapshots: 10_000 });
    await settle();
    world.backend.freeBytes = () => Promise.reject(new Error("no"));
    world.saver.health();
    await settle();
    expect(world.saver.health().room).toBeNull();
  });

  it("tells when the next save is due after a failure of the condition, which is asked again after a pause", async () => {
    let fails = true;
    const check = () => {
      if (fails) throw new Error("broken");
      return true;
    };
    const { saver, clock, until, outcomes } = makeWorld({ condition: { check, dueInMs: () => 10 } });
    await saver.tick();
    expect(saver.health()).toMatchObject({ failuresInRow: 1, nextSaveInMs: 1000 });
    fails = false;
    clock.pass(995);
    await saver.tick();
    expect(outcomes()).toEqual(["failed"]);
    expect(saver.health().nextSaveInMs).toBe(10);
    clock.pass(5);
    await saver.tick();
    await until(2);
    expect(outcomes()).toEqual(["failed", "saved"]);
  });

  it("fails neither for labels nor for a condition that throws", () => {
    const fail = () => {
      throw new Error("broken");
    };
    const { saver } = makeWorld({ condition: { check: () => false, dueInMs: fail }, labels: fail });
    expect(saver.health()).toMatchObject({ nextSaveInMs: null, atRisk: { ms: 0 } });
  });
});
