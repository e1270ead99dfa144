// The clock counts what the program ran: no pause, no save and no time between two runs makes it jump.
import { memoryBackend, StateStore } from "snapkeep";
import { ProgramClock } from "snapkeep/states";
import { stateConformance } from "snapkeep/testing";
import { describe, expect, it } from "vitest";
import { rejection } from "../store/states.ts";
import { conforms, holding, saved, storeOf } from "./kept.ts";

function clockAt(startMs = 1_000_000) {
  const time = { ms: startMs };
  const clock = new ProgramClock({ now: () => time.ms });
  return Object.assign(clock, { time });
}

describe("ProgramClock", () => {
  it("counts from 0 as its source goes on", () => {
    const clock = clockAt();
    expect(clock.now()).toBe(0);
    clock.time.ms += 12.5;
    expect(clock.now()).toBe(12.5);
  });

  it("counts by the monotonic clock by default", () => {
    const clock = new ProgramClock();
    const first = clock.now();
    expect(first).toBeGreaterThanOrEqual(0);
    expect(first).toBeLessThan(60_000);
    expect(clock.now()).toBeGreaterThanOrEqual(first);
  });

  it("leaves out pauses, which do not nest", () => {
    const clock = clockAt();
    clock.time.ms += 10;
    clock.pause();
    clock.time.ms += 100;
    clock.pause();
    clock.time.ms += 100;
    expect([clock.now(), clock.isPaused]).toEqual([10, true]);
    clock.resume();
    clock.resume();
    clock.time.ms += 5;
    expect([clock.now(), clock.isPaused]).toEqual([15, false]);
  });

  it("does not jump when it is saved, running or paused", async () => {
    const clock = clockAt();
    clock.time.ms += 10;
    const saving = saved(clock);
    expect(clock.now()).toBe(10);
    clock.time.ms += 5;
    await saving;
    expect(clock.now()).toBe(15);
    clock.pause();
    await saved(clock);
    expect([clock.now(), clock.isPaused]).toEqual([15, true]);
  });

  it("goes on from what was saved, without the time between two runs", async () => {
    const clock = clockAt();
    clock.time.ms += 70;
    const backend = memoryBackend();
    const snapshot = await new StateStore(backend).register("it", clock).saveState();
    const next = clockAt(3);
    next.time.ms += 500;
    await storeOf(next).loadState(snapshot);
    expect(next.now()).toBe(70);
    next.time.ms += 5;
    expect(next.now()).toBe(75);
  });

  it("runs after a load of what was saved during a pause, and stays paused if the program paused it", async () => {
    const clock = clockAt();
    clock.time.ms += 7;
    clock.pause();
    const snapshot = await saved(clock);
    const running = clockAt();
    await storeOf(running).loadState(snapshot);
    running.time.ms += 1;
    expect([running.now(), running.isPaused]).toEqual([8, false]);
    const paused = clockAt();
    paused.pause();
    await storeOf(paused).loadState(snapshot);
    paused.time.ms += 1;
    expect([paused.now(), paused.isPaused]).toEqual([7, true]);
  });

  it("never runs backwards when its source does", () => {
    const clock = clockAt();
    clock.time.ms -= 50;
    expect(clock.now()).toBe(0);
  });

  it.each([["a text", '{"ms":"7"}'], ["a negative time", '{"ms":-1}'], ["null", "null"], ["no time", "{}"], [
    "too much",
    '{"ms":1e999}',
  ]])("changes nothing when it loads %s", async (what, text) => {
    const clock = clockAt();
    clock.time.ms += 7;
    const load = storeOf(clock).loadState(await holding({ "clock.json": text }));
    expect(await rejection(load), what).toMatchObject({ cause: { code: "ENTRY_INVALID" } });
    expect(clock.now()).toBe(7);
  });

  conforms(stateConformance(() => clockAt(), ({ time }) => time.ms += 9), it);

  it("refuses options that are none", () => {
    expect(() => new ProgramClock({ clock: 1 } as never)).toThrow(/no option "clock"/);
    expect(() => new ProgramClock({ now: 1 as never })).toThrow(TypeError);
  });
});
