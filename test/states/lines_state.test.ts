// A list of records goes out and comes in line by line: bad lines change nothing, and memory stays bounded.
import process from "node:process";
import { runInNewContext } from "node:vm";
import { fileBackend, isSnapshotError, StateStore } from "snapkeep";
import { linesState } from "snapkeep/states";
import { stateConformance } from "snapkeep/testing";
import { describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";
import { temporaryFolder } from "../store/places.ts";
import { rejection } from "../store/states.ts";
import { conforms, holding, saved, storeOf } from "./kept.ts";
import { amount } from "../torture/budget.ts";

interface Message {
  id: number;
  text?: string;
}

function list(initial: Message[] = []) {
  const held = { records: initial, writes: 0 };
  const state = linesState({
    read: () => held.records,
    write: async (records: AsyncIterable<Message>) => {
      held.writes++;
      const loaded: Message[] = [];
      for await (const record of records) loaded.push(record);
      held.records = loaded;
    },
  });
  return Object.assign(state, { held });
}

const latin1 = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

describe("linesState", () => {
  it.each([[[]], [[{ id: 1 }]], [[{ id: 1, text: "two\nlines\u2028" }, { id: 2, text: "x".repeat(200_000) }, {
    id: 3,
  }]]])(
    "keeps records",
    async (records: Message[]) => {
      const state = list(records);
      const snapshot = await saved(state);
      state.held.records = [{ id: 99 }];
      await storeOf(state).loadState(snapshot);
      expect(state.held.records).toEqual(records);
    },
  );

  it("writes one JSON line per record", async () => {
    await using reader = await (await saved(list([{ id: 1 }, { id: 2, text: "a\nb" }]))).open();
    expect(await reader.text("it/lines.jsonl")).toBe('{"id":1}\n{"id":2,"text":"a\\nb"}\n');
  });

  it("takes an array, a Set or a Map at the call of the save", async () => {
    for (const records of [[1], new Set([1]), new Map([[1, 2]])]) {
      const state = linesState<unknown>({ read: () => records, write() {} });
      const saving = saved(state);
      if (Array.isArray(records)) records.push(2);
      else records.clear();
      await using reader = await (await saving).open();
      expect(await reader.text("it/lines.jsonl")).toBe(records instanceof Map ? "[1,2]\n" : "1\n");
    }
  });

  it("takes generators of both kinds", async () => {
    const state = linesState<number>({
      read: function* () {
        yield 1;
      },
      write() {},
    });
    const later = linesState<number>({
      read: async function* () {
        yield* await Promise.resolve([2, 3]);
      },
      write() {},
    });
    await using one = await (await saved(state)).open();
    await using two = await (await saved(later)).open();
    expect([await one.text("it/lines.jsonl"), await two.text("it/lines.jsonl")]).toEqual(["1\n", "2\n3\n"]);
  });

  it("fails a save of what JSON cannot carry, with its line and place", async () => {
    const state = linesState<unknown>({ read: () => [{ a: 1 }, { a: [new Date()] }], write() {} });
    expect(await rejection(saved(state))).toMatchObject({
      code: "STATE_SAVE_FAILED",
      message: expect.stringMatching(/record 2: .*\$\.a\[0\]/),
    });
    expect(await rejection(saved(linesState({ read: () => 5 as never, write() {} })))).toMatchObject({
      message: expect.stringMatching(/iterable/),
    });
    expect(await rejection(saved(linesState({ read: () => [undefined], write() {} })))).toMatchObject({
      message: expect.stringMatching(/record 1/),
    });
  });

  it.each<[string, string | Uint8Array, RegExp]>([
    ["a bad line", '{"id":1}\nnope\n', /line 2/],
    ["an empty line", '{"id":1}\n\n', /line 2/],
    ["a line that does not end", '{"id":1}\n{"id":2}', /does not end/],
    ["text that is not UTF-8", latin1('"\xff"\n'), /line 1/],
    ["text that is not UTF-8 after a line that is", latin1('{"id":1}\n"\xff"\n'), /line 2/],
    ["a bad line before text that is not UTF-8", latin1('{"id":1}\nnope\n"\xff"\n'), /line 2/],
    ["a line of another shape", '{"id":1}\n{"id":"2"}\n', /line 2, \$\.id/],
  ])("changes nothing for %s", async (_, text, message) => {
    let writes = 0;
    const state = linesState({ read: () => [], write: () => void writes++, schema: z.object({ id: z.number() }) });
    const error = await rejection(storeOf(state).loadState(await holding({ "lines.jsonl": text })));
    expect(error).toMatchObject({ code: "STATE_LOAD_FAILED", message: expect.stringMatching(message) });
    expect([isSnapshotError((error as Error).cause, "ENTRY_INVALID"), writes]).toEqual([true, 0]);
  });

  it("waits for a schema whose promises are of another realm", async () => {
    const got: unknown[] = [];
    const checked: unknown = runInNewContext("(value) => Promise.resolve({ value: [value] })");
    const state = linesState({
      read: () => [1, 2],
      write: async (records) => {
        for await (const record of records) got.push(record);
      },
      schema: { "~standard": { version: 1, vendor: "mine", validate: checked as never } },
    });
    await storeOf(state).loadState(await saved(state));
    expect(got).toEqual([[1], [2]]);
  });

  it("gives what the schema makes of each record", async () => {
    const got: unknown[] = [];
    const state = linesState({
      read: () => ["1", "2"],
      write: async (records) => {
        for await (const record of records) {
          expectTypeOf(record).toEqualTypeOf<number>();
          got.push(record);
        }
      },
      schema: z.string().transform(Number),
    });
    await storeOf(state).loadState(await saved(state));
    expect(got).toEqual([1, 2]);
  });

  it("fails a load whose write does not wait for the records, and never ends them early", async () => {
    let reading: Promise<unknown> = Promise.resolve();
    const read = async (records: AsyncIterable<number>) => {
      for await (const _ of records);
    };
    const state = linesState<number>({
      read: () => Array.from({ length: 100_000 }, (_, index) => index),
      write: (records) => void (reading = rejection(read(records))),
    });
    expect(await rejection(storeOf(state).loadState(await saved(state)))).toMatchObject({
      message: expect.stringMatching(/await the loop/),
    });
    expect(await reading).toMatchObject({ message: expect.stringMatching(/has ended/) });
    const idle = linesState<number>({ read: () => [1], write() {} });
    expect(await rejection(storeOf(idle).loadState(await saved(idle)))).toMatchObject({ code: "STATE_LOAD_FAILED" });
  });

  it("gives records in order to a reader that asks for many at once, and ends for each that asks for more", async () => {
    const many = 30_000; // more than are read at once
    let got: unknown[] = [];
    const state = linesState<number>({
      read: () => Array.from({ length: many }, (_, index) => index),
      write: async (records) => {
        const iterator = records[Symbol.asyncIterator]();
        const results = await Promise.all(Array.from({ length: many + 2 }, () => iterator.next()));
        got = results.map(({ done, value }) => done === true ? "end" : value as number);
      },
    });
    await storeOf(state).loadState(await saved(state));
    expect(got).toEqual([...Array.from({ length: many }, (_, index) => index), "end", "end"]);
  });

  it("may leave the loop", async () => {
    let first: number | undefined;
    const state = linesState<number>({
      read: () => [1, 2],
      write: async (records) => {
        for await (const record of records) {
          first = record;
          break;
        }
      },
    });
    await storeOf(state).loadState(await saved(state));
    expect(first).toBe(1);
  });

  it("streams many records in bounded memory", async () => {
    const many = amount("states", "records");
    let read = 0;
    let sum = 0;
    let peak = 0;
    const look = () => peak = Math.max(peak, process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers);
    const state = linesState({
      read: function* () {
        for (let id = 0; id < many; id++) {
          if (id % 50_000 === 0) look();
          yield { id, text: `message ${id} with some words so that all of them do not fit` };
        }
      },
      write: async (records: AsyncIterable<{ id: number }>) => {
        for await (const { id } of records) {
          if (id % 50_000 === 0) look();
          read++;
          sum += id;
        }
      },
    });
    const folder = await temporaryFolder();
    const store = new StateStore(fileBackend(folder, { durability: "none" })).register("it", state);
    const before = process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
    await store.loadState(await store.saveState());
    expect([read, sum]).toEqual([many, many * (many - 1) / 2]);
    console.log(`${Math.round((peak - before) / 2 ** 20)} MiB beyond the start`);
    expect(peak - before).toBeLessThan(200 * 2 ** 20); // a million has 85 MB of text, as strings and objects several times that
  });

  conforms(
    stateConformance(() => list([{ id: 1 }, { id: 2 }]), ({ held }) => held.records.push({ id: held.records.length })),
    it,
  );

  it("refuses options that are none", () => {
    expect(() => linesState({ read: () => [] } as never)).toThrow(/write/);
    expect(() => linesState({ read: () => [], write() {}, shema: 1 } as never)).toThrow(/schema/);
    expect(() => linesState({ read: () => [], write() {}, schema: {} } as never)).toThrow(TypeError);
    // @ts-expect-error: what is written must be what is read
    linesState({ read: (): string[] => [], write: (records: AsyncIterable<number>) => void records });
  });
});
