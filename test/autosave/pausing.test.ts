// A program with concurrent parts is brought to rest within a limit, and is never left paused.
import type { SavedEvent, SkippedEvent } from "snapkeep";
import { describe, expect, it } from "vitest";
import { deferred } from "../store/states.ts";
import { ManualClock } from "./manual_clock.ts";
import { makeWorld, settle } from "./world.ts";

/** A program that answers a request to pause when a test lets it. */
function program() {
  const log: string[] = [];
  const answers: { readonly resolve: (end: () => void) => void; readonly reject: (error: unknown) => void }[] = [];
  let isPaused = false;
  const pause = (signal: AbortSignal) => {
    log.push("asked");
    signal.addEventListener("abort", () => log.push("released"));
    return new Promise<() => void>((resolve, reject) => answers.push({ resolve, reject }));
  };
  const end = () => {
    log.push("go on");
    isPaused = false;
  };
  const answer = () => {
    isPaused = true;
    answers.shift()?.resolve(end);
  };
  return { log, pause, answer, answers, isPaused: () => isPaused };
}

describe("a pause", () => {
  it("ends as soon as the states have handed over their data, before they are written", async () => {
    const { saver, cell } = makeWorld({ pause: () => () => void (cell.value = "going on") });
    cell.value = "at rest";
    const event = await saver.requestSave() as SavedEvent;
    const reader = await event.snapshot.open();
    expect(await reader.json("cell/value.json")).toBe("at rest");
    await reader.close();
  });

  it("holds tick() until the program goes on", async () => {
    const gate = deferred();
    const { saver } = makeWorld({ condition: () => true, pause: () => () => gate.promise });
    let hasTicked = false;
    const ticked = saver.tick().then(() => hasTicked = true);
    await settle();
    expect(hasTicked).toBe(false);
    gate.resolve();
    await ticked;
  });

  it("that takes too long is released and asked for again, three times, and then the save is skipped and stays due", async () => {
    const { log, pause, answer, answers } = program();
    const clock = new ManualClock();
    const { saver, events, until, cell } = makeWorld({ clock, pause: { pause, timeoutMs: 500 } });
    const requested = saver.requestSave();
    for (let attempt = 0; attempt < 3; attempt++) {
      await settle();
      clock.pass(499);
      await settle();
      expect(log.filter((entry) => entry === "asked")).toHaveLength(attempt + 1);
      clock.pass(1);
      await settle();
      answers.shift()?.reject(new Error("aborted"));
    }
    const skipped = await requested as SkippedEvent;
    expect(skipped).toMatchObject({ outcome: "skipped", why: "not paused", error: { name: "TimeoutError" } });
    expect(log).toEqual(["asked", "released", "asked", "released", "asked", "released"]);
    expect(cell.saves).toBe(0);
    clock.pass(1000);
    await settle();
    answer();
    await until(2);
    expect(events[1]).toMatchObject({ outcome: "saved" });
    expect(log.slice(6)).toEqual(["asked", "go on"]);
  });

  it("that is answered late ends at once, before the next attempt begins", async () => {
    const { log, pause, answer, isPaused } = program();
    const clock = new ManualClock();
    const { saver, until } = makeWorld({ clock, pause: { pause, timeoutMs: 500, attempts: 2 } });
    void saver.requestSave();
    await settle();
    clock.pass(500);
    await settle();
    answer();
    await settle();
    expect(log).toEqual(["asked", "released", "go on", "asked"]);
    expect(isPaused()).toBe(false);
    answer();
    await until(1);
    expect(log.at(-1)).toBe("go on");
  });

  it("that never answers is asked for once: a further request could end another one's pause", async () => {
    const { log, pause } = program();
    const clock = new ManualClock();
    const { saver, events } = makeWorld({ clock, pause: { pause, timeoutMs: 500 } });
    void saver.requestSave();
    for (let round = 0; round < 20; round++) {
      await settle(5);
      clock.pass(500);
    }
    expect(log).toEqual(["asked", "released"]);
    expect(events.length).toBeGreaterThan(1);
    expect(new Set(events.map(({ outcome }) => outcome))).toEqual(new Set(["skipped"]));
  });

  it.each([
    ["throws", () => {
      throw new Error("no");
    }],
    ["rejects", () => Promise.reject(new Error("no"))],
    ["forgets to return what ends it", () => undefined as never],
    ["returns something else", () => true as never],
  ])("that %s is a skipped save with its reason", async (_, pause) => {
    const { saver, cell } = makeWorld({ pause });
    const event = await saver.requestSave() as SkippedEvent;
    expect(event).toMatchObject({ outcome: "skipped", why: "not paused", retryInMs: 1000 });
    expect(String(event.error)).toMatch(/no|must return the one that ends the pause, or null/);
    expect(cell.saves).toBe(0);
  });

  it("of a program that was paused before leaves it paused", async () => {
    const { saver, values } = makeWorld({ pause: () => null });
    expect(await saver.requestSave()).toMatchObject({ outcome: "saved" });
    expect(await values()).toEqual([0]);
  });

  it.each([["throws"], ["rejects"]])(
    "ends though the save fails, and a failing end is reported: it %s",
    async (how) => {
      let ends = 0;
      const { saver, cell } = makeWorld({
        pause: () => () => {
          ends++;
          if (how === "throws") throw new Error("stuck");
          return Promise.reject(new Error("stuck"));
        },
      });
      expect(await saver.requestSave()).toMatchObject({ outcome: "saved", resumeError: new Error("stuck") });
      cell.saveState = () => {
        throw new Error("broken");
      };
      expect(await saver.requestSave()).toMatchObject({ outcome: "failed", resumeError: new Error("stuck") });
      expect(ends).toBe(2);
    },
  );

  it("ends if the labels are unknown", async () => {
    let ends = 0;
    const { saver } = makeWorld({
      pause: () => () => void ends++,
      labels: () => {
        throw new Error("no labels");
      },
    });
    expect(await saver.requestSave()).toMatchObject({ outcome: "failed", error: new Error("no labels") });
    expect(ends).toBe(1);
  });
});
