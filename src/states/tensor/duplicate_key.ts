// JSON.parse keeps the last of two values with one key, so a file could show other tensors to other readers.

const [QUOTE, COLON, BACKSLASH, OPEN, CLOSE] = [0x22, 0x3a, 0x5c, 0x7b, 0x7d];
const SPACE = 0x20; // the greatest white space of JSON

/**
 * Finds a key that an object has twice, at any depth. Two spellings of one key are the same.
 *
 * @param text Valid JSON.
 * @returns The first such key; `undefined` if there is none.
 */
export function duplicateKey(text: string): string | undefined {
  const open: Set<string>[] = [];
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === OPEN) open.push(new Set());
    else if (code === CLOSE) open.pop();
    if (code !== QUOTE) continue;
    const start = at;
    for (at++; text.charCodeAt(at) !== QUOTE; at++) if (text.charCodeAt(at) === BACKSLASH) at++;
    let next = at + 1;
    while (text.charCodeAt(next) <= SPACE) next++;
    if (text.charCodeAt(next) !== COLON) continue; // a text, not a key
    const key = JSON.parse(text.slice(start, at + 1)) as string;
    const keys = open.at(-1);
    if (keys?.has(key)) return key;
    keys?.add(key);
  }
  return undefined;
}
