// The folder beside the restored one, in which a restore stages, and from which it can be undone. A restore writes nothing elsewhere but by
// a rename; so at any moment what has happened can be read off what lies here.
//
//   .NAME.snapkeep-restore/1/new/<step>   what step <step> will move in
//   .NAME.snapkeep-restore/1/old/<step>   what step <step> has moved out
//   .NAME.snapkeep-restore/1/plan.json    the steps, written before the first of them: a restore is under way, or was killed
//   .NAME.snapkeep-restore/1/done.json    the same, renamed after the last step: the restore is complete, and may still be undone
import { basename, dirname, join } from "node:path";
import {
  isTooLong,
  lookAt,
  lookIfAllowed,
  makeFolder,
  makeFolders,
  makeLink,
  move,
  namesIn,
  readSteady,
  removeAll,
  removeFolder,
  removeName,
  writeNew,
} from "../../file/real_tree.ts";
import { hasNoRoom, reasonOf } from "../../model/errors.ts";
import { iterate } from "../../runtime/bytes.ts";
import { Pace } from "../../runtime/concurrency.ts";
import type { StateReader } from "../../model/state.ts";
import { collisionKey } from "../../model/entry_path.ts";
import { faultOfTruePath, type SavedNode } from "./index.ts";
import { type RestorePlan, SMALL_BYTES, type Step } from "./plan.ts";
import { type FoundNode, parentOf, STAGING_NAME } from "./scan.ts";

const PLAN = "plan.json";
const DONE = "done.json";
const OWN_RIGHTS = 0o700; // what is staged may be secret, and its folder's rights do not guard it here

/** The places where restores of a folder may stage: beside it, or within where there is no room beside, or another file system. */
function placesOf(root: string): [string, string] {
  return [join(dirname(root), `.${basename(root)}${STAGING_NAME}`), join(root, STAGING_NAME)];
}

/** A restore that is staged. */
export interface Staged {
  /** Its folder. */
  readonly path: string;
  /** How far it came. */
  readonly phase: "staging" | "under way" | "done";
}

/** All restores of a folder that have left something, the newest first. */
export function stagedRestores(root: string): Staged[] {
  return placesOf(root).flatMap(restoresIn);
}

/** All restores that have staged in a place, the newest first. */
function restoresIn(place: string): Staged[] {
  if (lookIfAllowed(place)?.kind !== "folder") return [];
  const numbers = namesIn(place).filter((name) => /^[1-9]\d*$/.test(name)).map(Number).sort((a, b) => b - a);
  return numbers.map((number) => {
    const path = join(place, String(number));
    const phase = lookAt(join(path, PLAN)) !== undefined
      ? "under way"
      : lookAt(join(path, DONE)) !== undefined
      ? "done"
      : "staging";
    return { path, phase };
  });
}

/**
 * Throws where a restore that was killed has left a mixture.
 *
 * @param place Where it would have staged.
 * @throws {TypeError} Names what it left.
 */
export function assertFinishedIn(place: string): void {
  const found = restoresIn(place).find(({ phase }) => phase === "under way");
  if (found === undefined) return;
  throw new TypeError(
    `Cannot use the folder as it is: a restore was not finished, and left "${found.path}"; load a snapshot first`,
  );
}

/** As {@link assertFinishedIn}, for restores of a folder and of those above it. */
export function assertFinished(root: string): void {
  for (let path = root; path !== dirname(path); path = dirname(path)) placesOf(path).forEach(assertFinishedIn);
}

/** Removes what a restore has staged and set aside. */
export async function discardStaged(path: string): Promise<void> {
  await removeAll(path);
  try {
    removeFolder(dirname(path));
  } catch {
    // another restore lies there
  }
}

/** Makes the folder of a new restore. */
export function newStaging(root: string): string {
  const [beside, within] = placesOf(root);
  const device = lookAt(root)?.device;
  const make = (place: string): string => {
    const kind = lookIfAllowed(place)?.kind;
    if (kind === undefined) makeFolder(place, OWN_RIGHTS);
    else if (kind !== "folder") throw new TypeError(`Cannot stage in "${place}": it is a ${kind}; move it away`);
    const numbers = namesIn(place).map(Number).filter(Number.isSafeInteger);
    const path = join(place, String(Math.max(0, ...numbers) + 1));
    for (const folder of [path, join(path, "new"), join(path, "old")]) makeFolder(folder, OWN_RIGHTS);
    return path;
  };
  if (device === undefined) makeFolders(dirname(root));
  else if (device !== lookIfAllowed(dirname(root))?.device) return make(within);
  try {
    return make(beside);
  } catch (error) {
    if (device === undefined || !hasNoRoom(error)) throw error;
    return make(within);
  }
}

/**
 * Writes what a restore will move in. Every byte was verified once this resolves.
 *
 * @throws {TypeError} If two names are one on this platform, or the file system allows none so long.
 */
export async function stage(
  root: string,
  staging: string,
  plan: RestorePlan,
  wanted: ReadonlyMap<string, SavedNode>,
  found: ReadonlyMap<string, FoundNode> | undefined,
  from: StateReader,
): Promise<void> {
  await assertApart(staging, wanted);
  assertShort(root, wanted);
  const pace = new Pace();
  for (const [number, step] of plan.steps.entries()) {
    if (step.do !== "move in") continue;
    if (pace.isDue) await pace.rest();
    const node = wanted.get(step.path) as SavedNode;
    const path = join(staging, "new", String(number));
    if (node.kind === "link") makeLink(path, node.target);
    if (node.kind !== "file") continue;
    const { entry: { path: entry, sizeBytes }, isExecutable } = node;
    const old = found?.get(step.path);
    const mode = old?.kind === "file" ? old.mode : undefined;
    const body = sizeBytes <= SMALL_BYTES ? [await from.bytes(entry)] : iterate(from.stream(entry));
    await writeNew(path, body, { isExecutable, mode });
  }
}

const SHORT = 64; // characters of a name that each file system allows

/** How long a name or path may be, the file system tells. */
function assertShort(root: string, wanted: ReadonlyMap<string, SavedNode>): void {
  for (const path of wanted.keys()) {
    const name = path.slice(parentOf(path).length);
    if (name.length <= SHORT && root.length + path.length <= SHORT * 4) continue;
    if (!isTooLong(join(root, name)) && !isTooLong(join(root, path))) continue;
    throw new TypeError(`"${path.slice(0, 200)}" cannot be restored: the file system allows no name or path so long`);
  }
}

/** Names that differ may be one where case or form do not count; whether they do, this file system tells. */
async function assertApart(staging: string, wanted: ReadonlyMap<string, SavedNode>): Promise<void> {
  const folder = join(staging, "names");
  makeFolder(folder, OWN_RIGHTS);
  const isOne = async (a: string, b: string): Promise<boolean> => {
    await writeNew(join(folder, a), []);
    return lookAt(join(folder, b)) !== undefined;
  };
  const foldsNames = await isOne("a", "A") || await isOne("\u00e9", "e\u0301");
  await removeAll(folder);
  if (!foldsNames) return;
  const paths = new Map<string, string>();
  for (const path of wanted.keys()) {
    const key = collisionKey(path);
    const other = paths.get(key);
    if (other !== undefined) throw new TypeError(`"${path}" and "${other}" are one name on this file system`);
    paths.set(key, path);
  }
}

/**
 * Carries out the steps. If one fails, all are undone.
 *
 * @throws What failed; an AggregateError if undoing failed as well, which the next load does.
 */
export async function carryOut(root: string, staging: string, plan: RestorePlan): Promise<void> {
  const pace = new Pace();
  const text = new TextEncoder().encode(JSON.stringify({ formatVersion: 1, steps: plan.steps }));
  await writeNew(join(staging, "plan.part"), [text], { sync: true });
  move(join(staging, "plan.part"), join(staging, PLAN));
  try {
    for (const [number, { do: what, path }] of plan.steps.entries()) {
      if (pace.isDue) await pace.rest();
      const target = path === "" ? root : join(root, path);
      if (path !== "") assertFolders(root, parentOf(path));
      if (what === "move out") move(target, join(staging, "old", String(number)));
      else if (lookAt(target) !== undefined) throw new TypeError(`Cannot restore "${path}": it was made meanwhile`);
      else if (what === "make folder") makeFolder(target);
      else move(join(staging, "new", String(number)), target);
    }
    move(join(staging, PLAN), join(staging, DONE));
  } catch (error) {
    try {
      await undo(root, staging);
    } catch (failure) {
      const message = `${reasonOf(error)}; undoing failed too: ${reasonOf(failure)}; the next load tries again`;
      throw new AggregateError([error, failure], message);
    }
    throw error;
  }
}

/** A link in the place of a folder would lead what is written elsewhere. */
function assertFolders(root: string, path: string): void {
  for (let folder = path;; folder = parentOf(folder)) {
    if (lookAt(join(root, folder))?.kind !== "folder") {
      throw new TypeError(`Cannot restore into "${folder === "" ? root : folder}": it is not a folder any more`);
    }
    if (folder === "") return;
  }
}

/**
 * Makes a folder what it was before a restore, complete or not, and discards what was staged. May be called again where it failed.
 *
 * @throws {TypeError} If something lies where a file would have to come back.
 */
export async function undo(root: string, staging: string): Promise<void> {
  const pace = new Pace();
  const steps = stepsOf(staging);
  // Until all is undone, the folder is a mixture, which no save may take for complete.
  if (lookAt(join(staging, PLAN)) === undefined && steps.length > 0) move(join(staging, DONE), join(staging, PLAN));
  for (const { number, step: { do: what, path } } of steps.reverse()) {
    if (pace.isDue) await pace.rest();
    const target = path === "" ? root : join(root, path);
    const [staged, old] = [join(staging, "new", String(number)), join(staging, "old", String(number))];
    if (what === "move in" && lookAt(staged) === undefined) {
      assertFolders(root, parentOf(path));
      if (lookAt(target) !== undefined) move(target, staged);
    } else if (what === "make folder" && lookAt(target)?.kind === "folder") {
      if (namesIn(target).length === 0) removeFolder(target);
    } else if (what === "move out" && lookAt(old) !== undefined) {
      assertFolders(root, parentOf(path));
      if (lookAt(target) !== undefined) {
        throw new TypeError(
          `Cannot put "${path}" back from "${old}": something lies there; move it away and load again`,
        );
      }
      move(old, target);
    }
  }
  removeName(join(staging, PLAN)); // first: without what is staged, the steps would move out what has just come back
  await discardStaged(staging);
}

function stepsOf(staging: string): { number: number; step: Step }[] {
  const file = readSteady(join(staging, PLAN)) ?? readSteady(join(staging, DONE));
  if (file === undefined) return [];
  let steps: unknown;
  try {
    ({ steps } = JSON.parse(new TextDecoder().decode(file.bytes)) as { steps?: unknown });
  } catch {
    // it is not ours
  }
  if (!(Array.isArray(steps) && steps.every(isStep))) {
    throw new TypeError(`Cannot undo the restore in "${staging}": its plan is damaged; move it away and load again`);
  }
  return steps.map((step, number) => ({ number, step }));
}

/** Whether this is a step as a plan holds it; whatever else can write beside the folder could lead an undo elsewhere. */
function isStep(value: unknown): value is Step {
  if (typeof value !== "object" || value === null) return false;
  const { do: what, path } = value as Partial<Record<string, unknown>>;
  if (typeof path !== "string") return false;
  if (what === "make folder" && path === "") return true;
  return (what === "move out" || what === "move in" || what === "make folder") && faultOfTruePath(path) === undefined;
}
