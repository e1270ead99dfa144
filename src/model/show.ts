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
 * @returns Such as `"7" is a string`.
 */
export function showType(value: unknown): string {
  const type = value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
  if (type === "null" || type === "undefined") return `it is ${type}`;
  return `${show(value)} is ${/^[aeiou]/.test(type) ? "an" : "a"} ${type}`;
}
