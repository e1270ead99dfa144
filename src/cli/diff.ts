// snapkeep diff
import { diffSnapshots, type EntryDiff, type StateDiff } from "../snapshot/diff.ts";
import type { JsonChange } from "../snapshot/json_changes.ts";
import type { Command, Context } from "./command.ts";
import type { Cell, Style } from "./output.ts";
import { growthText, sizeText } from "./readable.ts";

const SIGNS = { added: ["+", "green"], changed: ["~", "yellow"], removed: ["-", "red"] } as const;
const MOST_SHOWN = 20;
const MOST_LETTERS = 60;

/** Compares two snapshots. */
export const diffCommand: Command = {
  name: "diff",
  group: "Look",
  summary: "Tell what differs between two snapshots: states, entries, and the places within JSON.",
  details: "Without arguments it compares latest~1 with latest, with one argument that one with latest.",
  args: [["[a]", "the older one"], ["[b]", "the newer one"]],
  options: [{ flags: "--no-values", about: "compare digests only, and read no entry" }],
  examples: [
    ["snapkeep diff -s states", "what the last save changed"],
    ["snapkeep diff @good latest -s states", "what changed since the one tagged good"],
  ],
  run: async (context, [a, b], { values }: { readonly values: boolean }) => {
    const { output, signal } = context;
    const first = await context.snapshot(a as string | undefined ?? "latest~1");
    const second = await context.snapshot(b as string | undefined ?? "latest");
    const diff = await diffSnapshots(first, second, { json: values, signal });
    if (output.isJson) {
      await output.json({ a: first.name, b: second.name, ...diff });
      return;
    }
    await output.line(["---", "red"], ` ${first.name}`);
    await output.line(["+++", "green"], ` ${second.name}`);
    for (const state of diff.states) await print(context, state);
    if (diff.isEqual) output.message("They hold the same states.");
  },
};

async function print({ output }: Context, state: StateDiff): Promise<void> {
  const { name, change, versions, beforeBytes, afterBytes, entries } = state;
  const version = versions === undefined ? "" : `, version ${versions[0]} -> ${versions[1]}`;
  await output.line(signOf(change), ` ${name}/  ${sizes(beforeBytes, afterBytes)}${version}`);
  for (const entry of entries) {
    await output.line(
      "  ",
      signOf(entry.change),
      ` ${name}/${entry.path}  ${sizes(entry.beforeBytes, entry.afterBytes)}`,
    );
    for (const line of jsonLines(entry)) await output.line("      ", ...line);
  }
}

function jsonLines({ json }: EntryDiff): Cell[][] {
  if (json === undefined) return [];
  if (json.changes.length === 0) return [["only the text of the JSON differs"]];
  const more = json.more + Math.max(0, json.changes.length - MOST_SHOWN);
  return [
    ...json.changes.slice(0, MOST_SHOWN).map((
      change,
    ) => [signOf(change.change), ` ${change.path}: ${valuesOf(change)}`]),
    ...more === 0 ? [] : [[`and ${more} more`]],
  ];
}

function valuesOf({ before, after }: JsonChange): string {
  return [before, after].filter((value) => value !== undefined).map((value) => {
    const text = JSON.stringify(value);
    return text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS)}…` : text;
  }).join(" -> ");
}

function signOf(change: keyof typeof SIGNS): readonly [string, Style] {
  return SIGNS[change];
}

function sizes(beforeBytes: number | undefined, afterBytes: number | undefined): string {
  if (beforeBytes === undefined || afterBytes === undefined) return sizeText(beforeBytes ?? afterBytes ?? 0);
  const growth = beforeBytes === afterBytes ? "same size" : growthText(afterBytes - beforeBytes);
  return `${sizeText(afterBytes)} (${growth})`;
}
