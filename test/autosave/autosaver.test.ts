// When an autosaver saves, what it does when a save fails, and the order of a round; the clock is the test's own.
import {
  anyOf,
  atFirst,
  autosave,
  everySteps,
  type FailedEvent,
  LatestStatesKeeper,
  memoryBackend,
  PeriodicSaveCondition,
  type SavedEvent,
  type SkippedEvent,
  StateStore,
  withinBudget,
} from "snapkeep";
import { describe, expect, it } from "vitest";
import { collectWarnings } from "../backend/warnings.ts";
import { deferred, rejection } from "../store/states.ts";
import { ManualClock } from "./manual_clock.ts";
import { makeWorld, settle } from "./world.ts";

/** A condition that a test switches; it stays true for one look. */
function button() {
  let isPressed = false;
  return {
    press: () => void (isPressed = true),
    check: () => [isPressed, isPressed = false][0] as boolean,
  };
}

function periodic(clock: ManualClock, interval: string | number) {
  return new PeriodicSaveCondition(interval, { now: clock.now });
}

describe("an autosaver on its timer", () => {
  it("saves whenever its condition says so, and only then", async () => {
    const clock = new ManualClock();
    const { cell, until, values, outcomes } = makeWorld({ clock, condition: periodic(clock, "10s") });
    for (cell.value = 1; (cell.value as number) <= 3; cell.value = cell.value as number + 1) {
      clock.pass(9_000);
      expect(outcomes().length).toBe(cell.value as number - 1);
      clock.pass(1_100);
      await until(cell.value as number);
    }
    expect(await values()).toEqual([1, 2, 3]);
    expect(outcomes()).toEqual(["saved", "saved", "saved"]);
  });

  it("asks a plain function", async () => {
    const condition = button();
    const { clock, until } = makeWorld({ condition: () => condition.check() });
    clock.pass(10_000);
    condition.press();
    clock.pass(300);
    expect((await until(1))[0]).toMatchObject({ outcome: "saved", reason: "due" });
  });

  it("captures in the turn of the event loop in which the condition was true", async () => {
    const condition = button();
    const { clock, cell, until, values } = makeWorld({ condition });
    cell.value = "then";
    condition.press();
    clock.pass(300);
    cell.value = "afterwards";
    await until(1);
    expect(await values()).toEqual(["then"]);
  });

  it("saves at once on requestSave, and tells the caller", async () => {
    const { saver, cell, values } = makeWorld({});
    cell.value = "asked for";
    expect(await saver.requestSave()).toMatchObject({ outcome: "saved", reason: "requested" });
    expect(await values()).toEqual(["asked for"]);
  });

  it("keeps no timer once it has ended", async () => {
    const { saver, clock } = makeWorld({});
    await saver[Symbol.asyncDispose]();
    await settle();
    expect(clock.waiting).toBe(0);
    expect(await saver.requestSave()).toMatchObject({ outcome: "skipped", why: "ended" });
  });
});

describe("an autosaver whose program calls tick()", () => {
  it("saves in tick() only", async () => {
    const condition = button();
    const { saver, clock, until, outcomes } = makeWorld({ condition });
    await saver.tick();
    condition.press();
    clock.pass(60_000);
    expect(outcomes()).toEqual([]);
    await saver.tick();
    expect(await until(1)).toHaveLength(1);
  });

  it("captures before tick() resolves, and writes afterwards", async () => {
    const { saver, cell, until, values } = makeWorld({ condition: everySteps(1) });
    cell.value = "at the tick";
    const ticked = saver.tick();
    cell.value = "afterwards";
    await ticked;
    await until(1);
    expect(await values()).toEqual(["at the tick"]);
  });

  it("counts ticks as steps where labels have none, and takes their step where they have one", async () => {
    const counted = makeWorld({ condition: everySteps(3) });
    for (let tick = 1; tick <= 7; tick++) {
      await counted.saver.tick();
      await settle();
    }
    expect(counted.events.map((event) => (event as SavedEvent).step)).toEqual([3, 6]);
    let step = 0;
    const labelled = makeWorld({ condition: everySteps(100), labels: () => ({ step }) });
    for (step = 30; step <= 300; step += 30) {
      await labelled.saver.tick();
      await settle();
    }
    expect(labelled.events.map((event) => (event as SavedEvent).step)).toEqual([120, 210, 300]);
  });

  it("fails, and says what to do, if steps are to be counted and nothing tells them", async () => {
    const { clock, events } = makeWorld({ condition: everySteps(3) });
    clock.pass(300);
    expect(events).toMatchObject([{ outcome: "failed" }]);
    expect(String((events[0] as FailedEvent).error)).toMatch(/labels with a step, or call tick/);
  });

  it("lets the event loop turn, though the loop awaits nothing else", async () => {
    const { saver } = makeWorld({});
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const untilMs = performance.now() + 60;
    while (performance.now() < untilMs) await saver.tick();
    clearInterval(timer);
    expect(turns).toBeGreaterThan(0);
  });

  it("serves a request at the next tick", async () => {
    const { saver, outcomes } = makeWorld({});
    await saver.tick();
    const requested = saver.requestSave();
    await settle();
    expect(outcomes()).toEqual([]);
    await saver.tick();
    expect(await requested).toMatchObject({ outcome: "saved", reason: "requested" });
  });
});

describe("a save that does not succeed", () => {
  it("stays due, and is tried again after 1, 2, 4 ... seconds, counted from the end of the last attempt", async () => {
    const condition = button();
    const { clock, cell, events, until, values } = makeWorld({ condition });
    const { saveState } = cell;
    cell.saveState = () => Promise.reject(new Error("not now"));
    condition.press();
    clock.pass(250);
    await until(1);
    for (const [index, pauseMs] of [1000, 2000, 4000, 8000].entries()) {
      expect(events[index]).toMatchObject({ outcome: "failed", failuresInRow: index + 1, retryInMs: pauseMs });
      clock.pass(pauseMs - 1);
      await settle();
      expect(events).toHaveLength(index + 1);
      if (pauseMs === 8000) cell.saveState = saveState;
      cell.value = "at last";
      clock.pass(2);
      await until(index + 2);
    }
    expect(events.at(-1)).toMatchObject({ outcome: "saved", reason: "due" });
    expect(await values()).toEqual(["at last"]);
    clock.pass(3_600_000);
    await settle();
    expect(events).toHaveLength(5);
  });

  it("is not retried more often than once a minute at the end, and a tick does not hasten it", async () => {
    const { clock, cell, events, saver } = makeWorld({ condition: everySteps(1) });
    cell.saveState = () => Promise.reject(new Error("never"));
    for (let attempt = 1; attempt <= 9; attempt++) {
      await saver.tick();
      await settle();
      expect(events).toHaveLength(attempt);
      const { retryInMs = 0 } = events.at(-1) as FailedEvent;
      expect(retryInMs).toBe(Math.min(60_000, 1000 * 2 ** (attempt - 1)));
      clock.pass(retryInMs - 1);
      await saver.tick();
      expect(events).toHaveLength(attempt);
      clock.pass(1);
    }
  });

  it("is neither thrown into the program nor left unhandled, and a request receives it", async () => {
    const { cell, saver } = makeWorld({ condition: everySteps(1) });
    cell.saveState = () => {
      throw new Error("broken");
    };
    const requested = saver.requestSave();
    await saver.tick();
    await settle();
    const event = await requested as FailedEvent;
    expect(event.outcome).toBe("failed");
    expect(event.error).toMatchObject({ code: "STATE_SAVE_FAILED" });
  });

  it("makes a condition that throws a failed round, and asks it again after a pause", async () => {
    let looks = 0;
    const { clock, events } = makeWorld({
      condition: () => {
        looks++;
        throw new Error("no idea");
      },
    });
    clock.pass(260);
    expect([looks, events.length]).toEqual([1, 1]);
    clock.pass(900);
    expect(looks).toBe(1);
    clock.pass(400);
    expect([looks, events.length]).toEqual([2, 2]);
    expect(events[1]).toMatchObject({ outcome: "failed", failuresInRow: 2, error: new Error("no idea") });
  });

  it.each([[1], [Promise.resolve(true)], [undefined]])("tells of a condition that returns %s", async (answer) => {
    const { clock, events } = makeWorld({ condition: (() => answer) as never });
    clock.pass(260);
    expect(String((events[0] as FailedEvent).error)).toMatch(/must return true or false/);
  });

  it("leaves no rejection unhandled if a condition or the labels return a promise", async () => {
    const broken = (): never => Promise.reject(new Error("not handled")) as never;
    const { clock, events, saver } = makeWorld({ condition: broken });
    clock.pass(260);
    expect(String((events[0] as FailedEvent).error)).toMatch(/must return true or false/);
    const other = makeWorld({ labels: broken });
    expect(String((await other.saver.requestSave() as FailedEvent).error)).toMatch(/labels must return an object/);
    expect(saver.health().failuresInRow).toBe(1);
    await settle();
  });

  it.each([[NaN], ["soon"], [-5]])("takes %s for no time at which a condition becomes true", (dueInMs) => {
    const { saver } = makeWorld({ condition: { check: () => false, dueInMs: () => dueInMs as number } });
    expect(saver.health().nextSaveInMs).toBe(dueInMs === -5 ? 0 : null);
  });

  it.each([[0], [-5], [NaN], [1e-9], [1], [49]])(
    "asks a few times a second if dueInMs is %s and nothing is due",
    (dueInMs) => {
      let checks = 0;
      const { clock } = makeWorld({ condition: { check: () => (checks++, false), dueInMs: () => dueInMs } });
      clock.pass(10_000);
      expect(checks).toBeGreaterThanOrEqual(39);
      expect(checks).toBeLessThan(50);
    },
  );

  it("asks on time again after a condition has told a false time", async () => {
    const dueAtMs = 20_000;
    const { clock, until } = makeWorld({
      condition: {
        check: () => clock.now() >= dueAtMs,
        dueInMs: () => clock.now() < 5_000 ? 0 : dueAtMs - clock.now(),
      },
    });
    clock.pass(dueAtMs - clock.now());
    await settle();
    const [event] = await until(1);
    expect((event as SavedEvent).startedAt.getTime() % 60_000).toBe(dueAtMs);
  });

  it("cleans up when the disk is full, so that the next attempt finds room", async () => {
    const condition = button();
    const keeper = { append() {}, cleanups: 0, cleanup: async () => (keeper.cleanups++, []) };
    const { clock, cell, until } = makeWorld({ condition, keeper });
    const { saveState } = cell;
    const { storageError } = await import("snapkeep/backend");
    cell.saveState = () =>
      Promise.reject(storageError("write", "x", Object.assign(new Error("full"), { code: "ENOSPC" })));
    condition.press();
    clock.pass(300);
    expect((await until(1))[0]).toMatchObject({ outcome: "failed", error: { code: "STORAGE_FULL" } });
    expect(keeper.cleanups).toBe(1);
    cell.saveState = saveState;
    clock.pass(1100);
    expect((await until(2))[1]).toMatchObject({ outcome: "saved" });
  });
});

describe("one save at a time", () => {
  it("is joined by what falls due meanwhile, and each joining is reported once it has ended", async () => {
    const gate = deferred();
    const { saver, cell, until, events } = makeWorld({ condition: () => true });
    const { saveState } = cell;
    cell.saveState = async function (out) {
      await saveState.call(cell, out);
      await gate.promise;
    };
    for (let tick = 0; tick < 5; tick++) await saver.tick();
    expect(cell.saves).toBe(1);
    gate.resolve();
    await until(2);
    expect(events).toMatchObject([
      { outcome: "saved", reason: "due" },
      { outcome: "joined", reason: "due", joined: { outcome: "saved" } },
    ]);
  });

  it("serves requests that came before the capture, and begins another for those that came after it", async () => {
    const paused = deferred<() => void>();
    const { saver, cell, until, values } = makeWorld({ pause: () => paused.promise });
    cell.value = "first";
    const one = saver.requestSave();
    const two = saver.requestSave(); // while it pauses
    paused.resolve(() => {});
    await new Promise<void>((resolve) => {
      const { saveState } = cell;
      cell.saveState = (out) => (resolve(), saveState.call(cell, out));
    });
    cell.value = "second";
    const three = saver.requestSave(); // after the states were called
    expect(await one).toMatchObject({ outcome: "saved" });
    expect(await two).toMatchObject({ outcome: "joined", reason: "requested", joined: { outcome: "saved" } });
    expect(await three).toMatchObject({ outcome: "saved", reason: "requested" });
    expect((await until(3)).map(({ outcome }) => outcome)).toEqual(["saved", "joined", "saved"]);
    expect(await values()).toEqual(["first", "second"]);
  });
});

describe("before the program has loaded anything", () => {
  it("a save that falls due is skipped, warned of once, and made as soon as the program has begun", async () => {
    const warnings = await collectWarnings();
    const condition = button();
    const { clock, events, store, until } = makeWorld({ condition, store: { startFresh: false } });
    condition.press();
    clock.pass(5_000);
    expect(events).toMatchObject([{ outcome: "skipped", why: "not begun" }]);
    await settle();
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/await store\.resume\(\).*startFresh\(\)/);
    store.startFresh();
    clock.pass(300);
    expect((await until(2))[1]).toMatchObject({ outcome: "saved", reason: "due" });
  });

  it("a requested save resolves as skipped, so that a program that awaits it can go on and resume", async () => {
    const { saver, store, until } = makeWorld({ condition: button(), store: { startFresh: false } });
    expect(await saver.requestSave()).toMatchObject({ outcome: "skipped", why: "not begun" });
    expect(await saver.requestSave()).toMatchObject({ outcome: "skipped", why: "not begun" });
    store.startFresh();
    const event = saver.requestSave();
    expect((await until(3)).at(-1)).toMatchObject({ outcome: "saved", reason: "requested" });
    expect(await event).toMatchObject({ outcome: "saved" });
  });

  it.each(["resume", "loadState", "startFresh"] as const)("begins after %s()", async (how) => {
    const earlier = makeWorld({});
    const snapshot = await earlier.store.saveState();
    const { clock, events, store, until } = makeWorld({
      backend: earlier.backend,
      condition: () => true,
      store: { startFresh: false },
    });
    clock.pass(1000);
    expect(events).toHaveLength(1);
    if (how === "loadState") await store.loadState(snapshot);
    else await store[how]();
    clock.pass(1000);
    expect((await until(2))[1]).toMatchObject({ outcome: "saved" });
  });

  it("an interval counts from the last snapshot, so that a program that is often restarted is saved", async () => {
    const clock = new ManualClock();
    const earlier = makeWorld({ clock });
    await earlier.store.saveState();
    clock.pass(50_000);
    const { store, until, events } = makeWorld({
      clock,
      backend: earlier.backend,
      condition: periodic(clock, "1m"),
      store: { startFresh: false },
    });
    await store.resume();
    clock.pass(9_000);
    expect(events).toHaveLength(0);
    clock.pass(2_000);
    expect((await until(1))[0]).toMatchObject({ outcome: "saved" });
  });

  it("a snapshot of the future, or a clock that is set, neither hastens nor delays an interval", async () => {
    const clock = new ManualClock();
    let aheadMs = 3_600_000;
    const now = () => Date.UTC(2026, 0, 1) + clock.now() + aheadMs;
    const earlier = makeWorld({ clock, store: { now } });
    await earlier.store.saveState();
    aheadMs = 0;
    const { store, until, events } = makeWorld({
      clock,
      backend: earlier.backend,
      condition: periodic(clock, "1m"),
      store: { startFresh: false, now },
    });
    await store.resume();
    clock.pass(59_000);
    aheadMs = 1e9;
    clock.pass(500);
    expect(events).toHaveLength(0);
    aheadMs = -1e9;
    clock.pass(2_000);
    expect(await until(1)).toHaveLength(1);
  });

  it("a save that the program makes itself begins the interval too", async () => {
    const clock = new ManualClock();
    const { store, events, until } = makeWorld({ clock, condition: periodic(clock, "1m") });
    clock.pass(30_000);
    await store.saveState();
    clock.pass(59_000);
    expect(events).toHaveLength(0);
    clock.pass(2_000);
    expect(await until(1)).toHaveLength(1);
  });
});

describe("a round", () => {
  it("runs in the order of pamiq-core's control loop", async () => {
    const log: string[] = [];
    const { saver, cell, store } = makeWorld({
      condition: () => (log.push("condition"), log.length === 1),
      pause: () => (log.push("pause"), () => void log.push("go on")),
      keeper: {
        append: (snapshot) => void log.push(`append ${snapshot.name.slice(0, 4)}`),
        cleanup: () => (log.push("cleanup"), Promise.resolve([])),
      },
      labels: () => (log.includes("pause") && log.push("labels"), {}),
      onEvent: () => void log.push("event"),
    });
    const { saveState } = cell;
    cell.saveState = (out) => (log.push("capture"), saveState.call(cell, out));
    const { notes } = store.backend;
    expect(notes).toBeDefined();
    const stage = store.backend.stage.bind(store.backend);
    store.backend.stage = (...args) => (log.push("write"), stage(...args));
    await saver.tick();
    log.push("tick resolves");
    await settle();
    const rest = log.filter((entry) => entry !== "labels");
    expect(rest).toEqual([
      "condition",
      "pause",
      "capture",
      "go on",
      ...rest[4] === "write" ? ["write", "tick resolves"] : ["tick resolves", "write"],
      "append 2026",
      "cleanup",
      "event",
    ]);
  });

  it("tells where its time went, per phase and state, and how many bytes it saved", async () => {
    const { saver, store, clock } = makeWorld({
      pause: () => (clock.pass(3), () => clock.pass(2)),
      labels: { step: 4, tags: ["auto"] },
    });
    store.register("slow", {
      saveState: (out) => (clock.pass(50), out.write("bytes.bin", new Uint8Array(1000))),
      loadState() {},
    });
    const event = await saver.requestSave() as SavedEvent;
    expect(event).toMatchObject({
      outcome: "saved",
      uri: store.backend.uri,
      step: 4,
      entries: 2,
      sizeBytes: 1001,
      removed: [],
    });
    expect(event.phases.pausedMs).toBe(3);
    expect(event.phases.capturedMs).toBe(50);
    expect(event.heldMs).toBe(55);
    expect(event.states.map(({ name }) => name)).toEqual(["cell", "slow"]);
    expect((await event.snapshot.labels()).tags).toEqual(["auto"]);
  });

  it("uses the layout that it was given", async () => {
    const { saver } = makeWorld({ layout: "tar.gz" });
    const event = await saver.requestSave() as SavedEvent;
    expect(event.snapshot.layout).not.toBe("directory");
  });

  it("is saved although its keeper fails, which the event tells", async () => {
    const warnings = await collectWarnings();
    const failing = (part: "append" | "cleanup") => ({
      append: () => {
        if (part === "append") throw new Error("append failed");
      },
      cleanup: () => part === "cleanup" ? Promise.reject(new Error("cleanup failed")) : Promise.resolve([]),
    });
    for (const part of ["append", "cleanup"] as const) {
      const { saver, values } = makeWorld({ keeper: failing(part) });
      const event = await saver.requestSave() as SavedEvent;
      expect(event).toMatchObject({ outcome: "saved", keeperError: new Error(`${part} failed`) });
      expect(await values()).toEqual([0]);
    }
    await settle();
    expect(warnings).toEqual([
      expect.stringMatching(/Cannot clean up .*: append failed/),
      expect.stringMatching(/Cannot clean up .*: cleanup failed/),
    ]);
  });

  it.each(["append", "cleanup"] as const)("goes on saving while %s() of its keeper hangs", async (part) => {
    const warnings = await collectWarnings();
    const log: string[] = [];
    let [running, most] = [0, 0];
    let answer = () => {};
    const hang = async (name: string) => {
      log.push(name);
      most = Math.max(most, ++running);
      if (log.length === (part === "append" ? 1 : 2)) await new Promise<void>((resolve) => answer = resolve);
      running--;
    };
    const keeper = {
      append: async ({ name }: { readonly name: string }) => await hang(name),
      cleanup: async () => (await hang("cleanup"), []),
    };
    const { clock, saver } = makeWorld({ keeper });
    const first = saver.requestSave();
    while (running === 0 || log.length < (part === "append" ? 1 : 2)) await settle(1);
    clock.pass(29_000);
    await settle();
    expect(saver.health().isSaving, "it waits for half a minute").toBe(true);
    clock.pass(1_000);
    const events = [await first, await saver.requestSave(), await saver.requestSave()] as SavedEvent[];
    for (const event of events) {
      expect(event).toMatchObject({ outcome: "saved", keeperError: { name: "TimeoutError" } });
    }
    expect(saver.health().keeperFailure?.message).toMatch(/still runs since an earlier save/);
    expect(log.length, "it is not called while it runs").toBe(part === "append" ? 1 : 2);
    answer();
    await settle();
    const last = await saver.requestSave() as SavedEvent;
    expect(last).not.toHaveProperty("keeperError");
    expect(saver.health().keeperFailure).toBeNull();
    const names = [...events, last].map(({ snapshot }) => snapshot.name);
    expect(log.filter((name) => name !== "cleanup")).toEqual(names);
    expect(most).toBe(1);
    await settle();
    expect(warnings[0]).toMatch(/the keeper has not answered within 30000 ms; saves go on without it/);
  });

  it("tells late what a keeper removed, or why it failed, after its round had ended", async () => {
    let answer: (removed: []) => void = () => {};
    let fail: (error: Error) => void = () => {};
    const cleanup = () => new Promise<[]>((resolve, reject) => [answer, fail] = [resolve, reject]);
    const removed = ["gone"] as never;
    const { clock, saver } = makeWorld({ keeper: { append() {}, cleanup } });
    const late = async () => {
      const saved = saver.requestSave();
      while (!saver.health().isSaving || clock.waiting < 2) await settle(1);
      await settle();
      clock.pass(30_000);
      return await saved as SavedEvent;
    };
    expect(await late()).toMatchObject({ removed: [], keeperError: { name: "TimeoutError" } });
    answer(removed);
    await settle();
    expect(await late()).toMatchObject({ removed: ["gone"] });
    fail(new Error("no access"));
    await settle();
    expect(await late()).toMatchObject({ removed: [], keeperError: new Error("no access") });
    answer([]);
  });

  it("cleans up by the keeper's rules, and tells what was removed", async () => {
    const backend = memoryBackend();
    const store = new StateStore(backend, { startFresh: true });
    const { saver } = makeWorld({ backend, keeper: new LatestStatesKeeper(store, 2) });
    const removed: string[][] = [];
    for (let round = 0; round < 4; round++) {
      const event = await saver.requestSave() as SavedEvent;
      removed.push(event.removed.map(({ name }) => name));
    }
    expect(removed.map(({ length }) => length)).toEqual([0, 0, 1, 1]);
    expect(await store.list()).toHaveLength(2);
  });

  it("goes on if the receiver of its event throws or rejects", async () => {
    let calls = 0;
    const { saver } = makeWorld({
      onEvent: () => {
        if (calls++ === 0) throw new Error("of the receiver");
        return Promise.reject(new Error("of the receiver")) as never;
      },
    });
    expect(await saver.requestSave()).toMatchObject({ outcome: "saved" });
    expect(await saver.requestSave()).toMatchObject({ outcome: "saved" });
    expect(calls).toBe(2);
  });
});

describe("a state that asks for a save as it is saved", () => {
  it("gets one of its own afterwards", async () => {
    const { saver, cell, until, events } = makeWorld({});
    const { saveState } = cell;
    cell.saveState = (out) => {
      if (cell.saves === 0) void saver.requestSave();
      return saveState.call(cell, out);
    };
    await saver.requestSave();
    await until(2);
    await settle();
    expect(events).toMatchObject([{ outcome: "saved" }, { outcome: "saved" }]);
  });
});

describe("what saves cost", () => {
  it("stretches the interval so that they hold the program for no more than the share", async () => {
    const clock = new ManualClock();
    const { cell, until, events } = makeWorld({
      clock,
      condition: anyOf(withinBudget(0.02)),
    });
    const { saveState } = cell;
    let costMs = 100;
    cell.saveState = (out) => (clock.pass(costMs), saveState.call(cell, out));
    const beganAt: number[] = [];
    for (let round = 1; round <= 6; round++) {
      costMs = round % 2 ? 100 : 10;
      while (events.length < round) {
        clock.pass(1);
        if (cell.saves >= round) await until(round);
      }
      beganAt.push((events[round - 1] as SavedEvent).startedAt.getTime());
    }
    const gaps = beganAt.slice(1).map((ms, index) => ms - (beganAt[index] as number));
    expect(gaps[0]).toBeGreaterThanOrEqual(5000);
    expect(gaps[1]).toBeGreaterThanOrEqual(500);
    expect(gaps[1]).toBeLessThan(1600);
    const held = events.slice(0, -1).reduce((sum, event) => sum + (event as SavedEvent).heldMs, 0);
    expect(held / ((beganAt.at(-1) as number) - (beganAt[0] as number))).toBeLessThanOrEqual(0.02);
  });

  it("does not delay the first save", async () => {
    const { clock, until } = makeWorld({ condition: { check: () => true } });
    clock.pass(300);
    expect(await until(1)).toHaveLength(1);
    const first = makeWorld({ condition: atFirst() });
    first.clock.pass(300);
    await first.until(1);
    first.clock.pass(3_600_000);
    await settle();
    expect(first.events).toHaveLength(1);
  });
});

describe("the end", () => {
  it("by close() saves once more, after a save that runs, and ends tick()", async () => {
    const { saver, cell, values, clock } = makeWorld({});
    cell.value = "running";
    const running = saver.requestSave();
    cell.value = "last";
    const closed = saver.close();
    expect(saver.signal.aborted).toBe(true);
    expect(await closed).toMatchObject({ outcome: "saved", reason: "closed" });
    expect(await running).toMatchObject({ outcome: "saved" });
    expect(await values()).toEqual(["running", "last"]);
    expect(await saver.close()).toBe(await closed);
    expect(await rejection(saver.tick())).toMatchObject({ name: "AbortError" });
    await settle();
    expect(clock.waiting).toBe(0);
  });

  it("by Symbol.asyncDispose waits for a save that runs, and begins none", async () => {
    const { saver, cell, values } = makeWorld({});
    cell.value = "running";
    const running = saver.requestSave();
    cell.value = "half-way through an exception";
    await saver[Symbol.asyncDispose]();
    expect(await running).toMatchObject({ outcome: "saved" });
    expect(await values()).toEqual(["running"]);
  });

  it("tells a request that came too late", async () => {
    const { saver } = makeWorld({});
    await saver.close();
    expect(await saver.requestSave() as SkippedEvent).toMatchObject({
      outcome: "skipped",
      why: "ended",
      reason: "requested",
    });
  });
});

it("tick() after close() rejects, and tells why", async () => {
  const { saver } = makeWorld({});
  await saver.close();
  expect(await rejection(saver.tick())).toMatchObject({
    name: "AbortError",
    message: "The program is to stop: its autosaver was closed",
  });
});

describe("autosave()", () => {
  const store = () => new StateStore(memoryBackend());
  const condition = () => false;

  it.each([
    ["no store", () => autosave({} as never, { condition }), TypeError, /StateStore/],
    ["no condition", () => autosave(store(), {} as never), TypeError, /condition must be a function/],
    ["a condition that is a text", () => autosave(store(), { condition: "5m" as never }), TypeError, /new Periodic/],
    ["a condition that is a number", () => autosave(store(), { condition: 60 as never }), TypeError, /60 is a number/],
    ["a keeper that keeps nothing", () => autosave(store(), { condition, keeper: {} as never }), TypeError, /keeper/],
    [
      "a keeper of another store",
      () => autosave(store(), { condition, keeper: new LatestStatesKeeper(store(), 3) }),
      TypeError,
      /^Cannot save by itself: the keeper keeps the snapshots in "memory:\d+", but the store saves to "memory:\d+"/,
    ],
    [
      "an unknown option",
      () => autosave(store(), { condition, interval: 5 } as never),
      TypeError,
      /no option "interval"/,
    ],
    ["an unknown signal", () => autosave(store(), { condition, signals: ["SIGKILL"] as never }), TypeError, /SIGTERM/],
    [
      "a signal that is no array",
      () => autosave(store(), { condition, signals: "SIGTERM" as never }),
      TypeError,
      /array/,
    ],
    ["a negative grace", () => autosave(store(), { condition, graceMs: -1 }), RangeError, /-1/],
    ["an infinite grace", () => autosave(store(), { condition, graceMs: Infinity }), RangeError, /Infinity/],
    [
      "labels that cannot be",
      () => autosave(store(), { condition, labels: { step: "1" as never } }),
      TypeError,
      /step/,
    ],
    ["misspelt labels", () => autosave(store(), { condition, labels: { stpe: 1 } as never }), TypeError, /"step"/],
    ["no pause", () => autosave(store(), { condition, pause: 5 as never }), TypeError, /pause must be .* not 5/],
    [
      "null as pause",
      () => autosave(store(), { condition, pause: null as never }),
      TypeError,
      /pause must be .* not null/,
    ],
    ["an unknown layout", () => autosave(store(), { condition, layout: "zip" as never }), TypeError, /"zip"/],
    [
      "a misspelt limit",
      () => autosave(store(), { condition, pause: { pause: () => null, timeout: 1 } as never }),
      TypeError,
      /timeoutMs/,
    ],
    [
      "no attempts",
      () => autosave(store(), { condition, pause: { pause: () => null, attempts: 0 } }),
      RangeError,
      /attempts/,
    ],
    ["a receiver that is none", () => autosave(store(), { condition, onEvent: true as never }), TypeError, /onEvent/],
  ])("refuses %s before it does anything", (_, call, kind, message) => {
    expect(call).toThrow(kind);
    expect(call).toThrow(message);
  });

  it("takes a keeper of the same place, and one that decides by itself what it takes", async () => {
    class ElsewhereKeeper extends LatestStatesKeeper {
      override append(): void {}
    }
    const saved = store();
    for (const keeper of [new LatestStatesKeeper(saved.backend, 3), new ElsewhereKeeper(store(), 3)]) {
      await autosave(saved, { condition, keeper })[Symbol.asyncDispose]();
    }
  });
});
