// How the saves are doing, as plain data for a health check.
import { isSnapshotError, reasonOf } from "../model/errors.ts";
import type { KnownSnapshot } from "../store/lineage.ts";

/** How the saves of a program are doing; see {@link Autosaver.health}. All times are in milliseconds. */
export interface AutosaveHealth {
  /** `waiting`: nothing was loaded yet, and nothing is saved before; `running`; `ended`. */
  readonly status: "waiting" | "running" | "ended";
  /** Whether a save is running now. */
  readonly isSaving: boolean;
  /** The last good snapshot that the program has saved or loaded; `null` if there is none. */
  readonly lastSnapshot: {
    readonly name: string;
    readonly savedAt: string;
    readonly ageMs: number;
    readonly sizeBytes: number;
    readonly step?: number;
  } | null;
  /** What is lost if the program is killed now; since its start if it has no snapshot. Steps only where they are known. */
  readonly atRisk: { readonly ms: number; readonly steps?: number };
  /** Saves that failed or were skipped in a row, after the last good one. */
  readonly failuresInRow: number;
  /** The last failure, if it is among these. */
  readonly lastFailure: { readonly at: string; readonly message: string; readonly code?: string } | null;
  /** Why the keeper failed after the last save, or that it has not answered; `null` if it has cleaned up. */
  readonly keeperFailure: { readonly at: string; readonly message: string; readonly code?: string } | null;
  /** When the next save begins; `null` if the condition cannot tell, or there is none. */
  readonly nextSaveInMs: number | null;
  /** Free room at the place, and for how many more snapshots like the last one; `null` where the place cannot tell. */
  readonly room: { readonly freeBytes: number; readonly snapshots: number | null } | null;
}

/** What went wrong, and when. */
export interface Failure {
  readonly error: unknown;
  readonly at: Date;
}

/** What is known. */
export interface HealthFacts {
  readonly status: AutosaveHealth["status"];
  readonly isSaving: boolean;
  readonly known: KnownSnapshot | undefined;
  readonly ageMs: number;
  readonly savedStep: number | undefined;
  readonly step: number | undefined;
  readonly failuresInRow: number;
  readonly lastFailure: Failure | undefined;
  readonly keeperFailure: Failure | undefined;
  readonly dueInMs: number | undefined;
  readonly freeBytes: number | undefined;
}

/** Arranges what is known. */
export function healthOf(facts: HealthFacts): AutosaveHealth {
  const {
    status,
    isSaving,
    known,
    ageMs,
    savedStep,
    step,
    failuresInRow,
    lastFailure,
    keeperFailure,
    dueInMs,
    freeBytes,
  } = facts;
  const steps = step === undefined || known !== undefined && savedStep === undefined
    ? undefined
    : Math.max(0, step - (savedStep ?? 0));
  return {
    status,
    isSaving,
    lastSnapshot: known === undefined ? null : {
      name: known.name,
      savedAt: known.savedAt.toISOString(),
      ageMs,
      sizeBytes: known.sizeBytes,
      ...known.step === undefined ? {} : { step: known.step },
    },
    atRisk: { ms: ageMs, ...steps === undefined ? {} : { steps } },
    failuresInRow,
    lastFailure: failuresInRow === 0 ? null : failureOf(lastFailure),
    keeperFailure: failureOf(keeperFailure),
    nextSaveInMs: dueInMs !== undefined && Number.isFinite(dueInMs) ? dueInMs : null,
    room: freeBytes === undefined ? null : {
      freeBytes,
      snapshots: known === undefined || known.sizeBytes === 0 ? null : Math.floor(freeBytes / known.sizeBytes),
    },
  };
}

function failureOf(failure: Failure | undefined): AutosaveHealth["lastFailure"] {
  if (failure === undefined) return null;
  const { at, error } = failure;
  const code = isSnapshotError(error) ? { code: error.code } : {};
  return { at: at.toISOString(), message: reasonOf(error), ...code };
}
