// What a caller's text or URL means, and how messages write an address: a path where a snapshot lies in a folder, else its URI.
import { basename, dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { shownUrl } from "./shown_url.ts";
import { isGroup, type Unit } from "./unit.ts";

/** An address as callers give it: a path, or a URL. */
export type PathOrUrl = string | URL;

/** What a caller's text or URL means. */
export interface Address {
  /** As messages show it: without user and query. */
  readonly shown: string;
  /** Absolute path, of a path or a `file:` URL. A relative one is made absolute now, whatever chdir does later. */
  readonly path?: string;
  /** Any other URL. */
  readonly url?: URL;
  /** Whether it ends with a slash. */
  readonly endsWithSlash: boolean;
}

/**
 * Reads an address; a text with `://` is a URL.
 *
 * @throws {TypeError} If it is `~` or begins with `~/`, or looks like a URL and is none.
 */
export function readAddress(where: PathOrUrl): Address {
  const place = typeof where === "string" && /^[a-z][a-z0-9+.-]+:\/\//i.test(where) ? urlOf(where) : where; // C:// is a drive
  if (typeof place !== "string") {
    const address = { shown: shownUrl(place), endsWithSlash: place.pathname.endsWith("/") };
    return place.protocol === "file:"
      ? { ...address, path: resolve(fileURLToPath(place)) }
      : { ...address, url: place };
  }
  if (/^~(?:[/\\]|$)/.test(place)) {
    const instead = `join(homedir(), ${JSON.stringify(place.slice(2))})`;
    throw new TypeError(
      `Cannot use "${place}" as a place: only shells replace "~"; write ${instead}, or "./${place}" for a folder called "~"`,
    );
  }
  return { shown: place, path: resolve(place), endsWithSlash: /[/\\]$/.test(place) };
}

function urlOf(where: string): URL {
  if (URL.canParse(where)) return new URL(where);
  // The runtime's own error shows all of it, and it may have a password or a signature.
  throw new TypeError(
    `Cannot use a text that begins with "${where.slice(0, where.indexOf("/"))}//": it is not a valid URL`,
  );
}

/** The absolute path that a caller's text or URL means, where only the file system will do. */
export function readPath(where: PathOrUrl): string {
  const { path, shown } = readAddress(where);
  if (path !== undefined) return path;
  throw new TypeError(`Cannot use ${showAddress(shown)} as a place: expected a path or a file: URL`);
}

/** Splits the absolute path of a snapshot into its folder and its file name. */
export function splitPath(path: string): { readonly folder: string; readonly fileName: string } {
  return { folder: dirname(path), fileName: basename(path) };
}

/** The path that a `file:` address stands for, or the address itself. */
export function pathOfUri(uri: string): string {
  if (!uri.startsWith("file:")) return uri;
  try {
    return fileURLToPath(uri).replace(/(?<=.)[/\\]$/, "");
  } catch {
    return uri; // of a backend that calls its place so; a message must not fail
  }
}

/** A unit's address as a URI; a name may have characters that stand for something else in URIs. */
export function uriOfUnit(backend: { readonly uri: string }, unit: Unit): string {
  const name = encodeURIComponent(unit.replace(/\/$/, "")).replaceAll("%2C", ",");
  return backend.uri + name + (isGroup(unit) ? "/" : "");
}

/** A URI or path without the slash at its end: a path where it is a file's. */
export function addressOf(uri: string): string {
  return pathOfUri(uri).replace(/(?<=[^/\\])[/\\]$/, "");
}

/** An address as every message and warning writes it: a path, or else a URI, in double quotes. */
export function showAddress(address: PathOrUrl | { toString(): string }): string {
  return `"${addressOf(address instanceof URL ? shownUrl(address) : String(address))}"`;
}
