// Where two JSON values differ. Works on values of any depth, and on keys such as `__proto__` and `toString`.
import type { JsonValue } from "../model/snapshot.ts";

/** One place at which two JSON values differ. */
export interface JsonChange {
  /** The place, such as `$.layers[3].bias`. */
  readonly path: string;
  /** What happened to it. */
  readonly change: "added" | "changed" | "removed";
  /** The value in the first; absent if it was added. */
  readonly before?: JsonValue;
  /** The value in the second; absent if it was removed. */
  readonly after?: JsonValue;
}

/** The places at which two JSON values differ. */
export interface JsonDifference {
  /** The first of them, in order of the second value; keys that were removed come last in their object. */
  readonly changes: readonly JsonChange[];
  /** How many more there are. */
  readonly more: number;
}

/** A key with those it lies below. */
interface Place {
  readonly above: Place | undefined;
  readonly key: string | number;
}

interface Pair {
  readonly place: Place | undefined;
  readonly before: JsonValue | undefined;
  readonly after: JsonValue | undefined;
}

type Container = Readonly<Record<string, JsonValue>> | readonly JsonValue[];

/** Tells where two JSON values differ. Elements of arrays are compared by their index. */
export function jsonChanges(before: JsonValue, after: JsonValue, most = 1000): JsonDifference {
  const changes: JsonChange[] = [];
  let more = 0;
  const left: Pair[] = [{ place: undefined, before, after }];
  for (let pair = left.pop(); pair !== undefined; pair = left.pop()) {
    const inner = pairsIn(pair);
    if (inner !== undefined) {
      for (let at = inner.length - 1; at >= 0; at--) left.push(inner[at] as Pair);
    } else if (!Object.is(pair.before, pair.after)) {
      if (changes.length < most) changes.push(changeOf(pair));
      else more++;
    }
  }
  return { changes, more };
}

/** What lies in two containers of one kind; `undefined` if the values are compared themselves. */
function pairsIn({ place, before, after }: Pair): Pair[] | undefined {
  if (!isContainer(before) || !isContainer(after) || Array.isArray(before) !== Array.isArray(after)) return undefined;
  const valueAt = (container: Container, key: string): JsonValue | undefined =>
    Object.hasOwn(container, key) ? (container as Readonly<Record<string, JsonValue>>)[key] : undefined;
  const keys = [...Object.keys(after), ...Object.keys(before).filter((key) => !Object.hasOwn(after, key))];
  return keys.map((key) => ({
    place: { above: place, key: Array.isArray(after) ? Number(key) : key },
    before: valueAt(before, key),
    after: valueAt(after, key),
  }));
}

function isContainer(value: JsonValue | undefined): value is Container {
  return typeof value === "object" && value !== null;
}

function changeOf({ place, before, after }: Pair): JsonChange {
  const path = textOf(place);
  if (after === undefined) return { path, change: "removed", before: before as JsonValue };
  return before === undefined ? { path, change: "added", after } : { path, change: "changed", before, after };
}

function textOf(place: Place | undefined): string {
  const parts: string[] = [];
  for (let at = place; at !== undefined; at = at.above) {
    const { key } = at;
    parts.push(
      typeof key === "number" ? `[${key}]` : /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`,
    );
  }
  return `$${parts.reverse().join("")}`;
}
