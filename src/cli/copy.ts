// snapkeep copy
import process from "node:process";
import { reasonOf } from "../model/errors.ts";
import { listSnapshots } from "../snapshot/listing.ts";
import type { SnapshotLocator } from "../snapshot/locator.ts";
import type { SnapshotProgress } from "../snapshot/progress.ts";
import { copySnapshots } from "../store/copy_snapshots.ts";
import type { StateStore } from "../store/state_store.ts";
import type { Command } from "./command.ts";
import { countText } from "./count_text.ts";
import { EXIT, exitCodeOf, UsageError } from "./exit_code.ts";

/** Copies snapshots. */
export const copyCommand: Command = {
  name: "copy",
  group: "Move",
  summary: "Copy snapshots with their labels to another store, only what it lacks.",
  details:
    "Each is verified, and is visible there completely or not at all. After an interruption, run it again: it continues. Labels that " +
    "only the other store has stay as they are.",
  args: [["[snapshot...]", "which ones"]],
  options: [
    { flags: "-a, --all", about: "all snapshots of the store" },
    { flags: "-t, --to <folder>", about: "the other store: a folder, or s3://bucket/prefix (required)" },
  ],
  examples: [
    ["snapkeep copy --all --to /backup/states -s states", "all that the backup lacks"],
    ["snapkeep copy --all --to s3://backups/counter -s states", "all that the object store lacks"],
    ["snapkeep copy latest @good --to /backup/states -s states", "two of them"],
  ],
  run: async (context, [given], { all = false, to }: { readonly all?: boolean; readonly to?: string }) => {
    const { output, signal } = context;
    const names = given as readonly string[];
    if (to === undefined) throw new UsageError("say where to copy to with --to <folder>, or --to s3://bucket/prefix");
    if (all === names.length > 0) {
      throw new UsageError(`name the snapshots to copy, or give --all${all ? "; not both" : ""}`);
    }
    const sources: SnapshotLocator[] = [];
    if (all) sources.push(...await (await context.store()).list({ signal }));
    for (const name of names) sources.push(await context.snapshot(name));
    const target = await context.storeAt(to, { mayBeMissing: true });
    const progress = await output.progress("copy", await sizeOf(sources, target));
    const failures: unknown[] = [];
    const counts = { copied: 0, labeled: 0, present: 0, failed: 0 };
    try {
      const onProgress = ({ uri, sizeBytes }: SnapshotProgress) => progress.set(uri, sizeBytes);
      for await (const { source, copy, outcome, error } of copySnapshots(sources, target, { signal, onProgress })) {
        counts[outcome]++;
        if (error !== undefined) failures.push(error);
        const reason = error === undefined ? undefined : reasonOf(error);
        if (output.isJson) await output.json({ type: "snapshot", name: source.name, outcome, uri: copy?.uri, reason });
        else if (reason === undefined) await output.line(outcome.padEnd(8), nameOf(source, copy));
        else output.error(reason, { exitCode: exitCodeOf(error) });
      }
    } finally {
      progress.stop();
    }
    if (output.isJson) await output.json({ type: "summary", ...counts });
    else {
      const labeled = counts.labeled === 0 ? "" : `, ${counts.labeled} labeled`;
      const failed = counts.failed === 0 ? "" : `, ${counts.failed} failed`;
      output.message(`${counts.copied} copied, ${countText(counts.present, "was", "were")} there${labeled}${failed}`);
    }
    if (failures.length === 0) return EXIT.done;
    return failures.length < sources.length ? EXIT.partly : exitCodeOf(failures[0]);
  },
};

/** The name of a snapshot, with that of its copy where it is another one. */
function nameOf(source: SnapshotLocator, copy: SnapshotLocator | undefined): string {
  return copy === undefined || copy.name === source.name ? source.name : `${source.name} as ${copy.name}`;
}

/** All bytes that the target lacks, as far as manifests tell. */
async function sizeOf(sources: readonly SnapshotLocator[], target: StateStore): Promise<number> {
  if (process.stderr.isTTY !== true) return 0;
  const there = new Set((await listSnapshots(target.backend)).map(({ name }) => name));
  let sum = 0;
  for (const source of sources) {
    const manifest = await source.manifest().catch(() => undefined); // the copy says what is wrong
    if (manifest !== undefined && !there.has(manifest.name)) sum += manifest.totals.sizeBytes;
  }
  return sum;
}
