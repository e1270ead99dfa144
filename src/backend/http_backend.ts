// One snapshot behind an HTTP address, read-only, by ranges: the way to look into an archive far away without fetching it.
import type { Backend, BlobReader, Notes, Stage } from "../words/backend.ts";
import { concat } from "../words/bytes.ts";
import { clearTimeout, setTimeout } from "../words/clock.ts";
import { SnapshotError, storageError } from "../words/errors.ts";
import type { Unit } from "../words/unit.ts";

// The first request asks for the file's end, where an archive has its footer, table and manifest.
const TAIL_BYTES = 256 * 1024;
const CHUNK_BYTES = 1024 * 1024;
const IDLE_MS = 30_000;

/** How an {@link httpBackend} asks. */
export interface HttpBackendOptions {
  /** Sent with every request, for authorisation for instance. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Another `fetch`. */
  readonly fetch?: typeof fetch;
  /** How long the server may send nothing, in milliseconds, before it is given up; 30 seconds unless given. */
  readonly idleMs?: number;
}

/** What pins a file: later requests must find the very same. */
interface Version {
  readonly sizeBytes: number;
  readonly etag: string | undefined;
  readonly modified: string | undefined;
}

class HttpBlob implements BlobReader {
  readonly #backend: HttpBackend;
  readonly #version: Version;
  readonly #tail: Uint8Array<ArrayBuffer>;
  readonly #aborter = new AbortController();

  constructor(backend: HttpBackend, version: Version, tail: Uint8Array<ArrayBuffer>) {
    this.#backend = backend;
    this.#version = version;
    this.#tail = tail;
  }

  get sizeBytes(): number {
    return this.#version.sizeBytes;
  }

  async read(offset: number, lengthBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const pieces: Uint8Array[] = [];
    for await (const piece of this.lend(offset, lengthBytes)) pieces.push(piece);
    return concat(pieces);
  }

  async *lend(offset: number, lengthBytes: number): AsyncGenerator<Uint8Array, void> {
    const end = Math.min(offset + lengthBytes, this.sizeBytes);
    if (end <= offset) return;
    const tailOffset = this.sizeBytes - this.#tail.length;
    if (offset >= tailOffset) return yield this.#tail.subarray(offset - tailOffset, end - tailOffset);
    const { etag, modified } = this.#version;
    // A strong ETag can be asked for; where the server has none, the answer is held against what was seen first.
    const condition: Record<string, string> = etag !== undefined && !etag.startsWith("W/") ? { "if-match": etag } : {};
    const answer = await this.#backend.request(
      { ...condition, range: `bytes=${offset}-${end - 1}` },
      this.#aborter.signal,
    );
    if (answer.status !== 206) {
      await answer.body?.cancel();
      throw answer.status === 412 || answer.status === 200 || answer.status === 416
        ? this.#backend.changed()
        : this.#backend.refused(answer);
    }
    const { sizeBytes } = parseContentRange(answer) ?? {};
    const isSame = sizeBytes === this.sizeBytes && (answer.headers.get("etag") ?? undefined) === etag &&
      (answer.headers.get("last-modified") ?? undefined) === modified;
    if (!isSame) {
      await answer.body?.cancel();
      throw this.#backend.changed();
    }
    yield* this.#backend.bodyOf(answer, end - offset);
  }

  async *stream(): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
    for (let offset = 0; offset < this.sizeBytes; offset += CHUNK_BYTES) yield await this.read(offset, CHUNK_BYTES);
  }

  close(): Promise<void> {
    this.#aborter.abort();
    return Promise.resolve();
  }
}

class HttpBackend implements Backend {
  readonly uri: string;
  readonly notes: Notes;
  readonly #url: URL;
  readonly #unit: Unit;
  readonly #options: HttpBackendOptions;

  constructor(url: URL, unit: Unit, options: HttpBackendOptions) {
    this.#url = url;
    this.#unit = unit;
    this.#options = options;
    this.uri = new URL(".", url).href;
    this.notes = {
      get: () => Promise.resolve(undefined),
      put: () => Promise.reject(this.#readOnly("label")),
      remove: () => Promise.reject(this.#readOnly("label")),
      async *list() {},
    };
  }

  create(): Promise<boolean> {
    return Promise.reject(this.#readOnly("make"));
  }

  async *list(): AsyncGenerator<Unit, void> {
    const blob = await this.open(this.#unit);
    if (blob === undefined) return;
    await blob.close();
    yield this.#unit;
  }

  async *blobs(unit: Unit): AsyncGenerator<{ path: string; sizeBytes: number; isRegular: boolean }, void> {
    const blob = await this.open(unit);
    if (blob === undefined) return;
    yield { path: "", sizeBytes: blob.sizeBytes, isRegular: true };
    await blob.close();
  }

  async open(unit: Unit): Promise<BlobReader | undefined> {
    if (unit !== this.#unit) return undefined;
    const answer = await this.request({ range: `bytes=-${TAIL_BYTES}` });
    if (answer.status === 404 || answer.status === 410) {
      await answer.body?.cancel();
      return undefined;
    }
    const range = parseContentRange(answer);
    if (answer.status !== 206 || range === undefined || range.sizeBytes - range.offset > TAIL_BYTES) {
      await answer.body?.cancel();
      const hint = "the server answers no range requests; fetch it and hand its body to importSnapshot or loadState";
      throw answer.status === 200 ? storageError("read", this.#url.href, new Error(hint)) : this.refused(answer);
    }
    const tail: Uint8Array[] = [];
    for await (const piece of this.bodyOf(answer, range.sizeBytes - range.offset)) tail.push(piece);
    const version = {
      sizeBytes: range.sizeBytes,
      etag: answer.headers.get("etag") ?? undefined,
      modified: answer.headers.get("last-modified") ?? undefined,
    };
    return new HttpBlob(this, version, concat(tail));
  }

  stage(): Promise<Stage> {
    return Promise.reject(this.#readOnly("save to"));
  }

  scratch(): Promise<never> {
    const reason =
      "an archive without a table must be unpacked; fetch it and hand its body to importSnapshot or loadState";
    return Promise.reject(storageError("read", this.#url.href, new Error(reason)));
  }

  remove(): Promise<boolean> {
    return Promise.reject(this.#readOnly("remove"));
  }

  sweep(): Promise<readonly Unit[]> {
    return Promise.reject(this.#readOnly("sweep"));
  }

  /** Asks for the file. Compression on the way would count other bytes than the file's. */
  async request(headers: Record<string, string>, signal?: AbortSignal): Promise<Response> {
    const { fetch: ask = globalThis.fetch, headers: own = {} } = this.#options;
    const aborter = new AbortController();
    const init = {
      headers: { "accept-encoding": "identity", ...own, ...headers },
      signal: signal === undefined ? aborter.signal : AbortSignal.any([aborter.signal, signal]),
    };
    try {
      return await this.#soon(ask(this.#url, init));
    } catch (cause) {
      aborter.abort();
      throw storageError("fetch", this.#url.href, cause);
    }
  }

  /** The bytes of an answer, which must be as many as told: of what is sent beyond them nothing is taken. */
  async *bodyOf(answer: Response, lengthBytes: number): AsyncGenerator<Uint8Array, void> {
    if (answer.body === null) throw this.refused(answer);
    const reader = answer.body.getReader();
    let restBytes = lengthBytes;
    try {
      for (;;) {
        const { value } = await this.#soon(reader.read());
        restBytes -= value?.length ?? 0;
        if (value === undefined || restBytes < 0) break;
        yield value;
      }
    } catch (cause) {
      throw storageError("fetch", this.#url.href, cause);
    } finally {
      reader.cancel().catch(() => {}); // what is to hear of it may hang as well
    }
    if (restBytes !== 0) throw this.refused(answer);
  }

  /** Waits for the server, but not for ever. */
  async #soon<T>(work: Promise<T>): Promise<T> {
    const { idleMs = IDLE_MS } = this.#options;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      const error = new DOMException(`the server sent nothing for ${idleMs} ms`, "TimeoutError");
      timer = setTimeout(() => reject(error), idleMs);
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  refused(answer: Response): SnapshotError {
    return storageError(
      "fetch",
      this.#url.href,
      new Error(`the server answered ${answer.status} ${answer.statusText}`.trim()),
    );
  }

  changed(): SnapshotError {
    const uri = this.#url.href;
    return new SnapshotError("SNAPSHOT_CHANGED", `Cannot go on reading "${uri}": it is another file than it was`, {
      uri,
    });
  }

  #readOnly(verb: string): SnapshotError {
    return storageError(verb, this.#url.href, new Error("an HTTP address is read-only"));
  }
}

function parseContentRange(answer: Response): { offset: number; sizeBytes: number } | undefined {
  const match = /^bytes (\d+)-\d+\/(\d+)$/.exec(answer.headers.get("content-range") ?? "");
  const [offset, sizeBytes] = [Number(match?.[1]), Number(match?.[2])];
  return Number.isSafeInteger(offset) && Number.isSafeInteger(sizeBytes) ? { offset, sizeBytes } : undefined;
}

/**
 * A backend of one archive behind an `http:` or `https:` address, and its unit.
 *
 * @throws {SnapshotError} `NAME_UNSAFE` if the last part of the address is no text.
 */
export function httpBackend(url: URL, options: HttpBackendOptions = {}): { backend: Backend; unit: Unit } {
  const name = url.pathname.slice(url.pathname.lastIndexOf("/") + 1);
  let unit: Unit;
  try {
    unit = decodeURIComponent(name);
  } catch (cause) {
    const reason = "its escapes are no UTF-8";
    throw new SnapshotError("NAME_UNSAFE", `Cannot use the snapshot name "${name}": ${reason}`, { name, reason }, {
      cause,
    });
  }
  return { backend: new HttpBackend(url, unit, options), unit };
}
