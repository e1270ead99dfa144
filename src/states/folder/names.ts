// Entry paths for files of any name. A path that is portable is the entry's; any other lies under an escaped one, and the index has its name.
import { isSnapshotError } from "../../model/errors.ts";
import { PathSet } from "../../model/entry_path.ts";

/** Folder of the files whose paths are portable. */
export const FILES = "files/";

const PLAIN = /^[A-Za-z0-9_.-]$/;

/** Gives each file of a state an entry path that no other one has on any file system. */
export class EntryNames {
  readonly #state: string;
  readonly #paths = new PathSet();
  #number = 0;

  constructor(state: string) {
    this.#state = state;
  }

  /** The entry path of a file; must be called in the same order for the same files, as what comes first may keep its name. */
  take(path: string): string {
    const escaped = path.split("/").map(escapedPart).join("/");
    for (const candidate of [FILES + path, `escaped/${escaped}`]) if (this.#add(candidate)) return candidate;
    let numbered: string;
    do numbered = `numbered/${this.#number++}`; while (!this.#add(numbered));
    return numbered;
  }

  #add(path: string): boolean {
    try {
      this.#paths.add(`${this.#state}/${path}`);
      return true;
    } catch (error) {
      if (!isSnapshotError(error)) throw error;
      return false;
    }
  }
}

/** A name with all that is not plain written as in URLs; its ends too, where some systems refuse dots and words such as `aux`. */
function escapedPart(part: string): string {
  const letters = [...part];
  return letters.map((letter, index) => {
    const isEnd = index === 0 || index === letters.length - 1;
    return PLAIN.test(letter) && !isEnd ? letter : percentEncoded(letter);
  }).join("");
}

function percentEncoded(letter: string): string {
  return [...new TextEncoder().encode(letter)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`)
    .join("");
}
