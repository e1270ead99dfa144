// JSON entries that a schema checks: any library that implements Standard Schema.
import { type } from "arktype";
import { isSnapshotError, type SchemaResult, type StandardSchema, type StateReader } from "snapkeep";
import * as v from "valibot";
import { describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";
import { places } from "./places.ts";
import { rejection } from "./states.ts";

const Run = z.object({ step: z.number(), weights: z.array(z.number()) });

/** A schema by hand, whose path has keys as objects, and which is slow. */
const even: StandardSchema<number> = {
  "~standard": {
    version: 1,
    vendor: "by hand",
    async validate(value): Promise<SchemaResult<number>> {
      await Promise.resolve();
      if (typeof value === "number" && value % 2 === 0) return { value: value * 10 };
      return {
        issues: [{ message: "it is odd", path: [{ key: "a b" }, { key: 0 }, Symbol("s")] }, { message: "really" }],
      };
    },
  },
};

describe.each(places)("json with a schema ($layout, $backend)", ({ make }) => {
  async function loading(value: unknown, load: (from: StateReader) => Promise<unknown>) {
    const store = (await make()).store();
    let loaded: unknown;
    store.register("model", {
      saveState: (out) => out.json("run.json", value),
      loadState: async (from) => void (loaded = await load(from)),
    });
    const snapshot = await store.saveState();
    return { snapshot, load: async () => (await store.loadState(snapshot), loaded) };
  }

  it("gives what the schema makes of the value when it fits", async () => {
    const { load, snapshot } = await loading(
      { step: 3, weights: [1, 2], more: true },
      (from) => from.json("run.json", Run),
    );
    expect(await load()).toEqual({ step: 3, weights: [1, 2] });
    await using reader = await snapshot.open();
    expect(await reader.json("model/run.json", Run)).toEqual({ step: 3, weights: [1, 2] });
    const { load: loadEven } = await loading(4, (from) => from.json("run.json", even));
    expect(await loadEven()).toBe(40);
  });

  it("fails with ENTRY_INVALID and the place of the value when it does not fit", async () => {
    const value = { step: 3, weights: [1, 2, 3, "4"] };
    const { load, snapshot } = await loading(value, (from) => from.json("run.json", Run));
    const error = await rejection(load());
    expect(isSnapshotError(error, "STATE_LOAD_FAILED")).toBe(true);
    const cause = (error as Error).cause;
    if (!isSnapshotError(cause, "ENTRY_INVALID")) throw cause;
    expect(cause.message).toContain('"model/run.json"');
    expect(cause.message).toContain("$.weights[3]: ");
    expect(cause.message).toContain(String(snapshot));
    expect(cause.details).toMatchObject({ path: "model/run.json", issues: [{ place: "$.weights[3]" }] });
  });

  it("writes places as programs do when keys are odd, and counts further issues", async () => {
    const { load } = await loading(3, (from) => from.json("run.json", even));
    const { cause } = await rejection(load()) as Error;
    expect((cause as Error).message).toContain('$["a b"][0][Symbol(s)]: it is odd (and 1 more)');
    if (!isSnapshotError(cause, "ENTRY_INVALID")) throw cause;
    expect(cause.details.issues.map(({ place }) => place)).toEqual(['$["a b"][0][Symbol(s)]', "$"]);
  });

  it("passes on what the schema itself throws, and refuses what is no schema", async () => {
    const broken = {
      "~standard": {
        version: 1,
        vendor: "x",
        validate: () => {
          throw new Error("broken");
        },
      },
    } as const;
    const { load } = await loading(3, (from) => from.json("run.json", broken));
    expect(((await rejection(load()) as Error).cause as Error).message).toBe("broken");
    const { load: loadNone } = await loading(
      3,
      (from) => from.json("run.json", { parse() {} } as unknown as typeof even),
    );
    expect((await rejection(loadNone()) as Error).cause).toBeInstanceOf(TypeError);
  });

  it.each([5, undefined, null, {}])("refuses a schema that returns %j, and loads nothing", async (result) => {
    const broken = { "~standard": { version: 1, vendor: "x", validate: () => result } } as unknown as typeof even;
    const { load } = await loading(3, (from) => from.json("run.json", broken));
    const { cause } = await rejection(load()) as Error;
    expect(cause).toBeInstanceOf(TypeError);
    expect(String(cause)).toContain("its schema must return { value } or { issues }");
  });

  it("is unknown without a schema, and typed by one", async () => {
    const { snapshot } = await loading({ step: 3, weights: [] }, () => Promise.resolve());
    await using reader = await snapshot.open();
    const untyped = reader.json("model/run.json");
    expectTypeOf(untyped).toEqualTypeOf<Promise<unknown>>();
    const typed = reader.json("model/run.json", Run);
    expectTypeOf(typed).toEqualTypeOf<Promise<{ step: number; weights: number[] }>>();
    await Promise.all([untyped, typed]);
  });

  it("accepts a schema that is a function, as some libraries make them", async () => {
    const { load } = await loading(6, (from) => from.json("run.json", Object.assign(() => {}, even)));
    expect(await load()).toBe(60);
  });

  // Each makes a Set of the tags, and has a place in its issues in its own form.
  const libraries = {
    zod: z.object({ step: z.number(), tags: z.array(z.string()).transform((tags) => new Set(tags)) }),
    "zod, asynchronous": z.object({
      step: z.number(),
      tags: z.array(z.string()).transform((tags) => Promise.resolve(new Set(tags))),
    }),
    valibot: v.object({ step: v.number(), tags: v.pipe(v.array(v.string()), v.transform((tags) => new Set(tags))) }),
    "valibot, asynchronous": v.objectAsync({
      step: v.number(),
      tags: v.pipeAsync(v.array(v.string()), v.transformAsync((tags) => Promise.resolve(new Set(tags)))),
    }),
    arktype: type({ step: "number", tags: type("string[]").pipe((tags) => new Set(tags)) }),
  };

  it.each(Object.entries(libraries))("checks, converts and types a value with a schema of %s", async (_, schema) => {
    const read = async (from: StateReader) => {
      const run = await from.json("run.json", schema);
      expectTypeOf(run).toEqualTypeOf<{ step: number; tags: Set<string> }>();
      return run;
    };
    const fitting = await loading({ step: 3, tags: ["a", "a"] }, read);
    expect(await fitting.load()).toEqual({ step: 3, tags: new Set(["a"]) });
    const { load } = await loading({ step: 3, tags: ["a", 1] }, read);
    const { cause } = await rejection(load()) as Error;
    if (!isSnapshotError(cause, "ENTRY_INVALID")) throw cause;
    expect(cause.details.issues.map(({ place }) => place)).toEqual(["$.tags[1]"]);
  });
});
