// Bringing a program with concurrent parts to rest for the instant of the capture: within a time limit, in some attempts, and never
// leaving it paused.
import { show } from "../model/show.ts";
import type { IdleClock } from "../runtime/idle.ts";

/** Ends a pause. */
export type EndPause = () => void | Promise<void>;

/**
 * Brings the program to rest, and returns the function that lets it go on; `null` if it was paused already, and is to stay so.
 *
 * The signal aborts when the time limit is over: the function should then let the program go on by itself, and reject. If it
 * returns late all the same, what it returns is called at once.
 */
export type Pause = (signal: AbortSignal) => EndPause | null | Promise<EndPause | null>;

/** How a program is paused. */
export interface PauseOptions {
  /** Brings the program to rest. */
  readonly pause: Pause;
  /**
   * How long one attempt may take, and how long the end of the pause may, in milliseconds.
   *
   * @default 10000
   */
  readonly timeoutMs?: number;
  /**
   * Maximum number of attempts in a round.
   *
   * @default 3
   */
  readonly attempts?: number;
}

/** Pauses a program, attempt by attempt. */
export class Pauser {
  readonly #pause: Pause;
  readonly #timeoutMs: number;
  readonly #attempts: number;
  readonly #clock: IdleClock;
  /** An attempt that came too late and has not answered yet. */
  #late: Promise<void> | undefined;

  /**
   * Makes one.
   *
   * @throws {TypeError} If there is no function.
   * @throws {RangeError} If a number is out of range.
   */
  constructor(options: Pause | PauseOptions, clock: IdleClock) {
    const given = typeof options === "object" && options !== null ? options : { pause: options };
    const { pause, timeoutMs = 10_000, attempts = 3 } = given;
    if (typeof pause !== "function") {
      throw new TypeError(`Cannot save by itself: pause must be a function, not ${show(pause)}`);
    }
    if (!(typeof timeoutMs === "number" && timeoutMs > 0)) {
      throw new RangeError(`Cannot pause within ${show(timeoutMs)} ms: timeoutMs must be a number above 0`);
    }
    if (!(Number.isSafeInteger(attempts) && attempts >= 1)) {
      throw new RangeError(`Cannot pause in ${show(attempts)} attempts: it must be a whole number from 1 on`);
    }
    this.#pause = pause;
    this.#timeoutMs = timeoutMs;
    this.#attempts = attempts;
    this.#clock = clock;
  }

  /**
   * Pauses the program.
   *
   * @param withinMs All the time there is.
   * @returns What ends the pause, to be called exactly once.
   * @throws What the last attempt has thrown: a TimeoutError if it took too long.
   */
  async take(withinMs: number = Infinity): Promise<EndPause> {
    const endMs = this.#clock.now() + withinMs;
    let failure: { readonly error: unknown } | undefined;
    for (let attempt = 0; attempt < this.#attempts; attempt++) {
      const limitMs = Math.min(this.#timeoutMs, endMs - this.#clock.now());
      if (limitMs <= 0) break;
      try {
        return await this.#attempt(limitMs);
      } catch (error) {
        failure = { error };
      }
    }
    if (failure === undefined) throw timeout("there is no time left");
    throw failure.error;
  }

  async #attempt(limitMs: number): Promise<EndPause> {
    // Two attempts at once could end each other's pause.
    if (this.#late !== undefined) await this.#within(limitMs, this.#late);
    const abort = new AbortController();
    let isLate = false;
    const answer = (async () => {
      const end: unknown = await this.#pause(abort.signal);
      if (end !== null && typeof end !== "function") {
        throw new TypeError(
          `Cannot pause: the function must return the one that ends the pause, or null, but returned ${show(end)}`,
        );
      }
      if (!isLate) return end === null ? () => {} : () => this.#end(end as EndPause);
      await end?.();
      return () => {};
    })();
    try {
      return await this.#within(limitMs, answer);
    } catch (error) {
      isLate = true;
      this.#late = answer.then(() => {}, () => {}).finally(() => this.#late = undefined);
      abort.abort(error);
      throw error;
    }
  }

  /** Ends a pause, within the time limit. */
  #end(end: EndPause): Promise<void> {
    return this.#within(this.#timeoutMs, (async () => await end())(), "end the pause");
  }

  async #within<T>(limitMs: number, awaited: Promise<T>, action = "pause the program"): Promise<T> {
    let cancel = () => {};
    const tooLate = new Promise<never>((_, reject) => {
      if (limitMs === Infinity) return;
      cancel = this.#clock.later(
        () => reject(timeout(`it took longer than ${Math.round(limitMs)} ms`, action)),
        limitMs,
      );
    });
    try {
      return await Promise.race([awaited, tooLate]);
    } finally {
      cancel();
    }
  }
}

function timeout(reason: string, action = "pause the program"): DOMException {
  return new DOMException(`Cannot ${action}: ${reason}`, "TimeoutError");
}
