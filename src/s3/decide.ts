// Writes that decide something: of many who write, one must win, and each must learn the truth. A conditional write is not
// idempotent: when its answer is lost, the retry is refused because of the very object that was written. So each one carries an id,
// and after any doubt the object is looked at.
import type { SnapshotError } from "../model/errors.ts";
import { type Condition, type ObjectInfo, type ObjectStore, pause, type PutOptions } from "./client.ts";
import { faultBeneath, isRefusedByCondition, mayHaveHappened } from "./faults.ts";
import type { Conditions } from "./probe.ts";

const MOST_TRIES = 3;

/** What became of a deciding write: won, with the ETag written, or lost. */
export type Decision = { readonly etag: string } | "lost";

/** A deciding write that may have been carried out or not: its own error, and that of the look at the object. */
export class Doubt extends Error {
  override readonly name = "Doubt";

  constructor(cause: unknown) {
    super("a write may have been carried out", { cause });
  }
}

/**
 * Puts an object under a condition.
 *
 * @param store Where.
 * @param conditions What the store is known to respect; without them, it is looked at first.
 * @param key Its key.
 * @param body What it holds.
 * @param options The condition, and the id, which no other write has.
 * @returns Won or lost.
 * @throws {Doubt} Where the truth cannot be found out.
 */
export async function decide(
  store: ObjectStore,
  conditions: Conditions,
  key: string,
  body: Uint8Array,
  { condition, writeId, signal }: PutOptions & { readonly condition: Condition; readonly writeId: string },
): Promise<Decision> {
  const isCreation = "ifNoneMatch" in condition;
  const isRespected = isCreation ? conditions.create : conditions.replace !== false;
  const sent = isRespected ? asWanted(condition, conditions) : undefined;
  let first: unknown;
  let isInDoubt = false;
  for (let attempt = 0; attempt < MOST_TRIES; attempt++) {
    if (!isRespected && !holds(condition, await store.head(key))) return "lost";
    try {
      return { etag: await store.put(key, body, { condition: sent, writeId, signal }) };
    } catch (error) {
      const { status } = faultBeneath(error) ?? {};
      const isConflict = status === 409;
      const isRefused = isRefusedByCondition(error) || status === 404 && !isCreation;
      if (!isRefused && !isConflict && !mayHaveHappened(error)) throw error;
      first ??= error;
      isInDoubt ||= !isRefused;
      const found = await look(store, key, first);
      if (found?.writeId === writeId) return { etag: found.etag };
      if (!holds(condition, found)) return "lost";
      if (status === 503 || status === 429) throw error; // it asked for fewer requests
    }
    await pause(attempt, signal);
  }
  // Refused each time, and gone at each look: others take and remove it, as a lock.
  if (!isInDoubt) return "lost";
  throw first;
}

/** Looks at the object of a write whose outcome is in doubt. */
export async function look(store: ObjectStore, key: string, doubted: unknown): Promise<ObjectInfo | undefined> {
  try {
    return await store.head(key);
  } catch {
    throw new Doubt(doubted);
  }
}

/** The error of a write in doubt, where nothing depends on it. */
export function undoubted(error: unknown): SnapshotError {
  return (error instanceof Doubt ? error.cause : error) as SnapshotError;
}

function holds(condition: Condition, found: ObjectInfo | undefined): boolean {
  return "ifMatch" in condition ? bare(found?.etag ?? "") === bare(condition.ifMatch) : found === undefined;
}

/** The condition as the store understands it: some want the ETag without its quotation marks. */
function asWanted(condition: Condition, { replace }: Conditions): Condition {
  if (!("ifMatch" in condition)) return condition;
  return { ifMatch: replace === "quoted" ? `"${bare(condition.ifMatch)}"` : bare(condition.ifMatch) };
}

function bare(etag: string): string {
  return etag.replaceAll('"', "");
}
