// Options that a caller misspelt, or gave what they cannot be, are a caller's mistake, found before anything else happens. The only
// file that knows leven.
import { closestMatch } from "leven";
import { types } from "node:util";
import { show, showType } from "./show.ts";

type Kind =
  | "true or false"
  | "a string"
  | "a number"
  | "a function"
  | "an array"
  | "a Map"
  | "a Date"
  | "an object"
  | "a plain object"
  | "an AbortSignal";

/** What an option may be, and how messages call it. */
const KINDS: Readonly<Record<Kind, (value: unknown) => boolean>> = {
  "true or false": (value) => typeof value === "boolean",
  "a string": (value) => typeof value === "string",
  "a number": (value) => typeof value === "number",
  "a function": (value) => typeof value === "function",
  "an array": Array.isArray,
  "a Map": (value) => hasMethods(value, "get", "has", "entries"), // of any realm, as everywhere
  "a Date": types.isDate,
  "an object": (value) => typeof value === "object" && value !== null && !Array.isArray(value),
  "a plain object": (value) => KINDS["an object"](value) && isPlain(value as object),
  "an AbortSignal": (value) => hasMethods(value, "throwIfAborted", "addEventListener"),
};

/** What an option may be; `true` where the code that uses it checks it before any I/O. */
type OptionKind = Kind | true;

/**
 * The name of every option of an options type, with what it may be: a kind, or the names of the options within it. The compiler
 * keeps it complete.
 */
export type OptionNames<Options> = { readonly [Name in keyof Required<Options>]: OptionKind | AnyNames };

type AnyNames = { readonly [name: string]: OptionKind | AnyNames };

/** The one option of what only a signal can end. */
export interface SignalOptions {
  /**
   * Aborts: the call rejects with the signal's reason.
   *
   * @default none
   */
  readonly signal?: AbortSignal | undefined;
}

/** The names of {@link SignalOptions}. */
export const SIGNAL_OPTION: OptionNames<SignalOptions> = { signal: "an AbortSignal" };

/**
 * The candidate that is spelt most like a word.
 *
 * @param word What was written.
 * @param candidates What could have been meant.
 * @param mostEdits How many letters may differ.
 * @returns The nearest one; `undefined` if there is none.
 */
export function nearest(word: string, candidates: readonly string[], mostEdits: number = Infinity): string | undefined {
  return closestMatch(word, candidates, { maxDistance: mostEdits });
}

/**
 * Throws if `options` is not an object, has an option that does not exist, or one that cannot be what it is. An option that is
 * undefined counts as absent, but must exist.
 *
 * @param action What the caller does, after "Cannot": `save`, `register "model"`.
 * @param options What the caller gave.
 * @param names The options there are.
 * @throws {TypeError} Names the unknown option and the nearest one that exists, or the value and what is expected.
 */
export function assertOptions<Options>(action: string, options: Options, names: OptionNames<Options>): void {
  assertNames(action, options, names as AnyNames, "");
}

function assertNames(action: string, options: unknown, names: AnyNames, outer: string): void {
  const what = outer === "" ? "the options" : `"${outer}"`;
  if (!KINDS["an object"](options)) {
    throw new TypeError(`Cannot ${action}: ${what} must be an object, not ${describe(options)}`);
  }
  const isInstance = !isPlain(options as object) &&
    (types.isMap(options) || Object.keys(names).every((name) => !(name in (options as object))));
  if (isInstance) throw new TypeError(`Cannot ${action}: ${what} must be a plain object, but ${showType(options)}`);
  for (const option of Object.keys(options as object)) {
    const path = outer === "" ? option : `${outer}.${option}`;
    if (!Object.hasOwn(names, option)) {
      throw new TypeError(`Cannot ${action}: there is no option "${path}"; ${remedyOf(option, names)}`);
    }
    const kind = names[option] as AnyNames[string];
    const value: unknown = (options as Record<string, unknown>)[option];
    if (value === undefined || kind === true) continue;
    if (typeof kind === "object") assertNames(action, value, kind, path);
    else if (!KINDS[kind](value)) {
      throw new TypeError(`Cannot ${action}: the option "${path}" must be ${kind}, not ${describe(value)}`);
    }
  }
}

/**
 * Throws if an argument is not a string.
 *
 * @param action What the caller does, after "Cannot".
 * @param what What the argument is: `its message`.
 * @param value What the caller gave.
 * @throws {TypeError} Names the argument and its value.
 */
export function assertString(action: string, what: string, value: unknown): void {
  if (typeof value !== "string") {
    throw new TypeError(`Cannot ${action}: ${what} must be a string, but ${showType(value)}`);
  }
}

/**
 * Throws if an argument is not a number, or is NaN.
 *
 * @param action What the caller does, after "Cannot".
 * @param what What the argument is: `olderThanMs`.
 * @param value What the caller gave.
 * @throws {TypeError} Names the argument and its value.
 */
export function assertNumber(action: string, what: string, value: unknown): void {
  if (typeof value !== "number" || Number.isNaN(value)) {
    throw new TypeError(`Cannot ${action}: ${what} must be a number, not ${describe(value)}`);
  }
}

/**
 * Throws if an argument is not an object with some methods.
 *
 * @param action What the caller does, after "Cannot": `save`, `compare snapshots`.
 * @param value What the caller gave.
 * @param expected What it must be: `a StateStore`.
 * @param methods Names of methods that tell it.
 * @throws {TypeError} Names the value and what is expected.
 */
export function assertMethods(action: string, value: unknown, expected: string, ...methods: readonly string[]): void {
  if (hasMethods(value, ...methods)) return;
  throw new TypeError(`Cannot ${action}: expected ${expected}, but ${showType(value)}`);
}

function remedyOf(option: string, names: AnyNames): string {
  const known = Object.keys(names);
  if (known.length === 0) return "it takes none";
  const holder = known.find((name) => typeof names[name] === "object" && Object.hasOwn(names[name], option));
  const isNear = nearest(option, known, Math.max(2, Math.floor(option.length / 2))) !== undefined;
  const all = isNear || known.length === 1 ? "" : ` It takes ${known.map((name) => `"${name}"`).join(", ")}`;
  const near = `did you mean "${nearest(option, known)}"?${all}`;
  return holder === undefined ? near : `it belongs in { ${holder}: { ${option}: ... } }`;
}

/** Whether an object is written as a literal, of whatever realm; an instance of a class has another prototype. */
function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null;
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function hasMethods(value: unknown, ...methods: readonly string[]): boolean {
  if (typeof value !== "object" || value === null) return false;
  return methods.every((method) => typeof (value as Record<string, unknown>)[method] === "function");
}

function describe(value: unknown): string {
  return Array.isArray(value) ? "an array" : typeof value === "string" ? `the string ${show(value)}` : show(value);
}
