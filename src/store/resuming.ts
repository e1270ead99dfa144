// Choosing what to resume from: the newest that is whole. It goes back past damage only; what is incompatible or out of reach
// is not damage, and going on from something older, or from nothing, would be a lie.
import { rankByMetric, withNote } from "../manifest/labels.ts";
import { types } from "node:util";
import { mapBounded } from "../runtime/concurrency.ts";
import { showAddress } from "../model/address.ts";
import { isSnapshotError, reasonOf, SnapshotError, type SnapshotErrorCode } from "../model/errors.ts";
import { loggerOf, warnUser } from "../runtime/logging.ts";
import type { OptionNames } from "../model/options.ts";
import { assertLoadOptions, LOAD_OPTIONS, type LoadedStates, type LoadOptions } from "./loading.ts";
import type { SnapshotFacts } from "../model/snapshot.ts";
import { type SnapshotLocator, warnOfNote } from "../snapshot/locator.ts";
import type { LastRun } from "./last_run.ts";
import { isDamage } from "../snapshot/verification.ts";

/** Which snapshot to resume from: by default the newest, else one of `name`, `tag`, `best`, `step`, `at`. */
export interface ResumeOptions extends Omit<LoadOptions, "allowMissing"> {
  /**
   * Whether states that the snapshot lacks stay unchanged. If false, the snapshot is incompatible.
   *
   * @default false
   */
  readonly allowMissing?: boolean;
  /**
   * Resumes from the snapshot of this name only.
   *
   * @default the newest
   */
  readonly name?: string;
  /**
   * Resumes from the newest snapshot with this tag.
   *
   * @default the newest
   */
  readonly tag?: string;
  /**
   * Resumes from the best snapshot by a metric. Cost: reads all manifests.
   *
   * @default the newest
   */
  readonly best?: { readonly metric: string; readonly mode: "min" | "max" };
  /**
   * Resumes from the newest snapshot whose step is at most this.
   *
   * @default the newest
   */
  readonly step?: number;
  /**
   * Resumes from the newest snapshot that was saved at or before this time.
   *
   * @default the newest
   */
  readonly at?: Date;
}

const RESUME_OPTIONS: OptionNames<ResumeOptions> = {
  ...LOAD_OPTIONS,
  name: "a string",
  tag: "a string",
  best: { metric: true, mode: true },
  step: true,
  at: true,
};

/** A snapshot that was not resumed from. */
export interface ResumeRefusal {
  /** Its address. */
  readonly snapshot: SnapshotLocator;
  /** Why, for people. */
  readonly reason: string;
  /** Why, as it was thrown. */
  readonly error: unknown;
}

/** A resume that loaded a snapshot. */
export interface ResumedReport {
  /** A snapshot was loaded. */
  readonly outcome: "resumed";
  /** The snapshot that was loaded. */
  readonly snapshot: SnapshotLocator;
  /** Which states it changed. */
  readonly states: LoadedStates;
  /** Those that were refused before, and why. */
  readonly tried: readonly ResumeRefusal[];
  /**
   * How many snapshots are newer than the one that was loaded. If it is not 0, save at once: until then the next start resumes
   * from the newest again.
   */
  readonly newer: number;
  /**
   * How the run before this one ended, if it had an autosaver; its `sentence` tells it to people. Absent if no run has left its
   * heartbeat at the place, or `only` was given.
   */
  readonly lastRun?: LastRun;
}

/** A resume that found nothing: there is no snapshot at all, nor a folder that is named like one. */
export interface FreshReport {
  /** Nothing was loaded. */
  readonly outcome: "fresh";
  /** Those that were there, and were removed before they could be loaded. */
  readonly tried: readonly ResumeRefusal[];
  /** Absent. */
  readonly snapshot?: undefined;
  /** Absent. */
  readonly states?: undefined;
  /** Absent. */
  readonly newer?: undefined;
  /** How the run before this one ended, as after a resume that loaded a snapshot. */
  readonly lastRun?: LastRun;
}

/** What a resume came to; `outcome` tells which of both it is. */
export type ResumeReport = ResumedReport | FreshReport;

/** What resuming needs of a store. */
export interface ResumeSource {
  /** Address of the place, for errors. */
  readonly uri: string;
  /** All committed snapshots, oldest first. */
  list(): Promise<SnapshotLocator[]>;
  /** The snapshot of a name. */
  snapshot(name: string): Promise<SnapshotLocator | undefined>;
  /** Loads one. */
  load(snapshot: SnapshotLocator): Promise<LoadedStates>;
  /** What is not listed, and is not nothing. */
  unlisted(): Promise<Unlisted>;
}

/** What lies among the snapshots and is not listed with them. */
export interface Unlisted {
  /** Snapshots whose names have another format than the store's. */
  readonly keepsakes: readonly SnapshotLocator[];
  /** Folders whose names have the store's format, and which have no manifest. */
  readonly bare: readonly SnapshotLocator[];
}

/** Throws a TypeError or RangeError for options that no resume can mean. */
export function assertResumeOptions(options: ResumeOptions): void {
  if (typeof options !== "object") {
    throw new TypeError("Cannot resume: give what to resume from as { name: ... }, or nothing");
  }
  assertLoadOptions("resume", options, RESUME_OPTIONS);
  assertChoice(options);
}

// Neither damage nor a refusal: `resume()` throws them as they are.
const THROWN_AS_IS: ReadonlySet<SnapshotErrorCode> = new Set<SnapshotErrorCode>([
  "STATE_LOAD_FAILED",
  "PROGRAM_MISMATCH",
]);

/** Loads the first candidate that is whole. */
export async function resumeFrom(source: ResumeSource, options: ResumeOptions): Promise<ResumeReport> {
  const tried: ResumeRefusal[] = [];
  const refuse = (what: string, cause?: unknown): never => {
    const told = tried.map(({ snapshot, reason }) => ({ snapshot: String(snapshot), reason }));
    throw new SnapshotError("RESUME_REFUSED", `Cannot resume from ${showAddress(source.uri)}: ${what}`, {
      uri: source.uri,
      tried: told,
    }, { cause });
  };
  const wasTried = (snapshot: SnapshotLocator) =>
    tried.some((refusal) => String(refusal.snapshot) === String(snapshot));
  const note = (snapshot: SnapshotLocator, error: unknown): void => {
    if (wasTried(snapshot)) return;
    const reason = reasonOf(error);
    tried.push({ snapshot, reason, error });
    const address = String(snapshot);
    const message = `Not resumed from ${showAddress(address)}: ${reason}`;
    // What is thrown is seen, and what was removed is no loss.
    if (isDamage(error)) warnUser({ className: "StateStore", kind: "SNAPSHOT_DAMAGED", address, message });
    else loggerOf("StateStore").warn("{message}", { message });
  };
  const reachable = async <T>(look: () => Promise<T>): Promise<T> => {
    try {
      return await look();
    } catch (error) {
      if (!isSnapshotError(error)) throw error;
      return refuse(`its snapshots cannot be listed: ${reasonOf(error)}`, error);
    }
  };
  while (true) {
    const triedBefore = tried.length;
    // The program that removed one may have saved newer ones since they were listed.
    const hasVanished = () => tried.slice(triedBefore).some(({ error }) => isAbsence(error));
    const listed = await reachable(() => source.list());
    const unlisted = await reachable(() => source.unlisted());
    // What lacks its manifest was perhaps whole once: it is tried in its turn, and told with what else is damaged.
    const all = listed.length === 0 ? [] : [...listed, ...unlisted.bare].sort((a, b) => a.name < b.name ? -1 : 1);
    let candidates: SnapshotLocator[];
    try {
      candidates = await candidatesOf(source, all, options, note);
    } catch (error) {
      if (!isSnapshotError(error)) throw error;
      return refuse(`the requested snapshot cannot be determined: ${reasonOf(error)}`, error);
    }
    if (hasVanished()) continue;
    for (const snapshot of candidates.flatMap((candidate) => candidate.alternatives())) {
      if (wasTried(snapshot)) continue;
      try {
        const states = await source.load(snapshot);
        const newer = listed.filter(({ name }) => name > snapshot.name).length;
        return { outcome: "resumed", snapshot, states, tried, newer };
      } catch (error) {
        // The caller's mistake or abort, a state that may be half-changed, the wrong folder.
        if (!isSnapshotError(error) || THROWN_AS_IS.has(error.code)) throw error;
        note(snapshot, error);
        if (!mayPass(error)) return refuse(reasonOf(error), error);
        if (isAbsence(error)) break;
      }
    }
    if (hasVanished()) continue;
    if (all.length > 0 || options.name !== undefined || tried.length > 0) break;
    if (unlisted.keepsakes.length + unlisted.bare.length === 0) return { outcome: "fresh", tried };
    return refuse(whatIsThere(unlisted));
  }
  const [first] = tried;
  if (first === undefined) return refuse(`no snapshot is the one that was asked for, ${choiceOf(options)}`);
  const others = tried.length > 1 ? ` (and ${tried.length - 1} more, see "tried" in the details)` : "";
  return refuse(
    `none of its snapshots is whole: ${showAddress(first.snapshot)}: ${first.reason}${others}`,
    first.error,
  );
}

/** Whether an error is damage, or absence; a format of the future is neither, though verification reports it as a finding. */
function mayPass(error: unknown): boolean {
  return isDamage(error) || isAbsence(error);
}

function isAbsence(error: unknown): boolean {
  return isSnapshotError(error, "SNAPSHOT_GONE") || isSnapshotError(error, "SNAPSHOT_NOT_FOUND");
}

/** What was asked for, in words. */
function choiceOf({ name, tag, best, step, at }: ResumeOptions): string {
  if (name !== undefined) return `named "${name}"`;
  if (tag !== undefined) return `with the tag "${tag}"`;
  if (best !== undefined) return `with a finite metric "${best.metric}"`;
  return step !== undefined ? `with a step up to ${step}` : `saved up to ${at?.toISOString()}`;
}

/** Why it is not fresh, though no snapshot is listed; and what may be done. */
function whatIsThere({ keepsakes, bare }: Unlisted): string {
  const told = ([first, ...more]: readonly SnapshotLocator[]) =>
    `"${first?.name}"${more.length > 0 ? ` and ${more.length} more` : ""}`;
  if (keepsakes.length > 0) {
    return `it has snapshots, but none named in the store's format: ${told(keepsakes)}; ` +
      "resume from one by its name, or give the stateNameFormat they were saved with";
  }
  return `it has folders that are named like snapshots, but have no manifest.json: ${told(bare)}; ` +
    "where they are another program's, or no longer needed, move them away or use another folder";
}

function assertChoice({ name, tag, best, step, at }: ResumeOptions): void {
  if ([name, tag, best, step, at].filter((choice) => choice !== undefined).length > 1) {
    throw new TypeError("Cannot resume from several things at once: give one of name, tag, best, step, at");
  }
  if (best !== undefined && !(typeof best.metric === "string" && (best.mode === "min" || best.mode === "max"))) {
    throw new TypeError('Cannot resume from the best: give it as { metric: "loss", mode: "min" }, or with mode "max"');
  }
  if (step !== undefined && typeof step !== "number" || at !== undefined && !types.isDate(at)) {
    throw new TypeError("Cannot resume from this step or time: a step is a number, a time a Date");
  }
  if (Number.isNaN(step) || Number.isNaN(at?.getTime())) {
    throw new RangeError("Cannot resume: step must be a number, and at a valid Date");
  }
}

async function candidatesOf(
  source: ResumeSource,
  all: readonly SnapshotLocator[],
  { name, tag, best, step, at }: ResumeOptions,
  note: (snapshot: SnapshotLocator, error: unknown) => void,
): Promise<SnapshotLocator[]> {
  if (name !== undefined) {
    const found = await source.snapshot(name);
    return found === undefined ? [] : [found];
  }
  const newestFirst = [...all].reverse();
  if (tag === undefined && best === undefined && step === undefined && at === undefined) return newestFirst;
  const known = await mapBounded(newestFirst, async (snapshot) => {
    try {
      return [{ name: snapshot.name, snapshot, ...await factsOf(snapshot) }];
    } catch (error) {
      note(snapshot, error);
      if (!mayPass(error)) throw error;
      return [];
    }
  });
  const facts = known.flat();
  const chosen = tag !== undefined
    ? facts.filter(({ tags = [] }) => tags.includes(tag))
    : best !== undefined
    ? rankByMetric(
      facts.filter(({ metrics }) => Number.isFinite(metrics?.[best.metric] ?? NaN)),
      best.metric,
      best.mode,
    )
    : step !== undefined
    ? facts.filter((candidate) => candidate.step !== undefined && candidate.step <= step)
    : facts.filter(({ savedAtMs }) => at !== undefined && savedAtMs <= at.getTime());
  return chosen.map(({ snapshot }) => snapshot);
}

/** Facts out of whichever layout can be read, with the labels as they are now. */
async function factsOf(snapshot: SnapshotLocator): Promise<SnapshotFacts> {
  let first: unknown;
  for (const alternative of snapshot.alternatives()) {
    try {
      const facts = await alternative.facts();
      const labels = await alternative.note();
      if (labels === "damaged") warnOfNote("StateStore", snapshot);
      return withNote(facts, labels);
    } catch (error) {
      if (!mayPass(error)) throw error;
      first ??= error;
    }
  }
  throw first;
}
