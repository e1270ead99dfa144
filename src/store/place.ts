// What lies at the place of a store: the snapshots whose names have its format, and what no listing of these shows.
import type { Backend } from "../model/backend.ts";
import { pathOfUri } from "../model/address.ts";
import type { SignalOptions } from "../model/options.ts";
import { byName, type SnapshotNameFormat } from "../model/snapshot_name.ts";
import { Pace } from "../runtime/concurrency.ts";
import { listSnapshots } from "../snapshot/listing.ts";
import { SnapshotLocator } from "../snapshot/locator.ts";

/** What lies among the snapshots and is not listed with them. */
export interface Unlisted {
  /** Snapshots whose names have another format than the store's. */
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
    const timed: SnapshotLocator[] = [];
    const pace = new Pace();
    for (const locator of await listSnapshots(this.#backend, options)) {
      if (pace.isDue) await pace.rest(); // reading a name takes some microseconds
      if (this.isTimed(locator.name)) timed.push(locator);
    }
    return timed;
  }

  /** The committed snapshot of a name of any format. */
  async snapshot(name: string): Promise<SnapshotLocator | undefined> {
    return (await listSnapshots(this.#backend)).find((locator) => locator.name === name);
  }

  /** All snapshots, keepsakes and folders without a manifest, in order of their names. */
  async listAll(options: SignalOptions = {}): Promise<SnapshotLocator[]> {
    return [...await listSnapshots(this.#backend, options), ...await this.#bare()].sort(byName);
  }

  /** What {@link Place.list} passes over and yet might be this program's. */
  async unlisted(): Promise<Unlisted> {
    const keepsakes = (await listSnapshots(this.#backend)).filter(({ name }) => !this.isTimed(name));
    return { keepsakes, bare: await this.#bare() };
  }

  async #bare(): Promise<SnapshotLocator[]> {
    const found: SnapshotLocator[] = [];
    for await (const { name } of this.#backend.foreign?.list() ?? []) {
      if (this.isTimed(name)) found.push(new SnapshotLocator(this.#backend, [`${name}/`]));
    }
    return found;
  }
}
