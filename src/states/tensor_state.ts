// Named tensors as one file of the format safetensors, which Python's libraries read and write.
import type { PersistentState, StateReader } from "../model/state.ts";
import { show } from "../model/show.ts";
import { viewOf } from "../runtime/bytes.ts";
import { type Accessors, assertFunctions } from "./accessors.ts";
import { invalidEntry } from "./reading.ts";
import { dtypeFault, dtypeOf, DTYPES, type TensorData, type TensorDtype } from "./tensor/dtypes.ts";

const PATH = "tensors.safetensors";
const TENSORS_PATH = /^[^/]+\.safetensors$/;
const METADATA = "__metadata__";
const LENGTH_BYTES = 8;
/** As many as the reader of the format's authors accepts. */
const MAX_HEADER_BYTES = 100_000_000;
/** Data begins at a multiple of this, so that every array can be viewed where it lies. */
const ALIGNMENT = 8;

/** A tensor. */
export interface Tensor {
  /** Length of each dimension; empty for a single number. */
  readonly shape: readonly number[];
  /** Its numbers in row-major order: as many as the product of the shape. */
  readonly data: TensorData;
  /**
   * Type of the numbers if the type of `data` does not tell it: `BF16` and `F16` lie in a Uint16Array, `BOOL` and the types of 8-bit floats in a
   * Uint8Array.
   *
   * @default the type of `data`, such as `F32` for a Float32Array
   */
  readonly dtype?: TensorDtype;
}

interface Placed {
  readonly name: string;
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

interface Header {
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/**
 * Returns a state that is named tensors, such as the weights of a network, in one file `tensors.safetensors`.
 *
 * The file is in the format safetensors, little-endian: `safetensors.numpy.load_file` and PyTorch read it, and a load reads a file that they wrote. The tensors are
 * copied at the call of the save. The loaded arrays are views of one ArrayBuffer that belongs to the program alone: transferring it takes all of
 * them. Float16Array is used where the runtime has it; where it has not, `F16` comes back as a Uint16Array with the `dtype`. A `__metadata__` that another program wrote is passed over.
 *
 * @param options Gets the tensors by name, and takes those that were loaded.
 * @returns The state, to be registered.
 * @throws {TypeError} If a function is missing.
 * @example A layer
 * ```ts
 * import { StateStore } from "snapkeep";
 * import { type Tensor, tensorState } from "snapkeep/states";
 *
 * let layer: Readonly<Record<string, Tensor>> = {
 *   weight: { shape: [2, 3], data: new Float32Array(6) },
 *   bias: { shape: [2], data: new Float32Array(2) },
 * };
 * const store = new StateStore("states").register("layer", tensorState({
 *   get: () => layer,
 *   set: (tensors) => layer = tensors,
 * }));
 * await store.resume();
 * ```
 */
export function tensorState(options: Accessors<Readonly<Record<string, Tensor>>>): PersistentState {
  assertFunctions("a tensorState", options, ["get", "set"], { get: "a function", set: "a function" });
  const { get, set } = options;
  return {
    saveState: (out) => out.write(PATH, fileOf(get()), { owned: true }),
    async loadState(from) {
      await set(await tensorsOf(from));
    },
  };
}

function fileOf(tensors: unknown): Uint8Array {
  if (typeof tensors !== "object" || tensors === null) {
    throw new TypeError(`Cannot save tensors: get() must return an object of tensors by name, not ${show(tensors)}`);
  }
  const placed = Object.entries(tensors as Record<string, unknown>).map(([name, tensor]) => placedOf(name, tensor));
  placed.sort((a, b) => bySize(a, b) || (a.name < b.name ? -1 : 1));
  let offset = 0;
  const header = JSON.stringify(Object.fromEntries(placed.map(({ name, dtype, shape, bytes }) => {
    const begin = offset;
    offset += bytes.length;
    return [name, { dtype, shape, data_offsets: [begin, offset] }];
  })));
  const encoded = new TextEncoder().encode(header);
  const headerBytes = Math.ceil(encoded.length / ALIGNMENT) * ALIGNMENT;
  if (headerBytes > MAX_HEADER_BYTES) {
    throw new RangeError("Cannot save tensors: their names and shapes take more than 100 MB");
  }
  const start = LENGTH_BYTES + headerBytes;
  const file = new Uint8Array(start + offset);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.fill(0x20, LENGTH_BYTES, start);
  file.set(encoded, LENGTH_BYTES);
  let at = start;
  for (const { bytes } of placed) {
    file.set(bytes, at);
    at += bytes.length;
  }
  return file;
}

function placedOf(name: string, tensor: unknown): Placed {
  const fail = (reason: string) => new TypeError(`Cannot save the tensor ${show(name)}: ${reason}`);
  if (name === METADATA) throw fail("the format uses this name for other things");
  const { shape, data, dtype: given } = (tensor ?? {}) as { shape?: unknown; data?: unknown; dtype?: unknown };
  const dtype = given ?? dtypeOf(data);
  if (dtype === undefined) throw fail(`its data must be a typed array that the format knows, not ${show(data)}`);
  const reason = dtypeFault(dtype, data);
  if (reason !== undefined) throw fail(reason);
  const { length } = data as TensorData;
  const isShape = Array.isArray(shape) && shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  if (!isShape) throw fail(`its shape must be a list of whole numbers from 0 on, not ${show(shape)}`);
  if (product(shape) !== length) {
    throw fail(`its shape ${show(shape)} has ${product(shape)} elements, but its data has ${length}`);
  }
  return { name, dtype: dtype as TensorDtype, shape: [...shape as number[]], bytes: viewOf(data as TensorData) };
}

/** How many elements a shape has; `NaN` for more than can be counted. */
function product(shape: readonly number[]): number {
  // A dimension of length 0 makes it empty, whatever the others are.
  if (shape.includes(0)) return 0;
  const count = shape.reduce((sum, size) => sum * size, 1);
  return Number.isSafeInteger(count) ? count : NaN;
}

async function tensorsOf(from: StateReader): Promise<Record<string, Tensor>> {
  const paths = from.entries.map(({ path }) => path).filter((path) => TENSORS_PATH.test(path));
  const [path = PATH] = paths;
  if (paths.length > 1) throw invalidEntry(from, path, `there are ${paths.length} files of tensors, expected one`);
  const file = await from.bytes(path);
  const fail = (message: string, place = "the header", cause?: unknown) =>
    invalidEntry(from, path, message, place, cause);
  if (file.length < LENGTH_BYTES) throw fail("the file is too short");
  const headerBytes = new DataView(file.buffer).getBigUint64(0, true);
  if (headerBytes > BigInt(Math.min(MAX_HEADER_BYTES, file.length - LENGTH_BYTES))) {
    throw fail(`it says to have ${headerBytes} bytes, more than there are or than the 100 MB that are allowed`);
  }
  const start = LENGTH_BYTES + Number(headerBytes);
  let parsed: unknown;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(file.subarray(LENGTH_BYTES, start));
    if (!text.startsWith("{")) throw new SyntaxError('it does not begin with "{"');
    parsed = JSON.parse(text);
  } catch (cause) {
    throw fail("it is not a JSON object", undefined, cause);
  }
  const headers = Object.entries(parsed as Record<string, unknown>).filter(([name]) => name !== METADATA)
    .map(([name, value]) => [name, headerOf(value, (message) => fail(message, show(name)))] as const);
  assertContiguous(headers, file.length - start, fail);
  const offsets = new Map(headers.map(([name, { begin }]) => [name, start + begin]));
  const isAligned = headers.every(([, { dtype, begin }]) => (start + begin) % DTYPES[dtype].sizeBytes === 0);
  const { buffer } = isAligned ? file : aligned(file, headers, offsets);
  return Object.fromEntries(headers.map(([name, { dtype, shape, begin, end }]) => {
    const array = DTYPES[dtype].viewOf(buffer, offsets.get(name) as number, end - begin);
    return [name, { shape, data: array, ...dtypeOf(array) !== dtype && { dtype } }];
  }));
}

/** Moves the data of another writer, which may begin anywhere, to where arrays can begin; `offsets` tell where each lies. */
function aligned(
  file: Uint8Array<ArrayBuffer>,
  headers: readonly (readonly [string, Header])[],
  offsets: Map<string, number>,
): Uint8Array<ArrayBuffer> {
  const moved = new Uint8Array(headers.reduce((sum, [, { begin, end }]) => sum + end - begin, 0));
  let at = 0;
  for (const [name, { begin, end }] of [...headers].sort(([, a], [, b]) => bySize(a, b))) {
    const from = offsets.get(name) as number;
    moved.set(file.subarray(from, from + end - begin), at);
    offsets.set(name, at);
    at += end - begin;
  }
  return moved;
}

/** Large elements first: each array then begins at a multiple of the size of its elements. */
function bySize(a: { readonly dtype: TensorDtype }, b: { readonly dtype: TensorDtype }): number {
  return DTYPES[b.dtype].sizeBytes - DTYPES[a.dtype].sizeBytes;
}

function headerOf(value: unknown, fail: (message: string) => Error): Header {
  const { dtype, shape, data_offsets: offsets } = (value ?? {}) as Record<string, unknown>;
  if (typeof dtype !== "string" || !Object.hasOwn(DTYPES, dtype)) throw fail(`the dtype ${show(dtype)} is unknown`);
  const isCount = (count: unknown): count is number => Number.isSafeInteger(count) && (count as number) >= 0;
  if (!(Array.isArray(shape) && shape.every(isCount))) throw fail("its shape is not a list of whole numbers from 0 on");
  if (!(Array.isArray(offsets) && offsets.length === 2 && offsets.every(isCount))) throw fail("it has no offsets");
  const [begin, end] = offsets as [number, number];
  const sizeBytes = product(shape) * DTYPES[dtype as TensorDtype].sizeBytes;
  if (!Number.isSafeInteger(sizeBytes)) throw fail("its shape has more elements than can be counted");
  if (end - begin !== sizeBytes) throw fail(`its shape takes ${sizeBytes} bytes, its offsets have ${end - begin}`);
  return { dtype: dtype as TensorDtype, shape, begin, end };
}

/** Each byte of the data must belong to one tensor: as the format demands, against files that hide something or show it twice. */
function assertContiguous(
  headers: readonly (readonly [string, Header])[],
  dataBytes: number,
  fail: (message: string, place?: string) => Error,
): void {
  let at = 0;
  for (const [name, { begin, end }] of [...headers].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== at) {
      throw fail(`its data begins at ${begin}, expected ${at}: it overlaps another or leaves a gap`, show(name));
    }
    if (end > dataBytes) throw fail(`its data ends at ${end}, but there are ${dataBytes} bytes`, show(name));
    at = end;
  }
  if (at !== dataBytes) throw fail(`the tensors end at ${at}, but there are ${dataBytes} bytes of data`);
}
