// snapkeep import
import { dirname } from "node:path";
import process from "node:process";
import { Readable } from "node:stream";
import { setTimeout as wait } from "node:timers/promises";
import { nodeFileSystem } from "../file/node_file_system.ts";
import { readAddress, showAddress } from "../model/address.ts";
import { isSnapshotError, reasonOf, SnapshotError } from "../model/errors.ts";
import { locate, type SnapshotSource } from "../snapshot/locate.ts";
import type { StateStore } from "../store/state_store.ts";
import type { Command } from "./command.ts";
import { EXIT, exitCodeOf, UsageError } from "./exit_code.ts";
import { locateAt } from "./resolve.ts";

/** How long after the end of stdin a signal may arrive that ended both programs of a pipe. */
const SIGNAL_AFTER_END_MS = 100;

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
    const missing = await missingFolders(store);
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
      } catch (thrown) {
        progress.stop();
        if (source === "-") await wait(SIGNAL_AFTER_END_MS, undefined, { signal }).catch(() => {});
        const error = await withWayOut(store, thrown);
        // A folder that holds what another source brought stays.
        for (const folder of missing) await nodeFileSystem.removeFolder(folder).catch(() => {});
        if (signal.aborted || sources.length === 1) throw error;
        failures.push(error);
        output.error(reasonOf(error), { exitCode: exitCodeOf(error) });
      }
    }
    if (failures.length === 0) return EXIT.done;
    return failures.length < sources.length ? EXIT.partly : exitCodeOf(failures[0]);
  },
};

/** The folder of a store and those above it that do not exist yet, the innermost first. */
async function missingFolders({ backend }: StateStore): Promise<string[]> {
  const missing: string[] = [];
  let { path } = readAddress(new URL(backend.uri));
  while (path !== undefined && path !== missing.at(-1) && await nodeFileSystem.stat(path) === undefined) {
    missing.push(path);
    path = dirname(path);
  }
  return missing;
}

/** An error with what an operator can do: an import cannot choose another name. */
async function withWayOut(store: StateStore, error: unknown): Promise<unknown> {
  if (!isSnapshotError(error, "SNAPSHOT_EXISTS")) return error;
  const { name } = error.details;
  const there = await store.snapshot(name).catch(() => undefined);
  if (there === undefined) return error; // a writer holds the name
  const message = `Cannot import "${name}": ${
    showAddress(there)
  } exists already; delete it first, or use snapkeep copy, which passes over it`;
  return new SnapshotError("SNAPSHOT_EXISTS", message, error.details, { cause: error });
}

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
