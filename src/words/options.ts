// Options that a caller misspelt are a caller's mistake, found before anything else happens. The only file that knows leven.
import { closestMatch } from "leven";
import { show } from "./show.ts";

/** The name of every option of an options type; the compiler keeps it complete. */
export type OptionNames<Options> = Readonly<Record<keyof Options, true>>;

/**
 * The candidate that is spelt most like a word.
 *
 * @param word What was written.
 * @param candidates What could have been meant.
 * @returns The nearest one; `undefined` only where there is no candidate.
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  return closestMatch(word, candidates);
}

/**
 * Throws if `options` is not an object, or has an option that does not exist.
 *
 * @param action What the caller does, after "Cannot": `save`, `register "model"`.
 * @param options What the caller gave.
 * @param names The options there are.
 * @throws {TypeError} Names the unknown option and the nearest one that exists.
 */
export function assertOptions<Options>(
  action: string,
  options: Options,
  names: OptionNames<Options>,
): void {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new TypeError(`Cannot ${action}: the options must be an object, but are ${describe(options)}`);
  }
  for (const option of Object.keys(options)) {
    if (Object.hasOwn(names, option)) continue;
    const known = Object.keys(names);
    const hint = known.length === 0 ? "it takes none" : `did you mean "${nearest(option, known)}"?`;
    throw new TypeError(`Cannot ${action}: there is no option "${option}"; ${hint}`);
  }
}

function describe(value: unknown): string {
  return Array.isArray(value) ? "a list" : show(value);
}
