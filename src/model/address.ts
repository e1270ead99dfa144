// Addresses in messages, written in one way: a path where a snapshot lies in a folder, else its URI.
import { fileURLToPath } from "node:url";
import { isGroup, type Unit } from "./unit.ts";

/** An address as callers give it: a path, or a URL. */
export type PathOrUrl = string | URL;

/** The path that a `file:` address stands for, or the address itself. */
export function pathOfUri(uri: string): string {
  return uri.startsWith("file:") ? fileURLToPath(uri).replace(/(?<=.)[/\\]$/, "") : uri;
}

/** A unit's address as a URI; a name may have characters that stand for something else in URIs. */
export function uriOfUnit(backend: { readonly uri: string }, unit: Unit): string {
  const name = encodeURIComponent(unit.replace(/\/$/, "")).replaceAll("%2C", ",");
  return backend.uri + name + (isGroup(unit) ? "/" : "");
}

/** A unit's URI, or what a caller calls a snapshot, as messages write it. */
export function addressOf(uri: string): string {
  return pathOfUri(uri).replace(/(?<=[^/\\])[/\\]$/, "");
}
