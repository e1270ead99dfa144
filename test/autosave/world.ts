// A store with one state, its autosaver on a clock of the test's, and all events it has told.
import {
  type AutosaveOptions,
  type Backend,
  memoryBackend,
  type SaveEvent,
  StateStore,
  type StateStoreOptions,
} from "snapkeep";
import { onTestFinished } from "vitest";
import { makeAutosaver } from "../../src/autosave/autosaver.ts";
import { Cell } from "../store/states.ts";
import { ManualClock } from "./manual_clock.ts";

const EPOCH_MS = Date.UTC(2026, 0, 1);

export interface WorldOptions extends Partial<AutosaveOptions> {
  readonly backend?: Backend;
  readonly store?: StateStoreOptions;
  readonly clock?: ManualClock;
}

export function makeWorld(
  { backend = memoryBackend(), store: storeOptions, clock = new ManualClock(), ...options }: WorldOptions,
) {
  const cell = new Cell(0);
  const now = () => EPOCH_MS + clock.now();
  const store = new StateStore(backend, { startFresh: true, now, ...storeOptions }).register("cell", cell);
  const events: SaveEvent[] = [];
  const arrivals: (() => void)[] = [];
  const saver = makeAutosaver(store, {
    condition: () => false,
    ...options,
    onEvent: (event) => {
      events.push(event);
      for (const arrive of arrivals.splice(0)) arrive();
      return options.onEvent?.(event);
    },
  }, clock);
  onTestFinished(async () => await saver[Symbol.asyncDispose]());
  /** Waits until so many events have come in all. */
  const until = async (count: number): Promise<SaveEvent[]> => {
    while (events.length < count) await new Promise<void>((resolve) => arrivals.push(resolve));
    return events;
  };
  /** The value in each snapshot, oldest first. */
  const values = async (): Promise<unknown[]> => {
    const found: unknown[] = [];
    for (const snapshot of await store.list()) {
      const reader = await snapshot.open();
      found.push(await reader.json("cell/value.json"));
      await reader.close();
    }
    return found;
  };
  const outcomes = () => events.map(({ outcome }) => outcome);
  return { backend, cell, clock, events, outcomes, saver, store, until, values };
}

/** Lets everything that waits for nothing slow come to its end. */
export async function settle(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}
