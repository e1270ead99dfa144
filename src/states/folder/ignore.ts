// What a folder's state leaves out, in the syntax of .gitignore. The only file that knows the package ignore.
import ignore, { type Ignore } from "ignore";
import { dirname, isAbsolute, join } from "node:path";
import { lookAt, readSteady } from "../../file/real_tree.ts";

/** Lines as in a .gitignore, or the name of files that hold such lines. */
export type IgnoreRule = string | { readonly file: string };

/** Lines that count below a folder. */
export interface IgnoreList {
  /** The folder, `""` for the root. */
  readonly below: string;
  /** The lines. */
  readonly lines: readonly string[];
}

/** Throws a TypeError unless these are rules. */
export function assertRules(rules: readonly IgnoreRule[]): void {
  const isRule = (rule: unknown) =>
    typeof rule === "string" ||
    typeof rule === "object" && rule !== null && "file" in rule && typeof rule.file === "string" && rule.file !== "";
  if (Array.isArray(rules) && rules.every(isRule)) {
    for (const rule of rules) if (typeof rule === "string") new IgnoreLists().add("", rule.split("\n"));
    return;
  }
  throw new TypeError(
    'Cannot make a folderState: ignore must be a list of lines, or of files as { file: ".gitignore" }',
  );
}

const MOST_STARS = 8;
const MOST_DOUBLE_STARS = 3;

/** Why a line is not taken: the time that a match takes grows with a power of the number of its wildcards. */
export function faultOfLine(line: string): string | undefined {
  if (line.startsWith("#")) return undefined;
  const [stars, doubles] = [line.match(/\*+/g) ?? [], line.match(/\*\*+/g) ?? []];
  if (stars.length <= MOST_STARS && doubles.length <= MOST_DOUBLE_STARS) return undefined;
  const excerpt = JSON.stringify(line.slice(0, 200));
  return `the line ${excerpt} of what to ignore has more than ${MOST_DOUBLE_STARS} "**" or ${MOST_STARS} "*"; split it into several`;
}

/** Tells what is ignored. What lies in an ignored folder is ignored, whatever else is said of it. */
export class IgnoreLists {
  readonly #lists = new Map<string, Ignore>();
  readonly #folders = new Map<string, boolean>();
  readonly #lines = new Map<string, string[]>();

  constructor(lists: readonly IgnoreList[] = []) {
    for (const { below, lines } of lists) this.add(below, lines);
  }

  /** All lines, to be stored. */
  get lists(): IgnoreList[] {
    return [...this.#lines].map(([below, lines]) => ({ below, lines }));
  }

  /** Adds lines; of one folder's, later ones count more. */
  add(below: string, lines: readonly string[]): void {
    const fault = lines.map(faultOfLine).find((each) => each !== undefined);
    if (fault !== undefined) throw new TypeError(`Cannot use the rules of what to ignore: ${fault}`);
    const own = this.#lists.get(below) ?? ignore({ ignoreCase: false });
    own.add(lines);
    this.#lists.set(below, own);
    this.#lines.set(below, [...this.#lines.get(below) ?? [], ...lines]);
    this.#folders.clear();
  }

  /** Whether a path is ignored. */
  ignores(path: string, isFolder: boolean): boolean {
    if (this.#lists.size === 0) return false;
    const parent = dirname(path);
    if (parent !== "." && this.#ignoresFolder(parent)) return true;
    for (let below = parent === "." ? "" : parent;; below = below.includes("/") ? dirname(below) : "") {
      const list = this.#lists.get(below);
      const rest = below === "" ? path : path.slice(below.length + 1);
      const verdict = list?.test(isFolder ? `${rest}/` : rest);
      if (verdict?.ignored) return true;
      if (verdict?.unignored || below === "") return false;
    }
  }

  #ignoresFolder(path: string): boolean {
    const known = this.#folders.get(path) ?? this.ignores(path, true);
    this.#folders.set(path, known);
    return known;
  }
}

const linesOf = (path: string): string[] | undefined => {
  const text = lookAt(path)?.kind === "file" ? readSteady(path)?.bytes : undefined;
  return text === undefined ? undefined : new TextDecoder().decode(text).split(/\r?\n/).filter((line) => line !== "");
};

/**
 * The rules that count everywhere: those given inline, and those of files that are given by their path.
 *
 * @throws {TypeError} If such a file is missing.
 */
export function rulesAt(root: string, rules: readonly IgnoreRule[]): { lists: IgnoreLists; fileNames: string[] } {
  const lists = new IgnoreLists();
  const fileNames: string[] = [];
  for (const rule of rules) {
    if (typeof rule === "string") lists.add("", rule.split("\n"));
    else if (!/[\\/]/.test(rule.file)) fileNames.push(rule.file);
    else {
      const path = isAbsolute(rule.file) ? rule.file : join(root, rule.file);
      const lines = linesOf(path);
      if (lines === undefined) {
        throw new TypeError(`Cannot read the rules of what to ignore: there is no file "${path}"`);
      }
      lists.add("", lines);
    }
  }
  return { lists, fileNames };
}

/** Adds the rules of a folder's own files, as .gitignore is in each folder. */
export function addRulesOf(lists: IgnoreLists, root: string, below: string, fileNames: readonly string[]): void {
  for (const name of fileNames) {
    const lines = linesOf(join(root, below, name));
    if (lines !== undefined) lists.add(below, lines);
  }
}
