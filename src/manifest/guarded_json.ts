// JSON of hostile making: it may not take far more memory than its text, nor smuggle `__proto__` in.

const MAX_DEPTH = 64;
/** How many values labels, or unknown fields, may have beside the entries. */
export const FREE_VALUES: number = 2 ** 20;
// An entry of a manifest has a value in 27 bytes at the most.
const LEAST_BYTES_OF_VALUE = 24;

/**
 * Parses JSON, unless it has more values than a manifest of its length can need: each takes far more memory than text.
 *
 * @param text A manifest, or a note.
 * @returns What it says.
 * @throws {SyntaxError} If it is no JSON, has too many values, or has the key `__proto__`.
 */
export function parseGuarded(text: string): unknown {
  const { values, depth } = measure(text);
  if (values > FREE_VALUES + text.length / LEAST_BYTES_OF_VALUE) throw new SyntaxError("it has too many values");
  // The slow way only where something may hide: the key, as it is or behind an escape, or a depth that breaks what walks it.
  const isSuspicious = depth > MAX_DEPTH || /__proto__|\\u/.test(text);
  return isSuspicious ? JSON.parse(text, refuseProto) : JSON.parse(text);
}

/** How many values JSON has, give or take the empty lists and objects, and how deep they are nested. */
function measure(text: string): { values: number; depth: number } {
  let values = 0;
  let level = 0;
  let depth = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === 0x22) { // to the end of a string: what looks like JSON in it is none
      for (index++; index < text.length; index++) {
        const inner = text.charCodeAt(index);
        if (inner === 0x22) break;
        if (inner === 0x5c) index++;
      }
    } else if (code === 0x2c) values++;
    else if ((code | 0x20) === 0x7b) { // brackets and braces differ in this bit
      values++;
      if (++level > depth) depth = level;
    } else if ((code | 0x20) === 0x7d) level--;
  }
  return { values, depth };
}

/**
 * Reviver that lets all pass but `__proto__`: as a key it is data in JSON text, and a trap everywhere else.
 *
 * @param key The key.
 * @param value What it has.
 * @returns The value.
 * @throws {SyntaxError} If the key is `__proto__`.
 */
export function refuseProto(key: string, value: unknown): unknown {
  if (key === "__proto__") throw new SyntaxError('"__proto__" is no key of a manifest');
  return value;
}
