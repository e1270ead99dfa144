// What the measuring process and its contenders tell each other.

/**
 * @typedef {{ name: string, bytes: Uint8Array }} Entry
 * @typedef {{ folder: string, entries: readonly Entry[], out: string, level?: number, options?: any }} SaveJob
 *   `folder` holds `data/<name>`; `entries` is empty where the folder is to be read.
 * @typedef {{ from: string, options?: any }} LoadJob
 * @typedef {() => Promise<void | (() => Promise<void>)>} Save What is measured; resolves to what is left to do unmeasured.
 * @typedef {() => Promise<readonly Uint8Array[]>} Load Everything, in memory.
 * @typedef {{ program: import("./inputs.mjs").Program, out: string, options?: any }} SavesJob
 * @typedef {{ save: () => Promise<string>, contents: (saved: string) => Promise<[string, unknown][]> }} Saves `save` resolves to
 *   what it wrote, a file or a folder; `contents` reads that back: values, and the bytes of the weights.
 */

/** @param {Uint8Array} bytes @returns {Buffer} The same memory. */
export function bufferOf(bytes) {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** @param {AsyncIterable<Uint8Array>} stream */
export async function gather(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
}
