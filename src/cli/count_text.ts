// Counts in messages.

/**
 * Returns a count with its noun, such as `1 snapshot` or `2 entries`.
 *
 * @param count How many.
 * @param one The noun for one.
 * @param many The noun for any other count, if it is not the first with an `s`.
 */
export function countText(count: number, one: string, many: string = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
