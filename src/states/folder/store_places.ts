// The places of snapshots in a working folder: a save leaves them out, a restore leaves them alone. They are found by their paths, by the
// links that lead to them, and by what the file system calls the same folder under another name.
import { dirname, isAbsolute, relative, sep } from "node:path";
import { lookIfAllowed, type RealNode, waysTo } from "../../file/real_tree.ts";
import { showAddress } from "../../model/address.ts";
import { placesInUse } from "../../store/places_in_use.ts";

/** The places of snapshots in a folder. */
export class StorePlaces {
  readonly #root: string;
  /** The folder and those above it, by path and id. */
  readonly #holders = new Set<string>();
  /** Paths below the folder, also of what is not there yet. */
  readonly #paths = new Set<string>();
  readonly #ids = new Set<string>();
  /** Paths that `has` has met. */
  readonly found: Set<string> = new Set();

  /**
   * Looks at the places of all stores of this program.
   *
   * @param root The folder, with no link in its path.
   * @param source Address of the snapshot to load.
   * @throws {TypeError} If the folder is the place of a store or lies in one.
   */
  constructor(root: string, source?: string) {
    this.#root = root;
    for (let path = root;; path = dirname(path)) {
      this.#holders.add(path);
      const id = lookIfAllowed(path)?.id;
      if (id !== undefined) this.#holders.add(id);
      if (path === dirname(path)) break;
    }
    for (const place of placesInUse()) {
      if (this.#holds(place)) {
        throw new TypeError(
          `Cannot use ${showAddress(root)} as a working folder: a store has its snapshots in ${
            showAddress(place)
          }, which is that folder or holds it; ` +
            "give the store a folder of its own",
        );
      }
      this.#spare(place);
    }
    if (source === undefined || !isAbsolute(source)) return;
    if (this.#holds(source)) {
      throw new TypeError(`Cannot use ${showAddress(root)} as a working folder: it lies in a snapshot`);
    }
    this.#spare(this.#holds(dirname(source)) ? source : dirname(source));
  }

  /** Whether a place is the folder or holds it. */
  #holds(place: string): boolean {
    const end = waysTo(place).at(-1) as string;
    return this.#holders.has(end) || this.#holders.has(lookIfAllowed(end)?.id ?? end);
  }

  #spare(place: string): void {
    const ways = waysTo(place);
    for (const way of ways) {
      if (isWithin(this.#root, way)) this.#paths.add(relative(this.#root, way).split(sep).join("/"));
    }
    const id = lookIfAllowed(ways.at(-1) as string)?.id;
    if (id !== undefined) this.#ids.add(id);
  }

  /** Whether a path is a place of snapshots, or a link on the way to one. */
  has(path: string, node: RealNode): boolean {
    const isPlace = this.#paths.has(path) || node.id !== undefined && this.#ids.has(node.id);
    if (isPlace) this.found.add(path);
    return isPlace;
  }

  /** The place that a path is or lies in. */
  above(path: string): string | undefined {
    for (const place of [...this.#paths, ...this.found]) {
      if (path === place || path.startsWith(`${place}/`)) return place;
    }
    return undefined;
  }
}

/** Whether a path lies below another one. */
export function isWithin(outer: string, inner: string): boolean {
  return inner !== outer && inner.startsWith(outer.endsWith(sep) ? outer : outer + sep);
}
