// JSON that does not lie: JSON.stringify turns NaN into null, a Map into {} and a Date into text without a word.
//
// The check is one walk before JSON.stringify, which costs about a fifth of it. What a fault's place is called is put together
// only where there is one, on the way back.
import { inspect } from "node:util";
import type { WriteJsonOptions } from "../model/state.ts";

const MAX_DEPTH = 2000;

// Looking for symbols and named properties costs as much as JSON.stringify does, and no runtime has a cheaper way. So this much
// is spent at first, and one more for each value: about 1,000 objects and arrays are looked at, and of more than that a part.
const FREE_LOOKS = 100_000;
const COST_OF_SYMBOLS = 100;
const COST_OF_AN_ITEM = 20;
const COST_OF_INSPECT = 10_000;
// Object.keys makes a text of each index; for longer arrays inspecting is cheaper.
const FEW = 100;
const BRIEFLY = { maxArrayLength: 0, maxStringLength: 0, depth: 0, customInspect: false };
const NOTHING_NAMED = /^\[ \.\.\. \d+ more items? \]$/;

const { getOwnPropertySymbols, hasOwn, keys, prototype: ofObjects } = Object;
const { getPrototypeOf } = Reflect; // V8 is quicker with it than with Object's
const { prototype: ofArrays } = Array;
const isEnumerable = ofObjects.propertyIsEnumerable;

/** What would not come back, and what to write instead. */
interface Fault {
  readonly what: string;
  readonly remedy: string;
  /** Keys and indices on the way to it, the last one first. */
  readonly place: (string | number)[];
}

/**
 * Stringifies a value that JSON carries unchanged.
 *
 * As usual, properties that are undefined are left out, objects with a `toJSON` of their own class speak for themselves, and -0
 * becomes 0.
 *
 * @param value The value.
 * @param options Whether to write it unchecked.
 * @returns Its JSON text.
 * @throws {TypeError} If JSON would silently change the value; names the place, and what to write instead.
 */
export function stringifyStrictly(value: unknown, { asJson = false }: WriteJsonOptions = {}): string {
  const fault = asJson ? undefined : new Check().faultOf(value, 0, "");
  if (fault !== undefined) throw refusal(fault);
  // Despite its type: undefined, functions and a toJSON that says nothing have no JSON text.
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) throw refusal(faultIn("a value of which JSON writes nothing", "write null instead"));
  return text;
}

/** One walk through a value. Nearly all values are plain and whole, so that what decides it stands in one function. */
class Check {
  #looks = FREE_LOOKS;

  /** What JSON would change in a value; `hasSpoken` where a toJSON gave it, for then JSON does not ask its own. */
  faultOf(value: unknown, depth: number, key: string, hasSpoken = false): Fault | undefined {
    if (typeof value !== "object") return faultOfPrimitive(value);
    if (value === null) return undefined;
    if (depth === MAX_DEPTH) return faultIn("a value nested too deeply, or holding itself", "write it flat");
    const isArray = Array.isArray(value);
    const prototype: unknown = getPrototypeOf(value);
    if (prototype !== (isArray ? ofArrays : ofObjects) && !isPlain(prototype, isArray)) {
      if (ArrayBuffer.isView(value) || !hasToJSON(value)) return faultOfClass(value); // Node's Buffer has a toJSON
      if (!hasSpoken) return this.faultOf(value.toJSON(key), depth + 1, key, true);
    } else if (typeof (value as Partial<Speaker>).toJSON === "function" && !hasSpoken) {
      return this.faultOf((value as Speaker).toJSON(key), depth + 1, key, true);
    }
    if (isArray) {
      for (let index = 0; index < value.length; index++) {
        const item: unknown = value[index];
        if (typeof item === "number" ? item - item === 0 : isPlainPrimitive(item)) continue;
        const fault = this.faultOf(item, depth + 1, "");
        if (fault !== undefined) return within(fault, index);
      }
      this.#looks += value.length;
      return this.#faultOfArray(value);
    }
    for (const name in value) {
      this.#looks++;
      const member = (value as Record<string, unknown>)[name];
      if (typeof member === "number" ? member - member === 0 : isPlainPrimitive(member) || member === undefined) {
        continue;
      }
      const fault = this.faultOf(member, depth + 1, name);
      // What all objects inherit where a library extends Object.prototype, JSON does not write.
      if (fault !== undefined && hasOwn(value, name)) return within(fault, name);
    }
    return this.#mayLook(COST_OF_SYMBOLS) ? faultOfSymbols(value) : undefined;
  }

  /** What an array has beside its items. */
  #faultOfArray(array: readonly unknown[]): Fault | undefined {
    // Each match has an index, and few other arrays: so matches are refused however many there are.
    if ((array as { readonly index?: unknown }).index !== undefined) return faultOfNamed(array);
    const isLong = array.length > FEW;
    if (!this.#mayLook(isLong ? COST_OF_INSPECT : COST_OF_SYMBOLS + COST_OF_AN_ITEM * array.length)) return undefined;
    if (isLong && NOTHING_NAMED.test(inspect(array, BRIEFLY))) return undefined;
    return faultOfNamed(array) ?? faultOfSymbols(array);
  }

  #mayLook(cost: number): boolean {
    if (this.#looks < cost) return false;
    this.#looks -= cost;
    return true;
  }
}

/** Whether a value is a primitive that JSON carries, numbers apart. */
function isPlainPrimitive(value: unknown): boolean {
  return typeof value === "string" || typeof value === "boolean" || value === null;
}

interface Speaker {
  toJSON(key: string): unknown;
}

/** Whether a prototype is that of plain objects or plain arrays, also of another realm (a vm context, a frame). */
function isPlain(prototype: unknown, isArray: boolean): boolean {
  if (prototype === null) return !isArray;
  if (isArray) return Array.isArray(prototype); // only Array.prototype is an array itself
  return getPrototypeOf(prototype as object) === null && hasOwn(prototype as object, "isPrototypeOf");
}

// Written in JavaScript by some runtimes, so that they do not look like the runtime's own.
const SPEAKING = ["URL", "URLSearchParams", "Headers", "PerformanceEntry"] as const;

/** Whether a value has a toJSON that its program gave it, and not the runtime, as to a Date. */
function hasToJSON(value: object): value is Speaker {
  const { toJSON } = value as Partial<Speaker>;
  if (typeof toJSON !== "function") return false;
  if (toJSON.name === "toJSON" && /\{\s*\[native code\]\s*\}$/.test(Function.prototype.toString.call(toJSON))) {
    return false;
  }
  return !SPEAKING.some((name) => {
    const speaking = Reflect.get(globalThis, name) as { readonly prototype?: Partial<Speaker> } | undefined;
    return speaking?.prototype?.toJSON === toJSON;
  });
}

function faultOfNamed(array: readonly unknown[]): Fault | undefined {
  const names = keys(array);
  if (names.length <= array.length) return undefined;
  const isMatch = typeof (array as { readonly index?: unknown }).index === "number" && hasOwn(array, "groups");
  if (isMatch) return faultIn("a match of a RegExp", "write [...match], and match.groups beside it if you need them");
  const [name] = names.slice(array.length);
  return faultIn(`an array with the named property "${name}"`, "write [...array], and what is named beside it");
}

function faultOfSymbols(object: object): Fault | undefined {
  const symbol = getOwnPropertySymbols(object).find((each) => isEnumerable.call(object, each));
  if (symbol === undefined) return undefined;
  return faultIn(`an object with the key ${String(symbol)}`, "use a text as the key, or leave the property out");
}

function faultOfPrimitive(value: unknown): Fault | undefined {
  switch (typeof value) {
    case "string":
    case "boolean":
      return undefined;
    case "number":
      return Number.isFinite(value) ? undefined : faultIn(String(value), "write null or a text instead");
    case "undefined":
      return faultIn("undefined", "write null instead");
    case "bigint":
      return faultIn("a bigint", "write String(value), and read it with BigInt(text)");
    default:
      return faultIn(`a ${typeof value}`, "leave it out");
  }
}

const BYTES = "write it as an entry of its own with out.write(path, bytes)";
const BOXED = "write its valueOf()";
const REMEDIES: Readonly<Record<string, string>> = {
  ArrayBuffer: BYTES,
  SharedArrayBuffer: BYTES,
  Boolean: BOXED,
  Number: BOXED,
  String: BOXED,
  BigInt: "write String(value), and read it with BigInt(text)",
  Date: "write its getTime() or toISOString()",
  Error: "write its message and name",
  Headers: "write [...headers]",
  Map: "write [...map]",
  Promise: "await it first",
  RegExp: "write its source and flags",
  Set: "write [...set]",
  Symbol: "leave it out",
  URL: "write its href",
  URLSearchParams: "write String(params)",
  WeakMap: "leave it out",
  WeakRef: "write its deref()",
  WeakSet: "leave it out",
};

/** What to say of an instance of a class that JSON would make a plain object, an array or text. */
function faultOfClass(value: object): Fault {
  const classes = classNames(value);
  const [name] = classes;
  const what = name === undefined || name === "Object" ? "an object that inherits from another one" : `a ${name}`;
  if (ArrayBuffer.isView(value)) return faultIn(what, BYTES);
  if (Array.isArray(value)) {
    return faultIn(what, `write [...array], or give the class ${name ?? ""} a toJSON()`.replace("  ", " "));
  }
  const known = classes.find((each) => hasOwn(REMEDIES, each));
  if (known !== undefined) return faultIn(what, REMEDIES[known] as string);
  const instead = name === undefined || name === "Object" ? "" : `, or give the class ${name} a toJSON()`;
  return faultIn(what, `write a plain object such as { ...object }${instead}`);
}

/** Names of the classes of an object, its own one first. */
function classNames(value: object): string[] {
  const names: string[] = [];
  let prototype: unknown = getPrototypeOf(value);
  for (let depth = 0; typeof prototype === "object" && prototype !== null && depth < 100; depth++) {
    const constructor: unknown = hasOwn(prototype, "constructor") ? Reflect.get(prototype, "constructor") : undefined;
    if (typeof constructor === "function" && constructor.name !== "") names.push(constructor.name);
    prototype = getPrototypeOf(prototype);
  }
  return names;
}

function faultIn(what: string, remedy: string): Fault {
  return { what, remedy, place: [] };
}

function within(fault: Fault, key: string | number): Fault {
  fault.place.push(key);
  return fault;
}

function refusal({ what, remedy, place }: Fault): TypeError {
  // A value that holds itself would have a place of thousands.
  const way = place.length > 100 ? place.slice(-8) : place;
  const where = way.reverse().map((key) => typeof key === "number" ? `[${key}]` : `.${key}`).join("");
  return new TypeError(`Cannot write JSON: ${what} at $${where} would not come back as it was; ${remedy}`);
}
