// Timers fire, are saved, and go on after a load in the way each of them says.
import { memoryBackend, StateStore } from "snapkeep";
import { Timers } from "snapkeep/states";
import { stateConformance } from "snapkeep/testing";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { deferred, rejection } from "../store/states.ts";
import { conforms, holding, saved, storeOf } from "./kept.ts";

/** Timers with one handler, "note", that lists what fired. */
function noting() {
  const timers = new Timers();
  const fired: string[] = [];
  timers.handle("note", (key) => void fired.push(key));
  return { timers, fired };
}

// Only the timers of programs are replaced; those of the library wait for real.
beforeEach(() =>
  void vi.useFakeTimers({ now: 1_000_000, toFake: ["setTimeout", "clearTimeout", "Date", "performance"] })
);
afterEach(() => void vi.useRealTimers());

describe("Timers", () => {
  it("fire once, after their duration", () => {
    const { timers, fired } = noting();
    timers.after("a", "note", "2s");
    timers.after("b", "note", 500);
    vi.advanceTimersByTime(1_999);
    expect([fired, timers.pending]).toEqual([["b"], ["a"]]);
    vi.advanceTimersByTime(60_000);
    expect([fired, timers.pending]).toEqual([["b", "a"], []]);
  });

  it("wait for longer than a timer of the runtime can", () => {
    const { timers, fired } = noting();
    timers.after("a", "note", "60d");
    vi.advanceTimersByTime(60 * 86_400_000 - 1);
    expect(fired).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(fired).toEqual(["a"]);
  });

  it("can be cancelled, and replaced by one of the same key", () => {
    const { timers, fired } = noting();
    timers.after("a", "note", 10);
    expect([timers.cancel("a"), timers.cancel("a")]).toEqual([true, false]);
    timers.after("b", "note", 10);
    timers.after("b", "note", 20);
    vi.advanceTimersByTime(15);
    expect(fired).toEqual([]);
    vi.advanceTimersByTime(15);
    expect(fired).toEqual(["b"]);
  });

  it.each([["remaining", 600], ["deadline", 100], ["restart", 1_000]] as const)(
    "go on after a resume by what is %s",
    async (onResume, waitMs) => {
      const { timers } = noting();
      timers.after("a", "note", 1_000, { onResume });
      vi.advanceTimersByTime(400);
      const snapshot = await saved(timers);
      timers.cancel("a");
      vi.advanceTimersByTime(500); // the program is off
      const next = noting();
      await storeOf(next.timers).loadState(snapshot);
      vi.advanceTimersByTime(waitMs - 1);
      expect(next.fired).toEqual([]);
      vi.advanceTimersByTime(1);
      expect([next.fired, next.timers.pending]).toEqual([["a"], []]);
    },
  );

  it("keep what remains by default, and fire what is overdue at once", async () => {
    const { timers } = noting();
    timers.after("default", "note", 1_000);
    timers.after("overdue", "note", 1_000, { onResume: "deadline" });
    const snapshot = await saved(timers);
    for (const key of timers.pending) timers.cancel(key);
    vi.advanceTimersByTime(5_000);
    const next = noting();
    await storeOf(next.timers).loadState(snapshot);
    vi.advanceTimersByTime(0);
    expect(next.fired).toEqual(["overdue"]);
    vi.advanceTimersByTime(1_000);
    expect(next.fired).toEqual(["overdue", "default"]);
  });

  it("wait until all states are loaded", async () => {
    const { timers } = noting();
    timers.after("a", "note", 0);
    const backend = memoryBackend();
    let isLate = false;
    const late = {
      saveState() {},
      async loadState() {
        vi.advanceTimersByTime(10);
        await Promise.resolve();
        isLate = true;
      },
    };
    const snapshot = await new StateStore(backend).register("timers", timers).register("late", late).saveState();
    timers.cancel("a");
    const seen: boolean[] = [];
    const next = new Timers();
    next.handle("note", () => void seen.push(isLate));
    await new StateStore(backend).register("timers", next).register("late", late).resume();
    expect(snapshot.name).not.toBe("");
    vi.advanceTimersByTime(10);
    expect(seen).toEqual([true]);
  });

  it("do not fire after a load that failed, and go on after a rollback", async () => {
    const backend = memoryBackend();
    const { timers, fired } = noting();
    const failing = {
      saveState() {},
      loadState() {
        if (isFailing) throw new Error("no");
      },
    };
    let isFailing = false;
    const store = new StateStore(backend).register("timers", timers).register("failing", failing);
    timers.after("saved", "note", 10);
    const snapshot = await store.saveState();
    timers.cancel("saved");
    timers.after("now", "note", 10);
    isFailing = true;
    const load = store.loadState(snapshot, { rollback: true });
    isFailing = true;
    expect(await rejection(load)).toMatchObject({ code: "STATE_LOAD_FAILED" });
    expect(timers.pending).toEqual(["now"]);
    vi.advanceTimersByTime(10);
    expect(fired).toEqual(["now"]);
    expect(await rejection(store.loadState(snapshot))).toMatchObject({ code: "STATE_LOAD_FAILED" });
    vi.advanceTimersByTime(100);
    expect(fired).toEqual(["now"]);
  });

  it("stay saved until what they do has ended", async () => {
    const timers = new Timers();
    const work = deferred();
    timers.handle("work", () => work.promise);
    timers.after("a", "work", 1);
    vi.advanceTimersByTime(1);
    expect(timers.pending).toEqual(["a"]);
    const snapshot = await saved(timers);
    work.resolve();
    await work.promise;
    await Promise.resolve();
    expect(timers.pending).toEqual([]);
    const next = new Timers();
    const again: string[] = [];
    next.handle("work", (key) => void again.push(key));
    await storeOf(next).loadState(snapshot);
    vi.advanceTimersByTime(0);
    expect(again).toEqual(["a"]);
  });

  it("can start themselves again from their handler", () => {
    const timers = new Timers();
    let ticks = 0;
    timers.handle("tick", (key) => {
      ticks++;
      timers.after(key, "tick", 10);
    });
    timers.after("clock", "tick", 10);
    vi.advanceTimersByTime(35);
    expect([ticks, timers.pending]).toEqual([3, ["clock"]]);
    timers.cancel("clock");
  });

  it("fail a load by the name of what has no handler, and change nothing", async () => {
    const { timers } = noting();
    timers.after("a", "note", 10);
    const snapshot = await saved(timers);
    const next = new Timers();
    next.handle("other", () => {});
    next.after("mine", "other", 10);
    expect(await rejection(storeOf(next).loadState(snapshot))).toMatchObject({
      code: "STATE_LOAD_FAILED",
      message: expect.stringMatching(/"a".*no handler for "note".*timers\.handle\("note"/),
    });
    expect(next.pending).toEqual(["mine"]);
    next.cancel("mine");
    timers.cancel("a");
  });

  const timer = { key: "a", name: "note", durationMs: 5, onResume: "restart" };
  it.each<[string, unknown]>([
    ["no list", {}],
    ["null in the list", [null]],
    ["no key", [{ ...timer, key: "" }]],
    ["a duration that is none", [{ ...timer, durationMs: -1 }]],
    ["an unknown way", [{ ...timer, onResume: "never" }]],
    ["a deadline without a time", [{ ...timer, onResume: "deadline" }]],
    ["a rest that is none", [{ ...timer, onResume: "remaining", remainingMs: "5" }]],
    ["one key twice", [timer, timer]],
  ])("change nothing when they load %s", async (_, value) => {
    const { timers } = noting();
    timers.after("mine", "note", 10);
    const load = storeOf(timers).loadState(await holding({ "timers.json": JSON.stringify(value) }));
    expect(await rejection(load)).toMatchObject({ cause: { code: "ENTRY_INVALID" } });
    expect(timers.pending).toEqual(["mine"]);
    timers.cancel("mine");
  });

  conforms(
    stateConformance(
      () => {
        const { timers } = noting();
        timers.after("a", "note", 1_000_000);
        return timers;
      },
      (timers) => timers.after("b", "note", 2_000_000, { onResume: "deadline" }),
    ),
    it,
  );

  it("refuse what cannot be meant", () => {
    const { timers } = noting();
    expect(() => timers.handle("note", () => {})).toThrow(/already/);
    expect(() => timers.handle("", () => {})).toThrow(TypeError);
    expect(() => timers.handle("b", 1 as never)).toThrow(TypeError);
    expect(() => timers.after("a", "nope", 10)).toThrow(/no handler for "nope"/);
    expect(() => timers.after("", "note", 10)).toThrow(TypeError);
    expect(() => timers.after("a", "note", -1)).toThrow(RangeError);
    expect(() => timers.after("a", "note", "soon")).toThrow(RangeError);
    expect(() => timers.after("a", "note", 10, { onResume: "never" as never })).toThrow(/remaining, deadline, restart/);
    expect(() => timers.after("a", "note", 10, { onresume: "deadline" } as never)).toThrow(/onResume/);
    expect(timers.pending).toEqual([]);
  });
});
