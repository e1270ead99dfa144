// What the caller may have meant by the path of an entry that is not there.
import { nearest } from "../model/options.ts";
import type { Work } from "../runtime/concurrency.ts";

const MOST_SUGGESTED = 3;
const MOST_COMPARED = 1000;
const ENTRIES_AT_ONCE = 1024; // which take less than a millisecond

/** What the caller may have meant: entries of the same state if there are any, of the same file name first. */
export function* suggesting(path: string, entryPaths: Iterable<string>): Work<string> {
  const state = path.slice(0, path.indexOf("/") + 1);
  const fileName = path.slice(path.lastIndexOf("/"));
  const ranks: [string[], string[], string[], string[]] = [[], [], [], []];
  let count = 0;
  for (const other of entryPaths) {
    const rank = (other.startsWith(state) ? 0 : 2) + (other.endsWith(fileName) ? 0 : 1);
    const equals = ranks[rank] as string[];
    if (equals.length < MOST_COMPARED) equals.push(other);
    if (++count % ENTRIES_AT_ONCE === 0) yield;
  }
  const [alike, own, alikeElsewhere, others] = ranks;
  const isOwn = alike.length + own.length > 0;
  const left = (isOwn ? [...alike, ...own] : [...alikeElsewhere, ...others]).slice(0, MOST_COMPARED);
  const found: string[] = [];
  while (found.length < MOST_SUGGESTED && left.length > 0) {
    const next = nearest(path, left) as string;
    found.push(`"${next}"`);
    left.splice(left.indexOf(next), 1);
    yield;
  }
  if (found.length === 0) return "the snapshot has no entries";
  return found.length === 1 ? `the nearest is ${found[0]}` : `the nearest are ${found.join(", ")}`;
}
