// Taking the states' data at one instant, and handing it to the layout in a fixed order: states in order of registration,
// entries in order of writing, whatever finishes first. This is where a save's first error is kept.
import type { EntrySource } from "../model/snapshot.ts";
import { chunkOf, discard, viewOf } from "../runtime/bytes.ts";
import { monotonicMs } from "../runtime/clock.ts";
import { begin } from "../runtime/sources.ts";
import type { CaptureMemory } from "./capture_memory.ts";
import type { Registration } from "./registry.ts";
import { StateCapture, type StateCaptureOptions } from "./state_capture.ts";

/** How far a save is. */
export interface SaveProgress {
  /** State being written. */
  readonly state: string;
  /** Entries written. */
  readonly entries: number;
  /** Bytes taken from the states. */
  readonly sizeBytes: number;
}

/** How long a state held its caller. */
export interface HeldState {
  /** Name of the state. */
  readonly name: string;
  /** Milliseconds from the call of its `saveState` until that call returned or awaited something. */
  readonly heldMs: number;
}

/**
 * A point that a save has reached. `captured`: every `saveState` was called, and what a state does from now on to data it has handed
 * over does not change the snapshot. `written`: the layout has taken all entries; what is left is to make the snapshot durable.
 */
export type SavePhase =
  | { readonly phase: "captured"; readonly states: readonly HeldState[] }
  | { readonly phase: "written"; readonly entries: number; readonly sizeBytes: number };

/** What goes on beside a save. */
export interface CaptureOptions extends StateCaptureOptions {
  /** Aborts the save. */
  readonly signal?: AbortSignal;
  /** Called after each chunk and entry; the last call has the totals. */
  readonly onProgress?: (progress: SaveProgress) => void;
  /** Called once for each {@link SavePhase} that the save reaches, in order. An error that it throws fails the save. */
  readonly onPhase?: (phase: SavePhase) => void;
  /** Called when every state has handed over all it saves, or the save has failed. */
  readonly onCaptured?: () => void;
}

/** The data of all states, taken at the moment it is made. */
export class Capture {
  /** The states, in order of registration. */
  readonly states: readonly Registration[];
  readonly #states: StateCapture[];
  readonly #memory: CaptureMemory;
  readonly #options: CaptureOptions;
  readonly #onAbort: () => void;
  readonly #ending = new AbortController();
  #entries = 0;
  #sizeBytes = 0;
  #interrupt: ((reason: unknown) => void) | undefined;

  /** Calls every `saveState`, one right after the other, until one fails. */
  constructor(registrations: readonly Registration[], memory: CaptureMemory, options: CaptureOptions = {}) {
    this.states = registrations;
    this.#memory = memory;
    this.#options = options;
    this.#onAbort = () => void this.fail(options.signal?.reason);
    options.signal?.addEventListener("abort", this.#onAbort);
    this.#states = registrations.map((registration) =>
      new StateCapture(registration, memory, options, {
        fail: (error) => void this.fail(error),
        released: (state) => {
          this.#entries++;
          this.#tell(state);
        },
      })
    );
    const held: HeldState[] = [];
    for (const state of this.#states) {
      if (this.signal.aborted) return;
      const sinceMs = monotonicMs();
      state.start();
      held.push({ name: state.name, heldMs: monotonicMs() - sinceMs });
    }
    this.#reached({ phase: "captured", states: held });
  }

  #reached(phase: SavePhase): void {
    if (this.signal.aborted) return;
    try {
      this.#options.onPhase?.(phase);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Is aborted when the capture fails, with its first error. */
  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  /**
   * All entries, in order, the small ones that lie in memory many at once; ends when every state has ended. While a state's writes
   * are still being read, those of the next states that lie in memory come first, and then all that is left, in order.
   */
  async *entries(): AsyncGenerator<EntrySource | readonly EntrySource[], void> {
    const states = [...this.#states];
    for (let index = 0; index < states.length; index++) {
      const state = states[index] as StateCapture;
      while (true) {
        this.throwIfFailed();
        const isAhead = index < this.#states.length && states.length > this.#states.length;
        const batch = isAhead ? state.takeReady() : await state.next(index < this.#states.length);
        this.throwIfFailed();
        if (batch.length === 0) {
          if (!state.hasEnded) states.push(state);
          break;
        }
        for (const entry of batch) {
          const { body } = entry;
          if (Array.isArray(body)) this.#observe(state, body);
          else entry.body = this.#interruptible(state, body as AsyncIterable<Uint8Array>);
        }
        yield batch.length === 1 ? batch[0] as EntrySource : batch;
      }
    }
    this.#options.onCaptured?.();
    this.#reached({ phase: "written", entries: this.#entries, sizeBytes: this.#sizeBytes });
    this.throwIfFailed();
  }

  /** Sizes of the entries that wait to be written, as far as they are known; looked at as they are asked for. */
  *pendingSizes(): Generator<number, void> {
    for (const state of this.#states) yield* state.pendingSizes();
  }

  /** Aborts: cancels all that is pending, and takes nothing more from the states. Returns the first error of all, to be thrown. */
  fail(error: unknown): unknown {
    if (this.signal.aborted) return this.signal.reason;
    this.#ending.abort(error);
    for (const state of this.#states) state.cancel(error);
    this.#interrupt?.(error);
    this.#options.onCaptured?.();
    return error;
  }

  /** Fails if a state has failed, or the save was aborted. */
  throwIfFailed(): void {
    this.signal.throwIfAborted();
  }

  /** Ends the capture, after success or failure. */
  close(): void {
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#memory.endSave();
  }

  #progress(state: string, chunk: Uint8Array): void {
    this.#sizeBytes += chunk.length;
    this.#tell(state);
  }

  #tell(state: string): void {
    this.#options.onProgress?.({ state, entries: this.#entries, sizeBytes: this.#sizeBytes });
  }

  #observe(state: StateCapture, segments: readonly Uint8Array[]): void {
    for (const segment of segments) {
      try {
        viewOf(segment); // one that is owned may have lost its memory since it was handed over
      } catch (error) {
        throw state.wrap(error);
      }
      this.#progress(state.name, segment);
    }
  }

  /** A stream that a failure or an abort elsewhere ends at once, even while it waits for its source. */
  async *#interruptible(state: StateCapture, source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
    let iterator: AsyncIterator<Uint8Array> | undefined;
    const next = async () => {
      const { done = false, value } = await state.call(() => (iterator ??= begin(source)).next());
      return { done, value: done ? undefined : chunkOf(value) };
    };
    let isDone = false;
    try {
      while (true) {
        this.throwIfFailed();
        const result = await new Promise<{ done: boolean; value: Uint8Array | undefined }>((resolve, reject) => {
          this.#interrupt = reject;
          next().then(resolve, (error) => reject(state.wrap(error)));
        });
        if (result.value === undefined) {
          isDone = true;
          return;
        }
        this.#progress(state.name, result.value);
        yield result.value;
      }
    } finally {
      this.#interrupt = undefined;
      if (!isDone) discard(source, iterator);
    }
  }
}
