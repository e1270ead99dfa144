// Values that JSON cannot carry, as text and raw bytes, through devalue. The only file that knows devalue, of which it uses
// `stringify` and `unflatten` (its `parse` behind JSON.parse); nothing here runs text.
//
// devalue goes by what a value says it is, so a subclass of Map would come back as a Map, and an array without its named properties.
// Each object is looked at before: what would not come back fails, with its place.
import { Buffer } from "node:buffer";
import { inspect, types } from "node:util";
import { defaultParseOperations, defaultStringifyOperations, stringify, unflatten } from "devalue";
import { viewOf } from "../runtime/bytes.ts";
import { reasonOf } from "../model/errors.ts";
import { errorData, errorOf, isErrorPrototype } from "./structured_error.ts";
import {
  describe,
  type Fault,
  faultOf,
  faultOfBuffer,
  faultOfNodeBuffer,
  hasSymbols,
  MAX_SPARSE_LENGTH,
  nameOf,
  tagOf,
} from "./structured_fault.ts";

/** How to save and load the instances of a class; made by {@link savedClass}. */
export interface SavedClass<Instance extends object = object, Data extends object = object> {
  /** The class. */
  readonly class: abstract new (...args: never[]) => Instance;
  /** Returns what an instance consists of, as an object or array of values that can be saved. */
  save(instance: Instance): Data;
  /** Makes an instance out of what `save` returned. */
  load(data: Data): Instance;
}

/**
 * Says how to save and load the instances of a class, for the option `classes` of a structured state.
 *
 * @param type The class; instances of its subclasses need an entry of their own.
 * @param save Returns what an instance consists of, as an object or array.
 * @param load Makes an instance out of that. It sees data that a snapshot holds, and must not trust it.
 * @returns An entry of `classes`.
 * @example
 * ```ts
 * import { savedClass, structuredState } from "snapkeep/states";
 *
 * class Vector {
 *   x = 0;
 *   y = 0;
 * }
 * let path = [new Vector()];
 * structuredState({
 *   get: () => path,
 *   set: (value) => path = value,
 *   classes: { Vector: savedClass(Vector, ({ x, y }) => ({ x, y }), (data) => Object.assign(new Vector(), data)) },
 * });
 * ```
 */
export function savedClass<Instance extends object, Data extends object>(
  type: abstract new (...args: never[]) => Instance,
  save: (instance: Instance) => Data,
  load: (data: Data) => Instance,
): SavedClass<Instance, Data> {
  if (![type, save, load].every((part) => typeof part === "function")) {
    throw new TypeError("Cannot describe a class: give the class, a function that saves and one that loads");
  }
  return { class: type, save, load };
}

/** Classes by the names that stand for them in snapshots. */
// deno-lint-ignore no-explicit-any -- each has an instance and data of its own
export type SavedClasses = Readonly<Record<string, SavedClass<any, any>>>;

/** A value as text and bytes. */
export interface StructuredText {
  /** The value, with a number for each buffer. */
  readonly text: string;
  /** The bytes of each buffer. */
  readonly buffers: readonly Uint8Array[];
}

// Node 20 has room for some 1,700 calls of devalue's, fewer where it was called from deep down; one more level is an error at the save.
const MAX_DEPTH = 1000;
const REFUSED = Symbol("refused");
const SPARSE = -7; // what devalue writes before the length of an array that is mostly empty
/** Kinds that devalue writes with a text, and not with the index of another value. */
const TEXTS = new Set(["Date", "RegExp", "BigInt", "URL", "URLSearchParams"]);
const CLASS = "class:";
const CLASS_NAME = /^[\p{ID_Continue}$.:/@-]+$/u;

const { getPrototypeOf } = Object;

/** Throws a TypeError unless these are classes by usable names. */
export function assertClasses(what: string, classes: SavedClasses): void {
  if (typeof classes !== "object" || classes === null) {
    throw new TypeError(`Cannot make ${what}: classes must be an object of classes by name`);
  }
  const seen = new Set<unknown>();
  for (const [name, saved] of Object.entries(classes)) {
    if (!CLASS_NAME.test(name)) throw new TypeError(`Cannot make ${what}: ${JSON.stringify(name)} cannot name a class`);
    if (typeof saved?.class !== "function" || typeof saved.save !== "function" || typeof saved.load !== "function") {
      throw new TypeError(`Cannot make ${what}: the class "${name}" must be given as savedClass(${name}, save, load)`);
    }
    if (saved.class.prototype === Object.prototype || saved.class.prototype === Array.prototype) {
      throw new TypeError(
        `Cannot make ${what}: "${name}" is the class of all plain objects or arrays, which are saved as they are`,
      );
    }
    if (seen.has(saved.class)) throw new TypeError(`Cannot make ${what}: the class of "${name}" has two names`);
    seen.add(saved.class);
  }
}

/**
 * Writes a value as text, at once.
 *
 * @throws {TypeError} If it holds what would not come back; names the place, and what to do instead.
 */
export function textOfValue(value: unknown, classes: SavedClasses): StructuredText {
  const walk = new Walk(classes);
  try {
    const text = stringify(value, walk.reducers, { operations: walk.operations });
    return { text, buffers: walk.buffers };
  } catch (error) {
    if (error instanceof RangeError) throw walk.fault("", TOO_DEEP);
    if (!isDevalueError(error)) throw error;
    if (walk.thrown !== undefined) throw thrownAt(error.path + walk.thrown.below, walk.thrown.error);
    throw walk.fault(error.path, walk.found ?? describe(error.value), error);
  }
}

/** The error for what the program's own code threw at a place in a value. */
export function thrownAt(path: string, cause: unknown): Error {
  return new Error(`Cannot save the value at $${shortened(path)}: ${reasonOf(cause)}`, { cause });
}

function shortened(path: string): string {
  return path.length > 500 ? `${path.slice(0, 200)} ... ${path.slice(-200)}` : path;
}

function isDevalueError(error: unknown): error is Error & { readonly path: string; readonly value: unknown } {
  return error instanceof Error && error.name === "DevalueError" && "path" in error && typeof error.path === "string";
}

const TOO_DEEP: Fault = {
  what: `a value nested more than ${MAX_DEPTH} levels deep`,
  remedy: "save a flat list instead, such as a linked list as an array",
};

/** One walk of devalue's through a value. */
class Walk {
  readonly buffers: Uint8Array[] = [];
  /** What the refused value would lose. */
  found: Fault | undefined;
  /** What a function of a class or a getter threw. */
  thrown: { readonly error: unknown; readonly below: string } | undefined;
  readonly #names = new Map<object, string>();
  readonly #classes: SavedClasses;
  /** Key of the reducer for the object that is just met. */
  #reducer: string | undefined;
  /** How deep the object is whose properties are being read. */
  #depth = -1;
  /** The objects from the root to where the walk is; those beyond the next of `#depth` are of an earlier way. */
  readonly #way: object[] = [];

  constructor(classes: SavedClasses) {
    this.#classes = classes;
    for (const [name, { class: type }] of Object.entries(classes)) this.#names.set(type.prototype as object, name);
  }

  /** What stands for objects that devalue does not know. Each is called for every value, right after `identify`. */
  get reducers(): Record<string, (value: unknown) => unknown> {
    const reducers: [string, (value: unknown) => unknown][] = Object.keys(this.#classes).map((name) => [
      CLASS + name,
      (value) => this.#reducer === CLASS + name && this.#dataOf(name, value as object),
    ]);
    return {
      ...Object.fromEntries(reducers),
      Error: (value) =>
        this.#reducer === "Error" && errorData(value as Error, (name) => this.#read(value as Error, name, `.${name}`)),
      ArrayBuffer: (value) => this.#reducer === "ArrayBuffer" && this.#lift(new Uint8Array(value as ArrayBuffer)),
      Buffer: (value) => this.#reducer === "Buffer" && this.#lift(viewOf(value as Buffer)),
    };
  }

  /** How devalue looks at values. */
  get operations() {
    return {
      identify: (value: unknown) => {
        try {
          return this.#meet(value);
        } catch (error) {
          this.#caught(error);
          return value;
        }
      },
      tagOf: (value: object) => {
        try {
          if (this.thrown === undefined && !this.#found(value)) return tagOf(value);
        } catch (error) {
          this.#caught(error);
        }
        return "unkeepable";
      },
      shapeOf: (value: object) => {
        try {
          if (this.thrown === undefined && this.found === undefined) return defaultStringifyOperations.shapeOf(value);
        } catch (error) {
          this.#caught(error);
        }
        return { kind: "not-plain" } as const;
      },
      get: (value: object, key: string) => {
        if (this.#way[this.#depth] !== value) this.#enter(value);
        return this.#read(value, key);
      },
      isThenable: (value: object) => typeof this.#read(value, "then") === "function" || this.thrown !== undefined,
      valuesOf: (set: Set<unknown>) => this.#within(set, set),
      entriesOf: (map: Map<unknown, unknown>) => this.#within(map, map),
      viewInfo: (view: ArrayBufferView) => {
        viewOf(view); // one whose memory is gone looks empty
        this.#enter(view);
        return defaultStringifyOperations.viewInfo(view);
      },
    };
  }

  /** An error for people. */
  fault(path: string, { what, remedy }: Fault, cause?: unknown): TypeError {
    return new TypeError(`Cannot save ${what} at $${shortened(path)}: it would not come back as it was; ${remedy}`, {
      cause,
    });
  }

  /** Takes what a Proxy or the getter of a symbol threw; a RangeError may be the walk's own, which went too deep. */
  #caught(error: unknown): void {
    if (error instanceof RangeError) throw error;
    this.thrown ??= { error, below: "" };
  }

  /** A property. What devalue refuses stands for one that throws, so that it tells the place. */
  #read(value: object, key: string, below = ""): unknown {
    try {
      return (value as Record<string, unknown>)[key];
    } catch (error) {
      this.thrown ??= { error, below };
      return REFUSED;
    }
  }

  #meet(value: unknown): unknown {
    this.#reducer = undefined;
    if (typeof value !== "object" || value === null) return value;
    if (this.#depth >= MAX_DEPTH) this.found = TOO_DEEP;
    else this.#reducer = this.#reducerOf(value);
    const holdsItself = this.#reducer !== undefined && this.#isOnWay(value);
    const depth = this.#depth + 1;
    if (this.#reducer !== undefined) {
      // devalue makes an instance when it has its data: an instance within its own data would become two.
      if (holdsItself) {
        this.found = {
          what: `${nameOf(value)} that holds itself`,
          remedy: "save what it refers to by an id, and connect it in load",
        };
        this.#reducer = undefined;
        return {}; // a value of its own, which is refused in its turn
      }
      this.#depth = depth;
    }
    this.#way[depth] = value;
    return value;
  }

  /** Whether an object holds the one that is just met. The key of a Map and what it holds stay on the way while its value is met. */
  #isOnWay(value: object): boolean {
    let depth = this.#depth;
    if (depth < 0 || this.#way.lastIndexOf(value, depth) < 0) return false;
    while (depth >= 0 && !holdsDirectly(this.#way[depth] as object, value)) depth--;
    if (depth < 0 || this.#way.lastIndexOf(value, depth) >= 0) return true;
    this.#depth = depth;
    return false;
  }

  /** Goes to an object whose properties are read next: one on the way, or the one that was just met. */
  #enter(value: object): void {
    let depth = this.#depth;
    while (depth >= 0 && this.#way[depth] !== value) depth--;
    this.#depth = depth < 0 ? this.#depth + 1 : depth;
  }

  #reducerOf(value: object): string | undefined {
    const prototype: unknown = getPrototypeOf(value);
    if (prototype === Object.prototype || prototype === Array.prototype || prototype === null) return undefined;
    const name = this.#names.get(prototype as object);
    if (name !== undefined) return CLASS + name;
    if (prototype === Buffer.prototype && types.isUint8Array(value)) {
      this.found = faultOfNodeBuffer(value);
      return this.found === undefined ? "Buffer" : undefined;
    }
    if (prototype === ArrayBuffer.prototype && types.isArrayBuffer(value)) {
      return faultOfBuffer(value) === undefined ? "ArrayBuffer" : undefined;
    }
    if (!isErrorPrototype(prototype) || tagOf(value) !== "Error") return undefined;
    if (typeof (value as Error).message !== "string") {
      this.found = { what: "an Error whose message is no text", remedy: "put it into a property of another name" };
      return undefined;
    }
    if (!hasSymbols(value)) return "Error";
    this.found = { what: "an Error with a symbol as a key", remedy: "use a text as the key, or leave it out" };
    return undefined;
  }

  #dataOf(name: string, instance: object): object | symbol {
    let data: unknown;
    try {
      data = (this.#classes[name] as SavedClass).save(instance);
    } catch (error) {
      this.thrown ??= { error, below: "" };
      return REFUSED;
    }
    if (typeof data === "object" && data !== null && data !== instance) return data;
    const what = data === instance ? "the data, not the instance itself" : "an object or array";
    throw new TypeError(`Cannot save an instance of "${name}": its save must return ${what}`);
  }

  #lift(bytes: Uint8Array): number[] {
    return [this.buffers.push(bytes) - 1];
  }

  #within<Item>(holder: object, items: Iterable<Item>): Iterable<Item> {
    this.#enter(holder);
    const depth = this.#depth;
    const iterator = items[Symbol.iterator]();
    const next = () => {
      this.#depth = depth;
      return iterator.next();
    };
    return { [Symbol.iterator]: () => ({ next }) };
  }

  #found(value: object): boolean {
    return (this.found ??= faultOf(value)) !== undefined;
  }
}

function holdsDirectly(holder: object, value: object): boolean {
  if (holder instanceof Map) return holder.has(value) || [...holder.values()].includes(value);
  return holder instanceof Set ? holder.has(value) : Object.values(holder).includes(value);
}

/**
 * Makes a value out of what was parsed. Runs no code but the `load` of registered classes, and touches no prototype.
 *
 * @param parsed What JSON made of the text.
 * @param classes The classes.
 * @param buffers Bytes by their numbers; each is given to one buffer.
 * @throws {TypeError} If it is not what {@link textOfValue} writes.
 */
export function valueOfText(
  parsed: unknown,
  classes: SavedClasses,
  buffers: ReadonlyMap<number, Uint8Array<ArrayBuffer>>,
): unknown {
  const left = new Map(buffers);
  const take = (data: unknown): Uint8Array<ArrayBuffer> => {
    const number: unknown = Array.isArray(data) && data.length === 1 ? data[0] : undefined;
    const bytes = left.get(number as number);
    if (bytes === undefined) throw new TypeError(`it refers to bytes that are not there: ${inspect(number)}`);
    left.delete(number as number);
    return bytes;
  };
  const revivers: Record<string, (data: unknown) => unknown> = {
    Error: errorOf,
    ArrayBuffer: (data) => take(data).buffer,
    Buffer: (data) => Buffer.from(take(data).buffer),
  };
  for (const [name, { load }] of Object.entries(classes)) {
    revivers[CLASS + name] = (data) => {
      if (typeof data !== "object" || data === null) throw new TypeError(`the data of a "${name}" is not an object`);
      const instance: unknown = load(data);
      if (typeof instance === "object" && instance !== null) return instance;
      throw new TypeError(`load of the class "${name}" must return an instance, not ${inspect(instance)}`);
    };
  }
  try {
    if (Array.isArray(parsed)) assertIndexes(parsed);
    return unflatten(parsed as unknown[], revivers, { operations });
  } catch (error) {
    if (error instanceof RangeError && /stack|recursion/i.test(error.message)) {
      throw new TypeError("it is nested too deeply");
    }
    const unknown = /^Unknown type class:(.*)$/s.exec(reasonOf(error));
    if (unknown === null) throw error;
    throw new TypeError(`it holds a "${unknown[1]}", which the option classes does not name`, { cause: error });
  }
}

/** devalue takes an index that is not whole, or below all it knows, for undefined. */
function assertIndexes(values: readonly unknown[]): void {
  const check = (index: unknown): void => {
    if (Number.isInteger(index) && (index as number) >= -6 && (index as number) < values.length) return;
    throw new TypeError(`it has no value ${inspect(index)}`);
  };
  for (const value of values) {
    if (typeof value !== "object" || value === null) continue;
    if (!Array.isArray(value)) Object.values(value).forEach(check);
    else if (value[0] === SPARSE) value.forEach((index, at) => at > 2 && at % 2 === 1 && check(index));
    else if (typeof value[0] !== "string") value.forEach(check);
    else if (value[0] === "null") value.forEach((index, at) => at > 0 && at % 2 === 0 && check(index));
    else if (value[0] === "Set" || value[0] === "Map") value.slice(1).forEach(check);
    else if (!TEXTS.has(value[0])) check(value[1]);
  }
}

const text = (value: unknown): string => {
  if (typeof value !== "string") throw new TypeError("a text was expected");
  return value;
};

const operations = {
  fromISOString: (iso: unknown) => new Date(text(iso)),
  fromRegExpInfo: (source: unknown, flags?: unknown) =>
    new RegExp(text(source), flags === undefined ? "" : text(flags)),
  fromStringValue: (tag: string, value: unknown) => {
    if (tag === "URL") return new URL(text(value));
    if (tag === "URLSearchParams") return new URLSearchParams(text(value));
    throw new TypeError(`it holds a ${tag}, which no save writes`);
  },
  createSparseArray: (length: number) => {
    if (length > MAX_SPARSE_LENGTH) throw new TypeError(`it holds an array of ${length} places, most of them empty`);
    return defaultParseOperations.createSparseArray(length);
  },
};
