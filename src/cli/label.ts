// snapkeep label, pin, unpin
import { UsageError } from "./exit_code.ts";
import type { Labels } from "../model/snapshot.ts";
import type { Command, Context } from "./command.ts";
import { labelsText } from "./labels_text.ts";
import { collect, readNumber } from "./read.ts";

type Metrics = Readonly<Record<string, number>>;

interface LabelFlags {
  readonly tag?: readonly string[];
  readonly untag?: readonly string[];
  readonly metric?: Metrics;
  readonly step?: number;
  readonly remark?: string;
}

/** Changes labels. */
export const labelCommand: Command = {
  name: "label",
  group: "Keep",
  summary: "Change the labels of a snapshot; without options, print them.",
  details: "The bytes of the snapshot stay as they are: labels lie in a note beside it.",
  args: [["<snapshot>", "which one"]],
  options: [
    { flags: "--tag <tag>", about: "add a tag; may be repeated", read: collect },
    { flags: "--untag <tag>", about: "take a tag away; may be repeated", read: collect },
    { flags: "--metric <name=value>", about: "set a metric; may be repeated", read: readMetric },
    { flags: "--step <n>", about: "set the step", read: readNumber },
    { flags: "--remark <text>", about: "set the remark" },
  ],
  examples: [
    ["snapkeep label latest --tag good --remark 'before the update' -s states", "so that @good finds it"],
    ["snapkeep label latest -s states", "print its labels"],
  ],
  run: async (context, [name], { tag, untag, metric, step, remark }: LabelFlags) => {
    const snapshot = await context.snapshot(name as string);
    const isChange = [tag, untag, metric, step, remark].some((option) => option !== undefined);
    const bare = (given: string) => given.replace(/^@/, "");
    const labels = !isChange ? await snapshot.labels() : await snapshot.label((now) => ({
      ...tag === undefined && untag === undefined
        ? {}
        : { tags: tagsOf(now.tags ?? [], tag?.map(bare), untag?.map(bare)) },
      ...metric === undefined ? {} : { metrics: { ...now.metrics, ...metric } },
      ...step === undefined ? {} : { step },
      ...remark === undefined ? {} : { remark },
    }));
    await print(context, snapshot.name, labels);
  },
};

/** Pins snapshots. */
export const pinCommand: Command = pinning(
  "pin",
  "Pin snapshots, so that no rule removes them.",
  ["snapkeep pin @good -s states", "keep the newest with the tag good"],
  { pinned: true },
);

/** Unpins snapshots. */
export const unpinCommand: Command = pinning(
  "unpin",
  "Take the pins of snapshots away.",
  ["snapkeep unpin @good -s states", "let the rules decide again"],
  { pinned: undefined },
);

function pinning(
  name: string,
  summary: string,
  example: readonly [string, string],
  change: { readonly pinned: true | undefined },
): Command {
  return {
    name,
    group: "Keep",
    summary,
    args: [["<snapshot...>", "which ones"]],
    options: [],
    examples: [example],
    run: async (context, [given]) => {
      for (const each of given as readonly string[]) {
        const snapshot = await context.snapshot(each);
        await print(context, snapshot.name, await snapshot.label(change));
      }
    },
  };
}

async function print({ output }: Context, name: string, labels: Labels): Promise<void> {
  if (output.isJson) await output.json({ type: "labels", name, labels });
  else await output.line(`${name}  ${labelsText(labels)}`.trimEnd());
}

function tagsOf(now: readonly string[], added: readonly string[] = [], removed: readonly string[] = []): string[] {
  return [...new Set([...now, ...added])].filter((tag) => !removed.includes(tag));
}

function readMetric(text: string, before: unknown): Metrics {
  const [, name, value] = /^(.+?)=(.+)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined) throw new UsageError(`"${text}" is not <name>=<value>`);
  return { ...before as Metrics | undefined, [name]: readNumber(value) };
}
