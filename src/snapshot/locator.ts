// The address of one snapshot. Its holder can open, verify or remove the snapshot without knowing its layout.
import { parseNote, renderNote, storableLabels } from "../manifest/labels.ts";
import { pathOfUri, type PathOrUrl, readAddress, showAddress, uriOfUnit } from "../model/address.ts";
import type { Backend } from "../model/backend.ts";
import { toReadableStream } from "../runtime/bytes.ts";
import { assertSnapshotName } from "../model/entry_path.ts";
import { isSnapshotError, SnapshotError } from "../model/errors.ts";
import { warnUser } from "../runtime/logging.ts";
import { assertOptions, SIGNAL_OPTION, type SignalOptions } from "../model/options.ts";
import { unlessAborted } from "../runtime/concurrency.ts";
import { showType } from "../model/show.ts";
import type { Labels, Manifest, SnapshotFacts, UnitReader, UnitSource } from "../model/snapshot.ts";
import { commitPathOf, type LayoutKind, nameOfUnit, type Unit } from "../model/unit.ts";
import { glancing, isAsListed, listedStamps, readFacts } from "./commit.ts";
import {
  ARCHIVE_STREAM_OPTIONS,
  type ArchiveStreamOptions,
  type ExportOptions,
  leastBytesOf,
  streamSnapshot,
  targetOf,
  writeCopy,
} from "./copying.ts";
import { layoutOfUnit } from "../layout/layouts.ts";
import { changeNote, removeNoted } from "./notes.ts";
import { rawOf, SnapshotReader } from "./snapshot_reader.ts";
import {
  assertVerifyOptions,
  type VerifyFinding,
  type VerifyOptions,
  type VerifyReport,
  verifyUnit,
  withFindings,
} from "./verification.ts";
import { withWayOut } from "./wrong_address.ts";

const REMOVE_OPTIONS = { keepPinned: "true or false" } as const;

// Marks locators across copies of the library, where instanceof fails.
const BRAND = Symbol.for("snapkeep.SnapshotLocator");

/** What to set of the labels of a snapshot; `undefined` takes a label away. */
export type LabelChanges = { readonly [Key in keyof Labels]?: Labels[Key] | undefined };

/** Facts about a snapshot, out of its manifest and its storage. */
export interface SnapshotStat {
  /** Its name, as it was saved. */
  readonly name: string;
  /** How it is arranged. */
  readonly layout: LayoutKind;
  /** When it was saved. */
  readonly savedAt: Date;
  /** Number of states. */
  readonly states: number;
  /** Number of entries. */
  readonly entries: number;
  /** Sum of the entries' sizes in bytes. */
  readonly sizeBytes: number;
  /** What it takes up in storage, in bytes. */
  readonly storedBytes: number;
}

/**
 * Address of one snapshot, whatever its layout and backend.
 *
 * The snapshot may not exist. `locate(String(locator))` returns the same address for a snapshot on the file system.
 */
export class SnapshotLocator {
  /** Where the snapshot lies. */
  readonly backend: Backend;
  /** The snapshot's name at this place. */
  readonly name: string;
  /** How it is arranged; where a name lies in both layouts, the one that is read. */
  readonly layout: LayoutKind;
  readonly #units: readonly [Unit, ...Unit[]];
  #uri: string | undefined;
  #facts: SnapshotFacts | undefined;

  /**
   * Use `locate`, or what a store returns.
   *
   * @param backend Where the snapshot lies.
   * @param units Its units, the one to be read first; more than one where the name lies in several layouts.
   */
  constructor(backend: Backend, units: readonly [Unit, ...Unit[]]) {
    if (!Array.isArray(units)) {
      throw new TypeError(`Cannot locate a snapshot: expected an array of its units, but ${showType(units)}`);
    }
    const name = nameOfUnit(units[0]);
    assertSnapshotName(name);
    this.backend = backend;
    this.name = name;
    this.layout = layoutOfUnit(units[0]).kind;
    this.#units = units;
    Object.defineProperty(this, BRAND, { value: true });
    // What consoles print: the address, and not all of the backend.
    Object.defineProperty(this, Symbol.for("nodejs.util.inspect.custom"), { value: () => `SnapshotLocator <${this}>` });
  }

  /** Address as a URI, percent-encoded. */
  get uri(): string {
    return this.#uri ??= uriOfUnit(this.backend, this.#unit).replace(/\/$/, "");
  }

  /** Address for people: a path on the file system, else the URI. */
  toString(): string {
    return pathOfUri(this.uri);
  }

  /**
   * Returns whether a committed snapshot exists; it may be damaged.
   *
   * @returns Whether one exists.
   */
  async exists(): Promise<boolean> {
    const blob = await this.backend.open(this.#unit, commitPathOf(this.#unit));
    await blob?.close();
    return blob !== undefined;
  }

  /**
   * Opens the snapshot for reading. Close the reader when done.
   *
   * @param options `signal` aborts: the call rejects with its reason at once. It has no effect on an open reader.
   * @returns A reader that verifies whatever it yields.
   * @throws {SnapshotError} `SNAPSHOT_NOT_FOUND`, `MANIFEST_MISSING`, `MANIFEST_INVALID`, `FORMAT_UNSUPPORTED`.
   * @example Read one entry
   * ```ts
   * import { memoryBackend, StateStore } from "snapkeep";
   *
   * const snapshot = await new StateStore(memoryBackend()).saveState();
   * const reader = await snapshot.open({ signal: AbortSignal.timeout(30_000) });
   * try {
   *   for (const { path } of reader.entries) console.log(path, await reader.json(path));
   * } finally {
   *   await reader.close();
   * }
   * ```
   */
  async open(options: SignalOptions = {}): Promise<SnapshotReader> {
    assertOptions(`open ${showAddress(this)}`, options, SIGNAL_OPTION);
    return new SnapshotReader(
      String(this),
      await this.#openUnit(this.backend, options.signal),
      async () => !await this.exists(),
      this.backend.workFolder?.bind(this.backend),
    );
  }

  /**
   * Returns the snapshot's manifest, verified against its own digest.
   *
   * @param options `signal` aborts, as in {@link SnapshotLocator.open}.
   * @returns The manifest.
   * @throws {SnapshotError} As {@link SnapshotLocator.open}.
   */
  async manifest(options: SignalOptions = {}): Promise<Manifest> {
    assertOptions(`open ${showAddress(this)}`, options, SIGNAL_OPTION);
    const unit = await this.#openUnit(glancing(this.backend), options.signal);
    await unit.close();
    return await unit.sealed.read();
  }

  /**
   * Returns facts about the snapshot. Reads the manifest and no entry.
   *
   * @param options `signal` aborts, as in {@link SnapshotLocator.open}.
   * @returns The facts.
   * @throws {SnapshotError} As {@link SnapshotLocator.open}.
   */
  async stat(options: SignalOptions = {}): Promise<SnapshotStat> {
    const { name, savedAt, totals } = await this.manifest(options);
    let storedBytes = 0;
    for await (const blob of this.backend.blobs(this.#unit)) {
      options.signal?.throwIfAborted();
      storedBytes += blob.sizeBytes;
    }
    return { name, layout: this.layout, savedAt: new Date(savedAt), ...totals, storedBytes };
  }

  /**
   * Returns the facts that retention and `resume()` use. Reads the manifest once.
   *
   * @param known What any locator said before; given back where the commit that it was said of is still there.
   * @returns When it was saved, what it takes up, and the labels it was saved with.
   * @throws {SnapshotError} As {@link SnapshotLocator.open}.
   */
  async facts(known?: SnapshotFacts): Promise<SnapshotFacts> {
    if (this.#facts !== undefined) return this.#facts;
    const isKnown = known !== undefined && isAsListed(this, known);
    return this.#facts = isKnown ? known : await readFacts(this.backend, this.#unit, listedStamps.get(this), known);
  }

  /**
   * Returns the labels: those of the note beside the snapshot, else those it was saved with.
   *
   * @returns The labels; a note that is damaged is logged and counts as none.
   * @throws {SnapshotError} As {@link SnapshotLocator.open}.
   */
  async labels(): Promise<Labels> {
    const note = await this.note();
    if (note === "damaged") warnOfNote("SnapshotLocator", this);
    return note === undefined || note === "damaged" ? (await this.manifest()).labels : note;
  }

  /**
   * Changes labels, in a note beside the snapshot; its own bytes stay as they are. Concurrent changes, also by other
   * programs, come one after the other, and none undoes another.
   *
   * @param changes What to set, each label as a whole: `metrics` replaces all metrics. The other labels stay, `undefined` takes one
   *   away. A function receives the labels as they are, and returns what to set: no other change comes in between.
   * @returns The labels now.
   * @throws {TypeError} If a label has the wrong type.
   * @throws {SnapshotError} `SNAPSHOT_NOT_FOUND`, or where the storage fails.
   * @example
   * ```ts
   * import { StateStore } from "snapkeep";
   *
   * const snapshot = await new StateStore("states").saveState({ labels: { step: 100 } });
   * await snapshot.label({ tags: ["good"], metrics: { loss: 0.1 } });
   * await snapshot.pin();
   * ```
   */
  async label(changes: LabelChanges | ((labels: Labels) => LabelChanges)): Promise<Labels> {
    const read = (wanted: LabelChanges) => ({ set: storableLabels(wanted as Labels), names: Object.keys(wanted) });
    const given = typeof changes === "function" ? undefined : read(changes); // refused before anything is locked
    return await changeNote(this.backend, this.name, async () => {
      const mayBePin = await this.note() === "damaged" ? { pinned: true } : {};
      const before = { ...await this.labels(), ...mayBePin };
      const { set, names } = given ?? read((changes as (labels: Labels) => LabelChanges)(before));
      const kept = Object.entries(before).filter(([label]) => !names.includes(label));
      const labels: Labels = { ...Object.fromEntries(kept), ...set };
      await this.backend.notes.put(this.name, renderNote(labels));
      return labels;
    });
  }

  /** Pins the snapshot: keepers do not remove it. */
  async pin(): Promise<void> {
    await this.label({ pinned: true });
  }

  /** Removes the pin. */
  async unpin(): Promise<void> {
    await this.label({ pinned: undefined });
  }

  /**
   * Reads the note beside the snapshot, and no manifest.
   *
   * @returns Its labels, `"damaged"`, or `undefined` where there is none.
   * @throws {SnapshotError} `STORAGE_FAILED`.
   */
  async note(): Promise<Labels | "damaged" | undefined> {
    const bytes = await this.backend.notes.get(this.name);
    return bytes === undefined ? undefined : await parseNote(bytes) ?? "damaged";
  }

  /** Returns the snapshot in each layout that it was listed in; the one that is read first comes first. */
  alternatives(): SnapshotLocator[] {
    return this.#units.length === 1 ? [this] : this.#units.map((unit) => new SnapshotLocator(this.backend, [unit]));
  }

  /**
   * Reads the whole snapshot and its note, and compares them with the manifest. Repairs and deletes nothing.
   *
   * Where the name lies in several layouts, the one that is read is verified; {@link SnapshotLocator.alternatives} has the others.
   *
   * @param options How thoroughly.
   * @returns What was looked at and found.
   * @throws {SnapshotError} `SNAPSHOT_NOT_FOUND`, `SNAPSHOT_GONE` if it was removed meanwhile, or where the storage itself fails.
   * @example Name all that is wrong
   * ```ts
   * import { memoryBackend, StateStore } from "snapkeep";
   *
   * const snapshot = await new StateStore(memoryBackend()).saveState();
   * const { isWhole, findings } = await snapshot.verify();
   * for (const { step, problem, path, expected, actual } of findings) {
   *   console.log(`${step}: "${path}" is ${problem}: ${expected} expected, ${actual} found`);
   * }
   * if (!isWhole) throw new Error("the snapshot is damaged");
   * ```
   */
  async verify(options: VerifyOptions = {}): Promise<VerifyReport> {
    assertVerifyOptions(options);
    const found = await verifyUnit(this.backend, layoutOfUnit(this.#unit), this.#unit, options);
    const report = withFindings({ ...found, uri: String(this) }, await this.#findingsOfNote());
    if (!report.isWhole && await this.#hasGone()) {
      // What a removal took away is no damage.
      const message = `Cannot verify ${showAddress(this)}: it was removed meanwhile`;
      throw new SnapshotError("SNAPSHOT_GONE", message, { uri: String(this) });
    }
    return report;
  }

  /**
   * Returns the snapshot as a stream of one archive.
   *
   * Passes on an archive of the requested layout unchanged. Verifies and encodes anything else on the way.
   *
   * @param options Which archive, and how it is made; `signal` aborts.
   * @returns The bytes; the stream fails, and what was read can never verify, where the snapshot is damaged.
   */
  stream(options: ArchiveStreamOptions = {}): ReadableStream<Uint8Array> {
    assertOptions("stream", options, ARCHIVE_STREAM_OPTIONS);
    return toReadableStream(streamSnapshot(this, this.#unit, options));
  }

  /**
   * Copies the snapshot to another place: a directory becomes one archive file, an archive a directory, as the target says.
   *
   * Everything is verified on the way. What it becomes is visible whole or not at all, and nothing is overwritten.
   *
   * @param target Path or `file:` URL. Ending with `.tar.gz`, `.tgz`, `.tar.zst`, `.tzst` or `.tar` it becomes an archive file, ending with `/`
   *   it goes into that folder under its own name and is arranged as this snapshot is, else it becomes a directory.
   * @param options The layout, where the target does not say it; it must not contradict the target.
   * @returns Address of the copy.
   * @throws {SnapshotError} `SNAPSHOT_EXISTS` if there is something, `SNAPSHOT_CORRUPT` and other damage of the source.
   * @throws {TypeError} If target and options contradict each other, or it ends like an archive that is not written.
   * @example One file out of a directory
   * ```ts
   * import { memoryBackend, StateStore } from "snapkeep";
   *
   * const snapshot = await new StateStore(memoryBackend()).saveState();
   * const file = await snapshot.exportTo("backups/before-the-update.tar.gz");
   * console.log(`${file}: ${(await file.stat()).storedBytes} bytes`);
   * ```
   */
  async exportTo(target: PathOrUrl, options: ExportOptions = {}): Promise<SnapshotLocator> {
    const to = targetOf(target, this.name, options, this.layout);
    try {
      return await exportAs(this, to, options);
    } catch (error) {
      if (!isSnapshotError(error, "SNAPSHOT_EXISTS") || to.layout.kind !== "directory") throw error;
      const there = new SnapshotLocator(to.backend, [to.unit]);
      if (readAddress(target).endsWithSlash || await there.exists().catch(() => true)) throw error;
      const message =
        `Cannot export to ${showAddress(there)}: it is there already, and is no snapshot; end the name of a folder ` +
        'with "/" to export into it, or choose another name';
      throw new SnapshotError("SNAPSHOT_EXISTS", message, error.details, { cause: error });
    }
  }

  /**
   * Removes the snapshot, in every layout it was listed in; it is invisible at once, even if the program dies meanwhile. Its
   * labels go with it, unless the name lies in another layout as well.
   *
   * @param options `keepPinned` leaves the snapshot if its note pins it or cannot be read. It also leaves the snapshot, without
   *   waiting, while its labels are being changed: the change may pin it. Default: false.
   * @returns `false` where it had gone, or is left.
   */
  async remove(options: { readonly keepPinned?: boolean } = {}): Promise<boolean> {
    assertOptions("remove", options, REMOVE_OPTIONS);
    return await removeNoted(this.backend, this.name, this.#units, options);
  }

  async #findingsOfNote(): Promise<VerifyFinding[]> {
    if (await this.note() !== "damaged") return [];
    return [{ step: "note", problem: "damaged", path: "note", expected: "labels", actual: "bytes that are none" }];
  }

  async #hasGone(): Promise<boolean> {
    for await (const _blob of this.backend.blobs(this.#unit)) return false;
    return true;
  }

  async #openUnit(source: UnitSource, signal: AbortSignal | undefined): Promise<UnitReader> {
    signal?.throwIfAborted();
    const opening = layoutOfUnit(this.#unit).open(source, this.#unit);
    return await unlessAborted(opening, signal).catch(async (error) => {
      if (signal?.aborted !== true) throw await withWayOut(this.backend, this.#unit, error);
      opening.then((late) => late.close(), () => {}); // no caller waits for it any more
      throw signal.reason;
    });
  }

  get #unit(): Unit {
    return this.#units[0];
  }
}

/** Copies a snapshot to another place, as {@link SnapshotLocator.exportTo} says. */
export async function exportAs(
  snapshot: SnapshotLocator,
  { backend, unit, layout }: ReturnType<typeof targetOf>,
  { signal, onProgress }: ExportOptions,
): Promise<SnapshotLocator> {
  const reader = await snapshot.open({ signal });
  try {
    const labels = await snapshot.labels(); // before anything is staged: the manifest may break its own rules
    const leastBytes = await leastBytesOf(rawOf(reader), layout);
    const stage = await backend.stage(unit, { allowOtherLayouts: true, leastBytes });
    await writeCopy(rawOf(reader), layout, { backend, stage, labels, uri: String(snapshot), signal, onProgress });
  } finally {
    await reader.close();
  }
  return new SnapshotLocator(backend, [unit]);
}

/** Warns the user that the labels of a snapshot count as those it was saved with. */
export function warnOfNote(className: string, snapshot: SnapshotLocator): void {
  const address = String(snapshot);
  const message = `The note of ${showAddress(address)} is damaged`;
  warnUser({ className, kind: "NOTE_DAMAGED", address, message });
}

/** Tells whether a value is a locator, also one from another copy of the library. */
export function isLocator(value: unknown): value is SnapshotLocator {
  return typeof value === "object" && value !== null && BRAND in value;
}
