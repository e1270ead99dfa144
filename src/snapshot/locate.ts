// From what a caller names (a path, a URL, a name on a backend) to the address of a snapshot.
import { httpBackend } from "../backend/http_backend.ts";
import { isS3Url } from "../s3/address.ts";
import { type PathOrUrl, readAddress, showAddress } from "../model/address.ts";
import { type Backend, isBackend } from "../model/backend.ts";
import { assertOptions } from "../model/options.ts";
import { showType } from "../model/show.ts";
import { unitOfFileName } from "../model/unit.ts";
import { isReadableStream } from "../runtime/sources.ts";
import { isLocator, SnapshotLocator } from "./locator.ts";
import { splitPlace } from "./place.ts";

/** How {@link locate} fetches an archive from a server. */
export interface LocateOptions {
  /**
   * Headers of every request, such as `authorization`. They never follow a redirect to another origin.
   *
   * @default none
   */
  readonly headers?: HeadersInit;
  /**
   * Replaces the `fetch` of the runtime. It must not follow redirects when it is called with `redirect: "manual"`.
   *
   * @default globalThis.fetch
   */
  readonly fetch?: typeof globalThis.fetch;
}

/** What a snapshot is loaded or imported from: its address, or an archive as a stream. */
export type SnapshotSource = SnapshotLocator | PathOrUrl | ReadableStream<Uint8Array>;

/** The address of a source; `undefined` for a stream. */
export function locatorOf(from: SnapshotSource): SnapshotLocator | undefined {
  if (isReadableStream(from)) return undefined;
  return isLocator(from) ? from : locate(from);
}

/**
 * Address of a snapshot that lies at a path; nothing is read yet.
 *
 * @param path Path or `file:` URL: `states/X.state` is a directory snapshot, `states/X.state.tar.gz` or `X.tgz` an archive. An `http:` or
 *   `https:` URL of an archive is read-only: entries are fetched one by one, by range requests. An `s3:` URL is reached as the AWS tools
 *   do, by environment variables and configuration files. A text with `://` is a URL.
 * @param options For `http:` and `https:` URLs: how the archive is fetched.
 * @returns The locator. Its address has neither the user nor the query of the URL, which requests use all the same.
 * @throws {TypeError} If it is a URL of another scheme, or anything else, or an option is unknown or not for such an address.
 * @throws {SnapshotError} `NAME_UNSAFE` if the last part of the path is no safe name.
 * @example Look at a snapshot
 * ```ts
 * import { locate, memoryBackend, StateStore } from "snapkeep";
 *
 * const saved = await new StateStore("states").saveState();
 * const { savedAt, entries } = await locate(String(saved)).stat();
 * console.log(savedAt, entries);
 * ```
 */
export function locate(path: PathOrUrl, options?: LocateOptions): SnapshotLocator;
/**
 * Address of a snapshot on a backend; nothing is read yet.
 *
 * @param backend Where it lies.
 * @param name `X.state` for a directory snapshot, `X.state.tar.gz` for an archive.
 * @returns The locator.
 * @throws {SnapshotError} `NAME_UNSAFE` if the name is unsafe.
 */
export function locate(backend: Backend, name: string): SnapshotLocator;
export function locate(where: PathOrUrl | Backend, more?: string | LocateOptions): SnapshotLocator {
  if (isBackend(where)) {
    if (typeof more !== "string") throw new TypeError("Cannot locate a snapshot on a backend without its name");
    return new SnapshotLocator(where, [unitOfFileName(more)]);
  }
  if (typeof where !== "string" && !(where instanceof URL)) {
    const wanted = "expected a path, a URL, a locator or a ReadableStream";
    throw new TypeError(`Cannot locate a snapshot: ${wanted}, but ${showType(where)}; ${remedyOf(where)}`);
  }
  const { path, url, shown } = readAddress(where);
  const isServer = url !== undefined && /^https?:$/.test(url.protocol);
  if (more !== undefined) assertLocateOptions(shown, more as LocateOptions, isServer);
  if (isServer) {
    const { backend, unit } = httpBackend(url, more as LocateOptions | undefined);
    return new SnapshotLocator(backend, [unitOfFileName(unit)]);
  }
  if (path === undefined && !(url !== undefined && isS3Url(url))) {
    throw new TypeError(
      `Cannot locate ${showAddress(shown)}: expected a path, or a URL of file:, http:, https: or s3:`,
    );
  }
  const { backend, fileName } = splitPlace(where);
  return new SnapshotLocator(backend, [unitOfFileName(fileName)]);
}

/** What the caller may have meant. */
function remedyOf(where: unknown): string {
  const body = "of a Response give its body, of a Node stream Readable.toWeb()";
  if (where === undefined) return `store.latest() is undefined if there is no snapshot; ${body}`;
  return where instanceof Promise ? `await a Promise; ${body}` : body;
}

function assertLocateOptions(address: string, options: LocateOptions, isServer: boolean): void {
  assertOptions(`locate ${showAddress(address)}`, options, { headers: true, fetch: "a function" });
  if (isServer) return;
  throw new TypeError(
    `Cannot locate ${showAddress(address)} with headers or fetch: only http: and https: URLs are fetched`,
  );
}
