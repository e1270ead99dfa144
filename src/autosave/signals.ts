// Signals that ask the program to end, and its event loop becoming empty. One listener per signal serves all autosavers of the
// process, other copies of the library included: the process ends when all of them have saved, and only if no other code listens.
import process from "node:process";
import { setImmediate, setTimeout } from "../runtime/clock.ts";
import { show } from "../model/show.ts";

// What a shell calls an end by a signal: 128 and this number.
const NUMBERS: Readonly<Record<EndSignal, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGUSR2: 12,
  SIGTERM: 15,
  SIGBREAK: 21,
};

/** A signal that an autosaver can listen to. */
export type EndSignal = "SIGHUP" | "SIGINT" | "SIGQUIT" | "SIGUSR2" | "SIGTERM" | "SIGBREAK";

// A signal that the process ignores does not end it.
const IGNORED_AFTER_MS = 1000;

/** What leaves when the program is to end. */
export interface Departure {
  /** Saves once more; `endsProcess` says whether the process ends after it. Resolves when that is done or aborted. */
  depart(signal: EndSignal, endsProcess: boolean): Promise<void>;
  /** Aborts what `depart` does. */
  hurry(signal: EndSignal): void;
  /** Saves once more, since nothing else keeps the program alive. */
  exit(): void;
}

interface Watch {
  readonly departures: Map<Departure, ReadonlySet<EndSignal>>;
  readonly listeners: Map<EndSignal, () => void>;
  readonly removed: Set<string>;
  isLeaving: boolean;
  stop: () => void;
}

const WATCH = Symbol.for("snapkeep.signals");

/**
 * Reads which signals an autosaver listens to.
 *
 * @param signals As its option says.
 * @returns The signals; none unless given.
 * @throws {TypeError} If it is neither a boolean nor an array of signals that a program can handle.
 */
export function signalsOf(signals: unknown): readonly EndSignal[] {
  if (signals === undefined || signals === false) return [];
  if (signals === true) return ["SIGTERM", "SIGINT"];
  const known = Object.keys(NUMBERS);
  if (Array.isArray(signals) && signals.every((name) => known.includes(name))) return [...new Set(signals)];
  throw new TypeError(
    `Cannot save on the signals ${show(signals)}: give true, or an array out of ${known.map(show).join(", ")}`,
  );
}

/**
 * Calls a departure when one of its signals arrives, or the event loop becomes empty.
 *
 * @param departure What leaves.
 * @param signals Its signals.
 * @returns Ends it.
 */
export function watchEnd(departure: Departure, signals: readonly EndSignal[]): () => void {
  const scope = globalThis as { [WATCH]?: Watch };
  const watch = scope[WATCH] ??= makeWatch();
  watch.departures.set(departure, new Set(signals));
  for (const signal of signals) listen(watch, signal);
  return () => {
    if (!watch.departures.delete(departure)) return;
    for (const signal of signals) {
      if (![...watch.departures.values()].some((others) => others.has(signal))) unlisten(watch, signal);
    }
    if (watch.departures.size > 0) return;
    watch.stop();
    if (scope[WATCH] === watch) delete scope[WATCH];
  };
}

function makeWatch(): Watch {
  const departures: Watch["departures"] = new Map();
  const removed = new Set<string>();
  const onExit = () => {
    for (const departure of departures.keys()) departure.exit();
  };
  // Deno removes a listener that listens once before it calls ours, wherever ours stands.
  const onRemoved = (event: string | symbol) => {
    if (typeof event !== "string" || !Object.hasOwn(NUMBERS, event)) return;
    removed.add(event);
    setImmediate(() => removed.delete(event));
  };
  process.on("beforeExit", onExit);
  process.on("removeListener", onRemoved);
  const stop = () => {
    process.off("beforeExit", onExit);
    process.off("removeListener", onRemoved);
  };
  return { departures, listeners: new Map(), removed, isLeaving: false, stop };
}

function listen(watch: Watch, signal: EndSignal): void {
  if (watch.listeners.has(signal)) return;
  const listener = () => void leave(watch, signal);
  watch.listeners.set(signal, listener);
  process.prependListener(signal, listener); // one that listens once is still there when ours is called
}

function unlisten(watch: Watch, signal: EndSignal): void {
  const listener = watch.listeners.get(signal);
  watch.listeners.delete(signal);
  if (listener !== undefined) process.off(signal, listener);
}

async function leave(watch: Watch, signal: EndSignal): Promise<void> {
  const isOwned = watch.removed.has(signal) ||
    process.listeners(signal).some((listener) => listener !== watch.listeners.get(signal));
  if (watch.isLeaving) {
    for (const departure of watch.departures.keys()) departure.hurry(signal);
    if (!isOwned) endBy(watch, signal);
    return;
  }
  watch.isLeaving = true;
  const leaving = [...watch.departures].filter(([, signals]) => signals.has(signal));
  await Promise.allSettled(leaving.map(([departure]) => departure.depart(signal, !isOwned)));
  if (!isOwned) return endBy(watch, signal);
  watch.isLeaving = false;
}

function endBy(watch: Watch, signal: EndSignal): void {
  for (const name of watch.listeners.keys()) unlisten(watch, name);
  const code = 128 + NUMBERS[signal];
  // The first process of a container has no default for signals.
  if (process.pid === 1) process.exit(code);
  setTimeout(() => process.exit(code), IGNORED_AFTER_MS).unref();
  process.kill(process.pid, signal);
}
