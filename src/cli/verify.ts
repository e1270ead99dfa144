// snapkeep verify
import process from "node:process";
import { showAddress } from "../model/address.ts";
import type { SnapshotLocator } from "../snapshot/locator.ts";
import type { VerifyOptions, VerifyReport } from "../snapshot/verification.ts";
import type { StateStore } from "../store/state_store.ts";
import { surveyOf } from "../store/survey.ts";
import type { Command, Context } from "./command.ts";
import { countText } from "./count_text.ts";
import { EXIT } from "./exit_code.ts";
import { sizeText } from "./readable.ts";

/** Verifies snapshots. */
export const verifyCommand: Command = {
  name: "verify",
  group: "Look",
  summary: "Compare every byte of snapshots with their manifests; without arguments, of all snapshots in the store.",
  details:
    "It repairs and removes nothing. The exit code is 4 if it finds damage, 3 if it could not read everything. A folder with files that " +
    "is named like a snapshot and has no manifest counts as damaged; doctor warns of it, because no program loads it.",
  args: [["[snapshot...]", "which ones"]],
  options: [{ flags: "-q, --quick", about: "compare names and sizes only, and read no entry" }],
  examples: [
    ["snapkeep verify -s states", "all snapshots"],
    ["snapkeep verify latest --quick -s states", "the newest, without reading its entries"],
    ["snapkeep verify backup/X.state.tar.gz", "an archive elsewhere"],
  ],
  run: async (context, [given], { quick = false }: { readonly quick?: boolean }) => {
    const { output, signal } = context;
    const names = given as readonly string[];
    const store = names.length === 0 ? await context.store() : undefined;
    const snapshots: SnapshotLocator[] = [];
    for (const name of names) snapshots.push(await context.snapshot(name));
    const totalBytes = quick ? 0 : await sizeOf(store, snapshots, signal);
    const progress = await output.progress("verify", totalBytes);
    const options: VerifyOptions = {
      mode: quick ? "quick" : "full",
      signal,
      onProgress: ({ uri, sizeBytes }) => progress.set(uri, sizeBytes),
    };
    const counts = { snapshots: 0, damaged: 0, unreadable: 0 };
    try {
      for await (const report of store?.verify(options) ?? eachOf(snapshots, options)) {
        counts.snapshots++;
        const isUnreadable = report.findings.length > 0 &&
          report.findings.every(({ problem }) => problem === "unreadable");
        if (isUnreadable) counts.unreadable++;
        else if (!report.isWhole) counts.damaged++;
        await print(context, report, quick);
      }
    } finally {
      progress.stop();
    }
    if (output.isJson) await output.json({ type: "summary", ...counts });
    else if (store !== undefined && counts.snapshots === 0) {
      output.message(`There are no snapshots in ${showAddress(store.backend.uri)}.`);
    } else {
      const bad = [
        ...counts.damaged > 0 ? [`${counts.damaged} damaged`] : [],
        ...counts.unreadable > 0 ? [`${counts.unreadable} unreadable`] : [],
      ];
      output.message(
        `${counts.snapshots} ${quick ? "looked at" : "verified"}, ${
          bad.length === 0 ? "no damage found" : bad.join(", ")
        }`,
      );
    }
    return counts.damaged > 0 ? EXIT.damage : counts.unreadable > 0 ? EXIT.partly : EXIT.done;
  },
};

async function* eachOf(snapshots: readonly SnapshotLocator[], options: VerifyOptions): AsyncGenerator<VerifyReport> {
  for (const snapshot of snapshots) yield await snapshot.verify(options);
}

/** All bytes there are to read, as far as manifests tell. */
async function sizeOf(
  store: StateStore | undefined,
  snapshots: readonly SnapshotLocator[],
  signal: AbortSignal,
): Promise<number> {
  if (process.stderr.isTTY !== true) return 0;
  if (store !== undefined) {
    const survey = await surveyOf(store, { signal });
    return survey.snapshots.reduce(
      (sum, { manifest, layouts }) => sum + (manifest?.totals.sizeBytes ?? 0) * layouts.length,
      0,
    );
  }
  let sum = 0;
  for (const snapshot of snapshots) sum += (await snapshot.facts().catch(() => undefined))?.sizeBytes ?? 0;
  return sum;
}

async function print({ output }: Context, report: VerifyReport, isQuick: boolean): Promise<void> {
  const { uri, isWhole, findings, entries, sizeBytes } = report;
  if (output.isJson) {
    await output.json({ type: "report", ...report });
    return;
  }
  const name = uri.slice(uri.lastIndexOf("/") + 1);
  const counted = isQuick ? "" : `  ${countText(entries, "entry", "entries")}, ${sizeText(sizeBytes)}`;
  await output.line(isWhole ? ["ok       ", "green"] : ["DAMAGED  ", "red"], name, isWhole ? counted : "");
  for (const { step, problem, path, expected, actual } of findings) {
    const where = path === "" ? step : `${step}: ${path}`;
    const why = actual.startsWith("Cannot ") ? actual : `expected ${expected}, found ${actual}`; // an error says all
    await output.line(`         ${where} is ${problem}: ${why}`);
  }
}
