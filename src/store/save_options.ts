// How the states are saved or streamed, and what is refused before any of them is called.
import type { ArchiveKind } from "../layout/archive_layout.ts";
import { LABEL_NAMES } from "../manifest/labels.ts";
import { assertOptions, type OptionNames } from "../model/options.ts";
import type { Labels } from "../model/snapshot.ts";
import type { LayoutKind } from "../model/unit.ts";
import type { SavePhase, SaveProgress } from "./capture.ts";

/** How a snapshot is saved. */
export interface SaveOptions {
  /**
   * Layout of the snapshot.
   *
   * @default the layout of the store
   */
  readonly layout?: LayoutKind;
  /**
   * Labels of the snapshot.
   *
   * @default none
   */
  readonly labels?: Labels;
  /**
   * Aborts the save, also while it waits for another. Nothing becomes visible, and it rejects with the reason of the
   * signal. After the commit has begun it has no effect: the save resolves.
   *
   * @default none
   */
  readonly signal?: AbortSignal;
  /**
   * Called after each chunk and entry; the last call has the totals.
   *
   * @default none
   */
  readonly onProgress?: (progress: SaveProgress) => void;
  /**
   * Called once for each {@link SavePhase} that the save reaches, in order. An error that it throws fails the save.
   *
   * @default none
   */
  readonly onPhase?: (phase: SavePhase) => void;
  /**
   * What to do while a save or load of this store runs or waits. `wait` saves after it. `join` shares the outcome of
   * a waiting save with equal layout and labels, if there is one. `skip` resolves to `undefined`.
   *
   * @default "wait"
   */
  readonly ifBusy?: "wait" | "join" | "skip";
  /**
   * With `skip`, publishes nothing and resolves to `undefined` if states, versions, entries and labels equal those
   * of the last snapshot that this store saved, and that one is still the newest. Cost: the states are captured and
   * written all the same.
   *
   * @default none: always publishes
   */
  readonly ifUnchanged?: "skip";
}

/** How a snapshot is streamed. */
export interface StreamOptions extends Omit<SaveOptions, "layout" | "ifBusy" | "ifUnchanged"> {
  /**
   * Layout of the archive.
   *
   * @default the layout of the store if it is an archive, else `tar.gz`
   */
  readonly layout?: ArchiveKind;
}

const STREAM_OPTIONS: OptionNames<StreamOptions> = {
  layout: true,
  labels: LABEL_NAMES,
  signal: "an AbortSignal",
  onProgress: "a function",
  onPhase: "a function",
};
const SAVE_OPTIONS: OptionNames<SaveOptions> = { ...STREAM_OPTIONS, ifBusy: true, ifUnchanged: true };

/** A snapshot going out as one archive. */
export interface StateStream {
  /** Name of the snapshot. */
  readonly name: string;
  /** Name with the suffix of the archive. */
  readonly fileName: string;
  /** Media type, such as `application/gzip`. */
  readonly mediaType: string;
  /** The archive. */
  readonly body: ReadableStream<Uint8Array>;
}

/** Throws a TypeError for options of a save that do not exist or cannot be. */
export function assertSaveOptions(options: SaveOptions): void {
  assertOptions("save", options, SAVE_OPTIONS);
  assertWord("ifBusy", options.ifBusy, ["wait", "join", "skip"]);
  assertWord("ifUnchanged", options.ifUnchanged, ["skip"]);
}

/** Throws a TypeError for options of a stream that do not exist or cannot be. */
export function assertStreamOptions(options: StreamOptions): void {
  assertOptions("stream", options, STREAM_OPTIONS);
}

function assertWord(option: string, value: string | undefined, words: readonly string[]): void {
  if (value === undefined || words.includes(value)) return;
  const known = words.map((word) => `"${word}"`).join(", ");
  throw new TypeError(`Cannot save: ${option} must be one of ${known}, but is ${JSON.stringify(value)}`);
}
