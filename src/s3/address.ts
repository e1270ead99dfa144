// Where a place on an object store is, out of what a caller gives. No secret is part of an address.
import process from "node:process";
import { type PathOrUrl, showAddress } from "../model/address.ts";
import { assertOptions, type OptionNames } from "../model/options.ts";
import { show } from "../model/show.ts";
import { warnUser } from "../runtime/logging.ts";

/** Keys of an account on an object store. */
export interface S3Credentials {
  /** Id of the access key. */
  readonly accessKeyId: string;
  /** Secret of the access key. */
  readonly secretAccessKey: string;
  /**
   * Token of a temporary session.
   *
   * @default none
   */
  readonly sessionToken?: string;
}

/** How an `s3Backend` reaches its place. */
export interface S3Options {
  /** Bucket and prefix, as `s3://bucket/prefix`. It must not contain credentials. */
  readonly url: PathOrUrl;
  /**
   * URL of the store. With an endpoint, the bucket is addressed by path. Plain `http:` to another machine is warned of.
   *
   * @default `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, or `endpoint_url` of the AWS configuration; else AWS
   */
  readonly endpoint?: PathOrUrl;
  /**
   * Region of the bucket.
   *
   * @default `AWS_REGION` or the AWS configuration; else `us-east-1` with an endpoint
   */
  readonly region?: string;
  /**
   * Keys, or a function that returns them whenever they are needed.
   *
   * @default as the AWS tools: environment, configuration files, roles
   */
  readonly credentials?: S3Credentials | (() => Promise<S3Credentials>);
  /**
   * Promises that only one program writes to the place at a time. It allows saving to a store that ignores conditional
   * writes. Cost: two programs that save at once can damage each other's snapshots.
   *
   * @default false
   */
  readonly withoutConditions?: boolean;
  /**
   * Size of the parts of a large object, in bytes: at least 5 MiB. A store takes 10,000 parts. Cost: an upload holds five
   * parts in memory.
   *
   * @default 16 MiB, which allows objects of 156 GiB
   */
  readonly partBytes?: number;
  /**
   * Maximum time without a byte from the store, in milliseconds, before a request fails.
   *
   * @default 30 seconds
   */
  readonly idleMs?: number;
}

const S3_OPTIONS: OptionNames<S3Options> = {
  url: true,
  endpoint: true,
  region: "a string",
  credentials: true,
  withoutConditions: "true or false",
  partBytes: "a number",
  idleMs: "a number",
};

const MIB = 1024 * 1024;
const PART_BYTES = 16 * MIB;
const MOST_PART_BYTES = 5 * 1024 * MIB;
const IDLE_MS = 30_000;
const MOST_TIMER_MS = 2 ** 31 - 1;

/** A place on an object store. */
export interface S3Address {
  /** Address for people and errors, ending with `/`. */
  readonly uri: string;
  readonly bucket: string;
  /** What all keys begin with: empty, or ending with `/`. */
  readonly prefix: string;
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
  readonly credentials: S3Credentials | (() => Promise<S3Credentials>) | undefined;
  readonly withoutConditions: boolean;
  readonly partBytes: number;
  readonly idleMs: number;
}

/** Tells whether a URL is one of a place or snapshot on an object store. */
export function isS3Url(url: URL): boolean {
  return url.protocol === "s3:";
}

/**
 * Reads the options of a place; reads nothing of the store.
 *
 * @throws {TypeError} If an option is not what it must be, or a URL contains credentials.
 * @throws {RangeError} If a number is out of its range.
 */
export function readS3Options(options: S3Options): S3Address {
  assertOptions("use an object store", options, S3_OPTIONS);
  const { bucket, prefix } = bucketOf(options.url);
  const { partBytes = PART_BYTES, idleMs = IDLE_MS, credentials } = options;
  assertWithin("partBytes", partBytes, 5 * MIB, MOST_PART_BYTES);
  assertWithin("idleMs", idleMs, 1, MOST_TIMER_MS);
  assertCredentials(credentials);
  const uri = `s3://${bucket}/${prefix.split("/").map(encodeURIComponent).join("/")}`;
  const endpoint = endpointOf(options.endpoint ?? environment("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"), uri);
  return {
    uri,
    bucket,
    prefix,
    endpoint,
    region: options.region ?? environment("AWS_REGION", "AWS_DEFAULT_REGION"),
    credentials,
    withoutConditions: options.withoutConditions ?? false,
    partBytes,
    idleMs,
  };
}

function bucketOf(where: unknown): { bucket: string; prefix: string } {
  const url = where instanceof URL
    ? where
    : typeof where === "string" && URL.canParse(where)
    ? new URL(where)
    : undefined;
  if (url === undefined) {
    // The text may contain credentials.
    throw new TypeError('Cannot use an object store: "url" must be a URL such as "s3://bucket/prefix"');
  }
  const refuse = (reason: string) => new TypeError(`Cannot use ${showAddress(url)} as a place: ${reason}`);
  if (!isS3Url(url)) throw refuse('expected a URL such as "s3://bucket/prefix"');
  if (url.username !== "" || url.password !== "") {
    throw refuse(
      "an s3: URL must not contain credentials; give them as the option credentials, or set AWS_ACCESS_KEY_ID",
    );
  }
  if (url.search !== "" || url.hash !== "" || url.port !== "") {
    throw refuse("an s3: URL has no port, query or fragment");
  }
  if (!/^[a-z0-9][a-z0-9._-]{1,253}[a-z0-9]$/i.test(url.hostname)) throw refuse("it names no bucket");
  let path: string;
  try {
    path = decodeURIComponent(url.pathname);
  } catch {
    throw refuse("its escapes are not UTF-8");
  }
  const segments = path.replace(/^\//, "").replace(/\/$/, "").split("/");
  const prefix = segments.length === 1 && segments[0] === "" ? "" : `${segments.join("/")}/`;
  // Control characters do not survive the XML of listings.
  if (prefix !== "" && segments.some((segment) => /^\.{0,2}$|\p{Cc}/u.test(segment))) {
    throw refuse("its prefix has an empty segment, a dot segment or a control character");
  }
  return { bucket: url.hostname, prefix };
}

/**
 * Reads the endpoint of a place.
 *
 * @throws {TypeError} If it is not an `http:` or `https:` URL, or contains credentials.
 */
export function endpointOf(endpoint: unknown, uri: string): string | undefined {
  if (endpoint === undefined) return undefined;
  const url = endpoint instanceof URL
    ? endpoint
    : typeof endpoint === "string" && URL.canParse(endpoint)
    ? new URL(endpoint)
    : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new TypeError(`Cannot use ${showAddress(uri)} as a place: its endpoint must be an http: or https: URL`);
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw new TypeError(
      `Cannot use ${showAddress(uri)} as a place: its endpoint ${
        showAddress(url)
      } must not contain credentials, a query or a fragment`,
    );
  }
  if (url.protocol === "http:" && !isLoopback(url.hostname)) {
    const message =
      `The endpoint "${url.origin}" of ${showAddress(uri)} is plain http: everybody on the way can read and change ` +
      "the snapshots; use https";
    warnUser({ className: "S3Backend", kind: "ENDPOINT_PLAIN_HTTP", address: uri, message });
  }
  return url.href;
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname.endsWith(".localhost") || hostname === "[::1]" ||
    /^127(?:\.\d{1,3}){3}$/.test(hostname);
}

function assertWithin(option: string, value: number, least: number, most: number): void {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return;
  throw new RangeError(
    `Cannot use an object store with the ${option} ${show(value)}: it must be a whole number from ${least} to ${most}`,
  );
}

/** Whether a value has the texts that credentials need. */
export function areCredentials(credentials: unknown): credentials is S3Credentials {
  const { accessKeyId, secretAccessKey, sessionToken } = (credentials ?? {}) as Partial<Record<string, unknown>>;
  const areTexts = typeof accessKeyId === "string" && typeof secretAccessKey === "string" &&
    (sessionToken === undefined || typeof sessionToken === "string");
  return areTexts && accessKeyId !== "" && secretAccessKey !== "";
}

function assertCredentials(credentials: unknown): void {
  if (credentials === undefined || typeof credentials === "function" || areCredentials(credentials)) return;
  // The value itself must not be shown.
  throw new TypeError(
    "Cannot use an object store: credentials must be { accessKeyId, secretAccessKey } as strings, or a function that returns them",
  );
}

/** The first of some environment variables that is set, where the runtime lets a program look. */
function environment(...names: readonly string[]): string | undefined {
  for (const name of names) {
    try {
      const value = process.env[name];
      if (value !== undefined && value !== "") return value;
    } catch {
      // Deno without the permission
    }
  }
  return undefined;
}
