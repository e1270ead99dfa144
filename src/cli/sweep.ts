// snapkeep sweep
import { durationText, milliseconds } from "../model/duration.ts";
import { STALE_AFTER_MS } from "../model/backend.ts";
import type { Command } from "./command.ts";
import { confirm } from "./confirm.ts";
import { countText } from "./count_text.ts";
import { leftoversOf } from "./leftovers.ts";

interface SweepFlags {
  readonly olderThan?: number;
  readonly force?: boolean;
  readonly yes?: boolean;
}

/** Removes leftovers. */
export const sweepCommand: Command = {
  name: "sweep",
  group: "Keep",
  summary: "Remove what writers that died have left: unfinished snapshots, scratch files, trash.",
  details: "Saving does this by itself. Snapshots and labels stay.",
  args: [],
  options: [
    {
      flags: "--older-than <time>",
      about: `spare writers with a heartbeat within this time (default: ${durationText(STALE_AFTER_MS)})`,
      read: milliseconds,
    },
    { flags: "-f, --force", about: "remove also what living programs are writing; it asks first" },
    { flags: "-y, --yes", about: "do not ask" },
  ],
  examples: [["snapkeep sweep -s states", "free the room that a killed save has left"]],
  run: async (context, _args, { olderThan, force = false, yes = false }: SweepFlags) => {
    const { output } = context;
    const store = await context.store();
    const before = await leftoversOf(store);
    const question = "Remove what living programs are writing, so that their saves fail?";
    if (force && !await confirm(context, question, yes)) return;
    const names = await store.sweep({
      ...olderThan === undefined ? {} : { olderThanMs: olderThan },
      ...force ? { force } : {},
    });
    const left = await leftoversOf(store);
    const removed = before.length - left.length;
    if (output.isJson) {
      await output.json({ unfinished: names, removed, left: left.length });
      return;
    }
    for (const name of names) await output.line(`unfinished  ${name}`);
    const spared = `may live: a heartbeat is less than ${durationText(olderThan ?? STALE_AFTER_MS)} old (--older-than)`;
    const more = left.length === 0
      ? ""
      : `; ${countText(left.length, "stays, because its writer", "stay, because their writers")} ${spared}`;
    output.message(
      `${countText(Math.max(0, removed), "hidden file or folder", "hidden files and folders")} removed${more}`,
    );
  },
};
