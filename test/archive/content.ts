// Bytes that tests put into archives; nothing of the library is used here.

/** An instant with milliseconds, which no format may round up. */
export const INSTANT_MS: number = Date.UTC(2026, 1, 3, 4, 5, 6, 789);

/** Files by path; text stands for its UTF-8. */
export type Tree = Readonly<Record<string, Uint8Array | string>>;

/** Bytes that no compression makes smaller, the same for the same seed. */
export function noise(sizeBytes: number, seed = 1): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(sizeBytes / 4));
  let word = (seed * 2654435761) >>> 0 || 1;
  for (let index = 0; index < words.length; index++) {
    word ^= word << 13;
    word ^= word >>> 17;
    word ^= word << 5;
    words[index] = word >>> 0;
  }
  return new Uint8Array(words.buffer, 0, sizeBytes).slice();
}

/** Bytes of a file of a tree. */
export function contentOf(content: Uint8Array | string): Uint8Array {
  return typeof content === "string" ? new TextEncoder().encode(content) : content;
}
