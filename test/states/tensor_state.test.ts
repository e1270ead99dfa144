// Tensors are one file that Python reads, come back as views of one buffer, and a file that lies about itself changes nothing.
import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { isSnapshotError, memoryBackend, StateStore } from "snapkeep";
import { type Tensor, tensorState } from "snapkeep/states";
import { stateConformance } from "snapkeep/testing";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "../store/places.ts";
import { rejection } from "../store/states.ts";
import { cell, conforms, holding, saved, storeOf } from "./kept.ts";

const fixtures = path.join(path.dirname(fileURLToPath(import.meta.url)), "fixtures");
const script = path.join(fixtures, "tensors.py");

type Tensors = Readonly<Record<string, Tensor>>;

function stateOf(tensors: Tensors) {
  const accessors = cell(tensors);
  return Object.assign(tensorState(accessors), { held: accessors.held });
}

async function roundTrip(tensors: Tensors): Promise<Tensors> {
  const state = stateOf({});
  await storeOf(state).loadState(await saved(stateOf(tensors)));
  return state.held.value;
}

async function fileOf(tensors: Tensors): Promise<Uint8Array<ArrayBuffer>> {
  await using reader = await (await saved(stateOf(tensors))).open();
  return await reader.bytes("it/tensors.safetensors");
}

/** A file out of a header, as an object or text, and data. */
function file(header: unknown, data: Uint8Array | number = 0, headerBytes?: bigint): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const body = typeof data === "number" ? new Uint8Array(data) : data;
  const bytes = new Uint8Array(8 + text.length + body.length);
  new DataView(bytes.buffer).setBigUint64(0, headerBytes ?? BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(body, 8 + text.length);
  return bytes;
}

function python(): string | undefined {
  for (const command of ["python3", "python"]) {
    try {
      execFileSync(command, ["-c", "import struct, math; math.prod([2])"], { stdio: "ignore" });
      return command;
    } catch {
      // the next one
    }
  }
  return undefined;
}
const pythonCommand = python();
if (pythonCommand === undefined) console.warn("skipped: what Python reads and writes; there is no Python 3.8 here");

const golden: Tensors = {
  "layer.weight": { shape: [2, 3], data: new Float32Array([0.5, -1.25, 3, 4, 5, 6]) },
  "layer.bias": { shape: [2], data: new Float64Array([0.1, -0.2]) },
  steps: { shape: [], data: new BigInt64Array([2n ** 62n + 1n]) },
  brain: { shape: [3], data: new Uint16Array([0x3f80, 0xc000, 0]), dtype: "BF16" },
  mask: { shape: [3], data: new Uint8Array([1, 0, 1]), dtype: "BOOL" },
  image: { shape: [1, 5], data: new Uint8Array([0, 1, 2, 254, 255]) },
  empty: { shape: [0, 7], data: new Float32Array() },
  "größe/日本語": { shape: [1], data: new Int16Array([-7]) },
};

describe("tensorState", () => {
  it("keeps tensors of each type and shape", async () => {
    const tensors: Tensors = {
      ...golden,
      i8: { shape: [1], data: new Int8Array([-1]) },
      i32: { shape: [1, 1, 1], data: new Int32Array([-1]) },
      u16: { shape: [1], data: new Uint16Array([65535]) },
      u32: { shape: [1], data: new Uint32Array([2 ** 32 - 1]) },
      u64: { shape: [1], data: new BigUint64Array([2n ** 64n - 1n]) },
      f8: { shape: [2], data: new Uint8Array([1, 2]), dtype: "F8_E4M3" },
      constructor: { shape: [1], data: new Float32Array([NaN]) },
    };
    expect(await roundTrip(tensors)).toEqual(tensors);
    expect(await roundTrip({})).toEqual({});
  });

  it("keeps any tensors", async () => {
    const name = fc.string({ maxLength: 8, unit: "grapheme" }).filter((text) => text !== "__metadata__");
    const tensor = fc.oneof(
      fc.float32Array().map((data): Tensor => ({ shape: [data.length], data })),
      fc.float64Array().map((data): Tensor => ({ shape: [1, data.length], data })),
      fc.uint8Array().map((data): Tensor => ({ shape: [data.length, 1], data })),
      fc.int16Array().map((data): Tensor => ({ shape: [data.length], data })),
      fc.bigInt64Array().map((data): Tensor => ({ shape: [data.length], data })),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(name, tensor), { maxLength: 6 }), async (entries) => {
        const tensors = Object.fromEntries(entries);
        expect(await roundTrip(tensors)).toEqual(tensors);
      }),
      { numRuns: 60 },
    );
  });

  it("copies at the call of the save, from views of larger and of shared buffers", async () => {
    const large = new Float32Array([9, 1, 2, 9]);
    const shared = new Int32Array(new SharedArrayBuffer(8));
    shared.set([3, 4]);
    const state = stateOf({
      part: { shape: [2], data: large.subarray(1, 3) },
      shared: { shape: [2], data: shared as unknown as Int32Array },
    });
    const saving = saved(state);
    large.fill(0);
    shared.fill(0);
    const loaded = stateOf({});
    await storeOf(loaded).loadState(await saving);
    expect(loaded.held.value).toEqual({
      part: { shape: [2], data: new Float32Array([1, 2]) },
      shared: { shape: [2], data: new Int32Array([3, 4]) },
    });
  });

  it("gives views of one buffer that is the program's alone", async () => {
    const loaded = await roundTrip(golden);
    const buffers = new Set(Object.values(loaded).map(({ data }) => data.buffer));
    expect(buffers.size).toBe(1);
    structuredClone([...buffers], { transfer: [...buffers] as ArrayBuffer[] });
    expect(loaded["layer.bias"]?.data.length).toBe(0);
    expect(await roundTrip(golden)).toEqual(golden);
  });

  it("keeps half floats as the runtime can", async () => {
    const half = new Uint16Array([0x3e00, 0xc000]);
    const loaded = (await roundTrip({ half: { shape: [2], data: half, dtype: "F16" } }))["half"];
    const numbers = "Float16Array" in globalThis ? [1.5, -2] : [...half];
    expect([...(loaded?.data ?? []) as Iterable<number>]).toEqual(numbers);
    expect(loaded?.dtype).toBe("Float16Array" in globalThis ? undefined : "F16");
    expect(await roundTrip({ half: loaded as Tensor })).toEqual({ half: loaded });
  });

  it("begins data and arrays where any element can begin, large elements first", async () => {
    const bytes = await fileOf(golden);
    const headerBytes = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerBytes)));
    expect((8 + headerBytes) % 8).toBe(0);
    expect(Object.keys(header)).toEqual([
      "layer.bias",
      "steps",
      "empty",
      "layer.weight",
      "brain",
      "größe/日本語",
      "image",
      "mask",
    ]);
  });

  it("reads the golden file that Python wrote", async () => {
    const python = await readFile(path.join(fixtures, "python.safetensors"));
    const state = stateOf({});
    await storeOf(state).loadState(await holding({ "model.safetensors": python }));
    const { half, ...rest } = state.held.value;
    expect(rest).toEqual(golden);
    expect(half?.shape).toEqual([2]);
  });

  it.skipIf(pythonCommand === undefined)("writes what Python reads", async () => {
    const folder = await temporaryFolder();
    const tensors = { ...golden, half: { shape: [2], data: new Uint16Array([0x3e00, 0xc000]), dtype: "F16" as const } };
    const store = new StateStore(folder).register("it", stateOf(tensors));
    const snapshot = await store.saveState();
    const target = path.join(fileURLToPath(snapshot.uri), "it/tensors.safetensors");
    const read = JSON.parse(
      execFileSync(pythonCommand as string, [script, "read", target], {
        encoding: "utf8",
        env: { ...process.env, PYTHONIOENCODING: "utf-8" },
      }),
    );
    expect(read["layer.weight"]).toEqual({
      dtype: "F32",
      shape: [2, 3],
      numbers: ["0.5", "-1.25", "3.0", "4.0", "5.0", "6.0"],
    });
    expect(read["steps"]).toEqual({ dtype: "I64", shape: [], numbers: [String(2n ** 62n + 1n)] });
    expect(read["half"].numbers).toEqual(["1.5", "-2.0"]);
    expect(read["größe/日本語"].numbers).toEqual(["-7"]);
    expect(Object.keys(read).length).toBe(9);
    // Without its metadata, the golden file is the same to the byte.
    expect((await fileOf(tensors)).length).toBe(
      (await readFile(path.join(fixtures, "python.safetensors"))).length - '"__metadata__":{"format":"np"},'.length - 1,
    );
  });

  it("aligns what another writer has not", async () => {
    const data = new Uint8Array([7, 0, 0, 128, 63, 0, 0, 0, 64]);
    const odd = file(
      '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}} ',
      data,
    );
    const state = stateOf({});
    await storeOf(state).loadState(await holding({ "x.safetensors": odd }));
    expect(state.held.value).toEqual({
      a: { shape: [1], data: new Uint8Array([7]) },
      b: { shape: [2], data: new Float32Array([1, 2]) },
    });
    expect(state.held.value["a"]?.data.buffer).toBe(state.held.value["b"]?.data.buffer);
  });

  const one = { dtype: "U8", shape: [4], data_offsets: [0, 4] };
  it.each<[string, Uint8Array]>([
    ["no bytes", new Uint8Array()],
    ["a header length beyond the file", file({}, 0, 1000n)],
    ["a header length beyond all numbers", file({}, 0, 2n ** 64n - 1n)],
    ["a header of more than 100 MB", file({}, 0, 100_000_001n)],
    ["no JSON", file("nope")],
    ["a list", file("[]")],
    ["a header that is cut", file({ a: one }, 4, 10n)],
    ["an unknown dtype", file({ a: { ...one, dtype: "F7" } }, 4)],
    ["a dtype of Object.prototype", file({ a: { ...one, dtype: "constructor" } }, 4)],
    ["a shape that is none", file({ a: { ...one, shape: "4" } }, 4)],
    ["a negative length", file({ a: { ...one, shape: [-4] } }, 4)],
    ["a broken length", file({ a: { ...one, shape: [0.5, 8] } }, 4)],
    ["a shape that overflows", file({ a: { ...one, shape: [2 ** 32, 2 ** 32] } }, 4)],
    ["a shape that overflows to what fits", file({ a: { ...one, shape: [2 ** 52, 2 ** 52, 4] } }, 4)],
    ["a shape of another size", file({ a: { ...one, shape: [3] } }, 4)],
    ["offsets beyond the data", file({ a: { ...one, shape: [8], data_offsets: [0, 8] } }, 4)],
    ["offsets in the wrong order", file({ a: { ...one, data_offsets: [4, 0] } }, 4)],
    ["negative offsets", file({ a: { ...one, data_offsets: [-4, 0] } }, 4)],
    ["offsets that overlap", file({ a: one, b: { ...one, data_offsets: [2, 6] } }, 6)],
    ["the same data twice", file({ a: one, b: one }, 4)],
    ["a gap", file({ a: one, b: { ...one, data_offsets: [5, 9] } }, 9)],
    ["data that belongs to no tensor", file({ a: one }, 5)],
    ["no offsets", file({ a: { dtype: "U8", shape: [4] } }, 4)],
    ["null for a tensor", file({ a: null }, 0)],
  ])("changes nothing for %s", async (_, bytes) => {
    const state = stateOf(golden);
    const error = await rejection(storeOf(state).loadState(await holding({ "tensors.safetensors": bytes })));
    expect(error).toMatchObject({ code: "STATE_LOAD_FAILED" });
    expect([isSnapshotError((error as Error).cause, "ENTRY_INVALID"), state.held.sets]).toEqual([true, 0]);
  });

  it("survives any header", async () => {
    const header = fc.oneof(
      fc.json(),
      fc.dictionary(
        fc.string(),
        fc.record({
          dtype: fc.constantFrom("U8", "F32", "F64", "x"),
          shape: fc.array(fc.nat(4), { maxLength: 3 }),
          data_offsets: fc.tuple(fc.nat(20), fc.nat(20)),
        }, { requiredKeys: [] }),
      ).map((value) => JSON.stringify(value)),
    );
    await fc.assert(
      fc.asyncProperty(header, fc.nat(20), async (text, dataBytes) => {
        const state = stateOf({});
        const load = storeOf(state).loadState(await holding({ "tensors.safetensors": file(text, dataBytes) }));
        const error = await load.then(() => undefined, (thrown: unknown) => thrown);
        if (error !== undefined) expect(error).toMatchObject({ cause: { code: "ENTRY_INVALID" } });
      }),
      { numRuns: 150 },
    );
  });

  it("wants exactly one file of tensors", async () => {
    const empty = file("{}");
    const two = await holding({ "a.safetensors": empty, "b.safetensors": empty });
    expect(await rejection(storeOf(stateOf({})).loadState(two))).toMatchObject({ cause: { code: "ENTRY_INVALID" } });
    const none = await holding({ "deep/a.safetensors": empty });
    expect(await rejection(storeOf(stateOf({})).loadState(none))).toMatchObject({ cause: { code: "ENTRY_NOT_FOUND" } });
  });

  it.each<[string, unknown, RegExp]>([
    ["a shape of another size", { a: { shape: [2], data: new Float32Array(3) } }, /"a".*2 elements.*3/],
    ["a shape that is none", { a: { shape: 3, data: new Float32Array(3) } }, /"a".*shape/],
    ["a list for data", { a: { shape: [1], data: [1] } }, /"a".*typed array/],
    ["clamped bytes", { a: { shape: [1], data: new Uint8ClampedArray(1) } }, /"a".*typed array/],
    [
      "a type that does not fit",
      { a: { shape: [1], data: new Float32Array(1), dtype: "BF16" } },
      /BF16 needs.*Uint16Array/,
    ],
    ["an unknown type", { a: { shape: [1], data: new Float32Array(1), dtype: "F7" } }, /F7 is unknown/],
    ["the name of the metadata", { __metadata__: { shape: [1], data: new Float32Array(1) } }, /__metadata__/],
    ["null", null, /object of tensors/],
    ["nothing for a tensor", { a: undefined }, /"a"/],
  ])("fails a save of %s, by name", async (_, tensors, message) => {
    const state = tensorState({ get: () => tensors as Tensors, set() {} });
    expect(await rejection(saved(state))).toMatchObject({
      code: "STATE_SAVE_FAILED",
      message: expect.stringMatching(message),
    });
  });

  conforms(
    stateConformance(
      () => stateOf({ a: { shape: [2], data: new Float32Array(2) }, b: { shape: [1], data: new Uint8Array(1) } }),
      ({ held }) => held.value = { a: { shape: [1], data: new Float64Array([Math.random()]) } },
    ),
    it,
  );

  it("refuses options that are none", () => {
    expect(() => tensorState({ get: () => ({}) } as never)).toThrow(/set/);
    expect(() => tensorState({ get: () => ({}), set() {}, shape: [] } as never)).toThrow(/shape/);
    expect(new StateStore(memoryBackend()).stateNames).toEqual([]);
  });
});
