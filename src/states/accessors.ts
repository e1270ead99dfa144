// How a program lends a value to a ready-made state: one function gets it, one sets it.
import { assertOptions, type OptionNames } from "../model/options.ts";

/** Gets and sets the value of a state. */
export interface Accessors<Saved, Loaded = Saved> {
  /** Returns the value to save; called once per save, at the instant of the save. */
  readonly get: () => Saved;
  /** Takes the value that was loaded; called once per load, after all of it was checked. A promise that it returns is awaited. */
  readonly set: (value: Loaded) => unknown;
}

/** Throws a TypeError unless a function is given under each of the names, and all other options exist. */
export function assertFunctions<Options extends object>(
  what: string,
  options: Options,
  required: readonly (keyof Options & string)[],
  names: OptionNames<Options>,
): void {
  assertOptions(`make ${what}`, options, names);
  const missing = required.filter((name) => typeof options[name] !== "function");
  if (missing.length === 0) return;
  const functions = missing.length === 1 ? "function" : "functions";
  throw new TypeError(`Cannot make ${what}: it needs the ${functions} ${missing.join(" and ")}`);
}
