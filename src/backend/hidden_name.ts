// The hidden names a file backend uses beside the units. A dot-name is never a unit, so whatever dies half-way is unseen.
//
//   .X.state.claim            the name X.state is being written; its modification time is the writer's heartbeat
//   .X.state.<token>.stage    a folder, which will become the unit X.state/
//   .X.state.tar.gz.<token>.stage   a folder that holds what will become the unit X.state.tar.gz
//   .X.state.lock             the note of X.state is being changed
//   .<token>.scratch          private room; its modification time is the heartbeat
//   .<token>.work             a real folder for libraries that insist on one; likewise
//   .<token>.trash            removed, perhaps not wholly deleted yet
//   .notes/                   labels

import { isGroup, splitUnit, type Unit } from "../words/unit.ts";

/** What hidden things there are. */
export type HiddenKind = "claim" | "lock" | "stage" | "scratch" | "work" | "trash";

/** Folder of the notes. */
export const NOTES_FOLDER = ".notes";

const PATTERN =
  /^\.(?:(?<name>.+)\.(?:claim|lock)|(?<unit>.+)\.[0-9a-f]{16}\.stage|[0-9a-f]{16}\.(?:scratch|work|trash))$/s;

/** A token no other writer has. */
export function newToken(): string {
  const random = crypto.getRandomValues(new Uint8Array(8));
  return Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Hidden name of the claim of a snapshot name. */
export const claimName = (name: string): string => `.${name}.claim`;

/** Hidden name of the lock of a snapshot's note. */
export const lockName = (name: string): string => `.${name}.lock`;

/** Hidden name of a new stage of a unit. */
export const stageName = (unit: Unit): string => `.${isGroup(unit) ? unit.slice(0, -1) : unit}.${newToken()}.stage`;

/** Hidden name of something that belongs to no snapshot. */
export const tokenName = (kind: "scratch" | "work" | "trash"): string => `.${newToken()}.${kind}`;

/** What a hidden file name says. */
export interface HiddenName {
  /** The name itself. */
  readonly fileName: string;
  /** What it is. */
  readonly kind: HiddenKind;
  /** For claims, locks and stages, the snapshot's name. */
  readonly name: string;
  /** For stages, what they would have become. */
  readonly unit: Unit;
}

/** Reads a hidden name; `undefined` where it is none of ours. */
export function parseHiddenName(fileName: string): HiddenName | undefined {
  const match = PATTERN.exec(fileName);
  if (match === null) return undefined;
  const kind = fileName.slice(fileName.lastIndexOf(".") + 1) as HiddenKind;
  const stem = match.groups?.["unit"] ?? "";
  const split = splitUnit(stem);
  const name = match.groups?.["name"] ?? split?.name ?? stem;
  return { fileName, kind, name, unit: split === undefined ? `${stem}/` : stem };
}
