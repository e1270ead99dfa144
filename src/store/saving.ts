// Saving all states as one snapshot, into the place or out as a stream: take a turn, call the states, claim a name, write,
// publish. Saves of one store come one after the other; those that wait may be joined.
import { type ManifestFacts, sealing } from "../manifest/manifest.ts";
import { MeasuredEntry } from "../manifest/measured_entry.ts";
import { showAddress } from "../model/address.ts";
import { type Stage, STALE_AFTER_MS } from "../model/backend.ts";
import { toReadableStream } from "../runtime/bytes.ts";
import { monotonicMs } from "../runtime/clock.ts";
import { inSlices, Pace, type Work } from "../runtime/concurrency.ts";
import { isSnapshotError, SnapshotError } from "../model/errors.ts";
import { loggerOf } from "../runtime/logging.ts";
import {
  type Labels,
  type Layout,
  listOfSources,
  type Manifest,
  type ManifestEntry,
  type ManifestState,
} from "../model/snapshot.ts";
import type { ArchiveLayout } from "../layout/archive_layout.ts";
import { Capture, type CaptureOptions, type SavePhase, type SaveProgress } from "./capture.ts";
import { CaptureMemory } from "./capture_memory.ts";
import type { ListedName } from "./lineage.ts";
import { matchingStates } from "../snapshot/difference.ts";
import { SnapshotLocator } from "../snapshot/locator.ts";
import type { ListedUnit } from "./name_claimer.ts";
import { dropPin, notePin } from "../snapshot/notes.ts";
import type { SaveOptions } from "./save_options.ts";
import type { Turn } from "./state_access.ts";
import type { StoreParts } from "./store_parts.ts";
import { sweep } from "./sweeping.ts";

type Listener = Pick<CaptureOptions, "onProgress" | "onPhase">;

interface WaitingSave {
  readonly key: string;
  readonly abort: AbortController;
  /** Each caller's listener, and how to end the caller's part in the save. */
  readonly listeners: Map<Listener, (reason: unknown) => void>;
  outcome: Promise<SnapshotLocator | undefined>;
}

interface Wanted {
  readonly layout: Layout;
  readonly labels: Labels;
  readonly options: SaveOptions;
}

type Content = Pick<Manifest, "states" | "labels">;

/** Ends a save that would publish what the last snapshot holds. */
const UNCHANGED = new Error("Nothing has changed since the last snapshot");

/** Saves the states of one store. */
export class Saver {
  readonly #parts: StoreParts;
  readonly #memory = new CaptureMemory();
  readonly #log = loggerOf("StateStore");
  readonly #waiting = new Set<WaitingSave>();
  #last: SnapshotLocator | undefined;
  #sweptAtMs = -Infinity;

  constructor(parts: StoreParts) {
    this.#parts = parts;
  }

  /** Saves into the place; `undefined` where the save was skipped. */
  async save(wanted: Wanted): Promise<SnapshotLocator | undefined> {
    const { signal, ifBusy } = wanted.options;
    if (!this.#parts.access.isBusy) {
      // The states are called before anything is awaited: what they hand over belongs to the instant of the call.
      const turn = this.#parts.access.enter("save");
      return await this.#publish(turn instanceof Promise ? await turn : turn, wanted);
    }
    signal?.throwIfAborted();
    if (ifBusy === "skip") return undefined;
    const key = keyOf(wanted);
    const joined = ifBusy === "join" ? [...this.#waiting].find((waiting) => waiting.key === key) : undefined;
    if (joined !== undefined) return await this.#outcomeOf(joined, wanted.options);
    const { maxWaiting, backend } = this.#parts;
    if (this.#waiting.size >= maxWaiting) {
      throw new SnapshotError(
        "SAVE_BACKLOG",
        `Cannot save to ${showAddress(backend.uri)}: ${this.#waiting.size} saves wait already; ` +
          'save less often, await each save, or share a waiting one with saveState({ ifBusy: "join" })',
        { uri: backend.uri, waiting: this.#waiting.size },
      );
    }
    return await this.#outcomeOf(this.#await(key, wanted), wanted.options);
  }

  /** Saves into a stream. */
  stream(
    layout: ArchiveLayout,
    labels: Labels,
    options: CaptureOptions,
  ): { name: string; body: ReadableStream<Uint8Array> } {
    const { backend, names, now } = this.#parts;
    const name = names.propose(now());
    const waiting = new AbortController();
    const onAbort = () => waiting.abort(options.signal?.reason);
    options.signal?.addEventListener("abort", onAbort);
    const entered = this.#parts.access.enter("stream", { stream: name, signal: waiting.signal });
    let capture: Capture | undefined;
    let entry: Turn | undefined;
    const begin = (turn: Turn) => {
      entry = turn;
      options.signal?.removeEventListener("abort", onAbort); // from here on the capture listens
      try {
        waiting.signal.throwIfAborted();
        const facts = this.#facts("stream", now(), labels);
        capture = this.#capture(new CaptureMemory({ isReused: false }), options, turn);
        return { turn, capture, facts: { ...facts, name } };
      } catch (error) {
        turn.end();
        throw error;
      }
    };
    // Where no load is running, the states are called now; otherwise when it has ended, whether or not the body is read.
    const begun = entered instanceof Promise ? entered.then(begin) : begin(entered);
    if (begun instanceof Promise) begun.catch(() => {}); // the body tells
    const cancel = () => {
      const reason = new DOMException("The stream was cancelled", "AbortError");
      waiting.abort(reason);
      capture?.fail(reason);
      capture?.close();
      entry?.end(); // a body that was never read does not end by itself
    };
    const encode = async function* () {
      const { turn, capture, facts } = await begun;
      try {
        const archive = layout.encoder(facts.savedAt, () => backend.scratch());
        yield* archive.encode(capture.entries());
        const sealed = await inSlices(sealing(facts, archive.written));
        capture.throwIfFailed();
        yield* archive.end(sealed);
      } catch (error) {
        throw capture.fail(error);
      } finally {
        capture.close();
        turn.end();
      }
    };
    return { name, body: toReadableStream(encode(), cancel) };
  }

  #await(key: string, wanted: Wanted): WaitingSave {
    const abort = new AbortController();
    const listeners: WaitingSave["listeners"] = new Map();
    const tell = (call: (listener: Listener) => void) => {
      for (const [listener, leave] of listeners) {
        try {
          call(listener);
        } catch (error) {
          leave(error);
        }
      }
    };
    const onProgress = (progress: SaveProgress) => tell((listener) => listener.onProgress?.(progress));
    const onPhase = (phase: SavePhase) => tell((listener) => listener.onPhase?.(phase));
    const options = { ...wanted.options, signal: abort.signal, onProgress, onPhase };
    const run = async () => {
      try {
        const turn = await this.#parts.access.enter("save", { signal: abort.signal });
        this.#waiting.delete(waiting);
        return await this.#publish(turn, { ...wanted, options });
      } finally {
        this.#waiting.delete(waiting);
      }
    };
    const waiting: WaitingSave = { key, abort, listeners, outcome: run() };
    this.#waiting.add(waiting);
    return waiting;
  }

  /** What a waiting save comes to, for one of its callers: its abort, or an error of its listener, ends the save only if it is alone. */
  async #outcomeOf(waiting: WaitingSave, options: SaveOptions): Promise<SnapshotLocator | undefined> {
    const { signal } = options;
    const listener: Listener = { ...options }; // callers may share one object
    let leave: (reason: unknown) => void = () => {};
    const left = new Promise<never>((_, reject) => {
      leave = (reason) => {
        if (!waiting.listeners.delete(listener)) return;
        if (waiting.listeners.size > 0) return reject(reason);
        this.#waiting.delete(waiting); // at once: a call that comes now must not share the abort
        waiting.abort.abort(reason);
      };
    });
    waiting.listeners.set(listener, leave);
    const onAbort = () => leave(signal?.reason);
    signal?.addEventListener("abort", onAbort);
    try {
      return await Promise.race([left, waiting.outcome]);
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  async #publish(turn: Turn, { layout, labels, options }: Wanted): Promise<SnapshotLocator | undefined> {
    const { backend, lineage, names, now } = this.#parts;
    let capture: Capture | undefined;
    let stage: Stage | undefined;
    let commit = () => {};
    let name = "";
    let hasPin = false;
    try {
      options.signal?.throwIfAborted();
      const nowMs = now();
      const facts = this.#facts("save", nowMs, labels);
      const { captured } = lineage;
      const committed = new Promise<void>((resolve) => commit = resolve);
      capture = this.#capture(this.#memory, { ...options, committed }, turn);
      await this.#sweepNowAndThen();
      const listed = await names.list(lineage.listAfter);
      await lineage.assertMayAdd(listed.map((found) => this.#listedName(found)));
      const last = options.ifUnchanged === "skip" ? await this.#lastStates(listed) : undefined;
      const leastBytes = await inSlices(layout.leastBytes(capture.pendingSizes()));
      ({ name, stage } = await names.claim(nowMs, layout.suffix, leastBytes));
      lineage.claimed(name);
      hasPin = await notePin(backend, name, labels);
      const unit = await layout.write(stage, capture.entries(), { savedAt: facts.savedAt, signal: capture.signal });
      const sealed = await inSlices(sealing({ ...facts, name }, unit.entries));
      if (last !== undefined && await inSlices(comparingContent(last, sealed.manifest))) throw UNCHANGED;
      await unit.publish(sealed);
      const { savedAt } = facts;
      const { sizeBytes } = sealed.manifest.totals;
      lineage.saved({ name, savedAt, step: labels.step, sizeBytes }, captured);
      commit();
      const locator = new SnapshotLocator(backend, [stage.unit]);
      this.#last = locator;
      this.#log.info("Saved: '{snapshot}', {sizeBytes} bytes", { snapshot: String(locator), sizeBytes });
      return locator;
    } catch (error) {
      const first = capture?.fail(error) ?? error;
      if (hasPin) await dropPin(backend, name, error);
      await stage?.abandon();
      if (first === UNCHANGED) return undefined;
      throw isSnapshotError(error, "COMMIT_UNCERTAIN") ? error : first; // whatever failed beside, it can be seen
    } finally {
      capture?.close();
      turn.end();
    }
  }

  /** What the states would save now, digested as it comes and written nowhere. */
  async digest(options: CaptureOptions): Promise<ManifestState[]> {
    const entered = this.#parts.access.enter("stream", { signal: options.signal });
    const turn = entered instanceof Promise ? await entered : entered;
    let capture: Capture | undefined;
    try {
      options.signal?.throwIfAborted();
      capture = this.#capture(new CaptureMemory({ isReused: false }), options, turn);
      const entries = new Map(capture.states.map(({ name }): [string, ManifestEntry[]] => [name, []]));
      const pace = new Pace();
      for await (const next of capture.entries()) {
        for (const source of listOfSources(next)) {
          if (pace.isDue) await pace.rest();
          const measured = new MeasuredEntry(source);
          for await (const _ of measured.chunks());
          const { state, ...entry } = measured.finish();
          entries.get(state)?.push(entry);
        }
      }
      capture.throwIfFailed();
      return capture.states.map(({ name, version }) => ({ name, version, entries: entries.get(name) ?? [] }));
    } catch (error) {
      throw capture?.fail(error) ?? error;
    } finally {
      capture?.close();
      turn.end();
    }
  }

  #capture(memory: CaptureMemory, options: CaptureOptions, turn: Turn): Capture {
    const { store, registry, backend } = this.#parts;
    const workFolder = backend.workFolder?.bind(backend);
    return new Capture(registry.all, memory, { ...options, store, workFolder, onCaptured: turn.captured });
  }

  /** What the manifest says of states that are captured now, but for the name; throws where they must not be saved as they are. */
  #facts(action: "save" | "stream", nowMs: number, labels: Labels): Omit<ManifestFacts, "name"> {
    const { lineage, programs: [program], run, registry: { all: states } } = this.#parts;
    lineage.assertWhole(action, states);
    return { savedAt: new Date(nowMs), states, parent: lineage.parent, labels, program, run };
  }

  #listedName({ name, unit }: ListedUnit): ListedName {
    const run = async () => {
      try {
        return (await new SnapshotLocator(this.#parts.backend, [unit]).manifest()).run;
      } catch (error) {
        if (!isSnapshotError(error)) throw error;
        return error.code === "SNAPSHOT_NOT_FOUND" || error.code === "SNAPSHOT_GONE" ? null : undefined;
      }
    };
    return { name, run };
  }

  /** What this run's last snapshot holds, if it is still there and the newest. */
  async #lastStates(listed: readonly ListedUnit[]): Promise<Manifest | undefined> {
    const last = this.#last;
    if (last === undefined || listed.some(({ name }) => name > last.name)) return undefined;
    try {
      return await last.manifest();
    } catch (error) {
      if (!isSnapshotError(error)) throw error;
      return undefined; // it has gone or is damaged: a new one is needed
    }
  }

  /** Sweeps at the first save, and again when writers that had a heartbeat then may be dead by now. */
  async #sweepNowAndThen(): Promise<void> {
    if (monotonicMs() - this.#sweptAtMs < STALE_AFTER_MS) return;
    this.#sweptAtMs = monotonicMs();
    try {
      await sweep(this.#parts.backend);
    } catch (error) {
      this.#log.warn("Cannot sweep: {error}", { error }); // leftovers cost room; they must not cost a save
    }
  }
}

/** Whether two manifests have the same states, in the same order, and the same labels. */
export function* comparingContent(first: Content, second: Content): Work<boolean> {
  const isLabeled = JSON.stringify(ordered(first.labels)) === JSON.stringify(ordered(second.labels));
  return isLabeled && (yield* matchingStates(first.states, second.states));
}

function keyOf({ layout, labels, options: { ifUnchanged } }: Wanted): string {
  return JSON.stringify([layout.suffix, ordered(labels), ifUnchanged ?? null]);
}

/** Labels with their keys in one order. */
function ordered({ metrics, ...labels }: Labels): unknown {
  const sorted = (values: object) => Object.entries(values).sort(([a], [b]) => a < b ? -1 : 1);
  return [sorted(labels), metrics && sorted(metrics)];
}
