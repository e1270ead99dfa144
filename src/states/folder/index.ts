// The index of a folder's state: what entries alone do not tell. It may be anybody's: all of it is checked before a restore changes
// anything. Checked by hand, since it has a line for each link and each executable of a folder.
//
//   index.json            {"formatVersion":1,"ignored":[{"below":"","lines":["*.log"]}],"folders":["empty"],"executables":["run.sh"],
//                         "links":[["current","v2"]],"names":[["escaped/%61%3Ab","a:b"]]}
//   files/<path>          a file of a portable path
//   <other path>          a file whose true path stands in names
import process from "node:process";
import { faultOfEntryPath } from "../../model/entry_path.ts";
import type { EntryInfo } from "../../model/state.ts";
import { faultOfLine, type IgnoreList } from "./ignore.ts";
import { FILES } from "./names.ts";
import { isStaging, parentOf } from "./scan.ts";

/** Entry path of the index. */
export const INDEX_PATH = "index.json";
const FORMAT_VERSION = 1;
const MOST_HOPS = 40;
const MAX_PATH_LENGTH = 4096;
/** How deep a path may lie: what ignores it is looked for in each folder above. */
export const MOST_PARTS = 64;

/** The index as written. */
export interface FolderIndex {
  /** Version of the form. */
  readonly formatVersion: 1;
  /** What was left out, and is left alone by a restore. */
  readonly ignored: readonly IgnoreList[];
  /** Folders in which nothing lies. */
  readonly folders: readonly string[];
  /** Files that their owner may execute. */
  readonly executables: readonly string[];
  /** Links and where they lead. */
  readonly links: readonly (readonly [path: string, target: string])[];
  /** Entry paths of files whose paths are not portable. */
  readonly names: readonly (readonly [entry: string, path: string])[];
}

/** What a snapshot has at a path. */
export type SavedNode =
  | { readonly kind: "folder" }
  | { readonly kind: "link"; readonly target: string }
  | { readonly kind: "file"; readonly entry: EntryInfo; readonly isExecutable: boolean };

/** A folder as saved. */
export interface SavedFolder {
  /** What lies at each path, parents first. */
  readonly nodes: ReadonlyMap<string, SavedNode>;
  /** What was left out. */
  readonly ignored: readonly IgnoreList[];
}

/** Makes an index. */
export function makeIndex(parts: Omit<FolderIndex, "formatVersion">): FolderIndex {
  return { formatVersion: FORMAT_VERSION, ...parts };
}

/**
 * What an index and the entries of its state say a folder held.
 *
 * @throws {TypeError} If they contradict each other or no folder can hold that.
 */
export function savedFolder(value: unknown, entries: readonly EntryInfo[]): SavedFolder {
  const { ignored, folders, executables, links, names } = shaped(value);
  const trueNames = new Map(names);
  if (trueNames.size < names.length) fail("an entry has two names");
  const nodes = new Map<string, SavedNode>();
  const add = (path: string, node: SavedNode): void => {
    const fault = faultOfTruePath(path);
    if (fault !== undefined) fail(`the path ${JSON.stringify(path.slice(0, 200))} cannot be restored: ${fault}`);
    if (nodes.has(path)) fail(`${JSON.stringify(path)} is there twice`);
    nodes.set(path, node);
  };
  const canExecute = new Set(executables);
  for (const entry of entries) {
    if (entry.path === INDEX_PATH) continue;
    const path = trueNames.get(entry.path) ??
      (entry.path.startsWith(FILES) ? entry.path.slice(FILES.length) : undefined);
    if (path === undefined) return fail(`the entry "${entry.path}" has no name in the index`);
    trueNames.delete(entry.path);
    add(path, { kind: "file", entry, isExecutable: canExecute.delete(path) });
  }
  if (trueNames.size > 0) {
    fail(`the index names the entry ${JSON.stringify([...trueNames.keys()][0])}, which is missing`);
  }
  if (canExecute.size > 0) fail(`the executable ${JSON.stringify([...canExecute][0])} is no file of the snapshot`);
  for (const [path, target] of links) {
    if (target === "" || target.includes("\0") || target.length > MAX_PATH_LENGTH) {
      fail(`the link "${path}" leads nowhere`);
    }
    add(path, { kind: "link", target });
  }
  for (const path of folders) add(path, { kind: "folder" });
  return { nodes: withParents(nodes), ignored };
}

/** Adds the folders that lie above others; what is no folder must have nothing below. */
function withParents(nodes: ReadonlyMap<string, SavedNode>): Map<string, SavedNode> {
  const all = new Map(nodes);
  for (const path of nodes.keys()) {
    for (let parent = parentOf(path); parent !== ""; parent = parentOf(parent)) {
      const node = all.get(parent);
      if (node === undefined) all.set(parent, { kind: "folder" });
      else if (node.kind !== "folder") fail(`"${path}" would lie in "${parent}", which is a ${node.kind}`);
      else break;
    }
  }
  return new Map([...all].sort(([a], [b]) => a < b ? -1 : 1));
}

/**
 * A link that leads out of the folder, as all links of the snapshot resolve; `undefined` where none does.
 *
 * @param links Targets by paths.
 */
export function linkThatLeadsOut(links: ReadonlyMap<string, string>): string | undefined {
  return [...links.keys()].find((path) => {
    const way = path.split("/").reverse();
    const at: string[] = [];
    for (let hops = 0; way.length > 0;) {
      const part = way.pop() as string;
      if (part === "" || part === ".") continue;
      if (part === "..") {
        if (at.pop() === undefined) return true;
        continue;
      }
      at.push(part);
      const target = links.get(at.join("/"));
      if (target === undefined) continue;
      if (
        target.startsWith("/") || ++hops > MOST_HOPS || process.platform === "win32" && /^(?:[a-z]:|\\)/i.test(target)
      ) return true;
      at.pop();
      way.push(...target.split(process.platform === "win32" ? /[\\/]/ : "/").reverse());
    }
    return false;
  });
}

/** Why no folder of this platform can hold a path. */
export function faultOfTruePath(path: string): string | undefined {
  if (process.platform === "win32" && faultOfEntryPath(path) !== undefined) return faultOfEntryPath(path);
  if (path === "") return "it is empty";
  if (path.startsWith("/")) return "it is absolute";
  if (path.length > MAX_PATH_LENGTH) return "it is too long";
  if (path.includes("\0")) return "it has a NUL";
  if (/\p{Cs}/u.test(path)) return "it has a lone surrogate";
  const parts = path.split("/");
  if (parts.length > MOST_PARTS) return `it lies more than ${MOST_PARTS} folders deep`;
  if (parts.includes("")) return "it has an empty part";
  if (parts.includes(".") || parts.includes("..")) return 'it has a "." or ".." part';
  return parts.some(isStaging) ? "it is a folder in which restores stage" : undefined;
}

function fail(reason: string): never {
  throw new TypeError(reason);
}

function shaped(value: unknown): FolderIndex {
  const isText = (each: unknown): each is string => typeof each === "string";
  const isTexts = (each: unknown) => Array.isArray(each) && each.every(isText);
  const arePairs = (each: unknown) => Array.isArray(each) && each.every((pair) => isTexts(pair) && pair.length === 2);
  const isList = (each: unknown) =>
    typeof each === "object" && each !== null && isText(Reflect.get(each, "below")) &&
    isTexts(Reflect.get(each, "lines"));
  if (typeof value !== "object" || value === null) fail("it is not an object");
  const index = value as Partial<Record<keyof FolderIndex, unknown>>;
  if (index.formatVersion !== FORMAT_VERSION) {
    fail(`it has version ${String(index.formatVersion)}, this library knows ${FORMAT_VERSION}`);
  }
  const isFine = Array.isArray(index.ignored) && index.ignored.every(isList) && isTexts(index.folders) &&
    isTexts(index.executables) && arePairs(index.links) && arePairs(index.names);
  if (!isFine) fail("it has another shape");
  for (const { lines } of (value as FolderIndex).ignored) {
    const fault = lines.map(faultOfLine).find((each) => each !== undefined);
    if (fault !== undefined) fail(fault);
  }
  return value as FolderIndex;
}
