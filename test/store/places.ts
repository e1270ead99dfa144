// The layouts and backends the store's suites run over. A new layout is one word here.
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import {
  type Backend,
  fileBackend,
  type LayoutKind,
  memoryBackend,
  StateStore,
  type StateStoreOptions,
} from "snapkeep";
import type { Stage } from "snapkeep/backend";
import { onTestFinished } from "vitest";

const layouts: readonly LayoutKind[] = ["directory", "tar.gz"];

/** Somewhere to save to, in one layout; new for each test, and gone when the test has finished. */
export interface Place {
  readonly layout: LayoutKind;
  readonly backend: Backend;
  /** Where it lies on disk; absent for memory. */
  readonly folder?: string;
  /** A store on this place, in this layout; it may save beside what lies there, unless told otherwise. */
  store(options?: StateStoreOptions): StateStore;
  /** Everything on disk directly in the place, hidden things too, but for notes; sorted, and empty for memory. */
  files(): Promise<string[]>;
  cleanup(): Promise<void>;
}

/** A new, empty folder that is gone when the test has finished. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), "snapkeep-test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export function placeOn(backend: Backend, layout: LayoutKind = "directory", folder?: string): Place {
  return {
    layout,
    backend,
    ...folder === undefined ? {} : { folder },
    store: (options = {}) => new StateStore(backend, { layout, startFresh: true, ...options }),
    async files() {
      if (folder === undefined) return [];
      return (await readdir(folder).catch(() => [])).filter((name) => name !== ".notes").sort();
    },
    cleanup: () => folder === undefined ? Promise.resolve() : rm(folder, { recursive: true, force: true }),
  };
}

const backends = {
  memory: (layout: LayoutKind) => Promise.resolve(placeOn(memoryBackend(), layout)),
  // Power loss is simulated elsewhere; without syncs the suite is several times as fast.
  file: async (layout: LayoutKind) => {
    const folder = path.join(await temporaryFolder(), "states");
    return placeOn(fileBackend(folder, { durability: "none" }), layout, folder);
  },
};

async function make(backend: keyof typeof backends, layout: LayoutKind): Promise<Place> {
  const place = await backends[backend](layout);
  onTestFinished(place.cleanup);
  return place;
}

/** Each layout on each backend: `describe.each(places)("... ($layout, $backend)", ({ make }) => ...)`. */
export const places = layouts.flatMap((layout) =>
  (["memory", "file"] as const).map((backend) => ({ layout, backend, make: () => make(backend, layout) }))
);

/** Each layout on a real folder, for what can only be seen or done there. */
export const filePlaces = places.filter(({ backend }) => backend === "file");

/** A backend that differs from another in some methods. */
export function changed(backend: Backend, changes: Partial<Backend>): Backend {
  const { foreign, workFolder } = backend;
  return {
    uri: backend.uri,
    create: () => backend.create(),
    list: (options) => backend.list(options),
    blobs: (unit) => backend.blobs(unit),
    open: (unit, blobPath) => backend.open(unit, blobPath),
    stage: (unit, options) => backend.stage(unit, options),
    scratch: () => backend.scratch(),
    remove: (unit) => backend.remove(unit),
    sweep: (olderThanMs) => backend.sweep(olderThanMs),
    notes: backend.notes,
    ...foreign === undefined ? {} : { foreign },
    ...workFolder === undefined ? {} : { workFolder: () => workFolder.call(backend) },
    ...changes,
  };
}

/** A stage that differs from another in some methods. */
export function changedStage(stage: Stage, changes: Partial<Stage>): Stage {
  return {
    unit: stage.unit,
    write: (path, body, options) => stage.write(path, body, options),
    publish: (path, body) => stage.publish(path, body),
    scratch: () => stage.scratch(),
    abandon: () => stage.abandon(),
    ...changes,
  };
}

/** A backend whose stages differ in some methods. */
export function withStages(backend: Backend, changes: (stage: Stage) => Partial<Stage>): Backend {
  return changed(backend, {
    stage: async (unit, options) => {
      const stage = await backend.stage(unit, options);
      return changedStage(stage, changes(stage));
    },
  });
}
