// A state that is bytes.
import { types } from "node:util";
import type { PersistentState } from "../model/state.ts";
import { type Accessors, assertFunctions } from "./accessors.ts";

const PATH = "bytes.bin";

/**
 * Returns a state that is bytes, such as the weights of a model, in one entry.
 *
 * The bytes are copied at the call of the save. A loaded value is a `Uint8Array` with a buffer of its own that starts at offset 0,
 * so `new Float32Array(bytes.buffer)` looks at the same numbers.
 *
 * @param options Gets the bytes, as any view or buffer, and takes those that were loaded.
 * @returns The state, to be registered.
 * @throws {TypeError} If a function is missing.
 * @example Weights
 * ```ts
 * import { StateStore } from "snapkeep";
 * import { bytesState } from "snapkeep/states";
 *
 * let weights = new Float32Array(1000);
 * const store = new StateStore("states").register("weights", bytesState({
 *   get: () => weights,
 *   set: (bytes) => weights = new Float32Array(bytes.buffer),
 * }));
 * await store.loadState(await store.saveState());
 * ```
 */
export function bytesState(
  options: Accessors<ArrayBufferView | ArrayBuffer, Uint8Array<ArrayBuffer>>,
): PersistentState {
  assertFunctions("a bytesState", options, ["get", "set"], { get: "a function", set: "a function" });
  const { get, set } = options;
  return {
    saveState: (out) => out.write(PATH, viewOf(get())),
    async loadState(from) {
      await set(await from.bytes(PATH));
    },
  };
}

function viewOf(value: unknown): ArrayBufferView {
  if (ArrayBuffer.isView(value)) return value;
  if (types.isAnyArrayBuffer(value)) return new Uint8Array(value);
  throw new TypeError("Cannot save bytes: get() must return a typed array, a DataView or an ArrayBuffer");
}
