// snapkeep show
import type { Manifest } from "../model/snapshot.ts";
import type { Command, Context } from "./command.ts";
import { countText } from "./count_text.ts";
import { labelsText } from "./labels_text.ts";
import { ageText, sizeText } from "./readable.ts";

/** Shows one snapshot. */
export const showCommand: Command = {
  name: "show",
  group: "Look",
  summary: "Show one snapshot: states, entries, labels, lineage, program and run.",
  details: "It reads the manifest and no entry.",
  args: [["<snapshot>", "which one"]],
  options: [],
  examples: [
    ["snapkeep show latest -s states", "the newest"],
    ["snapkeep show https://host/X.state.tar.gz --json", "one on a server, for a script"],
  ],
  run: async (context, [name]) => {
    const { output, signal } = context;
    const snapshot = await context.snapshot(name as string);
    const manifest = await snapshot.manifest({ signal });
    const note = await snapshot.note();
    const labels = note === undefined || note === "damaged" ? manifest.labels : note;
    if (note === "damaged") output.message("The note is damaged: these labels are those it was saved with.", "yellow");
    const { uri, layout } = snapshot;
    if (output.isJson) {
      await output.json({ uri, layout, ...manifest, labels, pinned: labels.pinned === true });
      return;
    }
    await printFacts(context, { ...manifest, labels }, `${snapshot}`, layout);
    await output.line();
    await output.table(
      [
        { head: "ENTRY", rank: 0 },
        { head: "SIZE", rank: 1, align: "right" },
        { head: "SHA-256", rank: 2, isCut: true },
      ],
      manifest.states.flatMap((state) => [
        [[`${state.name}/`, "cyan"], sizeText(sum(state)), state.version === 1 ? "" : `version ${state.version}`],
        ...state.entries.map(({ path, sizeBytes, digest }) => [
          `${state.name}/${path}`,
          sizeText(sizeBytes),
          digest.replace("sha256:", ""),
        ]),
      ]),
    );
  },
};

const sum = ({ entries }: Manifest["states"][number]) => entries.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0);

async function printFacts({ output }: Context, manifest: Manifest, address: string, layout: string): Promise<void> {
  const { name, savedAt, program, run, parent, totals, labels, library } = manifest;
  const facts = [
    ["name", name],
    ["address", address],
    ["layout", layout],
    ["saved", `${savedAt} (${ageText(Date.parse(savedAt), Date.now())} ago)`],
    [
      "size",
      `${sizeText(totals.sizeBytes)} in ${countText(totals.entries, "entry", "entries")} of ${
        countText(totals.states, "state")
      }`,
    ],
    ["program", program ?? ""],
    ["run", run ?? ""],
    ["parent", parent ?? "none: the run did not resume"],
    ["labels", labelsText(labels)],
    ["library", `${library.name} ${library.version}`],
  ] as const;
  for (const [fact, text] of facts) if (text !== "") await output.line([fact.padEnd(9), "bold"], text);
}
