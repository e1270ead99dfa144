// Where in the library an injected failure struck, read from its stack.
import type { SnapshotError } from "snapkeep";

/** The functions and lines from which the failing call was made, nearest first; empty where the stack does not say. */
export function framesOf(error: Error): string[] {
  const frames: string[] = [];
  for (const line of (error.stack ?? "").split("\n")) {
    const match = /(?:at |^)(?:async )?(.*?)[ (@]*(?:file:\/\/)?\/.*?\/src\/((?!testing|words)\w+\/\w+\.ts)(?::(\d+))?/
      .exec(line);
    if (match !== null) frames.push(`${match[2]}:${match[3]} ${match[1]?.trim()}`);
  }
  return frames;
}

/** Counts the distinct pairs of operation and call site that failures struck. */
export class Struck {
  readonly operations = new Set<string>();
  readonly sites = new Set<string>();
  #failures = 0;

  add(error: SnapshotError): void {
    const { operation } = error.details as { operation: string };
    this.#failures++;
    this.operations.add(operation);
    this.sites.add(`${operation} at ${framesOf(error)[0] ?? "unknown"}`);
  }

  toString(): string {
    return `${this.#failures} failures, ${this.operations.size} operations, ${this.sites.size} operations by call site`;
  }
}
