// Schemas of whichever library a program uses: zod, valibot, arktype and others share this interface, https://standardschema.dev.

import { showType } from "./show.ts";

/** One thing that a schema found wrong. */
export interface SchemaIssue {
  /** What is wrong. */
  readonly message: string;
  /** Where in the value; absent for the value itself. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** What a schema made of a value. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** A schema of any library that implements version 1 of Standard Schema. */
export interface StandardSchema<Output = unknown> {
  /** The schema's interface. */
  readonly "~standard": {
    /** Version of the interface. */
    readonly version: 1;
    /** Name of the library. */
    readonly vendor: string;
    /** Checks a value. */
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    /** Types only; absent at run time. */
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined;
  };
}

/** Whether a value is a schema. */
export function isSchema(value: unknown): value is StandardSchema {
  if (typeof value !== "object" && typeof value !== "function" || value === null) return false;
  const standard = (value as Partial<StandardSchema>)["~standard"];
  return typeof standard === "object" && standard !== null && typeof standard.validate === "function";
}

/**
 * Checks what the `validate` of a schema has returned.
 *
 * @param result What it returned, or its promise resolved to.
 * @returns The result.
 * @throws {TypeError} If it is none: then the schema does not do what Standard Schema says.
 */
export function resultOf<Output>(result: SchemaResult<Output>): SchemaResult<Output> {
  const found: unknown = result;
  if (typeof found === "object" && found !== null && ("value" in found || "issues" in found)) return result;
  throw new TypeError(`Cannot check the value: its schema must return { value } or { issues }, but ${showType(found)}`);
}

/**
 * The place of an issue, as programs write it.
 *
 * @param path As the schema tells it.
 * @returns Such as `$.weights[3]`; `$` for the value itself.
 */
export function placeOf({ path = [] }: SchemaIssue): string {
  let place = "$";
  for (const step of path) {
    const key = typeof step === "object" && step !== null ? step.key : step;
    if (typeof key === "number") place += `[${key}]`;
    else if (typeof key === "symbol") place += `[${String(key)}]`;
    else place += /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
  }
  return place;
}
