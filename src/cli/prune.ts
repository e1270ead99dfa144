// snapkeep prune
import { pathOfUri, showAddress } from "../model/address.ts";
import { nearest } from "../model/options.ts";
import type { RetentionDecision } from "../retention/plan.ts";
import { type KeptSnapshot, RetentionKeeper } from "../retention/retention_keeper.ts";
import {
  keepBest,
  keepDaily,
  keepEvery,
  keepEverySteps,
  keepHourly,
  keepLatest,
  keepMonthly,
  keepTagged,
  keepUnder,
  keepWeekly,
  keepWithin,
  keepYearly,
  type RetentionRule,
} from "../retention/rule.ts";
import { listSnapshots } from "../snapshot/listing.ts";
import type { SnapshotLocator } from "../snapshot/locator.ts";
import type { StateStore } from "../store/state_store.ts";
import { type Survey, surveyOf } from "../store/survey.ts";
import type { Command, CommandOption, Context } from "./command.ts";
import { confirm } from "./confirm.ts";
import { countText } from "./count_text.ts";
import { EXIT, type ExitCode, UsageError } from "./exit_code.ts";
import type { Cell } from "./output.ts";
import { collect, readCount, readNumber } from "./read.ts";
import { ageText, readSize, sizeText } from "./readable.ts";

const rule = (flags: string, about: string, read: (text: string) => RetentionRule): CommandOption => ({
  flags,
  about,
  read: (text, before) => [...(before as readonly RetentionRule[] | undefined) ?? [], read(text)],
});

const counted = (flags: string, about: string, keep: (count: number) => RetentionRule): CommandOption =>
  rule(flags, about, (text) => keep(readCount(text)));

const RULES: readonly CommandOption[] = [
  counted("--keep-latest <n>", "keep the newest, not counting pinned ones", keepLatest),
  rule("--keep-within <time>", "keep what was saved so long before the newest, such as 36h or 7d", keepWithin),
  counted("--keep-hourly <n>", "keep the newest of each of the last hours", keepHourly),
  counted("--keep-daily <n>", "keep the newest of each of the last days", keepDaily),
  counted("--keep-weekly <n>", "keep the newest of each of the last weeks", keepWeekly),
  counted("--keep-monthly <n>", "keep the newest of each of the last months", keepMonthly),
  counted("--keep-yearly <n>", "keep the newest of each of the last years", keepYearly),
  rule("--keep-every <time>", "keep one each so long, without end, such as 30d", keepEvery),
  rule(
    "--keep-every-steps <n>",
    "keep the one closest to each multiple of a step",
    (text) => keepEverySteps(readNumber(text)),
  ),
  rule("--keep-best <metric:mode:n>", "keep the best by a metric, such as loss:min:3", readBest),
  rule("--keep-tagged <tag>", "keep what has the tag", readTagged),
  rule(
    "--keep-under <size>",
    "let the oldest go until the rest is under a size, such as 10GiB",
    (text) => keepUnder(readSize(text)),
  ),
];

/** Removes what no rule keeps. */
export const pruneCommand: Command = {
  name: "prune",
  group: "Keep",
  summary: "Remove the snapshots that no rule keeps, after showing the plan with its reasons.",
  details:
    "A snapshot stays if any rule keeps it. The newest, pinned and damaged ones always stay. Rules may be repeated. STORED is the size in storage, after compression. Without --yes it " +
    "asks on a terminal.",
  args: [],
  options: [
    ...RULES,
    { flags: "--zone <zone>", about: "IANA time zone of hours, days, weeks, months and years (default: UTC)" },
    {
      flags: "--program <name>",
      about: 'touch only snapshots of this program; may be repeated, "" means those without a program',
      read: collect,
    },
    { flags: "-n, --dry-run", about: "show the plan and remove nothing" },
    { flags: "-y, --yes", about: "do not ask" },
  ],
  examples: [
    ["snapkeep prune --keep-latest 5 --keep-daily 7 --dry-run -s states", "see what would go"],
    ["snapkeep prune --keep-best loss:min:3 --keep-latest 1 --yes -s states", "keep the best three and the newest"],
  ],
  run: async (context, _args, options: PruneFlags) => {
    const { zone, program: programs, dryRun = false, yes = false } = options;
    const rules = Object.entries(options).filter(([name]) => name.startsWith("keep")).flatMap(([, value]) =>
      value as unknown as RetentionRule[]
    );
    if (rules.every(({ isOff }) => isOff)) {
      throw new UsageError("give at least one rule that keeps something, such as --keep-latest 5");
    }
    const store = await context.store(
      programs?.length === 1 && programs[0] !== "" ? { program: programs[0] as string } : {},
    );
    const survey = await surveyOf(store, context);
    assertPrograms(survey, programs);
    warnOfLabels(context, survey, rules);
    const isOurs = (program: string | undefined) => programs === undefined || programs.includes(program ?? "");
    const names = survey.snapshots.filter(({ isTimed, manifest }) =>
      isTimed && manifest !== undefined && isOurs(manifest.program)
    )
      .map(({ locator }) => locator.name);
    const keeper = new PlannedKeeper(store, rules, zone, new Set(names));
    const { decisions } = await keeper.plan();
    return await carryOut(context, store, keeper, { decisions, survey, dryRun, isSure: yes });
  },
};

interface PruneFlags {
  readonly zone?: string;
  readonly program?: readonly string[];
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

/** Decides over some snapshots, and removes only those that are chosen. */
class PlannedKeeper extends RetentionKeeper {
  readonly #names: ReadonlySet<string>;
  #chosen: ReadonlySet<string> = new Set();

  constructor(
    store: StateStore,
    rules: readonly RetentionRule[],
    zone: string | undefined,
    names: ReadonlySet<string>,
  ) {
    // A group has all manifests read, so that a damaged snapshot is not counted.
    super(store, rules, { groupBy: () => "", ...zone === undefined ? {} : { zone } });
    this.#names = names;
  }

  async remove(chosen: ReadonlySet<string>, signal: AbortSignal): Promise<SnapshotLocator[]> {
    this.#chosen = chosen;
    return await this.cleanup({ signal });
  }

  protected override async snapshots(): Promise<SnapshotLocator[]> {
    return (await super.snapshots()).filter(({ name }) => this.#names.has(name));
  }

  /** What the plan removes now, and removed when it was shown. */
  protected override async selectRemovalStates(): Promise<readonly SnapshotLocator[]> {
    return (await super.selectRemovalStates()).filter(({ name }) => this.#chosen.has(name));
  }
}

function readBest(text: string): RetentionRule {
  const [, metric, mode, count] = /^(.+):(min|max):(\d+|Infinity)$/s.exec(text) ?? [];
  if (metric === undefined) throw new UsageError(`"${text}" is not <metric>:min:<n> or <metric>:max:<n>`);
  return lookingFor("metric", metric, keepBest(metric, mode as "min" | "max", Number(count)));
}

function readTagged(text: string): RetentionRule {
  const tag = text.replace(/^@/, "");
  return lookingFor("tag", tag, keepTagged(tag));
}

/** Which label a rule looks for, so that one that is mistyped is noticed. */
const labelsOfRules = new WeakMap<RetentionRule, readonly [kind: "tag" | "metric", label: string]>();

function lookingFor(kind: "tag" | "metric", label: string, made: RetentionRule): RetentionRule {
  labelsOfRules.set(made, [kind, label]);
  return made;
}

/** Says which labels that rules look for no snapshot has. */
function warnOfLabels({ output }: Context, { snapshots }: Survey, rules: readonly RetentionRule[]): void {
  for (const [kind, label] of rules.map((each) => labelsOfRules.get(each)).filter((each) => each !== undefined)) {
    const found = snapshots.flatMap(({ labels: { tags = [], metrics = {} } }) =>
      kind === "tag" ? tags : Object.keys(metrics)
    );
    if (found.includes(label)) continue;
    const near = nearest(label, found);
    output.message(
      `no snapshot has the ${kind} "${label}"${near === undefined ? "" : `; the nearest is "${near}"`}`,
      "yellow",
    );
  }
}

function assertPrograms({ snapshots }: Survey, programs: readonly string[] | undefined): void {
  const found = new Set(snapshots.flatMap(({ manifest }) => manifest === undefined ? [] : [manifest.program ?? ""]));
  const named = [...found].sort().map((name) => name === "" ? '"" (none)' : `"${name}"`).join(", ");
  if (programs === undefined) {
    if (found.size <= 1) return;
    throw new UsageError(
      `snapshots of several programs lie here: ${named}; say whose may be removed with --program <name>`,
    );
  }
  const missing = programs.find((name) => !found.has(name));
  if (missing === undefined) return;
  throw new UsageError(`no snapshot here is of the program "${missing}"${named === "" ? "" : `; there are ${named}`}`);
}

interface Plan {
  readonly decisions: readonly RetentionDecision<KeptSnapshot>[];
  readonly survey: Survey;
  readonly dryRun: boolean;
  readonly isSure: boolean;
}

async function carryOut(
  context: Context,
  store: StateStore,
  keeper: PlannedKeeper,
  { decisions, survey, dryRun, isSure }: Plan,
): Promise<ExitCode> {
  const { output, signal } = context;
  const doomed = decisions.filter(({ isKept }) => !isKept).map(({ snapshot }) => snapshot);
  const sizeBytes = doomed.reduce((sum, snapshot) => sum + (snapshot.sizeBytes ?? 0), 0);
  if (!output.isJson) await print(context, decisions);
  const damaged = survey.snapshots.filter(({ damage }) => damage !== undefined);
  for (const { locator } of damaged) {
    output.message(`"${locator.name}" is damaged: it is neither counted nor removed`, "yellow");
  }
  const total = `${decisions.length - doomed.length} kept, ${doomed.length} to be removed (${sizeText(sizeBytes)})`;
  if (!output.isJson) output.message(total);
  const isAgreed = !dryRun && doomed.length > 0 &&
    await confirm(
      context,
      `Remove ${countText(doomed.length, "snapshot")} from ${showAddress(store.backend.uri)}?`,
      isSure,
      ", or --dry-run to see the plan",
    );
  const removed = isAgreed ? await keeper.remove(new Set(doomed.map(({ name }) => name)), signal) : [];
  const stayed = isAgreed && removed.length < doomed.length ? await countThere(store, doomed, signal) : 0;
  if (output.isJson) {
    await output.json({
      store: pathOfUri(store.backend.uri),
      dryRun,
      plan: decisions.map(({ snapshot: { name, savedAtMs, sizeBytes }, isKept, reasons }) => ({
        name,
        savedAt: new Date(savedAtMs),
        sizeBytes,
        isKept,
        reasons,
      })),
      removed: removed.map(({ name }) => name),
      damaged: damaged.map(({ locator }) => locator.name),
    });
  } else if (isAgreed) {
    const gone = doomed.length - removed.length - stayed;
    output.message(`${removed.length} removed${gone > 0 ? `, ${countText(gone, "was", "were")} gone already` : ""}`);
  } else if (!dryRun && doomed.length > 0) output.message("nothing removed");
  if (stayed === 0) return EXIT.done;
  output.message(
    `${countText(stayed, "stayed: it was", "stayed: they were")} changed meanwhile; run it again`,
    "yellow",
  );
  return EXIT.partly;
}

/** How many of some snapshots are there still; another program may have removed the others. */
async function countThere(store: StateStore, some: readonly KeptSnapshot[], signal: AbortSignal): Promise<number> {
  const there = new Set((await listSnapshots(store.backend, { signal })).map(({ name }) => name));
  return some.filter(({ name }) => there.has(name)).length;
}

async function print({ output }: Context, decisions: readonly RetentionDecision<KeptSnapshot>[]): Promise<void> {
  const nowMs = Date.now();
  if (decisions.length === 0) return;
  await output.table(
    [
      { head: "PLAN", rank: 0 },
      { head: "NAME", rank: 0 },
      { head: "AGE", rank: 3, align: "right" },
      { head: "STORED", rank: 2, align: "right" },
      { head: "REASONS", rank: 1, isCut: true },
    ],
    decisions.map(({ snapshot, isKept, reasons }): Cell[] => [
      isKept ? ["keep", "green"] : ["remove", "red"],
      snapshot.name,
      ageText(snapshot.savedAtMs, nowMs),
      snapshot.sizeBytes === undefined ? "" : sizeText(snapshot.sizeBytes),
      reasons.length > 0 ? reasons.map(reasonText).join(", ") : isKept ? "" : "no rule keeps it",
    ]),
  );
}

/** A reason with a size as it is written on the command line. */
function reasonText(reason: string): string {
  return reason.replace(/keepUnder\((\d+)\)/, (_, bytes) => sizeText(Number(bytes)));
}
