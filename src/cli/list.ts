// snapkeep list
import { pathOfUri, showAddress } from "../model/address.ts";
import type { SurveyedSnapshot } from "../store/survey.ts";
import type { Command, Context } from "./command.ts";
import { labelsText } from "./labels_text.ts";
import type { Cell } from "./output.ts";
import { ageText, sizeText } from "./readable.ts";
import { surveyWithLeftovers } from "./leftovers.ts";

/** Lists snapshots. */
export const listCommand: Command = {
  name: "list",
  group: "Look",
  summary: "List the snapshots of a store, oldest first.",
  details: "SIZE is that of the saved entries, before compression, as the manifests say. No entry is read.",
  args: [],
  options: [{ flags: "-a, --all", about: "also list what is damaged, partial, unfinished, or not a snapshot" }],
  examples: [
    ["snapkeep list -s states", "the snapshots in the folder states"],
    ["snapkeep list -s states --all --json", "everything in it, for a script"],
  ],
  run: async (context, _args, { all = false }: { readonly all?: boolean }) => {
    const { output, signal } = context;
    const store = await context.store();
    const { survey: { snapshots, partial, foreign }, leftovers } = await surveyWithLeftovers(store, signal);
    const committed = new Set(snapshots.map(({ locator }) => locator.name)); // perhaps meanwhile
    const unfinished = leftovers.filter(({ kind, name }) => kind === "stage" && !committed.has(name))
      .map(({ name }) => name);
    const others = [
      ...partial.map((name) => ({ name, status: "partial" })),
      ...unfinished.map((name) => ({ name, status: "unfinished" })),
      ...foreign.map((name) => ({ name, status: "foreign" })),
    ];
    const damaged = snapshots.filter(({ damage }) => damage !== undefined);
    const shown = all ? snapshots : snapshots.filter(({ damage }) => damage === undefined);
    if (output.isJson) {
      await output.json({
        store: pathOfUri(store.backend.uri),
        snapshots: [...shown.map(asJson), ...all ? others : []],
        hidden: all ? 0 : damaged.length + others.length,
      });
      return;
    }
    await print(context, shown, all ? others : undefined);
    if (shown.length === 0 && !all) output.message(`There are no snapshots in ${showAddress(store.backend.uri)}.`);
    const hidden = [
      [damaged.length, "damaged"],
      [partial.length, "partial"],
      [unfinished.length, "unfinished"],
      [foreign.length, "foreign"],
    ] as const;
    const texts = hidden.filter(([count]) => count > 0).map(([count, word]) => `${count} ${word}`);
    if (!all && texts.length > 0) {
      output.message(`Not listed: ${texts.join(", ")}. To see them: snapkeep list --all`, "yellow");
    }
  },
};

interface Other {
  readonly name: string;
  readonly status: string;
}

async function print(
  { output }: Context,
  snapshots: readonly SurveyedSnapshot[],
  others: readonly Other[] | undefined,
): Promise<void> {
  const nowMs = Date.now();
  const rows: Cell[][] = snapshots.map((snapshot) => {
    const { locator, layouts, manifest, damage, labels, hasDamagedNote } = snapshot;
    const status: Cell = damage !== undefined
      ? ["damaged", "red"]
      : hasDamagedNote
      ? ["note damaged", "yellow"]
      : "complete";
    return [
      locator.name,
      manifest === undefined ? "" : ageText(Date.parse(manifest.savedAt), nowMs),
      manifest === undefined ? "" : sizeText(manifest.totals.sizeBytes),
      manifest === undefined ? "" : String(manifest.totals.states),
      layouts.join("+"),
      ...others === undefined ? [] : [status],
      labelsText(labels),
    ];
  });
  rows.push(...(others ?? []).map(({ name, status }) => [name, "", "", "", "", [status, "yellow"] as const, ""]));
  if (rows.length === 0) return;
  await output.table([
    { head: "NAME", rank: 0 },
    { head: "AGE", rank: 1, align: "right" },
    { head: "SIZE", rank: 2, align: "right" },
    { head: "STATES", rank: 5, align: "right" },
    { head: "LAYOUT", rank: 4 },
    ...others === undefined ? [] : [{ head: "STATUS", rank: 1 }],
    { head: "LABELS", rank: 3, isCut: true },
  ], rows);
}

function asJson({ locator, isTimed, layouts, manifest, damage, labels, hasDamagedNote }: SurveyedSnapshot): object {
  const { savedAt, program, run, parent, totals } = manifest ?? {};
  return {
    name: locator.name,
    status: damage === undefined ? "complete" : "damaged",
    uri: locator.uri,
    layouts,
    isKeepsake: !isTimed,
    savedAt,
    sizeBytes: totals?.sizeBytes,
    states: totals?.states,
    entries: totals?.entries,
    program,
    run,
    parent,
    labels,
    pinned: labels.pinned === true,
    ...hasDamagedNote ? { note: "damaged" } : {},
    ...damage === undefined ? {} : { damage },
  };
}
