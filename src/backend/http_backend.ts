// One snapshot behind an HTTP address, read-only, by ranges: the way to look into an archive far away without fetching it.
import { showAddress } from "../model/address.ts";
import type { Backend, BlobReader, SnapshotNotes, Stage } from "../model/backend.ts";
import { concat } from "../runtime/bytes.ts";
import { clearTimeout, setTimeout } from "../runtime/clock.ts";
import { reasonOf, SnapshotError, storageError } from "../model/errors.ts";
import { showType } from "../model/show.ts";
import { shownUrl } from "../model/shown_url.ts";
import type { Unit } from "../model/unit.ts";

// The first request asks for the file's end, where an archive has its footer, table and manifest.
const TAIL_BYTES = 256 * 1024;
const IDLE_MS = 30_000;
const MAX_REDIRECTS = 5;
// What servers answer that know no range of a file's last bytes.
const WITHOUT_SUFFIX: ReadonlySet<number> = new Set([200, 206, 400, 416, 501]);
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** How an {@link httpBackend} asks. */
export interface HttpBackendOptions {
  /** Sent with every request to the address' own origin, for authorisation for instance. */
  readonly headers?: HeadersInit;
  /** Another `fetch`. */
  readonly fetch?: typeof fetch;
  /** How long the server may send nothing, in milliseconds, before the request is aborted; 30 seconds by default. */
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

  async *read(offset: number, lengthBytes: number): AsyncGenerator<Uint8Array, void> {
    const end = Math.min(offset + lengthBytes, this.sizeBytes);
    if (end <= offset) return;
    const tailOffset = this.sizeBytes - this.#tail.length;
    if (offset >= tailOffset) return yield this.#tail.subarray(offset - tailOffset, end - tailOffset);
    const { etag, modified } = this.#version;
    // A strong ETag can be asked for; where the server has none, the answer is compared with what was seen first.
    const condition: Record<string, string> = etag !== undefined && !etag.startsWith("W/") ? { "if-match": etag } : {};
    const asked = `bytes=${offset}-${end - 1}`;
    const answer = await this.#backend.request({ ...condition, range: asked }, "GET", this.#aborter.signal);
    if (answer.status !== 206) {
      discard(answer);
      throw answer.status === 412 || answer.status === 200 || answer.status === 416
        ? this.#backend.changed()
        : this.#backend.refused(answer, asked);
    }
    const range = contentRange(answer);
    const isSame = (range?.sizeBytes ?? this.sizeBytes) === this.sizeBytes &&
      (answer.headers.get("etag") ?? undefined) === etag &&
      (answer.headers.get("last-modified") ?? undefined) === modified;
    if (!isSame || range?.offset !== offset || range.end !== end) {
      discard(answer);
      throw isSame ? this.#backend.refused(answer, asked) : this.#backend.changed();
    }
    yield* this.#backend.bodyOf(answer, end - offset, asked);
  }

  close(): Promise<void> {
    this.#aborter.abort();
    return Promise.resolve();
  }
}

/** Headers of a caller that say what it can read and who it is, and so hold no secret. */
const PUBLIC_HEADER = /^(?:accept(?:-.+)?|cache-control|pragma|user-agent)$/;

class HttpBackend implements Backend {
  readonly uri: string;
  readonly notes: SnapshotNotes;
  readonly #url: URL;
  readonly #shown: string;
  readonly #headers: Headers;
  readonly #secrets: readonly string[];
  readonly #unit: Unit;
  readonly #options: HttpBackendOptions;

  constructor(url: URL, unit: Unit, options: HttpBackendOptions) {
    this.#shown = shownUrl(url);
    this.#headers = headersOf(url, options.headers, this.#shown);
    // Of "Bearer ..." the second word alone is one as well.
    this.#secrets = [
      ...secretsOf(url),
      ...[...this.#headers].flatMap(([name, value]) => PUBLIC_HEADER.test(name) ? [] : [value, ...value.split(" ")]),
    ];
    this.#url = withoutUser(url);
    this.#unit = unit;
    this.#options = options;
    this.uri = withoutUser(new URL(".", url)).href;
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
    const asked = `bytes=-${TAIL_BYTES}`;
    const answer = await this.request({ range: asked });
    if (answer.status === 404 || answer.status === 410) {
      discard(answer);
      return undefined;
    }
    const range = contentRange(answer);
    const { sizeBytes = -1 } = range ?? {};
    const isTail = answer.status === 206 && range?.offset === Math.max(0, sizeBytes - TAIL_BYTES) &&
      range.end === sizeBytes;
    if (isTail) return await this.#blobOf(answer, sizeBytes, asked);
    discard(answer);
    if (!WITHOUT_SUFFIX.has(answer.status)) throw this.refused(answer, asked);
    return await this.#openBySize(sizeBytes === -1 ? await this.#size() : sizeBytes);
  }

  /** Opens the file where the server cannot be asked for the end of a file whose size is unknown. */
  async #openBySize(sizeBytes: number): Promise<BlobReader> {
    if (sizeBytes === 0) {
      return new HttpBlob(this, { sizeBytes, etag: undefined, modified: undefined }, new Uint8Array());
    }
    const offset = Math.max(0, sizeBytes - TAIL_BYTES);
    const asked = `bytes=${offset}-${sizeBytes - 1}`;
    const answer = await this.request({ range: asked });
    const range = contentRange(answer);
    // A server without ranges sends all of a file; one that is no longer than its end is taken.
    const isWhole = answer.status === 200 && offset === 0;
    const isPart = answer.status === 206 && range?.offset === offset && range.end === sizeBytes &&
      (range.sizeBytes ?? sizeBytes) === sizeBytes;
    if (isWhole || isPart) return await this.#blobOf(answer, sizeBytes, asked);
    discard(answer);
    throw this.#unranged(answer, asked);
  }

  #unranged(answer: Response, asked: string): SnapshotError {
    if (answer.status !== 200) return this.refused(answer, asked);
    const hint = "the server answers no range requests; fetch it and hand its body to importSnapshot or loadState, " +
      "or pipe it into snapkeep import -";
    return storageError("read", this.#shown, new Error(hint));
  }

  async #blobOf(answer: Response, sizeBytes: number, asked: string): Promise<BlobReader> {
    const tail: Uint8Array[] = [];
    const tailBytes = Math.min(sizeBytes, TAIL_BYTES);
    for await (const piece of this.bodyOf(answer, tailBytes, asked)) tail.push(piece);
    const version = {
      sizeBytes,
      etag: answer.headers.get("etag") ?? undefined,
      modified: answer.headers.get("last-modified") ?? undefined,
    };
    return new HttpBlob(this, version, concat(tail));
  }

  /** The size of the file: by a HEAD request, or where that is not allowed, by its first byte. */
  async #size(): Promise<number> {
    const head = await this.request({}, "HEAD");
    const length = head.headers.get("content-length") ?? "";
    discard(head);
    if (head.status === 200 && /^\d{1,15}$/.test(length)) return Number(length);
    const asked = "bytes=0-0";
    const answer = await this.request({ range: asked });
    discard(answer);
    const { sizeBytes } = contentRange(answer) ?? {};
    if (sizeBytes === undefined) throw this.#unranged(answer, asked);
    return sizeBytes;
  }

  stage(): Promise<Stage> {
    return Promise.reject(this.#readOnly("save to"));
  }

  scratch(): Promise<never> {
    const reason =
      "an archive without a table must be unpacked; fetch it and hand its body to importSnapshot or loadState";
    return Promise.reject(storageError("read", this.#shown, new Error(reason)));
  }

  remove(): Promise<boolean> {
    return Promise.reject(this.#readOnly("remove"));
  }

  sweep(): Promise<readonly Unit[]> {
    return Promise.reject(this.#readOnly("sweep"));
  }

  /**
   * Asks for the file. The caller's headers never follow a redirect to another origin, and no redirect leads from https to http.
   * Fails with `STORAGE_FAILED` where the body is compressed on the way, for its bytes are not the file's.
   */
  async request(headers: Record<string, string>, method = "GET", signal?: AbortSignal): Promise<Response> {
    let url = this.#url;
    let own = this.#headers;
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const answer = await this.#ask(url, own, { "accept-encoding": "identity", ...headers }, method, signal);
      const location = REDIRECTS.has(answer.status) ? answer.headers.get("location") : null;
      if (location === null) {
        const encoding = answer.headers.get("content-encoding") ?? "identity";
        // The page that tells of an error may be compressed.
        if (!answer.ok || encoding === "" || encoding.toLowerCase() === "identity") return answer;
        discard(answer);
        throw this.#failed(
          `the server declares Content-Encoding: ${
            this.#quoted(encoding)
          }, so what arrives is not the file's own bytes; ` +
            'turn that off for archives, or name the file ".tgz" where the ending ".gz" is the reason',
        );
      }
      discard(answer);
      const next = withoutUser(this.#target(location, url));
      if (url.protocol === "https:" && next.protocol === "http:") {
        throw this.#failed(`the server redirects from https to http, to ${showAddress(shownUrl(next))}`);
      }
      if (next.origin !== url.origin) own = new Headers();
      url = next;
    }
    throw this.#failed(`the server redirects more than ${MAX_REDIRECTS} times`);
  }

  #target(location: string, base: URL): URL {
    if (URL.canParse(location, base)) {
      const url = new URL(location, base);
      if (/^https?:$/.test(url.protocol)) return url;
    }
    throw this.#failed("the server redirects to an address that is not an http: or https: URL");
  }

  async #ask(url: URL, own: Headers, headers: Record<string, string>, method: string, signal?: AbortSignal) {
    const { fetch: ask = globalThis.fetch } = this.#options;
    const aborter = new AbortController();
    const all = new Headers(own);
    for (const [name, value] of Object.entries(headers)) all.set(name, value);
    const init: RequestInit = {
      method,
      headers: all,
      redirect: "manual",
      signal: signal === undefined ? aborter.signal : AbortSignal.any([aborter.signal, signal]),
    };
    try {
      const answer: unknown = await this.#soon(ask(url, init));
      if (isAnswer(answer)) return answer;
      throw new TypeError(`fetch must return a Response, but ${showType(answer)}`);
    } catch (cause) {
      aborter.abort();
      throw storageError("fetch", this.#shown, explained(cause, [...this.#secrets, ...secretsOf(url)]));
    }
  }

  /** The bytes of an answer, which must be as many as told: of what is sent beyond them nothing is taken. */
  async *bodyOf(answer: Response, lengthBytes: number, asked: string): AsyncGenerator<Uint8Array, void> {
    if (answer.body === null) throw this.refused(answer, asked, "no byte");
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
      throw storageError("fetch", this.#shown, explained(cause, this.#secrets));
    } finally {
      reader.cancel().catch(() => {}); // what is to hear of it may hang as well
    }
    if (restBytes < 0) throw this.refused(answer, asked, `more than the ${lengthBytes} bytes of it`);
    if (restBytes > 0) throw this.refused(answer, asked, `${lengthBytes - restBytes} of its ${lengthBytes} bytes`);
  }

  /** Waits for the server, with a time limit. */
  async #soon<T>(work: Promise<T>): Promise<T> {
    const { idleMs = IDLE_MS } = this.#options;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      const error = new DOMException(`the server sent nothing for ${idleMs} ms`, "TimeoutError");
      timer = setTimeout(() => reject(error), idleMs).unref(); // the connection keeps the program alive, if there is one
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** The error for an answer that does not serve: the status and, where a range came, the one asked for and the one received. */
  refused(answer: Response, asked: string, sent?: string): SnapshotError {
    const { status, statusText } = answer;
    const found = answer.headers.get("content-range");
    const received = found === null ? "no Content-Range" : `"${this.#quoted(found)}"`;
    const ranges = status === 206 || status === 416 ? ` with ${received} where "${asked}" was asked for` : "";
    const bytes = sent === undefined ? "" : `, and sent ${sent}`;
    const what = `the server answered ${`${status} ${this.#quoted(statusText)}`.trim()}${ranges}${bytes}`;
    return this.#failed(what, `HTTP_${status}`);
  }

  /** What a server has sent, for a message: it may repeat what it was sent. */
  #quoted(text: string): string {
    return withoutSecrets(text, this.#secrets).slice(0, 100);
  }

  #failed(what: string, code = "HTTP"): SnapshotError {
    return storageError("fetch", this.#shown, Object.assign(new Error(what), { code }));
  }

  changed(): SnapshotError {
    const uri = this.#shown;
    return new SnapshotError(
      "SNAPSHOT_CHANGED",
      `Cannot go on reading ${showAddress(uri)}: it is another file than it was`,
      { uri },
    );
  }

  #readOnly(verb: string): SnapshotError {
    return storageError(verb, this.#shown, new Error("an HTTP address is read-only"));
  }
}

/** Which bytes an answer says it has, up to `end`, and the file's size if it says so. */
function contentRange(answer: Response): { offset: number; end: number; sizeBytes?: number } | undefined {
  const match = /^bytes (?:(\d{1,15})-(\d{1,15})|\*)\/(\d{1,15}|\*)$/i.exec(answer.headers.get("content-range") ?? "");
  if (match === null) return undefined;
  const [, first, last, size] = match;
  const place = first === undefined ? { offset: -1, end: -1 } : { offset: Number(first), end: Number(last) + 1 };
  return size === "*" ? place : { ...place, sizeBytes: Number(size) };
}

/** Ends an answer whose body is not read. */
function discard(answer: Response): void {
  answer.body?.cancel().catch(() => {}); // what is to hear of it may hang as well
}

function withoutUser(url: URL): URL {
  const plain = new URL(url);
  [plain.username, plain.password, plain.hash] = ["", "", ""];
  return plain;
}

/** The caller's headers, with the URL's user as authorisation: `fetch` takes no URL that has one. */
function headersOf(url: URL, given: HeadersInit | undefined, shown: string): Headers {
  let headers;
  try {
    headers = new Headers(given);
  } catch {
    // The runtime's own message shows the value.
    throw new TypeError(`Cannot locate ${showAddress(shown)}: a name or value in headers is not valid in HTTP`);
  }
  if ((url.username !== "" || url.password !== "") && !headers.has("authorization")) {
    const user = new TextEncoder().encode(`${unescaped(url.username)}:${unescaped(url.password)}`);
    headers.set("authorization", `Basic ${btoa(String.fromCharCode(...user))}`);
  }
  return headers;
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The parts of a URL that no message may show. */
function secretsOf({ username, password, search, searchParams }: URL): string[] {
  return [username, password, unescaped(username), unescaped(password), search.slice(1), ...searchParams.values()];
}

/** A text without secrets; what is too short to be one stays. */
function withoutSecrets(text: string, parts: readonly string[]): string {
  const secrets = parts.filter((part) => part.length > 3).sort((a, b) => b.length - a.length);
  return secrets.reduce((shown, secret) => shown.replaceAll(secret, "…"), text);
}

/** A failure of `fetch` with its causes and their code in the message, as runtimes only say "fetch failed"; without secrets. */
function explained(cause: unknown, secrets: readonly string[]): unknown {
  const texts: string[] = [];
  let code: string | undefined;
  for (let error = cause, depth = 0; error !== undefined && depth < 5; depth++) {
    texts.push(reasonOf(error));
    const inner = error as { readonly cause?: unknown; readonly code?: unknown } | null;
    if (typeof inner?.code === "string") code = inner.code;
    error = inner?.cause;
  }
  const told = [...new Set(texts)].filter((text) => text !== "").join(": ");
  const text = code === undefined || told.includes(code) ? told : `${told} (${code})`;
  const shown = withoutSecrets(text, secrets);
  const hasSecret = shown !== text;
  if (!hasSecret && text === texts[0]) return cause;
  const error = new Error(shown, hasSecret ? {} : { cause });
  return code === undefined ? error : Object.assign(error, { code });
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
    const reason = "its escapes are not UTF-8";
    throw new SnapshotError("NAME_UNSAFE", `Cannot use the snapshot name "${name}": ${reason}`, { name, reason }, {
      cause,
    });
  }
  return { backend: new HttpBackend(url, unit, options), unit };
}

/** Whether a fetch has returned an answer, of whatever realm or library. */
function isAnswer(value: unknown): value is Response {
  const { status, headers } = Object(value) as Partial<Response>;
  return typeof status === "number" && typeof headers?.get === "function";
}
