// A program that resumes rightly passes; one that forgets something fails, by the first step, state, entry and place.
import path from "node:path";
import { fileBackend, type StateStore } from "snapkeep";
import { jsonState, Ledger, linesState, Random } from "snapkeep/states";
import { assertResumeEquivalent, type ResumableProgram } from "snapkeep/testing";
import { describe, expect, it } from "vitest";
import { fastFolder } from "../backend/temporary.ts";
import { rejection } from "../store/states.ts";

interface Faults {
  /** Leaves out a state. */
  readonly forgets?: "random" | "messages";
  /** Restores the total wrongly. */
  readonly isOffByOne?: boolean;
}

/** A program of ten steps that draws, sums and lists. */
const walker = ({ forgets, isOffByOne = false }: Faults = {}): ResumableProgram =>
  async function* (store: StateStore) {
    const random = new Random(1);
    let [total, step] = [0, 0];
    let messages: { step: number }[] = [];
    if (forgets !== "random") store.register("random", random);
    store.register(
      "total",
      jsonState({
        get: () => ({ deep: [total], step }),
        set: (saved) => {
          total = (saved.deep[0] ?? 0) + Number(isOffByOne);
          ({ step } = saved);
        },
      }),
    );
    if (forgets !== "messages") {
      store.register(
        "messages",
        linesState<{ step: number }>({
          read: () => messages,
          write: async (records) => {
            messages = [];
            for await (const record of records) messages.push(record);
          },
        }),
      );
    }
    await store.resume();
    while (step < 10) {
      total += random.integer(1, 1000) + messages.length;
      messages.push({ step: ++step });
      yield step;
    }
  };

describe("assertResumeEquivalent", () => {
  it("passes a program that resumes rightly, cut at each step, at random and twice", async () => {
    const { steps, runs } = await assertResumeEquivalent(walker());
    expect(steps).toBe(10);
    expect(runs.slice(0, 11)).toEqual([[], ...Array.from({ length: 10 }, (_, index) => [index + 1])]);
    expect(runs.slice(11).map(({ length }) => length)).toEqual([1, 1, 1, 1, 1, 2, 2, 2, 2, 2]);
  });

  it("cuts at the given steps", async () => {
    const { runs } = await assertResumeEquivalent(walker(), { cuts: [3], randomCuts: 0 });
    expect(runs).toEqual([[], [3]]);
  });

  it("names the step, state, entry and place at which a forgotten generator shows", async () => {
    const message =
      /cut after step 4 .*first after step 5, in the state "total", the entry "value\.json": \$\.deep\[0\]: expected \d+, found \d+/;
    const error = await rejection(assertResumeEquivalent(walker({ forgets: "random" }), { cuts: [4] }));
    expect(error).toMatchObject({ message: expect.stringMatching(message) });
  });

  it("finds a forgotten list, and a value that is restored wrongly", async () => {
    expect(await rejection(assertResumeEquivalent(walker({ forgets: "messages" }), { cuts: [2] }))).toMatchObject({
      message: expect.stringMatching(/after step 3, in the state "total"/),
    });
    expect(await rejection(assertResumeEquivalent(walker({ isOffByOne: true }), { cuts: [7] }))).toMatchObject({
      message: expect.stringMatching(/cut after step 7 .*first after step 8/),
    });
  });

  it("says that a program is not deterministic", async () => {
    let runs = 0;
    const counting: ResumableProgram = async function* (store) {
      let value = runs++;
      store.register("it", jsonState({ get: () => value, set: (saved) => value = saved }));
      await store.resume();
      yield;
    };
    expect(await rejection(assertResumeEquivalent(counting))).toMatchObject({
      message: expect.stringMatching(/not deterministic/),
    });
  });

  it("finds steps that are done again or left out", async () => {
    const short: ResumableProgram = async function* (store) {
      let step = 0;
      const saved = { saveState() {}, loadState: () => void (step += 2) };
      store.register("step", saved);
      await store.resume();
      while (step < 6) {
        step++;
        yield;
      }
    };
    expect(await rejection(assertResumeEquivalent(short, { cuts: [3] }))).toMatchObject({
      message: expect.stringMatching(/it has 7 steps, expected 6|differs/),
    });
  });

  it("gives programs a folder for states that need one", async () => {
    const paid: string[] = [];
    const { steps } = await assertResumeEquivalent(
      async function* (store) {
        const ledger = new Ledger();
        let step = 0;
        store.register("step", jsonState({ get: () => step, set: (value) => step = value })).register("ledger", ledger);
        await store.resume();
        for (; step < 4;) {
          await ledger.once(`pay-${step}`, () => void paid.push(`pay-${step}`));
          step++;
          yield;
        }
      },
      {
        place: async () => fileBackend(path.join(await fastFolder(), "states"), { durability: "none" }),
        randomCuts: 1,
      },
    );
    expect(steps).toBe(4);
    expect(paid.length % 4).toBe(0);
  });

  it("refuses what cannot be meant", async () => {
    expect(await rejection(assertResumeEquivalent(walker(), { cuts: [11] }))).toMatchObject({
      message: expect.stringMatching(/steps 1 to 10/),
    });
    for (const options of [{ cuts: [0] }, { cuts: [1.5] }, { randomCuts: -1 }, { seed: 0.5 }]) {
      expect(await rejection(assertResumeEquivalent(walker(), options))).toBeInstanceOf(RangeError);
    }
    expect(await rejection(assertResumeEquivalent(walker(), { cut: [1] } as never))).toBeInstanceOf(TypeError);
    expect(await rejection(assertResumeEquivalent(7 as never))).toBeInstanceOf(TypeError);
    expect(await rejection(assertResumeEquivalent(function* () {}))).toBeInstanceOf(RangeError);
  });
});
