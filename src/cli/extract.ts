// snapkeep extract: the states of a snapshot become folders. `folderState` writes them: everything is staged beside and verified,
// then renamed in; no link is followed, and nothing outside of the folders of the states is touched.
import { join, resolve, sep } from "node:path";
import { assertNoSnapshot } from "../file/free_folder.ts";
import { pathOfUri, showAddress } from "../model/address.ts";
import { SnapshotError } from "../model/errors.ts";
import { nearest } from "../model/options.ts";
import type { Manifest, ManifestState } from "../model/snapshot.ts";
import type { EntryInfo, StateReader } from "../model/state.ts";
import type { StandardSchema } from "../model/standard_schema.ts";
import { unlessAborted } from "../runtime/concurrency.ts";
import type { SnapshotReader } from "../snapshot/snapshot_reader.ts";
import { INDEX_PATH, makeIndex, savedFolder } from "../states/folder/index.ts";
import { discardStaged, stagedRestores, undo } from "../states/folder/staging.ts";
import { folderState } from "../states/folder_state.ts";
import type { Command, Context } from "./command.ts";
import { countText } from "./count_text.ts";
import { UsageError } from "./exit_code.ts";
import { sizeText } from "./readable.ts";

interface ExtractFlags {
  readonly directory?: string;
  readonly raw?: boolean;
  readonly force?: boolean;
}

/** Extracts states. */
export const extractCommand: Command = {
  name: "extract",
  group: "Move",
  summary: "Write the states of a snapshot to folders.",
  details:
    "Each state becomes a folder of its name. Everything is verified and staged first; other files in the folder stay as they are. " +
    "A state that was saved by folderState becomes that folder again, unless --raw is given.",
  args: [["<snapshot>", "which one"], ["[state...]", "which states (default: all)"]],
  options: [
    { flags: "-C, --directory <folder>", about: "where to (required)" },
    { flags: "--raw", about: "write the entries of every state as they are" },
    {
      flags: "-f, --force",
      about: "make existing folders of the states like those of the snapshot: change and remove files in them",
    },
  ],
  examples: [
    ["snapkeep extract latest -C out -s states", "all states"],
    ["snapkeep extract @good model -C out -s states", "the state model, as out/model"],
  ],
  run: async (context, [name, given], { directory, raw = false, force = false }: ExtractFlags) => {
    const { output, signal } = context;
    if (directory === undefined) throw new UsageError("say where to with -C <folder>");
    const snapshot = await context.snapshot(name as string);
    const folder = resolve(directory);
    assertOutside(folder, snapshot.backend.uri);
    const reader = await snapshot.open({ signal });
    try {
      const states = statesOf(reader.manifest, given as readonly string[]);
      const from = await asFolder(context, reader, states, raw);
      const count = await restore(folder, from, force);
      const sizeBytes = from.entries.reduce((sum, entry) => sum + entry.sizeBytes, 0);
      const names = states.map((state) => state.name);
      if (output.isJson) await output.json({ snapshot: snapshot.name, folder, states: names, files: count, sizeBytes });
      else {
        for (const state of names) await output.line(join(directory, state));
        output.message(`${countText(names.length, "state")} extracted, ${sizeText(sizeBytes)}`);
      }
    } finally {
      await reader.close();
    }
  },
};

/** Snapshots never change, and a store has only snapshots in it. */
function assertOutside(folder: string, uri: string): void {
  assertNoSnapshot(folder);
  const place = pathOfUri(uri);
  if (!uri.startsWith("file:") || folder !== place && !folder.startsWith(place + sep)) return;
  throw new UsageError(`${showAddress(folder)} is in the folder of the snapshots; choose another`);
}

function statesOf({ states, name }: Manifest, wanted: readonly string[]): readonly ManifestState[] {
  if (wanted.length === 0) return states;
  return [...new Set(wanted)].map((state) => {
    const found = states.find((each) => each.name === state.replace(/\/$/, ""));
    if (found !== undefined) return found;
    const near = nearest(state, states.map((each) => each.name));
    throw new UsageError(
      `"${name}" has no state "${state}"; ${near === undefined ? "it has none" : `the nearest is "${near}"`}`,
    );
  });
}

/** Makes the folders like the snapshot; refuses to change or remove what is there unless it is forced to. */
async function restore(folder: string, from: StatesAsFolder, force: boolean): Promise<number> {
  const target = folderState(folder, { links: "inside" });
  for (const { path, phase } of stagedRestores(folder)) {
    // An extract that was killed: what it had moved goes back first.
    if (phase === "under way") await undo(folder, path);
    else await discardStaged(path);
  }
  const { added, changed, deleted } = await target.preview(from);
  const lost = [...changed, ...deleted].filter((path) => !path.endsWith("/"));
  if (lost.length > 0 && !force) {
    const what = `${changed.length} would change and ${deleted.length} would be removed, such as "${lost[0]}"`;
    const message = `Cannot extract to ${
      showAddress(folder)
    }: files are there; ${what}; choose another folder, or give --force`;
    throw new SnapshotError("ENTRY_EXISTS", message, {
      path: join(folder, lost[0] as string),
      existing: lost[0] as string,
    });
  }
  await target.loadState(from);
  // What was replaced is not kept: an extract is not undone.
  for (const { path } of stagedRestores(folder)) await discardStaged(path);
  return [...added, ...changed].filter((path) => !path.endsWith("/")).length;
}

/** What the folder of one state holds. */
interface StateFolder {
  readonly names: readonly (readonly [entry: string, path: string])[];
  readonly folders: readonly string[];
  readonly executables: readonly string[];
  readonly links: readonly (readonly [path: string, target: string])[];
}

async function asFolder(
  { signal }: Context,
  reader: SnapshotReader,
  states: readonly ManifestState[],
  raw: boolean,
): Promise<StatesAsFolder> {
  const all = await Promise.all(states.map((state) => folderOf(reader, state, raw)));
  const entries = states.flatMap(({ name, entries }, at) => {
    const kept = new Set(all[at]?.names.map(([entry]) => entry));
    return entries.map((entry) => ({ ...entry, path: `${name}/${entry.path}` })).filter(({ path }) => kept.has(path));
  });
  const escaped = (name: string) => name.replaceAll(/[\\*?[\]#! ]/g, "\\$&");
  const index = makeIndex({
    ignored: [{ below: "", lines: ["/*", ...states.map(({ name }) => `!/${escaped(name)}/`)] }],
    folders: all.flatMap(({ folders }) => folders),
    executables: all.flatMap(({ executables }) => executables),
    links: all.flatMap(({ links }) => links),
    names: all.flatMap(({ names }) => names),
  });
  return new StatesAsFolder(reader, entries, index, signal);
}

/** The folder of a state: the one that `folderState` saved, or its entries. */
async function folderOf(reader: SnapshotReader, { name, entries }: ManifestState, raw: boolean): Promise<StateFolder> {
  const within = (path: string) => `${name}/${path}`;
  const plain = {
    names: entries.map(({ path }) => [within(path), within(path)] as const),
    folders: entries.length === 0 ? [name] : [],
    executables: [],
    links: [],
  };
  if (raw || !entries.some(({ path }) => path === INDEX_PATH)) return plain;
  try {
    const nodes = [...savedFolder(await reader.json(within(INDEX_PATH)), entries).nodes];
    const paths = new Set(nodes.map(([path]) => path.slice(0, Math.max(0, path.lastIndexOf("/")))));
    return {
      names: nodes.flatMap(([path, node]) =>
        node.kind === "file" ? [[within(node.entry.path), within(path)] as const] : []
      ),
      folders: nodes.length === 0
        ? [name]
        : nodes.flatMap(([path, { kind }]) => kind === "folder" && !paths.has(path) ? [within(path)] : []),
      executables: nodes.flatMap(([path, node]) => node.kind === "file" && node.isExecutable ? [within(path)] : []),
      links: nodes.flatMap(([path, node]) => node.kind === "link" ? [[within(path), node.target] as const] : []),
    };
  } catch (error) {
    if (error instanceof TypeError || error instanceof SyntaxError) return plain; // an index of another kind
    throw error;
  }
}

/** States of a snapshot, as if `folderState` had saved them in one folder. */
class StatesAsFolder implements StateReader {
  readonly name = "states";
  readonly version = 1;
  readonly entries: readonly EntryInfo[];
  readonly #reader: SnapshotReader;
  readonly #index: object;
  readonly #signal: AbortSignal;

  constructor(reader: SnapshotReader, entries: readonly EntryInfo[], index: object, signal: AbortSignal) {
    this.entries = entries;
    this.#reader = reader;
    this.#index = index;
    this.#signal = signal;
  }

  has(path: string): boolean {
    return this.#reader.has(path);
  }

  async bytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
    return await unlessAborted(this.#reader.bytes(path), this.#signal);
  }

  text(path: string): Promise<string> {
    return this.#reader.text(path);
  }

  json(path: string): Promise<unknown>;
  json<Output>(path: string, schema: StandardSchema<Output>): Promise<Output>;
  async json(path: string, schema?: StandardSchema): Promise<unknown> {
    if (path !== INDEX_PATH || schema === undefined) return await this.#reader.json(path);
    const result = await schema["~standard"].validate(this.#index);
    if (result.issues === undefined) return result.value;
    throw new TypeError(result.issues.map(({ message }) => message).join("; "));
  }

  stream(path: string): ReadableStream<Uint8Array> {
    return this.#reader.stream(path).pipeThrough(new TransformStream(), { signal: this.#signal });
  }
}
