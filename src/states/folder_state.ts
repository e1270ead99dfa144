// A working folder as a state: what an agent, a build or a simulation has on disk, saved and restored in place.
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { exactTargetOf, lookAt, piecesOf, readSteady, realPath } from "../file/real_tree.ts";
import { readPath, showAddress } from "../model/address.ts";
import { assertOptions } from "../model/options.ts";
import type { PersistentState, StateReader, StateWriter } from "../model/state.ts";
import { loggerOf } from "../runtime/logging.ts";
import { Pace } from "../runtime/concurrency.ts";
import { assertRules, IgnoreLists, type IgnoreRule, rulesAt } from "./folder/ignore.ts";
import {
  INDEX_PATH,
  linkThatLeadsOut,
  makeIndex,
  MOST_PARTS,
  type SavedFolder,
  savedFolder,
  type SavedNode,
} from "./folder/index.ts";
import { EntryNames, FILES } from "./folder/names.ts";
import { type FolderPreview, planRestore, type RestorePlan, SMALL_BYTES } from "./folder/plan.ts";
import { type FoundNode, scan } from "./folder/scan.ts";
import {
  assertFinished,
  assertFinishedIn,
  carryOut,
  discardStaged,
  newStaging,
  stage,
  stagedRestores,
  undo,
} from "./folder/staging.ts";
import { isWithin, StorePlaces } from "./folder/store_places.ts";
import { readJson, schemaOf } from "./reading.ts";

const PENDING_BYTES = 16 * 1024 * 1024;

/** How a {@link folderState} saves and restores. */
export interface FolderStateOptions {
  /**
   * What to leave out, in the syntax of .gitignore: lines, or files of lines. `{ file: ".gitignore" }`, a name without a slash, is looked
   * for in every folder and counts below it; a path names one file, relative to the folder. The lines are stored: what they or the current
   * ones ignore is left alone by a restore. @default none
   */
  readonly ignore?: readonly IgnoreRule[];
  /**
   * `keep` saves and restores all symbolic links. `inside` rejects a save or load with a link that leads out of the folder; use it to load
   * snapshots of others. @default "keep"
   */
  readonly links?: "keep" | "inside";
}

/** A state of a working folder. */
export interface FolderState extends PersistentState {
  /**
   * Tells what a load would do, and changes nothing.
   *
   * @param from The state's reader, such as `reader.state("work")` of an open snapshot.
   * @returns Paths that would be added, changed and deleted.
   * @throws As a load, for what it would refuse.
   */
  preview(from: StateReader): Promise<FolderPreview>;
  /** Puts the folder back as it was before the last load, from what that load set aside; the store calls it for a rollback. */
  undoLoad(): Promise<void>;
}

/**
 * Returns a state that is a working folder, restored in place.
 *
 * It keeps files, empty folders, symbolic links as links, the executable bit, and every name that the platform allows. It keeps no times, owners,
 * other rights or hard links. A socket, pipe or device fails the save and is never opened. A file that changes while it is read is read
 * again; one that keeps changing, or has more than 8 MiB, fails the save. Files are read one after the other, so pause what writes to the
 * folder if they must belong to one instant. The folders of all
 * stores of this program are left out, and no load changes them.
 *
 * A load writes what differs beside the folder, verifies it, and renames it in: files that are the same are left alone, and what the snapshot
 * lacks is removed. If it is killed, the next load undoes it first, and saves fail until then. What it removes or replaces stays in
 * `.NAME.snapkeep-restore` beside the folder until the next save has committed. No link is followed. A process that replaces folders by
 * links during a load could lead a rename elsewhere: load only where no other user can write.
 *
 * @param folder Path or `file:` URL; made absolute at once.
 * @param options What to leave out, how to treat links.
 * @returns The state, to be registered.
 * @throws {TypeError} If the folder is the root, the home folder or above it, or an option cannot be used.
 * @example An agent's workspace
 * ```ts
 * import { mkdir, writeFile } from "node:fs/promises";
 * import { StateStore } from "snapkeep";
 * import { folderState } from "snapkeep/states";
 *
 * await mkdir("work", { recursive: true });
 * const work = folderState("work", { ignore: ["node_modules/", ".env", { file: ".gitignore" }] });
 * const store = new StateStore("states").register("work", work);
 * await writeFile("work/plan.md", "1. Begin");
 * const snapshot = await store.saveState();
 * await writeFile("work/plan.md", "lost");
 * const reader = await snapshot.open();
 * console.log(await work.preview(reader.state("work")!)); // { added: [], changed: ["plan.md"], deleted: [] }
 * await reader.close();
 * await store.loadState(snapshot);
 * ```
 */
export function folderState(folder: string | URL, options: FolderStateOptions = {}): FolderState {
  assertOptions("make a folderState", options, { ignore: true, links: true });
  const { ignore = [], links = "keep" } = options;
  assertRules(ignore);
  if (links !== "keep" && links !== "inside") {
    throw new TypeError('Cannot make a folderState: links must be "keep" or "inside"');
  }
  if (!(typeof folder === "string" && folder !== "" || folder instanceof URL)) {
    throw new TypeError("Cannot make a folderState: give it the path of a folder");
  }
  const path = readPath(folder);
  assertAllowed(path);
  return new WorkingFolder(path, ignore, links);
}

class WorkingFolder implements FolderState {
  readonly #given: string;
  readonly #rules: readonly IgnoreRule[];
  readonly #links: "keep" | "inside";
  /** The complete restore that `undoLoad` undoes. */
  #last: string | undefined;
  /** Folders that the last load has left only for what is ignored in them: they are no part of what it restored. */
  #left: ReadonlySet<string> = new Set();
  #leftBefore: ReadonlySet<string> = new Set();

  constructor(path: string, rules: readonly IgnoreRule[], links: "keep" | "inside") {
    this.#given = path;
    this.#rules = rules;
    this.#links = links;
  }

  async saveState(out: StateWriter): Promise<void> {
    const root = this.#root();
    assertFinished(root);
    const done = stagedRestores(root).map(({ path }) => path);
    const kind = lookAt(root)?.kind;
    if (kind !== "folder") {
      throw new TypeError(
        `Cannot save ${showAddress(root)}: ${
          kind === undefined
            ? "there is no folder; make it first"
            : `it is a ${kind}${kind === "link" ? " that leads nowhere" : ""}; give the path of a folder`
        }`,
      );
    }
    const places = new StorePlaces(root);
    const rules = rulesAt(root, this.#rules, "must exist");
    const found = await scan(root, { ...rules, places, onStaging: assertFinishedIn });
    const links = new Map<string, string>();
    for (const { path, kind } of found.values()) {
      if (path.split("/").length > MOST_PARTS) {
        throw new TypeError(`Cannot save "${path}": it lies more than ${MOST_PARTS} folders deep; move or ignore it`);
      }
      if (kind === "other") {
        throw new TypeError(`Cannot save "${path}": it is a socket, pipe or device; remove or ignore it`);
      }
      if (kind === "link") links.set(path, exactTargetOf(join(root, path)));
    }
    if (this.#links === "inside") assertInside(links);
    const { names, executables } = await this.#writeFiles(root, out, found);
    const parents = new Set([...found.keys()].map((path) => dirname(path)));
    await out.json(
      INDEX_PATH,
      makeIndex({
        ignored: [...rules.lists.lists, ...[...places.found].map((path) => ({ below: "", lines: [lineOf(path)] }))],
        folders: [...found.values()].filter(({ kind, path }) => kind === "folder" && !parents.has(path)).filter((
          { path, holdsKept },
        ) => !(holdsKept && this.#left.has(path))).map(({ path }) => path),
        executables,
        links: [...links],
        names,
      }),
    );
    const discard = async () => {
      if (this.#last !== undefined && done.includes(this.#last)) this.#last = undefined;
      for (const path of done) await discardStaged(path);
    };
    void out.committed?.then(discard).catch((error: unknown) =>
      loggerOf("StateStore").warn("Cannot remove what a restore had set aside: {error}", { error })
    );
  }

  async #writeFiles(
    root: string,
    out: StateWriter,
    found: ReadonlyMap<string, FoundNode>,
  ): Promise<{ names: [string, string][]; executables: string[] }> {
    const entryNames = new EntryNames(out.name);
    const names: [string, string][] = [];
    const executables: string[] = [];
    const pace = new Pace();
    let pending: Promise<void>[] = [];
    let pendingBytes = 0;
    for (const [path, node] of found) {
      if (node.kind !== "file") continue;
      if (pace.isDue) await pace.rest();
      const full = join(root, path);
      const file = node.sizeBytes <= SMALL_BYTES ? readSteady(full) : undefined;
      if (file === undefined && node.sizeBytes <= SMALL_BYTES) continue; // it has gone meanwhile
      const entry = entryNames.take(path);
      if (entry !== FILES + path) names.push([entry, path]);
      if ((file?.node ?? node).isExecutable) executables.push(path);
      if (file === undefined) {
        await out.write(entry, piecesOf(full, node), { sizeBytes: node.sizeBytes });
        continue;
      }
      pending.push(out.write(entry, file.bytes, { owned: true }));
      pendingBytes += file.bytes.length;
      if (pendingBytes < PENDING_BYTES) continue;
      await Promise.all(pending);
      [pending, pendingBytes] = [[], 0];
    }
    await Promise.all(pending);
    return { names, executables };
  }

  async loadState(from: StateReader): Promise<void> {
    const root = this.#root();
    this.#last = undefined;
    this.#leftBefore = this.#left;
    await alone(root, () => this.#load(root, from));
  }

  async #load(root: string, from: StateReader): Promise<void> {
    const saved = await this.#read(from);
    for (const { path, phase } of stagedRestores(root)) {
      if (phase === "under way") await undo(root, path);
      if (phase === "staging") await discardStaged(path);
    }
    const { plan, wanted, found } = await this.#plan(root, from, saved);
    const left = new Set(
      [...found ?? []].filter(([path, { kind, holdsKept }]) => kind === "folder" && holdsKept && !wanted.has(path))
        .map(([path]) => path),
    );
    if (plan.steps.length === 0) {
      this.#left = left;
      return;
    }
    const staging = newStaging(root);
    try {
      await stage(root, staging, plan, wanted, found, from);
    } catch (error) {
      await discardStaged(staging);
      throw error;
    }
    await carryOut(root, staging, plan);
    this.#last = staging;
    this.#left = left;
  }

  async undoLoad(): Promise<void> {
    const staging = this.#last;
    this.#last = undefined;
    this.#left = this.#leftBefore;
    if (staging === undefined) return;
    const root = this.#root();
    await alone(root, () => undo(root, staging));
  }

  async preview(from: StateReader): Promise<FolderPreview> {
    const root = this.#root();
    assertFinished(root);
    const { plan: { added, changed, deleted } } = await this.#plan(root, from, await this.#read(from));
    return { added, changed, deleted };
  }

  async #read(from: StateReader): Promise<SavedFolder> {
    return await readJson(
      from,
      INDEX_PATH,
      schemaOf((value) => {
        const saved = savedFolder(value, from.entries);
        if (this.#links === "inside") assertInside(linksOf(saved.nodes));
        return saved;
      }),
    );
  }

  async #plan(root: string, from: StateReader, { nodes, ignored }: SavedFolder): Promise<{
    plan: RestorePlan;
    wanted: ReadonlyMap<string, SavedNode>;
    found: ReadonlyMap<string, FoundNode> | undefined;
  }> {
    const kind = lookAt(root)?.kind;
    if (kind !== "folder" && kind !== undefined) {
      throw new TypeError(`Cannot restore ${showAddress(root)}: a ${kind} lies there; move it away`);
    }
    const places = new StorePlaces(root, from.uri);
    const stored = new IgnoreLists(ignored);
    const rules = rulesAt(root, this.#rules, "may be missing");
    const found = kind === undefined ? undefined : await scan(root, { ...rules, also: stored, places });
    const wanted = new Map([...nodes].filter(([path, node]) => {
      const isFolder = node.kind === "folder";
      if (rules.lists.ignores(path, isFolder) || stored.ignores(path, isFolder)) return false;
      const place = places.above(path);
      if (place === undefined || isFolder && path === place) return place === undefined;
      throw new TypeError(`Cannot restore "${path}": snapshots lie in "${place}"; move them away`);
    }));
    const plan = await planRestore(root, wanted, found);
    assertStays(root, plan);
    return { plan, wanted, found };
  }

  /** The folder itself: one that is reached by a link stays reached by it. */
  #root(): string {
    const root = realPath(this.#given);
    assertAllowed(root);
    return root;
  }
}

/** The home folder, as it is written and with all links followed; the usual ones where the runtime may not tell. */
function homes(): string[] {
  const found: string[] = [];
  try {
    found.push(resolve(homedir()));
    found.push(realPath(found[0] as string));
  } catch {
    // Deno may not tell
  }
  return found;
}

const USUAL_HOMES = /^(?:\/root|\/(?:var\/)?home(?:\/[^/]+)?|\/Users(?:\/[^/]+)?|[A-Z]:\\Users(?:\\[^\\]+)?)$/i;

function assertAllowed(path: string): void {
  const known = homes();
  const isRoot = dirname(path) === path;
  const isHome = known.includes(path) || known.length === 0 && USUAL_HOMES.test(path);
  if (!isRoot && !isHome && !known.some((home) => isWithin(path, home))) return;
  const what = isRoot ? "the root of a volume" : isHome ? "the home folder" : "a folder above the home folder";
  throw new TypeError(
    `Cannot use "${path}" as a working folder: it is ${what}, and a restore removes what a snapshot lacks`,
  );
}

/** Folders that are being restored. */
const underWay = new Set<string>();

/** Runs a restore, unless this program restores the same folder, or one in or above it, for another state or store. */
async function alone(root: string, run: () => Promise<void>): Promise<void> {
  const other = [...underWay].find((path) => path === root || isWithin(path, root) || isWithin(root, path));
  if (other !== undefined) {
    throw new TypeError(
      `Cannot restore ${showAddress(root)}: ${showAddress(other)} is being restored; await that first`,
    );
  }
  underWay.add(root);
  try {
    await run();
  } finally {
    underWay.delete(root);
  }
}

/** Relative paths of the program mean others once its own folder was moved away. */
function assertStays(root: string, { steps }: RestorePlan): void {
  let current: string;
  try {
    current = realPath(process.cwd());
  } catch {
    return; // it has gone, or Deno may not tell
  }
  for (const { do: what, path } of steps) {
    if (what !== "move out") continue;
    const full = join(root, path);
    if (current !== full && !isWithin(full, current)) continue;
    throw new TypeError(
      `Cannot restore "${path}": the program's current folder is or lies in it; change to another one`,
    );
  }
}

function linksOf(nodes: ReadonlyMap<string, SavedNode>): Map<string, string> {
  const links = new Map<string, string>();
  for (const [path, node] of nodes) if (node.kind === "link") links.set(path, node.target);
  return links;
}

function assertInside(links: ReadonlyMap<string, string>): void {
  const path = linkThatLeadsOut(links);
  if (path === undefined) return;
  throw new TypeError(`the link "${path}" leads out of the folder, to ${JSON.stringify(links.get(path))}`);
}

/** A line of .gitignore that means one path and nothing else. */
function lineOf(path: string): string {
  return `/${path.replaceAll(/[\\*?[\]#! ]/g, "\\$&")}`;
}
