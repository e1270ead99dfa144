// The hidden names a file backend uses beside the units. A dot-name is never a unit, so whatever dies half-way is unseen.
//
//   .X.state.claim            the name X.state is being written; its modification time is the writer's heartbeat
//   .X.state.<token>.stage    a folder, which will become the unit X.state/
//   .X.state.tar.gz.<token>.stage   a folder that holds what will become the unit X.state.tar.gz
//   .X.state.lock             the note of X.state is being changed
//   .X.state.lock-owner       which process holds that lock
//   .<token>.scratch          private room; its modification time is the heartbeat
//   .<token>.work             a real folder for libraries that insist on one; likewise
//   .<token>.trash            removed, perhaps not wholly deleted yet
//   .notes/                   labels
//   .NAME.journal             lines that a state has appended
//
// A token begins with the process that made it, so that every thread, every copy of the library and every path to the place knows
// what its own process writes.

import process from "node:process";
import { isGroup, splitUnit, type Unit } from "../model/unit.ts";
import { thisProcess } from "./process_identity.ts";

/** What hidden things there are. */
export type HiddenKind = "claim" | "lock" | "lock-owner" | "stage" | "scratch" | "work" | "trash";

/** Folder of the notes. */
export const NOTES_FOLDER = ".notes";

const PATTERN =
  /^\.(?:(?<name>.+)\.(?:claim|lock|lock-owner)|(?:(?<unit>.+)\.)?(?<token>[0-9a-f]{16})\.(?:stage|scratch|work|trash))$/s;

// Tokens count on from a random number, so that what this copy of the library made is known without a list.
const firstToken = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
let tokens = 0;
let processTag: string | undefined;

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0").slice(-digits);

/** Eight digits that stand for this process: four for its id, four for its start, or zeros where that is not known. */
function tagOfThisProcess(): string {
  if (processTag === undefined) {
    const self = thisProcess();
    const start = self === undefined ? "" : `${self.bootId} ${self.namespace} ${self.startTime}`;
    let hash = 0x811c9dc5;
    for (let at = 0; at < start.length; at++) hash = Math.imul(hash ^ start.charCodeAt(at), 0x01000193) >>> 0;
    processTag = hex(process.pid, 4) + (self === undefined ? "0000" : hex(hash % 0xffff + 1, 4));
  }
  return processTag;
}

/** A token no other writer has. */
export function newToken(): string {
  return tagOfThisProcess() + hex((firstToken + tokens++) % 2 ** 32, 8);
}

/** Which part of this process made a token: this copy of the library, another one or another thread, or none of it. */
export function makerOf(token: string): "this copy" | "this process" | "another" {
  const [own, tag] = [tagOfThisProcess(), token.slice(0, 8)];
  // A thread with fewer permissions than another may not know when the process started.
  const isUnsure = own.endsWith("0000") || tag.endsWith("0000");
  if (tag !== own && !(isUnsure && tag.slice(0, 4) === own.slice(0, 4))) return "another";
  const distance = (Number.parseInt(token.slice(8), 16) - firstToken + 2 ** 32) % 2 ** 32;
  return tag === own && distance < tokens ? "this copy" : "this process";
}

/** Hidden name of the claim of a snapshot name. */
export const claimName = (name: string): string => `.${name}.claim`;

/** Hidden name of the lock of a snapshot's note. */
export const lockName = (name: string): string => `.${name}.lock`;

/** Hidden name of the file that says which process holds the lock of a snapshot's note. */
export const lockOwnerName = (name: string): string => `.${name}.lock-owner`;

/** Hidden name of a journal. */
export const journalName = (name: string): string => `.${name}.journal`;

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
  /** For claims, locks, their owners and stages, the snapshot's name. */
  readonly name: string;
  /** For stages, what they would have become. */
  readonly unit: Unit;
  /** The token, where the name has one. */
  readonly token: string | undefined;
}

/** Reads a hidden name; `undefined` if it is not one of ours. */
export function parseHiddenName(fileName: string): HiddenName | undefined {
  const match = PATTERN.exec(fileName);
  if (match === null) return undefined;
  const kind = fileName.slice(fileName.lastIndexOf(".") + 1) as HiddenKind;
  const stem = match.groups?.["unit"] ?? "";
  if ((stem !== "") !== (kind === "stage")) return undefined;
  const split = splitUnit(stem);
  const name = match.groups?.["name"] ?? split?.name ?? stem;
  return { fileName, kind, name, unit: split === undefined ? `${stem}/` : stem, token: match.groups?.["token"] };
}
