// What is crashed. Each operation says what it acknowledged, and when.
import { type Labels, LatestStatesKeeper, memoryBackend, SnapshotLocator, StateStore } from "snapkeep";
import { layoutOfKind } from "../../src/layout/layouts.ts";
import { writeCopy } from "../../src/snapshot/copying.ts";
import { COPIES, type CrashOperation, Model, ROOT, START_MS, type World } from "./crash_loop.ts";
import { rawOf } from "../../src/snapshot/snapshot_reader.ts";

const OF_SCRATCH_BYTES = 1_100_000;

function saving(layout: "directory" | "tar.gz", labels?: { pinned: true }): CrashOperation {
  return {
    async run(world) {
      world.saving(labels ?? {});
      world.saved(await world.store.saveState(labels === undefined ? { layout } : { layout, labels }));
    },
  };
}

async function listed(world: World): Promise<SnapshotLocator[]> {
  return await new StateStore(world.other()).list();
}

const unitOf = ({ name, layout }: SnapshotLocator) => name + (layout === "directory" ? "/" : ".tar.gz");

function removing(index: number): CrashOperation {
  return {
    async run(world) {
      const locator = (await listed(world))[index] as SnapshotLocator;
      world.removing(unitOf(locator));
      await locator.remove();
      world.removed();
    },
  };
}

function importing(
  from: "directory" | "tar.gz",
  to: "directory" | "tar.gz",
  { isStream = false, labels = {} }: { readonly isStream?: boolean; readonly labels?: Labels } = {},
): CrashOperation {
  return {
    async run(world) {
      const elsewhere = new StateStore(memoryBackend(), { now: () => START_MS + 60_000 })
        .register("model", new Model(3));
      const source = await elsewhere.saveState({ layout: from, labels });
      world.saving(labels);
      world.saved(await world.store.importSnapshot(isStream ? source.stream() : source, { layout: to }));
    },
  };
}

function exporting(index: number, root: string): CrashOperation {
  return {
    async run(world) {
      const locator = (await listed(world))[index] as SnapshotLocator;
      const layout = layoutOfKind(locator.layout === "directory" ? "tar.gz" : "directory");
      const backend = world.other(root);
      const reader = await locator.open();
      if (root !== COPIES) world.saving();
      const stage = await backend.stage(locator.name + layout.suffix, { allowOtherLayouts: true });
      await writeCopy(rawOf(reader), layout, { backend, stage, labels: reader.manifest.labels });
      await reader.close();
      if (root === COPIES) return;
      world.saved(new SnapshotLocator(backend, [stage.unit]));
    },
  };
}

/** All that changes a place. */
export const crashOperations: Record<string, CrashOperation> = {
  "saving a directory": saving("directory"),
  "saving an archive": saving("tar.gz"),
  "saving a pinned directory": saving("directory", { pinned: true }),
  "saving a pinned archive": saving("tar.gz", { pinned: true }),
  "saving an archive through scratch": {
    async run(world) {
      world.model.longLineBytes = OF_SCRATCH_BYTES;
      await saving("tar.gz").run(world);
    },
  },
  "saving the first directory": { ...saving("directory"), isFirst: true },
  "saving the first archive": { ...saving("tar.gz"), isFirst: true },
  "saving twice": {
    async run(world) {
      for (const layout of ["directory", "tar.gz"] as const) {
        await saving(layout).run(world);
        world.model.step++;
      }
    },
  },
  "removing a directory": removing(0),
  "removing an archive": removing(1),
  "cleaning up": {
    async run(world) {
      await saving("directory").run(world);
      const units = [...world.knowledge.must.keys()].sort().slice(0, -1);
      world.removing(...units);
      await new LatestStatesKeeper(world.store, 1).cleanup();
      world.removed();
    },
  },
  "saving while another program cleans up": {
    async run(world) {
      const other = new StateStore(world.other());
      world.removing(...[...world.knowledge.must.keys()].sort().slice(0, -1));
      const cleaning = new LatestStatesKeeper(other, 1).cleanup();
      world.saving();
      world.saved(await world.store.saveState());
      await cleaning;
      world.removed();
    },
  },
  "labelling first": {
    async run(world) {
      const [locator] = await listed(world) as [SnapshotLocator];
      world.labelled(locator.name, {}, { step: 1 });
      await locator.label({ step: 1 });
      world.labelled(locator.name, { step: 1 });
    },
  },
  "labelling again": {
    async prepare(world) {
      await (await listed(world))[0]?.label({ step: 1 });
    },
    async run(world) {
      const [locator] = await listed(world) as [SnapshotLocator];
      world.labelled(locator.name, { step: 1 }, { step: 1, pinned: true });
      await locator.pin();
      world.labelled(locator.name, { step: 1, pinned: true });
    },
  },
  "importing an archive": importing("tar.gz", "directory"),
  "importing a directory": importing("directory", "tar.gz"),
  "importing a stream": importing("directory", "directory", { isStream: true }),
  "importing a pinned archive": importing("tar.gz", "directory", { labels: { pinned: true } }),
  "importing a pinned directory": importing("directory", "tar.gz", { labels: { pinned: true } }),
  "exporting beside": exporting(0, ROOT),
  "exporting to another place": exporting(1, COPIES),
  "sweeping": {
    async prepare(world) {
      const backend = world.other();
      for (const unit of ["dead.state/", "dead2.state.tar.gz"]) {
        const stage = await backend.stage(unit);
        if (unit.endsWith("/")) await stage.write("a/b", [new Uint8Array(10)]);
      }
      await (await backend.scratch()).write([new Uint8Array(3)]);
      await world.files.makeFolder("/states/.0123456789abcdef.trash");
      await (await world.files.create("/states/.0123456789abcdef.trash/manifest.json")).sync();
    },
    async run({ store }) {
      await store.sweep({ force: true });
    },
  },
};
