// How the states are saved or streamed, and what is refused before any of them is called.
import type { ArchiveKind } from "../layout/archive_layout.ts";
import { LABEL_NAMES } from "../manifest/labels.ts";
import { assertOptions, type OptionNames } from "../model/options.ts";
import type { Labels } from "../model/snapshot.ts";
import type { LayoutKind } from "../model/unit.ts";
import type { SavePhase, SaveProgress } from "./capture.ts";

/** How a snapshot is saved. */
export interface SaveOptions {
  /** How it is arranged; the store's own unless given. */
  readonly layout?: LayoutKind;
  /** What to say about it. */
  readonly labels?: Labels;
  /**
   * Gives the save up, also while it waits for another; nothing becomes visible, and its reason is thrown. Once the commit has
   * begun it comes too late: the save resolves.
   */
  readonly signal?: AbortSignal;
  /** Told after every piece of data, and after every entry. */
  readonly onProgress?: (progress: SaveProgress) => void;
  /** Called once for each {@link SavePhase} that the save reaches, in order. An error that it throws fails the save. */
  readonly onPhase?: (phase: SavePhase) => void;
  /**
   * What to do while a save or load of this store runs or waits. `wait` (the default) saves after it. `join` shares the outcome
   * of a save that waits already with equal layout and labels, if there is one. `skip` resolves to `undefined`.
   */
  readonly ifBusy?: "wait" | "join" | "skip";
  /**
   * With `skip`, publishes nothing and resolves to `undefined` if states, versions, entries and labels equal those of the last
   * snapshot that this store saved, and that one is still the newest. The states are captured and written all the same.
   */
  readonly ifUnchanged?: "skip";
}

/** How a snapshot is streamed. */
export interface StreamOptions extends Omit<SaveOptions, "layout" | "ifBusy" | "ifUnchanged"> {
  /** Which archive. Default: the store's layout if that is an archive, else `tar.gz`. */
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
