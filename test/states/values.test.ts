// The small states: one JSON value, and bytes.
import { type } from "arktype";
import { isSnapshotError, type PersistentState } from "snapkeep";
import { bytesState, jsonState } from "snapkeep/states";
import { stateConformance } from "snapkeep/testing";
import * as v from "valibot";
import { describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";
import { rejection } from "../store/states.ts";
import { cell, conforms, holding, saved, storeOf } from "./kept.ts";

const shape = { step: 1, names: ["a"] };

describe("jsonState", () => {
  const schemas: [string, (cell: ReturnType<typeof makeCell>) => PersistentState][] = [
    ["zod", (it) => jsonState({ ...it, schema: z.object({ step: z.number(), names: z.array(z.string()) }) })],
    ["valibot", (it) => jsonState({ ...it, schema: v.object({ step: v.number(), names: v.array(v.string()) }) })],
    ["arktype", (it) => jsonState({ ...it, schema: type({ step: "number", names: "string[]" }) })],
  ];
  const makeCell = () => cell(structuredClone(shape));

  it.each(schemas)("checks a loaded value with a schema of %s before it sets anything", async (_, make) => {
    const mine = makeCell();
    const state = make(mine);
    const snapshot = await saved(state);
    mine.held.value = { step: 2, names: [] };
    await storeOf(state).loadState(snapshot);
    expect(mine.held).toEqual({ value: shape, sets: 1 });
    const wrong = await holding({ "value.json": '{"step":1,"names":["a",5]}' });
    const error = await rejection(storeOf(state).loadState(wrong));
    expect(error).toMatchObject({ code: "STATE_LOAD_FAILED", message: expect.stringMatching(/\$\.names\[1\]/) });
    expect([isSnapshotError((error as Error).cause, "ENTRY_INVALID"), mine.held.sets]).toEqual([true, 1]);
  });

  it("gives what the schema makes of the value, and waits for schemas and setters", async () => {
    let got: Date | undefined;
    const state = jsonState({
      get: () => "2028-02-29T00:00:00Z",
      set: async (value) => {
        expectTypeOf(value).toEqualTypeOf<Date>();
        await Promise.resolve();
        got = value;
      },
      schema: z.string().transform((text) => Promise.resolve(new Date(text))),
    });
    await storeOf(state).loadState(await saved(state));
    expect(got).toEqual(new Date("2028-02-29T00:00:00Z"));
  });

  it("fails a save of what JSON would change, with its place", async () => {
    const error = await rejection(saved(jsonState(cell({ a: { at: new Date() } }))));
    expect(error).toMatchObject({ code: "STATE_SAVE_FAILED", message: expect.stringMatching(/\$\.a\.at/) });
  });

  it("does not take what a schema throws for a fault of the JSON", async () => {
    for (const boom of [new TypeError("boom"), new RangeError("boom")]) {
      const validate = () => {
        throw boom;
      };
      const schema = { "~standard": { version: 1, vendor: "mine", validate } } as const;
      const mine = makeCell();
      const error = await rejection(
        storeOf(jsonState({ ...mine, schema } as never)).loadState(await saved(jsonState(mine))),
      );
      expect([(error as Error).cause, mine.held.sets]).toEqual([boom, 0]);
    }
  });

  it("fails a load of what is not JSON with a typed error", async () => {
    const mine = makeCell();
    const error = await rejection(storeOf(jsonState(mine)).loadState(await holding({ "value.json": "{" })));
    expect([isSnapshotError((error as Error).cause, "ENTRY_INVALID"), mine.held.sets]).toEqual([true, 0]);
  });

  conforms(
    stateConformance(() => {
      const mine = makeCell();
      return Object.assign(jsonState(mine), { held: mine.held });
    }, ({ held }) => held.value = { step: held.value.step + 1, names: [...held.value.names, "b"] }),
    it,
  );

  it("takes its types from get or the schema, and no option that does not exist", () => {
    jsonState({ get: (): number => 1, set: (value) => expectTypeOf(value).toEqualTypeOf<number>() });
    // @ts-expect-error: what is set must be what is got
    jsonState({ get: (): number => 1, set: (value: string) => void value });
    expect(() => jsonState({ ...makeCell(), schem: 1 } as never)).toThrow(/"schema"/);
    expect(() => jsonState({ ...makeCell(), schema: {} } as never)).toThrow(TypeError);
    expect(() => jsonState({ get: () => 1 } as never)).toThrow(/set/);
    expect(() => jsonState(undefined as never)).toThrow(TypeError);
  });
});

describe("bytesState", () => {
  it.each<[string, ArrayBufferView | ArrayBuffer, number[]]>([
    ["a typed array", new Uint8Array([1, 2]), [1, 2]],
    ["part of a buffer", new Uint16Array(new Uint16Array([1, 2, 3]).buffer, 2, 1), [2, 0]],
    ["a DataView", new DataView(new Uint8Array([1, 2, 3]).buffer, 1), [2, 3]],
    ["an ArrayBuffer", new Uint8Array([7]).buffer, [7]],
    ["nothing", new Uint8Array(), []],
  ])("keeps %s", async (_, value, bytes) => {
    let got: Uint8Array<ArrayBuffer> | undefined;
    const state = bytesState({ get: () => value, set: (loaded) => void (got = loaded) });
    await storeOf(state).loadState(await saved(state));
    expect([[...got ?? []], got?.byteOffset, got?.buffer.byteLength]).toEqual([bytes, 0, bytes.length]);
  });

  it("fails a save of what is no bytes", async () => {
    expect(await rejection(saved(bytesState({ get: () => "text" as never, set() {} })))).toMatchObject({
      code: "STATE_SAVE_FAILED",
    });
    expect(await rejection(saved(bytesState({ get: () => undefined as never, set() {} })))).toMatchObject({
      code: "STATE_SAVE_FAILED",
    });
    const liar = { [Symbol.toStringTag]: "ArrayBuffer", byteLength: 3 };
    expect(await rejection(saved(bytesState({ get: () => liar as never, set() {} })))).toMatchObject({
      message: expect.stringMatching(/get\(\) must return/),
    });
    expect(() => bytesState({ get: () => new Uint8Array() } as never)).toThrow(/set/);
  });

  conforms(
    stateConformance(() => {
      const held = { bytes: new Uint8Array(1000) };
      return Object.assign(bytesState({ get: () => held.bytes, set: (bytes) => void (held.bytes = bytes) }), { held });
    }, ({ held }) => held.bytes.fill((held.bytes[0] ?? 0) + 1)),
    it,
  );
});
