// What a value holds that would not come back from devalue as it was, and what to do instead. devalue goes by what a value says it is:
// a subclass of Map would come back as a Map, and an array without its named properties.
import { inspect, types } from "node:util";

/** What would not come back, and what to do instead. */
export interface Fault {
  /** A noun, as messages name it. */
  readonly what: string;
  /** An imperative. */
  readonly remedy: string;
}

/** An array with holes may have at most so many places: walking through more takes too long. */
export const MAX_SPARSE_LENGTH: number = 2 ** 24;

// Listing the properties of long arrays takes longer than printing none of their items.
const FEW = 100;
const BRIEFLY = { maxArrayLength: 0, maxStringLength: 0, depth: 0, customInspect: false };
const NOTHING_NAMED = /^(?:\w+\(\d+\) (?:\[\w+\] )?)?\[ \.\.\. \d+ more items? \]$/;

const { getPrototypeOf, hasOwn } = Object;
const { ownKeys } = Reflect;

/** Objects of the runtime that have no items, and how many own properties each has by itself. */
const OWN_PROPERTIES: Readonly<Record<string, number>> = {
  Date: 0,
  RegExp: 1,
  Map: 0,
  Set: 0,
  URL: 0,
  URLSearchParams: 0,
  Number: 0,
  Boolean: 0,
  BigInt: 0,
  ArrayBuffer: 0,
  DataView: 0,
};
/** Kinds by the prototypes of this realm, which nearly all values have. */
const KINDS: ReadonlyMap<unknown, string> = new Map(
  Object.keys(OWN_PROPERTIES).map((
    name,
  ) => [(Reflect.get(globalThis, name) as { prototype: unknown }).prototype, name]),
);
/** Whether an object is what its prototype says: one that was made by Object.create, or a Proxy, has nothing in it that can be read. */
const IS_REALLY: Readonly<Record<string, (value: object) => boolean>> = {
  Date: types.isDate,
  RegExp: types.isRegExp,
  Map: types.isMap,
  Set: types.isSet,
  Number: types.isNumberObject,
  Boolean: types.isBooleanObject,
  BigInt: types.isBigIntObject,
  ArrayBuffer: types.isArrayBuffer,
  DataView: types.isDataView,
};
const OTHER_HOLDERS = new Set(["String", "SharedArrayBuffer", "WeakMap", "WeakSet", "WeakRef", "Promise"]);
const VIEW = /^(?:(?:Big)?(?:Ui|I)nt\d+|Uint8Clamped|Float\d+)Array$/;

/** What a value says that it is, as devalue asks it. */
export function tagOf(value: object): string {
  const prototype: unknown = getPrototypeOf(value);
  if (prototype === Object.prototype && (value as Record<symbol, unknown>)[Symbol.toStringTag] === undefined) {
    return "Object";
  }
  return KINDS.get(prototype) ?? Object.prototype.toString.call(value).slice(8, -1);
}

/** What of an object devalue would lose. */
export function faultOf(value: object): Fault | undefined {
  const prototype: unknown = getPrototypeOf(value);
  const tag = tagOf(value);
  if (prototype === Object.prototype || prototype === null) {
    return faultOfDisguise(value) ?? (tag === "Object" ? undefined : describe(value));
  }
  if (tag === "Object") {
    const isPlain = getPrototypeOf(prototype) === null && hasOwn(prototype as object, "isPrototypeOf"); // of another realm
    return isPlain ? faultOfDisguise(value) : ofClass(value);
  }
  if (tag === "SharedArrayBuffer") return faultOfBuffer(value);
  const own = OWN_PROPERTIES[tag];
  const isView = VIEW.test(tag);
  if (own === undefined && !isView && tag !== "Array" && tag !== "String") return describe(value);
  if (!isOf(prototype, tag)) return ofClass(value);
  if (IS_REALLY[tag]?.(value) === false) {
    return { what: `a Proxy of a ${tag}, or what only inherits from ${tag}`, remedy: "save the object behind it" };
  }
  if (tag === "Array") return faultOfArray(value as unknown[]);
  if (tag === "ArrayBuffer") return faultOfBuffer(value);
  if (tag === "String") return ownKeys(value).length > (value as unknown as string).length + 1 ? NAMED : undefined;
  if (isView || tag === "DataView") {
    const fault = faultOfBuffer((value as ArrayBufferView).buffer);
    if (fault !== undefined) return fault;
  }
  if (isView) return hasNamed(value as unknown as unknown[]) ? NAMED : undefined;
  if (own === undefined || ownKeys(value).length <= own) return undefined;
  // Runtimes that write URLs in JavaScript give them properties of their own, under symbols.
  const named = tag.startsWith("URL") ? ownKeys(value).filter((key) => typeof key === "string") : ownKeys(value);
  return named.length > own ? NAMED : undefined;
}

/** What of an object would be lost whose prototype is that of plain objects, although it is none. */
function faultOfDisguise(value: object): Fault | undefined {
  const kind = disguised(value);
  if (kind === undefined) return undefined;
  if (kind === "Arguments") return { what: "an arguments object", remedy: "save [...arguments]" };
  const what = /^[aeiou]/i.test(kind) ? `an ${kind}` : `a ${kind}`;
  return { what: `${what} whose prototype was replaced`, remedy: "save a plain object instead" };
}

const { isAnyArrayBuffer, isBoxedPrimitive, isGeneratorObject, isMap, isMapIterator, isPromise, isSet, isSetIterator } =
  types;
const { isWeakMap, isWeakSet } = types;
const { isView } = ArrayBuffer;

/** What an object with the prototype of plain ones really is, if it is another. */
function disguised(value: object): string | undefined {
  if ((value as Record<symbol, unknown>)[Symbol.toStringTag] === undefined) {
    const tag = Object.prototype.toString.call(value);
    if (tag !== "[object Object]") return tag.slice(8, -1);
  }
  // One after the other, and not in a loop: each plain object meets them all.
  const isPlain = !isMap(value) && !isSet(value) && !isView(value) && !isPromise(value) && !isAnyArrayBuffer(value) &&
    !isBoxedPrimitive(value) && !isWeakMap(value) && !isWeakSet(value) && !isGeneratorObject(value) &&
    !isMapIterator(value) && !isSetIterator(value);
  if (isPlain) return undefined;
  return Object.keys(IS_REALLY).find((name) => IS_REALLY[name]?.(value)) ?? "object of the runtime";
}

function faultOfArray(array: readonly unknown[]): Fault | undefined {
  const { length } = array;
  if (length > MAX_SPARSE_LENGTH && ownKeys(array).length <= length) {
    return { what: `an array of ${length} places, most of them empty`, remedy: "use a Map of the others" };
  }
  return hasNamed(array) ? NAMED : undefined;
}

const NAMED: Fault = {
  what: "an object of the runtime with named properties of its own",
  remedy: "put it and what is named beside it into a plain object",
};

/** What of a buffer would be lost. */
export function faultOfBuffer(buffer: object): Fault | undefined {
  return faultOfMemory(buffer) ?? (ownKeys(buffer).length > 0 ? NAMED : undefined);
}

/** What of a buffer would be lost beside its own properties. */
function faultOfMemory(buffer: object): Fault | undefined {
  if (tagOf(buffer) === "SharedArrayBuffer") {
    return { what: "a SharedArrayBuffer", remedy: "save a copy of its bytes, and share them again in set" };
  }
  if ((buffer as { readonly resizable?: boolean }).resizable === true) {
    return { what: "a resizable ArrayBuffer", remedy: "save buffer.slice(), and make it resizable again in set" };
  }
  if (isDetached(buffer as ArrayBuffer)) {
    return { what: "an ArrayBuffer that was transferred", remedy: "leave it out" };
  }
  return undefined;
}

function isDetached(buffer: ArrayBuffer & { readonly detached?: boolean }): boolean {
  if (buffer.byteLength > 0 || buffer.detached !== undefined) return buffer.detached === true;
  try {
    new Uint8Array(buffer); // Node 20 does not tell, but refuses this
    return false;
  } catch {
    return true;
  }
}

/** Whether an object has enumerable properties under symbols. */
export function hasSymbols(value: object): boolean {
  return Object.getOwnPropertySymbols(value).some((key) => Object.prototype.propertyIsEnumerable.call(value, key));
}

/** Whether what an object consists of lies elsewhere than in its properties, as that of a Map does. */
export function holdsItems(value: object): boolean {
  const tag = tagOf(value);
  return OWN_PROPERTIES[tag] !== undefined || VIEW.test(tag) || OTHER_HOLDERS.has(tag) || Array.isArray(value);
}

/** Whether a prototype is that of a class of the runtime itself, also of another realm's. */
function isOf(prototype: unknown, tag: string): boolean {
  const own = Reflect.get(globalThis, tag) as { readonly prototype?: unknown } | undefined;
  if (prototype === own?.prototype) return true;
  const type: unknown = hasOwn(prototype as object, "constructor")
    ? Reflect.get(prototype as object, "constructor")
    : 0;
  return typeof type === "function" && type.name === tag &&
    /\{\s*\[native code\]\s*\}$/.test(Function.prototype.toString.call(type));
}

/** Whether an array or view has properties beside its items. */
function hasNamed(list: readonly unknown[]): boolean {
  if (list.length > FEW) return !NOTHING_NAMED.test(inspect(list, BRIEFLY));
  const isArray = Array.isArray(list);
  const keys = ownKeys(list);
  // Indexes come first, then "length"; so that nothing else is there is seen by the count alone.
  if (keys.length === list.length + Number(isArray) && (!isArray || keys[list.length] === "length")) return false;
  return keys.some((key) => typeof key === "symbol" || !(isArray && key === "length") && !isIndex(key));
}

function isIndex(key: string): boolean {
  const number = Number(key) >>> 0;
  return String(number) === key && number < 2 ** 32 - 1;
}

/** What of a Buffer would be lost; the memory that it shares with others is the runtime's. */
export function faultOfNodeBuffer(view: Uint8Array): Fault | undefined {
  return faultOfMemory(view.buffer) ?? (hasNamed(view as unknown as unknown[]) ? NAMED : undefined);
}

/** The class of an object, with an article. */
export function nameOf(value: object): string {
  const type: unknown = Reflect.get(value, "constructor");
  const name = typeof type === "function" && type.name !== "" ? type.name : "object without a class";
  return /^[aeiou]/i.test(name) ? `an ${name}` : `a ${name}`;
}

function ofClass(value: object): Fault {
  return { what: nameOf(value), remedy: "name its class in the option classes, or save a plain object instead" };
}

/** What devalue refuses by itself. */
export function describe(value: unknown): Fault {
  if (typeof value === "function") return { what: "a function", remedy: "leave it out" };
  if (typeof value === "symbol") return { what: "a symbol", remedy: "save a text instead" };
  if (typeof value !== "object" || value === null) return { what: "a value", remedy: "leave it out" };
  if (typeof (value as PromiseLike<unknown>).then === "function") {
    return { what: "a Promise", remedy: "await it first" };
  }
  const isPlain = getPrototypeOf(value) === Object.prototype || getPrototypeOf(value) === null;
  if (!isPlain) return ofClass(value);
  if (Object.hasOwn(value, "__proto__")) return { what: 'an object with the key "__proto__"', remedy: "use a Map" };
  return { what: "an object with a symbol as a key", remedy: "use a text as the key, or a Map" };
}
