// Saving all states as one snapshot, into the place or out as a stream: take a turn, call the states, claim a name, write,
// publish. Saves of one store come one after the other; those that wait may be joined.
import { STALE_AFTER_MS } from "../model/backend.ts";
import { sealManifest } from "../manifest/manifest.ts";
import { MeasuredEntry } from "../manifest/measured_entry.ts";
import type { Backend, Stage } from "../model/backend.ts";
import { toReadableStream } from "../runtime/bytes.ts";
import { monotonicMs } from "../runtime/clock.ts";
import { isSnapshotError, SnapshotError } from "../model/errors.ts";
import { loggerOf, warnUser } from "../runtime/logging.ts";
import type {
  Labels,
  Layout,
  ManifestEntry,
  ManifestState,
  Seal,
  SealedManifest,
  WrittenEntry,
} from "../model/snapshot.ts";
import type { ArchiveLayout } from "../layout/archive_layout.ts";
import { Capture, type CaptureOptions, type Registration, type SaveProgress } from "./capture.ts";
import { CaptureMemory } from "./capture_memory.ts";
import type { Lineage, ListedName } from "./lineage.ts";
import { SnapshotLocator } from "../snapshot/locator.ts";
import type { ListedUnit, NameClaimer } from "./name_claimer.ts";
import { publishNoted } from "../snapshot/notes.ts";
import { StateAccess, type Turn } from "./state_access.ts";

/** What a save does beside arranging and labelling. */
export interface SavingOptions extends CaptureOptions {
  /** What to do where it would have to wait. */
  readonly ifBusy?: "wait" | "join" | "skip";
  /** Whether to leave out a snapshot that would equal this run's last one. */
  readonly ifUnchanged?: "skip";
}

/** What saving needs of a store. */
export interface SavingParts {
  /** The store itself, whose states must not call it. */
  readonly store: object;
  /** The place. */
  readonly backend: Backend;
  /** Gives names. */
  readonly names: NameClaimer;
  /** Says whether the program may save. */
  readonly lineage: Lineage;
  /** Recorded in manifests. */
  readonly program: string | undefined;
  /** Recorded in manifests. */
  readonly run: string;
  /** How many saves may wait. */
  readonly maxWaiting: number;
  /** The clock. */
  readonly now: () => number;
  /** The registered states, in order. */
  readonly states: () => readonly Registration[];
  /** Removes leftovers. */
  readonly sweep: () => Promise<unknown>;
}

interface WaitingSave {
  readonly key: string;
  readonly abort: AbortController;
  readonly listeners: Set<(progress: SaveProgress) => void>;
  members: number;
  outcome: Promise<SnapshotLocator | undefined>;
}

interface Wanted {
  readonly layout: Layout;
  readonly labels: Labels;
  readonly options: SavingOptions;
}

/** Ends a save that would publish what the last snapshot holds. */
const UNCHANGED = new Error("Nothing has changed since the last snapshot");

/** Saves the states of one store. */
export class Saver {
  readonly #parts: SavingParts;
  /** Who may call the states. */
  readonly access: StateAccess;
  readonly #memory = new CaptureMemory();
  readonly #log = loggerOf("StateStore");
  readonly #waiting = new Set<WaitingSave>();
  #last: SnapshotLocator | undefined;
  #sweptAtMs = -Infinity;

  constructor(parts: SavingParts) {
    this.#parts = parts;
    const address = parts.backend.uri;
    this.access = new StateAccess((stream) =>
      warnUser({
        className: "StateStore",
        kind: "LOAD_HELD_BACK",
        address: `${address} ${stream}`,
        message: `A load waits for the stream "${stream}", which is not read; read its body to the end or cancel it`,
      })
    );
  }

  /** Saves into the place; `undefined` where the save was skipped. */
  async save(wanted: Wanted): Promise<SnapshotLocator | undefined> {
    const { signal, ifBusy } = wanted.options;
    if (!this.access.isBusy) {
      // The states are called before anything is awaited: what they hand over belongs to the instant of the call.
      const turn = this.access.enter("save");
      return await this.#publish(turn instanceof Promise ? await turn : turn, wanted);
    }
    if (ifBusy === "skip") return undefined;
    signal?.throwIfAborted();
    const key = keyOf(wanted);
    const joined = ifBusy === "join" ? [...this.#waiting].find((waiting) => waiting.key === key) : undefined;
    if (joined !== undefined) return await this.#outcomeOf(joined, wanted.options);
    const { maxWaiting, backend } = this.#parts;
    if (this.#waiting.size >= maxWaiting) {
      throw new SnapshotError(
        "SAVE_BACKLOG",
        `Cannot save to "${backend.uri}": ${this.#waiting.size} saves wait already; ` +
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
    const { backend, lineage, names, now } = this.#parts;
    const name = names.propose(now());
    const waiting = new AbortController();
    const onAbort = () => waiting.abort(options.signal?.reason);
    options.signal?.addEventListener("abort", onAbort);
    const entered = this.access.enter("stream", { stream: name, signal: waiting.signal });
    let capture: Capture | undefined;
    let entry: Turn | undefined;
    const begin = (turn: Turn) => {
      entry = turn;
      options.signal?.removeEventListener("abort", onAbort); // from here on the capture listens
      try {
        waiting.signal.throwIfAborted();
        const states = this.#parts.states();
        lineage.assertWhole("stream", states);
        const nowMs = now();
        const { parent } = lineage;
        capture = this.#capture(states, new CaptureMemory({ isReused: false }), options, turn);
        return { turn, capture, seal: this.#seal({ name, nowMs, labels, parent }, capture) };
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
      const { turn, capture, seal } = await begun;
      try {
        yield* layout.encoder(seal, () => backend.scratch()).encode(capture.entries());
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
    const listeners: WaitingSave["listeners"] = new Set();
    const onProgress = (progress: SaveProgress) => {
      for (const listener of listeners) listener(progress);
    };
    const options = { ...wanted.options, signal: abort.signal, onProgress };
    const run = async () => {
      try {
        const turn = await this.access.enter("save", { signal: abort.signal });
        this.#waiting.delete(waiting);
        return await this.#publish(turn, { ...wanted, options });
      } finally {
        this.#waiting.delete(waiting);
      }
    };
    const waiting: WaitingSave = { key, abort, listeners, members: 0, outcome: run() };
    this.#waiting.add(waiting);
    return waiting;
  }

  /** What a waiting save comes to, for one of its callers: an abort ends the save only if no other caller shares it. */
  async #outcomeOf(waiting: WaitingSave, { signal, onProgress }: SavingOptions): Promise<SnapshotLocator | undefined> {
    waiting.members++;
    if (onProgress !== undefined) waiting.listeners.add(onProgress);
    let onAbort = () => {};
    const left = new Promise<never>((_, reject) => {
      onAbort = () => {
        if (--waiting.members === 0) {
          this.#waiting.delete(waiting); // at once: a call that comes now must not share the abort
          return waiting.abort.abort(signal?.reason);
        }
        if (onProgress !== undefined) waiting.listeners.delete(onProgress);
        reject(signal?.reason);
      };
    });
    signal?.addEventListener("abort", onAbort);
    try {
      return await Promise.race([left, waiting.outcome]);
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  async #publish(turn: Turn, { layout, labels, options }: Wanted): Promise<SnapshotLocator | undefined> {
    let capture: Capture | undefined;
    let stage: Stage | undefined;
    let commit = () => {};
    try {
      options.signal?.throwIfAborted();
      const { backend, lineage, names, now } = this.#parts;
      const nowMs = now();
      const states = this.#parts.states();
      lineage.assertWhole("save", states);
      const { parent, captured } = lineage;
      const committed = new Promise<void>((resolve) => commit = resolve);
      capture = this.#capture(states, this.#memory, { ...options, committed }, turn);
      await this.#sweepNowAndThen();
      const listed = await names.list(lineage.listAfter);
      await lineage.assertMayAdd(listed.map((found) => this.#listedName(found)));
      const last = options.ifUnchanged === "skip" ? await this.#lastStates(listed) : undefined;
      const claimed = await names.claim(nowMs, layout.suffix, layout.leastBytes(capture.pendingSizes));
      stage = claimed.stage;
      lineage.claimed(claimed.name);
      const seal = this.#seal({ name: claimed.name, nowMs, labels, parent }, capture, last);
      const write = () => layout.write(claimed.stage, (capture as Capture).entries(), seal);
      const manifest = await publishNoted(backend, claimed.name, labels, write);
      lineage.saved(claimed.name, captured);
      commit();
      const locator = new SnapshotLocator(backend, [stage.unit]);
      this.#last = locator;
      this.#log.info("Saved: '{snapshot}', {sizeBytes} bytes", {
        snapshot: String(locator),
        sizeBytes: manifest.totals.sizeBytes,
      });
      return locator;
    } catch (error) {
      const first = capture?.fail(error) ?? error;
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
    const entered = this.access.enter("stream", { signal: options.signal });
    const turn = entered instanceof Promise ? await entered : entered;
    let capture: Capture | undefined;
    try {
      options.signal?.throwIfAborted();
      const states = this.#parts.states();
      capture = this.#capture(states, new CaptureMemory({ isReused: false }), options, turn);
      const entries = new Map(states.map(({ name }): [string, ManifestEntry[]] => [name, []]));
      for await (const source of capture.entries()) {
        const measured = new MeasuredEntry(source);
        for await (const _ of measured.chunks());
        const { state, ...entry } = measured.finish();
        entries.get(state)?.push(entry);
      }
      capture.throwIfFailed();
      return states.map(({ name, version }) => ({ name, version, entries: entries.get(name) ?? [] }));
    } catch (error) {
      throw capture?.fail(error) ?? error;
    } finally {
      capture?.close();
      turn.end();
    }
  }

  #capture(states: readonly Registration[], memory: CaptureMemory, options: CaptureOptions, turn: Turn): Capture {
    const { store, backend } = this.#parts;
    const workFolder = backend.workFolder?.bind(backend);
    return new Capture(states, memory, { ...options, store, workFolder, onCaptured: turn.captured });
  }

  #seal(
    { name, nowMs, labels, parent }: { name: string; nowMs: number; labels: Labels; parent: string | null },
    capture: Capture,
    last?: string,
  ): Seal {
    const { program, run } = this.#parts;
    const facts = { name, savedAt: new Date(nowMs), states: capture.states, parent, labels, program, run };
    const seal = (written: readonly WrittenEntry[]): SealedManifest => {
      capture.throwIfFailed(); // the last moment at which nothing can be seen of it yet
      const sealed = sealManifest(facts, written);
      if (last !== undefined && last === contentOf(sealed.manifest)) throw UNCHANGED;
      return sealed;
    };
    return { savedAt: facts.savedAt, seal };
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
  async #lastStates(listed: readonly ListedUnit[]): Promise<string | undefined> {
    const last = this.#last;
    if (last === undefined || listed.some(({ name }) => name > last.name)) return undefined;
    try {
      return contentOf(await last.manifest());
    } catch (error) {
      if (!isSnapshotError(error)) throw error;
      return undefined; // it has gone or is damaged: a new one is wanted
    }
  }

  /** Sweeps at the first save and again when what had signs of life then may have none by now. */
  async #sweepNowAndThen(): Promise<void> {
    if (monotonicMs() - this.#sweptAtMs < STALE_AFTER_MS) return;
    this.#sweptAtMs = monotonicMs();
    try {
      await this.#parts.sweep();
    } catch (error) {
      this.#log.warn("Cannot sweep: {error}", { error }); // leftovers cost room; they must not cost a save
    }
  }
}

/** What a manifest says of the states and labels, so that two can be compared. */
function contentOf({ states, labels }: { readonly states: readonly ManifestState[]; readonly labels: Labels }): string {
  return JSON.stringify([states, ordered(labels)]);
}

function keyOf({ layout, labels, options: { ifUnchanged } }: Wanted): string {
  return JSON.stringify([layout.suffix, ordered(labels), ifUnchanged ?? null]);
}

/** Labels with their keys in one order. */
function ordered({ metrics, ...labels }: Labels): unknown {
  const sorted = (values: object) => Object.entries(values).sort(([a], [b]) => a < b ? -1 : 1);
  return [sorted(labels), metrics && sorted(metrics)];
}
