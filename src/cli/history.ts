// snapkeep history
import { pathOfUri } from "../model/address.ts";
import { historyOfEntry } from "../store/history.ts";
import type { Command } from "./command.ts";
import { countText } from "./count_text.ts";
import { EXIT } from "./exit_code.ts";
import { ageText, sizeText } from "./readable.ts";

/** Tells when an entry changed. */
export const historyCommand: Command = {
  name: "history",
  group: "Look",
  summary: "Tell when an entry changed, oldest first.",
  details: "It compares the digests in the manifests and reads no entry.",
  args: [["<entry>", "the entry, as <state>/<path>"]],
  options: [],
  examples: [["snapkeep history model/weights.bin -s states", "the snapshots in which the weights are new"]],
  run: async (context, [path]) => {
    const { output, signal } = context;
    const store = await context.store();
    const { changes, snapshots, skipped } = await historyOfEntry(store, path as string, { signal });
    if (output.isJson) {
      await output.json({
        store: pathOfUri(store.backend.uri),
        path,
        snapshots,
        changes: changes.map(({ snapshot, ...change }) => ({ snapshot: snapshot.name, ...change })),
        skipped,
      });
    } else {
      if (changes.length > 0) {
        await output.table(
          [
            { head: "SNAPSHOT", rank: 0 },
            { head: "AGE", rank: 2, align: "right" },
            { head: "CHANGE", rank: 1 },
            { head: "SIZE", rank: 3, align: "right" },
            { head: "SHA-256", rank: 4, isCut: true },
          ],
          changes.map(({ snapshot, savedAt, change, sizeBytes, digest = "" }) => [
            snapshot.name,
            ageText(savedAt.getTime(), Date.now()),
            [change, change === "removed" ? "red" : change === "added" ? "green" : "yellow"],
            change === "removed" ? "" : sizeText(sizeBytes),
            digest.replace("sha256:", ""),
          ]),
        );
      }
      output.message(`${countText(changes.length, "change")} in ${countText(snapshots, "snapshot")}`);
      for (const { snapshot, reason } of skipped) output.message(`skipped "${snapshot}": ${reason}`, "yellow");
    }
    return skipped.length > 0 ? EXIT.partly : EXIT.done;
  },
};
