// What lies at the place of a store: the snapshots whose names have its format, and what no listing of these shows.
import type { Backend } from "../model/backend.ts";
import { pathOfUri } from "../model/address.ts";
import type { SignalOptions } from "../model/options.ts";
import type { SnapshotNameFormat } from "../model/snapshot_name.ts";
import { listSnapshots } from "../snapshot/listing.ts";
import { SnapshotLocator } from "../snapshot/locator.ts";

/** All that lies at a place and is, or may once have been, a snapshot. */
export interface Found {
  /** Committed snapshots whose names have the store's format, oldest first. */
  readonly listed: readonly SnapshotLocator[];
  /** Snapshots whose names have another format. */
  readonly keepsakes: readonly SnapshotLocator[];
  /** Folders whose names have the store's format, and which have no manifest. */
  readonly bare: readonly SnapshotLocator[];
}

/** The place of one store. */
export class Place {
  readonly #backend: Backend;
  readonly #format: SnapshotNameFormat;

  constructor(backend: Backend, format: SnapshotNameFormat) {
    this.#backend = backend;
    this.#format = format;
  }

  /** Its address, for messages. */
  get address(): string {
    return pathOfUri(this.#backend.uri);
  }

  /** Tells whether a name has the format of the store. */
  isTimed(name: string): boolean {
    return this.#format.parse(name) !== undefined;
  }

  /** All committed snapshots whose names have the format, oldest first. */
  async list(options: SignalOptions = {}): Promise<SnapshotLocator[]> {
    return (await listSnapshots(this.#backend, options)).filter(({ name }) => this.isTimed(name));
  }

  /** The committed snapshot of a name of any format. */
  async snapshot(name: string): Promise<SnapshotLocator | undefined> {
    return (await listSnapshots(this.#backend)).find((locator) => locator.name === name);
  }

  /** All that {@link Place.list} lists, and what it passes over. */
  async all(options: SignalOptions = {}): Promise<Found> {
    const snapshots = await listSnapshots(this.#backend, options);
    const bare: SnapshotLocator[] = [];
    for await (const { name } of this.#backend.foreign?.list() ?? []) {
      if (this.isTimed(name)) bare.push(new SnapshotLocator(this.#backend, [`${name}/`]));
    }
    const isListed = ({ name }: SnapshotLocator) => this.isTimed(name);
    return { listed: snapshots.filter(isListed), keepsakes: snapshots.filter((each) => !isListed(each)), bare };
  }
}
