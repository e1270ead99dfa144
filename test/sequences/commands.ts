// What is done to a modelled store, as data, so that a failing run can be made smaller; and what must come of it.
import path from "node:path";
import fc from "fast-check";
import {
  isSnapshotError,
  keepLatest,
  type Labels,
  LatestStatesKeeper,
  type LayoutKind,
  locate,
  RetentionKeeper,
  type VerifyReport,
} from "snapkeep";
import { fastFolder } from "../backend/temporary.ts";
import type { Damage } from "./places.ts";
import { ensure, sameValue, type Snap, type World } from "./world.ts";
import { all } from "../backend/texts.ts";

/** One step of a run. */
export type Command =
  | { do: "save"; layout: LayoutKind; labels: Labels; alpha: number; beta: number }
  | { do: "fail"; layout: LayoutKind; how: "throw" | "stream" | "abort" }
  | { do: "crash"; layout: LayoutKind; labels: Labels; alpha: number; at: number; seed: number }
  | { do: "load"; index: number; only: ("alpha" | "beta")[] | undefined }
  | { do: "resume" }
  | { do: "prune"; keeper: "latest" | "rules"; keep: number }
  | { do: "remove"; index: number }
  | { do: "label"; index: number; labels: Labels }
  | { do: "pin"; index: number; isOn: boolean }
  | { do: "export"; index: number; layout: LayoutKind }
  | { do: "import"; index: number; layout: LayoutKind; from: "path" | "locator" | "stream" }
  | { do: "corrupt"; index: number; file: number; how: Damage; at: number }
  | { do: "verify"; mode: "quick" | "full" }
  | { do: "reopen" }
  | { do: "clock"; byMs: number };

const layout = fc.constantFrom<LayoutKind>("directory", "tar.gz");
const value = fc.nat(200);
const index = fc.nat(7);
const at = fc.double({ min: 0, max: 0.999, noNaN: true });
const labels: fc.Arbitrary<Labels> = fc.record({
  tags: fc.array(fc.constantFrom("good", "nightly"), { maxLength: 2 }).map((tags) => [...new Set(tags)]),
  step: fc.nat(1000),
  metrics: fc.dictionary(fc.constantFrom("loss", "score"), fc.nat(9), { maxKeys: 2, noNullPrototype: true }),
  remark: fc.constantFrom("", "ä remark"),
  pinned: fc.boolean(),
}, { requiredKeys: [] });

function command<Name extends Command["do"]>(
  name: Name,
  parts: {
    [Key in Exclude<keyof Extract<Command, { do: Name }>, "do">]: fc.Arbitrary<Extract<Command, { do: Name }>[Key]>;
  },
): fc.Arbitrary<Command> {
  return fc.record(parts as Record<string, fc.Arbitrary<unknown>>).map((rest) =>
    ({ do: name, ...rest }) as unknown as Command
  );
}

/** Steps of all kinds; saves most of all. */
export const commands: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 7,
    arbitrary: command("save", { layout, labels: fc.oneof(fc.constant({}), labels), alpha: value, beta: value }),
  },
  { weight: 2, arbitrary: command("fail", { layout, how: fc.constantFrom("throw", "stream", "abort") }) },
  {
    weight: 3,
    arbitrary: command("crash", {
      layout,
      labels: fc.constantFrom<Labels>({}, { pinned: true }, { step: 1 }),
      alpha: value,
      at: fc.integer({ min: 1, max: 45 }),
      seed: fc.nat(),
    }),
  },
  {
    weight: 3,
    arbitrary: command("load", {
      index,
      only: fc.constantFrom(undefined, undefined, ["alpha" as const], ["beta" as const]),
    }),
  },
  { weight: 1, arbitrary: command("resume", {}) },
  {
    weight: 3,
    arbitrary: command("prune", { keeper: fc.constantFrom("latest", "rules"), keep: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 1, arbitrary: command("remove", { index }) },
  { weight: 2, arbitrary: command("label", { index, labels }) },
  { weight: 2, arbitrary: command("pin", { index, isOn: fc.boolean() }) },
  { weight: 3, arbitrary: command("export", { index, layout }) },
  { weight: 3, arbitrary: command("import", { index, layout, from: fc.constantFrom("path", "locator", "stream") }) },
  {
    weight: 2,
    arbitrary: command("corrupt", { index, file: fc.nat(20), how: fc.constantFrom("flip", "truncate", "remove"), at }),
  },
  { weight: 1, arbitrary: command("verify", { mode: fc.constantFrom("quick", "full") }) },
  { weight: 2, arbitrary: command("reopen", {}) },
  {
    weight: 3,
    arbitrary: command("clock", { byMs: fc.oneof(fc.constant(0), fc.integer({ min: -90_000_000, max: 90_000_000 })) }),
  },
);

type Of<Name extends Command["do"]> = Extract<Command, { do: Name }>;

async function attempt<T>(run: Promise<T>): Promise<{ value: T } | { error: unknown }> {
  try {
    return { value: await run };
  } catch (error) {
    return { error };
  }
}

/** Ensures that something failed with one of these codes. */
function ensureCode(outcome: { value: unknown } | { error: unknown }, codes: readonly string[], what: string): void {
  ensure("error" in outcome, `${what} succeeded`);
  const { error } = outcome;
  ensure(isSnapshotError(error) && codes.includes(error.code), `${what} failed with ${String(error)}`);
}

const DAMAGE = ["SNAPSHOT_CORRUPT", "ARCHIVE_REJECTED", "MANIFEST_INVALID", "MANIFEST_MISSING", "FORMAT_UNSUPPORTED"];
const isDamage = (error: unknown) => isSnapshotError(error) && DAMAGE.includes(error.code);

const fresh = (world: World, layoutKind: LayoutKind, labelled: Labels): Snap => ({
  layout: layoutKind,
  values: world.values,
  labels: labelled,
  hasNote: labelled.pinned === true,
  damage: "none",
});

async function save(world: World, { layout: kind, labels: given, alpha, beta }: Of<"save">): Promise<void> {
  [world.alpha.value, world.beta.value] = [alpha, beta];
  const before = [...world.snaps.keys()];
  const locator = await world.store.saveState({ layout: kind, labels: given });
  world.checkNewName(locator.name, before);
  world.names.add(locator.name);
  const snap = fresh(world, kind, given);
  world.snaps.set(locator.name, snap);
  world.guarded.clear();
  await world.checkSnapshot(locator, snap.values, given);
}

async function fail(world: World, { layout: kind, how }: Of<"fail">): Promise<void> {
  const reason = new Error("no");
  const controller = new AbortController();
  const before = await notesOf(world);
  world.beta.onSave = (out) => {
    if (how === "throw") throw reason;
    if (how === "abort") controller.abort(reason);
    else {
      void out.write(
        "more.txt",
        (async function* () {
          yield new Uint8Array(5);
          throw reason;
        })(),
      );
    }
  };
  const outcome = await attempt(world.store.saveState({ layout: kind, signal: controller.signal }));
  world.beta.onSave = () => {};
  if (how === "abort") {
    ensure("error" in outcome && outcome.error === reason, "an aborted save did not fail with its reason");
  } else ensureCode(outcome, ["STATE_SAVE_FAILED"], "a save whose state fails");
  world.tried();
  const left = (await notesOf(world)).filter((name) => !before.includes(name));
  ensure(left.length === 0, `a save that failed left a note of ${left.join()}`);
}

async function notesOf(world: World): Promise<string[]> {
  const names: string[] = [];
  for await (const name of world.store.backend.notes.list()) names.push(name);
  return names;
}

async function crash(world: World, { layout: kind, labels: given, alpha, at: call, seed }: Of<"crash">): Promise<void> {
  world.alpha.value = alpha;
  const snap = fresh(world, kind, given);
  let acknowledged: string | undefined;
  await world.place.dieAt(call, seed, async (backend) => {
    const outcome = await attempt(world.storeOn(backend).saveState({ layout: kind, labels: given }));
    if ("value" in outcome) acknowledged = outcome.value.name;
    else if (!isSnapshotError(outcome.error)) throw outcome.error;
  });
  world.reopen();
  await world.store.sweep({ force: true });
  const added = (await world.store.list()).filter(({ name }) => !world.snaps.has(name));
  ensure(added.length <= 1, `a save that died left ${added.join()}`);
  const [locator] = added;
  // Where the machine died with the program, what was said after its death was not heard.
  void acknowledged;
  if (locator === undefined) return;
  world.checkNewName(locator.name, [...world.snaps.keys()]);
  world.names.add(locator.name);
  world.snaps.set(locator.name, snap);
  await world.checkSnapshot(locator, snap.values, given);
}

async function load(world: World, { index: wanted, only }: Of<"load">): Promise<void> {
  const [name, snap] = world.pick(wanted) ?? [];
  if (name === undefined || snap === undefined) return;
  const before = world.values;
  [world.alpha.value, world.beta.value] = [-1, -2];
  const from = await world.locator(name);
  const outcome = await attempt(world.store.loadState(from, only === undefined ? {} : { only }));
  const isRefused = "error" in outcome;
  if (isRefused) {
    ensure(snap.damage !== "none", `a whole snapshot was refused: ${isRefused ? String(outcome.error) : ""}`);
    ensureCode(outcome, DAMAGE, "loading a damaged snapshot");
    ensure(sameValue(world.values, { alpha: -1, beta: -2 }), "a refused load changed a state");
    [world.alpha.value, world.beta.value] = [before.alpha, before.beta];
    return;
  }
  ensure(snap.damage === "none" || snap.damage === "perhaps", "a damaged snapshot was loaded");
  const isLoaded = (state: "alpha" | "beta") => only === undefined || only.includes(state);
  const expected = {
    alpha: isLoaded("alpha") ? snap.values.alpha : -1,
    beta: isLoaded("beta") ? snap.values.beta : -2,
  };
  ensure(sameValue(world.values, expected), `loaded ${JSON.stringify(world.values)}, not ${JSON.stringify(expected)}`);
  for (const state of ["alpha", "beta"] as const) if (!isLoaded(state)) world[state].value = before[state];
  if (only === undefined) world.guarded.clear();
  world.guarded.add(name);
}

async function resume(world: World): Promise<void> {
  const before = world.values;
  const newestFirst = [...world.snaps].sort(([a], [b]) => a < b ? 1 : -1);
  const sound = newestFirst.find(([, { damage }]) => damage === "none");
  const outcome = await attempt(world.store.resume());
  if ("error" in outcome) {
    ensureCode(outcome, ["RESUME_REFUSED"], "resuming");
    ensure(sound === undefined && newestFirst.length > 0, `resuming was refused: ${String(outcome.error)}`);
    [world.alpha.value, world.beta.value] = [before.alpha, before.beta];
    return;
  }
  const { snapshot } = outcome.value;
  ensure((outcome.value.outcome === "fresh") === (newestFirst.length === 0), `resumed ${outcome.value.outcome}`);
  if (snapshot === undefined) return;
  const snap = world.snaps.get(snapshot.name);
  ensure(snap !== undefined && sameValue(world.values, snap.values), `resumed ${JSON.stringify(world.values)}`);
  const isNewest = snapshot.name === sound?.[0] || (snap.damage === "perhaps" && snapshot.name > (sound?.[0] ?? ""));
  ensure(isNewest, `resumed from ${snapshot.name}, and the newest whole one is ${sound?.[0]}`);
  world.guarded.clear();
  world.guarded.add(snapshot.name);
}

async function prune(world: World, { keeper: kind, keep }: Of<"prune">): Promise<void> {
  const keeper = kind === "latest"
    ? new LatestStatesKeeper(world.store, keep)
    : new RetentionKeeper(world.store, [keepLatest(keep)]);
  const names = [...world.snaps.keys()].sort().reverse();
  const removed = (await keeper.cleanup()).map(({ name }) => name);
  const isSpared = (name: string) =>
    names.indexOf(name) < keep || world.snaps.get(name)?.labels.pinned === true || world.guarded.has(name) ||
    world.snaps.get(name)?.damage === "manifest";
  for (const name of removed) ensure(!isSpared(name), `"${name}" was removed, and must not be`);
  // What is pinned, damaged or guarded may take a place or not; beyond that all must go.
  const special = names.filter((name) =>
    world.snaps.get(name)?.labels.pinned === true || world.guarded.has(name) ||
    world.snaps.get(name)?.damage !== "none"
  );
  const must = names.slice(keep + special.length).filter((name) => !special.includes(name));
  for (const name of must) ensure(removed.includes(name), `"${name}" was kept, and must not be`);
  for (const name of removed) world.snaps.delete(name);
}

async function remove(world: World, { index: wanted }: Of<"remove">): Promise<void> {
  const [name] = world.pick(wanted) ?? [];
  if (name === undefined) return;
  ensure(await (await world.locator(name)).remove(), `"${name}" could not be removed`);
  world.snaps.delete(name);
  world.guarded.delete(name);
}

async function label(world: World, wanted: number, changes: { [Key in keyof Labels]?: Labels[Key] | undefined }) {
  const [name, snap] = world.pick(wanted) ?? [];
  if (name === undefined || snap === undefined) return;
  const locator = await world.locator(name);
  const outcome = await attempt(locator.label(changes));
  // Without a note, the labels are those of the manifest.
  if ("error" in outcome) {
    ensure(
      !snap.hasNote && snap.damage !== "none" && snap.damage !== "entry",
      `labelling failed: ${String(outcome.error)}`,
    );
    ensure(isDamage(outcome.error), `labelling failed: ${String(outcome.error)}`);
    return;
  }
  const next = Object.fromEntries(Object.entries({ ...snap.labels, ...changes }).filter(([, v]) => v !== undefined));
  ensure(sameValue(outcome.value, next), `labelled ${JSON.stringify(outcome.value)}, not ${JSON.stringify(next)}`);
  ensure(sameValue(await locator.labels(), next), "the labels are not those that were set");
  snap.labels = next;
  snap.hasNote = true;
}

async function exportSnapshot(world: World, { index: wanted, layout: kind }: Of<"export">): Promise<void> {
  const [name, snap] = world.pick(wanted) ?? [];
  if (name === undefined || snap === undefined) return;
  const folder = await fastFolder();
  const outcome = await attempt((await world.locator(name)).exportTo(`${folder}/`, { layout: kind }));
  if ("error" in outcome) {
    ensure(snap.damage !== "none" && isDamage(outcome.error), `exporting failed: ${String(outcome.error)}`);
    const left = await attempt(locate(path.join(folder, name + (kind === "tar.gz" ? ".tar.gz" : ""))).exists());
    ensure("value" in left && !left.value, "an export that failed left something");
    return;
  }
  ensure(snap.damage === "none" || snap.damage === "perhaps", "a damaged snapshot was exported");
  await world.checkSnapshot(outcome.value, snap.values, snap.labels);
  world.copies.push({ locator: outcome.value, name, values: snap.values, labels: snap.labels });
}

async function importSnapshot(world: World, { index: wanted, layout: kind, from }: Of<"import">): Promise<void> {
  const copy = world.copies[wanted % Math.max(1, world.copies.length)];
  if (copy === undefined) return;
  const { locator, name, values, labels: copied } = copy;
  const source = from === "path" ? String(locator) : from === "locator" ? locator : locator.stream();
  const outcome = await attempt(world.store.importSnapshot(source, { layout: kind }));
  if ("error" in outcome) {
    ensureCode(outcome, ["SNAPSHOT_EXISTS"], "importing");
    // A folder that lost its manifest is no snapshot, but it is there.
    ensure(world.snaps.has(name) || world.names.has(name), "an import was refused for a name that is free");
    return;
  }
  ensure(!world.snaps.has(name), `an import overwrote "${name}"`);
  ensure(outcome.value.name === name, `imported as ${outcome.value.name}, not ${name}`);
  world.names.add(name);
  world.snaps.set(name, { layout: kind, values, labels: copied, hasNote: copied.pinned === true, damage: "none" });
  await world.checkSnapshot(outcome.value, values, copied);
}

async function corrupt(world: World, { index: wanted, file: which, how, at: where }: Of<"corrupt">): Promise<void> {
  const [name, snap] = world.pick(wanted) ?? [];
  if (name === undefined || snap === undefined) return;
  const unit = world.unitOf(name, snap);
  const files = await world.place.filesOf(unit);
  const file = files[which % files.length] ?? "";
  const isCommit = file === "" || file === "manifest.json";
  await world.place.damage(unit, file, how, where);
  world.reopen();
  if (isCommit && how === "remove") world.snaps.delete(name);
  else if (snap.layout === "directory") {
    if (snap.damage !== "manifest") snap.damage = isCommit ? "manifest" : "entry";
  } else snap.damage = how === "truncate" || snap.damage === "manifest" ? "manifest" : "perhaps";
}

async function verify(world: World, { mode }: Of<"verify">): Promise<void> {
  const told = await all(world.store.verify({ mode }));
  // Folders that lost their manifests are reported too, where there are folders.
  const isBare = (report: VerifyReport) =>
    report.findings.some(({ step, problem }) => `${step} ${problem}` === "manifest missing");
  const reports = told.filter((report) => !isBare(report));
  for (const { uri } of told.filter(isBare)) {
    ensure(![...world.snaps.keys()].some((name) => uri.includes(name)), `"${uri}" has a manifest`);
  }
  ensure(reports.length === world.snaps.size, `${reports.length} reports of ${world.snaps.size} snapshots`);
  const sortedSnaps = [...world.snaps].sort(([a], [b]) => a < b ? -1 : 1);
  for (const [place, [name, { damage }]] of sortedSnaps.entries()) {
    const report = reports[place];
    ensure(report !== undefined && report.uri.includes(name), `no report of "${name}"`);
    if (damage === "none") ensure(report.isWhole, `"${name}" is whole: ${JSON.stringify(report.findings)}`);
    if (damage === "manifest") ensure(!report.isWhole, `"${name}" is damaged, and that was not found`);
    if (damage === "entry" && mode === "full") ensure(!report.isWhole, `an entry of "${name}" is damaged`);
  }
}

/** Does one step, and compares what came of it with the model. */
export async function perform(world: World, step: Command): Promise<void> {
  if (step.do === "save") await save(world, step);
  else if (step.do === "fail") await fail(world, step);
  else if (step.do === "crash") await crash(world, step);
  else if (step.do === "load") await load(world, step);
  else if (step.do === "resume") await resume(world);
  else if (step.do === "prune") await prune(world, step);
  else if (step.do === "remove") await remove(world, step);
  else if (step.do === "label") await label(world, step.index, step.labels);
  else if (step.do === "pin") await label(world, step.index, { pinned: step.isOn ? true : undefined });
  else if (step.do === "export") await exportSnapshot(world, step);
  else if (step.do === "import") await importSnapshot(world, step);
  else if (step.do === "corrupt") await corrupt(world, step);
  else if (step.do === "verify") await verify(world, step);
  else if (step.do === "reopen") world.reopen();
  else world.nowMs += step.byMs;
  await world.check();
}
