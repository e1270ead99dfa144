// Saving and reading units of short texts through the contract.
import type { Backend } from "snapkeep";
import type { ByteSource } from "snapkeep/backend";

export const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Publishes a unit; the text is that of a single blob or of a group's manifest. */
export async function publish(backend: Backend, unit: string, text: string, blobs: Record<string, string> = {}) {
  const stage = await backend.stage(unit);
  try {
    for (const [path, body] of Object.entries(blobs)) await stage.write(path, [encode(body)]);
    await stage.publish(unit.endsWith("/") ? "manifest.json" : "", [encode(text)]);
  } catch (error) {
    await stage.abandon();
    throw error;
  }
}

/** All items, in order. */
export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

/** All bytes as text. */
export async function textOf(body: ByteSource): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body) text += decoder.decode(chunk, { stream: true });
  return text;
}

/** Text of a blob, or `undefined` where there is none. */
export async function read(backend: Backend, unit: string, path = ""): Promise<string | undefined> {
  const blob = await backend.open(unit, path);
  if (blob === undefined) return undefined;
  try {
    return await textOf(blob.read(0, blob.sizeBytes));
  } finally {
    await blob.close();
  }
}
