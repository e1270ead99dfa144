// A state that is one JSON value.
import { isSchema, type StandardSchema } from "../model/standard_schema.ts";
import type { PersistentState } from "../model/state.ts";
import { type Accessors, assertFunctions } from "./accessors.ts";
import { readJson, schemaOf } from "./reading.ts";

const PATH = "value.json";
const anything = schemaOf((value) => value);

/** What a schema takes. */
export type SchemaInput<Schema extends StandardSchema> = NonNullable<Schema["~standard"]["types"]>["input"];
/** What a schema makes of it. */
export type SchemaOutput<Schema extends StandardSchema> = NonNullable<Schema["~standard"]["types"]>["output"];

/** How {@link jsonState} reaches its value, and what it must be. */
export interface JsonStateOptions<Schema extends StandardSchema>
  extends Accessors<SchemaInput<Schema>, SchemaOutput<Schema>> {
  /** What a loaded value must be: a schema of zod, valibot, arktype or any library that implements Standard Schema. */
  readonly schema: Schema;
}

/**
 * Returns a state that is one JSON value, checked by a schema when it is loaded.
 *
 * What JSON would change fails the save with its place, as with `out.json`. If the schema rejects the loaded value, nothing is set.
 *
 * @param options Gets and sets the value; the schema, which may transform.
 * @returns The state, to be registered.
 * @throws {TypeError} If a function is missing, or `schema` is not a schema.
 */
export function jsonState<Schema extends StandardSchema>(options: JsonStateOptions<Schema>): PersistentState;
/**
 * Returns a state that is one JSON value.
 *
 * What JSON would change (a Date, a Map, NaN ...) fails the save with its place, as with `out.json`.
 *
 * @param options Gets and sets the value.
 * @returns The state, to be registered.
 * @throws {TypeError} If a function is missing.
 * @example A counter
 * ```ts
 * import { StateStore } from "snapkeep";
 * import { jsonState } from "snapkeep/states";
 *
 * let count = 0;
 * const store = new StateStore("states").register("count", jsonState({ get: () => count, set: (value) => count = value }));
 * await store.resume();
 * count++;
 * await store.saveState();
 * ```
 */
export function jsonState<Value>(options: Accessors<Value>): PersistentState;
export function jsonState(options: Accessors<unknown> & { readonly schema?: StandardSchema }): PersistentState {
  assertFunctions("a jsonState", options, ["get", "set"], { get: "a function", set: "a function", schema: true });
  const { get, set, schema = anything } = options;
  if (!isSchema(schema)) throw new TypeError("Cannot make a jsonState: the schema does not implement Standard Schema");
  return {
    saveState: (out) => out.json(PATH, get()),
    async loadState(from) {
      await set(await readJson(from, PATH, schema));
    },
  };
}
