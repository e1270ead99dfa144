// ALICE's and SQLite's method: an operation is run once and recorded. For every call it makes, a crash at that moment is
// thought through: all trees it may leave (or a sample of them, where they are too many) are looked at as the next program
// would, and the next program crashes as well. A tree is looked at once for what may be expected of it.
import { createHash } from "node:crypto";
import { type Backend, fileBackend, type Labels, SnapshotLocator, StateStore, type StateWriter } from "snapkeep";
import { storableLabels } from "../../src/manifest/labels.ts";
import { CrashFileSystem, seeded, type Tree } from "./crash_file_system.ts";

export const ROOT = "/states";
export const COPIES = "/copies";
export const START_MS = Date.UTC(2026, 0, 2, 3, 4, 5);

/** What is known at a moment of the units of the place. */
interface Knowledge {
  /** Units that were acknowledged, and what they hold: they must be there. */
  readonly must: ReadonlyMap<string, string>;
  /** Units whose removal has begun: they may be there. */
  readonly may: ReadonlySet<string>;
  /** Whether a save is under way, so that there may be a unit more. */
  readonly isSaving: boolean;
  /** The labels a snapshot may have. */
  readonly labels: ReadonlyMap<string, readonly string[]>;
}

/** A crash that is thought through. */
interface Crash {
  readonly tree: Tree;
  readonly knowledge: Knowledge;
  readonly where: string;
  readonly depth: number;
}

/** How much is looked at. */
export interface Effort {
  /** Trees drawn per call where not all can be had. */
  readonly samples: number;
  /** After every how many crashes the next program sweeps and saves. */
  readonly goOnEvery: number;
  /** After every how many of them it is crashed, too. */
  readonly crashAgainEvery: number;
  /** Trees drawn per call of the next program. */
  readonly nestedSamples: number;
  /** Of an operation's calls, so many make its folders: at each of them the program alone is killed. */
  readonly killFirst: number;
  /** Every how many of the other calls the program alone is killed, and the machine only after the next program has saved. */
  readonly killEvery: number;
  /** Most combinations that are all gone through. */
  readonly exhaustiveUpTo: number;
}

/** What is done while the machine crashes. */
export interface CrashOperation {
  /** Brings the world to where the operation begins; all of it is durable. */
  prepare?(world: World): Promise<void>;
  run(world: World): Promise<void>;
  /** On an empty place that does not exist yet. */
  readonly isFirst?: boolean;
}

/** A state whose bytes tell its step; `parts` of them. */
export class Model {
  step = 0;
  parts: number;
  longLineBytes = 0;

  constructor(parts: number) {
    this.parts = parts;
  }

  async saveState(out: StateWriter): Promise<void> {
    const writing = [out.json("step.json", this.step)];
    for (let part = 0; part < this.parts; part++) {
      writing.push(out.write(`${part % 2 ? "deep/" : ""}${part}.bin`, new Uint8Array(60 + part).fill(this.step)));
    }
    const { longLineBytes } = this;
    if (longLineBytes > 0) {
      const line = async function* () {
        for (let at = 0; at < 2; at++) yield new Uint8Array(longLineBytes).fill(at);
      };
      writing.push(out.write("log.txt", line()));
    }
    await Promise.all(writing);
  }

  loadState(): void {}
}

const contentIds = new WeakMap<Uint8Array, string>();

function contentId(bytes: Uint8Array): string {
  let id = contentIds.get(bytes);
  if (id === undefined) {
    id = createHash("sha256").update(bytes).digest("base64").slice(0, 16);
    contentIds.set(bytes, id);
  }
  return id;
}

const byPath = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]) => a < b ? -1 : 1;

function digestOfTree(tree: Tree, nameOf: (path: string) => string): string {
  const hash = createHash("sha256");
  const lines = [...tree].map(([path, bytes]) => [nameOf(path), bytes === null ? "/" : contentId(bytes)] as const);
  for (const [path, content] of lines.sort(byPath)) hash.update(`${path}\n${content}\n`);
  return hash.digest("base64").slice(0, 16);
}

/** What is to be seen below a folder: each name with what it holds. */
function visibleIn(tree: Tree, root: string): Map<string, string> {
  const parts = new Map<string, string[]>();
  for (const [path, bytes] of [...tree].sort(byPath)) {
    if (!path.startsWith(`${root}/`)) continue;
    const relative = path.slice(root.length + 1);
    const [name = ""] = relative.split("/");
    if (name.startsWith(".")) continue;
    const unit = bytes === null || relative !== name ? `${name}/` : name;
    parts.set(unit, [...parts.get(unit) ?? [], `${relative} ${bytes === null ? "/" : contentId(bytes)}`]);
  }
  return new Map([...parts].map(([unit, lines]) => [unit, lines.join("\n")]));
}

function hiddenIn(tree: Tree): string[] {
  const names = new Set(
    [...tree.keys()].filter((path) => path.startsWith(`${ROOT}/.`)).map((path) => path.split("/")[2]),
  );
  return [...names].filter((name): name is string => name !== ".notes").sort();
}

function assert(holds: boolean, message: string): asserts holds {
  if (!holds) throw new Error(message);
}

/** A place that crashes, and what is known of it. */
export class World {
  readonly files: CrashFileSystem;
  readonly backend: Backend;
  readonly store: StateStore;
  readonly model: Model;
  /** Every whole unit there ever was, by what it holds; those of copies as well. */
  readonly whole: Set<string>;
  knowledge: Knowledge;
  /** What the clock shows, in seconds after the start; a next program may meet the very instant of the one that crashed. */
  instant = 0;
  readonly #unverified = new Map<string, Tree>();
  #labels: Labels | undefined;

  constructor(files: CrashFileSystem, parts: number, knowledge?: Knowledge, whole = new Set<string>()) {
    this.files = files;
    this.backend = fileBackend(ROOT, { fileSystem: files });
    this.model = new Model(parts);
    this.store = new StateStore(this.backend, { startFresh: true, now: () => START_MS + this.instant * 1000 })
      .register("model", this.model);
    this.whole = whole;
    const seen = visibleIn(files.tree(), ROOT);
    this.knowledge = knowledge ?? { must: seen, may: new Set(), isSaving: false, labels: new Map() };
    this.learn();
  }

  /** A backend on the same machine, for another program or another place. */
  other(root = ROOT): Backend {
    return fileBackend(root, { fileSystem: this.files });
  }

  /** From here on, until it is acknowledged, there may be a unit more. */
  saving(labels?: Labels): void {
    this.knowledge = { ...this.knowledge, isSaving: true };
    this.#labels = labels;
  }

  /** A save was acknowledged. */
  saved(locator: SnapshotLocator): void {
    this.learn();
    const unit = locator.name + (locator.layout === "directory" ? "/" : ".tar.gz");
    const content = visibleIn(this.files.tree(), ROOT).get(unit);
    assert(content !== undefined, `"${unit}" was acknowledged and cannot be seen`);
    const { must, labels } = this.knowledge;
    this.knowledge = {
      ...this.knowledge,
      isSaving: false,
      must: new Map([...must, [unit, content]]),
      labels: this.#labels === undefined
        ? labels
        : new Map([...labels, [locator.name, [JSON.stringify(storableLabels(this.#labels))]]]),
    };
  }

  /** A removal has begun. */
  removing(...units: string[]): void {
    const { must, may } = this.knowledge;
    this.knowledge = {
      ...this.knowledge,
      must: new Map([...must].filter(([unit]) => !units.includes(unit))),
      may: new Set([...may, ...units]),
    };
  }

  /** All removals were acknowledged. */
  removed(): void {
    this.knowledge = { ...this.knowledge, may: new Set() };
  }

  /** The labels that a snapshot may have from here on. */
  labelled(name: string, ...labels: Labels[]): void {
    this.knowledge = withLabels(this.knowledge, name, labels.map((label) => JSON.stringify(storableLabels(label))));
  }

  /** Notes what is to be seen now; whether it is whole is looked at by `verifyAll`. */
  learn(): void {
    const tree = this.files.tree();
    for (const root of [ROOT, COPIES]) {
      for (const content of visibleIn(tree, root).values()) {
        if (!this.whole.has(content)) this.#unverified.set(content, tree);
      }
    }
  }

  /** Verifies all units that were seen, as users do. */
  async verifyAll(): Promise<void> {
    for (const [content, tree] of this.#unverified) {
      if (this.whole.has(content)) continue;
      for (const root of [ROOT, COPIES]) {
        for (const [unit, found] of visibleIn(tree, root)) {
          if (found !== content) continue;
          const locator = new SnapshotLocator(fileBackend(root, { fileSystem: CrashFileSystem.of(tree) }), [unit]);
          const report = await locator.verify();
          assert(report.isWhole, `"${unit}" is not whole: ${JSON.stringify(report.findings)}`);
        }
      }
      this.whole.add(content);
    }
    this.#unverified.clear();
  }
}

/** Gathers what crashes may leave while something runs. */
class Recording {
  readonly crashes = new Map<string, Crash>();
  readonly forks: { files: CrashFileSystem; knowledge: Knowledge; where: string }[] = [];
  calls = 0;
  readonly world: World;
  readonly #name: string;
  readonly #depth: number;
  readonly #random: () => number;
  readonly #effort: Effort;

  constructor(world: World, name: string, depth: number, random: () => number, effort: Effort) {
    this.world = world;
    this.#name = name;
    this.#depth = depth;
    this.#random = random;
    this.#effort = effort;
    world.files.onCall = (operation, path) => this.#crashBefore(`${operation} "${path}"`);
  }

  /** Ends the recording; the last crash is one after all calls. */
  end(): void {
    this.#crashBefore("its end");
    this.world.files.onCall = undefined;
  }

  #crashBefore(call: string): void {
    const { files, knowledge } = this.world;
    const where = `${this.#name}, crash before call ${++this.calls}, ${call}`;
    for (const tree of files.survivors(this.#random, this.#effort.samples, this.#effort.exhaustiveUpTo)) {
      const digest = digestOfTree(tree, (path) => files.normalised(path));
      const key = `${digest} ${keyOf(knowledge)}`;
      if (!this.crashes.has(key)) this.crashes.set(key, { tree, knowledge, where, depth: this.#depth });
    }
    if (this.#depth > 0 || (this.calls > this.#effort.killFirst && this.calls % this.#effort.killEvery > 0)) return;
    // What can be seen then and was not acknowledged may be lost, or stay.
    const seen = [...visibleIn(files.tree(), ROOT).keys()].filter((unit) => !knowledge.must.has(unit));
    const may = new Set([...knowledge.may, ...seen]);
    this.forks.push({
      files: files.fork(),
      knowledge: { ...knowledge, may, isSaving: false },
      where: `${where}, of the program only`,
    });
  }
}

const knowledgeKeys = new WeakMap<Knowledge, string>();
let knowledges = 0;

function keyOf(knowledge: Knowledge): string {
  let key = knowledgeKeys.get(knowledge);
  if (key === undefined) knowledgeKeys.set(knowledge, key = String(++knowledges));
  return key;
}

/** Runs operations, crashes them, and counts. */
export class CrashLoop {
  /** Distinct trees that were looked at, each by operation and content. */
  readonly trees = new Set<string>();
  crashes = 0;
  recoveries = 0;
  readonly effort: Effort;
  #firstCrashes = 0;

  constructor(effort: Effort) {
    this.effort = effort;
  }

  /** Crashes one operation at every call. */
  async run(name: string, operation: CrashOperation, seed: number): Promise<void> {
    const random = seeded(seed);
    const parts = 2 + seed % 5;
    const world = await prepared(operation, parts);
    const recording = new Recording(world, `${name}, seed ${seed}`, 0, random, this.effort);
    await operation.run(world);
    recording.end();
    world.learn();
    await world.verifyAll();
    await this.#lookAtAll(name, recording, random, parts);
    for (const fork of recording.forks) {
      const next = new World(fork.files, parts, fork.knowledge, world.whole);
      next.instant = world.instant;
      await this.#recover(name, next, fork.where, random, parts);
    }
  }

  async #lookAtAll(name: string, recording: Recording, random: () => number, parts: number): Promise<void> {
    for (const crash of recording.crashes.values()) {
      const { files, whole } = recording.world;
      this.trees.add(`${name} ${digestOfTree(crash.tree, (path) => files.normalised(path))}`);
      this.crashes++;
      try {
        await lookAt(crash, whole);
        if (crash.depth > 0) continue;
        const count = ++this.#firstCrashes;
        const next = () => survivorWorld(crash, parts, recording.world);
        if (count % this.effort.crashAgainEvery === 0) await this.#recover(name, next(), crash.where, random, parts);
        else if (count % this.effort.goOnEvery === 0) await goOn(next());
      } catch (cause) {
        throw new Error(`${crash.where}: ${String(cause)}\n${render(crash.tree)}`, { cause });
      }
    }
  }

  /** The next program recovers and saves, and crashes at every call of that. */
  async #recover(name: string, next: World, where: string, random: () => number, parts: number): Promise<void> {
    this.recoveries++;
    const recording = new Recording(next, `${where}; then recovering`, 1, random, {
      ...this.effort,
      samples: this.effort.nestedSamples,
      exhaustiveUpTo: this.effort.nestedSamples,
    });
    await goOn(next);
    recording.end();
    await next.verifyAll();
    await this.#lookAtAll(name, recording, random, parts);
  }
}

async function prepared(operation: CrashOperation, parts: number): Promise<World> {
  const files = new CrashFileSystem();
  if (operation.isFirst) return new World(files, parts);
  const world = new World(files, parts);
  for (const layout of ["directory", "tar.gz"] as const) {
    world.instant = ++world.model.step;
    await world.store.saveState({ layout });
  }
  await operation.prepare?.(world);
  const restarted = new World(CrashFileSystem.of(files.tree()), parts);
  restarted.model.step = restarted.instant = world.model.step + 1;
  await restarted.verifyAll();
  return restarted;
}

/** What the next program sees, looked at without changing it. */
async function lookAt({ tree, knowledge }: Crash, whole: ReadonlySet<string>): Promise<void> {
  const seen = visibleIn(tree, ROOT);
  for (const [unit, content] of knowledge.must) {
    assert(seen.has(unit), `"${unit}" was acknowledged and is lost`);
    assert(seen.get(unit) === content, `"${unit}" was acknowledged and is not as it was`);
  }
  let added = 0;
  for (const [unit, content] of seen) {
    assert(whole.has(content), `"${unit}" can be seen and is not whole`);
    if (knowledge.must.has(unit) || knowledge.may.has(unit)) continue;
    added++;
    assert(knowledge.isSaving, `"${unit}" can be seen and should not be there`);
  }
  assert(added <= 1, `${added} units can be seen that were not acknowledged`);
  for (const [unit, content] of visibleIn(tree, COPIES)) assert(whole.has(content), `the copy "${unit}" is not whole`);

  const store = new StateStore(fileBackend(ROOT, { fileSystem: CrashFileSystem.of(tree) }), { startFresh: true });
  const listed = await store.list();
  const names = new Set([...seen.keys()].map((unit) => unit.replace(/\/$|\.tar\.gz$/, "")));
  assert(
    listed.map(({ name }) => name).join() === [...names].sort().join(),
    `listed ${listed.join()} where there are ${[...seen.keys()].join()}`,
  );
  for (const locator of listed) {
    const allowed = knowledge.labels.get(locator.name);
    if (allowed === undefined) continue;
    const labels = JSON.stringify(await locator.labels());
    assert(
      allowed.includes(labels),
      `"${locator.name}" has the labels ${labels}, and may have ${allowed.join(" or ")}`,
    );
  }
}

/** What survived is now what is known. */
function survivorWorld(crash: Crash, parts: number, { whole, instant }: World): World {
  const files = CrashFileSystem.of(crash.tree);
  const world = new World(files, parts, {
    must: visibleIn(crash.tree, ROOT),
    may: new Set(),
    isSaving: false,
    labels: crash.knowledge.labels,
  }, whole);
  world.instant = instant;
  return world;
}

let goings = 0;

/** The next program sweeps, saves, and finds all in order. */
async function goOn(world: World): Promise<void> {
  const { store, model, files } = world;
  const isSameInstant = ++goings % 2 === 0;
  model.step = 9;
  if (!isSameInstant) world.instant++;
  await store.sweep({ force: true });
  const hidden = hiddenIn(files.tree());
  assert(hidden.length === 0, `a sweep left ${hidden.join()}`);
  const [first] = world.knowledge.must.keys();
  if (goings % 3 === 0 && first !== undefined) await label(world, first.replace(/\/$|\.tar\.gz$/, ""));
  world.saving({});
  const locator = await store.saveState({ layout: goings % 8 === 0 ? "tar.gz" : "directory" });
  world.saved(locator);
  await world.verifyAll();
  const left = hiddenIn(files.tree());
  assert(left.length === 0, `a save left ${left.join()}`);
  await lookAt({ tree: files.tree(), knowledge: world.knowledge, where: "", depth: 1 }, world.whole);
}

async function label(world: World, name: string): Promise<void> {
  const before = world.knowledge.labels.get(name);
  const locator = await world.store.snapshot(name);
  assert(locator !== undefined, `"${name}" cannot be found`);
  const after = JSON.stringify(storableLabels({ ...await locator.labels(), remark: "after" }));
  if (before === undefined) world.knowledge = withLabels(world.knowledge, name, undefined);
  else world.knowledge = withLabels(world.knowledge, name, [...before, after]);
  await locator.label({ remark: "after" });
  world.knowledge = withLabels(world.knowledge, name, [after]);
}

function withLabels(knowledge: Knowledge, name: string, labels: readonly string[] | undefined): Knowledge {
  const all = new Map(knowledge.labels);
  if (labels === undefined) all.delete(name);
  else all.set(name, labels);
  return { ...knowledge, labels: all };
}

function render(tree: Tree): string {
  return [...tree].map(([path, bytes]) => `  ${path} ${bytes === null ? "" : bytes.length}`).sort().join("\n");
}
