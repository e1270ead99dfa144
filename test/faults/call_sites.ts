// Where in the library an injected failure struck, read from its stack.
import type { SnapshotError } from "snapkeep";

/** The functions and lines from which the failing call was made, nearest first; empty where the stack does not say. */
export function framesOf(error: Error): string[] {
  const frames: string[] = [];
  for (const line of (error.stack ?? "").split("\n")) {
    const match =
      /(?:at |^)(?:async )?(.*?)[ (@]*(?:file:\/\/)?\/.*?\/src\/((?!testing|model|runtime)\w+\/\w+\.ts)(?::(\d+))?/
        .exec(line);
    if (match !== null) frames.push(`${match[2]}:${match[3]} ${match[1]?.trim()}`);
  }
  return frames;
}

/** The operation that an injected failure struck, and the place that made the call. */
export function siteOf(error: SnapshotError): string {
  const { operation } = error.details as { operation: string };
  return `${operation} at ${framesOf(error)[0] ?? "unknown"}`;
}

/** Counts what failures struck: the distinct operations at the distinct places that made the call, each with its errno. */
export class Struck {
  /** Calls by the place they were made from. */
  readonly sites = new Set<string>();
  readonly #all = new Set<string>();
  #failures = 0;
  #operation = "";
  #errno = "";

  /** From here on, failures strike this operation of the front, with this errno. */
  begin(operation: string, errno: string): void {
    this.#operation = operation;
    this.#errno = errno;
  }

  add(error: SnapshotError): void {
    const site = siteOf(error);
    this.#failures++;
    this.sites.add(site);
    this.#all.add(`${this.#operation}: ${site}: ${this.#errno}`);
  }

  toString(): string {
    return `${this.#failures} failures, ${this.sites.size} call sites, ${this.#all.size} distinct (operation, call site, errno)`;
  }
}
