// What becomes of each round, as data: every round ends in one event, which the caller, the log and the diagnostics channel receive.
import process from "node:process";
import { showAddress } from "../model/address.ts";
import { isSnapshotError, reasonOf } from "../model/errors.ts";
import { loggerOf, warnUser } from "../runtime/logging.ts";
import type { SnapshotLocator } from "../snapshot/locator.ts";
import type { HeldState } from "../store/capture.ts";

/** Name of the channel of `node:diagnostics_channel` that publishes every {@link SaveEvent}. */
export const AUTOSAVE_CHANNEL = "snapkeep:autosave";

/**
 * Why a round began. `due`: the condition; `requested`: `requestSave()`; `signal`: a signal asked the program to end; `exit`: the
 * event loop became empty; `closed`: `close()`.
 */
export type SaveReason = "due" | "requested" | "signal" | "exit" | "closed";

/** Where the time of a round went, in milliseconds. What was not reached is 0. */
export interface SavePhases {
  /** Waiting until the program had paused. */
  readonly pausedMs: number;
  /** Calling all `saveState` methods; before it, waiting for a save or load of the store that runs already. */
  readonly capturedMs: number;
  /** Writing what they handed over. */
  readonly writtenMs: number;
  /** Making it durable and visible. */
  readonly syncedMs: number;
}

/** What every round tells. */
export interface RoundFacts {
  /** Address of the store. */
  readonly uri: string;
  /** Why it began. */
  readonly reason: SaveReason;
  /** When it began. */
  readonly startedAt: Date;
  /** Where its time went. */
  readonly phases: SavePhases;
  /** How long the program stood still, in milliseconds: from the begin of the round until it went on. */
  readonly heldMs: number;
  /** How long each state held the program, in order of registration. */
  readonly states: readonly HeldState[];
  /** The step, where labels or ticks tell it. */
  readonly step: number | undefined;
  /** An error of the function that ends the pause; the program may still be paused. */
  readonly resumeError?: unknown;
}

/** A round that has saved. */
export interface SavedEvent extends RoundFacts {
  /** Always `saved`. */
  readonly outcome: "saved";
  /** The snapshot. */
  readonly snapshot: SnapshotLocator;
  /** Bytes of its entries. */
  readonly sizeBytes: number;
  /** Its entries. */
  readonly entries: number;
  /** What the keeper has removed, also late for an earlier round. */
  readonly removed: readonly SnapshotLocator[];
  /** Why the keeper failed, or a TimeoutError if it still runs; the snapshot is saved all the same. */
  readonly keeperError?: unknown;
}

/** Why a round was skipped. */
export type SkipReason =
  /** Neither `resume()` nor `loadState()` has fulfilled, and `startFresh()` was not called. */
  | "not begun"
  /** The program did not pause; `error` says why. */
  | "not paused"
  /** The autosaver has ended. */
  | "ended";

/** A round that has not tried to save. One that was due stays due. */
export interface SkippedEvent extends RoundFacts {
  /** Always `skipped`. */
  readonly outcome: "skipped";
  /** Why. */
  readonly why: SkipReason;
  /** What was thrown, if something was. */
  readonly error?: unknown;
  /** The earliest next attempt, in milliseconds from now; absent where nothing is tried again. */
  readonly retryInMs?: number;
}

/** A round that has failed: it has left no snapshot. One that was due stays due. */
export interface FailedEvent extends RoundFacts {
  /** Always `failed`. */
  readonly outcome: "failed";
  /** What was thrown. */
  readonly error: unknown;
  /** Failures in a row, this one included. */
  readonly failuresInRow: number;
  /** The earliest next attempt, in milliseconds from now; absent where nothing is tried again. */
  readonly retryInMs?: number;
}

/** A round that fell due or was requested while another one could serve it, and shares the outcome of that. */
export interface JoinedEvent {
  /** Always `joined`. */
  readonly outcome: "joined";
  /** Address of the store. */
  readonly uri: string;
  /** Why it would have begun. */
  readonly reason: SaveReason;
  /** What the other round ended in. */
  readonly joined: SavedEvent | SkippedEvent | FailedEvent;
}

/** What a round came to. */
export type SaveEvent = SavedEvent | SkippedEvent | FailedEvent | JoinedEvent;

interface Channel {
  readonly hasSubscribers: boolean;
  publish(event: SaveEvent): void;
}

/** The channel; `undefined` on a runtime without it. Reached without an import, since bundlers for browsers fail on each of these. */
function channelOf(): Channel | undefined {
  const { getBuiltinModule } = process as { getBuiltinModule?: (name: string) => unknown };
  const module = getBuiltinModule?.("node:diagnostics_channel") as { channel(name: string): Channel } | undefined;
  return module?.channel(AUTOSAVE_CHANNEL);
}

/**
 * Makes the function that hands out the events of one autosaver: to the log, to the channel, and to its caller.
 *
 * @param onEvent The caller's; what it throws is logged, and stops nothing.
 * @returns The function; it never throws.
 */
export function eventSink(onEvent: ((event: SaveEvent) => void) | undefined): (event: SaveEvent) => void {
  const log = loggerOf("Autosaver");
  const channel = channelOf();
  const warn = (kind: string, address: string, message: string) =>
    warnUser({ className: "Autosaver", kind, address, message });
  return (event) => {
    tellLog(event, log, warn);
    const hand = async (receive: ((event: SaveEvent) => unknown) | undefined) => await receive?.(event);
    for (
      const receive of [
        onEvent,
        channel?.hasSubscribers ? (event: SaveEvent) => channel.publish(event) : undefined,
      ]
    ) {
      hand(receive).catch((error) => log.error("A receiver of save events has failed: {error}", { error }));
    }
  };
}

function tellLog(
  event: SaveEvent,
  log: ReturnType<typeof loggerOf>,
  warn: (kind: string, address: string, message: string) => void,
): void {
  const { uri } = event;
  if (event.outcome === "joined") return log.debug("Joined a save of '{uri}'", { uri });
  if (event.resumeError !== undefined) {
    warn(
      "PAUSE_NOT_ENDED",
      uri,
      `Cannot end the pause of the save to ${showAddress(uri)}: ${reasonOf(event.resumeError)}`,
    );
  }
  switch (event.outcome) {
    case "saved":
      log.debug("Saved '{snapshot}', {heldMs} ms held", { snapshot: String(event.snapshot), heldMs: event.heldMs });
      if (event.keeperError === undefined) return;
      return warn(
        "CLEANUP_FAILED",
        uri,
        `Cannot clean up ${showAddress(uri)} after a save: ${reasonOf(event.keeperError)}`,
      );
    case "skipped":
      if (event.why === "ended") return log.debug("Skipped a save of '{uri}': its autosaver has ended", { uri });
      if (event.why === "not paused") {
        return warn(
          "SAVE_SKIPPED",
          uri,
          `A save to ${showAddress(uri)} was skipped: the program did not pause: ${reasonOf(event.error)}`,
        );
      }
      return warn(
        "AUTOSAVE_NOT_BEGUN",
        uri,
        `A save to ${
          showAddress(uri)
        } is due, but no snapshot was loaded; call await store.resume() before the loop, ` +
          "or store.startFresh() if the program is to begin without the snapshots there",
      );
    case "failed": {
      const code = isSnapshotError(event.error) ? `${event.error.code}: ` : "";
      return warn("AUTOSAVE_FAILED", uri, `A save to ${showAddress(uri)} has failed: ${code}${reasonOf(event.error)}`);
    }
  }
}
