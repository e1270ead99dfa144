// Which names are safe and portable: on every file system, in every archive tool, on every runtime. The writer refuses
// the rest when it is handed over, and the reader refuses it again, because archives are hostile input.
import { SnapshotError } from "./errors.ts";
import { show } from "./show.ts";
import { MANIFEST_PATH, TABLE_PATH, UNIT_SUFFIXES } from "./unit.ts";

const MAX_PATH_BYTES = 1024;
const MAX_PART_BYTES = 255;
const MAX_DEPTH = 64;
const MAX_NAME_BYTES = 200; // leaves room for what backends put around a snapshot's name

// Control, format (bidi, zero-width), surrogates, line and paragraph separators, and what Windows refuses.
const BAD_CHARACTER = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\\<>:"|?*]/u;
// Windows looks neither at what follows the first dot nor at spaces before it.
const RESERVED = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(?:\.|$)/i;
// The common case decided without the slow checks: plain ASCII words that no rule below can object to.
const PLAIN_PART = /^[A-Za-z0-9_](?:[A-Za-z0-9_., -]*[A-Za-z0-9_-])?$/;

// What file systems that fold case pass over; most of it is refused as Cf, but variation selectors belong to emoji.
const IGNORABLE = /\p{Default_Ignorable_Code_Point}/gu;

// deno-lint-ignore no-control-regex
const ASCII = /^[\x00-\x7f]*$/;

const encoder = new TextEncoder();

/** A name as messages quote it: none that is allowed is cut, and hostile ones may be of any length. */
export function quoted(name: string): string {
  if (typeof name !== "string") return show(name);
  return name.length <= MAX_PATH_BYTES ? `"${name}"` : `"${name.slice(0, 100)}…"`;
}

/** Why one path segment is unsafe, or `undefined`. */
function faultOfPart(part: string): string | undefined {
  if (part === "") return "it has an empty part";
  if (PLAIN_PART.test(part) && part.length <= MAX_PART_BYTES) {
    return RESERVED.test(part) ? `"${part}" is reserved on Windows` : undefined;
  }
  if (part === "." || part === "..") return `it has a "${part}" part`;
  if (BAD_CHARACTER.test(part)) return "it has a character that is not portable";
  if (part.endsWith(".") || part.endsWith(" ")) return "a part ends with a dot or a space";
  if (RESERVED.test(part)) return `"${part}" is reserved on Windows`;
  if (encoder.encode(part).length > MAX_PART_BYTES) return `a part is longer than ${MAX_PART_BYTES} bytes`;
  const normal = part.normalize("NFKC");
  if (normal !== part) {
    if (normal.includes("/")) return "it has a character that some systems read as a slash";
    const fault = faultOfPart(normal);
    if (fault !== undefined) return `${fault} once normalised`;
  }
  return undefined;
}

/**
 * Says why an entry path is not safe and portable.
 *
 * @param path Path within a state or a snapshot.
 * @returns The reason, or `undefined` for a good path.
 */
export function faultOfEntryPath(path: string): string | undefined {
  if (path === "") return "it is empty";
  if (path.startsWith("/")) return "it must not begin with a slash";
  // Three bytes a character at the most: only long paths need to be encoded to be measured.
  if (path.length * 3 > MAX_PATH_BYTES && encoder.encode(path).length > MAX_PATH_BYTES) {
    return `it is longer than ${MAX_PATH_BYTES} bytes`;
  }
  const parts = path.split("/");
  if (parts.length > MAX_DEPTH) return `it is deeper than ${MAX_DEPTH} folders`;
  for (const part of parts) {
    const fault = faultOfPart(part);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/**
 * What paths are compared by: two paths with equal keys may be one file on some file system.
 *
 * @param path A safe path.
 * @returns Its key: NFKC, without what is drawn as nothing, and full case folding.
 */
export function collisionKey(path: string): string {
  if (ASCII.test(path)) return path.toLowerCase(); // the same, for what nearly every path is
  // Upper before lower folds what lower alone does not: sharp s, final sigma, long s. Lower before that folds the capital
  // sharp s, which is its own upper case.
  const seen = path.normalize("NFKC").replace(IGNORABLE, "");
  return seen.toLowerCase().toUpperCase().toLowerCase().normalize("NFKC");
}

const RESERVED_KEYS = new Set([MANIFEST_PATH, TABLE_PATH].map(collisionKey));

/**
 * Says why a state name is not safe: it must be one safe path segment, no dot-name, and none of the format's own names.
 *
 * @param name Name of a state.
 * @returns The reason, or `undefined` for a good name.
 */
export function faultOfStateName(name: string): string | undefined {
  if (typeof name !== "string") return "it must be a string";
  if (name.includes("/")) return "it is more than one path segment";
  if (name.startsWith(".")) return "it starts with a dot";
  const fault = faultOfEntryPath(name);
  if (fault !== undefined) return fault;
  return RESERVED_KEYS.has(collisionKey(name)) ? "the snapshot format uses it itself" : undefined;
}

/**
 * Says why a snapshot name is not safe: as for states, without an end that tells a layout, and short enough for what backends
 * put around it.
 *
 * @param name Name of a snapshot.
 * @returns The reason, or `undefined` for a good name.
 */
export function faultOfSnapshotName(name: string): string | undefined {
  const fault = faultOfStateName(name);
  if (fault !== undefined) return fault;
  const key = collisionKey(name);
  const suffix = UNIT_SUFFIXES.find((end) => key.endsWith(end));
  if (suffix !== undefined) return `it ends with "${suffix}", which tells the layout`;
  const mayBeLong = name.length * 3 > MAX_NAME_BYTES;
  return mayBeLong && encoder.encode(name).length > MAX_NAME_BYTES
    ? `it is longer than ${MAX_NAME_BYTES} bytes`
    : undefined;
}

/**
 * Throws unless a state name is safe.
 *
 * @param name Name of a state.
 * @throws {SnapshotError} `NAME_UNSAFE`.
 */
export function assertStateName(name: string): void {
  const reason = faultOfStateName(name);
  if (reason === undefined) return;
  throw new SnapshotError("NAME_UNSAFE", `Cannot use the state name ${quoted(name)}: ${reason}`, { name, reason });
}

/**
 * Throws unless a snapshot name is safe.
 *
 * @param name Name of a snapshot.
 * @throws {SnapshotError} `NAME_UNSAFE`.
 */
export function assertSnapshotName(name: string): void {
  const reason = faultOfSnapshotName(name);
  if (reason === undefined) return;
  throw new SnapshotError("NAME_UNSAFE", `Cannot use the snapshot name ${quoted(name)}: ${reason}`, { name, reason });
}

/**
 * Throws unless an entry path is safe.
 *
 * @param path Path within a state or a snapshot.
 * @throws {SnapshotError} `ENTRY_PATH_UNSAFE`.
 */
export function assertEntryPath(path: string): void {
  const reason = faultOfEntryPath(path);
  if (reason === undefined) return;
  throw new SnapshotError("ENTRY_PATH_UNSAFE", `Cannot use the entry path ${quoted(path)}: ${reason}`, {
    path,
    reason,
  });
}

/** What lies below a folder, by the key of the first part of its path; a path ends with a slash where it is a folder's. */
type Below = Map<string, string | Branch>;

/** A folder in which ways part, and the way to it from the last such folder. */
interface Branch {
  readonly way: string;
  readonly below: Below;
}

/**
 * A growing set of paths that can all lie in one tree on every file system. It takes memory as its paths are long, however
 * deep: hostile ones consist of folders.
 */
export class PathSet {
  readonly #root: Below = new Map();

  /**
   * Adds a file path.
   *
   * @param path Path of a file.
   * @throws {SnapshotError} `ENTRY_PATH_UNSAFE`, or `ENTRY_EXISTS` where it equals or collides with an earlier one.
   */
  add(path: string): void {
    assertEntryPath(path);
    this.#enter(path, path);
  }

  /**
   * Adds a folder path; a folder may be added again and again.
   *
   * @param path Path of a folder.
   * @throws {SnapshotError} `ENTRY_PATH_UNSAFE`, or `ENTRY_EXISTS` where it collides with an earlier path.
   */
  addFolder(path: string): void {
    assertEntryPath(path);
    this.#enter(path, `${path}/`);
  }

  #enter(path: string, place: string): void {
    let below = this.#root;
    for (let start = 0; start < place.length;) {
      const key = collisionKey(partAt(place, start));
      const there = below.get(key);
      if (there === undefined) return void below.set(key, place.slice(start));
      const way = typeof there === "string" ? there : there.way;
      let branch = there;
      if (typeof branch === "string" || !place.startsWith(way, start)) {
        const shared = this.#sharedFolders(path, place, start, way);
        if (start + shared === place.length) return; // a folder on the way to what is there
        branch = { way: way.slice(0, shared), below: new Map() };
        const rest = way.slice(shared);
        if (rest !== "") {
          branch.below.set(
            collisionKey(partAt(rest, 0)),
            typeof there === "string" ? rest : { way: rest, below: there.below },
          );
        }
        below.set(key, branch);
      }
      below = branch.below;
      start += branch.way.length;
    }
  }

  /** How much of a way is the same for a place, in whole folders; refuses where both cannot be. */
  #sharedFolders(path: string, place: string, start: number, way: string): number {
    let shared = 0;
    while (shared < way.length && start + shared < place.length) {
      const mine = partAt(place, start + shared);
      const theirs = partAt(way, shared);
      const next = shared + mine.length + 1;
      const areFolders = next <= way.length && start + next <= place.length;
      if (mine !== theirs || !areFolders) {
        if (collisionKey(mine) !== collisionKey(theirs)) break;
        this.#refuse(path, path.slice(0, start + shared) + theirs);
      }
      shared = next;
    }
    return shared;
  }

  #refuse(path: string, existing: string): never {
    const reason = existing === path ? "it is there already" : `it collides with "${existing}"`;
    throw new SnapshotError("ENTRY_EXISTS", `Cannot add the entry "${path}": ${reason}`, { path, existing });
  }
}

function partAt(path: string, start: number): string {
  const slash = path.indexOf("/", start);
  return path.slice(start, slash === -1 ? path.length : slash);
}
