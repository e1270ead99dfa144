// What the conformance cases say and see: small reads and writes through the contract, and failures that tell what was found.
import * as buffer from "node:buffer";
import type { Backend, BlobReader, ByteReader, ByteSource } from "../model/backend.ts";
import { concat, copyOf } from "../runtime/bytes.ts";
import { isSnapshotError, type SnapshotErrorCode } from "../model/errors.ts";
import { commitPathOf, type Unit } from "../model/unit.ts";

/** Why a case has nothing to check on a backend. */
export interface Skipped {
  readonly reason: string;
}

/** Cases by their names; each gets a backend of its own. */
export type Cases = Readonly<Record<string, (backend: Backend) => Promise<void | Skipped>>>;

/** A group, with other units of its name. */
export const GROUP = "2026-01-02.state/";
/** A single blob, of another name than {@link GROUP}. */
export const BLOB = "2026-01-03.state.tar.gz";

/** Names that would lead out of a place, or that some system refuses. */
export const UNSAFE_NAMES: readonly string[] = [
  "../x",
  "..",
  ".",
  "a/b",
  "/x",
  "a:b",
  "a\\b",
  "x\0",
  ".x",
  "x.",
  "nul",
];

/** Fails unless something holds. */
export function check(holds: boolean, message: string): asserts holds {
  if (!holds) throw new Error(message);
}

/** Fails unless two values are the same, as JSON tells them. */
export function same(actual: unknown, expected: unknown, what: string): void {
  const [found, wanted] = [JSON.stringify(actual), JSON.stringify(expected)];
  check(found === wanted, `${what}: expected ${wanted}, found ${found}`);
}

/** Fails unless two arrays hold the same bytes. */
export function sameBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  same(actual.length, expected.length, `${what}, length`);
  for (let at = 0; at < expected.length; at++) {
    if (actual[at] !== expected[at]) throw new Error(`${what}: byte ${at} is ${actual[at]}, not ${expected[at]}`);
  }
}

/** What an operation failed with; fails if it did not. */
export async function failure(operation: Promise<unknown>, what: string): Promise<unknown> {
  try {
    await operation;
  } catch (error) {
    return error;
  }
  throw new Error(`${what}: expected a failure, found success`);
}

/** Fails unless an operation fails with one of the codes. */
export async function refuses(
  operation: Promise<unknown>,
  codes: SnapshotErrorCode | readonly SnapshotErrorCode[],
  what: string,
): Promise<void> {
  const error = await failure(operation, what);
  const isExpected = [codes].flat().some((code) => isSnapshotError(error, code));
  if (!isExpected) {
    throw new Error(`${what}: expected ${[codes].flat().join(" or ")}, found ${error}`, { cause: error });
  }
}

/** Text as bytes. */
export const encode = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

/** Bytes that differ at every place and with every seed. */
export function noise(sizeBytes: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(sizeBytes);
  let state = seed * 2_654_435_761 >>> 0;
  for (let index = 0; index < sizeBytes; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

/** Fails unless bytes lie alone in an ArrayBuffer, and then takes that away, as a transfer to another thread does. */
export function transfer(bytes: Uint8Array<ArrayBuffer>, what: string): void {
  same(bytes.byteOffset, 0, `${what}, offset in its ArrayBuffer`);
  same(bytes.buffer.byteLength, bytes.byteLength, `${what}, size of its ArrayBuffer`);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
}

/**
 * Lends bytes as a body, in pieces, all in the same memory where the taker borrows; overwrites all memory once it was given back.
 *
 * @param taker The stage or scratch that the body is written to.
 * @param bytes What the body holds.
 * @param use Writes the body.
 */
export async function lend(
  taker: { readonly borrows?: boolean },
  bytes: Uint8Array,
  use: (body: ByteSource) => Promise<unknown>,
): Promise<void> {
  const PIECE_BYTES = 70_001;
  const lent: Uint8Array[] = [];
  const pieces = function* () {
    for (let start = 0; start < bytes.length; start += PIECE_BYTES) {
      const part = bytes.subarray(start, start + PIECE_BYTES);
      const last = taker.borrows === true ? lent[0] : undefined;
      // Of Node's Buffer, whose slice is no copy.
      const memory = last ?? buffer.Buffer.from(new ArrayBuffer(PIECE_BYTES));
      if (last === undefined) lent.push(memory);
      memory.fill(0xee);
      memory.set(part);
      yield memory.subarray(0, part.length);
    }
  };
  await use(pieces());
  for (const memory of lent) memory.fill(0xee);
}

/** All items, in order. */
export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

/**
 * A part of a blob, or all of it, read twice: in pieces that are lent, and into memory of the caller. Fails unless both are the same.
 */
export async function read(
  blob: ByteReader,
  offset = 0,
  lengthBytes: number = blob.sizeBytes,
): Promise<Uint8Array<ArrayBuffer>> {
  const what = `${lengthBytes} bytes at ${offset}`;
  const copies: Uint8Array[] = [];
  for await (const piece of blob.read(offset, lengthBytes)) {
    check(piece.length > 0, `${what}: an empty piece is read`);
    copies.push(copyOf(piece));
  }
  const bytes = concat(copies);
  const target = new Uint8Array(lengthBytes);
  let doneBytes = 0;
  const into = (mostBytes: number) => target.subarray(doneBytes, doneBytes + Math.min(mostBytes, 100_000));
  for await (const piece of blob.read(offset, lengthBytes, into)) {
    if (piece.buffer === target.buffer) same(piece.byteOffset, doneBytes, `${what}: place of a piece in the target`);
    else target.set(piece, doneBytes);
    doneBytes += piece.length;
  }
  sameBytes(target.subarray(0, doneBytes), bytes, `${what}, read into memory of the caller`);
  return bytes;
}

/** Opens a blob that must be there, and closes it whatever `use` does. */
export async function opened<T>(
  backend: Backend,
  unit: Unit,
  path: string,
  use: (blob: BlobReader) => Promise<T>,
): Promise<T> {
  const blob = await (path === "" ? backend.open(unit) : backend.open(unit, path));
  check(blob !== undefined, `cannot open "${unit}${path}", which was published`);
  try {
    return await use(blob);
  } finally {
    await blob.close();
  }
}

/** Text of a blob, or `undefined` where there is none. */
export async function textOf(backend: Backend, unit: Unit, path = ""): Promise<string | undefined> {
  const blob = await (path === "" ? backend.open(unit) : backend.open(unit, path));
  if (blob === undefined) return undefined;
  try {
    return new TextDecoder().decode(await read(blob));
  } finally {
    await blob.close();
  }
}

/** Publishes a unit: a single blob of the text, or a group with the text as its commit blob and the blobs given. */
export async function publish(
  backend: Backend,
  unit: Unit,
  text: string,
  blobs: Readonly<Record<string, string>> = {},
): Promise<void> {
  const stage = await backend.stage(unit);
  try {
    for (const [path, body] of Object.entries(blobs)) await stage.write(path, [encode(body)]);
    await stage.publish(commitPathOf(unit), [encode(text)]);
  } catch (error) {
    await stage.abandon();
    throw error;
  }
}

/** Fails unless nothing of a unit can be seen. */
export async function isUnseen(backend: Backend, unit: Unit, when: string): Promise<void> {
  check(!(await all(backend.list())).includes(unit), `"${unit}" is listed ${when}`);
  same(await textOf(backend, unit, commitPathOf(unit)), undefined, `commit blob of "${unit}" ${when}`);
  same(await all(backend.blobs(unit)), [], `blobs of "${unit}" ${when}`);
}
