// How the last run of a program ended. A running program renews one note of its place, `last-run`; the next run reads it as it
// resumes. The note is no part of any snapshot: losing it loses this report and nothing else.
import { parseGuarded } from "../manifest/guarded_json.ts";
import type { Backend } from "../model/backend.ts";
import { reasonOf } from "../model/errors.ts";
import { loggerOf } from "../runtime/logging.ts";
import type { KnownSnapshot } from "./saving.ts";

/** Name of the note. On files it lies in `.notes/last-run.json`; no sweep removes notes. */
export const LAST_RUN_NOTE = "last-run";

/** Time between two heartbeats of a running program, in milliseconds. */
export const BEAT_MS = 10_000;

const FORMAT = "snapkeep-last-run";
const MAX_BYTES = 64 * 1024;

/** What a run tells of itself while it lives, and once more when it ends. */
export interface RunRecord {
  /** Id of the run. */
  readonly run: string;
  /** Name of its program. */
  readonly program?: string | undefined;
  /** When it began to save, in milliseconds since 1970. */
  readonly startedAtMs: number;
  /** Its last heartbeat, in milliseconds since 1970. */
  readonly aliveAtMs: number;
  /** How it ended; absent while it lives. */
  readonly ended?: "clean" | "signal" | undefined;
  /** The signal that ended it. */
  readonly signal?: string | undefined;
  /** Its step at the last heartbeat. */
  readonly step?: number | undefined;
  /** Name of the snapshot that holds all it did; absent if it did something after its last save. */
  readonly saved?: string | undefined;
}

/** How the run before this one ended, and what of it is lost. */
export interface LastRun {
  /** Id of the run. */
  readonly run: string;
  /**
   * `clean`: its event loop became empty, or it ended its autosaver. `signal`: a signal ended it. `cut off`: neither, as after
   * SIGKILL, a crash or a power failure; or it is still running.
   */
  readonly ended: "clean" | "signal" | "cut off";
  /** The signal that ended it. */
  readonly signal?: string;
  /** When it began to save. */
  readonly startedAt: Date;
  /** Its last heartbeat. A run that was cut off may have lived up to ten seconds longer. */
  readonly aliveAt: Date;
  /** What it did after the snapshot that was resumed from; after its start if there was none. */
  readonly lost: {
    /** Milliseconds up to its last heartbeat; 0 if its last save holds all it did. */
    readonly ms: number;
    /** Steps up to its last heartbeat; absent if its labels, or the snapshot's, have no step. */
    readonly steps?: number;
  };
  /** All of this as one sentence. */
  readonly sentence: string;
}

/** Renders the note. */
export function renderRun(record: RunRecord): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify({ format: FORMAT, ...record })}\n`);
}

/**
 * Reads how the last run ended. Never fails: a note that is damaged or out of reach is logged.
 *
 * @param backend The place.
 * @param own The run that asks, and the programs whose runs it may tell of.
 * @returns Makes the report, given the snapshot that was resumed from; `undefined` if no other run of the program has left a note.
 */
export async function readLastRun(
  backend: Backend,
  own: { readonly run: string; readonly programs: readonly string[] },
): Promise<((from: KnownSnapshot | undefined) => LastRun) | undefined> {
  try {
    const bytes = await backend.notes.get(LAST_RUN_NOTE);
    if (bytes === undefined) return undefined;
    const record = parseRun(bytes);
    const isOthers = record.program !== undefined && own.programs.length > 0 && !own.programs.includes(record.program);
    return record.run === own.run || isOthers ? undefined : (from) => reportOf(record, from);
  } catch (error) {
    loggerOf("StateStore").warn("Cannot tell how the last run ended: {reason}", { reason: reasonOf(error) });
    return undefined;
  }
}

function parseRun(bytes: Uint8Array): RunRecord {
  if (bytes.length > MAX_BYTES) throw new RangeError("its note is too long");
  const found = parseGuarded(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as Record<string, unknown> | null;
  const isText = (value: unknown) => value === undefined || typeof value === "string";
  const isTime = (value: unknown) => typeof value === "number" && !Number.isNaN(new Date(value).getTime());
  const isRecord = typeof found === "object" && found !== null && found["format"] === FORMAT &&
    typeof found["run"] === "string" && isText(found["program"]) && isText(found["signal"]) && isText(found["saved"]) &&
    isTime(found["startedAtMs"]) && isTime(found["aliveAtMs"]) &&
    (found["step"] === undefined || typeof found["step"] === "number") &&
    [undefined, "clean", "signal"].includes(found["ended"] as string | undefined);
  if (!isRecord) throw new TypeError("its note is damaged");
  return found as unknown as RunRecord;
}

function reportOf(record: RunRecord, from: KnownSnapshot | undefined): LastRun {
  const { run, signal, startedAtMs, step, saved } = record;
  // A snapshot of the run counts as a heartbeat.
  const aliveAtMs = Math.max(record.aliveAtMs, from?.savedAt.getTime() ?? -Infinity);
  const isAllSaved = from !== undefined && saved === from.name;
  const sinceMs = from?.savedAt.getTime() ?? startedAtMs;
  const steps = step === undefined || from !== undefined && from.step === undefined
    ? undefined
    : isAllSaved
    ? 0
    : Math.max(0, step - (from?.step ?? 0));
  const told = {
    run,
    ended: record.ended ?? "cut off" as const,
    ...signal === undefined ? {} : { signal },
    startedAt: new Date(startedAtMs),
    aliveAt: new Date(aliveAtMs),
    lost: { ms: isAllSaved ? 0 : Math.max(0, aliveAtMs - sinceMs), ...steps === undefined ? {} : { steps } },
  };
  return { ...told, sentence: sentenceOf(told, from) };
}

function sentenceOf(
  { ended, signal, aliveAt, lost }: Omit<LastRun, "sentence">,
  from: KnownSnapshot | undefined,
): string {
  const at = aliveAt.toISOString();
  const end = ended === "clean"
    ? `ended cleanly at ${at}`
    : ended === "signal"
    ? `was ended by ${signal ?? "a signal"} at ${at}`
    : `was cut off; its last heartbeat was at ${at}`;
  const isCutOff = ended === "cut off";
  if (lost.ms === 0 && (lost.steps ?? 0) === 0 && !isCutOff) return `The last run ${end}; nothing was lost.`;
  const since = from === undefined ? "its start" : `the snapshot "${from.name}"`;
  const steps = lost.steps === undefined ? "" : ` (${lost.steps} ${lost.steps === 1 ? "step" : "steps"})`;
  const more = isCutOff ? `, and up to ${BEAT_MS / 1000} s more` : "";
  return `The last run ${end}; lost were ${(lost.ms / 1000).toFixed(1)} s${steps} after ${since}${more}.`;
}
