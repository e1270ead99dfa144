// What the backend asks of a key-value store, and the smallest one there is. Object stores with conditional writes, Redis,
// Deno KV, IndexedDB and most databases can do the same; values of theirs that are too small for a blob need cutting.

/** Values by key. The one thing that must be atomic is `swap`. */
export interface KeyValue {
  /** The value of a key. */
  get(key: string): Promise<Uint8Array | undefined>;
  /** Sets a value, or removes it with `undefined`. */
  set(key: string, value: Uint8Array | undefined): Promise<void>;
  /** As `set`, but only where the value is still `expected`; tells whether it was. */
  swap(key: string, expected: Uint8Array | undefined, value: Uint8Array | undefined): Promise<boolean>;
  /** All keys that begin with `prefix`, in any order. */
  keys(prefix: string): Promise<string[]>;
}

/** A key-value store in memory. */
export class MapKeyValue implements KeyValue {
  readonly #values = new Map<string, Uint8Array>();

  async get(key: string): Promise<Uint8Array | undefined> {
    return this.#values.get(key)?.slice();
  }

  async set(key: string, value: Uint8Array | undefined): Promise<void> {
    if (value === undefined) this.#values.delete(key);
    else this.#values.set(key, value.slice());
  }

  async swap(key: string, expected: Uint8Array | undefined, value: Uint8Array | undefined): Promise<boolean> {
    if (String(this.#values.get(key)) !== String(expected)) return false;
    await this.set(key, value);
    return true;
  }

  async keys(prefix: string): Promise<string[]> {
    return [...this.#values.keys()].filter((key) => key.startsWith(prefix));
  }
}
