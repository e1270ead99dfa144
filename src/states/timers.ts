// Timers that survive a restart. What a timer does is code, so a snapshot holds only the name of its handler.
import { type Duration, milliseconds } from "../model/duration.ts";
import { assertOptions } from "../model/options.ts";
import { show } from "../model/show.ts";
import type { PersistentState, StateReader, StateWriter } from "../model/state.ts";
import { invalidEntry, readJson, schemaOf } from "./reading.ts";

const PATH = "timers.json";
const MOST_MS = 2 ** 31 - 1; // of a timer of the runtime
const WAYS = ["remaining", "deadline", "restart"] as const;

/** How a timer goes on after a resume. */
export interface TimerOptions {
  /**
   * `remaining`: it waits for the time that was left when it was saved. `deadline`: it fires at the time of day it was due, at once if that
   * has passed. `restart`: it waits for its whole duration again.
   *
   * @default "remaining"
   */
  readonly onResume?: "remaining" | "deadline" | "restart";
}

interface Timer {
  readonly key: string;
  readonly name: string;
  readonly durationMs: number;
  readonly onResume: typeof WAYS[number];
  /** When it is due: as a time of day for a deadline, else by the monotonic clock. */
  readonly dueMs: number;
  handle?: ReturnType<typeof setTimeout>;
}

/**
 * Timers that are saved and go on after a restart.
 *
 * Register a handler for each name at the start of the program, before `resume()`. A timer stays saved until its handler has returned, or its promise
 * has fulfilled: if the program dies before that and resumes from a snapshot that holds the timer, the timer fires again. A handler that
 * throws ends as any throwing timer does, and its timer fires again after a resume. Restored timers start when all states are loaded. Pending
 * timers keep the program alive.
 *
 * @example Remind a customer in three days, whatever happens to the program
 * ```ts
 * import { StateStore } from "snapkeep";
 * import { Timers } from "snapkeep/states";
 *
 * const timers = new Timers();
 * timers.handle("remind", (key) => console.log(`remind ${key}`));
 * const store = new StateStore("states").register("timers", timers);
 * await store.resume();
 * timers.after("order-7", "remind", "3d", { onResume: "deadline" });
 * await store.saveState();
 * timers.cancel("order-7");
 * ```
 */
export class Timers implements PersistentState {
  readonly #handlers = new Map<string, (key: string) => unknown>();
  readonly #timers = new Map<string, Timer>();
  /** Whether timers wait for all states to be loaded. */
  #isLoading = false;

  /** Keys of the timers that have not fired, or whose handlers are running. */
  get pending(): readonly string[] {
    return [...this.#timers.keys()];
  }

  /**
   * Registers what the timers of a name do.
   *
   * @param name The name.
   * @param run Called with the key of the timer that fires. A promise that it returns is awaited before the timer is forgotten.
   * @throws {TypeError} If the name has a handler already, or `run` is no function.
   */
  handle(name: string, run: (key: string) => unknown): void {
    assertText("handle timers", "name", name);
    if (typeof run !== "function") throw new TypeError(`Cannot handle the timers "${name}": run must be a function`);
    if (this.#handlers.has(name)) {
      throw new TypeError(`Cannot handle the timers "${name}": they have a handler already`);
    }
    this.#handlers.set(name, run);
  }

  /**
   * Starts a timer. It replaces a pending timer of the same key.
   *
   * @param key Names the timer.
   * @param name Name of its handler.
   * @param duration How long it waits, as milliseconds or text such as `"90s"`.
   * @param options How it goes on after a resume.
   * @throws {TypeError} If the name has no handler, or an option cannot be used.
   * @throws {RangeError} If the duration cannot be read.
   */
  after(key: string, name: string, duration: Duration, options: TimerOptions = {}): void {
    assertText("start a timer", "key", key);
    assertOptions(`start the timer "${key}"`, options, { onResume: true });
    const { onResume = "remaining" } = options;
    if (!WAYS.includes(onResume)) {
      throw new TypeError(
        `Cannot start the timer "${key}": onResume must be one of ${WAYS.join(", ")}, not ${show(onResume)}`,
      );
    }
    if (!this.#handlers.has(name)) {
      throw new TypeError(
        `Cannot start the timer "${key}": there is no handler for ${show(name)}; call timers.handle() first`,
      );
    }
    const durationMs = milliseconds(duration);
    this.cancel(key);
    this.#add({ key, name, durationMs, onResume, dueMs: clockOf(onResume) + durationMs });
  }

  /**
   * Ends a timer before it fires. A handler that is running runs on.
   *
   * @param key Key of the timer.
   * @returns Whether there was one.
   */
  cancel(key: string): boolean {
    clearTimeout(this.#timers.get(key)?.handle);
    return this.#timers.delete(key);
  }

  /** Saves the pending timers. */
  saveState(out: StateWriter): Promise<void> {
    return out.json(
      PATH,
      [...this.#timers.values()].map(({ key, name, durationMs, onResume, dueMs }) => ({
        key,
        name,
        durationMs,
        onResume,
        ...onResume === "remaining" && { remainingMs: Math.max(0, dueMs - clockOf(onResume)) },
        ...onResume === "deadline" && { dueAtMs: dueMs },
      })),
    );
  }

  /** Replaces all timers by those that were saved. They start when all states are loaded. */
  async loadState(from: StateReader): Promise<void> {
    const saved = await readJson(from, PATH, schemaOf((value) => value));
    if (!Array.isArray(saved)) throw invalidEntry(from, PATH, "expected a list of timers");
    const timers = saved.map((timer: unknown, index) => this.#timerOf(from, timer, `$[${index}]`));
    if (new Set(timers.map(({ key }) => key)).size < timers.length) {
      throw invalidEntry(from, PATH, "two timers have the same key");
    }
    for (const key of this.pending) this.cancel(key);
    this.#isLoading = true;
    for (const timer of timers) this.#add(timer);
  }

  /** Starts the restored timers; the store calls it once all states are loaded. */
  onLoaded(): void {
    if (!this.#isLoading) return;
    this.#isLoading = false;
    for (const timer of this.#timers.values()) this.#arm(timer);
  }

  #timerOf(from: StateReader, saved: unknown, place: string): Timer {
    const { key, name, durationMs, onResume, remainingMs, dueAtMs } = (saved ?? {}) as Record<string, unknown>;
    const isLength = (value: unknown): value is number => typeof value === "number" && value >= 0;
    if (!(typeof key === "string" && key !== "" && typeof name === "string" && isLength(durationMs))) {
      throw invalidEntry(from, PATH, "it is not a timer", place);
    }
    if (!this.#handlers.has(name)) {
      throw new TypeError(
        `Cannot load the timer "${key}": there is no handler for "${name}"; call timers.handle("${name}", ...) before resume()`,
      );
    }
    const rest = { key, name, durationMs };
    if (onResume === "deadline" && typeof dueAtMs === "number") return { ...rest, onResume, dueMs: dueAtMs };
    if (onResume === "remaining" && isLength(remainingMs)) {
      return { ...rest, onResume, dueMs: clockOf(onResume) + remainingMs };
    }
    if (onResume === "restart") return { ...rest, onResume, dueMs: clockOf(onResume) + durationMs };
    throw invalidEntry(from, PATH, "it does not tell how it goes on after a resume", place);
  }

  #add(timer: Timer): void {
    this.#timers.set(timer.key, timer);
    if (!this.#isLoading) this.#arm(timer);
  }

  /** Waits for a timer, as long as the runtime can; a clock that was set meanwhile is looked at again. */
  #arm(timer: Timer): void {
    const restMs = timer.dueMs - clockOf(timer.onResume);
    timer.handle = setTimeout(() => {
      if (clockOf(timer.onResume) < timer.dueMs) this.#arm(timer);
      else this.#fire(timer);
    }, Math.min(Math.max(0, Math.ceil(restMs)), MOST_MS));
  }

  #fire(timer: Timer): void {
    const { key, name } = timer;
    const end = (): void => {
      if (this.#timers.get(key) === timer) this.#timers.delete(key);
    };
    const running: unknown = this.#handlers.get(name)?.(key);
    // What it rejects with is the program's unhandled rejection, as of any asynchronous callback.
    if (typeof (running as PromiseLike<unknown> | undefined)?.then === "function") {
      void Promise.resolve(running).then(end);
    } else end();
  }
}

/** The program's own clocks, which a test may have replaced. */
function clockOf(onResume: Timer["onResume"]): number {
  return onResume === "deadline" ? Date.now() : performance.now();
}

function assertText(action: string, what: string, text: unknown): void {
  if (typeof text === "string" && text !== "") return;
  throw new TypeError(`Cannot ${action}: the ${what} must be a text that is not empty, not ${show(text)}`);
}
