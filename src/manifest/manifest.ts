// The manifest: its text, its digest line, its rules. A manifest that parses here is whole: its bytes match their digest, its
// names are safe, its sums add up.
import { showAddress } from "../model/address.ts";
import { byteLengthOf, concatenating, indexOfText, lookingForText, textOf } from "../runtime/bytes.ts";
import { atOnce, inSlices, type Work } from "../runtime/concurrency.ts";
import { faultOfSnapshotName, faultOfStateName, PathSet, quoted } from "../model/entry_path.ts";
import { reasonOf, SnapshotError } from "../model/errors.ts";
import type {
  Labels,
  Manifest,
  ManifestEntry,
  ManifestState,
  OpenedManifest,
  SealedManifest,
  WrittenEntry,
} from "../model/snapshot.ts";
import { FORMAT_VERSION, VERSION } from "../model/version.ts";
import { digesting } from "../runtime/digest.ts";
import { parseGuarded, refuseProto } from "./guarded_json.ts";
import { storableLabels } from "./labels.ts";
import { FORMAT_NAME, isEntry, isState, loadShapes, type Shapes } from "./schema.ts";

const DIGEST_LINE = /\n {2}"digest": "(sha256:[0-9a-f]{64})"\n\}\n$/;
const DIGEST_LINE_BYTES = `\n  "digest": "sha256:${"0".repeat(64)}"\n}\n`.length;

// Entries and letters that take about a millisecond.
const ENTRIES_AT_ONCE = 64;
const PIECE_LENGTH = 64 * 1024;

/** No manifest may be larger; 256 MiB is about two million entries. */
export const MAX_MANIFEST_BYTES: number = 256 * 1024 * 1024;

/**
 * The manifest of a copy whose labels are others than those its original was saved with.
 *
 * @param manifest The original, unknown fields included.
 * @param labels The labels now.
 * @returns The manifest and its bytes.
 */
export function* relabelling(manifest: Manifest, labels: Labels): Work<SealedManifest> {
  const relabelled = { ...manifest, labels };
  return { manifest: relabelled, bytes: yield* rendering(relabelled) };
}

/** What a manifest says beside its entries. */
export interface ManifestFacts {
  /** The snapshot's name. */
  readonly name: string;
  /** When it was captured. */
  readonly savedAt: Date;
  /** The states in order of registration, with their versions. */
  readonly states: readonly { readonly name: string; readonly version: number }[];
  /** The snapshot that the run had resumed from. */
  readonly parent: string | null;
  /** Labels as saved. */
  readonly labels: Labels;
  /** Name of the program. */
  readonly program?: string | undefined;
  /** Id of the run. */
  readonly run?: string | undefined;
}

/**
 * Makes the manifest of what was written.
 *
 * @param facts What it says beside the entries.
 * @param written All entries, in the order they were written; each belongs to one of the states.
 * @returns The manifest and its bytes.
 * @throws {TypeError} As {@link storableLabels}: a manifest with other labels would make its snapshot unreadable.
 */
export function sealManifest(facts: ManifestFacts, written: readonly WrittenEntry[]): SealedManifest {
  return atOnce(sealing(facts, written));
}

/** The same as {@link sealManifest}, as work that can be done in slices. */
export function* sealing(facts: ManifestFacts, written: readonly WrittenEntry[]): Work<SealedManifest> {
  const states = new Map(
    facts.states.map(({ name, version }) => [name, { name, version, entries: [] as Omit<WrittenEntry, "state">[] }]),
  );
  let sizeBytes = 0;
  for (const [index, { state, path, sizeBytes: entryBytes, digest }] of written.entries()) {
    if (index % ENTRIES_AT_ONCE === 0) yield;
    states.get(state)?.entries.push({ path, sizeBytes: entryBytes, digest });
    sizeBytes += entryBytes;
  }
  const manifest: Manifest = {
    formatVersion: FORMAT_VERSION,
    name: facts.name,
    savedAt: facts.savedAt.toISOString(),
    library: { name: "snapkeep", version: VERSION },
    ...facts.program === undefined ? {} : { program: facts.program },
    ...facts.run === undefined ? {} : { run: facts.run },
    parent: facts.parent,
    states: [...states.values()],
    totals: { states: states.size, entries: written.length, sizeBytes },
    labels: storableLabels(facts.labels),
  };
  return { manifest, bytes: yield* rendering(manifest) };
}

/** One member a line, one entry a line, the digest of all bytes before it as the last: made to be read and diffed. */
function* rendering(manifest: Manifest): Work<Uint8Array> {
  const { states, ...rest } = manifest;
  const encoder = new TextEncoder();
  const pieces: Uint8Array[] = [];
  let text = "{";
  for (const [key, value] of Object.entries({ format: FORMAT_NAME, ...rest, states: null })) {
    text += `\n  ${JSON.stringify(key)}: `;
    if (key !== "states") text += `${JSON.stringify(value)},`;
    else {
      for (const piece of statesAsText(states)) {
        text += piece;
        if (text.length < PIECE_LENGTH) continue;
        pieces.push(encoder.encode(text));
        text = "";
        yield;
      }
      text += ",";
    }
  }
  pieces.push(encoder.encode(text));
  const digest = yield* digesting(pieces);
  pieces.push(encoder.encode(`\n  "digest": "${digest}"\n}\n`));
  return yield* concatenating(pieces, pieces.reduce((sum, piece) => sum + piece.length, 0));
}

/** The text of all states, in pieces. */
function* statesAsText(states: readonly ManifestState[]): Generator<string, void> {
  let separator = "[";
  for (const { entries, ...state } of states) {
    yield `${separator}\n    ${JSON.stringify(state).slice(0, -1)},"entries":[`;
    separator = ",";
    for (const [index, entry] of entries.entries()) yield `${index > 0 ? "," : ""}\n      ${JSON.stringify(entry)}`;
    yield entries.length > 0 ? "\n    ]}" : "]}";
  }
  yield states.length > 0 ? "\n  ]" : "[]";
}

// How our writer begins: what begins so can be searched line by line, for no string in JSON holds a line break.
const CANONICAL_HEAD = `{\n  "format": "${FORMAT_NAME}",\n  "formatVersion": ${FORMAT_VERSION},\n`;

/**
 * Opens a manifest, believing nothing: its bytes must match its digest line. The rest is checked when it is first needed, for
 * to read one entry of many not all need be parsed.
 *
 * @param bytes `manifest.json`.
 * @param uri Address of the snapshot, for errors.
 * @returns The manifest; asking for all of it may throw `MANIFEST_INVALID`.
 * @throws {SnapshotError} `MANIFEST_INVALID` if it is damaged, `FORMAT_UNSUPPORTED` if it is whole but of a newer format.
 */
export async function openManifest(bytes: Uint8Array, uri: string): Promise<OpenedManifest> {
  const shapes = await loadShapes();
  await inSlices(assertingDigest(bytes, uri));
  const lines = await inSlices(lookingForLines(bytes));
  const opened = new Opened(bytes, lines, () => parsing(bytes, uri, shapes, lines));
  const head = new TextDecoder().decode(bytes.subarray(0, CANONICAL_HEAD.length));
  if (head !== CANONICAL_HEAD) await opened.read(); // another writer's, or another format: read it all at once
  return opened;
}

/**
 * Reads a manifest, believing nothing.
 *
 * @param bytes `manifest.json`.
 * @param uri Address of the snapshot, for errors.
 * @returns The manifest, unknown fields kept.
 * @throws {SnapshotError} `MANIFEST_INVALID` if it is damaged or breaks its own rules, `FORMAT_UNSUPPORTED` if it is whole
 *   but of a newer format.
 */
export async function parseManifest(bytes: Uint8Array, uri: string): Promise<Manifest> {
  return await (await openManifest(bytes, uri)).read();
}

class Opened implements OpenedManifest {
  readonly bytes: Uint8Array;
  readonly #lines: Lines | undefined;
  readonly #parsing: () => Work<Manifest>;
  #manifest: Manifest | undefined;
  #index: ReadonlyMap<string, ManifestEntry> | undefined;

  constructor(bytes: Uint8Array, lines: Lines | undefined, parsing: () => Work<Manifest>) {
    this.bytes = bytes;
    this.#lines = lines;
    this.#parsing = parsing;
  }

  get manifest(): Manifest {
    return this.#manifest ??= atOnce(this.#parsing());
  }

  async read(): Promise<Manifest> {
    return this.#manifest ??= await inSlices(this.#parsing());
  }

  get known(): ReadonlyMap<string, ManifestEntry> | undefined {
    return this.#index;
  }

  indexNow(): ReadonlyMap<string, ManifestEntry> {
    return this.#index ??= atOnce(indexing(this.manifest));
  }

  async index(): Promise<ReadonlyMap<string, ManifestEntry>> {
    return this.#index ??= await inSlices(indexing(await this.read()));
  }

  *finding(entryPath: string): Work<ManifestEntry | undefined> {
    return this.#manifest === undefined && this.#lines !== undefined
      ? yield* findingEntry(this.bytes, entryPath)
      : undefined;
  }
}

function* indexing({ states }: Manifest): Work<ReadonlyMap<string, ManifestEntry>> {
  const found = new Map<string, ManifestEntry>();
  for (const { name, entries } of states) {
    for (const entry of entries) {
      found.set(`${name}/${entry.path}`, entry);
      if (found.size % ENTRIES_AT_ONCE === 0) yield;
    }
  }
  return found;
}

const [STATES, STATES_END, STATE_END] = ['\n  "states": [', "\n  ],", "\n    ]}"] as const;
const [LINE_BREAK, LIST_START] = [0x0a, 0x5b];
// Longer than any name that is allowed is spelt, strings are not looked at: where they had no end, the stack would have one.
const CANONICAL_LINE =
  /\n(?: {6}\{"path":"(?:[^"\\]|\\.){0,8192}","sizeBytes":\d+,"digest":"sha256:[0-9a-f]{64}"\},?| {4}\{"name":"(?:[^"\\]|\\.){0,8192}","version":\d+,"entries":\[(?:\]\},?)?| {4}\]\},?)/y;

/** Where the lines of the states begin and end. */
interface Lines {
  readonly start: number;
  readonly end: number;
}

/**
 * Finds the lines of the states if every one is just what our writer writes. Else a line that looks like an entry may lie within a
 * field that is unknown; a parser of all would find another entry than a search for the line.
 */
function* lookingForLines(bytes: Uint8Array): Work<Lines | undefined> {
  const start = indexOfText(bytes, STATES);
  if (start === -1) return undefined;
  let end = start + STATES.length;
  try {
    const head = textOf(bytes.subarray(0, start));
    if (!head.startsWith(CANONICAL_HEAD)) return undefined;
    JSON.parse(head.replace(/,$/, "}")); // at the top level, then
    for (let isWhole = true; isWhole && end < bytes.length; yield) {
      const piece = bytes.subarray(end, lineEnd(bytes, end + PIECE_LENGTH));
      const text = textOf(piece);
      let found = 0;
      for (CANONICAL_LINE.lastIndex = 0; CANONICAL_LINE.test(text);) found = CANONICAL_LINE.lastIndex;
      isWhole = found === text.length;
      end += isWhole ? piece.length : byteLengthOf(text.slice(0, found));
    }
  } catch {
    return undefined;
  }
  const tail = bytes.subarray(end);
  if (tail.length !== STATES_END.length + DIGEST_LINE_BYTES || indexOfText(tail, STATES_END) !== 0) return undefined;
  return { start: start + STATES.length, end };
}

/** Where the line at an offset ends: at its line break, or with the bytes. */
function lineEnd(bytes: Uint8Array, offset: number): number {
  const found = bytes.indexOf(LINE_BREAK, offset);
  return found === -1 ? bytes.length : found;
}

/** Finds one entry by its line. */
function* findingEntry(bytes: Uint8Array, entryPath: string): Work<ManifestEntry | undefined> {
  const slash = entryPath.indexOf("/");
  if (slash < 1) return undefined;
  const state = yield* lookingForText(bytes, `\n    {"name":${JSON.stringify(entryPath.slice(0, slash))},"version":`);
  // A state without entries ends on its line: what follows is another's.
  if (state === -1 || bytes[lineEnd(bytes, state + 1) - 1] !== LIST_START) return undefined;
  const start = yield* lookingForText(bytes, `\n      {"path":${JSON.stringify(entryPath.slice(slash + 1))},`, state);
  if (start === -1 || (yield* lookingForText(bytes, STATE_END, state, start)) !== -1) return undefined;
  const row = textOf(bytes.subarray(start, lineEnd(bytes, start + 1))).replace(/,$/, "");
  const value: unknown = JSON.parse(row, refuseProto);
  return isEntry(value) ? value : undefined;
}

function invalid(uri: string, reason: string, cause?: unknown): SnapshotError {
  const message = `Cannot read the manifest of ${showAddress(uri)}: ${reason}`;
  return new SnapshotError("MANIFEST_INVALID", message, { uri, reason }, { cause });
}

function* assertingDigest(bytes: Uint8Array, uri: string): Work<void> {
  if (bytes.length > MAX_MANIFEST_BYTES) throw invalid(uri, `it is larger than ${MAX_MANIFEST_BYTES} bytes`);
  const tail = new TextDecoder().decode(bytes.subarray(Math.max(0, bytes.length - DIGEST_LINE_BYTES)));
  const stated = DIGEST_LINE.exec(tail)?.[1];
  if (stated === undefined) throw invalid(uri, "it does not end with its digest line");
  const actual = yield* digesting([bytes.subarray(0, bytes.length - DIGEST_LINE_BYTES)]);
  if (actual !== stated) throw invalid(uri, `its digest is ${actual}, not ${stated}`);
}

/** What the lines of our writer say: as all of it parsed in one go would, or `undefined` where it takes that. */
function* parsingLines(bytes: Uint8Array, lines: Lines): Work<unknown> {
  const states: { entries: unknown[] }[] = [];
  try {
    const tail = textOf(bytes.subarray(lines.end + "\n  ]".length));
    const rest = parseGuarded(`${textOf(bytes.subarray(0, lines.start))}]${tail}`) as object;
    for (let at = lines.start; at < lines.end;) {
      const headEnd = lineEnd(bytes, at + 1);
      const head = textOf(bytes.subarray(at, headEnd)).replace(/,$/, "");
      const isEmpty = head.endsWith("]}");
      const state = JSON.parse(isEmpty ? head : `${head}]}`) as { entries: unknown[] };
      states.push(state);
      at = headEnd;
      if (isEmpty) continue;
      for (let isLast = false; !isLast; yield) {
        const piece = bytes.subarray(at, Math.min(lineEnd(bytes, at + PIECE_LENGTH), lines.end));
        if (piece.length === 0) throw new SyntaxError("the last state has no end");
        const bodyEnd = indexOfText(piece, STATE_END);
        isLast = bodyEnd !== -1;
        const entries = isLast ? piece.subarray(0, bodyEnd) : piece;
        for (const entry of JSON.parse(`[${textOf(entries).replace(/,$/, "")}]`)) state.entries.push(entry);
        at += entries.length;
      }
      at = lineEnd(bytes, at + 1);
    }
    return { ...rest, states };
  } catch {
    return undefined; // parsing all of it tells what is wrong
  }
}

function* parsing(bytes: Uint8Array, uri: string, { manifestOf }: Shapes, lines: Lines | undefined): Work<Manifest> {
  let value = lines === undefined || bytes.length < PIECE_LENGTH ? undefined : yield* parsingLines(bytes, lines);
  try {
    value ??= parseGuarded(textOf(bytes));
  } catch (cause) {
    throw invalid(uri, reasonOf(cause), cause);
  }
  const version = (value as { formatVersion?: unknown } | null)?.formatVersion;
  if (typeof version === "number" && (version > FORMAT_VERSION || version === 0)) {
    const details = { uri, found: String(version), supported: String(FORMAT_VERSION) };
    const remedy = version === 0 ? "it is a draft that was never released" : "update snapkeep";
    const what = `it has format ${version}, this snapkeep reads ${details.supported}; ${remedy}`;
    throw new SnapshotError("FORMAT_UNSUPPORTED", `Cannot read ${showAddress(uri)}: ${what}`, details);
  }
  let manifest;
  let fault;
  try {
    manifest = manifestOf(value);
    fault = yield* lookingForFault(manifest);
  } catch (cause) {
    throw invalid(uri, reasonOf(cause), cause);
  }
  if (fault !== undefined) throw invalid(uri, fault);
  return manifest;
}

function* lookingForFault(manifest: Manifest): Work<string | undefined> {
  const fault = faultOfSnapshotName(manifest.name);
  if (fault !== undefined) return `its name ${quoted(manifest.name)} is unsafe: ${fault}`;
  const paths = new PathSet();
  let entries = 0;
  let sizeBytes = 0;
  const names = new PathSet();
  for (const [index, state] of manifest.states.entries()) {
    if (!isState(state)) {
      return `states[${index}] is not a state: name, version or entries are missing or have another type`;
    }
    const stateFault = faultOfStateName(state.name);
    if (stateFault !== undefined) return `its state name ${quoted(state.name)} is unsafe: ${stateFault}`;
    names.add(state.name);
    for (const [index, entry] of state.entries.entries()) {
      if (!isEntry(entry)) {
        return `entry ${index} of ${
          quoted(state.name)
        } is none: path, sizeBytes or digest are missing or of another kind`;
      }
      if (index % ENTRIES_AT_ONCE === 0) yield;
      paths.add(`${state.name}/${entry.path}`);
      sizeBytes += entry.sizeBytes;
      entries++;
    }
  }
  const { totals } = manifest;
  if (totals.states !== manifest.states.length || totals.entries !== entries || totals.sizeBytes !== sizeBytes) {
    return "its totals are not the sums of its entries";
  }
  return undefined;
}
