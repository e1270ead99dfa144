// Who may call the states of one store, and when: a load excludes saves, streams and other loads; saves come one after the other.
// Requests are granted in the order of their calls, but one may pass another that it does not exclude.
import { warnUser } from "../runtime/logging.ts";
import { unlessAborted } from "../runtime/concurrency.ts";
import { clearTimeout, setTimeout } from "../runtime/clock.ts";

/** What the states are called for. */
export type Purpose = "save" | "stream" | "load";

/** The right to call the states. */
export interface Turn {
  /** Lets waiting loads begin: every state has handed over all it saves. */
  captured(): void;
  /** Ends the turn; may be called again. */
  end(): void;
}

/** How to wait for a turn. */
export interface TurnOptions {
  /** Ends the wait with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** Name of the stream that takes the turn, for the warning that it holds back a load. */
  readonly stream?: string;
}

interface Request {
  readonly purpose: Purpose;
  readonly stream: string | undefined;
  readonly grant: (turn: Turn) => void;
}

/** Grants turns. */
export class StateAccess {
  readonly #onHeldBack: (stream: string) => void;
  readonly #patienceMs: number;
  #waiting: Request[] = [];
  readonly #capturing = new Set<Request>();
  #isLoading = false;
  #isSaving = false;

  /**
   * Makes one.
   *
   * @param onHeldBack Called with the name of each stream that has held back a load for as long as `patienceMs`.
   * @param patienceMs In milliseconds.
   */
  constructor(onHeldBack: (stream: string) => void, patienceMs = 10_000) {
    this.#onHeldBack = onHeldBack;
    this.#patienceMs = patienceMs;
  }

  /** Whether a save that is called now must wait. */
  get isBusy(): boolean {
    return this.#isLoading || this.#isSaving || this.#waiting.some(({ purpose }) => purpose !== "stream");
  }

  /** Takes a turn: at once where none excludes it, otherwise when those that were called before have ended. */
  enter(purpose: Purpose, { signal, stream }: TurnOptions = {}): Turn | Promise<Turn> {
    let grant: (turn: Turn) => void = () => {};
    const granted = new Promise<Turn>((resolve) => grant = resolve);
    const request: Request = { purpose, stream, grant };
    if (this.#canEnter(request, this.#waiting)) return this.#begin(request);
    this.#waiting.push(request);
    return this.#wait(request, granted, signal);
  }

  async #wait(request: Request, granted: Promise<Turn>, signal: AbortSignal | undefined): Promise<Turn> {
    const warn = () => {
      for (const { stream } of this.#capturing) if (stream !== undefined) this.#onHeldBack(stream);
    };
    const timer = request.purpose === "load" ? setTimeout(warn, this.#patienceMs).unref() : undefined;
    try {
      return await unlessAborted(granted, signal);
    } catch (error) {
      // Granted in the same turn of the event loop as the abort: the turn must not stay taken.
      if (this.#waiting.includes(request)) this.#waiting = this.#waiting.filter((other) => other !== request);
      else void granted.then((turn) => turn.end());
      this.#grantWaiting();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  #canEnter({ purpose }: Request, ahead: readonly Request[]): boolean {
    if (this.#isLoading) return false;
    if (purpose === "load") return this.#capturing.size === 0 && ahead.length === 0;
    if (ahead.some((other) => other.purpose === "load")) return false;
    return purpose === "stream" || !this.#isSaving && ahead.every((other) => other.purpose !== "save");
  }

  #begin(request: Request): Turn {
    if (request.purpose === "load") this.#isLoading = true;
    else this.#capturing.add(request);
    if (request.purpose === "save") this.#isSaving = true;
    const captured = () => {
      if (this.#capturing.delete(request)) this.#grantWaiting();
    };
    let hasEnded = false;
    const end = () => {
      if (hasEnded) return;
      hasEnded = true;
      if (request.purpose === "load") this.#isLoading = false;
      if (request.purpose === "save") this.#isSaving = false;
      this.#capturing.delete(request);
      this.#grantWaiting();
    };
    return { captured, end };
  }

  #grantWaiting(): void {
    const still: Request[] = [];
    for (const request of this.#waiting) {
      if (this.#canEnter(request, still)) request.grant(this.#begin(request));
      else still.push(request);
    }
    this.#waiting = still;
  }
}

/** Makes the access to the states of a store, which warns of a stream that holds back a load. */
export function accessTo(uri: string): StateAccess {
  return new StateAccess((stream) =>
    warnUser({
      className: "StateStore",
      kind: "LOAD_HELD_BACK",
      address: `${uri} ${stream}`,
      message: `A load waits for the stream "${stream}", which is not read; read its body to the end or cancel it`,
    })
  );
}
