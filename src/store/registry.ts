// The states of one store by name: what is refused when one is registered, and in which order they are saved and loaded.
import { assertStateName, collisionKey } from "../model/entry_path.ts";
import { SnapshotError } from "../model/errors.ts";
import { assertOptions, type OptionNames } from "../model/options.ts";
import { show } from "../model/show.ts";
import type { PersistentState, StateReader, StateWriter } from "../model/state.ts";

/** A state as registered. */
export interface Registration {
  /** Its name. */
  readonly name: string;
  /** The object. */
  readonly state: PersistentState;
  /** Version of what it writes. */
  readonly version: number;
  /** Migrations, by the version they read. */
  readonly migrate: ReadonlyMap<number, StateMigration>;
  /** Names it had before. */
  readonly formerly: readonly string[];
}

/** Makes the next version of a state out of an older one. */
export type StateMigration = (from: StateReader, to: StateWriter) => void | Promise<void>;

/** How a state is registered. */
export interface RegisterOptions {
  /**
   * Version of the data that the state writes, recorded and passed to `loadState`.
   *
   * @default 1
   */
  readonly version?: number;
  /**
   * Migrations by version: `migrate[1]` reads version 1 and writes version 2. Entries that it does not write are
   * dropped. Migrations run before any state changes. Cost: migrated entries are held in memory.
   *
   * @default none
   */
  readonly migrate?: Readonly<Record<number, StateMigration>>;
  /**
   * Former names of the state. They are tried in this order if the snapshot lacks the current name.
   *
   * @default none
   */
  readonly formerly?: readonly string[];
}

const REGISTER_OPTIONS: OptionNames<RegisterOptions> = { version: true, migrate: "a plain object", formerly: true };

/** The registered states. */
export class Registry {
  readonly #states = new Map<string, Registration>();
  /** Names of the states by what file systems may take them for. */
  readonly #namesByKey = new Map<string, string>();

  /** The states, in order of registration. */
  get all(): readonly Registration[] {
    return [...this.#states.values()];
  }

  /** Registers a state, as `StateStore.register` says. */
  register(name: string, state: PersistentState, options: RegisterOptions): Registration {
    assertStateName(name);
    assertOptions(`register "${name}"`, options, REGISTER_OPTIONS);
    const { version = 1, migrate = {}, formerly = [] } = options;
    if (!Array.isArray(formerly)) throw new TypeError(`Cannot register "${name}": formerly must be an array of names`);
    if (!(Number.isSafeInteger(version) && version >= 1)) {
      throw new RangeError(`Cannot register "${name}": the version ${show(version)} must be a whole number from 1 on`);
    }
    if (typeof state?.saveState !== "function" || typeof state.loadState !== "function") {
      const remedy = typeof state === "function"
        ? "give an instance, not the class"
        : 'for plain data, give jsonState({ get, set }) or propertiesState(object) of "snapkeep/states"';
      throw new TypeError(
        `Cannot register "${name}": expected an object with the methods saveState(out) and loadState(from); ${remedy}`,
      );
    }
    const key = collisionKey(name);
    const registered = this.#namesByKey.get(key);
    if (registered !== undefined) {
      const reason = registered === name ? "there is a state of this name" : `it collides with "${registered}"`;
      throw new SnapshotError("STATE_ALREADY_REGISTERED", `Cannot register "${name}": ${reason}`, {
        state: name,
        registered,
      });
    }
    const migrations = new Map<number, StateMigration>();
    for (const [key, migration] of Object.entries(migrate)) {
      const from = Number(key);
      const isFitting = Number.isSafeInteger(from) && from >= 1 && from < version && typeof migration === "function";
      if (!isFitting) {
        throw new RangeError(
          `Cannot register "${name}" with migrate ${show({ [key]: migration })}: each key must be a version below ` +
            `${version}, and each value a function`,
        );
      }
      migrations.set(from, migration);
    }
    formerly.forEach(assertStateName);
    const registration = { name, state, version, migrate: migrations, formerly };
    this.#states.set(name, registration);
    this.#namesByKey.set(key, name);
    return registration;
  }

  /** Forgets a state; returns whether there was one. */
  unregister(name: string): boolean {
    return this.#states.delete(name) && this.#namesByKey.delete(collisionKey(name));
  }
}
