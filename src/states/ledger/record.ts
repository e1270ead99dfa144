// One line of a ledger: what is known of an action, with a checksum. Lines are hostile input; one that is not exactly as `lineOf` writes it is none.
import { Buffer } from "node:buffer";
import { parseGuarded } from "../../manifest/guarded_json.ts";
import { digestOf } from "../../runtime/digest.ts";
import { textOfValue, valueOfText } from "../structured_text.ts";

const CHECK_DIGITS = 16;
const CHECK = /,"check":"([0-9a-f]{16})"\}$/;
const MAX_DATE_MS = 8.64e15;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** What is known of an action. */
export interface LedgerRecord {
  /** Its key. */
  readonly key: string;
  /** `done`: it has an outcome. `failed`: it threw. `in flight`: it has begun, and may have happened or not. */
  readonly status: "done" | "failed" | "in flight";
  /** When it ended; when it began if it is in flight. */
  readonly at: Date;
}

/** A record as it is stored. */
export interface StoredRecord {
  readonly key: string;
  readonly status: "started" | "done" | "failed";
  /** Milliseconds since 1970. */
  readonly atMs: number;
  /** The program that made it. */
  readonly program?: string | undefined;
  /** What a failed action has thrown, for people. */
  readonly reason?: string | undefined;
  /** The outcome of one that is done, as text of a structured value. */
  readonly outcome?: string | undefined;
  /** The bytes in the outcome, in base64. */
  readonly bytes?: readonly string[] | undefined;
}

/**
 * An outcome as a record stores it.
 *
 * @throws {TypeError} If it holds what would not come back.
 */
export function storedOutcome(value: unknown): Pick<StoredRecord, "outcome" | "bytes"> {
  const { text, buffers } = textOfValue(value, {});
  if (buffers.length === 0) return { outcome: text };
  return { outcome: text, bytes: buffers.map((bytes) => Buffer.from(bytes).toString("base64")) };
}

/** The outcome of an action that is done, as a new value. */
export function outcomeOf({ outcome = "", bytes = [] }: StoredRecord): unknown {
  const buffers = bytes.map((text, index) => [index, new Uint8Array(Buffer.from(text, "base64"))] as const);
  return valueOfText(JSON.parse(outcome), {}, new Map(buffers));
}

/** A record as a line, without a newline. */
export function lineOf({ key, status, atMs, program, reason, outcome, bytes }: StoredRecord): string {
  const body = JSON.stringify({ key, status, atMs, program, reason, outcome, bytes });
  return `${body.slice(0, -1)},"check":"${checkOf(body)}"}`;
}

/** Reads a line; `undefined` for what is torn, damaged or anything else. */
export function recordOf(line: Uint8Array | string): StoredRecord | undefined {
  try {
    const text = typeof line === "string"
      ? line
      : new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(line);
    const found = CHECK.exec(text);
    const body = found === null ? "" : `${text.slice(0, found.index)}}`;
    if (found?.[1] === undefined || found[1] !== checkOf(body)) return undefined;
    const record = parseGuarded(body) as StoredRecord;
    if (!isRecord(record)) return undefined;
    if (record.status === "done") outcomeOf(record); // throws for what is no outcome
    return record;
  } catch {
    return undefined;
  }
}

function checkOf(body: string): string {
  return digestOf(new TextEncoder().encode(body)).slice("sha256:".length, "sha256:".length + CHECK_DIGITS);
}

function isRecord(
  { key, status, atMs, program, reason, outcome, bytes }: Partial<Record<keyof StoredRecord, unknown>>,
): boolean {
  const isText = (value: unknown) => value === undefined || typeof value === "string";
  const areBytes = bytes === undefined ||
    Array.isArray(bytes) && bytes.every((text) => typeof text === "string" && BASE64.test(text));
  return typeof key === "string" && key !== "" && ["started", "done", "failed"].includes(status as string) &&
    typeof atMs === "number" && Math.abs(atMs) <= MAX_DATE_MS && isText(program) && isText(reason) && areBytes &&
    (status === "done") === (typeof outcome === "string");
}
