// Saves by itself: asks a condition, begins rounds, one at a time, tries again what failed, and saves once more on the way down.
import { clearInterval, setInterval } from "../runtime/clock.ts";
import { Pace } from "../runtime/concurrency.ts";
import { type IdleClock, runtimeClock } from "../runtime/idle.ts";
import type { StateStore } from "../store/state_store.ts";
import { assertAutosave, type AutosaveOptions, labelsOf } from "./autosave_options.ts";
import { type AutosaveHealth, type Failure, healthOf } from "./health.ts";
import { Keeping } from "./keeping.ts";
import { Pauser } from "./pausing.ts";
import { beginRound, type Round, type RoundEvent, type RoundParts } from "./round.ts";
import { eventSink, type SaveEvent, type SaveReason, type SkippedEvent, type SkipReason } from "./save_event.ts";
import { Schedule } from "./schedule.ts";
import { SignOfLife } from "./sign_of_life.ts";
import { type EndSignal, signalsOf, watchEnd } from "./signals.ts";

// How often a condition is asked that cannot tell when it becomes true, and how long to trust one that can: a load, or a save by the
// program itself, changes the answer.
const POLL_MS = 250;
const TRUST_MS = 1_000;
// The first pause where a condition is false at the time that it has told; each further one is twice as long.
const EARLY_MS = 50;
// What was aborted has so long to give back what it took.
const ABORTED_MS = 300;

/**
 * Saves a program by itself; made by {@link autosave}.
 *
 * A timer asks the condition until `tick()` is called the first time; from then on only `tick()` does. Neither the timer nor anything
 * else here keeps the program alive.
 */
export interface Autosaver {
  /** Aborts when the program is to end, and when the autosaver ends. */
  readonly signal: AbortSignal;
  /**
   * Asks the condition, and saves if a save is due. To be called and awaited where the states fit together, such as at the end of
   * each step.
   *
   * Resolves when the program may go on: the states have handed over their data, which is then written in the background. A
   * failed save does not reject it. After a signal it stays pending until the last save has ended.
   *
   * @throws {DOMException} An AbortError, the reason of `signal`, once the autosaver has ended.
   */
  tick(): Promise<void>;
  /**
   * Makes a save due: the timer begins it at once, otherwise the next `tick()` does.
   *
   * @returns Resolves to the event of a round that begins now or later. Do not await it before the next `tick()`.
   */
  requestSave(): Promise<SaveEvent>;
  /**
   * Returns the state of the saves, as data for a health check. Free room is that of the last look, at most one save old.
   *
   * @returns Plain data that JSON carries.
   */
  health(): AutosaveHealth;
  /**
   * Saves once more, and ends. A save that runs already is finished first. Called again, or after a signal, it waits for the same end.
   *
   * @returns The event of the last round.
   */
  close(): Promise<SaveEvent>;
  /**
   * Ends without a further save, and waits for one that runs: it is also called when an exception leaves the block, and then
   * the states may hold a mixture. Call {@link Autosaver.close} to save.
   */
  [Symbol.asyncDispose](): Promise<void>;
}

type Resolve = (event: SaveEvent) => void;

/** The end of an autosaver. */
interface WayDown {
  /** Resolves to the event of the last round. */
  readonly ended: Promise<SaveEvent>;
  /** Whether the process ends after it. */
  readonly endsProcess: boolean;
}

class StoreAutosaver implements Autosaver {
  readonly #store: StateStore;
  readonly #clock: IdleClock;
  readonly #graceMs: number;
  readonly #parts: RoundParts;
  readonly #schedule: Schedule;
  readonly #emit: (event: SaveEvent) => void;
  readonly #life: SignOfLife;
  readonly #pace = new Pace();
  /** Tells the program to stop. */
  readonly #ending = new AbortController();
  /** Aborts the rounds. */
  readonly #aborting = new AbortController();
  readonly #unwatch: () => void;
  #isTicked = false;
  #ticks = 0;
  #cancelTimer = () => {};
  /** Checks in a row that found nothing due at the time that the condition had told. */
  #earlyChecks = 0;
  #round: Round | undefined;
  #isBeginning = false;
  /** Requests that the running round serves. */
  #served: Resolve[] = [];
  /** Requests for a round that has not begun. */
  #requests: Resolve[] = [];
  /** Whether a save fell due while a round was running. */
  #hasJoined = false;
  #hasToldNotBegun = false;
  #lastFailure: Failure | undefined;
  #keeperFailure: Failure | undefined;
  #freeBytes: number | undefined;
  #isLooking = false;
  #wayDown: WayDown | undefined;
  #onTick = () => {};

  constructor(store: StateStore, options: AutosaveOptions, clock: IdleClock) {
    const { condition, keeper, pause, layout, labels = {}, graceMs = 8_000, onEvent } = options;
    const signals = signalsOf(options.signals);
    this.#store = store;
    this.#clock = clock;
    this.#graceMs = graceMs;
    this.#parts = {
      store,
      clock,
      keeping: new Keeping(keeper, clock),
      layout,
      pauser: pause === undefined ? undefined : new Pauser(pause, clock),
      labels: () => labelsOf(labels),
      stepOf: ({ step }) => step ?? (this.#isTicked ? this.#ticks : undefined),
      signal: this.#aborting.signal,
    };
    this.#schedule = new Schedule(store, condition, clock, () => this.#stepNow());
    this.#emit = eventSink(onEvent);
    this.#life = new SignOfLife(store, clock, () => this.#stepIfKnown());
    this.#unwatch = watchEnd({
      depart: async (signal, endsProcess) => {
        const cancel = clock.later(() => this.#abort("TimeoutError", `it took longer than ${graceMs} ms`), graceMs);
        await this.#leave("signal", { signal, endsProcess }).finally(cancel);
      },
      hurry: (signal) => this.#abort("AbortError", `a second ${signal} arrived`),
      exit: () => void this.#leave("exit"),
    }, signals);
    this.#lookForRoom();
    this.#wait();
  }

  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  async tick(): Promise<void> {
    this.#isTicked = true;
    this.#cancelTimer();
    if (this.#wayDown === undefined) {
      this.#ticks++;
      await this.#check()?.released;
      if (this.#life.first !== undefined) await this.#life.first;
      // A loop that awaits nothing else would let neither signals nor the writing have their turn.
      if (this.#round !== undefined || this.#pace.isDue) await this.#pace.rest();
    }
    if (this.#wayDown === undefined) return;
    this.#onTick();
    await this.#wayDown.ended;
    if (this.#wayDown.endsProcess) await new Promise(() => {});
    throw this.signal.reason;
  }

  requestSave(): Promise<SaveEvent> {
    return new Promise((resolve) => {
      if (this.#wayDown !== undefined) return resolve(this.#skip("requested", "ended"));
      if (this.#round?.hasCaptured === false) return void this.#served.push(resolve);
      this.#requests.push(resolve);
      if (!this.#isTicked) this.#check();
    });
  }

  health(): AutosaveHealth {
    this.#lookForRoom();
    const { known, ageMs, step: savedStep } = this.#schedule.lastSaved;
    const hasEnded = this.#wayDown !== undefined;
    return healthOf({
      status: hasEnded ? "ended" : this.#store.hasBegun ? "running" : "waiting",
      isSaving: this.#round !== undefined,
      known,
      ageMs,
      savedStep,
      step: this.#stepIfKnown(),
      failuresInRow: this.#schedule.failuresInRow,
      lastFailure: this.#lastFailure,
      keeperFailure: this.#keeperFailure,
      dueInMs: hasEnded ? undefined : this.#dueInMs(),
      freeBytes: this.#freeBytes,
    });
  }

  close(): Promise<SaveEvent> {
    return this.#leave("closed");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#leave("closed", { saves: false });
  }

  /** Begins a round if one is due and may begin. Returns the one that has not captured yet. */
  #check(): Round | undefined {
    const schedule = this.#schedule;
    if (this.#isBeginning) return undefined; // a state or a label that asks for a save
    this.#live();
    try {
      if (this.#round !== undefined) {
        this.#hasJoined ||= schedule.asksForSave();
      } else {
        if (this.#requests.length > 0) schedule.due ??= "requested";
        else if (schedule.pauseMs > 0) return undefined;
        else if (schedule.due === undefined && schedule.asksForSave()) schedule.due = "due";
        if (schedule.due !== undefined) {
          if (this.#store.hasBegun) this.#begin(schedule.due);
          else if (!this.#hasToldNotBegun || this.#requests.length > 0) {
            const event = this.#skip(schedule.due, "not begun");
            for (const resolve of this.#requests.splice(0)) resolve(event);
          }
        }
      }
    } catch (error) {
      this.#tell({ ...this.#noRound("due"), outcome: "failed", error, failuresInRow: 0 }, undefined);
    }
    return this.#round?.hasCaptured === false ? this.#round : undefined;
  }

  #begin(reason: SaveReason, withinMs?: number): Round {
    this.#cancelTimer();
    this.#earlyChecks = 0;
    this.#hasJoined = false;
    this.#served = this.#requests.splice(0);
    this.#isBeginning = true;
    const round = beginRound(this.#parts, reason, withinMs);
    this.#isBeginning = false;
    this.#round = round;
    this.#schedule.began(round);
    void round.ended.then((event) => {
      this.#round = undefined;
      this.#schedule.ended(round, event);
      this.#tell(event, round);
      this.#lookForRoom();
      if (this.#requests.length > 0 && !this.#isTicked && this.#wayDown === undefined) this.#check();
      this.#wait();
    });
    return round;
  }

  /** Hands out the event of a round, and one for each that joined it. */
  #tell(event: RoundEvent, round: Round | undefined): void {
    let told = event;
    if (event.outcome === "saved") {
      this.#keeperFailure = "keeperError" in event ? this.#failureOf(event.keeperError) : undefined;
    } else {
      if (round === undefined && event.outcome === "failed") this.#schedule.failed(undefined);
      if ("error" in event) this.#lastFailure = this.#failureOf(event.error);
      const retry = this.#wayDown === undefined ? { retryInMs: this.#schedule.pauseMs } : {};
      const { failuresInRow } = this.#schedule;
      told = event.outcome === "failed" ? { ...event, failuresInRow, ...retry } : { ...event, ...retry };
    }
    this.#emit(told);
    const { uri } = told;
    const join = (reason: SaveReason) => {
      const joined: SaveEvent = { outcome: "joined", uri, reason, joined: told };
      this.#emit(joined);
      return joined;
    };
    if (this.#hasJoined) join("due");
    this.#hasJoined = false;
    const served = this.#served.splice(0);
    if (told.reason === "requested") served.shift()?.(told);
    for (const resolve of served) resolve(join("requested"));
  }

  #failureOf(error: unknown): Failure {
    return { error, at: new Date(this.#store.now()) };
  }

  #skip(reason: SaveReason, why: SkipReason): SkippedEvent {
    if (why === "not begun") this.#hasToldNotBegun = true;
    const event: SkippedEvent = { ...this.#noRound(reason), outcome: "skipped", why };
    this.#emit(event);
    return event;
  }

  /** What an event tells of a round that did not begin. */
  #noRound(reason: SaveReason) {
    const phases = { pausedMs: 0, capturedMs: 0, writtenMs: 0, syncedMs: 0 };
    const [uri, startedAt] = [this.#store.backend.uri, new Date(this.#store.now())];
    return { uri, reason, startedAt, phases, heldMs: 0, states: [], step: this.#stepIfKnown() };
  }

  #wait(): void {
    this.#cancelTimer();
    if (this.#isTicked || this.#wayDown !== undefined || this.#round !== undefined) return;
    const delayMs = this.#store.hasBegun ? Math.min(this.#dueInMs() ?? POLL_MS, TRUST_MS) : POLL_MS;
    if (delayMs >= TRUST_MS) this.#earlyChecks = 0;
    // The first is taken for a matter of rounding.
    const leastMs = this.#earlyChecks < 2 ? 1 : Math.min(POLL_MS, EARLY_MS * 2 ** (this.#earlyChecks - 2));
    this.#cancelTimer = this.#clock.later(() => {
      if (this.#store.hasBegun) this.#earlyChecks++;
      this.#check();
      this.#wait();
    }, Math.max(leastMs, Math.ceil(delayMs)));
  }

  /** Ends, after a last round. The first call decides how. */
  #leave(
    reason: SaveReason,
    { signal, endsProcess = false, saves = true }: { signal?: EndSignal; endsProcess?: boolean; saves?: boolean } = {},
  ): Promise<SaveEvent> {
    if (this.#wayDown !== undefined) {
      if (reason === "exit") this.#onTick(); // nothing is left that could call tick()
      return this.#wayDown.ended;
    }
    this.#cancelTimer();
    this.#live();
    if (signal !== undefined) this.#parts.keeping.hurry();
    const run = async (): Promise<SaveEvent> => {
      const endMs = this.#clock.now() + (signal === undefined ? Infinity : this.#graceMs);
      const alive = setInterval(() => {}, 60_000); // a pause that is waited for does not keep the program alive
      try {
        const last = await this.#orAborted(this.#round?.ended);
        const event = saves ? await this.#lastRound(reason, endMs, alive) : last ?? this.#skip(reason, "ended");
        const saved = saves && event.outcome === "saved" ? event.snapshot.name : undefined;
        await this.#orAborted(this.#life.end({ ended: signal === undefined ? "clean" : "signal", signal, saved }));
        return event;
      } finally {
        clearInterval(alive);
        this.#unwatch();
        for (const resolve of this.#requests.splice(0)) resolve(this.#skip("requested", "ended"));
      }
    };
    const ended = run();
    this.#wayDown = { ended, endsProcess };
    const why = signal !== undefined
      ? `${signal} arrived`
      : reason === "closed"
      ? "its autosaver was closed"
      : "it ends";
    this.#ending.abort(new DOMException(`The program is to stop: ${why}`, "AbortError"));
    return ended;
  }

  async #lastRound(reason: SaveReason, endMs: number, alive: NodeJS.Timeout): Promise<SaveEvent> {
    if (!this.#store.hasBegun) return this.#skip(reason, "not begun");
    if (reason === "signal" && this.#isTicked) {
      // Between two ticks the states may not fit together. A program that has left its loop ends, or its event loop becomes empty.
      alive.unref();
      await new Promise<void>((resolve) => {
        this.#onTick = resolve;
        this.#clock.later(resolve, (endMs - this.#clock.now()) / 2);
      });
      alive.ref();
    }
    const round = this.#begin(reason, endMs - this.#clock.now());
    const event = await this.#orAborted(round.ended);
    if (event !== undefined) return event;
    const { reason: error } = this.#aborting.signal;
    const { failuresInRow } = this.#schedule;
    const given: SaveEvent = { ...this.#noRound(reason), outcome: "failed", error, failuresInRow: failuresInRow + 1 };
    this.#emit(given);
    return given;
  }

  /** Waits for something; once the rounds were aborted, not for long. */
  async #orAborted<T>(awaited: Promise<T> | undefined): Promise<T | undefined> {
    if (awaited === undefined) return undefined;
    const { signal } = this.#aborting;
    let onAbort = () => {};
    const aborted = new Promise<undefined>((resolve) => {
      onAbort = () => void this.#clock.later(() => resolve(undefined), ABORTED_MS);
      signal.addEventListener("abort", onAbort);
      if (signal.aborted) onAbort();
    });
    try {
      return await Promise.race([awaited, aborted]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  #abort(name: string, why: string): void {
    this.#aborting.abort(new DOMException(`The last save was aborted: ${why}`, name));
  }

  /** Starts to renew the heartbeat, but replaces that of the last run only after it could be read. */
  #live(): void {
    if (this.#store.hasBegun) this.#life.begin();
  }

  #dueInMs(): number | undefined {
    try {
      return this.#schedule.dueInMs();
    } catch {
      return undefined; // asking whether it is due tells
    }
  }

  #stepNow(): number | undefined {
    return this.#parts.stepOf(this.#parts.labels());
  }

  #stepIfKnown(): number | undefined {
    try {
      return this.#stepNow();
    } catch {
      return undefined; // the round that needs it tells
    }
  }

  #lookForRoom(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const look = async () => this.#freeBytes = await this.#store.backend.freeBytes?.();
    look().catch(() => this.#freeBytes = undefined).finally(() => this.#isLooking = false);
  }
}

/**
 * Saves a program automatically: whenever a condition is true, and once more when the program ends.
 *
 * It begins to save once `store.resume()` or `store.loadState()` has fulfilled, or `store.startFresh()` was called; a save that falls
 * due before is skipped with a warning. A round runs in this order: condition, pause, capture, the program goes on, write, commit,
 * `keeper.append()`, `keeper.cleanup()`. One runs at a time; what falls due meanwhile joins it. A save that failed stays due and is
 * tried again after one second, then after two, four and so on, up to a minute. Nothing is thrown into the program: every round ends in
 * one event, and failures are logged or warned of as well.
 *
 * When the event loop becomes empty, and with `signals` when a signal arrives, it saves once more. After a signal the process ends by the
 * same signal, unless the program listens to it as well; a second signal ends it at once. An uncaught exception or `process.exit()`
 * saves nothing.
 *
 * @param store The store.
 * @param options When to save, what to do around a save, and who receives the events.
 * @returns The autosaver.
 * @throws {TypeError} If an option does not exist or cannot be what it is, or the labels cannot be stored.
 * @throws {RangeError} If a number is out of range.
 * @throws {SnapshotError} `COMPRESSION_UNAVAILABLE` if the runtime cannot write the layout.
 * @example A loop that saves every minute, keeps three snapshots, and saves when it is stopped
 * ```ts
 * import { autosave, LatestStatesKeeper, PeriodicSaveCondition, StateStore } from "snapkeep";
 *
 * const world = { steps: 0 };
 * const store = new StateStore("states").register("world", {
 *   saveState: (out) => out.json("world.json", world),
 *   loadState: async (from) => void Object.assign(world, await from.json("world.json")),
 * });
 * await store.resume();
 * const saver = autosave(store, {
 *   condition: new PeriodicSaveCondition("1m"),
 *   keeper: new LatestStatesKeeper(store, 3),
 *   signals: true,
 *   labels: () => ({ step: world.steps }),
 * });
 * while (world.steps < 1000) {
 *   world.steps++;
 *   await saver.tick();
 * }
 * await saver.close();
 * ```
 */
export function autosave(store: StateStore, options: AutosaveOptions): Autosaver {
  return makeAutosaver(store, options, runtimeClock);
}

/** As {@link autosave}, with another clock. */
export function makeAutosaver(store: StateStore, options: AutosaveOptions, clock: IdleClock): Autosaver {
  assertAutosave(store, options);
  return new StoreAutosaver(store, options, clock);
}
