// Importing: a snapshot from anywhere becomes one of the store's place, under the name it was saved with.
import type { Backend } from "../model/backend.ts";
import { assertOptions, type OptionNames } from "../model/options.ts";
import type { Layout } from "../model/snapshot.ts";
import type { LayoutKind } from "../model/unit.ts";
import { leastBytesOf, openStream, writeCopy } from "../snapshot/copying.ts";
import { locatorOf, type SnapshotSource } from "../snapshot/locate.ts";
import { SnapshotLocator } from "../snapshot/locator.ts";
import type { ProgressOptions } from "../snapshot/progress.ts";
import { sealedOf } from "../snapshot/snapshot_reader.ts";
import type { NameClaimer } from "./name_claimer.ts";

/** How a snapshot is imported. */
export interface ImportOptions extends ProgressOptions {
  /**
   * Layout of the imported snapshot.
   *
   * @default the layout of the source; for a plain tar that of the store
   */
  readonly layout?: LayoutKind;
  /**
   * Aborts the import; rejects with the reason of the signal.
   *
   * @default none
   */
  readonly signal?: AbortSignal;
}

const IMPORT_OPTIONS: OptionNames<ImportOptions> = {
  layout: true,
  signal: "an AbortSignal",
  onProgress: "a function",
};

/** Copies a snapshot to a place, as `StateStore.importSnapshot` says; `layoutOf` gives the layout of a word, or the store's own. */
export async function importInto(
  backend: Backend,
  names: NameClaimer,
  from: SnapshotSource,
  options: ImportOptions,
  layoutOf: (layout?: LayoutKind) => Layout,
): Promise<{ readonly name: string; readonly locator: SnapshotLocator }> {
  assertOptions("import", options, IMPORT_OPTIONS);
  const { layout: wanted, signal, onProgress } = options;
  layoutOf(wanted); // refuses unknown words before anything is read
  signal?.throwIfAborted();
  const source = locatorOf(from);
  const reader = await (source?.open({ signal }) ?? openStream(backend, from as ReadableStream<Uint8Array>, options));
  try {
    const layout = layoutOf(wanted ?? (reader.layout === "tar" ? undefined : reader.layout));
    const { name } = await sealedOf(reader).read();
    signal?.throwIfAborted();
    names.assertCanFollow(name);
    const labels = await source?.labels() ?? reader.manifest.labels;
    const stage = await backend.stage(name + layout.suffix, {
      leastBytes: await leastBytesOf(reader, layout),
    });
    const uri = String(source ?? name);
    await writeCopy(reader, layout, { backend, stage, labels, uri, signal, onProgress });
    return { name, locator: new SnapshotLocator(backend, [stage.unit]) };
  } finally {
    await reader.close();
  }
}
