// JSON that does not lie: JSON.stringify turns NaN into null, a Map into {} and drops functions without a word.

const MAX_DEPTH = 2000;

// JSON unwraps these, and writes null for a NaN within.
const BOXES = [Number, String, Boolean];
// JSON writes these as empty objects.
const EMPTIED = [ArrayBuffer, Map, Set, WeakMap, WeakSet, RegExp, Promise, Error];

/**
 * Stringifies a value that JSON carries unchanged.
 *
 * As usual, properties that are undefined and symbols as keys are left out, objects with `toJSON` speak for themselves (a Date as
 * text), objects of a class become plain ones, and -0 becomes 0.
 *
 * @param value The value.
 * @returns Its JSON text.
 * @throws {TypeError} If JSON would silently change the value; names the place.
 */
export function stringifyStrictly(value: unknown): string {
  assertJson(value, [], 0);
  // Despite its type: a toJSON may say nothing at all, and nothing is no JSON text.
  const text = JSON.stringify(value) as string | undefined;
  return text ?? refuse("a toJSON that says nothing", []);
}

// `hasSpoken`: the value is what a toJSON gave, whose own toJSON JSON does not ask.
function assertJson(value: unknown, place: (string | number)[], depth: number, hasSpoken = false): void {
  switch (typeof value) {
    case "string":
    case "boolean":
      return;
    case "number":
      return Number.isFinite(value) ? undefined : refuse(String(value), place);
    case "object":
      break;
    default:
      return refuse(typeof value === "undefined" ? "undefined" : `a ${typeof value}`, place);
  }
  if (value === null) return;
  // Before toJSON: Node's Buffer has one, and would come back as an object.
  if (ArrayBuffer.isView(value) || BOXES.some((box) => value instanceof box)) return refuse(nameOf(value), place);
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON === "function" && !hasSpoken) {
    if (isInvalidDate(value)) return refuse("an invalid Date", place);
    return assertJson(toJSON.call(value, String(place[depth - 1] ?? "")), place, depth, true);
  }
  if (depth === MAX_DEPTH) return refuse("a value nested too deeply, or holding itself", place.slice(0, 8));
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      place[depth] = index;
      assertJson(value[index], place, depth + 1);
    }
    place.length = depth;
    return;
  }
  if (EMPTIED.some((emptied) => value instanceof emptied)) return refuse(nameOf(value), place);
  const keys = Object.keys(value);
  if (keys.length === 0 && !isPlain(value)) return refuse(nameOf(value), place); // what it holds is hidden from JSON
  for (const key of keys) {
    const member = (value as Record<string, unknown>)[key];
    if (member === undefined) continue;
    place[depth] = key;
    assertJson(member, place, depth + 1);
  }
  place.length = depth;
}

/** A Date of any realm that stands for no time. */
function isInvalidDate(value: object): boolean {
  return Object.prototype.toString.call(value) === "[object Date]" && Number.isNaN(Number(value));
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function nameOf(value: object): string {
  return `a ${Object.getPrototypeOf(value)?.constructor?.name ?? "special object"}`;
}

function refuse(what: string, place: readonly (string | number)[]): never {
  const where = place.map((key) => typeof key === "number" ? `[${key}]` : `.${key}`).join("");
  throw new TypeError(`Cannot write JSON: ${what} at $${where} would not come back as it was`);
}
