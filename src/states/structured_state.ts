// States of values that JSON cannot carry: one value, or some properties of an object. Their bytes lie as entries of their own.
import type { PersistentState, StateReader, StateWriter } from "../model/state.ts";
import { type Accessors, assertFunctions } from "./accessors.ts";
import { invalidEntry, readJson, schemaOf } from "./reading.ts";
import { assertOptions } from "../model/options.ts";
import { placeOf } from "../model/standard_schema.ts";
import { hasSymbols, holdsItems, nameOf } from "./structured_fault.ts";
import { assertClasses, type SavedClasses, textOfValue, thrownAt, valueOfText } from "./structured_text.ts";

const PATH = "structured.json";
const bytesPath = (number: number): string => `bytes/${number}.bin`;
const BYTES_PATH = /^bytes\/(0|[1-9]\d{0,9})\.bin$/;

/** What {@link structuredState} and {@link propertiesState} may know beside the value. */
export interface StructuredOptions {
  /** How to save and load instances of classes, by the names that stand for the classes in snapshots. @default none */
  readonly classes?: SavedClasses;
}

function write(out: StateWriter, value: unknown, classes: SavedClasses): void {
  const { text, buffers } = textOfValue(value, classes);
  void out.write(PATH, text);
  buffers.forEach((bytes, number) => void out.write(bytesPath(number), bytes));
}

async function read(from: StateReader, classes: SavedClasses): Promise<unknown> {
  const buffers = new Map<number, Uint8Array<ArrayBuffer>>();
  for (const { path } of from.entries) {
    const number = BYTES_PATH.exec(path)?.[1];
    if (number !== undefined) buffers.set(Number(number), await from.bytes(path));
    else if (path !== PATH) throw invalidEntry(from, path, "no structured state writes such an entry");
  }
  return await readJson(from, PATH, schemaOf((parsed) => valueOfText(parsed, classes, buffers)));
}

/**
 * Returns a state that is one value of nearly any kind.
 *
 * It keeps plain objects and arrays (with holes), Map, Set, Date, BigInt, RegExp, URL, URLSearchParams, Error, boxed primitives, typed
 * arrays, DataView, ArrayBuffer, Node's Buffer, -0, NaN, Infinity and undefined; cycles and shared references; and instances of the classes
 * that `classes` names. What it cannot keep fails the save with its place. An Error comes back without its stack, a RegExp with
 * `lastIndex` 0. A value is taken at the instant of the save. Bytes lie in entries of their own.
 *
 * @param options Gets and sets the value; classes of instances in it.
 * @returns The state, to be registered.
 * @throws {TypeError} If a function is missing, or `classes` cannot be used.
 * @example A Map
 * ```ts
 * import { StateStore } from "snapkeep";
 * import { structuredState } from "snapkeep/states";
 *
 * let seen = new Map<string, Date>();
 * const store = new StateStore("states").register("seen", structuredState({ get: () => seen, set: (value) => seen = value }));
 * await store.resume();
 * seen.set("here", new Date());
 * await store.saveState();
 * ```
 */
export function structuredState<Value>(options: Accessors<Value> & StructuredOptions): PersistentState {
  const names = { get: "a function", set: "a function", classes: true } as const;
  assertFunctions("a structuredState", options, ["get", "set"], names);
  const { get, set, classes = {} } = options;
  assertClasses("a structuredState", classes);
  return {
    saveState: (out) => write(out, get(), classes),
    async loadState(from) {
      await set(await read(from, classes) as Value);
    },
  };
}

/**
 * Returns a state that is some properties of an object, restored in place: the object stays the same, the properties get new values.
 *
 * It keeps what {@link structuredState} keeps. Without `keys`, it is all own enumerable properties that the object has when it is saved,
 * and a load removes those that were not saved. With `keys`, a load fails if a snapshot holds other properties than these: give the
 * state a version and a migration. If a load fails, no property was changed.
 *
 * @param object The object; it is not copied, and must not be frozen.
 * @param keys Names of the properties. Setters run.
 * @param options Classes of instances in it.
 * @returns The state, to be registered.
 * @throws {TypeError} If `object` is no object, or `keys` no list of names; without `keys`, if it is a Map, Set, Date, array or bytes.
 * @example
 * ```ts
 * import { StateStore } from "snapkeep";
 * import { propertiesState } from "snapkeep/states";
 *
 * class Player {
 *   score = 0;
 *   visited = new Set<string>();
 *   onMove = () => {};
 * }
 * const player = new Player();
 * const store = new StateStore("states").register("player", propertiesState(player, ["score", "visited"]));
 * await store.resume();
 * ```
 */
export function propertiesState<Target extends object>(
  object: Target,
  keys?: readonly (keyof Target & string)[],
  options: StructuredOptions = {},
): PersistentState {
  const what = "a propertiesState";
  if (typeof object !== "object" || object === null) throw new TypeError(`Cannot make ${what}: give it an object`);
  if (keys !== undefined && !(Array.isArray(keys) && keys.every((key) => typeof key === "string"))) {
    throw new TypeError(`Cannot make ${what}: keys must be a list of names of properties`);
  }
  if (keys === undefined && holdsItems(object)) {
    throw new TypeError(
      `Cannot make ${what}: what ${
        nameOf(object)
      } holds lies not in its properties; use a structuredState, or give keys`,
    );
  }
  assertOptions(`make ${what}`, options, { classes: true });
  const { classes = {} } = options;
  assertClasses(what, classes);
  const target = object as Record<string, unknown>;
  return {
    saveState(out) {
      const missing = keys?.find((key) => !(key in target));
      if (missing !== undefined) {
        throw new TypeError(`Cannot save the property "${missing}": the object has none of this name`);
      }
      if (keys === undefined && hasSymbols(target)) {
        throw new TypeError(
          "Cannot save the properties: the object has a symbol as a key; give keys, or use texts as keys",
        );
      }
      const picked = keys ?? Object.keys(target);
      write(out, Object.fromEntries(picked.map((key) => [key, propertyOf(target, key)])), classes);
    },
    async loadState(from) {
      const saved = await read(from, classes);
      if (typeof saved !== "object" || saved === null || Object.getPrototypeOf(saved) !== Object.prototype) {
        throw invalidEntry(from, PATH, "it holds no properties of an object");
      }
      restore(from, target, saved as Record<string, unknown>, keys);
    },
  };
}

function propertyOf(target: Record<string, unknown>, key: string): unknown {
  try {
    return target[key];
  } catch (error) {
    throw thrownAt(placeOf({ message: "", path: [key] }).slice(1), error);
  }
}

function restore(
  from: StateReader,
  target: Record<string, unknown>,
  saved: Readonly<Record<string, unknown>>,
  keys: readonly string[] | undefined,
): void {
  const names = Object.keys(saved);
  if (keys !== undefined) {
    const missing = keys.find((key) => !Object.hasOwn(saved, key));
    const unknown = names.find((name) => !keys.includes(name));
    const way = "give the state a version and a migration";
    if (missing !== undefined) {
      throw invalidEntry(from, PATH, `the property is not in the snapshot; ${way}`, `$.${missing}`);
    }
    if (unknown !== undefined) {
      throw invalidEntry(from, PATH, `the property is not among the keys; ${way}`, `$.${unknown}`);
    }
  }
  const extra = keys === undefined ? Object.keys(target).filter((name) => !Object.hasOwn(saved, name)) : [];
  const stuck = names.find((name) => !canSet(target, name, keys !== undefined)) ??
    extra.find((name) => !canRemove(target, name));
  if (stuck !== undefined) {
    throw new TypeError(`Cannot restore the property "${stuck}": it is read-only; leave it out of keys`);
  }
  const undo: (() => void)[] = [];
  try {
    for (const name of names) {
      const value = saved[name];
      const isThere = keys !== undefined || Object.hasOwn(target, name);
      const old = isThere ? target[name] : undefined;
      undo.push(() => void (isThere ? target[name] = old : delete target[name]));
      // Without keys, what is saved is data: no setter that the object inherits may take it for something else.
      if (isThere) target[name] = value;
      else Object.defineProperty(target, name, { value, enumerable: true, writable: true, configurable: true });
    }
    for (const name of extra) {
      const old = Object.getOwnPropertyDescriptor(target, name);
      if (old !== undefined) undo.push(() => void Object.defineProperty(target, name, old));
      delete target[name];
    }
  } catch (error) {
    for (const back of undo.reverse()) attempt(back); // also of the setter that has thrown
    throw error;
  }
}

function attempt(back: () => void): void {
  try {
    back();
  } catch {
    // a setter that throws once more
  }
}

function canSet(target: object, name: string, takesInherited: boolean): boolean {
  for (let holder: object | null = target; holder !== null; holder = Object.getPrototypeOf(holder) as object | null) {
    const property = Object.getOwnPropertyDescriptor(holder, name);
    if (property !== undefined) return property.writable ?? property.set !== undefined;
    if (!takesInherited) break;
  }
  return Object.isExtensible(target);
}

function canRemove(target: object, name: string): boolean {
  return Object.getOwnPropertyDescriptor(target, name)?.configurable ?? true;
}
