// snapkeep top
import { isOutOfReach, isSnapshotError } from "../model/errors.ts";
import type { Manifest } from "../model/snapshot.ts";
import type { SnapshotLocator } from "../snapshot/locator.ts";
import { largestParts, type SizedPart } from "../snapshot/top.ts";
import { listSnapshots } from "../snapshot/listing.ts";
import type { Command } from "./command.ts";
import { readCount } from "./read.ts";
import { growthText, sizeText } from "./readable.ts";

/** Shows what is large. */
export const topCommand: Command = {
  name: "top",
  group: "Look",
  summary: "Show the largest states and entries of a snapshot, and what grew since its parent.",
  details: "The parent is the snapshot that its run had resumed from. It reads manifests and no entry.",
  args: [["<snapshot>", "which one"]],
  options: [
    { flags: "-n, --count <n>", about: "how many entries (default: 10)", read: readCount },
    { flags: "--since <snapshot>", about: "compare with this one instead of the parent" },
  ],
  examples: [
    ["snapkeep top latest -s states", "what takes up the room in the newest"],
    ["snapkeep top latest --since latest~10 -s states", "what grew during the last ten saves"],
  ],
  run: async (context, [name], { count, since }: { readonly count?: number; readonly since?: string }) => {
    const { output, signal } = context;
    const snapshot = await context.snapshot(name as string);
    const manifest = await snapshot.manifest({ signal });
    const parent = since === undefined ? await parentOf(snapshot, manifest) : await context.snapshot(since);
    const before = await parent?.manifest({ signal });
    const parts = await largestParts(manifest, { since: before, ...count === undefined ? {} : { count } });
    if (output.isJson) {
      await output.json({ snapshot: manifest.name, since: before?.name ?? null, ...parts });
      return;
    }
    if (before === undefined) {
      const why = manifest.parent === null
        ? "It has no parent: its run did not resume"
        : `Its parent "${manifest.parent}" is not here`;
      output.message(`${why}; compare with another by --since.`);
    }
    const row = (kind: string) => ({ path, sizeBytes, grownBytes }: SizedPart) => [
      kind,
      path === "" ? "all" : path,
      sizeText(sizeBytes),
      grownBytes === undefined || grownBytes === 0 ? "" : growthText(grownBytes),
    ];
    await output.table([
      { head: "", rank: 3 },
      { head: "PATH", rank: 0 },
      { head: "SIZE", rank: 1, align: "right" },
      { head: before === undefined ? "" : "GROWN", rank: 2, align: "right" },
    ], [
      row("snapshot")(parts.total),
      ...parts.states.map(row("state")),
      ...parts.entries.map(row("entry")),
      ...parts.grown.filter(({ path }) => !parts.entries.some((entry) => entry.path === path)).map(row("grown")),
    ]);
    if (before !== undefined) await output.line(`since ${before.name}`);
  },
};

/** The snapshot that the run had resumed from, if it lies beside this one. */
async function parentOf({ backend }: SnapshotLocator, { parent }: Manifest): Promise<SnapshotLocator | undefined> {
  if (parent === null) return undefined;
  try {
    return (await listSnapshots(backend)).find(({ name }) => name === parent);
  } catch (error) {
    if (isOutOfReach(error) || !isSnapshotError(error)) throw error;
    return undefined; // a place that cannot be listed, such as a server
  }
}
