// Loading and resuming under the turn of a load: nothing else calls the states meanwhile, retention keeps the snapshot, and
// lineage notes what was loaded.
import { openStream } from "../snapshot/copying.ts";
import { locatorOf, type SnapshotSource } from "../snapshot/locate.ts";
import type { SnapshotLocator } from "../snapshot/locator.ts";
import { sealedOf, type SnapshotReader } from "../snapshot/snapshot_reader.ts";
import { assertProgram } from "./identity.ts";
import { readLastRun } from "./last_run.ts";
import { failedAfresh, type LoadedStates, type LoadOptions, loadStates, tellLoaded } from "./loading.ts";
import { resumeFrom, type ResumeOptions, type ResumeReport, type ResumeSource } from "./resuming.ts";
import type { Saver, StoreParts } from "./saving.ts";

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
  readonly #saver: Saver;

  constructor(parts: StoreParts, saver: Saver) {
    this.#parts = parts;
    this.#saver = saver;
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
        return await this.#load(reader, options, await this.#newestSince((await sealedOf(reader).read()).name));
      }
      return { snapshot, ...await this.#open(snapshot, options, await this.#newestSince(snapshot.name)) };
    }, snapshot?.name);
  }

  /** Loads the newest snapshot that is whole. */
  async resume(place: Omit<ResumeSource, "load">, options: ResumeOptions): Promise<ResumeReport> {
    return await this.#exclusively(options, undefined, async () => {
      let newest: string | undefined;
      const tellLastRun = await readLastRun(this.#parts.backend, this.#parts);
      const list = async () => {
        const listed = await place.list();
        newest = listed.at(-1)?.name;
        return listed;
      };
      const load = (snapshot: SnapshotLocator) => this.#open(snapshot, options, newest, true);
      const report = await resumeFrom({ ...place, list, load }, options);
      if (report.outcome === "fresh") {
        await tellLoaded(this.#parts.registry.all, this.#parts.store, failedAfresh(place.uri));
        this.#parts.lineage.resumedFresh();
      }
      // Of a part of the states it cannot be said what was lost.
      if (tellLastRun === undefined || options.only !== undefined) return report;
      return { ...report, lastRun: tellLastRun(report.outcome === "fresh" ? undefined : this.#saver.lastKnown) };
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
      const turn = await this.#saver.access.enter("load", { signal });
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

  async #open(
    snapshot: SnapshotLocator,
    options: LoadOptions,
    newest: string | undefined,
    isResume = false,
  ): Promise<LoadedStates & { readonly name: string }> {
    const endGuard = this.#parts.lineage.beginLoad(snapshot.name);
    try {
      return await this.#load(await snapshot.open({ signal: options.signal }), options, newest, snapshot, isResume);
    } finally {
      endGuard();
    }
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
      manifest = await sealedOf(reader).read(); // which may break its own rules, as is found only now
      if (isResume) assertProgram("resume from", String(snapshot), this.#parts.programs, manifest.program);
    } catch (error) {
      await reader.close();
      throw error;
    }
    const { name } = manifest;
    const registrations = this.#parts.registry.all;
    const states = await loadStates(String(snapshot ?? name), reader, registrations, options, {
      store: this.#parts.store,
      onTorn: (torn) => this.#parts.lineage.tore(torn),
    });
    this.#parts.lineage.finishedLoad({
      savedAs: name, // lineage outlives the place, and copies under other names
      name: snapshot?.name ?? name, // keepers go by the name at the place
      states: manifest.states.map((state) => state.name),
      loaded: states.loaded,
      isFull: options.only === undefined,
      registered: new Set(registrations.map((registration) => registration.name)),
      newest,
    }, this.#parts.registry.all);
    const { savedAt, labels: { step }, totals: { sizeBytes } } = manifest;
    if (options.only === undefined) {
      this.#saver.lastKnown = { name: snapshot?.name ?? name, savedAt: new Date(savedAt), step, sizeBytes };
    }
    return { name, ...states };
  }
}
