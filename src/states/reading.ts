// How ready-made states read what was saved, which may be anybody's: a value that does not fit is one typed error, whatever it lacks.
import { isSnapshotError, reasonOf, SnapshotError } from "../model/errors.ts";
import type { StandardSchema } from "../model/standard_schema.ts";
import type { StateReader } from "../model/state.ts";

/**
 * The error for an entry that a state cannot use.
 *
 * @param from The state's reader; its name stands for the address, which a state does not know.
 * @param path Path of the entry.
 * @param message What is wrong.
 * @param place Where in the entry.
 * @param cause The error beneath.
 */
export function invalidEntry(
  from: StateReader,
  path: string,
  message: string,
  place = "$",
  cause?: unknown,
): SnapshotError {
  const details = { uri: from.name, path, issues: [{ place, message }] };
  return new SnapshotError("ENTRY_INVALID", `Cannot use "${path}" of the state "${from.name}": ${place}: ${message}`, {
    ...details,
  }, { cause });
}

/**
 * Reads an entry as JSON and checks it.
 *
 * @throws {SnapshotError} `ENTRY_INVALID` if it is not UTF-8, not JSON, or the schema rejects it.
 */
export async function readJson<Output>(
  from: StateReader,
  path: string,
  schema: StandardSchema<Output>,
): Promise<Output> {
  let isJson = false;
  const validate = (value: unknown) => {
    isJson = true;
    return schema["~standard"].validate(value);
  };
  try {
    return await from.json<Output>(path, { "~standard": { version: 1, vendor: "snapkeep", validate } });
  } catch (error) {
    if (isJson) throw error; // of the schema
    // Text that is not UTF-8 is a TypeError, more than a string can hold a RangeError.
    const isOfTheText = error instanceof SyntaxError || error instanceof TypeError || error instanceof RangeError;
    if (isSnapshotError(error) || !isOfTheText) throw error;
    const reason = reasonOf(error instanceof SyntaxError && error.cause !== undefined ? error.cause : error);
    throw invalidEntry(from, path, `it is not JSON: ${reason}`, "$", error);
  }
}

/** A schema out of a function that returns what it makes of a value, or throws. */
export function schemaOf<Output>(make: (value: unknown) => Output): StandardSchema<Output> {
  const validate = (value: unknown) => {
    try {
      return { value: make(value) };
    } catch (error) {
      return { issues: [{ message: reasonOf(error) }] };
    }
  };
  return { "~standard": { version: 1, vendor: "snapkeep", validate } };
}
