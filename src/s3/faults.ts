// What went wrong at an object store, as errors of ours. Errors of the client carry requests with their signatures, and
// answers with whatever the store put in: nothing of them but a code and a status goes on.
import { showAddress } from "../model/address.ts";
import { errnoOf, reasonOf, SnapshotError, type SnapshotErrorCode } from "../model/errors.ts";

const FORBIDDEN: ReadonlySet<string> = new Set([
  "AccessDenied",
  "AccountProblem",
  "AllAccessDisabled",
  "CredentialsProviderError",
  "ExpiredToken",
  "Forbidden",
  "InvalidAccessKeyId",
  "InvalidToken",
  "RequestTimeTooSkewed",
  "SignatureDoesNotMatch",
]);
const THROTTLED: ReadonlySet<string> = new Set([
  "RequestLimitExceeded",
  "ServiceUnavailable",
  "SlowDown",
  "Throttling",
  "ThrottlingException",
  "TooManyRequests",
]);
const FULL: ReadonlySet<string> = new Set([
  "EntityTooLarge",
  "InsufficientStorage",
  "QuotaExceeded",
  "XMinioStorageFull",
]);
const REMEDIES: Readonly<Record<string, string>> = {
  NoSuchBucket: "there is no such bucket; create it first",
  RequestTimeTooSkewed: "the clock of this machine differs from that of the store; correct it",
  PermanentRedirect: "the bucket is in another region; pass the option region",
  AuthorizationHeaderMalformed: "the bucket is in another region; pass the option region",
  CredentialsProviderError: "no credentials were found; pass the option credentials, or set AWS_ACCESS_KEY_ID",
};

/** An answer of the store, or the lack of one, without anything secret. */
export class StoreFault extends Error {
  override readonly name = "StoreFault";
  /** The store's code, such as `NoSuchKey`, or the system's, such as `ECONNREFUSED`. */
  readonly code: string;
  /** Status of the answer; `undefined` where there was none. */
  readonly status: number | undefined;

  constructor(code: string, status: number | undefined, reason: string) {
    super(reason);
    this.code = code;
    this.status = status;
  }
}

/** Makes a fault of what a client threw. */
export function faultOf(error: unknown): StoreFault {
  if (error instanceof StoreFault) return error;
  const { name, Code, code, $metadata } = (error ?? {}) as {
    name?: unknown;
    Code?: unknown;
    code?: unknown;
    $metadata?: { httpStatusCode?: unknown };
  };
  const status = typeof $metadata?.httpStatusCode === "number" ? $metadata.httpStatusCode : undefined;
  if (error instanceof Error && error.message === "Region is missing") {
    return new StoreFault("RegionMissing", undefined, "no region is set; pass the option region, or set AWS_REGION");
  }
  const [word = "Unknown"] = [Code, code, name].filter((text): text is string => isWord(text));
  const remedy = REMEDIES[word];
  if (status !== undefined) {
    return new StoreFault(word, status, remedy ?? `the store answered ${status} ${word}`);
  }
  return new StoreFault(word, undefined, remedy ?? `the store gave no answer: ${withoutSecrets(reasonOf(error))}`);
}

/** A store's word, which may be anything. */
function isWord(text: unknown): boolean {
  return typeof text === "string" && /^[A-Za-z][\w.]{0,63}$/.test(text) && text !== "Error";
}

/** What the system says of a connection names hosts and ports; anything that looks like a key or a signature is cut. */
function withoutSecrets(text: string): string {
  return text.slice(0, 300)
    .replaceAll(/\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b/g, "…")
    .replaceAll(/\b(Credential|Signature|SignedHeaders|X-Amz-[\w-]+|[Aa]uthorization)\s*[=:]\s*[^\s,&]+/g, "$1=…")
    .replaceAll(/\/\/[^\s/@]+@/g, "//…@");
}

/** The error of a fault: one code each for forbidden, throttled, unreachable, full and failed. */
export function storeError(operation: string, path: string, fault: StoreFault): SnapshotError {
  const { code: errno, message } = fault;
  return new SnapshotError(codeOf(fault), `Cannot ${operation} ${showAddress(path)}: ${message}`, {
    operation,
    path,
    errno,
  }, {
    cause: fault,
  });
}

type StorageCode = Extract<SnapshotErrorCode, `STORAGE_${string}`>;

function codeOf({ code, status }: StoreFault): StorageCode {
  if (FULL.has(code) || status === 507) return "STORAGE_FULL";
  if (FORBIDDEN.has(code) || status === 401 || status === 403) return "STORAGE_FORBIDDEN";
  if (THROTTLED.has(code) || status === 429 || status === 503) return "STORAGE_THROTTLED";
  if (code === "RegionMissing") return "STORAGE_FAILED";
  if (status === undefined || status === 502 || status === 504) return "STORAGE_UNREACHABLE";
  return "STORAGE_FAILED";
}

/** The fault beneath an error of ours. */
export function faultBeneath(error: unknown): StoreFault | undefined {
  const { cause } = (error ?? {}) as { cause?: unknown };
  return cause instanceof StoreFault ? cause : undefined;
}

/** Whether the store refused a write because of its condition. */
export function isRefusedByCondition(error: unknown): boolean {
  return faultBeneath(error)?.status === 412;
}

/** Whether a request may have been carried out though it failed: no answer, a broken one, or one of a store in trouble. */
export function mayHaveHappened(error: unknown): boolean {
  const fault = faultBeneath(error);
  if (fault === undefined) return false;
  const { status } = fault;
  return status === undefined || status < 300 || status === 408 || status >= 500;
}

/** Whether something is not there. */
export function isMissing(error: unknown): boolean {
  const fault = faultBeneath(error);
  return fault?.status === 404 && fault.code !== "NoSuchBucket";
}

/** The store's code of an error. */
export function wordOf(error: unknown): string {
  return faultBeneath(error)?.code ?? errnoOf(error);
}
