// How messages show what a caller gave.
import { inspect } from "node:util";

const MOST_LETTERS = 200;

/**
 * A value as a message shows it: text in quotation marks, anything else as the runtime's console prints it.
 *
 * @param value Anything; none of its code runs.
 * @returns One line, cut where it is very long.
 */
export function show(value: unknown): string {
  const text = typeof value === "string" ? JSON.stringify(value) : inspect(value, {
    depth: 2,
    customInspect: false,
    getters: false,
    maxArrayLength: 10,
    maxStringLength: 100,
    breakLength: Infinity,
    compact: true,
  });
  const line = text.replaceAll(/\s*\n\s*/g, " ");
  return line.length > MOST_LETTERS ? `${line.slice(0, MOST_LETTERS)}…` : line;
}

/**
 * A value with its type, for a message about a value of the wrong type.
 *
 * @param value Anything.
 * @returns Such as `"7" is a string`, or `it is a Response`.
 */
export function showType(value: unknown): string {
  const type = value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
  if (type === "null" || type === "undefined") return `it is ${type}`;
  const name = type === "object" ? classOf(value as object) : undefined;
  return name === undefined ? `${show(value)} is ${withArticle(type)}` : `it is ${withArticle(name)}`;
}

/** A noun with "a" or "an" before it, by its sound: a URL, a Uint8Array. */
export function withArticle(noun: string): string {
  return `${/^(?!u(?:int|ni|rl))[aeiou]/i.test(noun) ? "an" : "a"} ${noun}`;
}

/** Name of the class of an instance, whose own properties would say little; absent of a plain object. */
function classOf(value: object): string | undefined {
  const prototype = Object.getPrototypeOf(value) as object | null;
  const constructor: unknown = prototype && Object.getOwnPropertyDescriptor(prototype, "constructor")?.value;
  const name: unknown = typeof constructor === "function" ? constructor.name : undefined;
  return typeof name !== "string" || name === "" || name === "Object" ? undefined : name;
}
