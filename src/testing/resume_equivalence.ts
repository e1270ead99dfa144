// Whether a program that is cut and resumed ends as one that never was. What it saves is compared, to the byte.
import { memoryBackend } from "../backend/memory_backend.ts";
import type { Backend } from "../model/backend.ts";
import { assertOptions, type OptionNames } from "../model/options.ts";
import { show, showType } from "../model/show.ts";
import type { ManifestEntry } from "../model/snapshot.ts";
import type { SnapshotLocator } from "../snapshot/locator.ts";
import { Random } from "../states/random.ts";
import { StateStore } from "../store/state_store.ts";

/**
 * A program as a generator: it registers its states in the store, awaits `store.resume()`, and yields after each step. It may be cut at each
 * yield: the store is saved, and the generator is ended. It must be deterministic; the clock of the store stands still.
 */
export type ResumableProgram = (store: StateStore) => AsyncIterable<unknown> | Iterable<unknown>;

/** Where {@link assertResumeEquivalent} cuts a program. */
export interface ResumeEquivalenceOptions {
  /**
   * Steps to cut after, each in a run of its own, from 1 on. Cost: a run of the program each.
   *
   * @default every step, or 50 that are spread evenly if there are more
   */
  readonly cuts?: readonly number[];
  /**
   * How many further runs are cut at a random step, and as many at two. Cost: two runs of the program each.
   *
   * @default 5
   */
  readonly randomCuts?: number;
  /**
   * Seed of the random cuts.
   *
   * @default 1
   */
  readonly seed?: number;
  /**
   * Makes an empty place for each run, for states that need a folder. What lies outside of the store must be new for each place, too.
   *
   * @default memoryBackend
   */
  readonly place?: () => Backend | Promise<Backend>;
}

/** What {@link assertResumeEquivalent} has run. */
export interface ResumeEquivalenceReport {
  /** Steps of the program. */
  readonly steps: number;
  /** The cuts of each run that was compared. */
  readonly runs: readonly (readonly number[])[];
}

const OPTIONS: OptionNames<ResumeEquivalenceOptions> = {
  cuts: "an array",
  randomCuts: "a number",
  seed: "a number",
  place: "a function",
};
const MOST_CUTS = 50;
/** What the clock of each store shows: times that states take from it are the same in each run. */
const START_MS = Date.UTC(2026, 0, 1);

/**
 * Runs a program through, then cuts and resumes it at each cut, at random cuts, and twice in one run, and throws if it ends with other states.
 *
 * A program is also run twice without a cut first, since one that is not deterministic cannot be judged.
 *
 * @param program The program.
 * @param options Where to cut it.
 * @returns How many steps it has, and which runs were compared.
 * @throws {Error} If a run differs; names the cuts, and the first step, state, entry and place in it that differ.
 * @throws {RangeError} If a cut is not a step of the program.
 * @example A counter that forgets nothing
 * ```ts
 * import { jsonState } from "snapkeep/states";
 * import { assertResumeEquivalent } from "snapkeep/testing";
 *
 * const { steps } = await assertResumeEquivalent(async function* (store) {
 *   let count = 0;
 *   store.register("count", jsonState({ get: () => count, set: (value) => count = value }));
 *   await store.resume();
 *   while (count < 10) yield ++count;
 * });
 * console.log(steps); // 10
 * ```
 */
export async function assertResumeEquivalent(
  program: ResumableProgram,
  options: ResumeEquivalenceOptions = {},
): Promise<ResumeEquivalenceReport> {
  assertOptions("test a program", options, OPTIONS);
  if (typeof program !== "function") throw new TypeError("Cannot test a program: it must be a generator function");
  const { randomCuts = 5, seed = 1, place = memoryBackend } = options;
  const random = new Random(seed);
  if (!(Number.isSafeInteger(randomCuts) && randomCuts >= 0)) {
    throw new RangeError(`Cannot test a program: randomCuts must be a whole number from 0 on, not ${show(randomCuts)}`);
  }
  const whole = await run(program, place, [], false);
  const { steps } = whole;
  if (steps === 0) throw new RangeError("Cannot test a program: it yields after no step");
  const { cuts = spread(steps) } = options;
  for (const cut of cuts) {
    if (!(Number.isSafeInteger(cut) && cut >= 1 && cut <= steps)) {
      throw new RangeError(`Cannot cut a program after step ${show(cut)}: it has the steps 1 to ${steps}`);
    }
  }
  const drawn = (count: number) => Array.from({ length: count }, () => random.integer(1, steps)).sort((a, b) => a - b);
  const once = Array.from({ length: randomCuts }, () => drawn(1));
  const twice = Array.from({ length: randomCuts }, () => drawn(2));
  const runs = [[], ...cuts.map((cut) => [cut]), ...once, ...twice];
  for (const cutsOfRun of runs) {
    const other = await run(program, place, cutsOfRun, false);
    if (await differenceOf(whole.last, other.last) === undefined && other.steps === steps) continue;
    throw new Error(await reportOf(program, place, cutsOfRun, [whole, other]));
  }
  return { steps, runs };
}

interface Run {
  readonly steps: number;
  /** What it saved at the end. */
  readonly last: SnapshotLocator;
  /** What it saved after each step, if `savesAll` was true. */
  readonly saved: readonly SnapshotLocator[];
}

/** Runs a program to its end, in as many lives as the cuts make. */
async function run(
  program: ResumableProgram,
  place: () => Backend | Promise<Backend>,
  cuts: readonly number[],
  savesAll: boolean,
): Promise<Run> {
  const backend = await place();
  const saved: SnapshotLocator[] = [];
  let steps = 0;
  for (let life = 0; life <= cuts.length; life++) {
    const store = new StateStore(backend, { now: () => START_MS });
    const cut = cuts[life];
    // A second cut at the same step leaves a life without a step: it is resumed and saved at once.
    let isCut = false;
    const running: unknown = program(store);
    if (typeof (running as Partial<AsyncGenerator> | null | undefined)?.next !== "function") {
      throw new TypeError(`Cannot test a program: expected a generator of it, but ${showType(running)}`);
    }
    for await (const _ of running as ReturnType<ResumableProgram>) {
      steps++;
      if (savesAll) saved.push(await store.saveState());
      isCut = cut !== undefined && steps >= cut;
      if (!isCut) continue;
      if (!savesAll) await store.saveState();
      break;
    }
    if (!isCut) return { steps, last: await store.saveState(), saved };
  }
  throw new Error("a program was cut after its last step and did not end");
}

function spread(steps: number): number[] {
  const count = Math.min(steps, MOST_CUTS);
  return [...new Set(Array.from({ length: count }, (_, index) => Math.round((index + 1) * steps / count)))];
}

/** Runs both once more, saves after each step, and tells where they begin to differ. */
async function reportOf(
  program: ResumableProgram,
  place: () => Backend | Promise<Backend>,
  cuts: readonly number[],
  ends: readonly [Run, Run],
): Promise<string> {
  const what = cuts.length === 0
    ? "Two runs that were not cut differ, so the program is not deterministic"
    : `A run that was cut after step ${cuts.join(" and ")} differs from one that was not`;
  const [whole, other] = [await run(program, place, [], true), await run(program, place, cuts, true)];
  for (const [index, snapshot] of whole.saved.entries()) {
    const against = other.saved[index];
    const difference = against === undefined ? undefined : await differenceOf(snapshot, against);
    if (difference !== undefined) return `${what}: first after step ${index + 1}, in ${difference}`;
  }
  const [first, second] = ends;
  if (first.steps !== second.steps) return `${what}: it has ${second.steps} steps, expected ${first.steps}`;
  return `${what}: only at the end, in ${await differenceOf(first.last, second.last)}`;
}

/** The first difference between two snapshots; `undefined` if there is none. */
async function differenceOf(expected: SnapshotLocator, found: SnapshotLocator): Promise<string | undefined> {
  const [a, b] = [await entriesOf(expected), await entriesOf(found)];
  for (const [key, { state, entry }] of new Map([...a, ...b])) {
    const [ofA, ofB] = [a.get(key)?.entry, b.get(key)?.entry];
    if (ofA?.digest === ofB?.digest) continue;
    const where = `the state "${state}", the entry "${entry.path}"`;
    if (ofA === undefined || ofB === undefined) return `${where}: it is ${ofB === undefined ? "missing" : "new"}`;
    return `${where}: ${placeOf(entry.path, await bytesOf(expected, key), await bytesOf(found, key))}`;
  }
  return undefined;
}

async function bytesOf(snapshot: SnapshotLocator, key: string): Promise<Uint8Array> {
  const reader = await snapshot.open();
  try {
    return await reader.bytes(key);
  } finally {
    await reader.close();
  }
}

async function entriesOf(snapshot: SnapshotLocator) {
  const { states } = await snapshot.manifest();
  return new Map(
    states.flatMap(({ name, entries }): [string, { state: string; entry: ManifestEntry }][] =>
      entries.map((entry) => [`${name}/${entry.path}`, { state: name, entry }])
    ),
  );
}

/** Where two entries differ first: by JSON path where they are JSON, else by offset. */
function placeOf(path: string, expected: Uint8Array, found: Uint8Array): string {
  try {
    const [a, b] = [expected, found].map((bytes) => new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as [
      string,
      string,
    ];
    if (path.endsWith(".json")) return jsonPlace(JSON.parse(a), JSON.parse(b), "$") ?? "it is written differently";
    if (path.endsWith(".jsonl")) {
      const [linesOfA, linesOfB] = [a.split("\n"), b.split("\n")];
      const line = linesOfA.findIndex((text, index) => text !== linesOfB[index]);
      const [ofA = "", ofB = ""] = [linesOfA[line], linesOfB[line]];
      if (ofA === "" || ofB === "") return `line ${line + 1}: expected ${show(ofA)}, found ${show(ofB)}`;
      return `line ${line + 1}: ${jsonPlace(JSON.parse(ofA), JSON.parse(ofB), "$") ?? "it is written differently"}`;
    }
  } catch {
    // not what its name says
  }
  const at = expected.findIndex((byte, index) => byte !== found[index]);
  return at < 0
    ? `expected ${expected.length} bytes, found ${found.length}`
    : `byte ${at}: expected ${expected[at]}, found ${found[at] ?? "the end"}`;
}

function jsonPlace(a: unknown, b: unknown, place: string): string | undefined {
  const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
  if (!isObject(a) || !isObject(b) || Array.isArray(a) !== Array.isArray(b)) {
    return Object.is(a, b) ? undefined : `${place}: expected ${show(a)}, found ${show(b)}`;
  }
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const at = Array.isArray(a) ? `${place}[${key}]` : `${place}.${key}`;
    if (!Object.hasOwn(a, key)) return `${at}: it is new`;
    if (!Object.hasOwn(b, key)) return `${at}: it is missing`;
    const found = jsonPlace(a[key], b[key], at);
    if (found !== undefined) return found;
  }
  return undefined;
}
