// The demands on states: good states pass all, and each way to be broken is found by the case that is for it.
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { pathState, type PersistentState, type StateReader, type StateWriter } from "snapkeep";
import { stateConformance, type StateConformanceOptions } from "snapkeep/testing";
import { describe, expect, it } from "vitest";
import { Cell } from "../store/states.ts";

/** Two entries, both changed by a change; loaded and saved as it should be, unless a test overrides it. */
class Pair implements PersistentState {
  a: string[] = ["a"];
  big = new Uint8Array(1000);

  saveState(out: StateWriter): void | Promise<void> {
    void out.json("a.json", this.a);
    void out.write("big.bin", this.big);
  }

  async loadState(from: StateReader): Promise<void> {
    const a = await from.json("a.json") as string[];
    const big = await from.bytes("big.bin");
    Object.assign(this, { a, big });
  }

  change(): void {
    this.big.fill(this.a.push("more"));
  }
}

/** Names of the cases that fail, and why. */
async function failures<State extends PersistentState>(
  make: () => State | Promise<State>,
  change: (state: State) => unknown,
  options?: StateConformanceOptions,
): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const { name, run } of stateConformance(make, change, options)) {
    await run().catch((error: Error) => found[name] = error.message);
  }
  return found;
}

const failuresOf = (Made: new () => Pair, options?: StateConformanceOptions) =>
  failures(() => new Made(), (pair) => pair.change(), options);

const TWICE = "saved twice, it saves the same";
const LOADED = "what is loaded is what was saved, whatever it was before";
const INSTANT = "what changes right after the call of a save is not saved";
const FAILED_SAVE = "a save that fails changes nothing";
const FAILED_LOAD = "a load that fails at any read changes nothing";
const ROLLED_BACK = "a load that fails at any read can be rolled back";

/** Assigns each entry as soon as it was read. */
class HalfLoaded extends Pair {
  override async loadState(from: StateReader) {
    this.a = await from.json("a.json") as string[];
    this.big = await from.bytes("big.bin");
  }
}

describe("stateConformance", () => {
  it("names a case per demand", () => {
    const names = (options?: StateConformanceOptions) =>
      stateConformance(() => new Pair(), () => {}, options).map(({ name }) => name);
    expect(names()).toEqual([TWICE, LOADED, INSTANT, FAILED_SAVE, FAILED_LOAD]);
    expect(names({ isInstant: false, isAtomic: false })).toEqual([TWICE, LOADED, FAILED_SAVE, ROLLED_BACK]);
  });

  it("passes a state that is as it should be", async () => {
    expect(await failuresOf(Pair)).toEqual({});
    expect(await failures(async () => new Cell([1]), async (cell) => cell.value = [cell.value])).toEqual({});
  });

  it("passes a state that reads streams, and one that needs a real folder", async () => {
    class Streaming extends Pair {
      override async loadState(from: StateReader) {
        const a = JSON.parse(await new Response(from.stream("a.json") as ReadableStream<never>).text());
        const big = new Uint8Array(await new Response(from.stream("big.bin") as ReadableStream<never>).arrayBuffer());
        Object.assign(this, { a, big });
      }
    }
    expect(await failuresOf(Streaming)).toEqual({});

    const inFolder = () => {
      const held = { text: "one" };
      const state = pathState({
        save: (folder) => writeFile(path.join(folder, "it.txt"), held.text),
        load: async (folder) => void (held.text = await readFile(path.join(folder, "it.txt"), "utf8")),
      });
      return Object.assign(state, { held });
    };
    expect(await failures(inFolder, ({ held }) => held.text += "two", { isInstant: false })).toEqual({});
  });

  it("finds a state that can be half-loaded, and lets it rely on rollbacks", async () => {
    expect(await failuresOf(HalfLoaded)).toEqual({
      [FAILED_LOAD]: expect.stringMatching(
        /before and after a load that failed \(.*"big\.bin".*\): "a\.json" differs$/,
      ),
    });
    expect(await failuresOf(HalfLoaded, { isAtomic: false })).toEqual({});
  });

  it("finds a state that is half-loaded by reads concurrently", async () => {
    class SideBySide extends Pair {
      override async loadState(from: StateReader) {
        await Promise.all([
          from.bytes("big.bin").then((big) => this.big = big),
          from.json("a.json").then((a) => this.a = a as string[]),
        ]);
      }
    }
    expect(await failuresOf(SideBySide)).toEqual({ [FAILED_LOAD]: expect.any(String) });
  });

  it("finds a state that is half-loaded by a stream that breaks off", async () => {
    class InPlace extends Pair {
      override async loadState(from: StateReader) {
        let offset = 0;
        for await (const chunk of from.stream("big.bin") as unknown as AsyncIterable<Uint8Array>) {
          this.big.set(chunk, offset);
          offset += chunk.length;
        }
        this.a = await from.json("a.json") as string[];
      }
    }
    expect(await failuresOf(InPlace)).toEqual({ [FAILED_LOAD]: expect.stringMatching(/"big\.bin" differs$/) });
  });

  it("finds a state that a rollback cannot put back", async () => {
    let loads = 0;
    class Once extends HalfLoaded {
      override async loadState(from: StateReader) {
        if (++loads > 1) throw new Error("once only");
        await super.loadState(from);
      }
    }
    const make = () => {
      loads = 0;
      return new Once();
    };
    expect(await failures(make, (pair) => pair.change(), { isAtomic: false })).toHaveProperty(ROLLED_BACK);
  });

  it.each([
    ["swallows", (from: StateReader) => from.bytes("big.bin").catch(() => new Uint8Array(1000))],
    ["does not await", (from: StateReader) => void from.bytes("big.bin")],
  ])("finds a state that %s a read that fails", async (_, read) => {
    class Careless extends Pair {
      override async loadState(from: StateReader) {
        const big = await read(from) ?? new Uint8Array(1000);
        this.a = await from.json("a.json") as string[];
        this.big = big;
      }
    }
    expect(await failuresOf(Careless)).toMatchObject({
      [FAILED_LOAD]: expect.stringMatching(/^it counts as loaded though a read failed \(.*"big\.bin"/),
    });
  });

  it("finds a state that changes what it gave away", async () => {
    class Owned extends Pair {
      override saveState(out: StateWriter) {
        void out.json("a.json", this.a);
        void out.write("big.bin", this.big, { owned: true });
      }
    }
    expect(await failuresOf(Owned)).toEqual({ [INSTANT]: expect.stringMatching(/: "big\.bin" differs$/) });
  });

  it("finds a state that goes on writing after its first await, and lets it", async () => {
    class Awaiting extends Pair {
      override async saveState(out: StateWriter) {
        await out.json("a.json", this.a);
        await out.write("big.bin", this.big);
      }
    }
    expect(await failuresOf(Awaiting)).toEqual({ [INSTANT]: expect.stringMatching(/: "big\.bin" differs$/) });
    expect(await failuresOf(Awaiting, { isInstant: false })).toEqual({});
  });

  it("finds a state that a save changes, a failed one too", async () => {
    class Draining extends Pair {
      override saveState(out: StateWriter) {
        void out.json("a.json", this.a.splice(0));
        void out.write("big.bin", this.big);
      }
    }
    expect(await failuresOf(Draining)).toHaveProperty([TWICE]);

    class DrainedOnce extends Pair {
      override async saveState(out: StateWriter) {
        const writing = [out.json("a.json", this.a), out.write("big.bin", this.big)];
        await Promise.all(writing).catch((error) => {
          this.a = [];
          throw error;
        });
      }
    }
    expect(await failuresOf(DrainedOnce)).toEqual({ [FAILED_SAVE]: expect.stringMatching(/: "a\.json" differs$/) });
  });

  it("finds a state that adds to what was there, and one that forgets", async () => {
    class Adding extends Pair {
      override async loadState(from: StateReader) {
        const big = await from.bytes("big.bin");
        this.a.push(...await from.json("a.json") as string[]);
        this.big = big;
      }
    }
    expect(await failuresOf(Adding)).toHaveProperty([LOADED]);

    class Forgetting extends Pair {
      override async loadState(from: StateReader) {
        this.a = await from.json("a.json") as string[];
      }
    }
    expect(await failuresOf(Forgetting)).toEqual({ [LOADED]: expect.stringMatching(/: "big\.bin" differs$/) });
  });

  it("refuses a change that changes nothing, by which nothing could be found", async () => {
    const found = await failures(() => new HalfLoaded(), () => {});
    expect(found[FAILED_LOAD]).toBe("the change that was given changes nothing that is saved");
  });
});
