// A living writer touches its claim. The timers are ours here, so that no test waits for one.
import { existsSync } from "node:fs";
import { utimes } from "node:fs/promises";
import path from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { recorded } from "../backend/recorded.ts";
import { encode } from "../backend/texts.ts";

interface Timer {
  readonly beat: () => void;
  readonly everyMs: number;
  isHolding: boolean;
}

const timers = vi.hoisted(() => new Set<Timer>());

vi.mock("node:timers", async (original) => {
  const setInterval = (beat: () => void, everyMs: number) => {
    const timer = { beat, everyMs, isHolding: true, unref: () => timer.isHolding = false };
    timers.add(timer);
    return timer;
  };
  const clearInterval = (timer: Timer) => timers.delete(timer);
  return { ...await original<typeof import("node:timers")>(), setInterval, clearInterval };
});

afterEach(() => timers.clear());

const beatAll = async () => {
  for (const { beat } of timers) beat();
  await new Promise((resolve) => setTimeout(resolve, 0));
};

describe("a writer that lives", () => {
  it("touches its claim every few seconds, so that no sweep takes its stage", async () => {
    const { backend, folder, takeCalls } = await recorded();
    const stage = await backend.stage("x.state/");
    expect([...timers].map(({ everyMs, isHolding }) => ({ everyMs, isHolding }))).toEqual([
      { everyMs: 5_000, isHolding: false },
    ]);
    await utimes(path.join(folder, ".x.state.claim"), new Date(0), new Date(0));
    takeCalls();
    await beatAll();
    expect(takeCalls()).toEqual(["touch .x.state.claim"]);
    await vi.waitFor(async () => expect(await backend.sweep(60_000)).toEqual([]));
    await stage.publish("manifest.json", [encode("commit")]);
    expect(timers.size).toBe(0);
  });

  it("touches its scratch too", async () => {
    const { backend, takeCalls } = await recorded();
    const scratch = await backend.scratch();
    takeCalls();
    await beatAll();
    expect(takeCalls()).toEqual(["touch .*.scratch"]);
    await scratch.remove();
    expect(timers.size).toBe(0);
  });

  it("stops when it aborts, and when it never got its name", async () => {
    const { backend } = await recorded();
    const stage = await backend.stage("x.state/");
    await expect(backend.stage("x.state/")).rejects.toMatchObject({ code: "SNAPSHOT_EXISTS" });
    expect(timers.size).toBe(1);
    await stage.abandon();
    expect(timers.size).toBe(0);
    await (await backend.stage("x.state.tar.gz")).publish("", [encode("commit")]);
    await expect(backend.stage("x.state/")).rejects.toMatchObject({ code: "SNAPSHOT_EXISTS" });
    expect(timers.size).toBe(0);
  });

  it("is not disturbed by a beat that fails", async () => {
    const { backend, folder, faults } = await recorded({
      at: 1,
      forever: true,
      only: ({ operation }) => operation === "touch",
    });
    const stage = await backend.stage("x.state/");
    await beatAll();
    expect(faults.injected).toHaveLength(1);
    await stage.publish("manifest.json", [encode("commit")]);
    expect(existsSync(path.join(folder, "x.state", "manifest.json"))).toBe(true);
  });
});
