// All states belong to one instant: what the program does after it, at whatever moment, is not in the snapshot.
import { memoryBackend, type SavePhase, StateStore } from "snapkeep";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Cell, rejection, saving } from "../store/states.ts";
import { makeWorld, settle } from "./world.ts";

const LAYOUTS = ["directory", "tar.gz"] as const;

/** States of all kinds that hold one number. */
function numbered(store: StateStore) {
  const world = { number: 0, bytes: new Float64Array(3000), list: Array.from({ length: 50 }, () => ({ number: 0 })) };
  const set = (number: number) => {
    world.number = number;
    world.bytes.fill(number);
    for (const item of world.list) item.number = number;
  };
  store.register("json", saving((out) => out.json("n.json", world.number)));
  store.register("bytes", saving((out) => void out.write("b.bin", world.bytes)));
  store.register("deep", saving((out) => out.json("list.json", world.list)));
  store.register("text", saving((out) => out.write("n.txt", String(world.number))));
  return { set };
}

describe("what a program does after the capture", () => {
  it("does not change the snapshot, at whatever moments it does it", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...LAYOUTS),
        fc.constantFrom("tick", "timer", "request"),
        fc.array(fc.nat(6), { minLength: 1, maxLength: 12 }),
        async (layout, how, moments) => {
          let isDue = false;
          const { saver, clock, store, until, events } = makeWorld({ layout, condition: () => isDue });
          const { set } = numbered(store);
          set(1);
          isDue = true;
          const begun = how === "tick" ? saver.tick() : how === "request" ? saver.requestSave() : clock.pass(300);
          isDue = false;
          set(2);
          for (const [index, turns] of moments.entries()) {
            await settle(turns);
            set(index + 3);
          }
          await begun;
          await until(1);
          expect(events[0]).toMatchObject({ outcome: "saved" });
          const [snapshot] = await store.list();
          await using reader = await snapshot!.open();
          expect(await reader.json("json/n.json")).toBe(1);
          expect(await reader.json("deep/list.json")).toEqual(Array.from({ length: 50 }, () => ({ number: 1 })));
          expect(await reader.text("text/n.txt")).toBe("1");
          expect(new Set(new Float64Array((await reader.bytes("bytes/b.bin")).buffer))).toEqual(new Set([1]));
        },
      ),
      { numRuns: 25 },
    );
  });
});

describe("saveState({ onPhase })", () => {
  const make = () => new StateStore(memoryBackend(), { startFresh: true }).register("cell", new Cell("x"));

  it("tells in the same turn that the states have handed over their data, with how long each took; and later that it was written", async () => {
    const phases: SavePhase[] = [];
    const store = make().register(
      "slow",
      saving((out) => {
        const untilMs = performance.now() + 5;
        while (performance.now() < untilMs);
        return out.write("b.bin", new Uint8Array(10));
      }),
    );
    const saved = store.saveState({ onPhase: (phase) => void phases.push(phase) });
    expect(phases).toMatchObject([{ phase: "captured", states: [{ name: "cell" }, { name: "slow" }] }]);
    const [captured] = phases;
    if (captured?.phase !== "captured") throw new Error("it was not captured");
    expect(captured.states[1]?.heldMs).toBeGreaterThanOrEqual(4.9);
    await saved;
    expect(phases[1]).toEqual({ phase: "written", entries: 2, sizeBytes: 13 });
    expect(phases).toHaveLength(2);
  });

  it("tells each of those that share a waiting save, and a stream", async () => {
    const store = make();
    const told: string[] = [];
    const listen = (name: string) => ({ onPhase: ({ phase }: SavePhase) => void told.push(`${name} ${phase}`) });
    const first = store.saveState();
    const joined = [
      store.saveState({ ifBusy: "join", ...listen("a") }),
      store.saveState({ ifBusy: "join", ...listen("b") }),
    ];
    await Promise.all([first, ...joined]);
    expect(told).toEqual(["a captured", "b captured", "a written", "b written"]);
    await new Response(store.streamState(listen("stream")).body).arrayBuffer();
    expect(told.slice(4)).toEqual(["stream captured", "stream written"]);
  });

  it.each(["captured", "written"])(
    "fails the save if the receiver of %s throws, and nothing becomes visible",
    async (at) => {
      const store = make();
      const fail = ({ phase }: SavePhase) => {
        if (phase === at) throw new Error("of the receiver");
      };
      expect(await rejection(store.saveState({ onPhase: fail }))).toEqual(new Error("of the receiver"));
      expect(await store.list()).toEqual([]);
      await store.saveState();
    },
  );
});
