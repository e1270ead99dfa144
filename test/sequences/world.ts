// What a store should hold, as a plain Map beside the store itself, and the comparison of the two.
import {
  type Labels,
  type LayoutKind,
  type PersistentState,
  type SnapshotLocator,
  type StateReader,
  StateStore,
  type StateWriter,
} from "snapkeep";
import { SnapshotNameFormat } from "../../src/model/snapshot_name.ts";
import type { ModelPlace } from "./places.ts";

/** What a snapshot must be. */
export interface Snap {
  readonly layout: LayoutKind;
  /** What the states held. */
  readonly values: Values;
  labels: Labels;
  /** Whether labels were changed since it was saved. */
  hasNote: boolean;
  /** What was damaged; of an archive it is not known beforehand whether a flipped bit matters. */
  damage: "none" | "entry" | "manifest" | "perhaps";
}

/** What the two states hold. */
export interface Values {
  readonly alpha: number;
  readonly beta: number;
}

/** A copy that was exported. */
export interface Copy {
  readonly locator: SnapshotLocator;
  readonly name: string;
  readonly values: Values;
  readonly labels: Labels;
}

/** Why a run of commands is wrong. */
export function ensure(holds: boolean, message: string): asserts holds {
  if (!holds) throw new Error(message);
}

export const sameValue = (a: unknown, b: unknown): boolean => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));

function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1).map(([key, v]) => [key, sorted(v)]),
  );
}

/** A state whose entries all tell its value, so that a mixture would be seen. */
class Numbered implements PersistentState {
  value = 0;
  /** What its next save does before it ends. */
  onSave: (out: StateWriter) => void = () => {};

  saveState(out: StateWriter): void {
    const { value } = this;
    void out.json("value.json", value);
    void out.write("deep/fill.bin", new Uint8Array(40 + value % 50).fill(value));
    void out.write(
      "lines.txt",
      (async function* () {
        for (let line = 0; line < 3; line++) yield new TextEncoder().encode(`line ${line} of ${value}\n`);
      })(),
    );
    this.onSave(out);
  }

  async loadState(from: StateReader): Promise<void> {
    const value = await from.json("value.json") as number;
    const fill = await from.bytes("deep/fill.bin");
    const lines = await from.text("lines.txt");
    const isWhole = fill.length === 40 + value % 50 && fill.every((byte) => byte === value % 256) &&
      lines === [0, 1, 2].map((line) => `line ${line} of ${value}\n`).join("");
    ensure(isWhole, `the state "${from.name}" was given a mixture`);
    this.value = value;
  }
}

const START_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 6);
const format = new SnapshotNameFormat("%Y-%m-%d_%H-%M-%S,%f.state");

/** A store and its model. */
export class World {
  readonly place: ModelPlace;
  readonly snaps = new Map<string, Snap>();
  readonly copies: Copy[] = [];
  /** Names that were ever given or tried: a new one may be later than any of them. */
  readonly names = new Set<string>();
  readonly alpha = new Numbered();
  readonly beta = new Numbered();
  store: StateStore;
  nowMs = START_MS;
  /** The snapshots that were loaded, in whole or in part, until a newer one is saved. */
  readonly guarded = new Set<string>();

  constructor(place: ModelPlace) {
    this.place = place;
    this.store = this.storeOn(place.open());
  }

  storeOn(backend: ReturnType<ModelPlace["open"]>): StateStore {
    return new StateStore(backend, { now: () => this.nowMs, startFresh: true }).register("alpha", this.alpha).register(
      "beta",
      this.beta,
    );
  }

  /** As a program that begins now. */
  reopen(): void {
    this.store = this.storeOn(this.place.open());
    this.guarded.clear();
  }

  get values(): Values {
    return { alpha: this.alpha.value, beta: this.beta.value };
  }

  /** A snapshot by a number that may be larger than there are. */
  pick(index: number): [string, Snap] | undefined {
    return [...this.snaps].sort(([a], [b]) => a < b ? -1 : 1)[index % Math.max(1, this.snaps.size)];
  }

  async locator(name: string): Promise<SnapshotLocator> {
    const locator = await this.store.snapshot(name);
    ensure(locator !== undefined, `"${name}" cannot be found`);
    return locator;
  }

  unitOf(name: string, { layout }: Snap): string {
    return name + (layout === "directory" ? "/" : ".tar.gz");
  }

  /** A new name is later than all that are there, and no later than it must be. */
  checkNewName(name: string, existing: readonly string[]): void {
    const ofNow = format.format(BigInt(this.nowMs) * 1000n);
    ensure(name >= ofNow, `the name "${name}" is before the clock, ${ofNow}`);
    for (const other of existing) ensure(name > other, `the name "${name}" is not later than "${other}"`);
    const latest = [...this.names, ...existing].sort().at(-1);
    const most = format.next(BigInt(this.nowMs) * 1000n, latest);
    ensure(name <= most, `the name "${name}" is later than it must be, ${most}`);
  }

  /** A save failed: the name it had is not given again by the same program. */
  tried(): void {
    this.names.add(format.next(BigInt(this.nowMs) * 1000n, [...this.names, ...this.snaps.keys()].sort().at(-1)));
  }

  /** The store lists what the model has, and nothing else. */
  async check(): Promise<void> {
    const listed = (await this.store.list()).map(({ name, layout }) => `${name} ${layout}`);
    const expected = [...this.snaps].map(([name, { layout }]) => `${name} ${layout}`).sort();
    ensure(sameValue(listed, expected), `listed ${listed.join()} where there must be ${expected.join()}`);
    const latest = await this.store.latest();
    ensure(latest?.name === [...this.snaps.keys()].sort().at(-1), `the latest is ${latest}`);
  }

  /** A snapshot is what it must be: its bytes, and its labels. */
  async checkSnapshot(locator: SnapshotLocator, values: Values, labels: Labels): Promise<void> {
    const report = await locator.verify();
    ensure(report.isWhole, `${locator} is not whole: ${JSON.stringify(report.findings)}`);
    await using reader = await locator.open();
    const found = { alpha: await reader.json("alpha/value.json"), beta: await reader.json("beta/value.json") };
    ensure(sameValue(found, values), `${locator} holds ${JSON.stringify(found)}, not ${JSON.stringify(values)}`);
    const foundLabels = await locator.labels();
    ensure(
      sameValue(foundLabels, labels),
      `${locator} has the labels ${JSON.stringify(foundLabels)}, not ${JSON.stringify(labels)}`,
    );
  }
}
