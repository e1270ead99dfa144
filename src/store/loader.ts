// Loading and resuming under the turn of a load: nothing else calls the states meanwhile, retention keeps the snapshot, and
// lineage notes what was loaded.
import { openStream } from "../snapshot/copying.ts";
import { locatorOf, type SnapshotSource } from "../snapshot/locate.ts";
import type { SnapshotLocator } from "../snapshot/locator.ts";
import { rawOf, type SnapshotReader } from "../snapshot/snapshot_reader.ts";
import { assertProgram } from "./identity.ts";
import { readLastRun } from "./last_run.ts";
import { failedAfresh, type LoadedStates, type LoadOptions, loadStates, tellLoaded } from "./loading.ts";
import { resumeFrom, type ResumeOptions, type ResumeReport } from "./resuming.ts";
import type { StoreParts } from "./store_parts.ts";

/** What a load did. */
export interface LoadReport extends LoadedStates {
  /** Address of the snapshot that was loaded; absent where it came as a stream. */
  readonly snapshot?: SnapshotLocator;
  /** Its name, as it was saved. */
  readonly name: string;
}

/** Loads snapshots into the states of one store. */
export class Loader {
  readonly #parts: StoreParts;

  constructor(parts: StoreParts) {
    this.#parts = parts;
  }

  /** Loads one snapshot. */
  async load(from: SnapshotSource, options: LoadOptions): Promise<LoadReport> {
    const snapshot = locatorOf(from);
    // A stream is taken in before the turn: it may be one of this store, which must end before a load begins.
    const spooled = snapshot === undefined
      ? await openStream(this.#parts.backend, from as ReadableStream<Uint8Array>, options)
      : undefined;
    return await this.#exclusively(options, spooled, async () => {
      if (snapshot === undefined) {
        const reader = spooled as SnapshotReader;
        return await this.#load(reader, options, await this.#newestSince((await rawOf(reader).sealed.read()).name));
      }
      const newest = await this.#newestSince(snapshot.name);
      return {
        snapshot,
        ...await this.#load(await snapshot.open({ signal: options.signal }), options, newest, snapshot),
      };
    }, snapshot?.name);
  }

  /** Loads the newest snapshot that is whole. */
  async resume(options: ResumeOptions): Promise<ResumeReport> {
    const { backend, lineage, place, registry, store } = this.#parts;
    return await this.#exclusively(options, undefined, async () => {
      const tellLastRun = await readLastRun(backend, this.#parts);
      const load = async (snapshot: SnapshotLocator, newest: string | undefined) => {
        const endGuard = lineage.beginLoad(snapshot.name);
        try {
          return await this.#load(await snapshot.open({ signal: options.signal }), options, newest, snapshot, true);
        } finally {
          endGuard();
        }
      };
      const report = await resumeFrom(place, options, load);
      if (report.outcome === "fresh") {
        await tellLoaded(registry.all, store, failedAfresh(place.address));
        lineage.resumedFresh();
      }
      // Of a part of the states it cannot be said what was lost.
      if (tellLastRun === undefined || options.only !== undefined) return report;
      return { ...report, lastRun: tellLastRun(report.outcome === "fresh" ? undefined : lineage.lastKnown) };
    }, options.name);
  }

  /** Keeps saves, streams and other loads away, and the snapshot from retention. */
  async #exclusively<T>(
    { signal }: { readonly signal?: AbortSignal },
    spooled: SnapshotReader | undefined,
    load: () => Promise<T>,
    name?: string,
  ): Promise<T> {
    const endGuard = name === undefined ? undefined : this.#parts.lineage.beginLoad(name);
    try {
      const turn = await this.#parts.access.enter("load", { signal });
      try {
        return await load();
      } finally {
        turn.end();
      }
    } finally {
      endGuard?.();
      await spooled?.close();
    }
  }

  /** The newest name at the place, where it is later than a snapshot's; else that. */
  async #newestSince(name: string): Promise<string | undefined> {
    const after = this.#parts.names.isTimed(name) ? name : undefined;
    const names = (await this.#parts.names.list(after)).map((listed) => listed.name);
    return names.reduce((newest, other) => newest !== undefined && newest > other ? newest : other, after);
  }

  async #load(
    reader: SnapshotReader,
    options: LoadOptions,
    newest: string | undefined,
    snapshot?: SnapshotLocator,
    isResume = false,
  ): Promise<LoadedStates & { readonly name: string }> {
    let manifest;
    try {
      manifest = await rawOf(reader).sealed.read(); // which may break its own rules, as is found only now
      if (isResume) assertProgram("resume from", String(snapshot), this.#parts.programs, manifest.program);
    } catch (error) {
      await reader.close();
      throw error;
    }
    const { name, savedAt, labels: { step }, totals: { sizeBytes } } = manifest;
    const registrations = this.#parts.registry.all;
    const states = await loadStates(String(snapshot ?? name), reader, registrations, options, {
      store: this.#parts.store,
      resumes: isResume,
      onTorn: (torn) => this.#parts.lineage.tore(torn),
    });
    this.#parts.lineage.finishedLoad({
      savedAs: name, // lineage outlives the place, and copies under other names
      known: { name: snapshot?.name ?? name, savedAt: new Date(savedAt), step, sizeBytes }, // keepers go by the name at the place
      states: manifest.states.map((state) => state.name),
      loaded: states.loaded,
      isFull: options.only === undefined,
      registered: new Set(registrations.map((registration) => registration.name)),
      newest,
    }, this.#parts.registry.all);
    return { name, ...states };
  }
}
