// snapkeep import
import process from "node:process";
import { Readable } from "node:stream";
import { readAddress } from "../model/address.ts";
import { reasonOf } from "../model/errors.ts";
import { locate, type SnapshotSource } from "../snapshot/locate.ts";
import type { Command } from "./command.ts";
import { EXIT, exitCodeOf, UsageError } from "./exit_code.ts";
import { locateAt } from "./resolve.ts";

/** Imports snapshots. */
export const importCommand: Command = {
  name: "import",
  group: "Move",
  summary: "Copy snapshots into the store: archives, folders, URLs, or an archive from stdin.",
  details:
    "Each is verified first, and is visible completely or not at all. One that the store has already is refused; copy passes over it. " +
    "The store is made if it does not exist; a bucket is not.",
  args: [["<source...>", "files, folders or URLs; - is stdin"]],
  options: [],
  examples: [
    ["snapkeep import backup.tar.gz -s states", "an archive"],
    ["snapkeep import s3://backups/counter/X.state.tar.gz -s states", "one from an object store"],
    ["curl -s https://host/X.state.tar.gz | snapkeep import - -s states", "an archive from stdin"],
  ],
  run: async (context, [given]) => {
    const { output, signal } = context;
    const sources = given as readonly string[];
    const store = await context.store({ mayBeMissing: true });
    const failures: unknown[] = [];
    for (const source of sources) {
      const progress = await output.progress("import", await sizeOf(source));
      try {
        if (source !== "-") await locateAt(source);
        const snapshot = await store.importSnapshot(source === "-" ? stdin() : source, {
          signal,
          onProgress: ({ uri, sizeBytes }) => progress.set(uri, sizeBytes),
        });
        progress.stop();
        if (output.isJson) {
          await output.json({ type: "imported", source: shown(source), name: snapshot.name, uri: snapshot.uri });
        } else await output.line(snapshot.name);
      } catch (error) {
        progress.stop();
        if (signal.aborted || sources.length === 1) throw error;
        failures.push(error);
        output.error(reasonOf(error), { exitCode: exitCodeOf(error) });
      }
    }
    if (failures.length === 0) return EXIT.done;
    return failures.length < sources.length ? EXIT.partly : exitCodeOf(failures[0]);
  },
};

/** A source without the user and the query of a URL. */
function shown(source: string): string {
  return source === "-" ? source : readAddress(source).shown;
}

function stdin(): ReadableStream<Uint8Array> {
  if (process.stdin.isTTY) throw new UsageError("stdin is a terminal; pipe an archive into it, or name a file");
  return Readable.toWeb(process.stdin) as unknown as ReadableStream<Uint8Array>;
}

/** All bytes that are copied; 0 if that is not known beforehand. */
async function sizeOf(source: SnapshotSource & string): Promise<number> {
  if (process.stderr.isTTY !== true || source === "-") return 0;
  const facts = await locate(source).stat().catch(() => undefined); // the import says what is wrong
  return facts?.sizeBytes ?? 0;
}
